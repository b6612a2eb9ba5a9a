"""Many runs through one warm worker: does anything hang, and does anything grow.

    python bench/soak.py [--runs 2000] [--at-once 200] [--minutes 14]

First `--runs` runs of a job that does nothing, a few of them waiting at any time, then `--at-once` due in
the same moment. Before, in between and after, when nothing runs, are counted: the open descriptors of the
worker and of its warm processes, their own memory (USS), and the processes below the worker. A run that does
not end, a process that stays, or ten descriptors more than after the first runs make exit code 1. When the
time is up no more runs are begun; the table says how many there were. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil

from deployments import signals
from tests.prefect_rig import Rig, running
from tests.process_costs import open_files, tree

WARM_UP = 20
WAITING = 40
FEEDERS = 4
SETTLE_SECONDS = 8.0
KEPT_CONNECTIONS = 10  # to the server, which the worker's client keeps open for a while
_MB = 1024 * 1024


@dataclass(frozen=True)
class Look:
    """What the worker and its warm processes hold while nothing runs."""

    runs: int
    processes: int
    descriptors: int
    worker_uss_mb: float
    warm_uss_mb: float
    all_pss_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(description="Many runs through one warm worker.")
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=14, help="time for all of it")
    options = parser.parse_args()
    with running() as rig:
        sys.exit(soak(rig, options.runs, options.at_once, time.monotonic() + options.minutes * 60))


def soak(rig: Rig, wanted: int, at_once: int, until: float) -> int:
    rig.pool("soak", "aegis")
    job = rig.deployment("soak", "soak")
    rig.worker("soak", "aegis")
    herd_until = until - max(30.0, at_once * 0.7)
    feed(rig, job, WARM_UP, until)
    looks = [look(rig, WARM_UP)]
    began = time.monotonic()
    for part in range(4):
        done = feed(rig, job, wanted * (part + 1) // 4 - wanted * part // 4, herd_until)
        looks.append(look(rig, looks[-1].runs + done))
        print(f"\r{looks[-1].runs} runs", end="", file=sys.stderr, flush=True)
    seconds = time.monotonic() - began
    in_a_row = looks[-1].runs - WARM_UP
    rig.feed(job, "soak", at_once)
    left = drain(rig, job, until)
    looks.append(look(rig, looks[-1].runs + at_once - left))
    return report(looks, in_a_row, at_once, left, counts(rig, job), seconds)


def feed(rig: Rig, job: str, wanted: int, until: float) -> int:
    """Trigger so many runs, never more than `WAITING` ahead, and wait for the last."""
    triggered = 0
    while triggered < wanted and time.monotonic() < until:
        more = max(0, min(WAITING - unfinished(rig, job), wanted - triggered))
        rig.feed(job, "soak", more, feeders=FEEDERS)
        triggered += more
        time.sleep(0.5)
    drain(rig, job, until + 60)
    return triggered


def drain(rig: Rig, job: str, until: float) -> int:
    while (left := unfinished(rig, job)) and time.monotonic() < until:
        time.sleep(1)
    return left


def unfinished(rig: Rig, job: str) -> int:
    states = ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING"]
    return count(rig, job, states)


def count(rig: Rig, job: str, states: list[str]) -> int:
    wanted = {"deployment_id": {"any_": [job]}, "state": {"type": {"any_": states}}}
    return int(rig.api.post("/flow_runs/count", {"flow_runs": wanted}))


def counts(rig: Rig, job: str) -> dict[str, int]:
    return {state: count(rig, job, [state]) for state in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")}


def look(rig: Rig, runs: int) -> Look:
    time.sleep(SETTLE_SECONDS)
    worker, *warm = tree([rig.processes["worker-soak"].pid])
    return Look(
        runs=runs,
        processes=1 + len(warm),
        descriptors=sum(open_files(process.pid) for process in (worker, *warm)),
        worker_uss_mb=uss(worker),
        warm_uss_mb=sum(map(uss, warm)),
        all_pss_mb=sum(process.memory_full_info().pss for process in (worker, *warm)) / _MB,
    )


def uss(process: psutil.Process) -> float:
    return float(process.memory_full_info().uss) / _MB


def report(
    looks: list[Look], in_a_row: int, at_once: int, left: int, ended: dict[str, int], seconds: float
) -> int:
    print(f"\n{'runs':>6}{'processes':>11}{'descriptors':>13}{'worker USS':>12}{'warm USS':>10}{'PSS MB':>8}")
    for found in looks:
        print(
            f"{found.runs:>6}{found.processes:>11}{found.descriptors:>13}{found.worker_uss_mb:>12.1f}"
            f"{found.warm_uss_mb:>10.1f}{found.all_pss_mb:>8.1f}"
        )
    print(f"{ended}; {left} of {at_once} at once left; load {os.getloadavg()[0]:.2f}")
    first, last = looks[0], looks[-1]
    green = (
        left == 0
        and ended["COMPLETED"] == last.runs
        and last.processes == first.processes
        and last.descriptors <= first.descriptors + KEPT_CONNECTIONS
    )
    figures: dict[str, object] = {
        "runs": in_a_row,
        "at_once": at_once,
        "not_completed": last.runs - ended["COMPLETED"],
        "left": left,
        "runs_per_minute": round(in_a_row / seconds * 60, 1),
        **{f"first_{name}": value for name, value in asdict(first).items() if name != "runs"},
        **{f"last_{name}": value for name, value in asdict(last).items() if name != "runs"},
        "green": green,
    }
    print(json.dumps({key: round(v, 1) if isinstance(v, float) else v for key, v in figures.items()}))
    return 0 if green else 1


if __name__ == "__main__":
    with signals.as_interrupts():  # whatever ends it, what it started ends too
        main()
