"""When a job is due, and which schedules are refused because nobody could say when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.catalogue import ConcurrencyLimit, CronSchedule, IntervalSchedule, Job, Schedule
from deployments.catalogue.schedule_rules import check_cron, clock_changes

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def job(*schedules: Schedule) -> Job:
    return Job(
        id="site_check",
        deployment_name="site-check",
        entrypoint="flows/site_check.py:site_check",
        description="Look.",
        schedules=schedules,
        parameters={},
        tags=("aegis",),
        concurrency_limit=ConcurrencyLimit(limit=1, collision_strategy="CANCEL_NEW", grace_period_seconds=60),
        work_pool="aegis",
        line=1,
    )


def every(seconds: int, anchor: datetime = NEW_YEAR) -> IntervalSchedule:
    return IntervalSchedule(slug="interval", interval_seconds=seconds, anchor_date=anchor)


def cron(expression: str, timezone: str | None = None, slug: str = "cron") -> CronSchedule:
    return CronSchedule(slug=slug, cron=expression, timezone=timezone)


def test_an_interval_counts_from_its_anchor_in_both_directions() -> None:
    anchor = NEW_YEAR + timedelta(seconds=10)

    assert job(every(300, anchor)).next_runs(NEW_YEAR, 2) == (anchor, anchor + timedelta(minutes=5))
    assert job(every(300, anchor)).next_runs(NEW_YEAR - timedelta(hours=1), 1) == (
        anchor - timedelta(hours=1),
    )


def test_next_runs_are_strictly_later() -> None:
    assert job(every(300)).next_runs(NEW_YEAR, 1) == (NEW_YEAR + timedelta(minutes=5),)
    assert job(cron("0 6 * * *")).next_runs(NEW_YEAR.replace(hour=6), 1) == (NEW_YEAR.replace(day=2, hour=6),)


def test_schedules_of_one_job_are_merged_and_a_shared_moment_comes_once() -> None:
    runs = job(cron("0 6 * * *"), cron("0 6,7 * * *", slug="more")).next_runs(NEW_YEAR, 3)

    assert runs == (NEW_YEAR.replace(hour=6), NEW_YEAR.replace(hour=7), NEW_YEAR.replace(day=2, hour=6))


def test_a_daily_job_in_a_zone_keeps_its_local_time_over_the_change_of_the_clock() -> None:
    spring = job(cron("15 3 * * *", "Europe/Berlin")).next_runs(datetime(2026, 3, 28, tzinfo=UTC), 3)
    autumn = job(cron("15 3 * * *", "Europe/Berlin")).next_runs(datetime(2026, 10, 24, tzinfo=UTC), 3)

    assert [run.hour for run in spring] == [2, 1, 1]
    assert [run.hour for run in autumn] == [1, 2, 2]
    assert all(run.tzinfo is UTC for run in (*spring, *autumn))


@given(
    minutes=st.integers(-3_000_000, 5_000_000),
    seconds=st.integers(10, 31 * 86400),
    offset=st.integers(0, 10**8),
)
def test_an_intervals_next_run_is_the_first_multiple_after_the_moment(
    minutes: int, seconds: int, offset: int
) -> None:
    moment = NEW_YEAR + timedelta(minutes=minutes)
    anchor = NEW_YEAR + timedelta(seconds=offset)

    first, second = islice(every(seconds, anchor).after(moment), 2)

    assert (first - anchor) % timedelta(seconds=seconds) == timedelta(0)
    assert timedelta(0) < first - moment <= timedelta(seconds=seconds)
    assert second - first == timedelta(seconds=seconds)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "Asia/Tokyo"])
def test_a_zone_without_summer_time_may_have_hourly_cron(zone: str) -> None:
    assert check_cron("15 * * * *", zone) is None
    assert clock_changes(zone) == ()


def test_the_changes_of_a_clock_are_known_to_the_minute() -> None:
    spring, autumn = clock_changes("Europe/Berlin")[2:4]

    assert [f"{change.start} {change.end}" for change in (spring, autumn)] == [
        "2026-03-29 02:00:00 2026-03-29 03:00:00",
        "2026-10-25 02:00:00 2026-10-25 03:00:00",
    ]


@pytest.mark.parametrize(
    ("expression", "zone"),
    [
        ("0 2 * * *", "Europe/Berlin"),
        ("59 2 * * sun", "Europe/Berlin"),
        ("30 1 * * *", "America/New_York"),
        ("15 2 * * *", "Australia/Lord_Howe"),
        ("30 0 * * *", "Africa/Cairo"),
        ("0 */6 * * *", "Europe/Berlin"),
        ("0,30 9 * * *", "Europe/Berlin"),
    ],
)
def test_cron_that_a_change_of_the_clock_would_lose_or_double_is_refused(expression: str, zone: str) -> None:
    assert check_cron(expression, zone) is not None


@pytest.mark.parametrize(
    ("expression", "zone"),
    [
        ("0 3 * * *", "Europe/Berlin"),
        ("59 1 * * *", "Europe/Berlin"),
        ("30 2 * * mon", "Europe/Berlin"),
        ("30 2 14 2 *", "Europe/Berlin"),
        ("0 9 * * mon-fri", "America/New_York"),
    ],
)
def test_cron_that_no_change_of_the_clock_meets_is_accepted(expression: str, zone: str) -> None:
    assert check_cron(expression, zone) is None


@pytest.mark.parametrize(
    "expression",
    ["", "@daily", "* * * * * *", "0 6 * *", "a b c d e", "*/0 * * * *", "0 24 * * *", "0 6 * * mon#2"],
)
def test_what_is_no_plain_cron_is_refused(expression: str) -> None:
    assert check_cron(expression) is not None


def test_days_in_steps_are_refused_because_prefect_leaves_some_out() -> None:
    objection = check_cron("0 6 */10 * *")

    assert objection is not None
    assert "list the days (1,11,21,31)" in objection.fix
