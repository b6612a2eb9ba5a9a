"""When a job runs: the fields of the original's `add_job` as a schedule, and a schedule in words.

Pure: no clock, no server. Which schedules are safe is decided in `catalogue.schedule_rules`, not here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aegis_lib.errors import PermanentFailure
from aegis_lib.schedule_words import length, words
from deployments.catalogue import schedule_rules
from deployments.catalogue.model import CronSchedule, IntervalSchedule

__all__ = [
    "CronSchedule",
    "IntervalSchedule",
    "Schedule",
    "cron_from_fields",
    "cron_schedule",
    "interval_from_fields",
    "interval_schedule",
    "length",
    "parse_every",
    "words",
]

CRON_FIELDS = ("month", "day", "day_of_week", "hour", "minute")  # from the rarest change to the most frequent
SLUG = "custom"
"""Slug of a custom job's schedule."""

_EARLIEST = {"month": "1", "day": "1", "day_of_week": "*", "hour": "0", "minute": "0"}
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "min": 60, "s": 1}
_LENGTHS = {"weeks": 604800, "days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
Schedule = CronSchedule | IntervalSchedule
_ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)


def cron_schedule(expression: str, timezone: str | None = None) -> CronSchedule:
    """A five-field cron expression in an IANA time zone, UTC without one.

    Raises:
        PermanentFailure: it is not valid, or not safe in a zone whose clock changes.
    """
    zone = None if timezone in {None, "", "UTC"} else timezone
    expression = " ".join(expression.split())
    _refuse(schedule_rules.check_timezone(zone) if zone else None)
    _refuse(schedule_rules.check_cron(expression, zone))
    return CronSchedule(slug=SLUG, cron=expression, timezone=zone)


def cron_from_fields(fields: Mapping[str, Any], timezone: str | None = None) -> CronSchedule:
    """APScheduler's cron fields (`hour=6`, `minute='*/15'`, `day_of_week='mon-fri'`) as a schedule.

    As there, a field finer than the finest one given is at its minimum and a coarser one is any;
    weekdays are names or count from Monday = 0.

    Raises:
        PermanentFailure: a field is unknown, or the whole is no valid or no safe schedule.
    """
    unknown = sorted(set(fields) - set(CRON_FIELDS))
    if unknown:
        raise PermanentFailure(
            f"Cron field {', '.join(unknown)} is not supported. Fix: use {', '.join(CRON_FIELDS)}, timezone."
        )
    given = {name: str(value).strip().lower() for name, value in fields.items() if value is not None}
    if not given:
        raise PermanentFailure("A cron trigger without a field. Fix: give for example hour=6, minute=30.")
    finest = max(CRON_FIELDS.index(name) for name in given)
    whole = {
        name: given.get(name, "*" if index < finest else _EARLIEST[name])
        for index, name in enumerate(CRON_FIELDS)
    }
    whole["day_of_week"] = _weekdays(whole["day_of_week"])
    order = ("minute", "hour", "day", "month", "day_of_week")
    return cron_schedule(" ".join(re.sub(r"\s", "", whole[name]) for name in order), timezone)


def _weekdays(value: str) -> str:
    """APScheduler's numbers (Monday = 0) as names, which mean the same everywhere; steps stay numbers."""

    def named(match: re.Match[str]) -> str:
        number = int(match.group())
        if number > 6:
            raise PermanentFailure(f"day_of_week={value!r}: weekdays are 0 (Monday) to 6, or mon to sun.")
        return _WEEKDAYS[number]

    return ",".join(
        "/".join([re.sub(r"\d+", named, part.split("/")[0]), *part.split("/")[1:]])
        for part in value.split(",")
    )


def interval_schedule(length: timedelta, anchor: datetime | None = None) -> IntervalSchedule:
    """Every `length`, counted from `anchor` (default: a fixed midnight, so that re-adding moves no run).

    Raises:
        PermanentFailure: not 10 seconds to 31 days, no whole seconds, or an anchor without a time zone.
    """
    if length.microseconds:
        raise PermanentFailure(
            f"An interval of {length.total_seconds()} s has no whole seconds. Fix: round it."
        )
    _refuse(schedule_rules.check_interval(int(length.total_seconds())))
    if anchor is not None and anchor.tzinfo is None:
        raise PermanentFailure("start_date has no time zone. Fix: for example datetime(..., tzinfo=UTC).")
    return IntervalSchedule(
        slug=SLUG, interval_seconds=int(length.total_seconds()), anchor_date=anchor or _ANCHOR
    )


def interval_from_fields(fields: Mapping[str, Any]) -> IntervalSchedule:
    """APScheduler's interval fields (`minutes=15`, `start_date=...`) as a schedule.

    Raises:
        PermanentFailure: a field is unknown or no number, or the interval is too short or too long.
    """
    unknown = sorted(set(fields) - {*_LENGTHS, "start_date"})
    if unknown:
        raise PermanentFailure(
            f"Interval field {', '.join(unknown)} is not supported. "
            f"Fix: use {', '.join(_LENGTHS)}, start_date."
        )
    try:
        seconds = sum(float(fields[name]) * length for name, length in _LENGTHS.items() if name in fields)
    except (TypeError, ValueError):
        raise PermanentFailure(f"Interval {dict(fields)} is not made of numbers.") from None
    return interval_schedule(timedelta(seconds=seconds), fields.get("start_date"))


def _refuse(objection: schedule_rules.Objection | None) -> None:
    if objection:
        what = objection.what[0].upper() + objection.what[1:]
        raise PermanentFailure(f"{what}. Fix: {objection.fix}")


def parse_every(text: str) -> timedelta:
    """`15m`, `1h30m`, `45s`, `2d` as a length of time.

    Raises:
        PermanentFailure: it is none.
    """
    parts = re.findall(r"(\d+)\s*(min|[wdhms])", text.strip().lower())
    if not parts or re.sub(r"\d+\s*(?:min|[wdhms])\s*", "", text.strip().lower()):
        raise PermanentFailure(f"{text!r} is not a length of time. Fix: for example 15m, 1h30m, 45s or 2d.")
    return timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in parts))
