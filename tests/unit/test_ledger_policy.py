"""What becomes of a tick, by every kind of evidence; and that each tick has exactly one outcome."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_lib.ledger import policy
from aegis_lib.ledger.model import (
    BEAT_PATIENCE,
    IDLE,
    RAN,
    Entry,
    Evidence,
    Gap,
    Maintenance,
    Pause,
    Presence,
    ScheduledRun,
    ScheduleVersion,
    Tick,
    TickOutcome,
    rank,
)
from aegis_lib.maintenance import MaintenanceWindow
from aegis_lib.schedule import CronSchedule, IntervalSchedule
from tests.ledger_values import HOUR, MINUTE, NOON, version


def tick(**changes: Any) -> Tick:
    fields = {
        "job_id": "site_check", "slug": "often", "due_at": NOON, "grace_seconds": 300,
        "longest_run_seconds": 510,
    }  # fmt: skip
    return Tick.model_validate({**fields, **changes})


def run(state: str, name: str | None = None, **changes: Any) -> ScheduledRun:
    fields = {
        "id": "r1", "job_id": "site_check", "due_at": NOON, "slug": "often", "state": state,
        "name": name or state.capitalize(),
    }  # fmt: skip
    return ScheduledRun.model_validate({**fields, **changes})


def judged(*runs: ScheduledRun, after: timedelta = HOUR, of: Tick | None = None, **evidence: Any) -> Entry:
    (entry,) = policy.account([of or tick()], Evidence(runs=runs, **evidence), NOON + after)
    return entry


@pytest.mark.parametrize(
    ("ended", "outcome"),
    [
        (run("COMPLETED"), "Completed"),
        (run("COMPLETED", "NoInput"), "NoInput"),
        (run("COMPLETED", "NotConfigured"), "NotConfigured"),
        (run("COMPLETED", "Degraded"), "Degraded"),
        (run("COMPLETED", "Cached"), "Completed"),
        (run("FAILED"), "Failed"),
        (run("FAILED", "TimedOut"), "Failed"),
        (run("CRASHED"), "Crashed"),
        (run("CANCELLED", "Coalesced"), "Coalesced"),
        (run("CANCELLED", "Misfired"), "Misfired"),
        (run("CANCELLED", "Maintenance"), "Maintenance"),
        (run("CANCELLED", "Paused"), "Paused"),
        (run("CANCELLED", message="Deployment concurrency limit reached."), "Refused"),
        (run("CANCELLED", message="by Ada, concurrency limit reached", started_at=NOON), "Cancelled"),
        (run("CANCELLED", message="not needed"), "Cancelled"),
    ],
)
def test_the_end_of_a_run_is_the_outcome_of_its_tick(ended: ScheduledRun, outcome: str) -> None:
    assert (judged(ended).outcome, judged(ended).flow_run_id) == (outcome, "r1")
    assert judged(ended, after=timedelta(seconds=1)).outcome == outcome, "however young"


@pytest.mark.parametrize(
    ("going_on", "after", "outcome"),
    [
        (run("SCHEDULED"), 5 * MINUTE, "Pending"),
        (run("SCHEDULED", "Late"), 6 * MINUTE, "Pending"),
        (run("SCHEDULED", "Late"), 7 * MINUTE, "Missed"),
        (run("PENDING"), 7 * MINUTE, "Missed"),
        (run("RUNNING", started_at=NOON + 4 * MINUTE), 13 * MINUTE, "Pending"),
        (run("RUNNING", started_at=NOON + 4 * MINUTE), 14 * MINUTE, "Missed"),
        (run("SCHEDULED", "AwaitingRetry", started_at=NOON), 8 * MINUTE, "Pending"),
    ],
)
def test_a_run_that_goes_on_is_waited_for_as_long_as_its_job_may_take(
    going_on: ScheduledRun, after: timedelta, outcome: str
) -> None:
    assert judged(going_on, after=after).outcome == outcome


@pytest.mark.parametrize(
    ("grace_seconds", "after", "outcome"),
    [
        (0, MINUTE, "Pending"),
        (0, 2 * MINUTE, "Missed"),
        (60, 2 * MINUTE, "Pending"),
        (60, 3 * MINUTE, "Missed"),
        (7200, 2 * HOUR, "Pending"),
        (7200, 2 * HOUR + 2 * MINUTE, "Missed"),
        (None, 23 * HOUR, "Pending"),
        (None, 25 * HOUR, "Missed"),
    ],
)
def test_a_run_that_waits_is_given_the_grace_of_its_job(
    grace_seconds: int | None, after: timedelta, outcome: str
) -> None:
    patient = tick(grace_seconds=grace_seconds)
    assert judged(run("SCHEDULED", "Late"), of=patient, after=after).outcome == outcome


def test_a_job_without_an_end_of_patience_has_its_real_outcome_whenever_it_ran() -> None:
    patient = tick(grace_seconds=None)
    assert judged(run("COMPLETED"), of=patient, after=72 * HOUR).outcome is TickOutcome.COMPLETED
    assert judged(of=patient, after=3 * MINUTE).outcome is TickOutcome.MISSED, "without a run nothing waits"


NIGHT = MaintenanceWindow(start="11:55", end="12:10")


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        ((), "Maintenance"),
        ((run("CANCELLED", "Maintenance"),), "Maintenance"),
        ((run("SCHEDULED", "Late"),), "Maintenance"),
        ((run("COMPLETED"),), "Completed"),
        ((run("FAILED"),), "Failed"),
        ((run("CANCELLED", "Coalesced"),), "Coalesced"),
    ],
)
def test_a_tick_in_a_maintenance_window_of_its_job_is_no_missed_one(
    found: tuple[ScheduledRun, ...], outcome: str
) -> None:
    versions = [version(maintenance_windows=(NIGHT,))]
    ticks = policy.due_ticks(versions, NOON - MINUTE, NOON + 10 * MINUTE)
    assert [t.in_maintenance for t in ticks] == [True, True, False], "at noon, 12:05 and 12:10"
    assert judged(*found, of=ticks[0]).outcome == outcome


def test_while_it_may_still_be_taken_a_run_in_a_maintenance_window_is_waited_for() -> None:
    (now, *_) = policy.due_ticks([version(maintenance_windows=(NIGHT,))], NOON - MINUTE, NOON)
    assert judged(run("SCHEDULED"), of=now, after=5 * MINUTE).outcome is TickOutcome.PENDING


def test_a_missed_tick_says_what_is_known() -> None:
    assert "no worker took its run, which is still Late" in judged(run("SCHEDULED", "Late")).detail
    assert "it may take 510 s" in judged(run("RUNNING", started_at=NOON)).detail
    assert judged().detail == "the server planned no run for it"
    assert "aegis deploy" in judged(known_jobs=frozenset({"other"})).detail


def test_a_tick_without_a_run_is_missed_once_no_run_can_appear_any_more() -> None:
    assert judged(after=2 * MINUTE).outcome is TickOutcome.PENDING
    assert judged(after=2 * MINUTE + timedelta(seconds=1)).outcome is TickOutcome.MISSED


def test_runs_by_hand_and_of_other_jobs_and_times_answer_no_tick() -> None:
    others = (
        run("COMPLETED", automatic=False),
        run("COMPLETED", job_id="other"),
        run("COMPLETED", due_at=NOON + timedelta(seconds=1)),
    )
    assert judged(*others).outcome is TickOutcome.MISSED


def test_of_several_runs_of_one_tick_the_one_that_did_most_counts() -> None:
    done, refused = run("COMPLETED", id="a"), run("CANCELLED", id="b")
    going = run("RUNNING", id="c", started_at=NOON)
    assert judged(refused, done).flow_run_id == "a"
    assert judged(refused, going, after=MINUTE).flow_run_id == "c"
    assert judged(going, done, after=MINUTE).flow_run_id == "a"


def test_two_schedules_that_meet_have_a_run_each() -> None:
    runs = (run("COMPLETED", id="a"), run("CANCELLED", id="b", slug="daily"))
    entries = policy.account([tick(), tick(slug="daily")], Evidence(runs=runs), NOON + HOUR)
    assert [(e.slug, e.outcome) for e in entries] == [("often", "Completed"), ("daily", "Cancelled")]


def test_a_run_under_another_schedules_name_answers_where_none_of_that_name_is_due() -> None:
    assert judged(run("COMPLETED", slug="IntervalSchedule")).outcome is TickOutcome.COMPLETED


@pytest.mark.parametrize(
    ("pause", "outcome"),
    [
        (Pause(job_id="site_check", since=NOON - HOUR), "Paused"),
        (Pause(job_id="*", since=NOON - HOUR), "Paused"),
        (Pause(job_id="site_check", slug="often", since=NOON - HOUR, until=NOON), "Paused"),
        (Pause(job_id="site_check", since=NOON + 5 * MINUTE), "Paused"),
        (Pause(job_id="site_check", since=NOON + 6 * MINUTE), "Missed"),
        (Pause(job_id="site_check", since=NOON - HOUR, until=NOON - MINUTE), "Paused"),
        (Pause(job_id="site_check", since=NOON - HOUR, until=NOON - 2 * MINUTE), "Missed"),
        (Pause(job_id="site_check", slug="daily", since=NOON - HOUR), "Missed"),
        (Pause(job_id="other", since=NOON - HOUR), "Missed"),
    ],
)
def test_a_pause_accounts_for_the_ticks_that_it_may_have_taken(pause: Pause, outcome: str) -> None:
    assert judged(pauses=(pause,)).outcome == outcome
    assert judged(run("FAILED"), pauses=(pause,)).outcome is TickOutcome.FAILED, "a run speaks first"


@pytest.mark.parametrize(
    ("window", "outcome"),
    [
        (Maintenance(start=NOON, end=NOON + HOUR), "Maintenance"),
        (Maintenance(jobs=("site_*",), start=NOON, end=NOON + HOUR), "Maintenance"),
        (Maintenance(jobs=("docker_*",), start=NOON, end=NOON + HOUR), "Missed"),
        (Maintenance(start=NOON - HOUR, end=NOON), "Missed"),
    ],
)
def test_a_maintenance_window_accounts_for_the_ticks_in_it(window: Maintenance, outcome: str) -> None:
    assert judged(maintenance=(window,)).outcome == outcome


def test_a_machine_that_was_off_is_no_missed_run() -> None:
    killed = Gap(since=NOON - HOUR, until=NOON + HOUR, stopped=False, why="it ended unexpectedly")
    stopped = killed.model_copy(update={"stopped": True})
    assert judged(gaps=(killed,), after=2 * HOUR).outcome is TickOutcome.OUTAGE
    assert judged(gaps=(stopped,), after=2 * HOUR).outcome is TickOutcome.STOPPED
    assert (
        judged(gaps=(Gap(since=NOON - HOUR, until=NOON - MINUTE, stopped=True, why=""),)).outcome == "Stopped"
    )
    assert (
        judged(gaps=(Gap(since=NOON - HOUR, until=NOON - 2 * MINUTE, stopped=True, why=""),)).outcome
        == "Missed"
    )


def test_a_run_that_waits_is_given_its_grace_anew_after_an_outage() -> None:
    gap = Gap(since=NOON - HOUR, until=NOON + HOUR, stopped=False, why="")
    late = run("SCHEDULED", "Late")
    assert judged(late, gaps=(gap,), after=HOUR + 6 * MINUTE).outcome is TickOutcome.PENDING
    assert judged(late, gaps=(gap,), after=HOUR + 8 * MINUTE).outcome is TickOutcome.MISSED
    everything = Pause(job_id="*", since=NOON - HOUR)
    assert judged(late, pauses=(everything,), after=9 * HOUR).outcome is TickOutcome.PENDING


def test_ticks_are_due_by_the_schedule_that_held_then() -> None:
    edit = NOON + timedelta(minutes=21)
    hourly = CronSchedule(slug="often", cron="*/20 * * * *")
    versions = [version(until=edit), version(schedule=hourly, since=edit)]
    found = [t.due_at - NOON for t in policy.due_ticks(versions, NOON, NOON + HOUR)]
    assert found == [5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 20 * MINUTE, 40 * MINUTE, 60 * MINUTE]


def test_nothing_is_due_before_a_job_was_first_deployed_nor_after_it_was_removed() -> None:
    brief = version(since=NOON, until=NOON + 12 * MINUTE)
    found = policy.due_ticks([brief], NOON - 24 * HOUR, NOON + 24 * HOUR)
    assert [t.due_at - NOON for t in found] == [5 * MINUTE, 10 * MINUTE]


def test_the_first_minute_of_a_schedule_is_not_expected_of_the_server() -> None:
    found = policy.due_ticks([version(since=NOON - timedelta(seconds=59))], NOON - HOUR, NOON + 5 * MINUTE)
    assert [t.due_at for t in found] == [NOON + 5 * MINUTE]


# --- presence ---


def here(process: str, start: timedelta, end: timedelta, stopped: bool = False) -> Presence:
    return Presence(process=process, since=NOON + start, last_seen=NOON + end, stopped=stopped)


@pytest.mark.parametrize(
    ("before", "after", "stopped", "why"),
    [
        (here("a", 0 * HOUR, HOUR, stopped=True), here("b", 2 * HOUR, 3 * HOUR), True, "on purpose"),
        (here("a", 0 * HOUR, HOUR), here("b", 2 * HOUR, 3 * HOUR), False, "unexpectedly"),
        (here("a", 0 * HOUR, HOUR), here("a", 2 * HOUR, 3 * HOUR), False, "slept"),
    ],
)
def test_a_gap_is_the_time_between_two_presences(
    before: Presence, after: Presence, stopped: bool, why: str
) -> None:
    (gap,) = policy.gaps([after, before])
    assert (gap.since, gap.until, gap.stopped) == (NOON + HOUR, NOON + 2 * HOUR, stopped)
    assert why in gap.why
    assert policy.gaps([before]) == ()


def test_a_sign_of_life_continues_only_its_own_recent_presence() -> None:
    last = here("a", 0 * HOUR, HOUR)
    soon, later = NOON + HOUR + BEAT_PATIENCE, NOON + HOUR + BEAT_PATIENCE + MINUTE
    assert policy.continues(last, "a", soon, BEAT_PATIENCE)
    assert not policy.continues(last, "a", later, BEAT_PATIENCE)
    assert not policy.continues(last, "b", soon, BEAT_PATIENCE)
    assert not policy.continues(here("a", 0 * HOUR, HOUR, stopped=True), "a", soon, BEAT_PATIENCE)
    assert not policy.continues(None, "a", soon, BEAT_PATIENCE)


def test_the_passes_speak_for_the_installation_only_where_nobody_else_does() -> None:
    last = here("stack", 0 * HOUR, HOUR)
    assert not policy.speaks_itself(last, "passes", NOON + HOUR + MINUTE)
    assert policy.speaks_itself(last, "passes", NOON + 2 * HOUR)
    assert policy.speaks_itself(None, "passes", NOON)
    assert policy.speaks_itself(here("stack", 0 * HOUR, HOUR, stopped=True), "passes", NOON + HOUR)
    assert policy.speaks_itself(here("passes", 0 * HOUR, HOUR), "passes", NOON + HOUR)


@pytest.mark.parametrize(
    ("checked", "green", "reason"),
    [
        ("2026-01-25T11:50:00Z", "true", None),
        ("2026-01-25T11:50:00Z", "false", "is red"),
        ("2026-01-25T11:43:00Z", "true", "missed_runs does not run"),
        (None, None, "has not been made yet"),
        ("yesterday", "true", "has not been made yet"),
        ("2026-01-25T11:50:00", "true", "has not been made yet"),
    ],
)
def test_the_switch_is_pinged_only_while_the_ledger_is_fresh_and_green(
    checked: str | None, green: str | None, reason: str | None
) -> None:
    found = policy.why_red(checked, green, NOON)
    assert (found is None) if reason is None else (found is not None and reason in found)


# --- the sum ---

moments = st.integers(-180, 180).map(lambda minutes: NOON + minutes * MINUTE)
states = st.sampled_from([
    ("COMPLETED", "Completed"), ("COMPLETED", "NoInput"), ("FAILED", "TimedOut"), ("CRASHED", "Crashed"),
    ("CANCELLED", "Coalesced"), ("CANCELLED", "Cancelled"), ("SCHEDULED", "Late"), ("RUNNING", "Running"),
    ("PENDING", "Pending"), ("PAUSED", "Suspended"), ("CANCELLING", "Cancelling"),
])  # fmt: skip


@st.composite
def spans(draw: st.DrawFn) -> tuple[datetime, datetime]:
    first, second = sorted([draw(moments), draw(moments)])
    return first, second + MINUTE


@st.composite
def version_lists(draw: st.DrawFn) -> list[ScheduleVersion]:
    found = []
    for job in ("a", "b"):
        for slug in draw(st.sets(st.sampled_from(["x", "y"]))):
            edits = sorted(draw(st.sets(moments, min_size=1, max_size=3)))
            ends = [*edits[1:], draw(st.one_of(st.none(), st.just(edits[-1] + HOUR)))]
            for since, until in zip(edits, ends, strict=True):
                seconds = draw(st.sampled_from([60, 300, 1740]))
                schedule = IntervalSchedule(slug=slug, interval_seconds=seconds, anchor_date=NOON)
                grace = draw(st.sampled_from([None, 0, 300, 5000]))
                windows = draw(st.sampled_from([(), (MaintenanceWindow(start="11:30", end="12:30"),)]))
                found.append(
                    version(job_id=job, slug=slug, schedule=schedule, since=since, until=until,
                            grace_seconds=grace, maintenance_windows=windows)
                )  # fmt: skip
    return found


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    return Evidence(
        runs=tuple(
            run(*draw(states), id=str(number), job_id=draw(st.sampled_from("ab")), due_at=draw(moments),
                slug=draw(st.sampled_from(["x", "y", None])), automatic=draw(st.booleans()),
                message=draw(st.sampled_from(["", "Deployment concurrency limit reached."])),
                started_at=draw(st.one_of(st.none(), moments)))
            for number in range(draw(st.integers(0, 12)))
        ),
        pauses=tuple(
            Pause(job_id=draw(st.sampled_from(["a", "*"])), slug=draw(st.sampled_from(["x", "*"])),
                  since=a, until=draw(st.sampled_from([b, None])))
            for a, b in draw(st.lists(spans(), max_size=2))
        ),
        maintenance=tuple(
            Maintenance(jobs=("a",), start=a, end=b) for a, b in draw(st.lists(spans(), max_size=1))
        ),
        gaps=tuple(
            Gap(since=a, until=b, stopped=draw(st.booleans()), why="")
            for a, b in draw(st.lists(spans(), max_size=2))
        ),
    )  # fmt: skip


@given(version_lists(), evidences(), moments, moments)
def test_every_tick_has_exactly_one_outcome_and_the_sum_is_the_number_of_ticks(
    versions: list[ScheduleVersion], evidence: Evidence, start: datetime, now: datetime
) -> None:
    ticks = policy.due_ticks(versions, start, now)
    keys = [(t.job_id, t.slug, t.due_at) for t in ticks]
    assert len(set(keys)) == len(keys), "no tick twice, also around an edit of the schedule"
    entries = policy.account(ticks, evidence, now)
    assert [(e.job_id, e.slug, e.due_at) for e in entries] == keys
    assert policy.account(ticks, evidence, now) == entries
    counts: dict[str, Counter[str]] = {}
    for entry in entries:
        counts.setdefault(entry.job_id, Counter())[entry.outcome.value] += 1
    told = policy.tally(versions, counts, start, now, now)
    assert all(job.due == sum(job.outcomes.values()) for job in told.jobs)
    assert all(job.unaccounted == 0 for job in told.jobs)
    assert sum(job.due for job in told.jobs) == len(ticks)


@given(version_lists(), evidences(), moments, st.integers(0, 300))
def test_time_and_evidence_that_only_grow_never_take_an_outcome_back(
    versions: list[ScheduleVersion], evidence: Evidence, now: datetime, minutes: int
) -> None:
    ticks = policy.due_ticks(versions, now - 3 * HOUR, now)
    before = policy.account(ticks, evidence, now)
    after = policy.account(ticks, evidence, now + minutes * MINUTE)
    for early, late in zip(before, after, strict=True):
        assert rank(late.outcome) >= rank(early.outcome)


def test_ticks_that_the_ledger_should_know_and_does_not_are_said() -> None:
    counts = {"site_check": {"Completed": 5}}
    (job,) = policy.tally([version()], counts, NOON - HOUR, NOON, NOON - 10 * MINUTE).jobs
    assert (job.due, job.outcomes, job.unaccounted) == (12, {"Completed": 5, "Pending": 2}, 5)
    (job,) = policy.tally([version()], {}, NOON - HOUR, NOON, None).jobs
    assert (job.outcomes, job.unaccounted) == ({"Pending": 12}, 0)


def test_a_job_that_was_not_due_is_in_the_account_with_nothing() -> None:
    (job,) = policy.tally([version()], {}, NOON, NOON + MINUTE, NOON).jobs
    assert (job.due, job.outcomes, job.unaccounted) == (0, {}, 0)
    assert policy.tally([version(since=NOON + HOUR)], {}, NOON, NOON + MINUTE, NOON).jobs == ()


def test_every_outcome_has_its_place() -> None:
    ranks = {outcome: rank(outcome) for outcome in TickOutcome}
    assert [o for o, r in ranks.items() if r == 0] == [TickOutcome.PENDING]
    assert [o for o, r in ranks.items() if r == 1] == [TickOutcome.MISSED]
    assert {o for o, r in ranks.items() if r == 2} == set(IDLE)
    assert {o for o, r in ranks.items() if r == 3} > RAN
