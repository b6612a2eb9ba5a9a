"""Jobs on the Docker pool of docker-compose.yml: each run a container, with all that holds on the other pool.

One stack serves all tests, which therefore stand in the order in which they run. Its data volume is small:
the last test fills it. Where both are installed, this is docker-compose 1.29, and the other tests use v2.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import docker
import pytest

from deployments.pools import DOCKER_POOL, WORK_POOL
from tests import compose_stack
from tests.compose_stack import CORE, SOMETHING_TO_READ, ComposeStack
from tests.docker_boxes import Boxes, docker_client
from tests.waiting import wait_until

__all__ = ["docker_client"]  # a fixture

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("as_root")]

ON_DOCKER = ("health_check", "docker_health_check")
PROFILE = ("--profile", "docker-pool")
SMALL_DATA = """
volumes:
  data:
    driver_opts: {type: tmpfs, device: tmpfs, o: "size=8m,uid=10001,gid=10001,mode=0700"}
"""


@pytest.fixture(scope="module")
def boxes(docker_client: docker.APIClient) -> Iterator[Boxes]:
    made = Boxes(docker_client)
    yield made
    made.clear()


@pytest.fixture(scope="module")
def stack(docker_client: docker.APIClient, boxes: Boxes) -> Iterator[ComposeStack]:
    compose_stack.command()
    compose_stack.require_base_images()
    compose_stack.build_image()
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="aegis-pool-") as place:
        override = Path(place) / "small-data.yml"
        override.write_text(SMALL_DATA)
        files = f"{compose_stack.PROJECT / 'docker-compose.yml'}:{override}"
        found = ComposeStack(docker_client, Path(place), older=True, COMPOSE_FILE=files)
        (found.config / "aegis.yaml").write_text(f"containers:\n  only_label: {boxes.only_label}\n")
        try:
            found.up()
            yield found
        finally:
            found.down()


def deployment(stack: ComposeStack, job: str = "health_check") -> dict[str, Any]:
    name = job.replace("_", "-")
    return dict(stack.api.get(f"/deployments/name/{name}/{name}"))


def healthy(stack: ComposeStack) -> bool:
    found = stack.containers().get("docker-worker", {})
    return bool(found and found["State"].get("Health", {}).get("Status") == "healthy")


def test_without_its_worker_the_pool_is_not_there_and_deploy_says_what_to_do(stack: ComposeStack) -> None:
    refused = stack.aegis("deploy", "--pool", "docker")
    assert refused.returncode != 0
    assert "docker-compose --profile docker-pool up -d docker-worker" in refused.stderr
    assert deployment(stack)["work_pool_name"] == WORK_POOL


def test_chosen_jobs_go_to_the_pool_and_a_plain_deploy_keeps_them_there(stack: ComposeStack) -> None:
    started = stack.compose(*PROFILE, "up", "-d", "docker-worker")
    assert started.returncode == 0, started.stderr
    wait_until(lambda: healthy(stack), description="the docker-worker", timeout_seconds=120, every_seconds=1)
    done = stack.aegis("deploy", "--pool", "docker", *ON_DOCKER)
    assert done.returncode == 0, done.stderr
    assert f"~ health-check/health-check: work_pool_name: {WORK_POOL} -> {DOCKER_POOL}" in done.stdout
    assert stack.aegis("deploy").returncode == 0
    pools = {job: deployment(stack, job)["work_pool_name"] for job in (*ON_DOCKER, "missed_runs")}
    assert pools == {**dict.fromkeys(ON_DOCKER, DOCKER_POOL), "missed_runs": WORK_POOL}


def test_a_run_is_a_closed_container_without_a_secret_in_its_settings(stack: ComposeStack) -> None:
    run = stack.scheduler.run_job("health_check")

    def of_run() -> dict[str, Any] | None:
        for item in stack.client.containers(filters={"label": [f"io.prefect.flow-run-id={run.id}"]}):
            return dict(stack.client.inspect_container(item["Id"]))
        return None

    container = wait_until(of_run, description="its container", timeout_seconds=60, every_seconds=0.1)
    secret = stack.inside("server", "cat", "/run/aegis/secrets/PREFECT_API_AUTH_STRING").stdout.strip()
    assert secret
    assert secret not in str(container)
    host = container["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["AutoRemove"]) == (True, ["ALL"], True)
    assert host["Memory"] == 512 * 1024 * 1024
    assert not any("docker.sock" in str(mount) for mount in container["Mounts"])
    assert not any(name.endswith("pool-engine") for name in container["NetworkSettings"]["Networks"])
    ended = wait_until(
        lambda: (seen := stack.scheduler.runs.find(run.id)).final and seen,
        description="health_check to end", timeout_seconds=90, every_seconds=0.5,
    )  # fmt: skip
    assert str(ended.outcome) == "Completed"
    wait_until(lambda: of_run() is None, description="its container to be gone", timeout_seconds=30)


def test_of_runs_that_piled_up_while_its_worker_was_away_one_at_most_is_started(stack: ComposeStack) -> None:
    """All of them too late, so that the one that the limit lets through must see it for itself."""
    job = deployment(stack)["id"]
    stack.compose(*PROFILE, "stop", "docker-worker")
    assert stack.aegis("pause", "health_check").returncode == 0  # no tick of now stands among them
    stack.api.patch(f"/work_pools/{DOCKER_POOL}", {"is_paused": True})
    now = datetime.now(UTC)
    window = {
        "start_time": (now - timedelta(minutes=61)).isoformat(),
        "end_time": (now - timedelta(minutes=21)).isoformat(),
        "max_runs": 100,
    }
    stack.api.post(f"/deployments/{job}/schedule", window)
    late = f"deployment_id = '{job}' AND expected_start_time < '{(now - timedelta(minutes=20)).isoformat()}'"
    stack.sql("prefect", f"UPDATE flow_run SET auto_scheduled = true WHERE {late}")
    assert int(stack.sql("prefect", f"SELECT count(*) FROM flow_run WHERE {late}")[0]) == 8
    stack.api.patch(f"/work_pools/{DOCKER_POOL}", {"is_paused": False})
    stack.compose(*PROFILE, "start", "docker-worker")
    left = f"SELECT count(*) FROM flow_run WHERE {late} AND state_type NOT IN ('CANCELLED', 'COMPLETED')"
    wait_until(lambda: stack.sql("prefect", left) == ["0"], description="an end of all", timeout_seconds=180)
    names = stack.sql("prefect", f"SELECT state_name, count(*) FROM flow_run WHERE {late} GROUP BY 1")
    assert stack.aegis("resume", "health_check").returncode == 0
    said = stack.compose(*PROFILE, "logs", "--tail", "100", "docker-worker").stdout
    assert {row.partition("|")[0] for row in names} <= {"Misfired", "Cancelled", "Coalesced"}, (names, said)
    assert any(row.startswith("Misfired") for row in names), (names, said)


def test_a_run_outlives_its_killed_worker_and_the_next_one_finds_its_place(stack: ComposeStack) -> None:
    run = stack.scheduler.run_job("health_check")
    wait_until(
        lambda: stack.client.containers(filters={"label": [f"io.prefect.flow-run-id={run.id}"]}),
        description="its container", timeout_seconds=60, every_seconds=0.1,
    )  # fmt: skip
    stack.crash("docker-worker")
    ended = wait_until(
        lambda: (seen := stack.scheduler.runs.find(run.id)).final and seen,
        description="health_check to end", timeout_seconds=90, every_seconds=0.5,
    )  # fmt: skip
    assert str(ended.outcome) == "Completed"
    wait_until(lambda: healthy(stack), description="the docker-worker", timeout_seconds=120, every_seconds=1)
    assert stack.outcome_of("health_check") == "Completed"


COUNT = """
import os
from prefect import flow

@flow
def count() -> None:
    assert os.environ["COUNTED_IN"] == "own image"
"""


def test_a_job_with_an_image_of_its_own_is_deployed_as_the_guide_says(stack: ComposeStack) -> None:
    guide = (compose_stack.PROJECT / "docs" / "operations.md").read_text()
    (written,) = re.findall(r"```yaml\n(build:\n.*?)```", guide, flags=re.DOTALL)
    place = stack.directory / "own"
    place.mkdir()
    (place / "prefect.yaml").write_text(written)
    (place / "count.py").write_text(COUNT)
    (place / "Dockerfile").write_text(
        f'FROM {compose_stack.IMAGE}\nENV COUNTED_IN="own image"\nCOPY count.py /app/\n'
    )
    secret = stack.inside("worker", "cat", "/run/aegis/secrets/PREFECT_API_AUTH_STRING").stdout.strip()
    address = {"PREFECT_API_URL": f"http://127.0.0.1:{stack.port}/api", "PREFECT_API_AUTH_STRING": secret}
    prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
    for words in (["deploy", "--all"], ["deployment", "run", "count/own-image", "--watch"]):
        said = subprocess.run(
            [*prefect, *words],
            cwd=place,
            env={**os.environ, **address, "PREFECT_HOME": str(stack.directory / "prefect")},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        assert said.returncode == 0, said.stdout + said.stderr
    plan = stack.aegis("plan")
    assert "own-image" not in plan.stdout, plan.stdout
    stack.client.remove_image("count:latest", force=True)


def test_all_core_jobs_do_their_work_there(stack: ComposeStack, boxes: Boxes) -> None:
    boxes.make("well")
    stack.sql("aegis", SOMETHING_TO_READ)
    assert stack.aegis("deploy", "--pool", "docker").returncode == 0
    assert {deployment(stack, job)["work_pool_name"] for job in (*CORE, "missed_runs")} == {DOCKER_POOL}
    assert {job: stack.outcome_of(job) for job in CORE} == dict.fromkeys(CORE, "Completed")


def test_the_way_back_is_one_command(stack: ComposeStack) -> None:
    assert stack.aegis("deploy", "--pool", "aegis").returncode == 0
    assert deployment(stack)["work_pool_name"] == WORK_POOL
    assert stack.outcome_of("health_check") == "Completed"
    assert stack.outcome_of("missed_runs") == "Completed"
    assert stack.answer("ledger", "--since", "1h")["problem"] is None


def test_a_full_data_volume_stops_no_job_and_is_named(stack: ComposeStack) -> None:
    filled = stack.inside("worker", "sh", "-c", "cat /dev/zero > /var/lib/aegis/fill; echo full")
    assert "No space left" in filled.stderr
    outcomes = {job: stack.outcome_of(job) for job in ("health_check", "missed_runs", "memory_cleanup")}
    assert set(outcomes.values()) <= {"Completed", "Degraded", "NoInput"}, outcomes
    stack.inside("worker", "rm", "/var/lib/aegis/fill")
    assert stack.outcome_of("health_check") == "Completed"
