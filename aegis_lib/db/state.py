"""The store of `state`: last known facts by key. It keeps no history."""

from __future__ import annotations

from aegis_lib import clock
from aegis_lib.db.sql import Queries
from aegis_lib.db.storable import storable_text


class StateStore:
    """Implements the port `StateStore`, whether the column `value` is text (ours) or JSON (an adopted one).

    In a JSON column `true` and `false` are stored as JSON's own, everything else as a JSON string; a value
    that somebody else stored is read as its text.
    """

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def get(self, key: str) -> str | None:
        """The value, or None."""
        value = self._queries.get_state(key=key)
        return None if value is None else str(value)

    def set(self, key: str, value: str) -> None:
        """Store the value and the time it was set."""
        self._queries.set_state(key=key, value=storable_text(value), updated_at=clock.utcnow())
