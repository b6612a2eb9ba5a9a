"""Remembers on local disk that the database is away, because the database itself cannot.

One file per outage, whose *name* says everything that must not be lost: when it began, how far it has come,
when it ended. Creating and renaming a file works on a full disk where writing into one does not; the error
text inside is a convenience. A lock, freed by the kernel when its holder dies, lets one check at a time act.
This module must not talk to the database or to people.

    outage-20260125T060000000000Z.open            seen, nobody told yet
    outage-20260125T060000000000Z.alerted         people know
    outage-20260125T060000000000Z-20260125T061500000000Z.recovered    over, the message saying so is pending
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from aegis_lib.errors import PermanentFailure
from aegis_lib.health.model import Outage, Stage

_STAMP = "%Y%m%dT%H%M%S%fZ"
_NAME = re.compile(
    r"^outage-(?P<since>\d{8}T\d{12}Z)(-(?P<until>\d{8}T\d{12}Z))?\.(?P<stage>open|alerted|recovered)$"
)
_LONGEST_ERROR_CHARACTERS = 2000


class OutageFile:
    """The outage that is on, as a file in a directory. Every method that changes something needs `hold`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def hold(self) -> Iterator[bool]:
        """Be the one check that acts; False when another process is that one right now.

        Raises:
            PermanentFailure: the directory cannot be used.
        """
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._directory / "outage.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._failure("be used", error) from error
        try:
            yield _lock(descriptor)
        finally:
            os.close(descriptor)

    def current(self) -> Outage | None:
        """The oldest outage that is not closed, or None.

        Raises:
            PermanentFailure: the directory cannot be read.
        """
        try:
            names = sorted(os.listdir(self._directory))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failure("be read", error) from error
        for name in names:
            if outage := _parsed(name):
                return outage.model_copy(update={"error": self._error(name)})
        return None

    def open(self, outage: Outage) -> None:
        """Remember a new outage. Its error text is kept where there is room for it.

        Raises:
            PermanentFailure: the file could not be created.
        """
        path = self._directory / _name(outage)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return
        except OSError as error:
            raise self._failure("remember the outage", error) from error
        try:
            os.write(descriptor, outage.error[:_LONGEST_ERROR_CHARACTERS].encode())
            os.fsync(descriptor)
        except OSError:
            pass  # the name is what counts, and it exists
        finally:
            os.close(descriptor)
        self._sync()

    def advance(self, outage: Outage, stage: Stage, until: datetime | None = None) -> Outage:
        """Remember that the outage has come further.

        Raises:
            PermanentFailure: the file could not be renamed.
        """
        further = outage.model_copy(update={"stage": stage, "until": until})
        try:
            os.rename(self._directory / _name(outage), self._directory / _name(further))
        except OSError as error:
            raise self._failure("remember the outage", error) from error
        self._sync()
        return further

    def close(self, outage: Outage) -> None:
        """Forget the outage: everything about it is in the database and with people.

        Raises:
            PermanentFailure: the file could not be removed.
        """
        try:
            (self._directory / _name(outage)).unlink(missing_ok=True)
        except OSError as error:
            raise self._failure("forget the outage", error) from error
        self._sync()

    def _error(self, name: str) -> str:
        try:
            return (self._directory / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def _sync(self) -> None:
        """Make a created or renamed name survive a power cut."""
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _failure(self, doing: str, error: OSError) -> PermanentFailure:
        return PermanentFailure(
            f"{self._directory} cannot {doing}: {error.strerror}. Fix: make it a writable directory with "
            "free space, or move AEGIS_DATA_DIR."
        )


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _name(outage: Outage) -> str:
    until = f"-{_stamp(outage.until)}" if outage.until else ""
    return f"outage-{_stamp(outage.since)}{until}.{outage.stage.value}"


def _parsed(name: str) -> Outage | None:
    """The outage of a file of this name; None for a file that is none of ours."""
    match = _NAME.match(name)
    if match is None:
        return None
    until = match["until"]
    try:
        return Outage(
            since=_moment(match["since"]),
            until=_moment(until) if until else None,
            stage=Stage(match["stage"]),
        )
    except ValueError:  # thirteen months and the like
        return None


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(_STAMP)


def _moment(text: str) -> datetime:
    return datetime.strptime(text, _STAMP).replace(tzinfo=UTC)
