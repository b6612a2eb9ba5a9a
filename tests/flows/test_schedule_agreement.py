"""Our own arithmetic of due times gives what Prefect's scheduler gives, for every schedule we accept."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from prefect.server.schemas.schedules import CronSchedule as PrefectCron
from prefect.server.schemas.schedules import IntervalSchedule as PrefectInterval

from deployments.catalogue import CronSchedule, IntervalSchedule
from deployments.catalogue.schedule_rules import check_cron

MOMENTS = (
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 3, 28, 23, 59, 59, tzinfo=UTC),
    datetime(2026, 10, 24, 12, 30, tzinfo=UTC),
    datetime(2028, 2, 28, 6, 0, 1, tzinfo=UTC),
)


def prefects_runs(schedule: PrefectCron | PrefectInterval, moment: datetime) -> list[datetime]:
    start = moment + timedelta(microseconds=1)
    return [run.astimezone(UTC) for run in asyncio.run(schedule.get_dates(n=8, start=start))]


def field(choose: random.Random, lowest: int, highest: int, words: tuple[str, ...] = ()) -> str:
    first, second = sorted(choose.sample(range(lowest, highest + 1), 2))
    step = choose.randint(1, 7)
    forms = [
        "*",
        f"*/{step}",
        str(first),
        f"{first},{second}",
        f"{first}-{second}",
        f"{first}-{second}/{step}",
        *words,
    ]
    return choose.choice(forms)


def expressions(count: int) -> list[str]:
    choose = random.Random(3)
    found: list[str] = []
    while len(found) < count:
        days, weekdays = field(choose, 1, 28), field(choose, 0, 7, ("mon", "mon-fri", "SAT,sun"))
        expression = " ".join([
            field(choose, 0, 59), field(choose, 0, 23), choose.choice([days, "*", "*"]),
            choose.choice(["*", "*", field(choose, 1, 12, ("jan", "feb-apr"))]),
            choose.choice([weekdays, "*"]),
        ])  # fmt: skip
        if check_cron(expression) is None:
            found.append(expression)
    return found


@pytest.mark.parametrize("expression", expressions(60))
def test_cron_in_utc_agrees(expression: str) -> None:
    for moment in MOMENTS:
        ours = list(islice(CronSchedule(slug="s", cron=expression).after(moment), 8))
        assert ours == prefects_runs(PrefectCron(cron=expression), moment)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])
@pytest.mark.parametrize("expression", ["0 3 * * *", "15 9 * * mon-fri", "0 12 1 * *", "45 23 * * *"])
def test_accepted_cron_in_a_zone_agrees(expression: str, zone: str) -> None:
    assert check_cron(expression, zone) is None
    for moment in MOMENTS:
        ours = list(islice(CronSchedule(slug="s", cron=expression, timezone=zone).after(moment), 8))
        assert ours == prefects_runs(PrefectCron(cron=expression, timezone=zone), moment)


@pytest.mark.parametrize("seconds", [10, 60, 300, 1800, 3600, 21600, 86400, 100_000])
def test_intervals_agree(seconds: int) -> None:
    anchor = datetime(2025, 1, 1, 0, 0, 10, tzinfo=UTC)
    prefects = PrefectInterval(interval=timedelta(seconds=seconds), anchor_date=anchor)
    for moment in MOMENTS:
        ours = islice(
            IntervalSchedule(slug="s", interval_seconds=seconds, anchor_date=anchor).after(moment), 8
        )
        assert list(ours) == prefects_runs(prefects, moment)
