"""What can be set per job as `work_pool.job_variables`: limits of a run, and what becomes of late runs.

One description for the catalogue, the worker and the form in the Prefect UI. Imports no Prefect: reading the
catalogue must stay quick.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from aegis_lib.outcome import Frozen

MISFIRE_GRACE_SECONDS = 300
TIMEOUT_GRACE_SECONDS = 30
CANCEL_GRACE_SECONDS = 30

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ClockTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class MaintenanceWindow(Frozen):
    """A time of day, on some or all days, in which runs of a schedule are not started.

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
        return (now >= start and self._on(local)) or (now < end and self._on(local - timedelta(days=1)))

    def _on(self, local: datetime) -> bool:
        return DAYS[local.weekday()] in self.days


class ClaimRules(BaseModel):
    """What becomes of a schedule's runs that could not start on time."""

    misfire_grace_seconds: int | None = Field(
        default=MISFIRE_GRACE_SECONDS,
        ge=0,
        strict=True,
        title="Misfire grace in seconds",
        description="A run of a schedule that is later than this is not started and ends as Misfired. "
        "Empty: however late, it runs.",
    )
    coalesce: Literal["latest", "all"] = Field(
        default="latest",
        description="When several runs of a schedule are due: start the latest only, or all of them.",
    )
    maintenance_windows: tuple[MaintenanceWindow, ...] = Field(
        default=(),
        description="Times in which runs of a schedule are not started; they end as Maintenance.",
    )


class RunLimits(BaseModel):
    """What one run may use, and how long it is waited for."""

    memory_limit_mb: int | None = Field(
        default=None,
        ge=128,
        strict=True,
        title="Memory limit in MB",
        description="Resident memory of the run's process and of what it starts. Above it, the run is ended.",
    )
    cpu_seconds: int | None = Field(
        default=None,
        ge=1,
        strict=True,
        title="CPU seconds",
        description="Processor time of the run's process. Above it, the run is ended.",
    )
    open_files: int | None = Field(
        default=None,
        ge=64,
        strict=True,
        title="Open files",
        description="How many files the run may have open at once.",
    )
    timeout_grace_seconds: int = Field(
        default=TIMEOUT_GRACE_SECONDS,
        ge=1,
        le=3600,
        strict=True,
        title="Time-out grace in seconds",
        description="How long after its flow's own time-out a run that did not end is ended from outside.",
    )
    cancel_grace_seconds: int = Field(
        default=CANCEL_GRACE_SECONDS,
        ge=1,
        le=3600,
        strict=True,
        title="Cancellation grace in seconds",
        description="How long a cancelled run may take to end before it is killed.",
    )


class JobVariables(ClaimRules, RunLimits):
    """`work_pool.job_variables` of a job in the catalogue; only what was written counts as set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: dict[str, str] = Field(default_factory=dict)

    def written(self) -> dict[str, object]:
        """What was set, as the server wants it."""
        return self.model_dump(mode="json", exclude_unset=True)
