"""A run whose process is killed unseen ends as Crashed, and its slot is free again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments import automations, sync
from deployments.api import PrefectApi
from tests.loopback import free_port
from tests.waiting import wait_until

CATALOGUE = """\
deployments:
  - name: slow-job
    entrypoint: flows/slow_job.py:slow_job
    tags: [aegis]
    work_pool: {name: aegis}
    concurrency_limit: {limit: 1, collision_strategy: CANCEL_NEW, grace_period_seconds: 60}
"""
FLOW = '''\
import threading
from prefect import flow


@flow
def slow_job():
    """Wait for ever."""
    threading.Event().wait(600)
'''
SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EVENTS_EXPIRED_BUCKET_BUFFER": "PT1S",
    "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[PrefectApi]:
    """A server of its own, which looks at automations every second."""
    port = free_port()
    home = tmp_path / "prefect"
    log = (tmp_path / "server.log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        env={**os.environ, **SETTINGS, "PREFECT_HOME": str(home), "PREFECT_API_URL": ""},
        cwd=tmp_path,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        with PrefectApi(f"http://127.0.0.1:{port}/api") as connected:
            wait_until(
                lambda: connected.healthy() or server.poll() is not None,
                description="the Prefect server to answer",
                timeout_seconds=90,
            )
            assert server.poll() is None, (tmp_path / "server.log").read_text()[-2000:]
            yield connected
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(20)
        log.close()


def start_claimed_run(api: PrefectApi, project: Path) -> tuple[str, subprocess.Popen[bytes]]:
    """Claim a run as a worker does, which takes the slot, and start its process."""
    deployment = api.get("/deployments/name/slow-job/slow-job")
    run = api.post(f"/deployments/{deployment['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})
    claimed = api.post(f"/flow_runs/{run['id']}/set_state", {"state": {"type": "PENDING"}})
    assert claimed["status"] == "ACCEPT"
    process = subprocess.Popen(
        [sys.executable, "-m", "prefect.engine"],
        cwd=project,
        env={**os.environ, **SETTINGS, "PREFECT_API_URL": api.url, "PREFECT__FLOW_RUN_ID": run["id"]},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return run["id"], process


def slots_in_use(api: PrefectApi) -> int:
    limit: dict[str, Any] = api.get("/deployments/name/slow-job/slow-job")["global_concurrency_limit"]
    return int(limit["active_slots"])


def heartbeats(api: PrefectApi, run: str) -> int:
    answer = api.post(
        "/events/filter",
        {
            "filter": {
                "event": {"name": ["prefect.flow-run.heartbeat"]},
                "resource": {"id": [f"prefect.flow-run.{run}"]},
            }
        },
    )
    return int(answer["total"])


def test_a_run_whose_process_was_killed_ends_crashed_and_frees_its_slot(
    api: PrefectApi, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    (project / "flows").mkdir(parents=True)
    (project / "flows" / "slow_job.py").write_text(FLOW)
    (project / "prefect.yaml").write_text(CATALOGUE)
    sync.deploy(api, root=project)
    automations.sync(api, [automations.lost_heartbeat(within_seconds=10)])
    run, process = start_claimed_run(api, project)
    try:
        wait_until(lambda: heartbeats(api, run), description="the first heartbeat", timeout_seconds=90)
        assert api.get(f"/flow_runs/{run}")["state"]["type"] == "RUNNING"
        assert slots_in_use(api) == 1
    finally:
        process.kill()
        process.wait(10)

    wait_until(
        lambda: api.get(f"/flow_runs/{run}")["state"]["type"] == "CRASHED",
        description="the run to be Crashed",
        timeout_seconds=60,
    )

    state = api.get(f"/flow_runs/{run}")["state"]
    assert (state["name"], state["message"]) == (
        "Crashed",
        "No heartbeat for 10 s: the run's process died.",
    )
    wait_until(lambda: slots_in_use(api) == 0, description="the slot to be free")


@pytest.mark.parametrize("name", ["NoInput", "Completed", "Degraded"])
def test_a_run_that_has_ended_is_not_touched(prefect_server: str, name: str) -> None:
    """The server itself refuses; this holds the fact on which the automation relies."""
    with PrefectApi(prefect_server) as api:
        flow = api.post("/flows/", {"name": "any"})["id"]
        run = api.post("/flow_runs/", {"flow_id": flow, "state": {"type": "RUNNING"}})["id"]
        api.post(f"/flow_runs/{run}/set_state", {"state": {"type": "COMPLETED", "name": name}})

        answer = api.post(f"/flow_runs/{run}/set_state", {"state": {"type": "CRASHED"}, "force": False})

        assert answer["status"] == "ABORT"
        assert api.get(f"/flow_runs/{run}")["state"]["name"] == name
