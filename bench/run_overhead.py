"""What it costs to run a job that does nothing: ours, Prefect's own process worker, and two references.

    python bench/run_overhead.py [--runs 40] [--minutes 14.5] [--no-references] [--dagster-venv PATH]

One server on embedded PostgreSQL; two workers on it at the same time, a run of each arm in turn, until
`--runs` of each or until the time is up; the table says how many. Times are the server's own: of the run's
states. Processor time is that of the server, PostgreSQL, the workers and the run's process together, from the
trigger until two seconds after the run's end, less what all of it uses in the same time when nothing runs.

References, measured alone and afterwards, part of no ratio. APScheduler 3, in-process, starting a subprocess
for each job: no history, no pages, no log of runs. Dagster: bench/dagster_reference.py. Each is installed
into a directory of its own outside of this project and left out where that cannot be done. The last line is
JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import dagster_reference
from deployments import signals
from tests.prefect_rig import Rig, running

SETTLE_SECONDS = 2.0
IDLE_SECONDS = 15.0
REFERENCE_RUNS = 10
REFERENCE_MINUTES = 3.0
REFERENCE = """
import json, resource, subprocess, sys, time
from apscheduler.schedulers.background import BackgroundScheduler
scheduler = BackgroundScheduler()
scheduler.start()
rows = []
def job():
    global started, ended
    program = "print(__import__('time').time())"
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    started = float(child.communicate()[0])
    ended = time.time()
for number in range(int(sys.argv[1])):
    started = ended = None
    before = sum(resource.getrusage(who)[0] + resource.getrusage(who)[1]
                 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    asked = time.time()
    scheduler.add_job(job)
    while ended is None:
        time.sleep(0.002)
    after = sum(resource.getrusage(who)[0] + resource.getrusage(who)[1]
                for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    rows.append((started - asked, ended - asked, after - before))
print(json.dumps(rows))
"""


@dataclass
class Arm:
    """One way to run a job."""

    name: str
    start: list[float] = field(default_factory=list)
    completed: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def of(self, rows: Iterable[Sequence[float]]) -> Arm:
        """With these as start, completed and processor seconds of its runs."""
        for start, completed, cpu in rows:
            self.start.append(start)
            self.completed.append(completed)
            self.cpu.append(cpu)
        return self

    def row(self) -> tuple[str, ...]:
        ordered = sorted(self.start)
        return (
            self.name,
            str(len(self.start)),
            f"{statistics.median(self.start):.3f}",
            f"{ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]:.3f}",
            f"{statistics.median(self.completed):.3f}",
            f"{statistics.mean(self.cpu):.3f}",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=40, help="runs of each arm")
    parser.add_argument("--minutes", type=float, default=14.5, help="time for all of it")
    parser.add_argument("--no-references", action="store_true", help="leave APScheduler and Dagster out")
    parser.add_argument("--dagster-venv", type=Path, default=dagster_reference.VENV)
    options = parser.parse_args()
    until = time.monotonic() + options.minutes * 60
    if not options.no_references:
        until -= REFERENCE_MINUTES * 60

    ours, stock, command = Arm("ours (aegis)"), Arm("process worker"), Arm("process worker, `command`")
    with running() as rig:
        rig.pool("ours", "aegis")
        rig.pool("stock", "process")
        engine = {"command": f"{sys.executable} -m prefect.engine"}
        deployments = {
            ours.name: rig.deployment("ours", "ours"),
            stock.name: rig.deployment("stock", "stock"),
            command.name: rig.deployment("stock-command", "stock", job_variables=engine),
        }
        rig.worker("ours", "aegis")
        rig.worker("stock", "process")
        for arm in (ours, stock, command):
            rig.finish(rig.trigger(deployments[arm.name]))  # warm: caches, imports, first heartbeat
        time.sleep(SETTLE_SECONDS)
        idle = idle_rate(rig)
        for number in range(options.runs):
            if time.monotonic() > until - IDLE_SECONDS:
                break
            for arm in (ours, stock, command):
                measure(rig, arm, deployments[arm.name], idle)
            print(f"\r{number + 1} rounds", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        idle_after = idle_rate(rig)
    arms = [ours, stock, command]
    if not ours.start:
        raise SystemExit("Not one round fits into the time; give more --minutes.")
    if not options.no_references:
        found = (apscheduler(options.runs), dagster(options.dagster_venv, options.runs))
        arms += [reference for reference in found if reference]
    report(arms, idle, idle_after)


def measure(rig: Rig, arm: Arm, deployment: str, idle: float) -> None:
    began, before, asked = time.monotonic(), rig.cpu_seconds(), time.time()
    run = rig.trigger(deployment)
    row = rig.finish(run)
    if row["state"]["type"] != "COMPLETED":
        raise SystemExit(f"{arm.name}: {row['state']}")
    time.sleep(SETTLE_SECONDS)
    used, seconds = rig.cpu_seconds() - before, time.monotonic() - began
    states = rig.states(run)
    arm.start.append((states["Running"] - states["Pending"]).total_seconds())
    arm.completed.append(states["Completed"].timestamp() - asked)
    arm.cpu.append(used - idle * seconds)


def idle_rate(rig: Rig) -> float:
    """Processor seconds a second while nothing runs."""
    before = rig.cpu_seconds()
    time.sleep(IDLE_SECONDS)
    return (rig.cpu_seconds() - before) / IDLE_SECONDS


def apscheduler(runs: int) -> Arm | None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="aegis-bench-") as directory:
        installed = subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--target", directory, "apscheduler<4"],
            capture_output=True,
            text=True,
        )
        if installed.returncode != 0:
            print("APScheduler cannot be installed; left out.", file=sys.stderr)
            return None
        done = subprocess.run(
            [sys.executable, "-c", REFERENCE, str(runs)],
            env={"PYTHONPATH": directory, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        )
    return Arm("reference: APScheduler 3, a subprocess a job").of(json.loads(done.stdout))


def dagster(venv: Path, runs: int) -> Arm | None:
    program = dagster_reference.program(venv)
    if program is None:
        print("Dagster cannot be installed; left out.", file=sys.stderr)
        return None
    try:
        rows = dagster_reference.measure(program, min(runs, REFERENCE_RUNS), REFERENCE_MINUTES - 1)
    except (TimeoutError, httpx.HTTPError) as error:
        print(f"Dagster is left out: {type(error).__name__}: {error}", file=sys.stderr)
        return None
    if not rows:
        print("Dagster is left out: it ended no run in its time.", file=sys.stderr)
        return None
    return Arm(f"reference: Dagster {dagster_reference.version(program)}, launched->started").of(rows)


def report(arms: list[Arm], idle: float, idle_after: float) -> None:
    head = ("arm", "runs", "Pending->Running s", "p95 s", "trigger->Completed s", "CPU s a run")
    rows = [arm.row() for arm in arms]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    print(
        f"\nidle: {idle:.3f} CPU s a second before, {idle_after:.3f} after; "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}"
    )
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    ours, stock, command = arms[:3]
    found = {
        "start_ratio_stock": round(statistics.median(stock.start) / statistics.median(ours.start), 1),
        "start_ratio_stock_command": round(
            statistics.median(command.start) / statistics.median(ours.start), 1
        ),
        "start_median_seconds": round(statistics.median(ours.start), 4),
        "completed_median_seconds": round(statistics.median(ours.completed), 4),
        "cpu_ratio_stock": round(statistics.mean(stock.cpu) / statistics.mean(ours.cpu), 1),
        "cpu_seconds": round(statistics.mean(ours.cpu), 4),
        "runs": len(ours.start),
        "bench_peak_mb": peak_mb,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    with signals.as_interrupts():  # whatever ends it, what it started ends too
        main()
