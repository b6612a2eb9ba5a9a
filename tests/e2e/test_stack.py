"""`aegis up` as a newcomer starts it, and what becomes of it when its parts are killed.

One stack serves most tests, which therefore stand in the order in which they run.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from aegis_lib import clock
from deployments import catalogue, leftovers, run_watch
from deployments.embedded_postgres import EmbeddedPostgres
from tests import postgres as servers
from tests import requirement
from tests.stack_process import StackProcess, temporary_directory
from tests.waiting import wait_until

JOBS = {job.id for job in catalogue.read().jobs}
ON_DEMAND = {job.id for job in catalogue.read().jobs if not job.schedules}


@pytest.fixture(scope="module")
def stack() -> Iterator[StackProcess]:
    if not servers.embeddable():
        requirement.missing("postgres", "pip install 'aegis-scheduler[embedded]'.")
    with temporary_directory() as directory:
        running = StackProcess(directory)
        try:
            yield running
        finally:
            running.close()


def run_of(stack: StackProcess, job: str) -> str:
    """Run a job now; its outcome. Asks again while a run of its schedule holds the job's only place."""

    def ended() -> str | None:
        run = stack.scheduler.run_job(job)
        found = wait_until(
            lambda: (seen := stack.scheduler.runs.find(run.id)).final and seen,
            description=f"{job} to end",
            timeout_seconds=90,
            every_seconds=0.3,
        )
        return None if found.outcome == "Cancelled" else str(found.outcome)

    return str(wait_until(ended, description=f"a place for {job}", timeout_seconds=120, every_seconds=2))


def modes_above(path: Path) -> dict[Path, int]:
    return {parent: stat.S_IMODE(parent.stat().st_mode) for parent in path.parents}


def test_the_first_start_ends_in_a_table_of_jobs_and_the_address(stack: StackProcess) -> None:
    package = Path(psycopg.__file__)
    before = modes_above(stack.root), modes_above(package)
    said = stack.start()
    assert (modes_above(stack.root), modes_above(package)) == before
    assert all(job in said for job in JOBS)
    assert f"http://127.0.0.1:{stack.port}" in said
    assert {job.id for job in stack.scheduler.list_jobs()} == JOBS

    def planned() -> bool:
        return all(
            job.next_run and job.next_run > clock.utcnow()
            for job in stack.scheduler.list_jobs()
            if job.id not in ON_DEMAND
        )

    wait_until(planned, description="every scheduled job to have a next run, and none that is just due")


def test_a_second_start_says_who_runs_and_fails(stack: StackProcess) -> None:
    refused = stack.aegis("up")
    assert refused.returncode != 0
    assert stack.process is not None
    said = " ".join(refused.stderr.split())
    assert f"process {stack.process.pid}" in said
    assert f"port {stack.port}" in said
    assert f"http://127.0.0.1:{stack.port}" in said


def test_no_password_stands_in_the_process_list(stack: StackProcess) -> None:
    password = str(stack.postgres.connection("aegis")["password"])
    shown = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert any("prefect" in words for words in shown)
    assert not [words for words in shown if password in " ".join(words)]


def test_the_data_directory_keeps_its_secrets_closed(stack: StackProcess) -> None:
    assert stat.S_IMODE((stack.root / "secrets").stat().st_mode) == 0o700
    assert stat.S_IMODE((stack.root / "secrets" / "postgres_password").stat().st_mode) == 0o600
    assert stat.S_IMODE((stack.root / "postgres" / "run").stat().st_mode) == 0o700


def test_a_health_check_completes(stack: StackProcess) -> None:
    assert run_of(stack, "health_check") == "Completed"


def test_the_doctor_is_green(stack: StackProcess) -> None:
    seen = stack.aegis("doctor", "--json")
    assert '"ok": false' not in seen.stdout, seen.stdout


def test_prefect_itself_finds_the_server_from_a_dotenv_file(stack: StackProcess) -> None:
    import subprocess
    import sys

    place = stack.root.parent / "elsewhere"
    place.mkdir()
    (place / ".env").write_text(f"PREFECT_API_URL=http://127.0.0.1:{stack.port}/api\n")
    (place / "prefect.toml").write_text('[api]\nurl = "http://127.0.0.1:9/api"\n')
    listed = subprocess.run(
        [Path(sys.executable).parent / "prefect", "deployment", "ls"],
        cwd=place,
        env={name: value for name, value in stack.environment.items() if not name.startswith("PREFECT_")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "health-check" in listed.stdout, listed.stderr


def test_a_killed_worker_is_restarted(stack: StackProcess) -> None:
    worker = stack.worker()
    assert worker is not None
    since = clock.utcnow()
    worker.kill()
    wait_until(lambda: "worker: restarted" in stack.said(), description="the worker's restart")
    assert "worker: has ended (killed by SIGKILL" in stack.said()
    wait_until(
        lambda: run_watch.worker_seen_since(stack.api, f"aegis-{socket.gethostname()}", since),
        description="the new worker's heartbeat",
        timeout_seconds=60,
    )


def test_a_killed_server_is_restarted_and_jobs_run_again(stack: StackProcess) -> None:
    server = stack.server()
    assert server is not None
    server.kill()
    wait_until(lambda: "Prefect server: restarted" in stack.said(), description="the server's restart")
    wait_until(stack.api.healthy, description="the server's answer", timeout_seconds=60, every_seconds=0.2)
    assert run_of(stack, "health_check") == "Completed"


def test_a_killed_database_is_restarted_and_jobs_run_again(stack: StackProcess) -> None:
    pid = stack.postgres.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: "PostgreSQL: restarted" in stack.said(), description="the database's restart")
    wait_until(lambda: stack.postgres.pid() not in {None, pid}, description="a new postmaster")
    assert run_of(stack, "health_check") == "Completed"


def test_after_everything_is_killed_a_start_works_and_lost_runs_are_crashed_and_remembered(
    stack: StackProcess,
) -> None:
    sleep = {"args": ["sleep", "300"]}
    stack.scheduler.add_job("subprocess:run", "cron", "long_one", kwargs=sleep, expression="0 3 1 1 *")
    run = stack.scheduler.run_job("long_one")
    wait_until(
        lambda: stack.scheduler.runs.find(run.id).state == "RUNNING",
        description="the long job to run",
        timeout_seconds=60,
    )
    assert run.id in leftovers.living_runs(stack.root)
    stack.kill_everything()
    said = stack.start()
    assert run.name in said
    assert stack.scheduler.runs.find(run.id).outcome == "Crashed"

    def remembered() -> list[tuple[object, ...]]:
        with psycopg.connect(**stack.postgres.connection("aegis")) as connection:  # type: ignore[arg-type]
            return connection.execute(
                "SELECT summary FROM episodic_memory"
                " WHERE event_type = 'job_error' AND details->>'flow_run_id' = %s",
                [run.id],
            ).fetchall()

    assert len(wait_until(remembered, description="job_error", timeout_seconds=30)) == 1


def test_what_a_killed_parent_leaves_is_stopped_by_aegis_down(stack: StackProcess) -> None:
    assert stack.process is not None
    stack.process.kill()
    stack.process.wait()
    assert stack.aegis("down").returncode == 0
    assert stack.remains() == []
    assert "Nothing is running" in stack.aegis("down").stdout
    stack.start()


def test_ctrl_c_leaves_no_process_and_no_run_that_seems_to_run(stack: StackProcess) -> None:
    run = stack.scheduler.run_job("long_one")
    wait_until(
        lambda: stack.scheduler.runs.find(run.id).state == "RUNNING",
        description="the long job to run",
        timeout_seconds=60,
    )
    assert stack.process is not None
    stack.process.send_signal(signal.SIGINT)
    wait_until(lambda: "Ctrl-C again" in stack.said(), description="the grace of running jobs")
    assert stack.interrupt() == 0
    assert stack.remains() == []
    assert leftovers.port_owner(stack.port) is None
    stack.postgres.start()
    with psycopg.connect(**stack.postgres.connection("prefect")) as connection:  # type: ignore[arg-type]
        ended = connection.execute("SELECT state_type FROM flow_run WHERE id = %s", [run.id]).fetchone()
    stack.postgres.stop()
    assert ended in {("CRASHED",), ("CANCELLED",)}


def test_a_taken_port_names_its_owner(stack: StackProcess) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", stack.port))
        taken.listen()
        refused = stack.aegis("up")
    assert refused.returncode != 0
    said = " ".join(refused.stderr.split())
    assert f"port {stack.port}" in said
    assert f"process {os.getpid()}" in said


def test_an_external_database_is_used_and_aegis_down_stops_the_rest(stack: StackProcess) -> None:
    with temporary_directory() as directory:
        external = EmbeddedPostgres(directory / "external")
        external.start()
        access = external.connection("postgres")
        running = StackProcess(
            directory,
            POSTGRES_HOST=str(access["host"]),
            POSTGRES_USER=str(access["user"]),
            POSTGRES_PASSWORD=str(access["password"]),
        )
        try:
            running.start()
            assert not running.postgres.is_running()
            assert run_of(running, "health_check") == "Completed"
            assert running.aegis("down", timeout_seconds=90).returncode == 0
            assert running.process is not None
            assert running.process.wait(timeout=10) == 0
            assert running.remains() == []
            assert external.is_running()
            with psycopg.connect(**access) as connection:  # type: ignore[arg-type]
                names = connection.execute("SELECT datname FROM pg_database").fetchall()
            assert {"aegis", "prefect"} <= {name for (name,) in names}
        finally:
            running.close()
            external.stop()
