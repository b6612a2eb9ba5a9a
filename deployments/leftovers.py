"""Processes that an earlier stack left behind when it was killed, and who holds a port.

Ours is a process only when its environment carries our mark with the same data directory. No other is
touched.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psutil

from deployments.worker.process_title import run_id_of

MARK = "AEGIS_STACK"
"""Set for every child of the stack, and inherited by theirs; its value is the data directory."""

RUN_ID = "PREFECT__FLOW_RUN_ID"
"""Set by the worker for the process of a run."""

_GRACE_SECONDS = 10.0


def marked(root: Path) -> list[psutil.Process]:
    """Living processes that a stack on this data directory started, directly or not."""
    here = psutil.Process()
    spared = {here.pid, *(parent.pid for parent in here.parents())}
    return [
        process
        for process in psutil.process_iter()
        if process.pid not in spared and _environment(process).get(MARK) == str(root)
    ]


def run_processes(root: Path) -> list[psutil.Process]:
    """Living processes of flow runs of this stack, with what they started."""
    return [process for process in marked(root) if _run_of(process)]


def living_runs(root: Path) -> set[str]:
    """Ids of the flow runs whose processes are alive on this machine."""
    found = (_run_of(process) for process in run_processes(root))
    return {run_id for run_id in found if run_id}


def _run_of(process: psutil.Process) -> str | None:
    """The run that a process belongs to: in its environment, or for a forked one in its title."""
    return _environment(process).get(RUN_ID) or run_id_of(f"{' '.join(_words(process))} ")


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.Error, OSError):
        return []


def end(processes: list[psutil.Process], grace_seconds: float = _GRACE_SECONDS) -> int:
    """Ask them to end, wait, then kill what is left; return how many there were."""
    for process in processes:
        _tell(process, force=False)
    _, alive = psutil.wait_procs(processes, timeout=grace_seconds)
    for process in alive:
        _tell(process, force=True)
    psutil.wait_procs(alive, timeout=grace_seconds)
    return len(processes)


def port_owner(port: int) -> str | None:
    """None while the loopback port is free; else who listens on it, as far as we may see."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return _listener(port) or f"a process we may not see ({error.strerror})"
    return None


def _listener(port: int) -> str | None:
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return None
    for connection in connections:
        local_port = connection.laddr.port if connection.laddr else None
        if connection.status == psutil.CONN_LISTEN and local_port == port and connection.pid:
            try:
                process = psutil.Process(connection.pid)
                return f"process {process.pid} ({' '.join(process.cmdline())[:80] or process.name()})"
            except psutil.Error:
                return f"process {connection.pid}"
    return None


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def _tell(process: psutil.Process, *, force: bool) -> None:
    try:
        if process.pid != os.getpid():
            process.kill() if force else process.terminate()
    except psutil.NoSuchProcess:
        return
