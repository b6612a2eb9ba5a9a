"""The warm process from which runs are forked: it has imported Prefect and the jobs, and has one thread only.

`python -m deployments.worker.fork_server SOCKET PADDING`, started by the worker. There are two kinds: the
base knows Prefect only; an image, forked from the base, knows the jobs of one directory besides. Both serve
the same requests over a socket of datagrams (the worker's side is images.py):

    {"op": "image", "directory", "entrypoints"} + socket   fork an image, which serves on that socket
    {"op": "run"} + channel                                fork a run, which is told the rest over its channel
    <- {"event": "forked", "pid"} | {"event": "refused", "threads"}
    <- {"event": "ended", "pid", "status", "peak_mb", "cpu_seconds"}
    <- {"event": "ready", "files", "failed", "threads_by"}  once, before anything else

It must not fork while it has a second thread: a lock which that thread holds would stay locked in the run.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import time
from functools import partial
from types import ModuleType
from typing import Any, NoReturn

from prefect.flows import Flow, load_flow_from_entrypoint

from aegis_lib import isolation
from deployments.worker import process_title, run_process

DATAGRAM_BYTES = 256 * 1024
_SETTLE_SECONDS = 1.0

Flows = dict[str, Flow[Any, Any]]


def main(arguments: list[str]) -> NoReturn:
    """Serve as the base until the worker goes away."""
    control = socket.socket(fileno=int(arguments[0]))
    control.set_inheritable(False)
    run_process.warm()
    _Server(control, {}, {}, None).serve()


def thread_count() -> int:
    """How many threads the kernel counts in this process, whoever started them."""
    return len(os.listdir("/proc/self/task"))


class _Server:
    def __init__(
        self, control: socket.socket, flows: Flows, failed: dict[str, str], threads_by: str | None
    ) -> None:
        self._control, self._flows = control, flows
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)
        self._children: set[int] = set()
        self._hello: dict[str, Any] = {
            "event": "ready",
            "files": sorted(_source_files()),
            "failed": failed,
            "threads_by": threads_by,
        }

    def serve(self) -> NoReturn:
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the worker ends us by going away
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._say(self._hello)
        gc.collect()
        gc.freeze()  # what is shared with the runs stays shared
        gc.disable()
        while True:
            ready, _, _ = select.select([self._control.fileno(), self._wake_read], [], [])
            if self._wake_read in ready:
                _drain(self._wake_read)
                self._reap()
            if self._control.fileno() in ready:
                self._answer()

    def _answer(self) -> None:
        data, descriptors, _, _ = socket.recv_fds(self._control, DATAGRAM_BYTES, 1)
        if not data:
            os._exit(0)  # the worker is gone; runs go on without us
        request = json.loads(data)
        passed = socket.socket(fileno=descriptors[0])
        try:
            if not _settled():
                self._say({"event": "refused", "threads": thread_count()})
                return
            pid = os.fork()
            if pid == 0:
                self._become(request, passed)
            self._children.add(pid)
            self._say({"event": "forked", "pid": pid})
        finally:
            passed.close()

    def _become(self, request: dict[str, Any], passed: socket.socket) -> NoReturn:
        """In the child. It never returns into the server's loop, whatever happens."""
        try:
            signal.set_wakeup_fd(-1)
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._control.close()
            gc.enable()
            if request["op"] == "image":
                _become_image(passed, request["directory"], request["entrypoints"])
            run_process.become(passed, self._flows)
        finally:
            os._exit(70)  # only reached when the above could not even end by itself

    def _reap(self) -> None:
        while self._children:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._children.discard(pid)
            self._say(
                {
                    "event": "ended",
                    "pid": pid,
                    "status": status,
                    "peak_mb": used.ru_maxrss // 1024,
                    "cpu_seconds": round(used.ru_utime + used.ru_stime, 3),
                }
            )

    def _say(self, message: dict[str, Any]) -> None:
        try:
            self._control.send(json.dumps(message, separators=(",", ":")).encode())
        except (BrokenPipeError, ConnectionError):
            os._exit(0)


def _become_image(control: socket.socket, directory: str, entrypoints: list[str]) -> NoReturn:
    """Import the jobs of a directory, then serve. What cannot be imported is left to the run itself."""
    process_title.set_title(f"aegis-image {directory} ")
    os.chdir(directory)
    flows: Flows = {}
    failed: dict[str, str] = {}
    threads_by = None
    for entrypoint in entrypoints:
        found = isolation.attempt(partial(_load, entrypoint))
        if isinstance(found, Exception):
            failed[entrypoint] = f"{type(found).__name__}: {found}"[:500]
        else:
            flows[entrypoint] = found
        if not _settled():
            threads_by = entrypoint
            break
    _Server(control, flows, failed, threads_by).serve()


def _load(entrypoint: str) -> Flow[Any, Any]:
    return load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)


def _settled() -> bool:
    """Whether we are alone in this process; a thread that is just ending is waited for."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while thread_count() > 1:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _source_files() -> set[str]:
    """Files of imported modules that are somebody's own work, not an installed package's."""
    installed = tuple({os.path.dirname(os.__file__), *(path for path in sys.path if "-packages" in path)})
    files = (_file(module) for module in list(sys.modules.values()))
    return {file for file in files if file and not file.startswith(installed)}


def _file(module: ModuleType) -> str | None:
    file = getattr(module, "__file__", None)
    return os.path.abspath(file) if isinstance(file, str) and file.endswith(".py") else None


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 4096):
            pass
    except BlockingIOError:
        return


if __name__ == "__main__":
    main(sys.argv[1:])
