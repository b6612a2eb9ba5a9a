"""Looking into the event memory by hand: text search and counts. Writes nothing; no job uses it."""

from __future__ import annotations

from datetime import datetime, timedelta

from aegis_lib.db.database import Database
from aegis_lib.db.sql import Queries
from aegis_lib.db.storable import limited, storable_text
from aegis_lib.memory.model import Episode
from aegis_lib.outcome import AwareDatetime, Frozen


class TypeCount(Frozen):
    """How many events of one type there are; `newest` is None when none has a time."""

    event_type: str
    events: int
    last_day: int
    high_or_critical: int
    newest: AwareDatetime | None


class MemoryReader:
    """Reads `episodic_memory` by scanning it, which takes seconds beyond a million events."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def search(self, text: str, limit: int = 20) -> list[Episode]:
        """The newest events, at most `limit` (1 to 1000), whose summary, type or a tag has `text`."""
        limited(limit)
        rows = self._queries.search(text=storable_text(text), limit=limit)
        return [Episode.model_validate(row) for row in rows]

    def stats(self, now: datetime) -> list[TypeCount]:
        """Counts by type, the most frequent first; `last_day` is the 24 hours before `now`."""
        rows = self._queries.stats(since=now - timedelta(days=1))
        return [TypeCount.model_validate(row) for row in rows]


def reader(database: Database) -> MemoryReader:
    """The reader on an open database."""
    return MemoryReader(Queries(database.connection, "memory_reading"))
