"""Schedules and lengths of time in words, for tables. Decides nothing and imports nothing of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

_CRON_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


def words(schedule: Mapping[str, Any]) -> str:
    """A schedule of the server: `every 5 min`, `daily 06:00`, `mon-fri 22:15`, `cron 5 * * * *`."""
    zone = schedule.get("timezone") or "UTC"
    suffix = "" if zone == "UTC" else f" {zone}"
    if schedule.get("interval"):
        return f"every {length(timedelta(seconds=float(schedule['interval'])))}"
    if cron := schedule.get("cron"):
        fields = str(cron).split()
        if len(fields) == 5 and fields[0].isdigit() and fields[1].isdigit() and fields[2:4] == ["*", "*"]:
            day = "daily" if fields[4] == "*" else _weekdays(fields[4].lower())
            return f"{day} {int(fields[1]):02}:{int(fields[0]):02}{suffix}"
        return f"cron {cron}{suffix}"
    return f"rrule {schedule['rrule']}{suffix}" if schedule.get("rrule") else "unknown"


def _weekdays(field: str) -> str:
    return (
        field if "/" in field else re.sub(r"[0-7]", lambda found: _CRON_WEEKDAYS[int(found.group())], field)
    )


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
