"""The worker's side of the warm processes: keeps them current and has runs forked from them.

One base knows Prefect; one image a directory knows that directory's jobs besides. An image whose files
changed is replaced before the next run; the base is replaced when packages or Prefect's settings changed.
Runs outlive the process they were forked from. Knows nothing of flow runs or of the server.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import socket
import sys
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aegis_lib.errors import DependencyUnavailable
from aegis_lib.logs import get_logger
from deployments.worker.exits import Exit
from deployments.worker.fork_server import DATAGRAM_BYTES
from deployments.worker.process_title import PADDING

log = get_logger(__name__)

_START_SECONDS = 120.0
_FORK_SECONDS = 60.0
_MOST_IMAGES = 8
_SETTINGS_FILES = ("prefect.toml", ".env", "pyproject.toml", "requirements.lock")
_PR_SET_CHILD_SUBREAPER = 36


class Child:
    """A forked process: its id, and its end to be waited for."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self.watcher: asyncio.Task[None] | None = None

    def end(self, how: Exit) -> None:
        """Note its end; only the first note counts."""
        if not self.ended.done():
            self.ended.set_result(how)


class WarmProcess:
    """The base or an image, as seen over its socket."""

    def __init__(self, control: socket.socket, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self.name, self._control = name, control
        control.setblocking(False)
        self.ready: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._asked: deque[asyncio.Future[int]] = deque()
        self._children: dict[int, Child] = {}
        self.alive = True
        self._loop.add_reader(control.fileno(), self._read)

    async def fork(self, request: dict[str, Any], passed: socket.socket) -> Child:
        """Have a child forked that gets `passed`.

        Raises:
            DependencyUnavailable: it could not be: the process is gone, refuses or does not answer.
        """
        answer: asyncio.Future[int] = self._loop.create_future()
        self._asked.append(answer)
        try:
            await self._send(json.dumps(request).encode(), passed)
            pid = await asyncio.wait_for(answer, _FORK_SECONDS)
        except (OSError, TimeoutError) as error:
            self.close()
            raise DependencyUnavailable(self.name, f"it does not fork ({type(error).__name__}).") from error
        return self._children[pid]

    async def _send(self, data: bytes, passed: socket.socket) -> None:
        while True:
            try:
                socket.send_fds(self._control, [data], [passed.fileno()])
            except BlockingIOError:
                await asyncio.sleep(0.01)
            else:
                return

    def _read(self) -> None:
        while self.alive:
            try:
                data = self._control.recv(DATAGRAM_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._gone()
                return
            self._take(json.loads(data))

    def _take(self, message: dict[str, Any]) -> None:
        event = message["event"]
        if event == "ready" and not self.ready.done():
            self.ready.set_result(message)
        elif event == "forked":
            child = self._children[message["pid"]] = Child(message["pid"])
            self._answer(child.pid)
        elif event == "refused":
            said = f"it has {message['threads']} threads and forks no more."
            self._answer(DependencyUnavailable(self.name, said))
        elif event == "ended":
            child_ended = self._children.pop(message["pid"], None)
            if child_ended:
                child_ended.end(Exit.of_status(message["status"], message["peak_mb"], message["cpu_seconds"]))

    def _answer(self, what: int | Exception) -> None:
        asked = self._asked.popleft()
        if asked.done():
            return
        if isinstance(what, Exception):
            asked.set_exception(what)
        else:
            asked.set_result(what)

    def _gone(self) -> None:
        """It ended: its children, if any, are ours now, as far as the system gives them to us."""
        self.close()
        gone = DependencyUnavailable(self.name, "it has ended.")
        while self._asked:
            self._answer(gone)
        if not self.ready.done():
            self.ready.set_exception(gone)
            self.ready.exception()  # whoever asks later still gets it
        for child in self._children.values():
            _adopt(child, self._loop)
        self._children.clear()

    def retire(self) -> None:
        """Close it as soon as the last of its children has ended; it forks no more."""
        if not self._children:
            self.close()
            return
        waiting = [child.ended for child in self._children.values()]

        async def last() -> None:
            await asyncio.wait(waiting)
            self.close()

        self._retiring = self._loop.create_task(last())

    def close(self) -> None:
        """Let it end. Its children live on."""
        if self.alive:
            self.alive = False
            self._loop.remove_reader(self._control.fileno())
            self._control.close()


def _adopt(child: Child, loop: asyncio.AbstractEventLoop) -> None:
    """Watch a process that we did not fork ourselves."""
    try:
        descriptor = os.pidfd_open(child.pid)
    except OSError:
        child.end(_reaped(child.pid))
        return

    def ended() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        child.end(_reaped(child.pid))

    loop.add_reader(descriptor, ended)


def _reaped(pid: int) -> Exit:
    try:
        _, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return Exit(code=None)
    return Exit.of_status(status)


class Fingerprint:
    """Files, and whether one of them changed since."""

    def __init__(self, files: Iterable[str | Path], since_ns: int) -> None:
        """`since_ns`: a file changed after this moment counts as changed already."""
        self._seen = {str(file): _changed_ns(file) for file in files}
        self._stale = any(changed is not None and changed >= since_ns for changed in self._seen.values())

    def changed(self) -> bool:
        """Whether a file was written, made or removed since."""
        return self._stale or any(_changed_ns(file) != seen for file, seen in self._seen.items())


def _changed_ns(file: str | Path) -> int | None:
    try:
        return os.stat(file).st_mtime_ns
    except OSError:
        return None


class _Image:
    def __init__(self, process: WarmProcess, entrypoints: frozenset[str], files: Fingerprint) -> None:
        self.process, self.entrypoints, self.files = process, entrypoints, files


class Images:
    """All warm processes of one worker."""

    def __init__(self) -> None:
        self._base: WarmProcess | None = None
        self._base_files = Fingerprint((), 0)
        self._base_process: asyncio.subprocess.Process | None = None
        self._images: dict[str, _Image] = {}
        self._entrypoints: dict[str, set[str]] = {}
        self._unfit: dict[str, set[str]] = {}
        self._lock = asyncio.Lock()

    def know(self, directory: str, entrypoint: str) -> None:
        """Have this job's module imported in the image of its directory, from the next one made."""
        self._entrypoints.setdefault(directory, set()).add(entrypoint)

    async def start(self) -> None:
        """Make the base and an image for every directory known."""
        await self._current_base()
        for directory in list(self._entrypoints):
            await self._current_image(directory)

    async def fork_run(self, directory: str | None, channel: socket.socket) -> Child:
        """Fork a process for a run whose jobs lie in `directory`; None: one that knows Prefect only.

        Raises:
            DependencyUnavailable: nothing can be forked, also not from fresh processes.
        """
        for attempt in (1, 2):
            process = await self._process_for(directory)
            try:
                return await process.fork({"op": "run"}, channel)
            except DependencyUnavailable as error:
                log.warning("warm_process_replaced", process=process.name, reason=str(error))
                self._discard(process)
                if attempt == 2:
                    raise
        raise AssertionError

    async def close(self) -> None:
        """Let all warm processes end. Runs live on."""
        for image in self._images.values():
            image.process.close()
        self._images.clear()
        if self._base:
            self._base.close()
        if self._base_process:
            await self._base_process.wait()

    async def _process_for(self, directory: str | None) -> WarmProcess:
        if directory is not None and self._entrypoints.get(directory):
            image = self._images.get(directory)
            if image and self._is_current(directory, image) and self._base_is_current():
                return image.process
            return await self._current_image(directory)
        return await self._current_base()

    def _is_current(self, directory: str, image: _Image) -> bool:
        return (
            image.process.alive
            and not image.files.changed()
            and image.entrypoints >= self._entrypoints[directory] - self._unfit.get(directory, set())
        )

    def _base_is_current(self) -> bool:
        return self._base is not None and self._base.alive and not self._base_files.changed()

    async def _current_base(self) -> WarmProcess:
        async with self._lock:
            return await self._ensure_base()

    async def _ensure_base(self) -> WarmProcess:
        if self._base is not None and self._base_is_current():
            return self._base
        for directory in list(self._images):
            self._images.pop(directory).process.retire()
        if self._base:
            self._base.retire()
        self._unfit.clear()
        since_ns, started = time.time_ns(), time.monotonic()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._base_process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "deployments.worker.fork_server", str(theirs.fileno()), PADDING),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
            )
        self._base = WarmProcess(ours, "the warm process")
        ready = await self._until_ready(self._base)
        self._base_files = Fingerprint([*ready["files"], *_installation_files()], since_ns)
        log.info("warm_process_ready", pid=self._base_process.pid, seconds=_since(started))
        return self._base

    async def _current_image(self, directory: str) -> WarmProcess:
        async with self._lock:
            base = await self._ensure_base()
            image = self._images.get(directory)
            if image and self._is_current(directory, image):
                return image.process
            if image:
                self._unfit.pop(directory, None) if image.files.changed() else None
                self._images.pop(directory).process.retire()
            while len(self._images) >= _MOST_IMAGES:
                self._images.pop(next(iter(self._images))).process.retire()
            return await self._make_image(base, directory)

    async def _make_image(self, base: WarmProcess, directory: str) -> WarmProcess:
        unfit = self._unfit.setdefault(directory, set())
        while wanted := sorted(self._entrypoints[directory] - unfit):
            since_ns, started = time.time_ns(), time.monotonic()
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                request = {"op": "image", "directory": directory, "entrypoints": wanted}
                await base.fork(request, theirs)
            process = WarmProcess(ours, f"the image of {directory}")
            try:
                ready = await self._until_ready(process)
            except DependencyUnavailable as error:
                log.warning("image_not_made", directory=directory, reason=str(error))
                unfit.update(wanted)
                return base
            if culprit := ready["threads_by"]:
                log.warning("job_starts_threads_when_imported", entrypoint=culprit, directory=directory)
                unfit.add(culprit)
                process.close()
                continue
            for entrypoint, reason in ready["failed"].items():
                log.warning("job_not_imported", entrypoint=entrypoint, directory=directory, reason=reason)
            known = frozenset(wanted)
            self._images[directory] = _Image(process, known, Fingerprint(ready["files"], since_ns))
            log.info("image_ready", directory=directory, jobs=len(wanted), seconds=_since(started))
            return process
        return base

    async def _until_ready(self, process: WarmProcess) -> dict[str, Any]:
        try:
            return await asyncio.wait_for(asyncio.shield(process.ready), _START_SECONDS)
        except TimeoutError as error:
            process.close()
            said = f"not ready after {_START_SECONDS:.0f} s."
            raise DependencyUnavailable(process.name, said) from error

    def _discard(self, process: WarmProcess) -> None:
        process.retire()
        self._images = {d: image for d, image in self._images.items() if image.process is not process}
        if process is self._base:
            self._base = None


def become_parent_of_orphans() -> None:
    """Have the system give us the runs whose warm process ended, so that their exit codes are not lost."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _installation_files() -> list[str]:
    """What changes when a package is installed, or a setting of Prefect is edited here."""
    places = [path for path in sys.path if path.endswith("-packages")]
    return [*places, *(str(Path.cwd() / name) for name in _SETTINGS_FILES)]


def _since(started: float) -> float:
    return round(time.monotonic() - started, 2)
