"""The status page as a file, `index.html` in a directory that a web server reads. Decides nothing about it.

A new page replaces the old one in one step: whoever reads sees the one or the other, whole. Directory and
file may be read by everybody, since a web server has another user; nothing else is put there.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import os
import tempfile
from pathlib import Path

from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured
from aegis_lib.settings import ReportSettings

NAME = "index.html"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class ReportFile:
    """Implements the port `PagePlace` on one file; `setting` is what names it."""

    def __init__(self, path: Path, setting: str = "AEGIS_REPORT_DIR") -> None:
        self._path, self._setting = path, setting

    def write(self, page: bytes) -> str:
        """Put the page there in one step, in place of the last one; returns its path. See the port.

        Raises:
            Misconfigured: the directory or the file cannot be written.
            DependencyUnavailable: the disk is full.
        """
        try:
            self._make_directory()
            _replace(self._path, page)
        except OSError as error:
            raise self._failure(error) from error
        return str(self._path)

    def _make_directory(self) -> None:
        directory = self._path.parent
        if not directory.is_dir():
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o755)

    def _failure(self, error: OSError) -> AegisError:
        where = error.filename or self._path
        if error.errno in _NO_ROOM:
            return DependencyUnavailable(
                "status page",
                f"no room for it in {self._path.parent} ({error.strerror}).",
                "make room there.",
            )
        return Misconfigured(
            self._setting,
            f"the page {self._path} cannot be written: {error.strerror} ({where}).",
            f"make it a place that user {_user()} may write, or name another one.",
        )


def connect(settings: ReportSettings) -> ReportFile:
    """The page in `AEGIS_REPORT_DIR`; the directory is made with the first page.

    Raises:
        Misconfigured: the path starts with `~` and this user has no home.
    """
    try:
        return ReportFile(settings.root / NAME)
    except RuntimeError as error:
        raise Misconfigured(
            "AEGIS_REPORT_DIR",
            f"is {settings.directory}, and this user has no home.",
            "name the whole path.",
        ) from error


def _replace(path: Path, page: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(page)
            os.fchmod(file.fileno(), 0o644)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())
