"""One child process of the stack: on a leash, its output in a log file, stopped politely, then firmly.

Must not outlive the stack: on Linux the kernel ends it when the stack dies. It runs in its own session, so
that Ctrl-C in the terminal reaches only the stack, which then stops its children in order. Logs are worth
less than what is logged: where there is no room for one, the child runs without.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from aegis_lib.errors import DependencyUnavailable
from aegis_lib.logs import get_logger
from deployments import leash
from deployments.postgres_cluster import last_lines, tail

log = get_logger(__name__)
_KEPT_LOGS = 3
_LARGEST_LOG_BYTES = 20_000_000


class ChildProcess:
    """A supervised `Part`: `command` in `directory` with exactly the environment `environment`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        log_file: Path,
        *,
        grace_seconds: float,
    ) -> None:
        """`grace_seconds` is the time between asking it to end and ending it."""
        self.name = name
        self.log_file = log_file
        self._command, self._environment, self._directory = list(command), dict(environment), directory
        self._grace_seconds = grace_seconds
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, while it was started and not stopped."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it; must be called from the main thread, whose end the kernel takes for the parent's.

        Raises:
            DependencyUnavailable: the system starts no process; asking again later may help.
        """
        arguments = map(str, (os.getpid(), int(signal.SIGTERM), -1, -1))
        with _opened(self.log_file) as output:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", leash.__file__, *arguments, *self._command],
                    env=self._environment,
                    cwd=self._directory,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                said = f"cannot be started: {error.strerror} ({error.filename})."
                raise DependencyUnavailable(self.name, said, "make room for it on this machine.") from error

    def is_alive(self) -> bool:
        """Whether it runs; reaps it where it does not."""
        return self._process is not None and self._process.poll() is None

    def why_ended(self) -> str:
        """Its exit code or signal, and where to read more."""
        code = None if self._process is None else self._process.poll()
        if code is None:
            return "it was not started"
        how = f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
        return f"{how}, see {self.log_file}"

    def last_words(self) -> str:
        """The end of its log, on one line."""
        return last_lines(tail(self.log_file))

    def stop(self) -> None:
        """Ask it to end, wait, then end it and everything in its session's group."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(self._grace_seconds)
            except subprocess.TimeoutExpired:
                process.kill()
        with suppress(ProcessLookupError, PermissionError):  # when nobody is left in the group
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._process = None


def _opened(log_file: Path) -> BinaryIO:
    """A fresh log to append to; nowhere, where the disk takes none."""
    try:
        rotate(log_file)
        return log_file.open("ab")
    except OSError as error:
        log.error("log_not_written", file=str(log_file), reason=error.strerror)
        return open(os.devnull, "wb")


def rotate(log_file: Path) -> None:
    """Move a log of an earlier start aside; the newest three are kept."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    if not log_file.exists() or log_file.stat().st_size == 0:
        return
    for number in range(_KEPT_LOGS - 1, 0, -1):
        older = log_file.with_name(f"{log_file.name}.{number}")
        if older.exists():
            older.replace(log_file.with_name(f"{log_file.name}.{number + 1}"))
    log_file.replace(log_file.with_name(f"{log_file.name}.1"))


def trim(log_file: Path, largest_bytes: int = _LARGEST_LOG_BYTES) -> None:
    """Copy a log that grew too large aside and empty it; its writer appends and goes on undisturbed.

    On a full disk it is emptied without a copy: the room is worth more.
    """
    try:
        if log_file.stat().st_size <= largest_bytes:
            return
    except FileNotFoundError:
        return
    aside = log_file.with_name(f"{log_file.name}.1")
    try:
        shutil.copyfile(log_file, aside)
    except OSError as error:
        log.error("log_not_kept", file=str(log_file), reason=error.strerror)
        aside.unlink(missing_ok=True)
    os.truncate(log_file, 0)
