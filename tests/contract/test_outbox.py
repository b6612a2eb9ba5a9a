"""The dispatch of alerts over the fake outbox and over the real one: the same story must come of both."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aegis_lib.alerts import service
from aegis_lib.alerts.model import (
    AlertsConfig,
    Attempt,
    DispatchReport,
    FailedAction,
    LateRun,
    Problem,
    QuietHours,
    Receipt,
    Recovered,
    Severity,
    WorkerSeen,
)
from aegis_lib.db.database import Database
from aegis_lib.errors import DependencyUnavailable
from aegis_lib.outcome import Outcome
from tests.fakes.alerts import FakeChannel, FakeHistory, FakeOutbox

START = datetime(2026, 1, 25, 12, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
AWAY = "DependencyUnavailable: PostgreSQL: no connection."
BUSY = Attempt(delivered=False, problem="busy", again=True)
NO = Attempt(delivered=False, problem="no such room")


class World:
    """An outbox, a history, channels, and a clock that moves when it is told to."""

    def __init__(self, outbox: Any, channels: Sequence[FakeChannel], **config: Any) -> None:
        self.outbox, self.channels, self.history = outbox, list(channels), FakeHistory()
        self.config, self.now = AlertsConfig(**config), START

    def after(self, passed: timedelta = MINUTE) -> DispatchReport:
        """Let time pass and dispatch."""
        self.now += passed
        return service.dispatch(
            self.outbox,
            self.history,
            self.channels,
            self.config,
            self.now,
            monotonic=lambda: 0.0,
            jitter=lambda: 1.0,
        )

    def fail(self, job: str = "site_check", message: str = "no", **fields: Any) -> None:
        self.history.add(job, self.now - timedelta(seconds=1), message=message, **fields)

    def succeed(self, job: str = "site_check") -> None:
        self.history.add(job, self.now - timedelta(seconds=1), good=True)

    def problem(self, key: str = "disk", **fields: Any) -> None:
        usual = {"key": key, "occurrence": f"{key}:{self.now}", "title": f"{key} is full"}
        self.outbox.raise_problem(Problem(**{**usual, "seen_at": self.now, **fields}))

    def over(self, key: str = "disk", **fields: Any) -> bool:
        return bool(self.outbox.recover(Recovered(key=key, at=self.now, **fields)))

    def kept(self) -> dict[str, tuple[str, int]]:
        found = self.outbox.to_decide(START - timedelta(days=99))
        return {alert.key: (alert.state.value, alert.count) for alert in found}


@pytest.fixture(params=["fake", "real"])
def outbox(request: pytest.FixtureRequest) -> Any:
    if request.param == "fake":
        return FakeOutbox()
    database: Database = request.getfixturevalue("database")
    return database.alerts


@pytest.fixture
def discord() -> FakeChannel:
    return FakeChannel("discord")


@pytest.fixture
def telegram() -> FakeChannel:
    return FakeChannel("telegram")


@pytest.fixture
def world(outbox: Any, discord: FakeChannel) -> World:
    return World(outbox, [discord])


def test_a_night_of_failures_is_one_alert_its_reminders_and_one_recovery(
    world: World, discord: FakeChannel
) -> None:
    world.config = AlertsConfig(reminder_hours=3)
    for _ in range(8 * 12):
        world.now += 5 * MINUTE
        world.fail()
        world.after(timedelta(seconds=20))
        world.now -= timedelta(seconds=20)
    assert discord.titles == ["site_check failed", "Still: site_check failed", "Still: site_check failed"]
    assert world.kept() == {"job:site_check": ("sent", 96)}
    world.succeed()
    world.after()
    world.after()
    assert discord.titles[3:] == ["site_check works again"]
    assert "seen 96 times" in discord.sent[-1].body
    assert world.kept() == {"job:site_check": ("resolved", 96)}


def test_twelve_hours_of_failures_every_five_minutes_are_one_alert_its_reminders_and_one_recovery(
    world: World, discord: FakeChannel
) -> None:
    world.config = AlertsConfig(reminder_hours=5)
    for minute in range(12 * 60):
        world.now = START + minute * MINUTE
        if minute % 5 == 0:
            world.fail()
        if minute % 5 in {0, 1}:
            world.after(timedelta(seconds=20))
    assert world.kept() == {"job:site_check": ("sent", 144)}
    world.succeed()
    world.after()
    assert discord.titles == [
        "site_check failed",
        "Still: site_check failed",
        "Still: site_check failed",
        "site_check works again",
    ]
    assert "seen 144 times" in discord.sent[-1].body


def test_a_night_of_coming_and_going_is_one_alert_one_word_about_it_and_one_end(
    world: World, discord: FakeChannel
) -> None:
    for number in range(8 * 12):
        world.now += 5 * MINUTE
        (world.succeed if number % 2 else world.fail)()
        world.after(timedelta(seconds=20))
        world.now -= timedelta(seconds=20)
    failed, works, flapping = (
        "site_check failed",
        "site_check works again",
        "Again and again: site_check failed",
    )
    assert discord.titles == [failed, works, failed, works, flapping]
    assert "it began 3 times" in discord.sent[-1].body
    assert "stayed away for 1 h" in discord.sent[-1].body

    world.now += 30 * MINUTE
    world.succeed()
    world.after()
    assert len(discord.sent) == 5, "half an hour is not calm"
    world.after(30 * MINUTE)
    assert discord.titles[5:] == [works]
    assert "it began 48 times" in discord.sent[-1].body
    assert "seen 48 times" in discord.sent[-1].body
    world.fail()
    world.after()
    assert discord.titles[6:] == [failed], "afterwards it is news again"


def test_an_alert_of_a_removed_job_closes_itself(world: World, discord: FakeChannel) -> None:
    world.fail()
    world.fail("mail")
    world.after()
    world.history.removed.add("site_check")
    world.after()
    world.after()
    assert discord.titles == ["site_check failed", "mail failed", "site_check: job removed"]
    assert world.kept()["job:mail"] == ("sent", 1)


def test_a_flapping_alert_of_a_removed_job_need_not_become_calm(world: World, discord: FakeChannel) -> None:
    for step in (world.fail, world.succeed, world.fail, world.succeed, world.fail):
        world.now += 5 * MINUTE
        step()
        world.after()
    assert discord.titles[-1] == "Again and again: site_check failed"
    world.history.removed.add("site_check")
    world.after()
    assert discord.titles[-1] == "site_check: job removed"
    assert world.kept()["job:site_check"][0] == "resolved"


def test_a_recovered_job_that_fails_again_is_a_new_alert(world: World, discord: FakeChannel) -> None:
    for step in (world.fail, world.succeed, world.fail):
        world.now += MINUTE
        step()
        world.after()
    assert discord.titles == ["site_check failed", "site_check works again", "site_check failed"]


def test_a_run_is_counted_once_however_often_the_history_shows_it(world: World) -> None:
    world.now += MINUTE
    world.fail()
    for _ in range(3):
        world.after()
    assert world.kept() == {"job:site_check": ("sent", 1)}


def test_a_failure_that_becomes_known_late_is_seen_and_does_not_outlive_the_recovery(
    world: World, discord: FakeChannel
) -> None:
    world.after()
    world.succeed()
    world.after(MINUTE)
    world.history.add("site_check", world.now - 3 * MINUTE, message="crashed long ago")
    world.after()
    assert world.kept() == {"job:site_check": ("resolved", 1)}
    assert discord.titles == []


def test_nothing_is_skipped_after_a_long_outage_of_the_dispatch(world: World, discord: FakeChannel) -> None:
    world.after()
    for hours in range(1, 60):
        world.history.add("site_check", START + hours * HOUR, message="no")
    world.history.add("lead_list", START + 2 * HOUR)
    world.history.add("lead_list", START + 3 * HOUR, good=True)
    world.after(timedelta(days=3))
    assert world.kept() == {"job:site_check": ("sent", 59), "job:lead_list": ("resolved", 1)}
    assert discord.titles == ["site_check failed"]
    slices = world.history.asked[1:]
    assert all(end - begin <= service.SLICE for begin, end in slices)
    assert [end for _, end in slices[:-1]] == [begin for begin, _ in slices[1:]]


def test_a_history_that_cannot_be_read_keeps_nothing_from_going_out(
    world: World, discord: FakeChannel
) -> None:
    world.problem()
    world.history.broken = DependencyUnavailable("Prefect server", "no answer.")
    report = world.after()
    assert report.outcome is Outcome.DEGRADED
    assert report.summary.count("no answer") == 1
    assert discord.titles == ["disk is full"]
    world.history.broken = None
    world.fail()
    assert world.after().raised == ("job:site_check",)


def test_the_same_problem_again_is_counted_and_not_sent(world: World, discord: FakeChannel) -> None:
    for _ in range(3):
        world.problem()
        world.after()
    assert discord.titles == ["disk is full"]
    assert world.kept() == {"disk": ("sent", 3)}


def test_what_is_said_once_is_said_once(world: World, discord: FakeChannel) -> None:
    for _ in range(2):
        world.problem("note", occurrence="note", lasting=False, severity=Severity.INFO)
        world.after(20 * HOUR)
    assert discord.titles == ["note is full"]
    assert "aegis ack" not in discord.sent[0].body
    assert world.kept() == {}


def test_a_problem_that_ended_before_anybody_was_told_is_not_told(world: World, discord: FakeChannel) -> None:
    world.problem()
    assert world.over()
    world.after()
    assert discord.asked == []


def test_an_older_recovery_does_not_end_a_newer_sighting(world: World, discord: FakeChannel) -> None:
    world.problem()
    world.now -= MINUTE
    assert not world.over()
    world.after(2 * MINUTE)
    assert discord.titles == ["disk is full"]


def test_an_acknowledged_alert_is_silent_until_it_is_over(
    outbox: Any, discord: FakeChannel, telegram: FakeChannel
) -> None:
    world = World(outbox, [discord, telegram], first_channels=("discord",), second_channels=("telegram",))
    world.problem(severity=Severity.CRITICAL)
    world.after()
    assert outbox.acknowledge("disk", "ada", world.now)
    assert not outbox.acknowledge("disk", "bob", world.now), "once"
    world.after(100 * HOUR)
    assert (discord.titles, telegram.titles) == (["disk is full"], [])
    world.over()
    world.after()
    assert (discord.titles[1:], telegram.titles) == (["Over: disk is full"], [])


def test_a_critical_alert_that_nobody_acknowledges_goes_to_the_second_channel_once(
    outbox: Any, discord: FakeChannel, telegram: FakeChannel
) -> None:
    world = World(outbox, [discord, telegram], first_channels=("discord",), second_channels=("telegram",))
    world.problem(severity=Severity.CRITICAL)
    world.problem("dust", title="dust")
    world.after()
    world.after(14 * MINUTE)
    assert (discord.titles, telegram.titles) == (["disk is full", "dust"], [])
    world.after()
    world.after()
    assert telegram.titles == ["Nobody has reacted: disk is full"]
    world.over()
    world.after()
    assert discord.titles[2:] == telegram.titles[1:] == ["Over: disk is full"]


def test_quiet_hours_hold_everything_but_critical_alerts(world: World, discord: FakeChannel) -> None:
    world.config = AlertsConfig(quiet_hours=QuietHours(start="12:30", end="18:00"))
    world.problem("before")
    world.after()
    world.now = START + HOUR
    world.problem("warning")
    world.problem("healed")
    world.problem("fire", severity=Severity.CRITICAL)
    world.over("before")
    assert world.after().held == 3
    world.over("healed")
    world.over("fire")
    world.after()
    assert discord.titles == ["before is full", "fire is full", "Over: fire is full"]
    world.now = START + 6 * HOUR
    world.after()
    assert discord.titles[3:] == ["Over: before is full", "warning is full"]


def test_a_retry_that_falls_into_quiet_hours_waits_too(world: World, discord: FakeChannel) -> None:
    world.config = AlertsConfig(quiet_hours=QuietHours(start="12:30", end="18:00"))
    discord.answers = [BUSY]
    world.problem()
    world.after()
    world.after(HOUR)
    assert len(discord.asked) == 1
    world.after(6 * HOUR)
    assert discord.titles == ["disk is full"]


def test_what_follows_from_a_database_that_was_down_is_not_sent_but_counted(
    world: World, discord: FakeChannel
) -> None:
    receipt = Receipt(channel="discord", delivered=True, reference="7")
    outage = "db_outage:2026-01-25T12:00:00+00:00"
    critical = Severity.CRITICAL
    world.problem(outage, title="Database down", severity=critical, told=(receipt,), own_reminders=True)
    world.now += 5 * MINUTE
    for job in ("memory_cleanup", "site_check"):
        world.fail(job, AWAY)
    world.fail("lead_list", "KeyError: 'x'")
    world.over(outage, title="Database is back", occurrence="over:1")
    assert world.after().suppressed == 2
    assert discord.titles == ["Database is back", "lead_list failed"]
    assert "2 alerts followed from it and were not sent" in discord.sent[0].body
    assert "memory\\_cleanup failed" in discord.sent[0].body
    world.succeed("memory_cleanup")
    world.after()
    assert len(discord.titles) == 2, "nobody was told that it failed"
    world.after(20 * MINUTE)
    world.fail("site_check", AWAY)
    world.after()
    assert discord.titles[2:] == ["site_check failed"], "it outlived its cause"


def test_two_alerts_of_one_cause_become_one_about_the_cause(world: World, discord: FakeChannel) -> None:
    docker = "DependencyUnavailable: Docker engine local: did not answer."
    world.now += MINUTE
    world.fail("docker_health_check", docker)
    world.after(timedelta(seconds=20))
    assert discord.titles == [], "it waits for what may be the cause"
    world.fail("metrics_collect", docker)
    world.after(timedelta(seconds=20))
    assert discord.titles == ["A Docker engine does not answer"]
    assert "2 alerts followed from it" in discord.sent[0].body
    world.after(30 * MINUTE)
    assert len(discord.titles) == 1
    for job in ("docker_health_check", "metrics_collect"):
        world.succeed(job)
    world.after()
    assert discord.titles[1:] == ["Over: A Docker engine does not answer"]


def test_one_alert_alone_is_sent_when_no_cause_turns_up(world: World, discord: FakeChannel) -> None:
    world.now += MINUTE
    world.fail("docker_health_check", "Docker engine local: did not answer.")
    assert world.after(timedelta(seconds=30)).held == 1
    world.after(2 * MINUTE)
    assert discord.titles == ["docker_health_check failed"]


def test_a_channel_that_has_it_is_not_sent_it_again_because_of_another(
    outbox: Any, discord: FakeChannel, telegram: FakeChannel
) -> None:
    world = World(outbox, [discord, telegram])
    telegram.answers = [BUSY]
    world.problem()
    assert world.after().failed == 1
    world.after(timedelta(seconds=20))
    assert len(telegram.asked) == 1, "it is left alone for a while"
    world.after()
    assert (len(discord.asked), len(telegram.asked)) == (1, 2)
    assert telegram.titles == ["disk is full"]
    first, second = telegram.asked
    assert first == second, "the very same message, so that the service can know it again"


def test_a_wait_that_a_service_asks_for_is_kept_across_runs(world: World, discord: FakeChannel) -> None:
    discord.answers = [
        Attempt(delivered=False, problem="429", again=True, retry_after_seconds=600, parts_sent=2)
    ]
    world.problem()
    world.problem("other")
    world.after()
    world.after(9 * MINUTE)
    assert len(discord.asked) == 1, "nothing else goes there either"
    world.after(2 * MINUTE)
    assert sorted(discord.titles) == ["disk is full", "other is full"]
    assert sorted(parts for _, parts in discord.asked) == [0, 0, 2], "goes on after the parts that are out"


def test_a_refusal_is_final_for_its_message_only(outbox: Any, discord: FakeChannel) -> None:
    broken = FakeChannel("broken", NO)
    world = World(outbox, [broken, discord])
    world.problem()
    assert world.after().problems == ("broken: no such room",)
    world.after(HOUR)
    assert (len(broken.asked), discord.titles) == (1, ["disk is full"])
    world.problem("other")
    world.after()
    assert broken.titles == ["other is full"]


def test_a_message_is_given_up_after_its_attempts(world: World, discord: FakeChannel) -> None:
    world.config = AlertsConfig(attempts=3, reminder_hours=0)
    discord.answers = [BUSY] * 9
    world.problem()
    for _ in range(9):
        world.after(HOUR)
    assert len(discord.asked) == 3
    assert world.kept() == {"disk": ("pending", 1)}


def test_the_recovery_overtakes_what_could_not_be_told(world: World, discord: FakeChannel) -> None:
    discord.answers = [BUSY]
    world.problem()
    world.after()
    world.over()
    world.after(HOUR)
    world.after(HOUR)
    assert discord.titles == ["Over: disk is full"]
    assert "Nobody could be told before: disk is full" in discord.sent[0].body


def test_an_outage_that_was_told_by_another_way_is_told_over_once(world: World, discord: FakeChannel) -> None:
    for _ in range(2):
        world.over("db_outage:x", title="Database is back", body="Down for 5 min.", occurrence="over:x")
        world.after()
    assert discord.titles == ["Database is back"]


def test_a_watcher_that_reminds_by_itself_is_not_doubled(world: World, discord: FakeChannel) -> None:
    world.problem(own_reminders=True)
    world.after()
    world.after(24 * HOUR)
    assert len(discord.titles) == 1
    world.problem(own_reminders=True, again=True, title="disk is still full")
    world.after()
    world.after()
    assert discord.titles[1:] == ["disk is still full"]
    world.outbox.acknowledge("disk", "ada", world.now)
    world.problem(own_reminders=True, again=True)
    world.after()
    assert len(discord.titles) == 2


def test_late_jobs_and_silent_workers_are_told_until_they_are_back(
    world: World, discord: FakeChannel
) -> None:
    world.history.late_runs = [LateRun(run_id="1", job_id="site_check", due_at=START - 9 * MINUTE)]
    world.history.seen = [
        WorkerSeen(name="here", online=True, seen_at=START),
        WorkerSeen(name="there", online=False, seen_at=START - MINUTE),
        WorkerSeen(name="forgotten", online=False, seen_at=START - 30 * HOUR),
    ]
    world.after(timedelta(seconds=30))
    assert discord.titles == ["Worker there is offline"]
    world.after(2 * MINUTE)
    assert world.kept()["late:site_check"] == ("pending", 1), "it follows from the worker"
    world.history.late_runs, world.history.seen = [], world.history.seen[:1]
    world.after()
    assert discord.titles[1:] == ["Worker there is no longer missing"]
    assert "site\\_check does not start" in discord.sent[-1].body
    assert not [key for key, (state, _) in world.kept().items() if state != "resolved"]


def test_an_automation_that_failed_is_told_once_a_day(world: World, discord: FakeChannel) -> None:
    for number, at in enumerate((START - MINUTE, START, START + MINUTE)):
        world.history.actions.append(
            FailedAction(event_id=str(number), automation="aegis: crash", at=at, reason="no *route*")
        )
        world.after()
    assert discord.titles == ["Automation failed: aegis: crash"]
    assert "no \\*route\\*" in discord.sent[0].body


def test_a_channel_that_is_no_longer_configured_is_given_up(
    outbox: Any, discord: FakeChannel, telegram: FakeChannel
) -> None:
    world = World(outbox, [discord, telegram])
    telegram.answers = [BUSY]
    world.problem()
    world.after()
    world.channels = [discord]
    world.after(HOUR)
    world.after(HOUR)
    assert len(telegram.asked) == 1
    assert outbox.due(world.now, service.LEASE) == []


def test_no_delivery_begins_when_the_time_is_up(outbox: Any, discord: FakeChannel) -> None:
    seconds = [0.0]

    class Slow(FakeChannel):
        def send(self, *arguments: Any) -> Attempt:
            seconds[0] += 20
            return super().send(*arguments)

    slow = Slow("slow")
    world = World(outbox, [slow])
    for number in range(4):
        world.problem(str(number))
    for _ in range(2):
        seconds[0] = 0.0
        world.now += MINUTE
        service.dispatch(outbox, world.history, [slow], world.config, world.now, monotonic=lambda: seconds[0])
    assert sorted(slow.titles) == [f"{number} is full" for number in range(4)]


def test_a_configured_channel_that_does_not_exist_is_said(world: World) -> None:
    world.config = AlertsConfig(second_channels=("signal",))
    report = world.after()
    assert report.outcome is Outcome.DEGRADED
    assert "'signal'" in report.summary


def test_nothing_to_tell_is_said_so(world: World, discord: FakeChannel) -> None:
    report = world.after()
    assert (report.outcome, report.summary) == (Outcome.COMPLETED, "Nothing to tell.")
    assert discord.asked == []
