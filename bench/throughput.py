"""How many runs of a job that does nothing get through, and what a herd due in one second does.

    python bench/throughput.py [--minutes 1] [--deployments 500] [--patience 120]

Ours and stock, each with a server of its own on embedded PostgreSQL and one worker. For so many minutes
some runs are kept under way or waiting, and the completed ones are counted. Then that many deployments have
one run each due in the same second, known to the server beforehand: seconds from that second until the last
has started, and how late each started. An arm that has not started all within the patience is stopped there,
and lateness is of those that did. Memory is the peak of the PSS of the worker with all its children. The
stock worker is held to a dozen runs at once, which keeps two cores busy. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from deployments import signals
from tests.prefect_rig import Rig, running
from tests.process_costs import cpu_seconds, pss_mb

WARM_UP = 10
WAITING = {"ours": 40, "stock": 6}  # more of stock only fill the memory: six keep two cores busy
FEEDERS = 4  # one alone could not keep up with a busy server
STOCK_LIMIT = 12  # processes at once; without it a herd of stock takes 80 MB for each run
AHEAD_SECONDS = 10.0
MEMORY_LOOK_SECONDS = 2.0
ARMS = (("ours", "aegis"), ("stock", "process"))


@dataclass(frozen=True)
class Herd:
    """What became of runs that were due in the same second; times in seconds after it."""

    started: int
    last_start: float | None
    p50: float | None
    p99: float | None
    peak_pss_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs per minute, and a herd due in one second.")
    parser.add_argument("--minutes", type=float, default=1, help="of the sustained part, for each arm")
    parser.add_argument("--deployments", type=int, default=500)
    parser.add_argument("--patience", type=float, default=120, help="seconds an arm gets for its herd")
    options = parser.parse_args()
    rates: dict[str, float] = {}
    herds: dict[str, Herd] = {}
    for arm, kind in ARMS:
        with running() as rig:
            rig.pool(arm, kind)
            limit = ("--limit", str(STOCK_LIMIT)) if arm == "stock" else ()
            rig.worker(arm, kind, options=limit)
            rates[arm] = sustained(rig, arm, options.minutes * 60)
            herds[arm] = herd(rig, arm, options.deployments, options.patience)
            print(f"{arm}: {herds[arm]}", flush=True)
    report(rates, herds, options.deployments)


def sustained(rig: Rig, arm: str, seconds: float) -> float:
    """Completed runs per minute while there is always one waiting."""
    job = rig.deployment(f"{arm}-sustained", arm)
    rig.feed(job, arm, WARM_UP)
    rig.wait(lambda: count(rig, job, ["COMPLETED"]) == WARM_UP, "the first runs", 120, every=1)
    parts = {"server": rig.processes["server"].pid, "worker and runs": rig.processes[f"worker-{arm}"].pid}
    parts |= {"PostgreSQL": rig.postgres.pid() or 0}
    before = {name: cpu_seconds([pid]) for name, pid in parts.items()}
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        missing = WAITING[arm] - count(rig, job, ["SCHEDULED", "PENDING", "RUNNING"])
        rig.feed(job, arm, missing, feeders=FEEDERS)
        time.sleep(0.5)
    took, done = time.monotonic() - began, count(rig, job, ["COMPLETED"]) - WARM_UP
    spent = ", ".join(
        f"{name} {(cpu_seconds([pid]) - before[name]) / max(done, 1):.3f}" for name, pid in parts.items()
    )
    print(
        f"{arm}: {done} runs in {took:.0f} s; CPU s a run: {spent}; load {os.getloadavg()[0]:.2f}", flush=True
    )
    clear(rig, job)
    return done / took * 60


def count(rig: Rig, job: str, states: list[str]) -> int:
    wanted = {"deployment_id": {"any_": [job]}, "state": {"type": {"any_": states}}}
    return int(rig.api.post("/flow_runs/count", {"flow_runs": wanted}))


def clear(rig: Rig, job: str) -> None:
    """Delete what still waits, and let what runs end."""
    for run in rig.runs(job, state={"type": {"any_": ["SCHEDULED"]}}):
        rig.api.request("DELETE", f"/flow_runs/{run['id']}")
    rig.wait(lambda: count(rig, job, ["PENDING", "RUNNING"]) == 0, "the last runs", 120, every=1)


def herd(rig: Rig, arm: str, size: int, patience: float) -> Herd:
    """So many deployments, each with a run due at the same moment."""
    began = time.monotonic()
    jobs = [rig.deployment(f"{arm}-herd-{number}", arm) for number in range(size)]
    ahead = AHEAD_SECONDS + 1.5 * (time.monotonic() - began)  # their runs are known well before they are due
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=ahead)
    for job in jobs:
        rig.feed(job, arm, 1, due)
    with peak_of(rig.processes[f"worker-{arm}"].pid) as peak:
        time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
        until = time.monotonic() + patience
        while len(starts := started(rig, jobs)) < size and time.monotonic() < until:
            time.sleep(1)
    late = sorted((moment - due).total_seconds() for moment in starts)
    if not late:
        return Herd(0, None, None, None, peak[0])
    return Herd(
        started=len(late),
        last_start=late[-1] if len(late) == size else None,
        p50=statistics.median(late),
        p99=late[int(len(late) * 0.99) - 1],
        peak_pss_mb=peak[0],
    )


def started(rig: Rig, jobs: list[str]) -> list[datetime]:
    """When those runs started that have."""
    wanted = {"flow_runs": {"deployment_id": {"any_": jobs}, "start_time": {"is_null_": False}}}
    rows = rig.api.filter("/flow_runs/filter", {**wanted, "sort": "ID_DESC"})
    return [datetime.fromisoformat(row["start_time"]) for row in rows if row["run_count"]]


@contextmanager
def peak_of(pid: int) -> Iterator[list[float]]:
    """The highest PSS of a process and its children during a `with`."""
    peak, over = [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(MEMORY_LOOK_SECONDS):
            peak[0] = max(peak[0], pss_mb([pid]))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def report(rates: dict[str, float], herds: dict[str, Herd], size: int) -> None:
    print(f"\n{'arm':<8}{'runs/min':>9}{'herd':>7}{'last s':>8}{'p50 s':>8}{'p99 s':>8}{'peak PSS MB':>13}")
    for arm, found in herds.items():
        times = "".join(
            f"{'-' if value is None else format(value, '.1f'):>8}"
            for value in (found.last_start, found.p50, found.p99)
        )
        print(f"{arm:<8}{rates[arm]:>9.0f}{found.started:>7}{times}{found.peak_pss_mb:>13.0f}")
    ours = herds["ours"]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f} at the end")
    found_all = {
        "runs_per_minute": round(rates["ours"], 1),
        "runs_per_minute_stock": round(rates["stock"], 1),
        "herd_last_start_seconds": ours.last_start and round(ours.last_start, 1),
        "herd_p50_seconds": ours.p50 and round(ours.p50, 2),
        "herd_p99_seconds": ours.p99 and round(ours.p99, 2),
        "herd_peak_pss_mb": round(ours.peak_pss_mb),
        "herd_size": size,
        "herd_started": ours.started,
        "herd_started_stock": herds["stock"].started,
    }
    print(json.dumps(found_all))


if __name__ == "__main__":
    with signals.as_interrupts():  # whatever ends it, what it started ends too
        main()
