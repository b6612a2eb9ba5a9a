"""What holds for a run whichever worker starts it: the same tests on ours and on Prefect's process worker."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import postgres as servers
from tests import requirement
from tests.prefect_rig import Rig, running
from tests.waiting import wait_until

JOBS = Path(__file__).with_name("worker_jobs.py")
KINDS = ("aegis", "process")
Line = dict[str, Any]
SUSPENDED = {
    "type": "PAUSED",
    "name": "Suspended",
    "state_details": {"pause_reschedule": True, "pause_key": "1"},
}


class Jobs:
    """The jobs of one worker: started, and what they noted."""

    def __init__(self, rig: Rig, kind: str) -> None:
        self.rig, self.kind = rig, kind
        self._deployments: dict[str, str] = {}
        self._count = 0

    def place(self) -> Path:
        self._count += 1
        return self.rig.directory / f"{self.kind}-{self._count}.jsonl"

    def start(
        self, job: str, place: Path, job_variables: dict[str, Any] | None = None, **parameters: Any
    ) -> str:
        key = f"{job} {json.dumps(job_variables)}"
        if key not in self._deployments:
            name = f"{self.kind}-{len(self._deployments)}"
            self._deployments[key] = self.rig.deployment(
                name, self.kind, flow="worker_jobs", function=job, job_variables=job_variables or {}
            )
        return self.rig.trigger(self._deployments[key], {"place": str(place), **parameters})

    def run(
        self, job: str, job_variables: dict[str, Any] | None = None, **parameters: Any
    ) -> tuple[Line, list[Line]]:
        """The run when it is over, and the lines it noted."""
        place = self.place()
        run = self.start(job, place, job_variables, **parameters)
        row = self.rig.finish(run, every=0.2)
        return row, noted(place)


def noted(place: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in place.read_text().splitlines()] if place.exists() else []


def hooks(place: Path) -> list[str]:
    return [line["hook"] for line in noted(place) if "hook" in line]


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    if not servers.embeddable():
        requirement.missing("postgres", "pip install 'aegis-scheduler[embedded]'.")
    with running(PREFECT_WORKER_QUERY_SECONDS="1", PREFECT_FLOWS_HEARTBEAT_FREQUENCY="30") as started:
        shutil.copy(JOBS, started.project / "flows" / "worker_jobs.py")
        for kind in KINDS:
            started.pool(kind, kind)
            started.worker(kind, kind)
        yield started


@pytest.fixture(scope="module", params=KINDS)
def jobs(rig: Rig, request: pytest.FixtureRequest) -> Jobs:
    return Jobs(rig, request.param)


def test_parameters_environment_and_directory_reach_the_run(jobs: Jobs, rig: Rig) -> None:
    row, (line, *_) = jobs.run("tell", {"env": {"COLOUR": "blue"}}, number=5, words=["a", "ü"])

    assert row["state"]["name"] == "Completed"
    assert (line["number"], line["words"], line["colour"]) == (5, ["a", "ü"], "blue")
    assert line["cwd"] == str(rig.project)
    assert (line["run"], line["name"]) == (row["id"], row["name"])
    assert line["deployment"].startswith(jobs.kind)


def test_the_process_of_the_run_is_known_to_the_server(jobs: Jobs) -> None:
    row, (line, *_) = jobs.run("tell")

    host, _, pid = row["infrastructure_pid"].rpartition(":")
    assert int(pid) == line["pid"]
    assert line["pid"] != os.getpid()
    assert host == (socket.gethostname() if jobs.kind == "aegis" else "")
    assert row["labels"]["prefect.worker.name"] == f"worker-{jobs.kind}"
    assert row["labels"]["prefect.worker.type"] == jobs.kind


def test_what_it_logs_and_prints_reaches_the_server(jobs: Jobs, rig: Rig) -> None:
    row, _ = jobs.run("tell", number=42)

    def all_there() -> bool:
        lines = rig.logs(row["id"])
        return {"logged number 42", "printed number 42"} <= set(lines) and any(
            line.startswith("Finished in state") for line in lines
        )

    wait_until(all_there, description="the run's lines", timeout_seconds=20)


def test_a_completed_run_calls_its_hook(jobs: Jobs) -> None:
    place = jobs.place()
    jobs.rig.finish(jobs.start("tell", place), every=0.2)
    wait_until(lambda: hooks(place) == ["completion"], description="the hook")


def test_a_failing_run_fails_and_calls_its_hook(jobs: Jobs) -> None:
    place = jobs.place()
    row = jobs.rig.finish(jobs.start("fail", place), every=0.2)

    assert row["state"]["type"] == "FAILED"
    assert "no good" in row["state"]["message"]
    wait_until(lambda: hooks(place) == ["failure"], description="the hook")


def test_a_run_that_ends_the_interpreter_crashes_and_calls_its_hook(jobs: Jobs) -> None:
    place = jobs.place()
    row = jobs.rig.finish(jobs.start("leave", place, code=3), every=0.2)

    assert row["state"]["type"] == "CRASHED"
    assert row["state"]["message"] == "Execution was aborted by Python system exit call."
    wait_until(lambda: hooks(place) == ["crashed"], description="the hook")


@pytest.mark.parametrize(("job", "status"), [("vanish", 7), ("break_down", -11)])
def test_a_process_that_dies_is_a_crash_that_says_how_and_calls_its_hook(
    jobs: Jobs, job: str, status: int
) -> None:
    place = jobs.place()
    row = jobs.rig.finish(jobs.start(job, place), every=0.2)

    assert row["state"]["type"] == "CRASHED"
    assert f"Process exited with status code: {status}" in row["state"]["message"]
    wait_until(lambda: hooks(place) == ["crashed"], description="the hook", timeout_seconds=30)


def test_a_running_run_is_cancelled_and_calls_its_hook(jobs: Jobs, rig: Rig) -> None:
    place = jobs.place()
    run = jobs.start("stay", place)
    wait_until(lambda: noted(place), description="the run to run", timeout_seconds=60)

    rig.api.post(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})

    row = rig.finish(run, every=0.2)
    assert row["state"]["name"] == "Cancelled"
    wait_until(lambda: hooks(place) == ["cancellation"], description="the hook", timeout_seconds=30)
    pid = noted(place)[0]["started"]
    wait_until(
        lambda: not Path(f"/proc/{pid}").exists(), description="the process to end", timeout_seconds=30
    )


def test_a_run_longer_than_its_time_out_fails_as_timed_out(jobs: Jobs) -> None:
    row, _ = jobs.run("dawdle")
    assert (row["state"]["type"], row["state"]["name"]) == ("FAILED", "TimedOut")


def test_a_run_is_retried_as_its_flow_says(jobs: Jobs) -> None:
    row, lines = jobs.run("fail_once")
    assert row["state"]["type"] == "COMPLETED"
    assert [line["attempt"] for line in lines if "attempt" in line] == [1, 2]


def test_a_coroutine_is_run(jobs: Jobs) -> None:
    row, lines = jobs.run("wait_async")
    assert row["state"]["type"] == "COMPLETED"
    assert lines[0] == {"loop": True}


def test_steps_are_recorded_as_task_runs(jobs: Jobs, rig: Rig) -> None:
    row, lines = jobs.run("steps")
    assert lines[0] == {"result": 42}

    def recorded() -> list[dict[str, Any]]:
        wanted = {"flow_runs": {"id": {"any_": [row["id"]]}}, "sort": "ID_DESC"}
        return list(rig.api.filter("/task_runs/filter", wanted))

    (step,) = wait_until(recorded, description="the task run", timeout_seconds=20)
    wait_until(
        lambda: rig.api.get(f"/task_runs/{step['id']}")["state"]["type"] == "COMPLETED",
        description="the task run to be completed",
        timeout_seconds=20,
    )


def test_a_run_says_that_it_is_alive(jobs: Jobs, rig: Rig) -> None:
    place = jobs.place()
    run = jobs.start("stay", place, seconds=14)

    def heard() -> int:
        wanted = {
            "event": {"name": ["prefect.flow-run.heartbeat"]},
            "resource": {"id": [f"prefect.flow-run.{run}"]},
        }
        return int(rig.api.post("/events/filter", {"filter": wanted})["total"])

    wait_until(heard, description="a heartbeat", timeout_seconds=60, every_seconds=0.5)
    assert rig.finish(run, every=0.5)["state"]["type"] == "COMPLETED"


def test_a_run_is_paused_at_its_next_step_when_it_is_suspended(jobs: Jobs, rig: Rig) -> None:
    place = jobs.place()
    run = jobs.start("stay", place, seconds=4)
    wait_until(lambda: noted(place), description="the run to run", timeout_seconds=60)
    pid = noted(place)[0]["started"]

    rig.api.post(
        f"/flow_runs/{run}/set_state",
        {
            "state": {
                "type": "PAUSED",
                "name": "Suspended",
                "state_details": {"pause_reschedule": True, "pause_key": "1"},
            }
        },
    )

    wait_until(
        lambda: not Path(f"/proc/{pid}").exists(), description="the process to end", timeout_seconds=40
    )
    assert rig.api.get(f"/flow_runs/{run}")["state"]["name"] == "Suspended"
