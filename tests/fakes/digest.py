"""Fakes of the digests, the journal and the model that embeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime

from aegis_lib.digest.model import (
    OWN_EVENTS,
    Arrivals,
    Claim,
    EventCounts,
    Line,
    Lines,
    TaskCounts,
    Window,
)
from aegis_lib.memory.model import Importance, NewEpisode
from tests.fakes.memory import FakeMemory
from tests.fakes.tasks import FakeTasks


@dataclass
class FakeDigestRow:
    """A row of `digests`."""

    claim: Claim
    finished_at: datetime | None = None
    journal_path: str | None = None


class FakeDigests:
    """Digest rows in a list, over a `FakeMemory` and a `FakeTasks`. `busy`: another run is writing."""

    def __init__(self, memory: FakeMemory, tasks: FakeTasks) -> None:
        self.memory, self.tasks = memory, tasks
        self.rows: list[FakeDigestRow] = []
        self.busy = False

    @contextmanager
    def exclusive(self) -> Iterator[bool]:
        yield not self.busy

    def unfinished(self) -> Claim | None:
        return next((row.claim for row in self.rows if row.finished_at is None), None)

    def claim(self, now: datetime, first_start: datetime) -> Claim | None:
        start = max((row.claim.window.end for row in self.rows), default=first_start)
        if start >= now:
            return None
        claim = Claim(id=len(self.rows) + 1, window=Window(start=start, end=now))
        self.rows.append(FakeDigestRow(claim))
        return claim

    def claim_post(self, digest_id: int, at: datetime) -> bool:
        row = self.rows[digest_id - 1]
        if row.claim.post_claimed_at is not None:
            return False
        row.claim = row.claim.model_copy(update={"post_claimed_at": at})
        return True

    def release_post(self, digest_id: int) -> None:
        row = self.rows[digest_id - 1]
        row.claim = row.claim.model_copy(update={"post_claimed_at": None})

    def finish(self, digest_id: int, at: datetime, journal_path: str | None) -> None:
        row = self.rows[digest_id - 1]
        row.finished_at, row.journal_path = at, journal_path

    def arrivals(self, window: Window, listed: int) -> Arrivals:
        events = self._events(window)

        def lines(kept: Callable[[NewEpisode], bool]) -> Lines:
            found = [e for e in events if kept(e)]
            shown = [
                Line(timestamp=e.timestamp, event_type=e.event_type, summary=e.summary, decision=e.decision)
                for e in sorted(found, key=lambda e: e.timestamp, reverse=True)[:listed]
            ]
            return Lines(shown=tuple(shown), total=len(found))

        return Arrivals(
            events=self.events_between(window),
            critical=lines(lambda e: e.importance is Importance.CRITICAL),
            decisions=lines(lambda e: e.event_type == "decision" or bool((e.decision or "").strip())),
            errors=lines(lambda e: _speaks_of_an_error(e.event_type)),
        )

    def events_between(self, window: Window) -> EventCounts:
        events = self._events(window)
        return EventCounts(
            total=len(events),
            critical=sum(e.importance is Importance.CRITICAL for e in events),
            others=sum(e.event_type not in OWN_EVENTS for e in events),
        )

    def tasks_between(self, window: Window) -> TaskCounts:
        rows = self.tasks.rows.values()
        return TaskCounts(
            created=sum(window.start <= row.created_at < window.end for row in rows),
            completed=len(self.tasks.completed(window.start, window.end, 1000)),
            failed=len(self.tasks.failed(window.start, window.end, 1000)),
        )

    def _events(self, window: Window) -> list[NewEpisode]:
        return [e for e in self.memory.rows.values() if window.start <= e.timestamp < window.end]


def _speaks_of_an_error(event_type: str) -> bool:
    words = {"error", "failed", "failure", "crash", "crashed", "outage"}
    return bool(words & set(event_type.split("_")))


class FakeJournal:
    """Pages in a dict by day, each a dict of sections; set `broken` to make writing raise it."""

    def __init__(self) -> None:
        self.pages: dict[date, dict[str, str]] = {}
        self.broken: Exception | None = None

    def write(self, day: date, section: str, text: str) -> str:
        if self.broken is not None:
            raise self.broken
        self.pages.setdefault(day, {})[section] = text
        return f"/journal/{day:%Y-%m-%d}.md"


class FakeEmbedder:
    """Answers the vectors it was given, whatever the text; `asked` are the texts."""

    def __init__(self, *vectors: Sequence[float]) -> None:
        self.vectors = [list(vector) for vector in vectors]
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked.extend(texts)
        return self.vectors
