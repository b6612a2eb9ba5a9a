"""The digest store and the outage memory: the fakes and the real things answer the same questions alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aegis_lib.adapters.outage_file import OutageFile
from aegis_lib.db import database as db
from aegis_lib.digest.model import Arrivals, EventCounts, Lines, TaskCounts, Window
from aegis_lib.health.model import Outage, Stage
from aegis_lib.memory.model import Importance
from aegis_lib.ports.digest import DigestStore
from aegis_lib.ports.health import OutageMemory
from aegis_lib.ports.memory import EpisodicMemory
from aegis_lib.ports.tasks import TaskList
from aegis_lib.tasks.model import TaskStatus
from tests.fakes.digest import FakeDigests
from tests.fakes.health import FakeOutageMemory
from tests.fakes.memory import FakeMemory
from tests.fakes.tasks import FakeTasks

# Later than any row's `created_at`, so that an event arrives when it happens.
TEN_PM = datetime(2096, 1, 25, 22, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WINDOW = Window(start=TEN_PM - DAY, end=TEN_PM)


@dataclass
class Stores:
    digests: DigestStore
    memory: EpisodicMemory
    tasks: TaskList


@pytest.fixture(params=["fake", "postgres"])
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    if request.param == "fake":
        memory, tasks = FakeMemory(), FakeTasks()
        yield Stores(FakeDigests(memory, tasks), memory, tasks)
        return
    opened: db.Database = request.getfixturevalue("database")
    yield Stores(opened.digests, opened.memory, opened.tasks)


def test_windows_follow_each_other(stores: Stores) -> None:
    assert stores.digests.unfinished() is None
    first = stores.digests.claim(TEN_PM, TEN_PM - DAY)
    assert first is not None
    assert (first.window, first.post_claimed_at) == (WINDOW, None)
    second = stores.digests.claim(TEN_PM + HOUR, TEN_PM - 9 * DAY)
    assert second is not None
    assert second.window == Window(start=TEN_PM, end=TEN_PM + HOUR)
    assert stores.digests.claim(TEN_PM + HOUR, TEN_PM - DAY) is None
    assert stores.digests.claim(TEN_PM, TEN_PM - DAY) is None, "a clock set back"


def test_the_oldest_unfinished_digest_is_taken_up_first(stores: Stores) -> None:
    first = stores.digests.claim(TEN_PM, TEN_PM - DAY)
    second = stores.digests.claim(TEN_PM + DAY, TEN_PM)
    assert first is not None
    assert second is not None
    assert stores.digests.unfinished() == first
    stores.digests.finish(first.id, TEN_PM, "/journal/x.md")
    assert stores.digests.unfinished() == second
    stores.digests.finish(second.id, TEN_PM, None)
    assert stores.digests.unfinished() is None


def test_a_posting_is_claimed_once_unless_given_back(stores: Stores) -> None:
    claim = stores.digests.claim(TEN_PM, TEN_PM - DAY)
    assert claim is not None
    assert stores.digests.claim_post(claim.id, TEN_PM)
    assert not stores.digests.claim_post(claim.id, TEN_PM + HOUR)
    known = stores.digests.unfinished()
    assert known is not None
    assert known.post_claimed_at == TEN_PM
    stores.digests.release_post(claim.id)
    assert stores.digests.claim_post(claim.id, TEN_PM + HOUR)


def test_the_writer_may_hold_the_lock_again_after_it_let_go(stores: Stores) -> None:
    for _ in range(2):
        with stores.digests.exclusive() as held:
            assert held


def test_an_event_is_in_the_window_from_its_start_up_to_its_end(stores: Stores) -> None:
    for at in (WINDOW.start - timedelta(microseconds=1), WINDOW.start, TEN_PM - HOUR, WINDOW.end):
        stores.memory.record("note", at.isoformat(), timestamp=at)
    assert stores.digests.arrivals(WINDOW, 10).events == EventCounts(total=2, critical=0, others=2)
    assert stores.digests.events_between(WINDOW).total == 2


def test_an_empty_window_is_empty(stores: Stores) -> None:
    assert stores.digests.arrivals(WINDOW, 10) == Arrivals()
    assert stores.digests.tasks_between(WINDOW) == TaskCounts()


def test_our_own_reports_count_and_are_no_others(stores: Stores) -> None:
    for event_type in ("morning_status", "evening_summary", "note"):
        stores.memory.record(event_type, "x", timestamp=TEN_PM - HOUR)
    assert stores.digests.arrivals(WINDOW, 10).events == EventCounts(total=3, critical=0, others=1)


@pytest.mark.parametrize(
    ("event_type", "is_error"),
    [
        ("job_error", True), ("error", True), ("error_report", True), ("health_check_failed", True),
        ("db_outage", True), ("container_crashed", True), ("terrors", False), ("errors_fixed", False),
        ("task_complete", False), ("mirrored", False),
    ],
)  # fmt: skip
def test_an_error_is_known_by_a_word_of_its_type(stores: Stores, event_type: str, is_error: bool) -> None:
    stores.memory.record(event_type, "x", timestamp=TEN_PM - HOUR)
    assert stores.digests.arrivals(WINDOW, 10).errors.total == int(is_error)


def test_lines_are_the_newest_first_and_know_how_many_there_are(stores: Stores) -> None:
    for number in range(5):
        stores.memory.record(
            "decision", f"d{number}", importance=Importance.CRITICAL,
            decision=f"yes {number}", timestamp=TEN_PM - (5 - number) * HOUR,
        )  # fmt: skip
    stores.memory.record("choice", "of another type", decision="no", timestamp=TEN_PM - HOUR / 2)
    stores.memory.record("choice", "blank", decision="  ", timestamp=TEN_PM - HOUR / 2)
    found = stores.digests.arrivals(WINDOW, 2)
    assert [line.summary for line in found.critical.shown] == ["d4", "d3"]
    assert found.critical.total == 5
    assert [line.decision for line in found.decisions.shown] == ["no", "yes 4"]
    assert found.decisions.total == 6
    assert found.errors == Lines()


def test_tasks_count_where_they_were_made_and_ended(stores: Stores) -> None:
    old = stores.tasks.add("old", created_at=TEN_PM - 3 * DAY)
    new = stores.tasks.add("new", created_at=TEN_PM - HOUR)
    late = stores.tasks.add("late", created_at=TEN_PM)
    stores.tasks.set_status(old, TaskStatus.COMPLETED, TEN_PM - HOUR)
    stores.tasks.set_status(new, TaskStatus.FAILED, TEN_PM - HOUR)
    stores.tasks.set_status(late, TaskStatus.COMPLETED, TEN_PM)
    assert stores.digests.tasks_between(WINDOW) == TaskCounts(created=1, completed=1, failed=1)


@pytest.fixture(params=["fake", "file"])
def outages(request: pytest.FixtureRequest, tmp_path: Path) -> OutageMemory:
    return FakeOutageMemory() if request.param == "fake" else OutageFile(tmp_path)


def test_an_outage_is_remembered_from_its_start_to_its_end(outages: OutageMemory) -> None:
    outage = Outage(since=TEN_PM, error="away")
    assert outages.current() is None
    with outages.hold() as held:
        assert held
        outages.open(outage)
        outages.open(Outage(since=TEN_PM, error="later"))
        assert outages.current() == outage
        alerted = outages.advance(outage, Stage.ALERTED)
        assert outages.current() == alerted
        recovered = outages.advance(alerted, Stage.RECOVERED, TEN_PM + HOUR)
        assert outages.current() == recovered
        assert (recovered.until, recovered.error) == (TEN_PM + HOUR, "away")
        outages.close(recovered)
    assert outages.current() is None
