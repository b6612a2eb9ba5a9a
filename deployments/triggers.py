"""When a job runs: the fields of the original's `add_job` as a Prefect schedule, and a schedule in words.

Pure: no clock, no server. Whether a schedule is wise (daylight saving, too frequent) is not decided here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aegis_lib.errors import PermanentFailure

CRON_FIELDS = ("month", "day", "day_of_week", "hour", "minute")  # from the rarest change to the most frequent
_EARLIEST = {"month": "1", "day": "1", "day_of_week": "*", "hour": "0", "minute": "0"}
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "min": 60, "s": 1}
_LENGTHS = {"weeks": 604800, "days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
_ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)


def cron_schedule(expression: str, timezone: str = "UTC") -> dict[str, Any]:
    """A five-field cron expression as the server's API wants it.

    Raises:
        PermanentFailure: the expression has not five fields.
    """
    fields = expression.split()
    if len(fields) != 5:
        raise PermanentFailure(
            f"Cron expression {expression!r} has {len(fields)} fields instead of 5. "
            "Fix: give minute, hour, day, month, weekday, for example '30 6 * * *' for 06:30 every day."
        )
    return {"cron": " ".join(fields), "timezone": timezone, "day_or": True}


def cron_from_fields(fields: Mapping[str, Any], timezone: str = "UTC") -> dict[str, Any]:
    """APScheduler's cron fields (`hour=6`, `minute='*/15'`, `day_of_week='mon-fri'`) as a schedule.

    As there, a field finer than the finest one given is at its minimum and a coarser one is any;
    weekdays are names or count from Monday = 0; a day and a weekday together must both match.

    Raises:
        PermanentFailure: a field is unknown, or cannot be said in cron.
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
    for name, value in whole.items():
        if not re.fullmatch(r"[0-9a-z*/,-]+", value) or value == "last":
            raise PermanentFailure(
                f"Cron field {name}={value!r} cannot be said in cron. Fix: use numbers, * - / ,"
            )
    whole["day_of_week"] = _weekdays(whole["day_of_week"])
    order = ("minute", "hour", "day", "month", "day_of_week")
    return {
        "cron": " ".join(whole[name] for name in order),
        "timezone": timezone,
        "day_or": not {"day", "day_of_week"} <= set(given),
    }


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


def interval_schedule(length: timedelta, anchor: datetime | None = None) -> dict[str, Any]:
    """Every `length`, counted from `anchor` (default: a fixed midnight, so that re-adding changes no tick).

    Raises:
        PermanentFailure: shorter than ten seconds, which starting a run may take.
    """
    if length < timedelta(seconds=10):
        raise PermanentFailure(
            f"An interval of {length.total_seconds():g} s is too short. Fix: use 10 s or more, "
            "and loop inside the job for anything faster."
        )
    if anchor is not None and anchor.tzinfo is None:
        raise PermanentFailure("start_date has no time zone. Fix: for example datetime(..., tzinfo=UTC).")
    return {
        "interval": length.total_seconds(),
        "anchor_date": (anchor or _ANCHOR).isoformat(),
        "timezone": "UTC",
    }


def interval_from_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """APScheduler's interval fields (`minutes=15`, `start_date=...`) as a schedule.

    Raises:
        PermanentFailure: a field is unknown or no number, or the interval is too short.
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


def parse_every(text: str) -> timedelta:
    """`15m`, `1h30m`, `45s`, `2d` as a length of time.

    Raises:
        PermanentFailure: it is none.
    """
    parts = re.findall(r"(\d+)\s*(min|[wdhms])", text.strip().lower())
    if not parts or re.sub(r"\d+\s*(?:min|[wdhms])\s*", "", text.strip().lower()):
        raise PermanentFailure(f"{text!r} is not a length of time. Fix: for example 15m, 1h30m, 45s or 2d.")
    return timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in parts))


def words(schedule: Mapping[str, Any]) -> str:
    """A schedule for people: `every 5 min`, `daily 06:00`, `mon-fri 22:15`, `cron 5 * * * *`."""
    zone = schedule.get("timezone") or "UTC"
    suffix = "" if zone == "UTC" else f" {zone}"
    if schedule.get("interval"):
        return f"every {length(timedelta(seconds=float(schedule['interval'])))}"
    if cron := schedule.get("cron"):
        fields = str(cron).split()
        if len(fields) == 5 and fields[0].isdigit() and fields[1].isdigit() and fields[2:4] == ["*", "*"]:
            day = "daily" if fields[4] == "*" else _cron_days(fields[4].lower())
            return f"{day} {int(fields[1]):02}:{int(fields[0]):02}{suffix}"
        return f"cron {cron}{suffix}"
    return f"rrule {schedule['rrule']}{suffix}" if schedule.get("rrule") else "unknown"


def _cron_days(field: str) -> str:
    """Cron's weekday numbers, where 0 and 7 are Sunday, as names."""
    return field if "/" in field else re.sub(r"[0-7]", lambda found: _WEEKDAYS[int(found.group()) - 1], field)


def length(span: timedelta) -> str:
    """A length of time in at most two units: `45 s`, `5 min`, `1 h 30 min`, `2 d`."""
    seconds = round(abs(span.total_seconds()))
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"
