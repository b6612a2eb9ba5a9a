"""The store of `episodic_memory`. It forgets low-importance events when told to, and nothing else, ever."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from aegis_lib import clock
from aegis_lib.db.sql import Queries
from aegis_lib.db.storable import limited, storable_json, storable_text
from aegis_lib.errors import DependencyUnavailable
from aegis_lib.memory.model import EMBEDDING_DIMENSIONS, Deleted, Episode, Importance, NewEpisode

_ATTEMPTS = 3


class EpisodicMemory:
    """Implements the ports `EpisodicMemory` and `ExpiringMemory`. See them for the exact meaning."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

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
        """Store an event, once per `key`, and return its id. Text that PostgreSQL cannot hold is replaced.

        Raises:
            ValueError: a field is out of its range (`aegis_lib.memory.model.NewEpisode`).
            DependencyUnavailable: the database is away.
        """
        return self.store(
            NewEpisode(
                event_type=storable_text(event_type),
                summary=storable_text(summary),
                details=dict(details or {}),
                context=dict(context or {}),
                importance=Importance(importance),
                tags=tuple(storable_text(tag) for tag in tags),
                decision=storable_text(decision) if decision is not None else None,
                timestamp=timestamp or clock.utcnow(),
                key=storable_text(key) if key is not None else None,
            )
        )

    def store(self, episode: NewEpisode) -> int:
        """Store an event that is already built; as `record`."""
        parameters = {
            "event_type": episode.event_type,
            "summary": episode.summary,
            "details": storable_json(episode.details) if episode.details else None,
            "context": storable_json(episode.context) if episode.context else None,
            "importance": episode.importance.value,
            "tags": list(episode.tags),
            "decision": episode.decision,
            "timestamp": episode.timestamp,
            "key": episode.key,
        }
        for _ in range(_ATTEMPTS):  # the row of the key may be deleted between the two statements
            number = self._queries.record(**parameters)
            if number is None:
                number = self._queries.find_key(key=episode.key)
            if number is not None:
                return int(number)
        raise DependencyUnavailable(
            "PostgreSQL", f"the event {episode.key} is written and deleted at the same time.", "try again."
        )

    def recall_recent(self, limit: int = 10, event_type: str | None = None) -> list[Episode]:
        """The newest events first, at most `limit` (1 to 1000); events of unknown time are left out."""
        limited(limit)
        rows = (
            self._queries.recall_recent(limit=limit)
            if event_type is None
            else self._queries.recall_recent_of_type(limit=limit, event_type=event_type)
        )
        return [_episode(row) for row in rows]

    def find_similar(self, embedding: Sequence[float], limit: int = 10) -> list[tuple[Episode, float]]:
        """Events nearest to a vector of 1536 finite numbers, with cosine similarity (-1 to 1), best first.

        Events without an embedding are skipped. The index is approximate, as pgvector's HNSW is: with many
        thousands of rows a distant neighbour may be missed.
        """
        limited(limit)
        with self._queries.transaction():
            self._queries.search_widely(breadth=str(max(100, limit)))
            rows = self._queries.find_similar(embedding=_vector(embedding), limit=limit)
        # a stored vector of zeros has no direction: its similarity is no number
        return [(_episode(row), row["similarity"]) for row in rows if not math.isnan(row["similarity"])]

    def set_embedding(self, episode_id: int, embedding: Sequence[float]) -> bool:
        """Store an event's vector of 1536 finite numbers, not all zero; False when there is no such event."""
        return bool(self._queries.set_embedding(id=episode_id, embedding=_vector(embedding)))

    def count_expired(self, before: datetime, spare_unsynced: bool = False) -> int:
        """How many low-importance events are older than `before`."""
        return int(self._queries.count_expired(before=before, spare_unsynced=spare_unsynced))

    def delete_expired(self, before: datetime, limit: int, spare_unsynced: bool = False) -> Deleted:
        """Delete one batch: the oldest low-importance events older than `before`, at most `limit`.

        Rows that another transaction holds are passed over, so that two cleanups share the work.
        """
        if limit < 1:
            raise ValueError(f"a batch has at least 1 row, not {limit}")
        row = self._queries.delete_expired(before=before, limit=limit, spare_unsynced=spare_unsynced)
        return Deleted(rows=row["rows"], oldest=row["oldest"], newest=row["newest"])


def _vector(embedding: Sequence[float]) -> str:
    if len(embedding) != EMBEDDING_DIMENSIONS:
        raise ValueError(f"an embedding is {EMBEDDING_DIMENSIONS} numbers, not {len(embedding)}")
    if not all(map(math.isfinite, embedding)):
        raise ValueError("an embedding is finite numbers; this one has NaN or infinity")
    if not any(embedding):
        raise ValueError("an embedding of zeros has no direction to compare")
    return "[" + ",".join(repr(float(number)) for number in embedding) + "]"


def _episode(row: Mapping[str, Any]) -> Episode:
    details = row["details"]
    return Episode(
        id=row["id"],
        timestamp=row["timestamp"],
        event_type=row["event_type"],
        summary=row["summary"],
        # a row of somebody else's may hold any JSON
        details=details if isinstance(details, dict) else {} if details is None else {"value": details},
        importance=Importance(row["importance"]),
        tags=tuple(tag for tag in row["tags"] or () if tag is not None),
        decision=row["decision"],
    )
