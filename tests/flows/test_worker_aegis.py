"""What our worker does beyond Prefect's own: limits, claims in time, nothing left behind, nothing lost."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest

from deployments.worker.process_title import run_id_of
from tests import postgres as servers
from tests import requirement
from tests.flows.test_worker_contract import JOBS, Jobs, hooks, is_gone, noted
from tests.prefect_rig import Rig, running
from tests.waiting import wait_until

WORKER = "worker-aegis"
PAINT = """\
from pathlib import Path

from colours import COLOUR
from prefect import flow


@flow
def paint(place: str):
    Path(place).write_text(COLOUR)
"""


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    if not servers.embeddable():
        requirement.missing("postgres", "pip install 'aegis-scheduler[embedded]'.")
    with running(AEGIS_WORKER_DRAIN_SECONDS="3") as started:
        shutil.copy(JOBS, started.project / "flows" / "worker_jobs.py")
        started.pool("aegis", "aegis")
        started.worker("aegis", "aegis")
        yield started


@pytest.fixture(scope="module")
def jobs(rig: Rig) -> Jobs:
    return Jobs(rig, "aegis")


@pytest.fixture
def worker(rig: Rig) -> psutil.Process:
    if WORKER not in rig.processes:
        rig.worker("aegis", "aegis")
    return psutil.Process(rig.processes[WORKER].pid)


def message(row: dict[str, Any]) -> str:
    return str(row["state"]["message"])


def overdue(rig: Rig, name: str, minutes: int, **job_variables: Any) -> str:
    """A job of every minute, whose last runs nobody started; the next is due in half a minute or more."""
    wait_until(
        lambda: datetime.now(UTC).second < 30, description="a minute that is young", timeout_seconds=40
    )
    anchor = datetime.now(UTC).replace(second=0, microsecond=0).isoformat()
    schedule = {"schedule": {"interval": 60, "anchor_date": anchor}, "active": False}
    deployment = rig.deployment(name, "aegis", schedules=[schedule], job_variables=job_variables)
    rows = rig.api.get(f"/deployments/{deployment}/schedules")
    rig.api.patch(f"/deployments/{deployment}/schedules/{rows[0]['id']}", {"active": True})
    rig.overdue(deployment, minutes * 60 + 5)
    return deployment


def outcomes(rig: Rig, deployment: str) -> Counter[str]:
    now = datetime.now(UTC).isoformat()
    rows = rig.runs(deployment, expected_start_time={"before_": now})
    return Counter(row["state"]["name"] for row in rows)


def test_the_run_keeps_no_file_of_the_process_it_was_forked_from(jobs: Jobs) -> None:
    _, (line, *_) = jobs.run("tell")
    names = [int(name) for name in line["open"]]
    assert len(names) <= 10, names


def test_a_run_that_listens_to_nobody_is_ended_from_outside(jobs: Jobs) -> None:
    place = jobs.place()
    row = jobs.rig.finish(jobs.start("ignore_everything", place, {"timeout_grace_seconds": 1}), every=0.2)

    assert (row["state"]["type"], row["state"]["name"]) == ("CRASHED", "TimedOut")
    assert message(row) == "It did not end within 1 s after its time-out, and was ended from outside."
    wait_until(lambda: hooks(place) == ["crashed"], description="the hook")
    assert is_gone(noted(place)[0]["started"])


def test_a_run_may_take_as_long_as_its_job_variables_say(jobs: Jobs) -> None:
    row, _ = jobs.run("stay", {"timeout_seconds": 1})
    assert (row["state"]["type"], row["state"]["name"]) == ("FAILED", "TimedOut")
    assert "exceeded timeout of 1" in message(row)


def test_a_run_that_uses_more_memory_than_it_may_is_ended_and_says_so(jobs: Jobs) -> None:
    row, _ = jobs.run("grow", {"memory_limit_mb": 300})
    assert row["state"]["type"] == "CRASHED"
    assert "more than its memory_limit_mb of 300" in message(row)


def test_a_run_that_computes_longer_than_it_may_is_ended_and_says_so(jobs: Jobs) -> None:
    row, _ = jobs.run("burn", {"cpu_seconds": 1})
    assert row["state"]["type"] == "CRASHED"
    assert "killed by SIGXCPU" in message(row)
    assert message(row).endswith("It used more than its cpu_seconds of 1.")


def test_a_run_may_open_as_many_files_as_its_job_says(jobs: Jobs) -> None:
    _, (line, *_) = jobs.run("tell", {"open_files": 100})
    assert line["files"] == 100


def test_a_run_of_a_command_of_its_own_works_too(jobs: Jobs) -> None:
    row, (line, *_) = jobs.run("tell", {"command": f"{sys.executable} -m prefect.engine"})
    assert row["state"]["type"] == "COMPLETED"
    assert row["infrastructure_pid"].endswith(f":{line['pid']}")


def test_job_variables_that_cannot_be_used_crash_the_run_with_the_reason(jobs: Jobs, rig: Rig) -> None:
    deployment = rig.deployment("wrong", "aegis")
    broken = {"env": {"X": "{{ prefect.blocks.secret.none }}"}}
    run = rig.api.post(
        f"/deployments/{deployment}/create_flow_run",
        {"state": {"type": "SCHEDULED"}, "job_variables": broken},
    )
    row = rig.finish(run["id"], every=0.2)
    assert row["state"]["type"] == "CRASHED"
    assert "job variables cannot be used" in message(row)


def test_a_change_of_the_code_is_picked_up_by_the_next_run(jobs: Jobs, rig: Rig) -> None:
    helper = rig.project / "colours.py"
    helper.write_text("COLOUR = 'red'\n")
    text = PAINT
    rig.flow("paint", text)
    deployment = rig.deployment("paint", "aegis", flow="paint")

    def painted() -> str:
        place = jobs.place()
        rig.finish(rig.trigger(deployment, {"place": str(place)}), every=0.2)
        return place.read_text()

    assert painted() == "red"
    assert painted() == "red"
    helper.write_text("COLOUR = 'green'\n")
    assert painted() == "green"
    rig.flow("paint", text.replace("COLOUR)", "COLOUR.upper())"))
    assert painted() == "GREEN"


def test_a_job_that_starts_a_thread_when_it_is_imported_is_not_forked_from(jobs: Jobs, rig: Rig) -> None:
    rig.flow(
        "threaded",
        "import threading\nfrom pathlib import Path\nfrom prefect import flow\n"
        "threading.Thread(target=threading.Event().wait, args=(600,), daemon=True).start()\n\n\n"
        "@flow\ndef threaded(place: str):\n    Path(place).write_text(str(threading.active_count()))\n",
    )
    deployment = rig.deployment("threaded", "aegis", flow="threaded")
    for _ in range(2):
        place = jobs.place()
        row = rig.finish(rig.trigger(deployment, {"place": str(place)}), every=0.2)
        assert row["state"]["type"] == "COMPLETED"
        assert int(place.read_text()) >= 2
    assert jobs.run("tell")[0]["state"]["type"] == "COMPLETED"
    assert "job_starts_threads_when_imported" in (rig.directory / f"{WORKER}.log").read_text()


def test_a_job_that_cannot_be_imported_hurts_no_other(jobs: Jobs, rig: Rig) -> None:
    rig.flow("broken", "raise ImportError('nothing here')\n")
    row = rig.finish(rig.trigger(rig.deployment("broken", "aegis", flow="broken")), every=0.2)
    assert row["state"]["type"] in {"CRASHED", "FAILED"}
    assert jobs.run("tell")[0]["state"]["type"] == "COMPLETED"


def is_run(process: psutil.Process) -> bool:
    try:
        return run_id_of(f"{' '.join(process.cmdline())} ") is not None
    except psutil.NoSuchProcess:
        return False


def test_thirty_runs_leave_no_process_no_descriptor_and_no_memory(
    jobs: Jobs, rig: Rig, worker: psutil.Process
) -> None:
    def started(count: int) -> None:
        place = jobs.place()
        runs = [jobs.start("tell", place) for _ in range(count)]
        assert all(rig.finish(run, every=0.3)["state"]["type"] == "COMPLETED" for run in runs)

    def quiet() -> bool:
        return not any(map(is_run, worker.children(recursive=True)))

    started(5)
    wait_until(quiet, description="the first runs to end")
    before = {p.pid: (p.num_fds(), p.memory_info().rss) for p in (worker, *worker.children(recursive=True))}
    started(30)
    wait_until(quiet, description="all runs to end")

    after = (worker, *worker.children(recursive=True))
    assert {p.pid for p in after} == set(before)
    assert not [p for p in after if p.status() == psutil.STATUS_ZOMBIE]
    for process in after:
        files, memory = before[process.pid]
        assert process.num_fds() <= files + 10  # connections come and go; a leak would be one a run
        assert process.memory_info().rss < memory + 12_000_000


def test_of_the_runs_that_nobody_started_only_the_latest_is_run(rig: Rig, worker: psutil.Process) -> None:
    deployment = overdue(rig, "missed", 10)

    def settled() -> bool:
        found = outcomes(rig, deployment)
        return found["Completed"] >= 1 and found["Coalesced"] >= 9

    wait_until(settled, description="the missed runs to be settled", timeout_seconds=90)
    found = outcomes(rig, deployment)
    assert found["Completed"] == 1
    assert set(found) == {"Completed", "Coalesced"}
    (row, *_) = [r for r in rig.runs(deployment) if r["state"]["name"] == "Coalesced"]
    assert row["state"]["type"] == "CANCELLED"
    assert "stands for this one and for" in message(row)
    (line,) = rig.api.filter("/logs/filter", {"logs": {"flow_run_id": {"any_": [row["id"]]}}})
    assert line["message"] == f"Coalesced. {message(row)}", "the page of a run shows its log first"


def test_a_run_later_than_its_grace_is_not_run(rig: Rig, worker: psutil.Process) -> None:
    deployment = overdue(rig, "late", 3, misfire_grace_seconds=0, coalesce="all")
    wait_until(
        lambda: outcomes(rig, deployment)["Misfired"] >= 3,
        description="the late runs to be settled",
        timeout_seconds=90,
    )
    row = next(r for r in rig.runs(deployment) if r["state"]["name"] == "Misfired")
    assert row["state"]["type"] == "CANCELLED"
    assert "This job allows 0 s (misfire_grace_seconds: 0)" in message(row)


def test_nothing_starts_in_a_maintenance_window_but_what_a_person_starts(
    rig: Rig, worker: psutil.Process
) -> None:
    now = datetime.now(UTC)
    window = {"start": f"{now - timedelta(minutes=5):%H:%M}", "end": f"{now + timedelta(minutes=30):%H:%M}"}
    deployment = overdue(rig, "kept-back", 2, maintenance_windows=[window])
    wait_until(
        lambda: outcomes(rig, deployment)["Maintenance"] >= 2,
        description="the runs to be kept back",
        timeout_seconds=90,
    )
    assert rig.finish(rig.trigger(deployment), every=0.2)["state"]["type"] == "COMPLETED"


def test_a_planned_run_starts_when_it_is_due_and_holds_no_slot_before(
    rig: Rig, worker: psutil.Process
) -> None:
    deployment = rig.deployment("planned", "aegis", concurrency_limit=1)
    due = datetime.now(UTC) + timedelta(seconds=15)  # time enough for the other run, also on a busy machine
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due.isoformat()}}
    run = rig.api.post(f"/deployments/{deployment}/create_flow_run", {"state": state})["id"]
    other = rig.finish(rig.trigger(deployment), every=0.2)
    assert other["state"]["type"] == "COMPLETED"
    assert rig.finish(run, every=0.2)["state"]["type"] == "COMPLETED"

    states = rig.states(run)
    late = (states["Pending"] - due).total_seconds()
    assert -0.1 <= late < 4


def test_when_the_warm_processes_die_their_runs_go_on_and_new_ones_start(
    jobs: Jobs, rig: Rig, worker: psutil.Process
) -> None:
    place = jobs.place()
    run = jobs.start("stay", place, seconds=6)
    wait_until(lambda: noted(place), description="the run to run", timeout_seconds=30)
    dying = jobs.place()
    crashing = jobs.start("stay", dying, seconds=60)
    wait_until(lambda: noted(dying), description="the second run to run", timeout_seconds=30)
    for child in worker.children(recursive=True):
        if (
            child.cmdline()[0].startswith("aegis-image")
            or "deployments.worker.fork_server" in child.cmdline()
        ):
            child.kill()

    assert jobs.run("tell")[0]["state"]["type"] == "COMPLETED"
    assert rig.finish(run, every=0.2)["state"]["type"] == "COMPLETED"
    os.kill(noted(dying)[0]["started"], signal.SIGKILL)
    row = rig.finish(crashing, every=0.2)
    assert row["state"]["type"] == "CRASHED"
    assert "killed by SIGKILL" in message(row)


def test_a_worker_that_is_told_to_stop_waits_for_its_runs_and_marks_what_is_left(
    jobs: Jobs, rig: Rig, worker: psutil.Process
) -> None:
    short, long = jobs.place(), jobs.place()
    brief, lasting = jobs.start("stay", short, seconds=2), jobs.start("stay", long, seconds=60)
    wait_until(lambda: noted(short) and noted(long), description="both runs to run", timeout_seconds=30)

    rig.stop_worker(WORKER)

    assert rig.api.get(f"/flow_runs/{brief}")["state"]["type"] == "COMPLETED"
    assert rig.api.get(f"/flow_runs/{lasting}")["state"]["type"] == "CRASHED"
    assert is_gone(noted(long)[0]["started"])
    assert hooks(long) == ["crashed"]


def test_what_a_killed_worker_leaves_is_settled_at_its_next_start(
    jobs: Jobs, rig: Rig, worker: psutil.Process
) -> None:
    limited = {"concurrency_limit": 1}
    living, dead = jobs.place(), jobs.place()
    survivor = jobs.start("stay", living, seconds=12)
    deployment = rig.deployment("orphan", "aegis", flow="worker_jobs", function="stay", **limited)
    orphan = rig.trigger(deployment, {"place": str(dead), "seconds": 60})
    wait_until(lambda: noted(living) and noted(dead), description="both runs to run", timeout_seconds=30)
    rig.stop_worker(WORKER, signal.SIGKILL)
    os.kill(noted(dead)[0]["started"], signal.SIGKILL)
    unstarted = rig.trigger(deployment, {"place": str(jobs.place()), "seconds": 0})
    claim = {"type": "PENDING", "message": f"Claimed by worker {WORKER}."}

    rig.worker("aegis", "aegis")

    row = rig.finish(orphan, every=0.2)
    assert row["state"]["type"] == "CRASHED"
    assert "found when the worker started again" in message(row)
    assert rig.finish(survivor, every=0.2)["state"]["type"] == "COMPLETED"
    assert len([line for line in noted(living) if "started" in line]) == 1
    wait_until(
        lambda: rig.api.get(f"/flow_runs/{unstarted}")["state"]["type"] in {"COMPLETED", "CANCELLED"},
        description="the waiting run to be settled",
        timeout_seconds=30,
    )

    rig.stop_worker(WORKER, signal.SIGKILL)
    claimed = rig.trigger(deployment, {"place": str(jobs.place()), "seconds": 0})
    assert rig.api.post(f"/flow_runs/{claimed}/set_state", {"state": claim})["status"] == "ACCEPT"
    rig.worker("aegis", "aegis")
    assert rig.finish(claimed, every=0.2)["state"]["type"] == "COMPLETED"


def test_two_workers_of_one_pool_start_nothing_twice(jobs: Jobs, rig: Rig, worker: psutil.Process) -> None:
    rig.worker("aegis", "aegis", "second")
    try:
        place = jobs.place()
        runs: list[str] = []
        starters = [
            threading.Thread(target=lambda: runs.append(jobs.start("tell", place))) for _ in range(12)
        ]
        for starter in starters:
            starter.start()
        for starter in starters:
            starter.join()
        assert all(rig.finish(run, every=0.3)["state"]["type"] == "COMPLETED" for run in runs)
        started = Counter(line["run"] for line in noted(place) if "run" in line)
        assert started == Counter(runs)
    finally:
        rig.stop_worker("second")


def test_a_claimed_run_without_a_process_yet_can_be_cancelled(
    jobs: Jobs, rig: Rig, worker: psutil.Process
) -> None:
    place = jobs.place()
    run = jobs.start("stay", place, {"command": "sleep 30", "cancel_grace_seconds": 2})
    wait_until(
        lambda: rig.api.get(f"/flow_runs/{run}")["state"]["type"] == "PENDING",
        description="the run to be pending",
        timeout_seconds=20,
    )
    rig.api.post(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
    assert rig.finish(run, every=0.2)["state"]["name"] == "Cancelled"
