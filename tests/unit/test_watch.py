"""What is looked after once a minute, beside the worker: each thing is said and remembered once."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from aegis_lib.errors import DependencyUnavailable
from aegis_lib.settings import DatabaseSettings, InstallationSettings
from deployments import run_watch, watch
from deployments.watch import Watch

NOW = datetime(2026, 1, 25, 6, 0, tzinfo=UTC)


class World:
    """Server, presence and deputy as the watch sees them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failed: list[dict[str, Any]] = []
        self.unscheduled: list[str] = []
        self.asked: list[datetime] = []
        self.beats: list[datetime] = []
        self.neglected: str | None = None
        self.deputy_started = self.away = False
        self.recorded: list[str] = []
        self.said: list[str] = []
        monkeypatch.setattr(run_watch, "ended_badly", lambda *_: self.answer(self.failed))
        monkeypatch.setattr(run_watch, "without_future_run", self._without_future_run)
        monkeypatch.setattr(watch, "opened", lambda *_: nullcontext())
        monkeypatch.setattr(
            run_watch, "record_failures", lambda _, rows: self.recorded.extend(row["id"] for row in rows)
        )
        world = cast("Any", self)
        self.watch = Watch(world, InstallationSettings(), DatabaseSettings(), world, world, self.said.append)

    def answer(self, found: Any) -> Any:
        if self.away:
            raise DependencyUnavailable("Prefect server", "no answer.", "start it.")
        return found

    def _without_future_run(self, _: Any, now: datetime) -> list[str]:
        self.asked.append(now)
        return list(self.answer(self.unscheduled))

    def beat(self, _: Any, now: datetime) -> str | None:
        self.beats.append(now)
        return self.neglected

    def look(self, _: datetime) -> bool:
        return self.deputy_started


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_a_failed_run_is_remembered_once(world: World) -> None:
    world.failed = [{"id": "one"}]
    world.watch.look(NOW)
    world.failed = [{"id": "two"}, {"id": "one"}]
    world.watch.look(NOW + timedelta(minutes=1))
    assert world.recorded == ["one", "two"]


def test_a_schedule_that_died_is_told_once_and_again_when_it_dies_again(world: World) -> None:
    for minutes, dead in ((0, ["mail"]), (5, ["mail"]), (10, []), (15, ["mail"])):
        world.unscheduled = dead
        world.watch.look(NOW + timedelta(minutes=minutes))
    assert len(world.said) == 2
    assert all("No run is planned for mail" in line for line in world.said)


def test_the_question_for_every_job_is_asked_every_five_minutes(world: World) -> None:
    for minutes in range(11):
        world.watch.look(NOW + timedelta(minutes=minutes))
    assert world.asked == [NOW + timedelta(minutes=minutes) for minutes in (0, 5, 10)]


def test_a_server_that_is_away_raises_nothing_and_presence_is_noted_all_the_same(world: World) -> None:
    world.away = True
    world.watch.look(NOW)
    assert world.beats == [NOW]
    assert world.said == []


def test_a_neglected_ledger_and_a_deputy_at_work_are_told(world: World) -> None:
    world.neglected, world.deputy_started = "The ledger has never been kept.", True
    world.watch.look(NOW)
    assert world.said == [
        "The ledger has never been kept.",
        "No worker delivers alerts: this process has it done.",
    ]
