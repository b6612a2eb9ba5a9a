"""Fakes of what the health check asks and tells, and of the memory that spools."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from aegis_lib.health.model import Flushed, Outage, Stage
from aegis_lib.memory.model import NewEpisode
from tests.fakes.memory import FakeMemory
from tests.fakes.state import FakeState


class FakeProbe:
    """Answers in `latency`; set `broken` for a database that is away."""

    def __init__(self, latency: timedelta = timedelta(milliseconds=12)) -> None:
        self.latency = latency
        self.broken: Exception | None = None

    def ping(self) -> timedelta:
        if self.broken is not None:
            raise self.broken
        return self.latency


class FakeAnsweringDatabase:
    """State, memory and a spool of `waiting` events; `connect` is what a service is given."""

    def __init__(self) -> None:
        self.state, self.memory = FakeState(), FakeMemory()
        self.waiting: list[NewEpisode] = []
        self.rejected = 0
        self.stopped_by: str | None = None
        self.flush_broken: Exception | None = None
        self.connect_broken: Exception | None = None

    @contextmanager
    def connect(self) -> Iterator[FakeAnsweringDatabase]:
        if self.connect_broken is not None:
            raise self.connect_broken
        yield self

    def flush(self) -> Flushed:
        if self.flush_broken is not None:
            raise self.flush_broken
        if self.stopped_by is not None:
            return Flushed(stopped_by=self.stopped_by)
        stored = 0
        while self.waiting:
            event = self.waiting.pop(0)
            plain = event.model_dump(exclude={"event_type", "summary"})
            self.memory.record(event.event_type, event.summary, **plain)
            stored += 1
        return Flushed(stored=stored, rejected=self.rejected)


class FakeOutageMemory:
    """One outage in a variable. `busy`: another check holds it; `read_only`: it cannot be changed."""

    def __init__(self) -> None:
        self.outage: Outage | None = None
        self.history: list[Outage] = []
        self.busy = False
        self.read_only: Exception | None = None

    @contextmanager
    def hold(self) -> Iterator[bool]:
        if self.read_only is not None:
            raise self.read_only
        yield not self.busy

    def current(self) -> Outage | None:
        return self.outage

    def open(self, outage: Outage) -> None:
        self.outage = self.outage or outage
        self.history.append(self.outage)

    def advance(self, outage: Outage, stage: Stage, until: datetime | None = None) -> Outage:
        self.outage = outage.model_copy(update={"stage": stage, "until": until})
        self.history.append(self.outage)
        return self.outage

    def close(self, outage: Outage) -> None:
        self.outage = None


class FakeHeart:
    """Counts pings; set `broken` to make each fail."""

    def __init__(self) -> None:
        self.pings = 0
        self.broken: Exception | None = None

    def ping(self) -> None:
        if self.broken is not None:
            raise self.broken
        self.pings += 1


class FakeSpooledMemory(FakeMemory):
    """Takes events into the spool of a database; never has an id for them."""

    def __init__(self, database: FakeAnsweringDatabase) -> None:
        super().__init__()
        self.database = database

    def record(self, *arguments: Any, **fields: Any) -> int | None:
        super().record(*arguments, **fields)
        self.database.waiting.append(self.recorded[-1])
        return None
