"""The original's trigger fields as schedules, and schedules in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aegis_lib.errors import PermanentFailure
from deployments import triggers


@pytest.mark.parametrize(
    ("fields", "cron"),
    [
        ({"hour": 6}, "0 6 * * *"),
        ({"hour": 0, "minute": 30}, "30 0 * * *"),
        ({"minute": "*/15"}, "*/15 * * * *"),
        ({"day": 1}, "0 0 1 * *"),
        ({"month": 3}, "0 0 1 3 *"),
        ({"day_of_week": "mon-fri", "hour": 22, "minute": 15}, "15 22 * * mon-fri"),
        ({"day_of_week": 0}, "0 0 * * mon"),
        ({"day_of_week": "0-4"}, "0 0 * * mon-fri"),
        ({"day_of_week": "6,2"}, "0 0 * * sun,wed"),
        ({"hour": "5,11,17,23"}, "0 5,11,17,23 * * *"),
        ({"hour": 6, "minute": None}, "0 6 * * *"),
    ],
)
def test_cron_fields_mean_what_they_meant_in_the_original(fields: dict[str, object], cron: str) -> None:
    schedule = triggers.cron_from_fields(fields)
    assert (schedule.cron, schedule.timezone) == (cron, None)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"second": 5}, "second is not supported"),
        ({"week": 5}, "week is not supported"),
        ({}, "without a field"),
        ({"day": "last"}, "is not valid"),
        ({"hour": "6;rm"}, "is not valid"),
        ({"hour": 25}, "is not valid"),
        ({"day": 13, "day_of_week": "fri"}, "day and weekday"),
        ({"day_of_week": 7}, "weekdays are 0"),
    ],
)
def test_cron_fields_that_cannot_be_said_are_refused(fields: dict[str, object], problem: str) -> None:
    with pytest.raises(PermanentFailure, match=problem):
        triggers.cron_from_fields(fields)


def test_a_cron_expression_needs_five_fields() -> None:
    assert triggers.cron_schedule(" 30  6 * * * ").cron == "30 6 * * *"
    with pytest.raises(PermanentFailure, match="6 fields instead of 5"):
        triggers.cron_schedule("0 30 6 * * *")


def test_a_zone_whose_clock_changes_is_for_daily_jobs_only() -> None:
    assert triggers.cron_schedule("30 6 * * *", "Europe/Berlin").timezone == "Europe/Berlin"
    for unsafe in ("*/10 * * * *", "30 2 * * *"):
        with pytest.raises(PermanentFailure, match="Europe/Berlin"):
            triggers.cron_schedule(unsafe, "Europe/Berlin")
    with pytest.raises(PermanentFailure, match="no time zone 'Mars/Olympus'"):
        triggers.cron_schedule("30 6 * * *", "Mars/Olympus")


def test_intervals_add_up_and_have_a_fixed_anchor() -> None:
    first = triggers.interval_from_fields({"hours": 1, "minutes": 30})
    assert first.interval_seconds == 5400
    assert first == triggers.interval_from_fields({"minutes": 90})
    start = datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert triggers.interval_from_fields({"days": 1, "start_date": start}).anchor_date == start


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"seconds": 9}, "10 seconds to 31 days"),
        ({}, "10 seconds to 31 days"),
        ({"weeks": 5}, "10 seconds to 31 days"),
        ({"minutes": 1.0001}, "no whole seconds"),
        ({"minutes": "often"}, "not made of numbers"),
        ({"fortnights": 1}, "fortnights is not supported"),
        ({"days": 1, "start_date": datetime(2026, 5, 1)}, "no time zone"),  # noqa: DTZ001
    ],
)
def test_intervals_that_cannot_work_are_refused(fields: dict[str, object], problem: str) -> None:
    with pytest.raises(PermanentFailure, match=problem):
        triggers.interval_from_fields(fields)


@pytest.mark.parametrize(
    ("text", "seconds"), [("15m", 900), ("1h30m", 5400), ("45s", 45), ("2d", 172800), ("5 min", 300)]
)
def test_a_length_of_time_is_understood(text: str, seconds: int) -> None:
    assert triggers.parse_every(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "15", "m", "15 parsecs", "1h-5m", "-5m"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(PermanentFailure, match="not a length of time"):
        triggers.parse_every(text)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ({"interval": 300.0}, "every 5 min"),
        ({"interval": 5400}, "every 1 h 30 min"),
        ({"cron": "0 6 * * *", "timezone": "UTC"}, "daily 06:00"),
        ({"cron": "15 22 * * 1-5"}, "mon-fri 22:15"),
        ({"cron": "0 9 * * 0,6"}, "sun,sat 09:00"),
        ({"cron": "0 9 * * mon", "timezone": "Europe/Berlin"}, "mon 09:00 Europe/Berlin"),
        ({"cron": "15 * * * *"}, "cron 15 * * * *"),
        ({"rrule": "FREQ=DAILY"}, "rrule FREQ=DAILY"),
        ({}, "unknown"),
    ],
)
def test_schedules_are_told_in_words(schedule: dict[str, object], words: str) -> None:
    assert triggers.words(schedule) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (45, "45 s"),
        (300, "5 min"),
        (3660, "1 h 1 min"),
        (3605, "1 h"),
        (172800, "2 d"),
        (-90, "1 min 30 s"),
    ],
)
def test_lengths_have_two_units_at_most(seconds: int, words: str) -> None:
    assert triggers.length(timedelta(seconds=seconds)) == words
