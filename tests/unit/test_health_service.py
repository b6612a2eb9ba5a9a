"""A health check against fakes: what it wrote and said, and what it did not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.health import service
from aegis_lib.health.model import HealthConfig, HealthReport, Heartbeat, Outage, Stage
from aegis_lib.memory.model import Importance, NewEpisode
from aegis_lib.outcome import Outcome
from tests.fakes.alerts import FakeNotifier
from tests.fakes.health import (
    FakeAnsweringDatabase,
    FakeHeart,
    FakeOutageMemory,
    FakeProbe,
    FakeSpooledMemory,
)

START = datetime(2026, 1, 25, 6, 0, tzinfo=UTC)
AWAY = DependencyUnavailable("PostgreSQL", "no connection to db:5432.", "start it.")
FIVE_MINUTES = timedelta(minutes=5)


class World:
    """Fakes, and a clock that moves five minutes per check."""

    def __init__(self, **config: Any) -> None:
        self.now = START
        self.probe, self.database, self.outages = FakeProbe(), FakeAnsweringDatabase(), FakeOutageMemory()
        self.spooled = FakeSpooledMemory(self.database)
        self.notifier, self.heart = FakeNotifier(), FakeHeart()
        self.config = HealthConfig(**config)

    def check(self, heart: bool = True) -> HealthReport:
        report = service.check(
            self.probe, self.database.connect, self.spooled, self.outages, self.notifier,
            self.heart if heart else None, now=self.now, config=self.config,
        )  # fmt: skip
        self.now += FIVE_MINUTES
        return report

    def checks(self, count: int) -> HealthReport:
        return [self.check() for _ in range(count)][-1]

    def away(self, error: Exception | None = AWAY) -> None:
        self.probe.broken = error

    @property
    def titles(self) -> list[str]:
        return [message.title for message in self.notifier.sent]

    @property
    def stored(self) -> list[str]:
        return [event.event_type for event in self.database.memory.recorded]


@pytest.fixture
def world() -> World:
    return World()


def test_a_healthy_database_leaves_state_and_a_ping_and_nothing_else(world: World) -> None:
    report = world.check()
    assert world.database.state.written == [
        ("last_health_check", "2026-01-25T06:00:00Z"),
        ("db_healthy", "true"),
    ]
    assert (report.outcome, report.db_healthy, report.latency_ms) == (Outcome.COMPLETED, True, 12)
    assert (world.heart.pings, report.heartbeat) == (1, Heartbeat.SENT)
    assert world.stored == []
    assert world.spooled.recorded == []
    assert world.notifier.sent == []
    assert world.outages.history == []


def test_an_outage_is_a_degraded_run_that_names_its_cause(world: World) -> None:
    world.away()
    report = world.check()
    assert (report.outcome, report.db_healthy, report.latency_ms) == (Outcome.DEGRADED, False, None)
    assert "no connection to db:5432" in report.summary
    assert report.alerted is True
    assert world.heart.pings == 0
    assert report.heartbeat is Heartbeat.WITHHELD
    assert world.database.state.written == []


def test_an_outage_of_many_checks_is_one_event_and_one_alert(world: World) -> None:
    world.away()
    report = world.checks(7)
    assert world.titles == ["Database down"]
    assert [(e.event_type, e.importance, e.timestamp) for e in world.spooled.recorded] == [
        ("db_outage", Importance.CRITICAL, START)
    ]
    assert report.alerted is None
    assert "since 2026-01-25T06:00:00Z" in report.summary


def test_recovery_stores_what_was_kept_with_start_and_end_and_says_so_once(world: World) -> None:
    world.away()
    world.checks(3)
    world.database.waiting.append(
        NewEpisode(event_type="task_complete", summary="during the outage", timestamp=START + FIVE_MINUTES)
    )
    world.away(None)
    report = world.check()
    assert world.stored == ["db_outage", "task_complete", "db_recovery"]
    outage, _, recovery = world.database.memory.recorded
    assert (outage.timestamp, outage.importance) == (START, Importance.CRITICAL)
    assert (recovery.timestamp, recovery.details["seconds"]) == (START + 3 * FIVE_MINUTES, 900)
    assert world.titles == ["Database down", "Database is back"]
    assert (report.outcome, report.flushed, report.alerted) == (Outcome.COMPLETED, 2, True)
    assert world.outages.outage is None
    world.checks(3)
    assert world.titles == ["Database down", "Database is back"]
    assert world.stored == ["db_outage", "task_complete", "db_recovery"]
    assert world.heart.pings == 4


def test_two_outages_are_told_apart(world: World) -> None:
    for _ in range(2):
        world.away()
        world.checks(2)
        world.away(None)
        world.check()
    assert world.stored == ["db_outage", "db_recovery"] * 2
    assert world.titles == ["Database down", "Database is back"] * 2
    assert len({message.key for message in world.notifier.sent}) == 2


def test_an_alert_that_no_channel_took_is_tried_again_by_the_next_check(world: World) -> None:
    world.away()
    world.notifier.broken = DependencyUnavailable("Discord", "no answer.")
    report = world.check()
    assert report.alerted is False
    assert "could not be delivered" in report.summary
    assert "Discord" in report.summary
    world.notifier.broken = None
    assert world.check().alerted is True
    assert world.check().alerted is None
    assert world.titles == ["Database down"]


def test_an_outage_whose_alert_never_got_out_is_still_told_on_recovery(world: World) -> None:
    world.away()
    world.notifier.broken = PermanentFailure("refused")
    world.checks(2)
    world.notifier.broken = None
    world.away(None)
    world.check()
    assert world.titles == ["Database is back"]
    assert world.stored == ["db_outage", "db_recovery"]


def test_a_recovery_message_that_no_channel_took_is_tried_again_and_the_events_are_not(world: World) -> None:
    world.away()
    world.check()
    world.away(None)
    world.notifier.broken = DependencyUnavailable("Discord", "no answer.")
    assert world.check().alerted is False
    assert world.outages.outage is not None
    assert world.outages.outage.stage is Stage.RECOVERED
    world.notifier.broken = None
    report = world.check()
    assert report.outage is not None
    assert report.outage.until == START + FIVE_MINUTES, "when it ended, not when people could be told"
    assert world.outages.outage is None
    assert world.titles == ["Database down", "Database is back"]
    assert world.stored == ["db_outage", "db_recovery"]


def test_a_new_outage_does_not_wait_for_the_old_recovery_message(world: World) -> None:
    world.away()
    world.check()
    world.away(None)
    world.notifier.broken = DependencyUnavailable("Discord", "no answer.")
    world.check()
    world.notifier.broken = None
    world.away()
    report = world.check()
    assert report.outage is not None
    assert report.outage.since == START + 2 * FIVE_MINUTES
    assert world.titles == ["Database down", "Database down"]


def test_a_crash_after_the_events_repeats_only_the_message(world: World) -> None:
    world.away()
    world.check()
    world.away(None)
    known = world.outages.outage
    world.check()
    world.outages.outage = known  # as if the process had died before it was remembered
    world.check()
    assert world.stored == ["db_outage", "db_recovery"]


def test_a_second_check_at_the_same_time_leaves_the_outage_to_the_first(world: World) -> None:
    world.away()
    world.outages.busy = True
    report = world.check()
    assert (report.outcome, report.alerted) == (Outcome.DEGRADED, None)
    assert world.notifier.sent == []
    assert world.spooled.recorded == []
    assert world.outages.history == []
    world.away(None)
    world.outages.outage = Outage(since=START, stage=Stage.ALERTED)
    report = world.check()
    assert report.db_healthy
    assert world.stored == []
    assert world.notifier.sent == []


@pytest.mark.parametrize("error", [AWAY, Misconfigured("POSTGRES_PASSWORD", "refused.", "correct it.")])
def test_a_server_that_refuses_us_is_an_outage_that_names_the_setting(
    world: World, error: AegisError
) -> None:
    world.away(error)
    report = world.check()
    assert report.outcome is Outcome.DEGRADED
    assert str(error) in report.summary


def test_a_database_that_goes_away_after_the_ping_is_an_outage(world: World) -> None:
    world.database.connect_broken = AWAY
    assert world.check().outcome is Outcome.DEGRADED
    world.database.connect_broken = None
    world.database.state.broken = AWAY
    assert world.check().outcome is Outcome.DEGRADED
    assert world.titles == ["Database down"]
    assert world.heart.pings == 0


def test_a_database_that_goes_away_while_the_spool_is_stored_is_the_same_outage(world: World) -> None:
    world.away()
    world.check()
    world.away(None)
    world.database.stopped_by = "the connection was lost"
    report = world.check()
    assert (report.outcome, report.db_healthy) == (Outcome.DEGRADED, False)
    assert report.outage is not None
    assert report.outage.since == START
    assert world.titles == ["Database down"]
    assert world.stored == []


def test_a_spool_without_room_still_alerts_and_says_what_is_lost(world: World) -> None:
    world.spooled.broken = DependencyUnavailable("Spool", "the disk is full.")
    world.away()
    report = world.check()
    assert report.alerted is True
    assert "the disk is full" in world.notifier.sent[0].body
    assert "the disk is full" in report.summary
    world.away(None)
    world.check()
    assert world.stored == ["db_outage", "db_recovery"], "the outage file knows what the spool could not take"


def test_an_outage_that_cannot_be_remembered_alerts_every_time_and_says_why(world: World) -> None:
    world.outages.read_only = PermanentFailure("/data/spool cannot be used: Read-only file system.")
    world.away()
    world.checks(2)
    assert world.titles == ["Database down", "Database down"]
    assert "repeats at every check" in world.notifier.sent[0].body
    assert "Read-only file system" in world.notifier.sent[0].body


def test_a_spool_that_cannot_be_read_does_not_hide_the_recovery(world: World) -> None:
    world.away()
    world.check()
    world.away(None)
    world.database.flush_broken = Misconfigured("AEGIS_DATA_DIR", "the spool cannot be used.")
    report = world.check()
    assert report.db_healthy
    assert "the spool cannot be used" in report.summary
    assert world.stored == ["db_outage", "db_recovery"]
    assert world.titles == ["Database down", "Database is back"]


def test_rejected_records_are_said(world: World) -> None:
    world.database.rejected = 2
    assert "2 kept records can never be stored" in world.check().summary


def test_events_that_waited_for_another_reason_are_stored_by_any_green_check(world: World) -> None:
    world.database.waiting.append(NewEpisode(event_type="note", summary="x", timestamp=START))
    report = world.check()
    assert (report.flushed, world.stored) == (1, ["note"])
    assert world.notifier.sent == []


def test_a_slow_database_warns_once_per_episode_and_withholds_the_ping() -> None:
    world = World(max_latency_ms=100, slow_checks=2)
    world.probe.latency = timedelta(milliseconds=250)
    report = world.check()
    assert (report.outcome, report.slow, report.heartbeat) == (Outcome.COMPLETED, True, Heartbeat.WITHHELD)
    assert "250 ms" in report.summary
    assert world.notifier.sent == []
    world.checks(4)
    assert world.titles == ["Database is slow"]
    assert [m.severity.value for m in world.notifier.sent] == ["warning"]
    world.probe.latency = timedelta(milliseconds=5)
    world.checks(3)
    assert world.stored == ["db_slow", "db_slow_end"]
    assert world.titles == ["Database is slow"]
    assert world.heart.pings == 3


def test_a_warning_that_no_channel_took_is_tried_again(world: World) -> None:
    world = World(max_latency_ms=100, slow_checks=1)
    world.probe.latency = timedelta(seconds=1)
    world.notifier.broken = DependencyUnavailable("Discord", "no answer.")
    world.check()
    world.notifier.broken = None
    world.checks(2)
    assert world.titles == ["Database is slow"]
    assert world.stored == ["db_slow"]


def test_state_that_a_person_spoiled_counts_as_nothing(world: World) -> None:
    world.database.state.values[service.SLOWNESS_KEY] = "true"
    assert world.check().db_healthy


@pytest.mark.parametrize(
    "error",
    [
        DependencyUnavailable("heartbeat", "answered 503."),
        Misconfigured("HEARTBEAT_URL", "the service answered 404 to the ping."),
    ],
)
def test_a_ping_that_fails_is_said_and_fails_nothing(world: World, error: AegisError) -> None:
    world.heart.broken = error
    report = world.check()
    assert (report.outcome, report.heartbeat) == (Outcome.COMPLETED, Heartbeat.FAILED)
    assert str(error) in report.summary
    assert world.notifier.sent == []


def test_without_a_heartbeat_nothing_is_pinged(world: World) -> None:
    assert world.check(heart=False).heartbeat is Heartbeat.NOT_CONFIGURED
    world.away()
    assert world.check(heart=False).heartbeat is Heartbeat.NOT_CONFIGURED


def test_the_log_lines_keep_their_names(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "aegis_lib"):
        world.check()
        world.away()
        world.check()
    lines = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("event=health_check_complete db_healthy=true") for line in lines)
    assert any(line.startswith("event=health_check_complete db_healthy=false") for line in lines)
    assert any(line.startswith("event=health_check_db_failed error=") for line in lines)


def gated(world: World, reason: str | None) -> HealthReport:
    """One check that something else may keep from pinging; it is given the state of the database."""

    def withheld_by(state: Any, now: datetime) -> str | None:
        assert (state, now) == (world.database.state, world.now)
        return reason

    return service.check(
        world.probe, world.database.connect, world.spooled, world.outages, world.notifier, world.heart,
        now=world.now, config=world.config, withheld_by=withheld_by,
    )  # fmt: skip


def test_a_ledger_that_is_red_keeps_the_switch_from_being_pinged_and_the_run_says_so(world: World) -> None:
    report = gated(world, "the ledger of runs is red")
    assert (world.heart.pings, report.heartbeat) == (0, Heartbeat.WITHHELD)
    assert (report.outcome, report.db_healthy) == (Outcome.COMPLETED, True)
    assert "The heartbeat is withheld: the ledger of runs is red." in report.summary


def test_a_ledger_that_is_green_lets_the_ping_through(world: World) -> None:
    report = gated(world, None)
    assert (world.heart.pings, report.heartbeat) == (1, Heartbeat.SENT)
