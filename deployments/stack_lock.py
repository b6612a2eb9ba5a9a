"""One stack per data directory: a locked file that says who runs it. The kernel frees it with the process."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from aegis_lib.errors import Misconfigured, PermanentFailure

_NAME = "aegis.lock"


@dataclass(frozen=True)
class Holder:
    """The running stack: its process, port and the address of its pages."""

    pid: int
    port: int
    url: str


class AlreadyRunning(PermanentFailure):
    """Another stack runs on this data directory."""

    def __init__(self, root: Path, holder: Holder | None) -> None:
        self.holder = holder
        who = (
            f"process {holder.pid}, port {holder.port}, {holder.url}"
            if holder
            else "its process is just starting"
        )
        super().__init__(f"aegis up is already running on {root}: {who}. Fix: stop it with `aegis down`.")


@contextmanager
def held(root: Path, port: int, url: str) -> Iterator[None]:
    """Hold the lock of the data directory, which is made where it is missing.

    Raises:
        AlreadyRunning: another process holds it.
        Misconfigured: the directory cannot be made or written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = (root / _NAME).open("a+", encoding="utf-8")
    except OSError as error:
        raise Misconfigured(
            "AEGIS_DATA_DIR",
            f"is {root}, which cannot be written: {error.strerror} ({error.filename}).",
            "choose a directory that this user may write.",
        ) from error
    with file:
        if not _try_lock(file):
            raise AlreadyRunning(root, _read(root))
        file.truncate(0)
        json.dump(asdict(Holder(os.getpid(), port, url)), file)
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def holder(root: Path) -> Holder | None:
    """Who runs a stack on this data directory now; None when nobody does."""
    try:
        with (root / _NAME).open("r", encoding="utf-8") as file:
            return None if _try_lock(file) else _read(root)
    except OSError:
        return None


def is_held(root: Path) -> bool:
    """Whether a stack runs on this data directory."""
    try:
        with (root / _NAME).open("r", encoding="utf-8") as file:
            return not _try_lock(file)
    except OSError:
        return False


def _try_lock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(root: Path) -> Holder | None:
    try:
        return Holder(**json.loads((root / _NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
