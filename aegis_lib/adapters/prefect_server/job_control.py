"""Jobs as a person at a distance treats them: listed, run, paused, resumed. Takes no parameters of a run.

The refusals are those of `jobs`, which the `aegis` command uses too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aegis_lib.adapters.prefect_server.api import PrefectApi
from aegis_lib.adapters.prefect_server.job_view import JobView
from aegis_lib.adapters.prefect_server.jobs import Jobs
from aegis_lib.commands.model import AskedRun, Availability, JobLine
from aegis_lib.settings import PrefectApiSettings

DECISION_SECONDS = 5.0
"""How long the server is waited for to say whether a run may start beside another one."""


class JobControl:
    """Implements the port `JobControl`."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def availability(self) -> Availability:
        """Whether a run that is asked for now would start."""
        found = self._jobs.availability()
        return Availability(running=found.running, worker_online=found.worker_online)

    def jobs(self) -> list[JobLine]:
        """Every job, by name."""
        return [_line(job) for job in self._jobs.list_jobs()]

    def run(self, job: str, key: str) -> AskedRun:
        """Ask for a run now; the same `key` again is the same run."""
        asked = self._jobs.run_job(job, idempotency_key=key)
        beside = self._jobs.runs.beside(asked)
        if beside is not None:
            asked = self._jobs.runs.settle(asked.id, within_seconds=DECISION_SECONDS)
        job_id = asked.job_id or job
        return AskedRun(
            job_id=job_id,
            run=asked.name,
            refused=asked.refused,
            beside=beside.name if beside else None,
            paused=self._jobs.job(job_id).paused,
            availability=self.availability(),
        )

    def pause(self, job: str) -> JobLine:
        """Start no further scheduled run of it; twice is once."""
        return _line(self._jobs.pause_job(job))

    def resume(self, job: str) -> JobLine:
        """Undo that; twice is once."""
        return _line(self._jobs.resume_job(job))


def _line(job: JobView) -> JobLine:
    return JobLine(
        id=job.id,
        schedule=job.schedule,
        next_run=job.next_run,
        paused=job.paused,
        running=job.running is not None,
        last_outcome=job.last_outcome,
        last_run=job.last_run,
    )


@contextmanager
def connect(settings: PrefectApiSettings | None = None) -> Iterator[JobControl]:
    """The jobs of the server that `settings` name; without a URL the one of this machine.

    Raises:
        Misconfigured: one of the settings has a value that cannot work.
    """
    with PrefectApi.from_settings(settings) as api:
        yield JobControl(Jobs(api))
