"""Event memory that outlives the database: what cannot be stored now waits in the spool.

It spools only for a database that is away; a wrong password is an error and stays one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from aegis_lib import clock
from aegis_lib.db import database, spooled_alerts
from aegis_lib.db.spool import FlushReport, RecordTooLarge, Spool, SpoolRecord
from aegis_lib.db.storable import storable_text
from aegis_lib.errors import DependencyUnavailable, PermanentFailure
from aegis_lib.logs import get_logger
from aegis_lib.memory.model import Episode, Importance, NewEpisode
from aegis_lib.ports.alerts import Outbox
from aegis_lib.ports.memory import EpisodicMemory
from aegis_lib.settings import DatabaseSettings

KIND = "episode"
_LONGEST_TEXT_CHARACTERS = 20_000
log = get_logger(__name__)


class SpooledMemory:
    """Implements the port `EpisodicMemory`. `memory` is None when the database could not be opened at all.

    An event gets its time and, where the caller named none, its key before anything is tried: whether or
    not the database took it before it went away, it is stored once and at its own time.
    """

    def __init__(self, memory: EpisodicMemory | None, spool: Spool) -> None:
        self._memory = memory
        self._spool = spool

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
        """Store an event and return its id, or spool it and return None.

        Raises:
            ValueError: a field is out of its range (`aegis_lib.memory.model.NewEpisode`).
            SpoolFull: the database is away and the spool has no room either.
            Misconfigured: the database refused us, or the spool's directory cannot be written.
        """
        episode = NewEpisode(
            event_type=storable_text(event_type),
            summary=storable_text(summary),
            details=dict(details or {}),
            context=dict(context or {}),
            importance=Importance(importance),
            tags=tuple(storable_text(tag) for tag in tags),
            decision=storable_text(decision) if decision is not None else None,
            timestamp=timestamp or clock.utcnow(),
            key=key or f"spool:{uuid4()}",
        )
        if self._memory is not None:
            try:
                return _store(self._memory, episode)
            except DependencyUnavailable as away:
                log.warning("episode_spooled", event_type=event_type, key=episode.key, error=away.problem)
        else:
            log.warning("episode_spooled", event_type=event_type, key=episode.key, error="not connected")
        self._keep(episode)
        return None

    def recall_recent(self, limit: int = 10, event_type: str | None = None) -> list[Episode]:
        """As the database's; what is spooled is not seen. Raises DependencyUnavailable when it is away."""
        return self._reachable().recall_recent(limit, event_type)

    def find_similar(self, embedding: Sequence[float], limit: int = 10) -> list[tuple[Episode, float]]:
        """As the database's; what is spooled is not seen. Raises DependencyUnavailable when it is away."""
        return self._reachable().find_similar(embedding, limit)

    def flush_into(self, memory: EpisodicMemory) -> FlushReport:
        """Store what is spooled, each event once and at its own time; see `Spool.flush`."""
        return flush_into(self._spool, memory)

    def _keep(self, episode: NewEpisode) -> None:
        key = episode.key or ""
        try:
            self._spool.append(KIND, key, _payload(episode))
        except RecordTooLarge:
            self._spool.append(KIND, key, _payload(_shortened(episode)))

    def _reachable(self) -> EpisodicMemory:
        if self._memory is None:
            raise DependencyUnavailable(
                "PostgreSQL", "is away, so nothing can be recalled.", "bring it back."
            )
        return self._memory


def flush_into(spool: Spool, memory: EpisodicMemory, outbox: Outbox | None = None) -> FlushReport:
    """Store the spooled events and alerts, each once and at its own time; see `Spool.flush`.

    Without an `outbox` an alert stays in the spool, and what is behind it.
    """

    def apply(record: SpoolRecord) -> None:
        if record.kind in spooled_alerts.KINDS:
            if outbox is None:
                raise DependencyUnavailable("Outbox", "is not open; an alert waits for it.")
            spooled_alerts.apply(outbox, record)
            return
        if record.kind != KIND:
            raise PermanentFailure(f"nobody applies records of kind {record.kind}")
        try:
            episode = NewEpisode.model_validate(record.payload)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            raise PermanentFailure(f"not an event: {problem['loc']}: {problem['msg']}") from error
        _store(memory, episode)

    return spool.flush(apply)


@contextmanager
def opened(settings: DatabaseSettings, spool: Spool) -> Iterator[SpooledMemory]:
    """The memory of these settings; it spools from the start when the database does not answer.

    Raises:
        Misconfigured: the server refused the user, the password or the database name.
    """
    with ExitStack() as stack:
        memory: EpisodicMemory | None = None
        try:
            memory = stack.enter_context(database.connect(settings)).memory
        except DependencyUnavailable as away:
            log.warning("database_away", error=str(away))
        yield SpooledMemory(memory, spool)


def _store(memory: EpisodicMemory, episode: NewEpisode) -> int | None:
    return memory.record(
        episode.event_type,
        episode.summary,
        episode.details,
        episode.importance,
        episode.tags,
        context=episode.context,
        decision=episode.decision,
        timestamp=episode.timestamp,
        key=episode.key,
    )


def _payload(episode: NewEpisode) -> dict[str, Any]:
    plain = episode.model_dump(mode="json", exclude={"details", "context"})
    return {**plain, "details": episode.details, "context": episode.context}


def _shortened(episode: NewEpisode) -> NewEpisode:
    """The event without what made it too large; that it happened matters more than every detail."""
    return episode.model_copy(
        update={
            "summary": episode.summary[:_LONGEST_TEXT_CHARACTERS],
            "details": {"left_out": "too large for the spool"},
            "context": {},
            "tags": tuple(tag[:200] for tag in episode.tags[:50]),
            "decision": episode.decision[:_LONGEST_TEXT_CHARACTERS] if episode.decision else episode.decision,
        }
    )
