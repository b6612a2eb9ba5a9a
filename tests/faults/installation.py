"""`aegis up` on a project of its own, and what its jobs did. Injects nothing itself."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

from aegis_lib import clock
from aegis_lib.db import database
from aegis_lib.ledger.policy import SETTLING
from aegis_lib.settings import DatabaseSettings
from deployments import ledger
from tests import postgres
from tests.faults import catalogue
from tests.faults.catalogue import INTERVAL_SECONDS, JOBS, FaultJob
from tests.faults.notes import Note, Notes
from tests.faults.project.fault_effects import DIRECTORY
from tests.faults.surroundings import Network, SmallDisk
from tests.stack_process import StackProcess
from tests.waiting import wait_until


class Installation(StackProcess):
    """One stack with the jobs of the fault table, and what some faults need around it."""

    small_disk: SmallDisk
    network: Network

    def __init__(self, directory: Path, **settings: str) -> None:
        self.notes = Notes(directory / "notes")
        own = {
            "AEGIS_PROJECT_DIR": str(catalogue.write(directory)),
            DIRECTORY: str(directory / "notes"),
        }
        super().__init__(directory, **own, **settings)

    @property
    def database(self) -> DatabaseSettings:
        return postgres.settings_of(self.postgres, name="aegis", connect_timeout_seconds=5)

    def wait_counted(self) -> None:
        """Until the ledger counts the ticks of a row: it expects none in the first minute after a deploy."""
        with database.connect(self.database) as db:
            begun = max(version.since for version in db.ledger.versions(clock.utcnow() - timedelta(days=1)))
        settled = begun + SETTLING + timedelta(seconds=INTERVAL_SECONDS)  # a row's first tick
        left = (settled - clock.utcnow()).total_seconds()
        time.sleep(max(0.0, left))

    def wait_well(self, seconds: float = 120) -> None:
        """Until every job did something for a tick from now on."""
        self.wait_again(clock.utcnow(), seconds)

    def wait_again(self, since: datetime, seconds: float) -> datetime | None:
        """When the last of the jobs acted for a tick due after `since`; None where one has not in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            first = [
                min((note.at for note in self.notes.effects(job) if note.due > since), default=None)
                for job in JOBS
            ]
            if None not in first:
                return max(moment for moment in first if moment is not None)
            time.sleep(0.2)
        return None

    def wait_running(self, job: FaultJob) -> Note:
        """Until a run of it begins; what that noted."""
        seen = len(self.notes.begun(job))
        begun = wait_until(
            lambda: self.notes.begun(job)[seen:],
            description=f"{job.name} to begin",
            timeout_seconds=INTERVAL_SECONDS * 4,
        )
        return begun[-1]

    def wait_pending(self, job: FaultJob) -> str:
        """Until a run of it is claimed and has not begun; its id."""
        wanted = {
            "deployments": {"name": {"any_": [job.name]}},
            "flow_runs": {"state": {"type": {"any_": ["PENDING"]}}},
            "sort": "ID_DESC",
        }

        def claimed() -> str | None:
            return next((str(row["id"]) for row in self.api.filter("/flow_runs/filter", wanted)), None)

        return str(
            wait_until(
                claimed,
                description=f"{job.name} to be claimed",
                timeout_seconds=INTERVAL_SECONDS * 4,
                every_seconds=0.1,
            )
        )

    def state(self, run: str) -> str:
        return str(self.api.get(f"/flow_runs/{run}")["state"]["name"])

    def account(self, start: datetime, end: datetime) -> Counter[str]:
        """The ledger's outcomes of the jobs' ticks in (start, end]; `Unaccounted` where it lacks one."""
        found: Counter[str] = Counter()
        for row in ledger.account(start, end, None, self.database).jobs:
            if row.job_id in {job.name for job in JOBS}:
                found.update(row.outcomes)
                found["Unaccounted"] += row.unaccounted
        return +found

    def keep_ledger(self) -> None:
        """Run the product's own job, now."""

        def done() -> bool:
            run = self.scheduler.run_job("missed_runs")
            wait_until(
                lambda: self.scheduler.runs.find(run.id).final,
                description="the ledger's pass",
                timeout_seconds=120,
                every_seconds=0.3,
            )
            # Cancelled: a pass of its schedule was at it
            return self.scheduler.runs.find(run.id).outcome == "Completed"

        wait_until(done, description="a pass of the ledger", timeout_seconds=180, every_seconds=2)
