"""When something is due: cron and interval schedules as values. Reads no clock and judges no schedule.

The arithmetic agrees with that of Prefect's scheduler for every schedule that the catalogue accepts.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim
from pydantic import AwareDatetime

from aegis_lib.outcome import Frozen


class CronSchedule(Frozen):
    """A five-field cron expression in a time zone; no zone means UTC."""

    slug: str
    cron: str
    timezone: str | None = None

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Every due time strictly after `moment`, in order, in UTC."""
        zone = ZoneInfo(self.timezone or "UTC")
        for local in CronSim(self.cron, moment.astimezone(zone).replace(tzinfo=None)):
            due = local.replace(tzinfo=zone).astimezone(UTC)
            if due > moment:
                yield due

    def payload(self) -> dict[str, Any]:
        """The schedule as the server's API wants it."""
        return {"cron": self.cron, "timezone": self.timezone, "day_or": True}


class IntervalSchedule(Frozen):
    """Every `interval_seconds`, counted from `anchor_date` in both directions."""

    slug: str
    interval_seconds: int
    anchor_date: AwareDatetime

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Every due time strictly after `moment`, in order, in UTC."""
        step = timedelta(seconds=self.interval_seconds)
        anchor = self.anchor_date.astimezone(UTC)
        due = anchor + ((moment - anchor) // step + 1) * step
        while True:
            yield due
            due += step

    def payload(self) -> dict[str, Any]:
        """The schedule as the server's API wants it."""
        return {
            "interval": float(self.interval_seconds),
            "anchor_date": self.anchor_date.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "timezone": "UTC",
        }


Schedule = CronSchedule | IntervalSchedule
