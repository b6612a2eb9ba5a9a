"""The ledger on a real database: passes of five minutes over a server whose runs the test makes up."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import sql

from aegis_lib.clock import iso
from aegis_lib.db import database as db
from aegis_lib.db.database import Database
from aegis_lib.errors import DependencyUnavailable
from aegis_lib.ledger import service
from aegis_lib.ledger.model import (
    BEAT_PATIENCE,
    CHECKED_KEY,
    GREEN_KEY,
    Entry,
    LedgerConfig,
    LedgerReport,
    Maintenance,
    Planned,
    ScheduledRun,
    ServerJob,
    TickOutcome,
)
from aegis_lib.maintenance import MaintenanceWindow
from aegis_lib.outcome import Outcome
from aegis_lib.schedule import CronSchedule, IntervalSchedule, Schedule
from aegis_lib.settings import DatabaseSettings
from tests.fakes.alerts import FakeNotifier
from tests.fakes.ledger import FakeScheduledRuns

NOON = datetime(2026, 1, 25, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FIVE = 5 * MINUTE
HOUR = timedelta(hours=1)
EVERY_FIVE = IntervalSchedule(
    slug="often", interval_seconds=300, anchor_date=datetime(2025, 1, 1, tzinfo=UTC)
)
DAILY = CronSchedule(slug="daily", cron="0 13 * * *")


def planned(job: str = "site_check", schedule: Schedule = EVERY_FIVE, **changes: Any) -> Planned:
    fields = {"job_id": job, "slug": schedule.slug, "schedule": schedule, "grace_seconds": 300,
              "longest_run_seconds": 510}  # fmt: skip
    return Planned.model_validate({**fields, **changes})


class World:
    """An installation whose `aegis up` lives, a server, and a clock that goes on by five minutes a pass."""

    def __init__(self, opened: Database) -> None:
        self.db, self.history, self.notifier = opened, FakeScheduledRuns(), FakeNotifier()
        self.now = NOON
        self.stack: str | None = "stack-1"
        self.config = LedgerConfig()
        self.number = 0
        self.know("site_check")

    def know(self, *jobs: str, **changes: Any) -> None:
        self.history.server_jobs = [ServerJob(job_id=job, paused=False, **changes) for job in jobs]

    def ran(
        self, due: datetime, state: str = "COMPLETED", name: str = "Completed", **more: Any
    ) -> ScheduledRun:
        self.number += 1
        fields = {"id": f"run-{self.number}", "job_id": "site_check", "due_at": due, "state": state,
                  "name": name, "slug": "often", "started_at": due}  # fmt: skip
        made = ScheduledRun.model_validate({**fields, **more})
        self.history.held.append(made)
        return made

    def pass_(self) -> LedgerReport:
        if self.stack:
            self.db.ledger.beat(self.stack, self.now, BEAT_PATIENCE)
        return service.take_stock(
            self.db.ledger, self.history, self.db.state, self.db.memory, self.notifier,
            now=self.now, config=self.config,
        )  # fmt: skip

    def go_on(self, minutes: int, runs: bool = True) -> LedgerReport:
        """Live through the minutes: beat each minute, run each tick where `runs`, pass every five minutes."""
        report: LedgerReport | None = None
        for _ in range(minutes):
            self.now += MINUTE
            if self.stack:
                self.db.ledger.beat(self.stack, self.now, BEAT_PATIENCE)
            if self.now.minute % 5 == 0:
                if runs:
                    self.ran(self.now)
                report = self.pass_()
        assert report is not None
        return report

    @property
    def titles(self) -> list[str]:
        return [message.title for message in self.notifier.sent]

    def outcomes(self, job: str = "site_check") -> dict[str, int]:
        told = self.db.ledger.tally(NOON - 40 * 24 * HOUR, self.now, self.now)
        for row in told.jobs:
            assert row.unaccounted == 0
            assert row.due == sum(row.outcomes.values()), "the sum of the outcomes is the number of ticks"
        return next((row.outcomes for row in told.jobs if row.job_id == job), {})


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    database.ledger.plan([planned()], NOON - 10 * MINUTE)
    made.ran(NOON - FIVE)
    made.ran(NOON)
    made.pass_()
    return made


def test_a_day_without_trouble_is_green_and_silent(world: World) -> None:
    report = world.go_on(60)
    assert world.outcomes() == {"Completed": 14}
    assert (report.outcome, report.green, world.titles) == (Outcome.COMPLETED, True, [])
    assert world.db.state.get(GREEN_KEY) == "true"
    assert world.db.state.get(CHECKED_KEY) == iso(world.now)
    assert max(end - start for start, end in world.history.asked) <= 11 * MINUTE, "little is asked each time"


def test_a_gap_is_told_once_when_it_begins_and_once_when_it_is_over(world: World) -> None:
    world.go_on(30, runs=False)
    assert world.titles == ["site_check: a run was missed"]
    assert world.db.state.get(GREEN_KEY) == "false"
    world.go_on(60, runs=False)
    assert len(world.titles) == 1
    report = world.go_on(30)
    assert world.titles == ["site_check: a run was missed", "site_check is well again"]
    assert report.green
    assert "18 ticks missed" in world.notifier.sent[1].body
    world.go_on(30)
    assert len(world.titles) == 2
    assert world.outcomes() == {"Completed": 14, "Missed": 18}
    events = [event.event_type for event in world.db.memory.recall_recent()]
    assert sorted(events) == ["ledger_missed", "ledger_over"]


def test_a_job_that_misses_every_other_tick_is_one_case(world: World) -> None:
    for _ in range(6):
        world.go_on(5)
        world.go_on(5, runs=False)
    world.go_on(30)
    assert world.titles == ["site_check: a run was missed", "site_check is well again"]


def test_several_jobs_that_miss_together_are_one_message(world: World) -> None:
    world.db.ledger.plan([planned(), planned("mail"), planned("news")], world.now)
    world.know("site_check", "mail", "news")
    world.go_on(30, runs=False)
    assert world.titles == ["3 jobs did not run as planned"]
    assert all(job in world.notifier.sent[0].body for job in ("site", "mail", "news"))


def test_a_late_answer_takes_a_missed_tick_back(world: World) -> None:
    world.now += FIVE
    late = world.ran(world.now, "SCHEDULED", "Late", started_at=None)
    world.pass_()
    assert world.outcomes()["Pending"] == 1
    world.go_on(180)
    assert world.outcomes()["Missed"] == 1
    world.history.held[world.history.held.index(late)] = late.model_copy(
        update={"state": "CANCELLED", "name": "Misfired"}
    )
    world.go_on(5)
    assert "Missed" not in world.outcomes()
    assert world.outcomes()["Misfired"] == 1


def test_what_is_known_for_certain_never_changes_back(world: World) -> None:
    done = Entry(job_id="site_check", slug="often", due_at=NOON, outcome=TickOutcome.FAILED, flow_run_id="r")
    other = done.model_copy(update={"due_at": NOON + FIVE})
    world.db.ledger.record([other], NOON)
    for outcome in (TickOutcome.PENDING, TickOutcome.MISSED, TickOutcome.STOPPED, TickOutcome.COMPLETED):
        world.db.ledger.record([other.model_copy(update={"outcome": outcome})], NOON)
    (kept,) = world.db.ledger.entries(NOON, NOON + FIVE, list(TickOutcome))
    assert kept == other


def test_history_that_was_deleted_takes_nothing_back(world: World) -> None:
    world.go_on(30)
    world.history.held.clear()
    world.db.state.set(CHECKED_KEY, iso(NOON - HOUR))
    world.pass_()
    assert world.outcomes() == {"Completed": 8}


def test_a_machine_that_was_off_is_one_message_with_the_number_of_ticks(world: World) -> None:
    world.now += 9 * HOUR
    world.stack = "stack-2"
    world.go_on(30)
    assert world.titles == ["Aegis was not running"]
    assert world.notifier.sent[0].severity == "warning"
    assert world.outcomes()["Outage"] == 108
    assert f"{world.outcomes()['Outage']} ticks did not happen" in world.notifier.sent[0].body.replace(
        "\\", ""
    )
    assert world.db.state.get(GREEN_KEY) == "true", "it is over"


def test_a_machine_that_slept_is_an_outage_too(world: World) -> None:
    world.now += 3 * HOUR
    world.go_on(30)
    assert world.titles == ["Aegis was not running"]
    assert "slept" in world.notifier.sent[0].body


def test_a_stack_that_was_stopped_on_purpose_alarms_nobody(world: World) -> None:
    world.db.ledger.stop("stack-1", world.now + MINUTE)
    world.now += 9 * HOUR
    world.stack = "stack-2"
    world.go_on(30)
    assert world.titles == []
    assert world.outcomes()["Stopped"] == 108
    assert world.db.state.get(GREEN_KEY) == "true"


def test_runs_that_waited_through_an_outage_are_given_their_grace(world: World) -> None:
    for tick in range(1, 7):
        world.ran(NOON + tick * FIVE, "SCHEDULED", "Late", started_at=None)
    world.now += 2 * HOUR
    world.stack = "stack-2"
    world.pass_()
    assert world.outcomes()["Pending"] == 6
    assert "Missed" not in world.outcomes()


def test_without_a_stack_the_passes_themselves_show_when_nothing_ran(world: World) -> None:
    world.db.ledger.stop("stack-1", world.now)
    world.stack = None
    world.go_on(60)
    world.now += 5 * HOUR
    world.go_on(30)
    assert world.titles == ["Aegis was not running"]
    assert world.outcomes()["Outage"] == 60


def test_a_pause_is_no_alarm_and_neither_is_its_first_or_last_moment(world: World) -> None:
    world.go_on(10)
    world.history.server_jobs = [ServerJob(job_id="site_check", paused=True)]
    world.go_on(120, runs=False)
    world.know("site_check")
    world.go_on(5, runs=False)
    world.go_on(30)
    assert world.titles == []
    assert world.outcomes() == {"Completed": 10, "Paused": 25}
    assert [p.until for p in world.db.ledger.pauses(NOON)] == [NOON + 135 * MINUTE]


def test_all_scheduling_paused_is_a_pause_of_every_job(world: World) -> None:
    world.db.ledger.observe_all(True, world.now, world.now + MINUTE)
    world.go_on(60, runs=False)
    world.db.ledger.observe_all(False, world.now, world.now + MINUTE)
    world.go_on(30)
    assert world.titles == []
    assert world.outcomes()["Paused"] == 12


def test_a_maintenance_window_is_no_alarm(world: World) -> None:
    window = Maintenance(jobs=("site_*",), start=NOON + MINUTE, end=NOON + HOUR)
    world.config = LedgerConfig(maintenance=(window,))
    world.go_on(55, runs=False)
    world.go_on(15)
    assert (world.titles, world.outcomes()["Maintenance"]) == ([], 11)


def test_a_job_s_own_maintenance_window_is_no_alarm_whether_or_not_a_worker_was_there(world: World) -> None:
    window = MaintenanceWindow(start="12:01", end="13:00")
    world.db.ledger.plan([planned(maintenance_windows=(window,), freshness_seconds=1800)], world.now)
    for _ in range(3):
        world.go_on(5, runs=False)
        world.ran(world.now, "CANCELLED", "Maintenance", started_at=None)
    for _ in range(3):
        world.go_on(5, runs=False)
        world.ran(world.now, "SCHEDULED", "Late", started_at=None)
    world.go_on(25, runs=False)
    world.go_on(15)
    assert (world.titles, world.outcomes()["Maintenance"]) == ([], 11)


def test_a_grace_without_an_end_is_kept_in_the_plan(world: World) -> None:
    world.db.ledger.plan([planned(grace_seconds=None)], world.now)
    due = world.now + FIVE
    late = world.ran(due, "SCHEDULED", "Late", started_at=None)
    world.go_on(5, runs=False)
    world.go_on(60)
    assert world.titles == [], "it waits, and may"
    world.history.held.remove(late)
    world.history.held.append(late.model_copy(update={"state": "COMPLETED", "name": "Completed"}))
    world.go_on(5)
    assert world.outcomes() == {"Completed": 16}


def test_the_past_is_counted_by_the_schedule_that_held_then(world: World) -> None:
    world.go_on(30)
    rarely = EVERY_FIVE.model_copy(update={"interval_seconds": 1800})
    assert world.db.ledger.plan([planned(schedule=rarely)], world.now) == 1
    assert world.db.ledger.plan([planned(schedule=rarely)], world.now + MINUTE) == 0
    for _ in range(6):
        world.go_on(5, runs=world.now.minute == 25 or world.now.minute == 55)
    world.go_on(5, runs=False)
    assert world.titles == []
    assert world.outcomes() == {"Completed": 9}
    first, second = world.db.ledger.versions(NOON - HOUR)
    assert (first.until, second.since, second.until) == (second.since, NOON + 30 * MINUTE, None)


def test_other_limits_make_no_new_version(world: World) -> None:
    assert world.db.ledger.plan([planned(grace_seconds=60, freshness_seconds=900)], world.now) == 0
    (held,) = world.db.ledger.versions(world.now)
    assert (held.grace_seconds, held.freshness_seconds, held.since) == (60, 900, NOON - 10 * MINUTE)


def test_a_job_that_was_removed_is_not_missed(world: World) -> None:
    world.go_on(30, runs=False)
    world.db.ledger.plan([planned("other", DAILY)], world.now)
    world.go_on(25, runs=False)
    assert world.titles == ["site_check: a run was missed", "site_check is well again"]
    assert world.outcomes() == {"Completed": 2, "Missed": 6}


def test_two_deploys_at_once_leave_one_version(world: World, database_settings: DatabaseSettings) -> None:
    def deploy() -> None:
        with db.connect(database_settings) as opened:
            opened.ledger.plan([planned("a"), planned("b")], NOON)

    threads = [threading.Thread(target=deploy) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    found = world.db.ledger.versions(NOON + MINUTE)
    assert [(v.job_id, v.until) for v in found] == [("a", None), ("b", None)]


def test_a_daily_job_that_was_missed_is_made_up_for_by_hand(world: World) -> None:
    world.db.ledger.plan([planned("digest", DAILY)], NOON)
    world.know("digest")
    world.go_on(70, runs=False)
    told = ["digest: a run was missed", "digest is well again"]
    assert world.titles == told[:1]
    world.history.outputs["digest"] = world.now
    assert world.go_on(10, runs=False).green
    assert world.titles == told
    for _ in range(24):
        world.go_on(60, runs=False)
    assert world.titles == [*told, told[0]], "the next miss is told again"


def test_stale_output_is_told_once_and_its_renewal_too(world: World) -> None:
    world.db.ledger.plan([planned(freshness_seconds=1800)], NOON)
    world.history.outputs["site_check"] = NOON
    world.go_on(60)
    assert world.titles == ["site_check: nothing new for too long"]
    assert world.db.state.get(GREEN_KEY) == "false"
    world.history.outputs["site_check"] = world.now
    world.go_on(10)
    assert world.titles[1:] == ["site_check is well again"]


def test_a_job_whose_slot_is_taken_for_ever_is_stuck(world: World) -> None:
    for _ in range(12):
        world.now += FIVE
        message = "Deployment concurrency limit reached."
        world.ran(world.now, "CANCELLED", "Cancelled", message=message, started_at=None)
        world.pass_()
    assert world.titles == ["site_check: every run is turned away"]
    assert world.outcomes() == {"Completed": 2, "Refused": 12}
    world.go_on(10)
    assert world.titles[1:] == ["site_check is well again"]


def test_a_message_that_is_not_delivered_is_tried_again_and_not_doubled(world: World) -> None:
    world.notifier.broken = DependencyUnavailable("Discord", "no answer.")
    report = world.go_on(10, runs=False)
    assert (report.outcome, report.undelivered) == (Outcome.DEGRADED, "Discord: no answer.")
    world.notifier.broken = None
    world.go_on(10, runs=False)
    assert world.titles == ["site_check: 2 runs were missed"]
    assert len(world.db.memory.recall_recent(event_type="ledger_missed")) == 1


def test_a_claim_whose_process_died_is_taken_over(world: World) -> None:
    world.db.connection.execute("UPDATE ledger_cases SET claimed_at = NULL")
    world.go_on(10, runs=False)
    assert len(world.titles) == 1
    world.db.connection.execute(
        sql.SQL("UPDATE ledger_cases SET told_at = NULL, claimed_at = {}").format(world.now)
    )
    world.go_on(5, runs=False)
    assert len(world.titles) == 1, "somebody is at it"
    world.go_on(10, runs=False)
    assert len(world.titles) == 2


def test_a_server_that_is_away_leaves_everything_to_the_next_pass(world: World) -> None:
    world.now += FIVE
    world.ran(world.now)
    world.history.broken = DependencyUnavailable("Prefect server", "no answer.")
    with pytest.raises(DependencyUnavailable):
        world.pass_()
    assert world.db.state.get(CHECKED_KEY) == iso(NOON)
    world.history.broken = None
    world.go_on(10)
    assert world.outcomes() == {"Completed": 5}


def test_before_the_first_deploy_there_is_nothing_to_account_for(database: Database) -> None:
    report = World(database).pass_()
    assert (report.outcome, report.green) == (Outcome.NO_INPUT, False)
    assert "aegis deploy" in report.summary
    assert database.state.get(CHECKED_KEY) is None


def test_what_is_older_than_it_is_kept_is_forgotten(world: World) -> None:
    world.go_on(30)
    world.config = LedgerConfig(keep_days=2)
    world.now += 3 * 24 * HOUR
    world.stack = "stack-2"
    world.db.ledger.plan([], world.now - MINUTE)
    world.pass_()
    assert world.db.ledger.entries(NOON - HOUR, NOON + HOUR, list(TickOutcome)) == []
    assert len(world.db.ledger.presences(NOON)) == 1


def test_why_the_switch_is_silent_is_read_from_the_state(world: World) -> None:
    assert service.why_red(world.db.state, world.now) is None
    assert "does not run" in (service.why_red(world.db.state, world.now + HOUR) or "")
    world.go_on(10, runs=False)
    assert "is red" in (service.why_red(world.db.state, world.now) or "")
