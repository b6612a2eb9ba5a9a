"""The stack of docker-compose.yml: cold start, size, memory, an upgrade, and what a run in a container costs.

    python bench/compose.py [--runs 10]

Needs a Docker engine, docker-compose and the base images (or `tests/images/make`). Everything is made under a
project name and a port of its own and removed at the end.

Cold start is from `up -d` on empty volumes, with the image built, to the end of the first run. Memory is
what each container holds in its control group less cached files, ten seconds after the last run. An upgrade
replaces every container of ours by another image across a full minute, while `alert_dispatch` is due each
minute; lost is a tick that the ledger calls Missed, Outage or Misfired. A run's start is its time from
Pending to Running: of a job on the Docker pool and of one on the warm worker, in turn. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import docker

from deployments import signals
from tests import compose_stack
from tests.compose_stack import ComposeStack
from tests.waiting import wait_until

PROFILE = ("--profile", "docker-pool")
ON_DOCKER, ON_WARM = "morning_status", "evening_summary"
LOST = ("Missed", "Outage", "Misfired")
SETTLE_SECONDS = 10.0
BEFORE_THE_MINUTE = 8.0
_MB = 1024 * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description="What the stack of containers costs.")
    parser.add_argument("--runs", type=int, default=10, help="runs on each pool")
    options = parser.parse_args()
    compose_stack.command()
    compose_stack.require_base_images()
    compose_stack.build_image()
    client = docker.APIClient()
    with tempfile.TemporaryDirectory(prefix="aegis-bench-", dir="/var/tmp") as place:
        stack = ComposeStack(client, Path(place))
        (stack.config / "aegis.yaml").write_text("containers:\n  only_label: aegis.of-this-bench\n")
        try:
            found = measure(stack, client, options.runs)
        finally:
            stack.down()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f} at the end")
    print(json.dumps(found))


def measure(stack: ComposeStack, client: docker.APIClient, runs: int) -> dict[str, Any]:
    image_mb = client.inspect_image(compose_stack.IMAGE)["Size"] / _MB
    began = time.monotonic()
    stack.up()
    healthy = time.monotonic() - began
    assert stack.outcome_of("health_check") == "Completed"
    cold = time.monotonic() - began
    print(
        f"image {image_mb:.0f} MB; all parts healthy after {healthy:.1f} s, first run over after {cold:.1f} s"
    )
    memory = memory_mb(stack, client)
    lost = upgrade(stack)
    starts = both_pools(stack, runs)
    docker_start, warm_start = (statistics.median(starts[job]) for job in (ON_DOCKER, ON_WARM))
    print(
        f"start of a run, median of {runs}: Docker pool {docker_start:.2f} s, warm worker {warm_start:.2f} s"
    )
    return {
        "cold_start_seconds": round(cold, 1),
        "image_mb": round(image_mb),
        "memory_mb": round(sum(memory.values())),
        "upgrade_gap_ticks": lost,
        "docker_pool_start_ratio": round(docker_start / warm_start, 1),
        "docker_pool_start_seconds": round(docker_start, 2),
        "warm_start_seconds": round(warm_start, 3),
    }


def memory_mb(stack: ComposeStack, client: docker.APIClient) -> dict[str, float]:
    """What each running service holds."""
    time.sleep(SETTLE_SECONDS)
    found = {}
    for service, container in stack.containers().items():
        if container["State"]["Status"] == "running":
            used = client.stats(container["Id"], stream=False)["memory_stats"]
            cached = used["stats"].get("inactive_file", used["stats"].get("total_inactive_file", 0))
            found[service] = (used["usage"] - cached) / _MB
    for service, size in sorted(found.items(), key=lambda item: -item[1]):
        print(f"{service:<14}{size:>7.0f} MB")
    return found


def upgrade(stack: ComposeStack) -> int:
    """Replace all of ours across a full minute; the number of ticks that the ledger calls lost."""
    stack.environment["AEGIS_IMAGE"] = compose_stack.build_next_image()
    time.sleep((60 - BEFORE_THE_MINUTE - time.time()) % 60)
    began = time.monotonic()
    stack.up()
    print(f"upgrade: all parts healthy again after {time.monotonic() - began:.1f} s")
    time.sleep(75)  # the minute after it, and what the ledger waits before it judges a tick
    wait_until(lambda: stack.outcome_of("missed_runs") == "Completed", description="the ledger")
    jobs = stack.answer("ledger", "--since", "1h")["jobs"]
    outcomes = {job["job_id"]: job["outcomes"] for job in jobs}
    print(f"ledger: {outcomes}")
    return sum(count for of_job in outcomes.values() for name, count in of_job.items() if name in LOST)


def both_pools(stack: ComposeStack, runs: int) -> dict[str, list[float]]:
    """Seconds from Pending to Running, of runs on each pool in turn."""
    started = stack.compose(*PROFILE, "up", "-d", "docker-worker")
    assert started.returncode == 0, started.stderr

    def healthy() -> bool:
        state = stack.containers()["docker-worker"]["State"]
        return bool(state.get("Health", {}).get("Status") == "healthy")

    wait_until(healthy, description="the docker-worker", timeout_seconds=120, every_seconds=1)
    assert stack.aegis("deploy", "--pool", "docker", ON_DOCKER).returncode == 0
    found: dict[str, list[float]] = {ON_DOCKER: [], ON_WARM: []}
    for number in range(runs + 1):
        for job, seconds in found.items():
            took = start_of(stack, job)
            if number:  # the first of each warms up
                seconds.append(took)
    return found


def start_of(stack: ComposeStack, job: str) -> float:
    run = stack.scheduler.run_job(job)
    wait_until(
        lambda: stack.scheduler.runs.find(run.id).final,
        description=f"{job} to end",
        timeout_seconds=120,
        every_seconds=0.5,
    )
    rows = stack.api.request("GET", "/flow_run_states/", params={"flow_run_id": str(run.id)})
    moments: dict[str, datetime] = {}
    for row in rows:
        moments.setdefault(row["type"], datetime.fromisoformat(row["timestamp"]))
    return (moments["RUNNING"] - moments["PENDING"]).total_seconds()


if __name__ == "__main__":
    with signals.as_interrupts():  # whatever ends it, what it started ends too
        main()
