"""Images as files: ROOT/ab/abcd..., named by their SHA-256, each once. Must not write anywhere else.

A file appears whole or not at all: it is written under another name, synced and renamed. Writers and whoever
removes files take turns by a lock on ROOT/.lock, so that nothing is removed that was just put.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured
from aegis_lib.logs import get_logger
from aegis_lib.pictures.model import Forgotten
from aegis_lib.settings import ScreenshotSettings

_DIGEST = re.compile(r"[0-9a-f]{64}")
_ROOM = re.compile(r"[0-9a-f]{2}")
_UNFINISHED = ".new-"
_AT_ONCE = 1000
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
log = get_logger(__name__)


class PictureFiles:
    """The images under one directory, which is made when the first one is put."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, content: bytes) -> str:
        """Keep an image, durably; its digest."""
        digest = hashlib.sha256(content).hexdigest()
        target = self.path(digest)
        with self._translated("written"), self._turn():
            if self._whole(target, len(content)):
                os.utime(target)
                return digest
            target.parent.mkdir(mode=0o750, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=target.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    os.fchmod(file.fileno(), 0o640)
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(name, target)
            finally:
                with suppress(FileNotFoundError):  # it has its own name now
                    os.unlink(name)
            _sync(target.parent)
        return digest

    @staticmethod
    def _whole(target: Path, size: int) -> bool:
        """Whether it is there already; a damaged one is written again."""
        try:
            return target.stat().st_size == size
        except FileNotFoundError:
            return False

    def read(self, digest: str) -> bytes | None:
        """An image, or None where there is none, or one that is damaged."""
        with self._translated("read"):
            try:
                content = self.path(digest).read_bytes()
            except FileNotFoundError:
                return None
        if hashlib.sha256(content).hexdigest() != digest:
            log.warning("picture_file_damaged", file=str(self.path(digest)))
            return None
        return content

    def path(self, digest: str) -> Path:
        """Where that image is or would be."""
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"{digest[:80]!r} is no SHA-256 in hexadecimal")
        return self._root / digest[:2] / digest

    def kept(self, before: datetime) -> Iterator[list[str]]:
        """Digests of all images last put before that, some at a time; old unfinished files go."""
        found: list[str] = []
        for room in self._rooms():
            with self._translated("read"), os.scandir(room) as entries:
                for entry in entries:
                    if not _older(entry.path, before):
                        continue
                    if entry.name.startswith(_UNFINISHED):
                        with suppress(OSError):
                            os.unlink(entry.path)
                    elif _DIGEST.fullmatch(entry.name):
                        found.append(entry.name)
            if len(found) >= _AT_ONCE:
                yield found
                found = []
        if found:
            yield found

    def remove(self, digests: Sequence[str], before: datetime) -> Forgotten:
        """Remove images that were last put before that; what cannot be removed is said, not raised."""
        files, size, problems = 0, 0, []
        for digest in digests:
            path = self.path(digest)
            try:
                with self._translated("removed"), self._turn():
                    if not _older(path, before):
                        continue
                    length = path.stat().st_size
                    path.unlink()
            except AegisError as error:
                problems.append(str(error))
                continue
            files, size = files + 1, size + length
        return Forgotten(files=files, bytes=size, problems=tuple(problems))

    def _rooms(self) -> list[Path]:
        with self._translated("read"):
            try:
                return sorted(path for path in self._root.iterdir() if _ROOM.fullmatch(path.name))
            except FileNotFoundError:
                return []

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Nobody else writes or removes meanwhile; the lock goes with the process that holds it."""
        self._root.mkdir(mode=0o750, parents=True, exist_ok=True)
        handle = os.open(self._root / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            said = f"pictures in {self._root} cannot be {doing}: {error.strerror or type(error).__name__}."
            if error.errno in _FULL:
                raise DependencyUnavailable("disk", said, "make room, or look at the disk.") from error
            raise Misconfigured(
                "AEGIS_SCREENSHOT_DIR", said, "name a directory that belongs to the user of Aegis."
            ) from error


def opened(settings: ScreenshotSettings | None = None) -> PictureFiles:
    """The images of this installation."""
    return PictureFiles((settings or ScreenshotSettings()).root)


def _older(path: str | Path, before: datetime) -> bool:
    try:
        return os.stat(path, follow_symlinks=False).st_mtime < before.timestamp()
    except FileNotFoundError:
        return False


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
