"""Retention goes through the kinds, in batches, within its time, and says what went."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from aegis_lib.errors import DependencyUnavailable
from aegis_lib.memory.model import Importance
from aegis_lib.outcome import Outcome
from aegis_lib.retention import messages, policy, service
from aegis_lib.retention.model import Kind, KindRow, Removed, RetentionConfig, RetentionReport
from tests.fakes.memory import FakeMemory

NOW = datetime(2026, 3, 14, 1, 15, tzinfo=UTC)
LLM_DAYS = 14


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


class FakeKind:
    """So many old things, each batch of which takes some seconds."""

    unit = "rows"

    def __init__(self, kind: Kind, old: int = 0, *, clock: Clock | None = None, seconds: float = 0) -> None:
        self.kind, self.old, self.clock, self.seconds = kind, old, clock, seconds
        self.asked: list[tuple[datetime, int]] = []
        self.said = Removed()
        self.error: Exception | None = None

    def expired(self, before: datetime) -> Removed:
        self._look()
        return Removed(count=self.old)

    def forget(self, before: datetime, limit: int, go_on: Callable[[], bool]) -> Removed:
        self._look()
        self.asked.append((before, limit))
        gone = min(self.old, limit)
        self.old -= gone
        return self.said.model_copy(update={"count": gone, "more": gone == limit})

    def _look(self) -> None:
        if self.error:
            raise self.error
        if self.clock:
            self.clock.now += self.seconds


def run(
    *kinds: FakeKind, config: RetentionConfig | None = None, clock: Clock | None = None, dry_run: bool = False
) -> tuple[RetentionReport, FakeMemory]:
    memory, clock = FakeMemory(), clock or Clock()
    report = service.remove_expired(
        kinds, memory, config or RetentionConfig(), language_model_days=LLM_DAYS, now=NOW, dry_run=dry_run,
        pause=clock.pause, elapsed=clock,
    )  # fmt: skip
    return report, memory


def test_each_kind_has_its_own_age() -> None:
    config = RetentionConfig(commands_days=100, metrics_days=5)
    limits = {kind: policy.age_limit(NOW, kind, config, LLM_DAYS) for kind in Kind}
    assert limits[Kind.COMMANDS] == NOW - timedelta(days=100)
    assert limits[Kind.HOST_METRICS] == limits[Kind.CONTAINER_METRICS] == NOW - timedelta(days=5)
    assert limits[Kind.LANGUAGE_MODEL] == NOW - timedelta(days=LLM_DAYS)


def test_batches_go_on_until_one_is_not_full() -> None:
    commands = FakeKind(Kind.COMMANDS, old=25)
    report, _ = run(commands, config=RetentionConfig(batch_rows=10))
    assert [limit for _, limit in commands.asked] == [10, 10, 10]
    assert {before for before, _ in commands.asked} == {NOW - timedelta(days=180)}
    assert (report.rows[0].count, report.outcome) == (25, Outcome.COMPLETED)
    assert report.summary == "Removed 25 rows of commands."


def test_between_batches_the_database_is_left_to_others() -> None:
    clock = Clock()
    commands = FakeKind(Kind.COMMANDS, old=25, clock=clock, seconds=3)
    run(commands, config=RetentionConfig(batch_rows=10, busy_share=0.25), clock=clock)
    assert clock.pauses == [9.0, 9.0]


def test_what_went_is_remembered_once_and_nothing_when_nothing_went() -> None:
    report, memory = run(FakeKind(Kind.COMMANDS, old=3), FakeKind(Kind.ANOMALIES))
    (event,) = memory.recall_recent()
    assert (event.event_type, event.summary, event.importance) == (
        "retention",
        report.summary,
        Importance.LOW,
    )
    assert event.details == {"commands": {"count": 3, "size_bytes": None}}
    report, memory = run(FakeKind(Kind.COMMANDS))
    assert report.summary == "Nothing is old enough to be removed."
    assert memory.recall_recent() == []


def test_a_dry_run_only_counts() -> None:
    commands = FakeKind(Kind.COMMANDS, old=3)
    report, memory = run(commands, FakeKind(Kind.ANOMALIES, old=1), dry_run=True)
    assert report.summary == "Dry run: 3 rows of commands and 1 row of anomalies would be removed."
    assert (commands.asked, commands.old, memory.recall_recent()) == ([], 3, [])
    assert run(dry_run=True)[0].summary == "Dry run: nothing would be removed."


def test_one_kind_that_fails_does_not_stop_the_others() -> None:
    pictures = FakeKind(Kind.PICTURES)
    pictures.error = DependencyUnavailable("disk", "is full.")
    report, _ = run(pictures, FakeKind(Kind.COMMANDS, old=2))
    assert report.outcome is Outcome.DEGRADED
    assert report.problems == ("pictures: disk: is full.",)
    assert report.summary == "Removed 2 rows of commands. 1 problem: pictures: disk: is full."


def test_when_nothing_can_be_looked_at_the_run_fails() -> None:
    commands, anomalies = FakeKind(Kind.COMMANDS), FakeKind(Kind.ANOMALIES)
    commands.error = anomalies.error = DependencyUnavailable("PostgreSQL", "is away.")
    with pytest.raises(DependencyUnavailable, match="is away"):
        run(commands, anomalies)


def test_when_time_is_up_the_rest_is_left_and_said() -> None:
    clock = Clock()
    commands = FakeKind(Kind.COMMANDS, old=100, clock=clock, seconds=4)
    anomalies = FakeKind(Kind.ANOMALIES, old=5)
    config = RetentionConfig(batch_rows=10, time_limit_seconds=10, busy_share=1)
    report, _ = run(commands, anomalies, config=config, clock=clock)
    assert (report.rows[0].count, report.rows[0].left, commands.old) == (30, True, 70)
    assert (report.left, anomalies.asked) == ((Kind.COMMANDS, Kind.ANOMALIES), [])
    assert report.outcome is Outcome.DEGRADED
    assert "left to the next run: commands, anomalies." in report.summary


def test_a_day_that_somebody_holds_is_a_problem_with_its_reason() -> None:
    checks = FakeKind(Kind.SITE_CHECKS)
    checks.unit = "days"
    checks.said = Removed(size_bytes=2_500_000, held=("site_checks_p20260101", "site_checks_p20260102"))
    report, _ = run(checks)
    assert report.outcome is Outcome.DEGRADED
    assert "2 days of site checks from site_checks_p20260101 on could not be taken out" in report.summary


def test_amounts_read_as_people_say_them() -> None:
    row = KindRow(kind=Kind.SITE_CHECKS, before=NOW, count=1, unit="days", size_bytes=1_234_567_890)
    assert messages.part(row) == "1 day of site checks (1.2 GB)"
    assert messages.part(row.model_copy(update={"count": 3, "size_bytes": None})) == "3 days of site checks"
    assert [messages.size(n) for n in (0, 999, 1_000, 1_500_000)] == ["0 B", "999 B", "1.0 kB", "1.5 MB"]


def test_a_report_names_each_kind_once() -> None:
    row = KindRow(kind=Kind.COMMANDS, before=NOW, unit="rows")
    with pytest.raises(ValueError, match="twice"):
        RetentionReport(summary="x", dry_run=False, rows=(row, row))
