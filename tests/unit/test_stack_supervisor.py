"""Restarting dead parts: when, how often, and what is said."""

from __future__ import annotations

import pytest

from aegis_lib.errors import PermanentFailure
from deployments.supervisor import Supervisor, failures_after, pause_seconds


class FakePart:
    def __init__(self, name: str, journal: list[str]) -> None:
        self.name, self.journal = name, journal
        self.alive, self.refuses = False, False

    def start(self) -> None:
        self.journal.append(f"start {self.name}")
        if self.refuses:
            raise PermanentFailure("no room. Fix: make some.")
        self.alive = True

    def is_alive(self) -> bool:
        return self.alive

    def why_ended(self) -> str:
        return "exit code 1"

    def stop(self) -> None:
        self.journal.append(f"stop {self.name}")
        self.alive = False


@pytest.fixture
def journal() -> list[str]:
    return []


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (5000, 60)]
)
def test_the_pause_doubles_up_to_a_minute(failures: int, seconds: float) -> None:
    assert pause_seconds(failures) == seconds


@pytest.mark.parametrize(
    ("failures", "ran_seconds", "then"), [(0, 0, 1), (1, 59.9, 2), (7, 3, 8), (7, 60, 1), (0, 3600, 1)]
)
def test_a_part_that_ran_for_a_minute_starts_anew(failures: int, ran_seconds: float, then: int) -> None:
    assert failures_after(failures, ran_seconds) == then


def test_a_dead_part_is_restarted_after_the_pause_and_it_is_said(journal: list[str], said: list[str]) -> None:
    supervisor, part = Supervisor(said.append), FakePart("worker", journal)
    supervisor.run(part, now=0)
    supervisor.tick(now=5)
    assert said == []
    part.alive = False
    supervisor.tick(now=10)
    supervisor.tick(now=10.9)
    assert journal == ["start worker"]
    supervisor.tick(now=11)
    assert journal == ["start worker"] * 2
    assert said == [
        "worker: has ended (exit code 1); starting it again in 1 s.",
        "worker: restarted.",
    ]


def test_pauses_grow_while_it_keeps_dying_and_shrink_after_a_healthy_minute(
    journal: list[str], said: list[str]
) -> None:
    supervisor, part = Supervisor(said.append), FakePart("worker", journal)
    supervisor.run(part, now=0)
    now = 0.0
    for pause in (1, 2, 4, 8):
        part.alive = False
        supervisor.tick(now)
        assert said[-1].endswith(f"starting it again in {pause} s.")
        now += pause
        supervisor.tick(now)
    part.alive = False
    supervisor.tick(now + 60)
    assert said[-1].endswith("starting it again in 1 s.")


def test_a_part_that_does_not_start_is_tried_again_and_the_others_are_still_watched(
    journal: list[str], said: list[str]
) -> None:
    supervisor = Supervisor(said.append)
    database, worker = FakePart("PostgreSQL", journal), FakePart("worker", journal)
    supervisor.run(database, now=0)
    supervisor.run(worker, now=0)
    database.alive, database.refuses = False, True
    supervisor.tick(now=1)
    worker.alive = False
    supervisor.tick(now=2)
    assert said[1:] == [
        "PostgreSQL: did not start: no room. Fix: make some.; starting it again in 2 s.",
        "worker: has ended (exit code 1); starting it again in 1 s.",
    ]


def test_parts_are_stopped_in_reverse_order_once_and_not_restarted(
    journal: list[str], said: list[str]
) -> None:
    supervisor = Supervisor(said.append)
    for name in ("database", "server", "worker"):
        supervisor.run(FakePart(name, journal), now=0)
    supervisor.stop()
    supervisor.stop()
    supervisor.tick(now=100)
    assert journal[3:] == ["stop worker", "stop server", "stop database"]


def test_a_part_whose_first_start_fails_is_stopped_with_the_others(
    journal: list[str], said: list[str]
) -> None:
    supervisor, part = Supervisor(said.append), FakePart("server", journal)
    part.refuses = True
    with pytest.raises(PermanentFailure):
        supervisor.run(part, now=0)
    supervisor.stop()
    assert journal == ["start server", "stop server"]
