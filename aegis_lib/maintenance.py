"""Maintenance windows: times of day in which a job is not started or a site may fail. Reads no clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, StringConstraints, field_validator, model_validator

from aegis_lib.outcome import Frozen

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ClockTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
_DAY = timedelta(days=1)


class MaintenanceWindow(Frozen):
    """A time of day, on some or all days: runs of a schedule do not start, failures of a site do not count.

    `end` before `start` means the next morning; the days are those on which the window starts.
    """

    days: tuple[Day, ...] = Field(default=DAYS, description="The days on which it starts; all by default.")
    start: ClockTime = Field(description="From this time of day on, as HH:MM.")
    end: ClockTime = Field(description="Until this time of day, as HH:MM, itself not included.")
    timezone: str = Field(default="UTC", description="The time zone of both, such as Europe/Paris.")

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{name!r} is no time zone; write one such as Europe/Paris, or UTC") from error
        return name

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.start == self.end:
            raise ValueError("start and end are the same; write 00:00 and 23:59, or pause the job")
        return self

    def contains(self, moment: datetime) -> bool:
        """Whether it is open at `moment` (aware)."""
        local = moment.astimezone(ZoneInfo(self.timezone))
        start, end, now = time.fromisoformat(self.start), time.fromisoformat(self.end), local.time()
        if start < end:
            return start <= now < end and self._on(local)
        return (now >= start and self._on(local)) or (now < end and self._on(local - _DAY))

    def times(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Each time that it is open between two moments (aware): from when until when, in UTC, in order."""
        zone = ZoneInfo(self.timezone)
        opens, closes = time.fromisoformat(self.start), time.fromisoformat(self.end)
        day, last = start.astimezone(zone).date() - _DAY, end.astimezone(zone).date()
        while day <= last:
            until = day if opens < closes else day + _DAY
            begun = datetime.combine(day, opens, zone).astimezone(UTC)
            over = datetime.combine(until, closes, zone).astimezone(UTC)
            if DAYS[day.weekday()] in self.days and max(begun, start) < min(over, end):
                yield max(begun, start), min(over, end)
            day += _DAY

    def _on(self, local: datetime) -> bool:
        return DAYS[local.weekday()] in self.days
