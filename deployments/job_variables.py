"""What can be set per job as `work_pool.job_variables`: limits of a run, and what becomes of late runs.

One description for the catalogue, the worker and the form in the Prefect UI. Imports no Prefect: reading the
catalogue must stay quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aegis_lib.maintenance import MaintenanceWindow

MISFIRE_GRACE_SECONDS = 300
TIMEOUT_GRACE_SECONDS = 30
CANCEL_GRACE_SECONDS = 30
LONGEST_TIMEOUT_SECONDS = 86_400


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


def rules_of(base_job_template: Mapping[str, Any], job_variables: Mapping[str, Any]) -> ClaimRules:
    """The rules for a job: the pool's defaults, and what its deployment says; ours where that is nonsense."""
    variables = base_job_template.get("variables", {}).get("properties", {})
    known = {name for name in ClaimRules.model_fields if name in variables}
    defaults = {name: variables[name]["default"] for name in known if "default" in variables[name]}
    said = {name: value for name, value in job_variables.items() if name in ClaimRules.model_fields}
    try:
        return ClaimRules.model_validate({**defaults, **said})
    except ValidationError:
        return ClaimRules()


class RunLimits(BaseModel):
    """What one run may use, and how long it is waited for."""

    timeout_seconds: int | None = Field(
        default=None,
        ge=1,
        le=LONGEST_TIMEOUT_SECONDS,
        strict=True,
        title="Time-out in seconds",
        description="How long one attempt may take. Empty: as long as the flow itself says.",
    )
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
