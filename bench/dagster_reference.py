"""Dagster as a reference for bench/run_overhead.py: an op that does nothing, launched as its pages launch it.

`dagster dev` (web server, daemon and code server) with its defaults but telemetry, on its default storage. A
run is launched over GraphQL, taken by the daemon's queue and started by the default launcher; the times are
of Dagster's own run record: launched -> started, and from the request to the record's end. No ratio is made
of them: other storage, another queue, another idea of a run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from tests.loopback import free_port
from tests.process_costs import cpu_seconds

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aegis-bench"
VENV = CACHE / "dagster"
PACKAGES = ("dagster", "dagster-webserver")
START_SECONDS, RUN_SECONDS, SETTLE_SECONDS, IDLE_SECONDS = 90.0, 60.0, 2.0, 15.0
JOB = """\
import dagster


@dagster.op
def nothing():
    pass


@dagster.job
def noop():
    nothing()


definitions = dagster.Definitions(jobs=[noop])
"""
LOCATIONS = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"
LAUNCH = """mutation($selector: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $selector, mode: "default"}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
RECORD = """query($id: ID!) { runOrError(runId: $id) { ... on Run { status
  stats { ... on RunStatsSnapshot { enqueuedTime launchTime startTime endTime } } } } }"""
Row = tuple[float, float, float]


def program(venv: Path) -> Path | None:
    """Its command, installed into a virtual environment of its own where missing; None: it cannot be."""
    command = venv / "bin" / "dagster"
    if not command.exists():
        print(f"installing Dagster into {venv}", file=sys.stderr)
        venv.parent.mkdir(parents=True, exist_ok=True)
        made = subprocess.run([sys.executable, "-m", "venv", str(venv)])
        pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "-q", *PACKAGES]
        if made.returncode != 0 or subprocess.run(pip).returncode != 0:
            return None
    return command


def version(command: Path) -> str:
    said = subprocess.run([str(command), "--version"], capture_output=True, text=True, check=True)
    return said.stdout.split()[-1]


def measure(command: Path, runs: int, minutes: float) -> list[Row]:
    """Of each run: seconds from launch to start, from the request to its end, and processor seconds."""
    rows: list[Row] = []
    until = time.monotonic() + minutes * 60
    with serving(command) as (process, url), httpx.Client(timeout=60) as client:

        def ask(query: str, **variables: Any) -> Any:
            answer = client.post(url, json={"query": query, "variables": variables}).raise_for_status()
            return answer.json()["data"]

        repository = wait(lambda: found_repository(ask), START_SECONDS, 0.5)
        one_run(ask, repository)
        time.sleep(SETTLE_SECONDS)
        before, began = cpu_seconds([process.pid]), time.monotonic()
        time.sleep(IDLE_SECONDS)
        idle = (cpu_seconds([process.pid]) - before) / (time.monotonic() - began)
        while len(rows) < runs and time.monotonic() < until:
            before, began = cpu_seconds([process.pid]), time.monotonic()
            start, completed = one_run(ask, repository)
            time.sleep(SETTLE_SECONDS)
            used = cpu_seconds([process.pid]) - before - idle * (time.monotonic() - began)
            rows.append((start, completed, used))
    return rows


@contextmanager
def serving(command: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`dagster dev` in a directory of its own for the time of a `with`; the process, its GraphQL address."""
    with tempfile.TemporaryDirectory(prefix="aegis-bench-") as directory:
        home, port = Path(directory), free_port()
        (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        (home / "job.py").write_text(JOB)
        with (home / "dagster.log").open("wb") as log:
            process = subprocess.Popen(
                [str(command), "dev", "-f", "job.py", "-h", "127.0.0.1", "-p", str(port)],
                cwd=home,
                env={"DAGSTER_HOME": directory, "HOME": directory, "PATH": f"{command.parent}:/usr/bin:/bin"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process, f"http://127.0.0.1:{port}/graphql"
        finally:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def found_repository(ask: Any) -> dict[str, str] | None:
    try:
        nodes = ask(LOCATIONS)["repositoriesOrError"].get("nodes")
    except httpx.HTTPError:
        return None
    if not nodes:
        return None
    return {"repositoryName": nodes[0]["name"], "repositoryLocationName": nodes[0]["location"]["name"]}


def one_run(ask: Any, repository: dict[str, str]) -> tuple[float, float]:
    asked = time.time()
    launched = ask(LAUNCH, selector={**repository, "jobName": "noop"})["launchRun"]
    if launched["__typename"] != "LaunchRunSuccess":
        raise SystemExit(f"Dagster does not launch: {launched}")

    def over() -> dict[str, Any] | None:
        record: dict[str, Any] = ask(RECORD, id=launched["run"]["runId"])["runOrError"]
        return record if record["status"] in {"SUCCESS", "FAILURE", "CANCELED"} else None

    record = wait(over, RUN_SECONDS, 1.0)
    times = record["stats"]
    if record["status"] != "SUCCESS":
        raise SystemExit(f"Dagster: {record}")
    return times["startTime"] - times["launchTime"], times["endTime"] - asked


def wait(condition: Any, seconds: float, every: float) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Dagster did not answer within {seconds:.0f} s")
        time.sleep(every)
    return found
