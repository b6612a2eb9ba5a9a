"""One run that has a process: what it says, the limits it is held to, and how it ended.

Knows processes and time, not states: what an end means for the run is decided in endings.py.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import psutil

from aegis_lib.outcome import Frozen
from deployments.job_variables import RunLimits
from deployments.worker.exits import Exit
from deployments.worker.images import Child
from deployments.worker.wire import Decoder, encode

_READ_BYTES = 65536
_MEMORY_LOOK_SECONDS = 0.5
_LINGER_SECONDS = 60.0
_MB = 1024 * 1024

Cause = Literal["itself", "time_out", "memory", "cancelled", "stopped"]


class Ending(Frozen):
    """How a run's process ended. `cause`: why, as far as the worker had a hand in it.

    `concluded`: the run said before that it had come to its end.
    """

    exit: Exit
    cause: Cause = "itself"
    concluded: bool = False
    detail: str = ""


class RunInFlight:
    """The worker's side of one run's process."""

    def __init__(
        self, child: Child, channel: socket.socket, limits: RunLimits, log: Callable[[dict[str, Any]], None]
    ) -> None:
        """`log` takes the lines that the run wants shown by the server."""
        self._loop = asyncio.get_running_loop()
        self._child, self._channel, self._limits, self._log = child, channel, limits, log
        self._decoder = Decoder()
        self._changed = asyncio.Event()
        self._deadline: float | None = None
        self._kill_at: float | None = None
        self._cause: Cause = "itself"
        self._detail = ""
        self._concluded = False
        channel.setblocking(False)
        self._loop.add_reader(channel.fileno(), self._read)
        self._reading = True

    @property
    def pid(self) -> int:
        """Its process."""
        return self._child.pid

    @property
    def is_alive(self) -> bool:
        """Whether its process has not ended, as far as we were told."""
        return not self._child.ended.done()

    async def tell(self, message: Mapping[str, Any]) -> None:
        """Send it a message; one that no longer listens is no error, its end is noticed elsewhere."""
        try:
            await self._loop.sock_sendall(self._channel, encode(dict(message)))
        except OSError:
            return

    async def cancel(self) -> None:
        """Ask it to cancel, and end it when it has not within its grace."""
        if self._cause == "itself":
            self._cause = "cancelled"
            await self.tell({"cancel": True})
            self._ask(self._limits.cancel_grace_seconds)

    def stop(self, grace_seconds: float) -> None:
        """Ask it to end because the worker stops, and end it when it has not within that time."""
        if self._cause == "itself":
            self._cause = "stopped"
            self._ask(grace_seconds)

    def kill(self) -> None:
        """End it and what it started, at once."""
        self._signal(signal.SIGKILL)

    async def wait(self) -> Ending:
        """Hold it to its limits until it has ended."""
        ended = self._child.ended
        while not ended.done():
            changed = self._loop.create_task(self._changed.wait())
            try:
                await asyncio.wait(
                    (ended, changed), timeout=self._seconds_to_look(), return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                changed.cancel()
            self._changed.clear()
            if not ended.done():
                self._enforce(time.monotonic())
        self._read()
        self.close()
        return Ending(exit=ended.result(), cause=self._cause, concluded=self._concluded, detail=self._detail)

    def close(self) -> None:
        """Hang up."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._channel.fileno())
        self._channel.close()

    def _read(self) -> None:
        while self._reading:
            try:
                data = self._channel.recv(_READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._reading = False
                self._loop.remove_reader(self._channel.fileno())
                return
            for message in self._decoder.feed(data):
                self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        now = time.monotonic()
        if "log" in message:
            self._log(message["log"])
        elif message.get("timeout_seconds"):
            self._deadline = now + message["timeout_seconds"] + self._limits.timeout_grace_seconds
            self._changed.set()
        elif "concluded" in message:
            self._concluded = True
            self._deadline = now + _LINGER_SECONDS
            self._changed.set()

    def _seconds_to_look(self) -> float | None:
        moments = [moment for moment in (self._deadline, self._kill_at) if moment is not None]
        wait = max(0.0, min(moments) - time.monotonic()) if moments else None
        if self._limits.memory_limit_mb is None:
            return wait
        return _MEMORY_LOOK_SECONDS if wait is None else min(wait, _MEMORY_LOOK_SECONDS)

    def _enforce(self, now: float) -> None:
        if self._kill_at is not None and now >= self._kill_at:
            self.kill()
            self._kill_at = now + 1.0
        elif self._deadline is not None and now >= self._deadline:
            if not self._concluded:
                self._blame("time_out", "its time-out")
            self._deadline = None
            self._ask(0)
        elif limit := self._limits.memory_limit_mb:
            used = resident_mb(self.pid)
            if used > limit:
                self._blame("memory", f"{used} MB of memory, more than its memory_limit_mb of {limit}")
                self._ask(0)

    def _blame(self, cause: Cause, detail: str) -> None:
        if self._cause == "itself":
            self._cause, self._detail = cause, detail

    def _ask(self, grace_seconds: float) -> None:
        self._kill_at = time.monotonic() + grace_seconds
        self._signal(signal.SIGKILL if grace_seconds <= 0 else signal.SIGTERM)
        self._changed.set()

    def _signal(self, number: signal.Signals) -> None:
        if not self.is_alive:
            return
        try:
            if number == signal.SIGKILL and os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)
        except ProcessLookupError:
            return


def resident_mb(pid: int) -> int:
    """Resident memory of a process and of all that it started, in MB; 0 when it is gone."""
    total = 0
    try:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            try:
                total += process.memory_info().rss
            except psutil.Error:
                continue
    except psutil.Error:
        return 0
    return total // _MB
