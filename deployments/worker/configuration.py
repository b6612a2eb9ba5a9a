"""The worker's job configuration: what the form in the Prefect UI offers, and what a run is started with.

The typed job variables themselves stand in deployments/job_variables.py.
"""

from __future__ import annotations

from pathlib import Path

from prefect.workers.base import BaseVariables, BaseWorkerResult
from pydantic import Field

from deployments.job_variables import ClaimRules, RunLimits
from deployments.worker.prefect_internals import KnownEnvironment, settings_environment

_STREAM = "Whether what a run prints goes to the worker's own output."
_DIRECTORY = "The directory in which runs start; a temporary one by default."
_COMMAND = (
    "A command that starts the run in a fresh process, such as `python -m prefect.engine`. "
    "Empty: forked from a warm process, which is much quicker."
)


class AegisVariables(BaseVariables, ClaimRules, RunLimits):
    """What can be edited per work pool and per deployment."""

    command: str | None = Field(default=None, description=_COMMAND)
    stream_output: bool = Field(default=True, description=_STREAM)
    working_dir: Path | None = Field(default=None, title="Working directory", description=_DIRECTORY)


class AegisJobConfiguration(KnownEnvironment, ClaimRules, RunLimits):
    """What one run is started with."""

    stream_output: bool = Field(default=True)
    working_dir: Path | None = Field(default=None)

    @staticmethod
    def settings_of_worker() -> dict[str, str]:
        """The settings of this process as environment variables."""
        return settings_environment()


class AegisResult(BaseWorkerResult):
    """How the run's process ended."""
