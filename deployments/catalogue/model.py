"""What the catalogue says about each job, as values, and when a job is due. Reads no file and no clock."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Any, Literal

from pydantic import Field

from aegis_lib.errors import PermanentFailure
from aegis_lib.outcome import Frozen
from aegis_lib.schedule import CronSchedule, IntervalSchedule, Schedule
from deployments.pools import CUSTOM_TAG, WORK_POOL

__all__ = [
    "CUSTOM_TAG",
    "TAG",
    "WORK_POOL",
    "Catalogue",
    "ConcurrencyLimit",
    "CronSchedule",
    "IntervalSchedule",
    "Job",
    "Schedule",
    "UnknownJob",
]

TAG = "aegis"
"""Carried by every deployment that the catalogue owns; the sync touches no other."""


class UnknownJob(PermanentFailure):
    """No job of the catalogue has that name. `job` is what was asked for."""

    def __init__(self, job: str, known: tuple[str, ...]) -> None:
        self.job, self.known = job, known
        near = difflib.get_close_matches(job.rpartition("/")[2].replace("-", "_"), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"the catalogue has {', '.join(known) or 'no job'}."
        super().__init__(f"There is no job {job!r} in prefect.yaml. Fix: {hint}")


class ConcurrencyLimit(Frozen):
    """How many runs of the job may be active at once, and what happens to one more.

    `grace_period_seconds` (60 to 86400) is how long a claimed run may take to start before its slot is freed.
    """

    limit: Literal[1]
    collision_strategy: Literal["CANCEL_NEW"]
    grace_period_seconds: int


class Job(Frozen):
    """One entry of the catalogue. `description` is the flow's docstring; `line` is where the entry starts.

    `freshness_seconds` is how old the job's newest output may become; None: it may be any age.
    """

    id: str
    deployment_name: str
    entrypoint: str
    description: str
    schedules: tuple[Schedule, ...]
    parameters: dict[str, Any]
    tags: tuple[str, ...]
    concurrency_limit: ConcurrencyLimit
    work_pool: str
    job_variables: dict[str, Any] = Field(default_factory=dict)
    line: int
    freshness_seconds: int | None = None

    @property
    def flow_name(self) -> str:
        """Prefect's name of the flow; the deployment has the same."""
        return self.deployment_name

    @property
    def full_name(self) -> str:
        """What `prefect deployment run` takes: `health-check/health-check`."""
        return f"{self.flow_name}/{self.deployment_name}"

    @property
    def summary(self) -> str:
        """The first line of the description."""
        return self.description.splitlines()[0]

    def runs_after(self, moment: datetime) -> Iterator[datetime]:
        """Every due time strictly after `moment` (aware), over all schedules, in order, in UTC. Endless."""
        last = None
        for due in merge(*(schedule.after(moment) for schedule in self.schedules)):
            if due != last:
                yield due
            last = due

    def next_runs(self, after: datetime, count: int = 1) -> tuple[datetime, ...]:
        """The next `count` due times strictly after `after` (aware), in UTC; empty without a schedule."""
        return tuple(islice(self.runs_after(after), count))


class Catalogue(Frozen):
    """All jobs, in the order of the file."""

    jobs: tuple[Job, ...]

    def find(self, job: str) -> Job:
        """The job named `health_check`, `health-check` or `health-check/health-check`.

        Raises:
            UnknownJob: there is none; the message names the nearest.
        """
        for known in self.jobs:
            if job in {known.id, known.deployment_name, known.full_name}:
                return known
        raise UnknownJob(job, tuple(known.id for known in self.jobs))
