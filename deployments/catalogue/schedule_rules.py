"""Which schedules are safe to run. Pure; an objection says what is wrong and how to mend it.

Cron in a zone with daylight saving is where schedulers go wrong: an hourly job loses or doubles a run, a job
at half past two runs an hour early or not at all. What cannot go wrong is accepted, everything else is not.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

SHORTEST_INTERVAL_SECONDS = 10
LONGEST_INTERVAL_SECONDS = 31 * 86400
_FIRST_DAY = datetime(2025, 1, 1, tzinfo=UTC)  # the years in which a zone's clock changes are looked at
_DAYS = 13 * 366
_FIELDS = re.compile(
    r"[0-9*/,-]+ [0-9*/,-]+ [0-9*/,-]+ "
    r"([0-9*/,-]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)+ "
    r"([0-9*/,-]|sun|mon|tue|wed|thu|fri|sat)+",
    re.IGNORECASE,
)
_EXAMPLE = "for example '30 6 * * *' for 06:30 every day"


class Objection(NamedTuple):
    """What is wrong with a value, and the mend."""

    what: str
    fix: str


class ClockChange(NamedTuple):
    """The local times (naive, half open) that a change of the clock skips or repeats."""

    start: datetime
    end: datetime


def check_timezone(name: str) -> Objection | None:
    """Whether the zone is known."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return Objection(
            f"there is no time zone {name!r}",
            "use an IANA name such as Europe/Berlin, or leave it out for UTC.",
        )
    return None


def check_cron(cron: str, timezone: str | None = None) -> Objection | None:
    """Whether a cron expression is valid, means the same to every reader, and is safe in its zone.

    An unknown zone is not objected to here; see `check_timezone`.
    """
    fields = cron.split()
    if len(fields) != 5:
        return Objection(
            f"cron {cron!r} has {len(fields)} fields instead of 5",
            f"give minute, hour, day, month, weekday, {_EXAMPLE}.",
        )
    if not _FIELDS.fullmatch(" ".join(fields)):
        return Objection(
            f"cron {cron!r} is not valid",
            f"use only numbers, names of months and days, * / , - ({_EXAMPLE}).",
        )
    try:
        parsed = CronSim(cron, _FIRST_DAY.replace(tzinfo=None))
        next(parsed)
    except CronSimError as error:
        return Objection(
            f"cron {cron!r} is not valid: {str(error).lower()}", f"correct that field, {_EXAMPLE}."
        )
    except StopIteration:
        return Objection(f"cron {cron!r} names a day that never comes", "correct day and month.")
    if fields[2].startswith("*/"):
        days = ",".join(str(day) for day in sorted(parsed.days))
        return Objection(
            f"cron {cron!r} counts days in steps, of which Prefect leaves some out at the end of February",
            f"list the days ({days}), or use an interval with an anchor_date.",
        )
    if fields[2] != "*" and fields[4] != "*":
        return Objection(
            f"cron {cron!r} restricts day and weekday, which runs when either matches",
            "write two schedules, each with its own slug.",
        )
    if timezone is None or check_timezone(timezone) or not clock_changes(timezone):
        return None
    return _check_cron_in_changing_zone(cron, timezone)


def _check_cron_in_changing_zone(cron: str, timezone: str) -> Objection | None:
    parsed = CronSim(cron, datetime(2025, 1, 1))  # noqa: DTZ001 - only its fields are read
    if len(parsed.hours) * len(parsed.minutes) > 1:
        return Objection(
            f"cron {cron!r} runs more than once a day in {timezone}, whose clock changes: runs are lost in "
            "one night and doubled in another",
            "leave timezone out (UTC), or use an interval with an anchor_date.",
        )
    for change in clock_changes(timezone):
        due = next(CronSim(cron, change.start - timedelta(minutes=1)), None)
        if due is not None and due < change.end:
            return Objection(
                f"cron {cron!r} in {timezone} falls into the change of the clock on {change.start:%Y-%m-%d}, "
                f"when {change.start:%H:%M} to {change.end:%H:%M} is skipped or comes twice",
                "move it outside that time, or leave timezone out (UTC).",
            )
    return None


@cache
def clock_changes(timezone: str) -> tuple[ClockChange, ...]:
    """The changes of a zone's clock in thirteen years from 2025; none in UTC."""
    zone = ZoneInfo(timezone)
    found = []
    for day in range(_DAYS):
        start, end = _FIRST_DAY + timedelta(days=day), _FIRST_DAY + timedelta(days=day + 1)
        before, after = (moment.astimezone(zone).utcoffset() or timedelta() for moment in (start, end))
        if before == after:
            continue
        while end - start > timedelta(minutes=1):
            middle = start + (end - start) / 2
            if (middle.astimezone(zone).utcoffset() or timedelta()) == before:
                start = middle
            else:
                end = middle
        moment = end.replace(second=0, microsecond=0, tzinfo=None)
        found.append(ClockChange(moment + min(before, after), moment + max(before, after)))
    return tuple(found)


def check_anchor(anchor: str) -> Objection | None:
    """Whether an anchor is an ISO date and time in UTC."""
    try:
        parsed = datetime.fromisoformat(anchor)
    except ValueError:
        parsed = None
    if parsed is None or parsed.utcoffset() != timedelta(0):
        return Objection(
            f"anchor_date {anchor!r} is not an ISO date and time in UTC",
            'for example "2025-01-01T00:00:10Z".',
        )
    return None


def check_interval(seconds: int) -> Objection | None:
    """Whether an interval is 10 seconds to 31 days."""
    if SHORTEST_INTERVAL_SECONDS <= seconds <= LONGEST_INTERVAL_SECONDS:
        return None
    return Objection(
        f"interval {seconds} is not 10 seconds to 31 days", "give seconds, for example 300 for five minutes."
    )
