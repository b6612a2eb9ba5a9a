"""What services need from the outside: the event memory, and vectors of texts.

No implementation lives here, and no name of a vendor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from aegis_lib.memory.model import Deleted, Episode, Importance


class EpisodicMemory(Protocol):
    """The agent's event memory, the table `episodic_memory`."""

    def record(
        self,
        event_type: str,
        summary: str,
        details: Mapping[str, Any] | None = None,
        importance: Importance = Importance.MEDIUM,
        tags: Sequence[str] = (),
        *,
        context: Mapping[str, Any] | None = None,
        decision: str | None = None,
        timestamp: datetime | None = None,
        key: str | None = None,
    ) -> int | None:
        """Store an event and return its id.

        `timestamp` defaults to now. With a `key` that is already stored nothing is written and the
        stored row's id is returned. None means that the event is spooled until the database is back.
        """

    def recall_recent(self, limit: int = 10, event_type: str | None = None) -> list[Episode]:
        """The newest events first, at most `limit` (1 to 1000), of one type where given."""

    def find_similar(self, embedding: Sequence[float], limit: int = 10) -> list[tuple[Episode, float]]:
        """Events nearest to a vector of 1536 numbers, with cosine similarity (-1 to 1), best first."""


class ExpiringMemory(Protocol):
    """The part of the event memory that is allowed to be forgotten: importance `low`, nothing else."""

    def count_expired(self, before: datetime, spare_unsynced: bool = False) -> int:
        """How many low-importance events are older than `before`; see `delete_expired`."""

    def delete_expired(self, before: datetime, limit: int, spare_unsynced: bool = False) -> Deleted:
        """Delete one batch: the oldest low-importance events older than `before`, at most `limit`.

        With `spare_unsynced`, events that the knowledge graph has not read yet stay. An event of
        unknown time never expires. Fewer than `limit` means that nothing is left, or that the rest is
        held by another transaction right now.
        """


class Embedder(Protocol):
    """Turns texts into vectors whose nearness is nearness of meaning."""

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector per text, in order, all of one length.

        Raises:
            DependencyUnavailable: the model server did not answer.
            PermanentFailure: it refused the texts, or answered something else.
        """
