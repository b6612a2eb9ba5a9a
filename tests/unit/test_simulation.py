"""What the catalogue will start: counted, and looked through for what starts together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from deployments.catalogue.model import Catalogue, ConcurrencyLimit, CronSchedule, IntervalSchedule, Job
from deployments.simulation import simulate

NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def job(job_id: str, *schedules: CronSchedule | IntervalSchedule) -> Job:
    return Job(
        id=job_id,
        deployment_name=job_id.replace("_", "-"),
        entrypoint=f"flows/{job_id}.py:{job_id}",
        description="Look.",
        schedules=schedules,
        parameters={},
        tags=("aegis",),
        concurrency_limit=ConcurrencyLimit(limit=1, collision_strategy="CANCEL_NEW", grace_period_seconds=60),
        work_pool="aegis",
        line=1,
    )


def every(minutes: int, second: int = 0) -> IntervalSchedule:
    anchor = datetime(2025, 1, 1, 0, 0, second, tzinfo=UTC)
    return IntervalSchedule(slug="often", interval_seconds=minutes * 60, anchor_date=anchor)


def test_runs_are_counted_from_just_after_the_start_to_the_end_itself() -> None:
    seen = simulate(Catalogue(jobs=(job("often", every(5)),)), NOON, timedelta(hours=1))
    (often,) = seen.jobs
    assert often.runs == 12
    assert (often.first, often.last) == (NOON + timedelta(minutes=5), NOON + timedelta(hours=1))


def test_a_job_without_a_schedule_has_no_runs() -> None:
    (quiet,) = simulate(Catalogue(jobs=(job("quiet"),)), NOON, DAY).jobs
    assert (quiet.runs, quiet.first, quiet.schedule) == (0, None, "on demand")


def test_jobs_of_the_same_second_are_shown_together_and_others_are_not() -> None:
    jobs = (job("a", every(30)), job("b", every(60)), job("c", every(30, second=10)))
    seen = simulate(Catalogue(jobs=jobs), NOON, timedelta(hours=2))
    assert [(tick.at.hour, tick.jobs) for tick in seen.together] == [(13, ("a", "b")), (14, ("a", "b"))]


def test_a_change_of_the_clock_in_a_zone_that_is_used_is_told() -> None:
    berlin = CronSchedule(slug="daily", cron="30 6 * * *", timezone="Europe/Berlin")
    seen = simulate(Catalogue(jobs=(job("local", berlin),)), NOON, DAY)
    (change,) = seen.clock_changes
    assert (change.timezone, change.at) == ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC))
    assert simulate(Catalogue(jobs=(job("local", berlin),)), NOON + 2 * DAY, DAY).clock_changes == ()
    assert simulate(Catalogue(jobs=(job("utc", every(5)),)), NOON, DAY).clock_changes == ()
