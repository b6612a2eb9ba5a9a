"""A PostgreSQL server of our own, under the data directory, reachable by its unix socket only.

Initialises, starts, adopts and stops one server. It must not touch anything outside the data directory
(and the socket's directory), and it never deletes data: it refuses what it does not understand.

    postgres/<version>/   copy of the programs, only as root      postgres/data/   the cluster
    postgres/run/         the socket                              logs/postgres.log
    secrets/postgres_password   password of the superuser `aegis`, mode 0600
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.settings import InstallationSettings
from deployments import postgres_install
from deployments.postgres_cluster import ENVIRONMENT, SUPERUSER, Cluster, last_lines, tail
from deployments.postgres_install import Account

_PORT = 5432  # only part of the socket's name
_START_SECONDS, _STOP_SECONDS, _LEFTOVER_SECONDS = 60.0, 30.0, 15.0
_LEASH = Path(__file__).with_name("leash.py")


class EmbeddedPostgres:
    """One embedded server. `root` is the data directory of the installation (`AEGIS_DATA_DIR`)."""

    def __init__(self, root: Path) -> None:
        installation = InstallationSettings(aegis_data_dir=root)
        self._root = installation.root
        self._password_file = installation.postgres_password_file
        self._socket_dir = installation.postgres_socket_dir
        self._home = self._root / "postgres"
        self._data = self._home / "data"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log_file(self) -> Path:
        """What the server says."""
        return self._root / "logs" / "postgres.log"

    def start(self, *, leash: bool = True) -> None:
        """Start the server, making the cluster at the first time; return when it takes connections.

        A server already running on this data is adopted. On a `leash` (Linux) a server started here stops
        when the calling thread's process ends, however it ends.

        Raises:
            Misconfigured: the data directory is not writable or not reachable for the server's user, or
                holds the data of another major version.
            PermanentFailure: the server did not start, or there is no room on the disk.
        """
        with self._explained():
            account = postgres_install.server_account()
            if account is not None:
                postgres_install.require_reachable(self._root, account)
            self._make_directories(account)
            with self._locked():
                if self.pid() is None:
                    programs = postgres_install.place_programs(self._home, account)
                    self._clear_leftovers()
                    Cluster(self._data, self._password_file, programs, account).prepare()
                    self._launch(programs, account, leash=leash)
                self._wait_ready()

    def stop(self) -> None:
        """Stop the server: open transactions are rolled back, the data is checkpointed. No-op if stopped.

        Raises:
            PermanentFailure: it is still there after 30 s, an immediate shutdown and a kill.
        """
        pid = self.pid()
        for wish in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):  # fast, immediate, by force
            if pid is None:
                break
            _signal(pid, wish)
            if self._gone_within(pid, _STOP_SECONDS):
                break
        else:
            raise PermanentFailure(f"PostgreSQL (process {pid}) does not stop. Fix: see {self.log_file}.")
        if self._process is not None:
            self._process.wait(timeout=_STOP_SECONDS)
            self._process = None

    def is_running(self) -> bool:
        """Whether the server's main process is alive (a zombie is not)."""
        return self.pid() is not None

    def pid(self) -> int | None:
        """Process id of the running server on this data, whoever started it."""
        if self._process is not None:
            self._process.poll()  # reap our own child, so that a killed one is gone
        try:
            pid = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        return pid if self._is_ours(pid) else None

    def ensure_database(self, name: str) -> None:
        """Create the database if it is missing; the server must run.

        Raises:
            DependencyUnavailable: the server does not answer.
        """
        try:
            with psycopg.connect(**self.connection("postgres"), autocommit=True) as connection:  # type: ignore[arg-type]
                known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
                if known is None:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except psycopg.errors.DuplicateDatabase:
            return  # another process was faster
        except psycopg.OperationalError as error:
            raise DependencyUnavailable(
                "Embedded PostgreSQL", f"did not create database {name}: {error}.", f"see {self.log_file}."
            ) from error

    def connection(self, dbname: str) -> dict[str, str | int]:
        """Keyword arguments of `psycopg.connect` for one of its databases. Contains the password."""
        return {
            "host": str(self._socket_dir),
            "port": _PORT,
            "user": SUPERUSER,
            "password": self._password(),
            "dbname": dbname,
            "connect_timeout": 10,
        }

    def sqlalchemy_url(self, dbname: str) -> str:
        """SQLAlchemy's address with asyncpg, as the Prefect server wants it. Contains the password."""
        return (
            f"postgresql+asyncpg://{SUPERUSER}:{quote(self._password(), safe='')}@/{quote(dbname, safe='')}"
            f"?host={quote(str(self._socket_dir), safe='/')}&port={_PORT}"
        )

    def _password(self) -> str:
        try:
            return self._password_file.read_text(encoding="ascii").strip()
        except OSError as error:
            raise Misconfigured(
                "AEGIS_DATA_DIR",
                f"holds no readable {self._password_file.name} ({error.strerror}: {self._password_file}).",
                "start the server once as the user who owns the directory; a lost password is renewed then.",
            ) from error

    def _make_directories(self, account: Account | None) -> None:
        for directory in (self._root, self._home, self.log_file.parent):
            directory.mkdir(parents=True, exist_ok=True)
        for directory in (self._password_file.parent, self._socket_dir):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._password_file.parent.chmod(0o700)
        owner = os.geteuid() if account is None else account.uid
        if self._socket_dir.is_symlink() or self._socket_dir.stat().st_uid not in {os.geteuid(), owner}:
            raise PermanentFailure(
                f"{self._socket_dir}, the place of PostgreSQL's socket, belongs to somebody else. "
                "Fix: remove it."
            )
        self._socket_dir.chmod(0o700)
        if account is not None:
            os.chown(self._socket_dir, account.uid, account.gid)
            for directory in (self._root, self._home):  # ours; the server's user must pass through
                directory.chmod(directory.stat().st_mode | 0o001)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._home / "start.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _launch(self, programs: Path, account: Account | None, *, leash: bool) -> None:
        # On the command line stands only what the rest of the product relies on. No secret among it.
        command = [
            *(str(programs / "postgres"), "-D", str(self._data)),
            *("-c", "listen_addresses=", "-c", f"port={_PORT}"),
            *("-c", f"unix_socket_directories={self._socket_dir}", "-c", "unix_socket_permissions=0700"),
            *("-c", "logging_collector=off", "-c", "log_destination=stderr"),
        ]
        user = (-1, -1) if account is None else (account.uid, account.gid)
        parent = os.getpid()
        death = signal.SIGINT if leash else 0
        leashed = [sys.executable, "-I", "-S", str(_LEASH), *map(str, (parent, int(death), *user)), *command]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                leashed,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=ENVIRONMENT,
                start_new_session=True,
            )

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                self._process = None
                raise PermanentFailure(
                    f"Embedded PostgreSQL did not start: {last_lines(tail(self.log_file))} "
                    f"Fix: see {self.log_file}."
                )
            if self._status() == "ready" and self.pid() is not None:
                return
            time.sleep(0.02)
        raise DependencyUnavailable(
            "Embedded PostgreSQL", f"is not ready after {_START_SECONDS:.0f} s.", f"see {self.log_file}."
        )

    def _status(self) -> str:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return ""
        return lines[7].strip() if len(lines) > 7 else ""

    def _is_ours(self, pid: int) -> bool:
        """Whether `pid` is a living PostgreSQL process of this cluster; its directory tells."""
        try:
            process = psutil.Process(pid)
            return process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == self._data.resolve()
        except (psutil.Error, OSError):
            return False

    def _clear_leftovers(self) -> None:
        """Wait for the processes of a killed server, then remove its pid file, socket and lock.

        A new server beside a living old one would destroy the data, so nothing starts while one is there.
        """
        wishes = iter((signal.SIGQUIT, signal.SIGKILL))
        deadline = time.monotonic() + _LEFTOVER_SECONDS / 3
        while left := [process.pid for process in psutil.process_iter() if self._is_ours(process.pid)]:
            if time.monotonic() > deadline:
                wish = next(wishes, None)
                if wish is None:
                    raise PermanentFailure(
                        f"Processes {left} of an earlier PostgreSQL still hold {self._data}. Fix: end them."
                    )
                for pid in left:
                    _signal(pid, wish)
                deadline = time.monotonic() + _LEFTOVER_SECONDS / 3
            time.sleep(0.05)
        socket = self._socket_dir / f".s.PGSQL.{_PORT}"
        for stale in (self._data / "postmaster.pid", socket, socket.with_name(f"{socket.name}.lock")):
            stale.unlink(missing_ok=True)

    def _gone_within(self, pid: int, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process is not None:
                self._process.poll()
            if not self._is_ours(pid):
                return True
            time.sleep(0.02)
        return False

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what an operating system's refusal means here."""
        try:
            yield
        except AegisError:
            raise
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise PermanentFailure(
                    f"The disk under {self._root} is full ({error.filename}). "
                    "Fix: make room, or choose another AEGIS_DATA_DIR."
                ) from error
            raise Misconfigured(
                "AEGIS_DATA_DIR",
                f"is {self._root}, where PostgreSQL cannot be set up: {error.strerror} ({error.filename}).",
                "choose a directory that this user may write.",
            ) from error


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
