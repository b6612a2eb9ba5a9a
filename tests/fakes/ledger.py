"""A fake of the runs that a server knows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from aegis_lib.ledger.model import ScheduledRun, ServerJob


class FakeScheduledRuns:
    """A server's runs and jobs in lists; set `broken` to make every call raise it."""

    def __init__(self) -> None:
        self.held: list[ScheduledRun] = []
        self.server_jobs: list[ServerJob] = []
        self.outputs: dict[str, datetime] = {}
        self.broken: Exception | None = None
        self.asked: list[tuple[datetime, datetime]] = []

    def runs(self, start: datetime, end: datetime) -> list[ScheduledRun]:
        self._check()
        self.asked.append((start, end))
        return [run for run in self.held if start <= run.due_at <= end]

    def runs_by_id(self, ids: Sequence[str]) -> list[ScheduledRun]:
        self._check()
        return [run for run in self.held if run.id in ids]

    def jobs(self) -> list[ServerJob]:
        self._check()
        return list(self.server_jobs)

    def newest_output(self, job_id: str, before: datetime) -> datetime | None:
        self._check()
        newest = self.outputs.get(job_id)
        return newest if newest is not None and newest <= before else None

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken
