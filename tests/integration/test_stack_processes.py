"""Child processes of the stack as the kernel sees them: leash, leftovers, lock, port, logs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from aegis_lib.errors import Misconfigured
from aegis_lib.settings import DatabaseSettings, InstallationSettings
from deployments import leftovers, stack_lock
from deployments.child_process import ChildProcess, rotate, trim
from deployments.stack_environment import (
    child_environment,
    renew_scratch_directory,
    server_environment,
    time_zones,
)
from tests.waiting import wait_until

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('ready', flush=True); time.sleep(600)"
)


def child(root: Path, code: str, *, grace_seconds: float = 5, **environment: str) -> ChildProcess:
    return ChildProcess(
        "child",
        [sys.executable, "-c", code],
        {**os.environ, leftovers.MARK: str(root), **environment},
        root,
        root / "child.log",
        grace_seconds=grace_seconds,
    )


@pytest.fixture
def running(tmp_path: Path) -> Iterator[ChildProcess]:
    part = child(tmp_path, "import time; print('ready', flush=True); time.sleep(600)")
    part.start()
    yield part
    part.stop()


def wait_ready(part: ChildProcess) -> None:
    wait_until(lambda: "ready" in part.log_file.read_text(), description="the child's first words")


def test_a_child_runs_writes_its_log_and_stops(running: ChildProcess) -> None:
    assert running.is_alive()
    wait_ready(running)
    pid = running.pid
    running.stop()
    assert not running.is_alive()
    assert pid is not None
    assert not psutil.pid_exists(pid)
    running.stop()


def test_the_end_of_a_child_is_explained(tmp_path: Path) -> None:
    part = child(tmp_path, "import sys; print('out of tea'); sys.exit(3)")
    part.start()
    wait_until(lambda: not part.is_alive(), description="the end")
    assert part.why_ended() == f"exit code 3, see {part.log_file}"
    assert part.last_words() == "out of tea"
    part.stop()


def test_a_killed_child_is_noticed_and_starts_again(running: ChildProcess) -> None:
    wait_ready(running)
    os.kill(running.pid or 0, signal.SIGKILL)
    wait_until(lambda: not running.is_alive(), description="the end")
    assert "killed by SIGKILL" in running.why_ended()
    running.start()
    assert running.is_alive()
    wait_ready(running)
    assert running.log_file.with_name("child.log.1").exists()


def test_a_child_that_will_not_end_is_killed_with_its_group(tmp_path: Path) -> None:
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]); {STUBBORN}"
    part = child(tmp_path, code, grace_seconds=0.2)
    part.start()
    wait_until(lambda: part.log_file.read_text().count("ready") == 2, description="both")
    part.stop()
    wait_until(lambda: not leftovers.marked(tmp_path), description="the group's end")


def test_a_child_dies_with_its_parent_even_when_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys, time\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from tests.integration.test_stack_processes import child\n"
        "part = child(pathlib.Path(sys.argv[1]), 'import time; time.sleep(600)')\n"
        "part.start()\n"
        "print(part.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    project = str(Path(__file__).resolve().parents[2])
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), project], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert psutil.pid_exists(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not leftovers.marked(tmp_path), description="the child to follow")


def test_only_processes_with_our_mark_and_directory_count_as_left_over(
    running: ChildProcess, tmp_path: Path
) -> None:
    wait_ready(running)
    assert [process.pid for process in leftovers.marked(tmp_path)] == [running.pid]
    assert leftovers.marked(tmp_path / "other") == []
    assert leftovers.living_runs(tmp_path) == set()
    assert leftovers.end(leftovers.marked(tmp_path)) == 1
    assert not running.is_alive()


def test_a_living_run_is_known_by_its_id(tmp_path: Path) -> None:
    part = child(
        tmp_path, "import time; print('ready', flush=True); time.sleep(600)", **{leftovers.RUN_ID: "r1"}
    )
    part.start()
    wait_ready(part)
    assert leftovers.living_runs(tmp_path) == {"r1"}
    part.stop()


def test_the_owner_of_a_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"process {os.getpid()}" in (leftovers.port_owner(port) or "")
    assert leftovers.port_owner(port) is None


def test_the_lock_says_who_holds_it_and_is_freed_with_the_process(tmp_path: Path) -> None:
    assert stack_lock.holder(tmp_path) is None
    script = (
        "import pathlib, sys, time\n"
        "from deployments import stack_lock\n"
        "with stack_lock.held(pathlib.Path(sys.argv[1]), 4200, 'http://127.0.0.1:4200'):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(600)\n"
    )
    holding = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    assert holding.stdout is not None
    assert holding.stdout.readline() == b"held\n"
    assert stack_lock.holder(tmp_path) == stack_lock.Holder(holding.pid, 4200, "http://127.0.0.1:4200")
    with pytest.raises(stack_lock.AlreadyRunning, match=rf"process {holding.pid}, port 4200.*aegis down"):
        stack_lock.held(tmp_path, 4201, "x").__enter__()
    holding.kill()
    holding.wait()
    holding.stdout.close()
    assert not stack_lock.is_held(tmp_path)
    with stack_lock.held(tmp_path, 4201, "x"):
        assert stack_lock.is_held(tmp_path)
    assert stack_lock.holder(tmp_path) is None


def test_a_data_directory_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match=r"AEGIS_DATA_DIR.*Fix: choose"):
        stack_lock.held(tmp_path / "file" / "data", 4200, "x").__enter__()


def test_logs_are_rotated_at_a_start_and_trimmed_while_they_are_written(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "server.log"
    for number in range(5):
        rotate(log)
        log.write_text(f"start {number}")
    assert [log.with_name(f"server.log.{n}").read_text() for n in (1, 2, 3)] == [
        "start 3",
        "start 2",
        "start 1",
    ]
    assert not log.with_name("server.log.4").exists()
    with log.open("ab") as writer:
        trim(log, largest_bytes=1000)
        assert log.read_text() == "start 4"
        trim(log, largest_bytes=3)
        writer.write(b"goes on")
    assert log.read_text() == "goes on"
    assert log.with_name("server.log.1").read_text() == "start 4"


def test_the_databases_password_reaches_the_server_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "sqlite:///elsewhere")
    installation = InstallationSettings(aegis_data_dir=tmp_path, aegis_port=4321)
    database = DatabaseSettings(
        host="db.example", user="me@home", password="p@ss/word", prefect_name="pre fect"
    )
    server, worker = server_environment(installation, database), child_environment(installation)
    url = server["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    assert url == "postgresql+asyncpg://me%40home:p%40ss%2Fword@db.example:5432/pre%20fect"
    assert "PREFECT_SERVER_DATABASE_CONNECTION_URL" not in worker
    assert worker["PREFECT_API_URL"] == "http://127.0.0.1:4321/api"
    assert worker["PREFECT_HOME"] == str(tmp_path / "prefect")
    assert worker["TMPDIR"] == str(tmp_path / "tmp")
    assert worker["AEGIS_DATA_DIR"] == str(tmp_path)


def test_time_zones_come_from_the_package_and_all_are_known() -> None:
    assert bool(time_zones()) == (sys.version_info < (3, 13))  # for which the lock has tzdata
    listed = "import zoneinfo; print(*sorted(zoneinfo.available_timezones()))"
    done = subprocess.run(
        [sys.executable, "-c", listed], env=time_zones(), capture_output=True, text=True, check=True
    )
    assert {"UTC", "Europe/Berlin", "America/New_York"} <= set(done.stdout.split())


def test_the_scratch_directory_is_private_and_empty_at_every_start(tmp_path: Path) -> None:
    installation = InstallationSettings(aegis_data_dir=tmp_path)
    renew_scratch_directory(installation)
    (tmp_path / "tmp" / "left-behind").mkdir()
    renew_scratch_directory(installation)
    assert list((tmp_path / "tmp").iterdir()) == []
    assert (tmp_path / "tmp").stat().st_mode & 0o777 == 0o700
