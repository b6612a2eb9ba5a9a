"""Morning status and evening digest against fakes: what was written, posted, claimed - and what was not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from aegis_lib.alerts.model import Message, Receipt
from aegis_lib.digest import service
from aegis_lib.digest.model import DigestConfig, EveningReport, MorningReport
from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.memory.model import Importance
from aegis_lib.outcome import Outcome
from aegis_lib.tasks.model import TaskStatus
from tests.fakes.alerts import FakeNotifier
from tests.fakes.digest import FakeDigests, FakeJournal
from tests.fakes.memory import FakeMemory
from tests.fakes.tasks import FakeTasks

TEN_PM = datetime(2026, 1, 25, 22, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class World:
    """Fakes, and a clock that moves when told."""

    def __init__(self, **config: Any) -> None:
        self.now = TEN_PM
        self.memory, self.tasks = FakeMemory(), FakeTasks(TEN_PM - 30 * DAY)
        self.digests = FakeDigests(self.memory, self.tasks)
        self.journal, self.notifier = FakeJournal(), FakeNotifier()
        self.config = DigestConfig(**config)

    def evening(self, now: datetime | None = None) -> EveningReport:
        self.now = now or self.now
        return service.evening_summary(
            self.digests, self.tasks, self.memory, self.journal, self.notifier,
            now=self.now, config=self.config,
        )  # fmt: skip

    def morning(self, now: datetime) -> MorningReport:
        return service.morning_status(self.digests, self.tasks, self.memory, now=now, config=self.config)

    def event(
        self, at: datetime, summary: str = "something", event_type: str = "note", **fields: Any
    ) -> None:
        self.memory.record(event_type, summary, timestamp=at, **fields)

    @property
    def windows(self) -> list[tuple[datetime, datetime]]:
        return [(row.claim.window.start, row.claim.window.end) for row in self.digests.rows]

    @property
    def finished(self) -> list[bool]:
        return [row.finished_at is not None for row in self.digests.rows]


@pytest.fixture
def world() -> World:
    world = World()
    world.event(TEN_PM - HOUR)
    return world


def test_a_digest_goes_to_journal_memory_and_room_once(world: World) -> None:
    world.event(TEN_PM - 2 * HOUR, "Which one?", "decision", decision="the first")
    world.event(TEN_PM - 3 * HOUR, "boom", "job_error", importance=Importance.HIGH)
    done = world.tasks.add("Back up")
    world.tasks.add("Water the plants", priority=0)
    world.tasks.set_status(done, TaskStatus.COMPLETED, TEN_PM - HOUR)
    report = world.evening()
    assert (report.outcome, report.posted) == (Outcome.COMPLETED, 1)
    text = world.journal.pages[date(2026, 1, 25)]["digest 2026-01-25T22:00:00+00:00"]
    assert text.startswith(
        "## Evening summary 2026-01-25\n\nFrom 2026-01-24T22:00:00Z to 2026-01-25T22:00:00Z"
    )
    for part in ("done: Back up", "the first", "boom", "P0 Water the plants", "3 recorded, 0 critical"):
        assert part in text
    [message] = world.notifier.sent
    assert (message.audience, message.title) == ("journal", "Evening summary 2026-01-25")
    assert message.body in text
    assert report.markdown == text
    [event] = world.memory.of_type("evening_summary")
    assert (event.details["tasks_completed"], event.details["events"]) == (1, 3)
    assert (event.details["pending_tasks"], event.details["errors"]) == (1, 1)
    assert event.timestamp == TEN_PM
    assert "1 tasks completed, 1 pending; 3 events" in report.summary
    assert world.digests.rows[0].journal_path == "/journal/2026-01-25.md"


def test_windows_follow_each_other_over_days_a_missed_day_and_a_manual_run(world: World) -> None:
    for at in (TEN_PM, TEN_PM + HOUR, TEN_PM + DAY, TEN_PM + 3 * DAY):
        world.event(at - timedelta(minutes=1))
        world.evening(at)
    starts, ends = zip(*world.windows, strict=True)
    assert starts == (TEN_PM - DAY, *ends[:-1])
    assert ends == (TEN_PM, TEN_PM + HOUR, TEN_PM + DAY, TEN_PM + 3 * DAY)
    assert len(world.journal.pages[date(2026, 1, 25)]) == 2, "two digests on one day"


def test_what_happens_after_ten_is_in_the_next_digest(world: World) -> None:
    world.evening()
    world.event(TEN_PM + HOUR, "late in the evening", "decision")
    world.evening(TEN_PM + DAY)
    assert "late in the evening" in world.journal.pages[date(2026, 1, 26)]["digest 2026-01-26T22:00:00+00:00"]


def test_a_run_again_at_once_says_nothing_twice(world: World) -> None:
    world.evening()
    report = world.evening(TEN_PM + timedelta(seconds=30))
    assert report.outcome is Outcome.NO_INPUT
    assert len(world.notifier.sent) == 1
    assert len(world.memory.of_type("evening_summary")) == 1
    assert [len(sections) for sections in world.journal.pages.values()] == [1]


def test_a_window_with_nothing_but_our_own_reports_is_no_input_and_is_over() -> None:
    world = World()
    world.memory.record("morning_status", "x", timestamp=TEN_PM - HOUR)
    report = world.evening()
    assert report.outcome is Outcome.NO_INPUT
    assert "Nothing happened from 2026-01-24T22:00:00Z" in report.summary
    assert world.finished == [True]
    assert world.journal.pages == {}
    assert world.notifier.sent == []
    assert world.memory.of_type("evening_summary") == []
    world.event(TEN_PM + HOUR)
    world.evening(TEN_PM + DAY)
    assert world.windows[1] == (TEN_PM, TEN_PM + DAY)


def test_a_clock_set_back_claims_nothing(world: World) -> None:
    world.evening()
    report = world.evening(TEN_PM - HOUR)
    assert report.outcome is Outcome.NO_INPUT
    assert "clock set back" in report.summary
    assert len(world.windows) == 1


def test_another_run_at_the_same_time_does_nothing(world: World) -> None:
    world.digests.busy = True
    report = world.evening()
    assert report.outcome is Outcome.COMPLETED
    assert "Another run" in report.summary
    assert world.digests.rows == []
    assert world.notifier.sent == []


@pytest.mark.parametrize(
    "error",
    [Misconfigured("AEGIS_JOURNAL_DIR", "is not writable."), DependencyUnavailable("journal", "full")],
)
def test_a_journal_that_cannot_be_written_is_an_error_and_loses_no_window(
    world: World, error: AegisError
) -> None:
    world.journal.broken = error
    with pytest.raises(type(error)):
        world.evening()
    assert world.finished == [False]
    assert world.notifier.sent == []
    assert world.memory.of_type("evening_summary") == []
    world.journal.broken = None
    world.event(TEN_PM + HOUR)
    report = world.evening(TEN_PM + DAY)
    assert world.windows == [(TEN_PM - DAY, TEN_PM), (TEN_PM, TEN_PM + DAY)]
    assert world.finished == [True, True]
    assert [m.title for m in world.notifier.sent] == [
        "Evening summary 2026-01-25",
        "Evening summary 2026-01-26",
    ]
    assert len(report.digests) == 2
    assert len(world.memory.of_type("evening_summary")) == 2


def test_a_retry_soon_after_finishes_the_window_and_starts_no_tiny_one(world: World) -> None:
    world.notifier.broken = DependencyUnavailable("Discord", "no answer.")
    with pytest.raises(DependencyUnavailable):
        world.evening()
    assert world.finished == [False]
    world.notifier.broken = None
    report = world.evening(TEN_PM + timedelta(seconds=40))
    assert (report.outcome, report.posted) == (Outcome.COMPLETED, 1)
    assert world.windows == [(TEN_PM - DAY, TEN_PM)]
    assert len(world.memory.of_type("evening_summary")) == 1


def test_a_run_that_died_while_posting_is_finished_without_a_second_post(world: World) -> None:
    class Died(BaseException):
        pass

    class DyingNotifier(FakeNotifier):
        def send(self, message: Message) -> tuple[Receipt, ...]:
            super().send(message)
            raise Died

    world.notifier = DyingNotifier()
    with pytest.raises(Died):
        world.evening()
    died = world.notifier
    world.notifier = FakeNotifier()
    report = world.evening(TEN_PM + timedelta(minutes=5))
    assert (len(died.sent), world.notifier.sent) == (1, [])
    assert (report.outcome, report.posted) == (Outcome.DEGRADED, 0)
    assert "not posted again" in report.summary
    assert world.finished == [True]


def test_a_room_that_refuses_for_good_degrades_the_run_and_ends_the_window(world: World) -> None:
    world.notifier.broken = PermanentFailure("Discord: the bot may not write there.")
    report = world.evening()
    assert (report.outcome, report.posted) == (Outcome.DEGRADED, 0)
    assert "the bot may not write there" in report.summary
    assert world.finished == [True]
    assert len(world.journal.pages) == 1


def test_without_a_room_the_digest_is_complete(world: World) -> None:
    class Silent(FakeNotifier):
        def send(self, message: Message) -> tuple[Receipt, ...]:
            return ()

    world.notifier = Silent()
    report = world.evening()
    assert (report.outcome, report.posted) == (Outcome.COMPLETED, 0)


def test_sections_are_bounded_and_say_how_much_more_there_is() -> None:
    world = World(listed=3, priorities=2)
    for number in range(10):
        world.event(TEN_PM - HOUR, f"e{number}", "job_error")
        world.tasks.add(f"t{number}")
    world.evening()
    text = next(iter(world.journal.pages[date(2026, 1, 25)].values()))
    assert "- … and 7 more" in text
    assert "- … and 8 more" in text
    assert text.count("job\\_error") == 3


def test_the_evening_log_line_keeps_its_name(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "aegis_lib"):
        world.evening()
    assert any(
        r.getMessage().startswith("event=evening_summary_generated tasks_completed=0 events=1")
        for r in caplog.records
    )


SIX_AM = datetime(2026, 1, 26, 6, 0, tzinfo=UTC)


def test_the_morning_status_counts_yesterday_and_what_waits(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    done = world.tasks.add("Done")
    world.tasks.add("Waiting")
    world.tasks.set_status(done, TaskStatus.COMPLETED, TEN_PM)
    world.event(SIX_AM - HOUR, "today, not yesterday")
    with caplog.at_level("INFO", "aegis_lib"):
        report = world.morning(SIX_AM)
    assert (report.outcome, report.morning.pending) == (Outcome.COMPLETED, 1)
    assert (report.morning.tasks.completed, report.morning.events.total) == (1, 1)
    assert "P2 Waiting" in report.markdown
    [event] = world.memory.of_type("morning_status")
    assert event.details["pending_tasks"] == 1
    assert event.details["day"] == "2026-01-25"
    assert event.timestamp == SIX_AM
    assert any(r.getMessage() == "event=morning_status_generated pending_tasks=1" for r in caplog.records)
    assert world.notifier.sent == []


def test_a_second_morning_status_of_a_day_is_not_recorded_again(world: World) -> None:
    world.morning(SIX_AM)
    world.morning(SIX_AM + HOUR)
    assert len(world.memory.of_type("morning_status")) == 1
    world.event(SIX_AM + HOUR)
    world.morning(SIX_AM + DAY)
    assert len(world.memory.of_type("morning_status")) == 2


def test_a_morning_without_anything_is_no_input() -> None:
    world = World()
    report = world.morning(SIX_AM)
    assert (report.outcome, report.markdown) == (Outcome.NO_INPUT, "")
    assert world.memory.recorded == []
