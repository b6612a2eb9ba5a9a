"""The same faults on Prefect as it comes: its own settings, its process worker, restarted as a service is."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from aegis_lib import clock
from tests.faults import catalogue
from tests.faults.catalogue import TOIL
from tests.faults.notes import Notes
from tests.faults.project.fault_effects import DIRECTORY
from tests.prefect_rig import Rig
from tests.stack_process import temporary_directory

INTERVAL_SECONDS = 30  # a run of the process worker takes seconds to start
RESTART_SECONDS = 2.0
_WORKER = "worker-stock"
_LIMIT: dict[str, Any] = {
    "concurrency_limit": 1,
    "concurrency_options": {"collision_strategy": "CANCEL_NEW", "grace_period_seconds": 60},
}


@dataclass
class StockRow:
    """What a fault did to a job of every 30 s. `again_seconds` is None where it never ran again."""

    name: str
    again_seconds: float | None
    waited_seconds: float
    outcomes: Counter[str]


class Stock:
    """Prefect's server and process worker with one job."""

    def __init__(self, directory: Path) -> None:
        self.notes = Notes(directory / "notes")
        self.rig = Rig(
            directory, AEGIS_DATA_DIR=str(directory / "aegis"), **{DIRECTORY: str(directory / "notes")}
        )
        (self.rig.project / "prefect.toml").unlink()  # ours
        shutil.copytree(catalogue.PROJECT, self.rig.project, dirs_exist_ok=True)
        self.job = ""

    def start(self) -> None:
        self.rig.start()
        self.rig.pool("stock", "process")
        schedule = {"interval": INTERVAL_SECONDS, "anchor_date": TOIL.anchor.isoformat()}
        self.job = self.rig.deployment(
            "toil", "stock", flow="toil", schedules=[{"schedule": schedule, "active": True}], **_LIMIT
        )
        self.rig.worker("stock", "process")

    def in_state(self, state: str) -> None:
        """Wait until a run is in it."""
        wanted = {"state": {"type": {"any_": [state]}}}
        self.rig.wait(lambda: self.rig.runs(self.job, **wanted), f"a run in {state}", 180, every=0.2)

    def restart_server(self) -> datetime:
        """Stop the server in order, and start it again; returns when it was stopped."""
        since = clock.utcnow()
        self.rig.stop_server()
        time.sleep(RESTART_SECONDS)
        self.rig.start_server()
        return since

    def kill_worker_and_run(self) -> datetime:
        """End both at once, and start the worker again; returns when they were killed."""
        run = self.rig.wait(self._at_work, "a run at work", 90, every=0.1)
        since = clock.utcnow()
        self.rig.stop_worker(_WORKER, signal.SIGKILL)
        os.kill(run, signal.SIGKILL)
        time.sleep(RESTART_SECONDS)
        self.rig.worker("stock", "process")
        return since

    def _at_work(self) -> int | None:
        """The process of the newest run that has begun, while it lives; RUNNING comes before its flow."""
        begun = self.notes.begun()
        return begun[-1].pid if begun and psutil.pid_exists(begun[-1].pid) else None

    def again(self, since: datetime, patience_seconds: float) -> float | None:
        """Seconds from `since` until a run began whose tick was due after it; a worker may begin early."""
        deadline = time.monotonic() + patience_seconds
        while time.monotonic() < deadline:
            found = [note.at for note in self.notes.begun() if since < min(note.due, note.at)]
            if found:
                return (min(found) - since).total_seconds()
            time.sleep(0.5)
        return None

    def outcomes(self, since: datetime) -> Counter[str]:
        """The states of the runs due after `since` and by now."""
        due = {"after_": since.isoformat(), "before_": datetime.now(UTC).isoformat()}
        return Counter(row["state"]["name"] for row in self.rig.runs(self.job, expected_start_time=due))


@contextmanager
def running() -> Iterator[Stock]:
    with temporary_directory() as directory:
        stock = Stock(directory)
        try:
            stock.start()
            yield stock
        finally:
            stock.rig.stop()


def measure(patience_seconds: float) -> list[StockRow]:
    """Both faults, each on an installation of its own."""
    rows = []
    for name, state, strike in (
        ("server-restart-pending", "PENDING", Stock.restart_server),
        ("worker-run-kill", "RUNNING", Stock.kill_worker_and_run),
    ):
        with running() as stock:
            stock.in_state("RUNNING")
            stock.in_state("PENDING")  # of a later run: everything is warm
            stock.in_state(state)
            since = strike(stock)
            again = stock.again(since, patience_seconds)
            waited = (clock.utcnow() - since).total_seconds()
            rows.append(StockRow(name, again, waited, stock.outcomes(since)))
    return rows
