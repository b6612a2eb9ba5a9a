"""What an installation costs while nobody looks: processor and memory of all parts; ours and stock Prefect.

    python bench/idle.py [--minutes 10] [--ours-only]

Ours is `aegis up` on an empty data directory of its own, with all jobs of the catalogue on schedule. Stock is
what Prefect comes with, on the same PostgreSQL and with the same jobs and automations, for the same time
afterwards: `prefect server start` and one worker of type `process`, with none of our settings. Ten minutes
hold the same ticks in both: ten of the job of each minute, two of each that runs every five.

Processor time is the sum over all processes, those that have ended included, as the kernel counts it; other
work on the machine adds little to it. Memory is PSS, the median of a look every 15 s. The jobs see no Docker
engine, so that nothing on this machine is touched. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from deployments import signals
from tests.process_costs import cpu_seconds, pss_mb
from tests.stack_process import StackProcess, temporary_directory
from tests.waiting import wait_until

SETTLE_SECONDS = 15.0
LOOK_SECONDS = 15.0
Roots = Mapping[str, list[int]]


def main() -> None:
    parser = argparse.ArgumentParser(description="What an installation costs while nobody looks.")
    parser.add_argument("--minutes", type=float, default=10, help="measured time of each arm")
    parser.add_argument("--ours-only", action="store_true", help="leave stock out")
    options = parser.parse_args()
    with temporary_directory() as directory:
        stack = StackProcess(directory, DOCKER_HOSTS=f"unix://{directory}/no-engine.sock")
        try:
            with ours(stack) as roots:
                found = measure("ours", stack, roots, options.minutes * 60)
            if not options.ours_only:
                with stock(stack, directory) as roots:
                    peer = measure("stock", stack, roots, options.minutes * 60)
                found |= {f"{name}_stock": value for name, value in peer.items()}
        finally:
            stack.close()
    print(json.dumps({**found, "minutes": options.minutes}))


@contextmanager
def ours(stack: StackProcess) -> Iterator[Callable[[], Roots]]:
    """`aegis up`; the processes at the root of each part."""
    stack.start()

    def roots() -> Roots:
        assert stack.process is not None
        parts = {"server": stack.server(), "worker and runs": stack.worker()}
        found = {name: [process.pid] for name, process in parts.items() if process}
        return {**found, "PostgreSQL": postgres_of(stack), "all": [stack.process.pid, *postgres_of(stack)]}

    try:
        yield roots
    finally:
        stack.interrupt()


@contextmanager
def stock(stack: StackProcess, directory: Path) -> Iterator[Callable[[], Roots]]:
    """Prefect's server and process worker as they come, on the data that `ours` left."""
    kept = {name: value for name, value in stack.environment.items() if not name.startswith("PREFECT_")}
    environment = {
        **kept,
        "PREFECT_HOME": str(directory / "stock"),
        "PREFECT_API_URL": f"http://127.0.0.1:{stack.port}/api",
    }
    elsewhere = directory / "elsewhere"  # no prefect.toml of ours is found there
    elsewhere.mkdir()
    started: dict[str, subprocess.Popen[bytes]] = {}

    def start(name: str, *words: str, **settings: str) -> None:
        with (directory / f"stock-{name}.log").open("ab") as log:
            started[name] = subprocess.Popen(
                [sys.executable, "-m", "prefect", *words],
                cwd=elsewhere,
                env={**environment, **settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    stack.postgres.start()
    try:
        url = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": stack.postgres.sqlalchemy_url("prefect")}
        start("server", "server", "start", "--host", "127.0.0.1", "--port", str(stack.port), **url)
        wait_until(stack.api.healthy, description="the stock server", timeout_seconds=120)
        stack.api.post("/work_pools/", {"name": "stock", "type": "process"})
        for row in stack.api.filter("/deployments/filter"):
            change = {"work_pool_name": "stock", "job_variables": {}}
            stack.api.patch(f"/deployments/{row['id']}", change)
        start("worker", "worker", "start", "--pool", "stock", "--type", "process", "--name", "stock")

        def online() -> bool:
            return bool(stack.api.filter("/work_pools/stock/workers/filter"))

        wait_until(online, description="the stock worker", timeout_seconds=90)
        server, worker = [started["server"].pid], [started["worker"].pid]
        database = postgres_of(stack)
        yield lambda: {
            "server": server,
            "worker and runs": worker,
            "PostgreSQL": database,
            "all": [*server, *worker, *database],
        }
    finally:
        for process in reversed(started.values()):
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        stack.postgres.stop()


def postgres_of(stack: StackProcess) -> list[int]:
    return [pid] if (pid := stack.postgres.pid()) else []


def measure(arm: str, stack: StackProcess, roots: Callable[[], Roots], seconds: float) -> dict[str, float]:
    """Wait, look, and print what each part used."""
    time.sleep(SETTLE_SECONDS)
    parts = roots()
    runs = runs_over(stack)
    before = {name: cpu_seconds(pids) for name, pids in parts.items()}
    began = time.monotonic()
    memory: dict[str, list[float]] = {name: [] for name in parts}
    while (left := began + seconds - time.monotonic()) > 0:
        time.sleep(min(left, LOOK_SECONDS))
        for name, pids in parts.items():
            memory[name].append(pss_mb(pids))
    took = time.monotonic() - began
    used = {name: 100 * (cpu_seconds(pids) - before[name]) / took for name, pids in parts.items()}
    print(f"\n{arm}: {runs_over(stack) - runs} runs in {took:.0f} s, load {os.getloadavg()[0]:.2f}")
    print(f"{'part':<18}{'% of a core':>12}{'PSS MB':>10}{'highest':>10}")
    for name in parts:
        row = f"{used[name]:>12.2f}{statistics.median(memory[name]):>10.0f}{max(memory[name]):>10.0f}"
        print(f"{name:<18}{row}", flush=True)
    return {
        "cpu_percent_of_core": round(used["all"], 2),
        "pss_mb": round(statistics.median(memory["all"]), 1),
        "load": round(os.getloadavg()[0], 2),
    }


def runs_over(stack: StackProcess) -> int:
    wanted = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}}}
    return int(stack.api.post("/flow_runs/count", wanted))


if __name__ == "__main__":
    with signals.as_interrupts():  # whatever ends it, what it started ends too
        main()
