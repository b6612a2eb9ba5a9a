"""Records that wait on disk while the database is away. Each is applied exactly once, because it has a key.

    DIR/pending.jsonl    appended under a lock between processes, synced to the disk before `append` returns
    DIR/flushing.jsonl   what is being applied; what a stopped flush leaves is first in the next one
    DIR/rejected.jsonl   lines that can never be applied, each with its reason, for a human

A record leaves its file only after it was applied. A crash between the two applies it again, which its key
makes harmless: whoever applies must ignore a key it knows. This module must not know what a record means.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from aegis_lib import clock
from aegis_lib.db.storable import storable_json, storable_text
from aegis_lib.errors import DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.logs import get_logger

MAX_RECORD_BYTES = 1 << 20
MAX_SPOOL_BYTES = 256 << 20
"""A database away for weeks must not fill the disk of everybody else."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
log = get_logger(__name__)


class SpoolFull(DependencyUnavailable):
    """The record could not be kept: no room. What was spooled before is untouched."""

    def __init__(self, directory: Path, problem: str) -> None:
        super().__init__(
            "Spool",
            f"{problem} in {directory}; this record is not kept.",
            "make room on that disk, and bring the database back so that the spool empties.",
        )


class RecordTooLarge(ValueError):
    """One record beyond `MAX_RECORD_BYTES`."""


class SpoolRecord(BaseModel):
    """One spooled record. `kind` says who can apply it, `key` makes applying it twice a no-op."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = Field(min_length=1, max_length=100)
    key: str = Field(min_length=1, max_length=200)
    payload: dict[str, Any]
    spooled_at: AwareDatetime


@dataclass(frozen=True)
class FlushReport:
    """What one flush did. `stopped_by` is why the rest had to stay, None when nothing stays.

    `busy` means that another process is flushing and this one did nothing.
    """

    applied: int = 0
    rejected: int = 0
    remaining: int = 0
    stopped_by: str | None = None
    busy: bool = False


class Spool:
    """The spool in one directory, shared by any number of processes of this machine."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._pending = directory / "pending.jsonl"
        self._flushing = directory / "flushing.jsonl"
        self._rejected = directory / "rejected.jsonl"

    def append(self, kind: str, key: str, payload: dict[str, Any]) -> None:
        """Keep a record; it is on the disk when this returns. Payload: what JSON can say, up to 1 MiB.

        Raises:
            SpoolFull: the disk or the spool is full; nothing of the record is left behind.
            Misconfigured: the directory cannot be written.
            RecordTooLarge: the record has more than 1 MiB.
            ValueError: its kind or key is empty or too long.
        """
        record = SpoolRecord(
            kind=kind,
            key=storable_text(key),
            payload=json.loads(storable_json(payload)),
            spooled_at=clock.utcnow(),
        )
        line = record.model_dump_json().encode() + b"\n"
        if len(line) > MAX_RECORD_BYTES:
            raise RecordTooLarge(f"a spooled record has at most {MAX_RECORD_BYTES} bytes, not {len(line)}")
        with self._explained(), self._locked("append.lock"):
            size = self._pending.stat().st_size if self._pending.exists() else 0
            if size + len(line) > MAX_SPOOL_BYTES:
                raise SpoolFull(self.directory, f"already {size} bytes wait")
            self._add(self._pending, line)

    def pending(self) -> int:
        """How many records wait."""
        with self._explained():
            return sum(len(_lines(path)) for path in (self._flushing, self._pending))

    def flush(self, apply: Callable[[SpoolRecord], None]) -> FlushReport:
        """Apply every waiting record, oldest first, and forget those that were.

        `apply` must ignore a key it has applied before. Its DependencyUnavailable stops the flush and keeps
        the rest; its PermanentFailure sets the record aside in rejected.jsonl and goes on, as does a line
        that is no record (torn by a crash). Any other exception, Misconfigured included, keeps the rest
        and is passed on. Records may be appended meanwhile, also by `apply`; they wait for the next flush.

        Raises:
            Misconfigured: the directory cannot be written, or what `apply` raised.
            SpoolFull: no room to set a record aside; it stays.
        """
        if not self.directory.exists():
            return FlushReport()
        with self._explained(), self._turn() as ours:
            if not ours:
                return FlushReport(remaining=self.pending(), busy=True)
            total = FlushReport()
            for source in (self._left_over, self._rotate):
                if source():
                    part = self._drain(apply)
                    total = FlushReport(
                        applied=total.applied + part.applied,
                        rejected=total.rejected + part.rejected,
                        stopped_by=part.stopped_by,
                    )
                    if total.stopped_by is not None:
                        break
            return FlushReport(total.applied, total.rejected, self.pending(), total.stopped_by)

    def _left_over(self) -> bool:
        return self._flushing.exists()

    def _rotate(self) -> bool:
        """Take what waits out of the writers' way."""
        with self._locked("append.lock"):
            if not self._pending.exists():
                return False
            self._pending.rename(self._flushing)
            _sync_directory(self.directory)
            return True

    def _drain(self, apply: Callable[[SpoolRecord], None]) -> FlushReport:
        lines = _lines(self._flushing)
        done = applied = rejected = 0
        try:
            for line in lines:
                try:
                    apply(_parse(line))
                    applied += 1
                except DependencyUnavailable as away:
                    return FlushReport(applied, rejected, stopped_by=str(away))
                except Misconfigured:
                    raise
                except PermanentFailure as refused:
                    self._set_aside(line, str(refused))
                    rejected += 1
                done += 1
        finally:
            self._keep(lines[done:], forgotten=done)
        return FlushReport(applied, rejected)

    def _set_aside(self, line: bytes, reason: str) -> None:
        entry = {
            "rejected_at": clock.iso(clock.utcnow()),
            "reason": reason,
            "record": line.decode("utf-8", "backslashreplace"),
        }
        self._add(self._rejected, storable_json(entry).encode() + b"\n")
        log.error("spool_record_rejected", reason=reason, file=str(self._rejected))

    def _keep(self, lines: list[bytes], *, forgotten: int) -> None:
        """Leave only these lines in flushing.jsonl, whatever happens in the middle of it."""
        if not lines:
            self._flushing.unlink(missing_ok=True)
            _sync_directory(self.directory)
        elif forgotten:
            shorter = self._flushing.with_suffix(".new")
            try:
                with _opened(shorter, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as target:
                    _write_all(target, b"".join(line + b"\n" for line in lines))
                    os.fsync(target)
                shorter.rename(self._flushing)
                _sync_directory(self.directory)
            except OSError as error:
                # Not a loss: what was applied is applied again, and its keys are known.
                log.warning("spool_not_shortened", file=str(self._flushing), error=str(error))
                shorter.unlink(missing_ok=True)

    def _add(self, path: Path, line: bytes) -> None:
        """Append one line durably, or leave the file as it was."""
        new = not path.exists()
        with _opened(path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as target:
            size = os.fstat(target).st_size
            # a line torn by a crash is ended, so that it spoils itself and not this one
            torn = size > 0 and os.pread(target, 1, size - 1) != b"\n"
            try:
                _write_all(target, b"\n" + line if torn else line)
                os.fsync(target)
            except OSError:
                os.ftruncate(target, size)
                raise
            if new:
                _sync_directory(path.parent)

    @contextmanager
    def _locked(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold a lock between processes and threads; without `wait` yield False when another holds it."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _opened(self.directory / name, os.O_RDWR | os.O_CREAT) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True

    @contextmanager
    def _turn(self) -> Iterator[bool]:
        with self._locked("flush.lock", wait=False) as ours:
            yield ours

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise SpoolFull(self.directory, "the disk is full") from error
            raise Misconfigured(
                "AEGIS_DATA_DIR",
                f"the spool {self.directory} cannot be used: {error.strerror} ({error.filename}).",
                "let the user of the jobs write there, or name another directory.",
            ) from error


def _parse(line: bytes) -> SpoolRecord:
    try:
        return SpoolRecord.model_validate_json(line)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise PermanentFailure(f"no spooled record, perhaps torn by a crash: {problem}") from error


def _lines(path: Path) -> list[bytes]:
    try:
        return [line for line in path.read_bytes().split(b"\n") if line]
    except FileNotFoundError:
        return []


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _sync_directory(directory: Path) -> None:
    with _opened(directory, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
        os.fsync(descriptor)
