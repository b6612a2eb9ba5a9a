"""The store of `digests`, and what a digest reads of events and tasks. It composes and formats nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from aegis_lib.db.sql import Queries
from aegis_lib.digest.model import OWN_EVENTS, Arrivals, Claim, EventCounts, Line, Lines, TaskCounts, Window
from aegis_lib.errors import DependencyUnavailable


class DigestStore:
    """Implements the port `DigestStore`. See it for the exact meaning."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    @contextmanager
    def exclusive(self) -> Iterator[bool]:
        """Be the one run that writes digests; False when another one is. Ends with the connection, too."""
        held = bool(self._queries.try_lock())
        try:
            yield held
        finally:
            if held:
                with suppress(DependencyUnavailable):  # the lock went with the connection
                    self._queries.unlock()

    def unfinished(self) -> Claim | None:
        """The digest that a run claimed and did not finish."""
        return _claim(self._queries.unfinished())

    def claim(self, now: datetime, first_start: datetime) -> Claim | None:
        """Claim the time from the last digest's end to `now`; None when there is none in between."""
        return _claim(self._queries.claim_window(now=now, first_start=first_start))

    def claim_post(self, digest_id: int, at: datetime) -> bool:
        """Claim the one posting of a digest; False when that was done before."""
        return bool(self._queries.claim_post(id=digest_id, at=at))

    def release_post(self, digest_id: int) -> None:
        """Give that claim back: it is known that nothing was posted."""
        self._queries.release_post(id=digest_id)

    def finish(self, digest_id: int, at: datetime, journal_path: str | None) -> None:
        """The digest is done; None for one that held nothing."""
        self._queries.finish(id=digest_id, at=at, journal_path=journal_path)

    def arrivals(self, window: Window, listed: int) -> Arrivals:
        """The events that arrived in a window, and of each kind at most `listed` lines."""
        span = {"start": window.start, "end": window.end}
        return Arrivals(
            events=EventCounts(**self._queries.arrived_events(**span, own_types=list(OWN_EVENTS))),
            critical=_lines(self._queries.arrived_critical(**span, limit=listed)),
            decisions=_lines(self._queries.arrived_decisions(**span, limit=listed)),
            errors=_lines(self._queries.arrived_errors(**span, limit=listed)),
        )

    def events_between(self, window: Window) -> EventCounts:
        """The events that happened in a window, whenever they were stored."""
        row = self._queries.events_between(start=window.start, end=window.end, own_types=list(OWN_EVENTS))
        return EventCounts(**row)

    def tasks_between(self, window: Window) -> TaskCounts:
        """What happened to tasks in a window."""
        return TaskCounts(**self._queries.tasks_between(start=window.start, end=window.end))


def _claim(row: Mapping[str, Any] | None) -> Claim | None:
    if row is None:
        return None
    return Claim(
        id=row["id"],
        window=Window(start=row["window_start"], end=row["window_end"]),
        post_claimed_at=row["post_claimed_at"],
    )


def _lines(rows: Sequence[Mapping[str, Any]]) -> Lines:
    shown = [Line(**{name: row[name] for name in Line.model_fields}) for row in rows]
    return Lines(shown=tuple(shown), total=rows[0]["total"] if rows else 0)
