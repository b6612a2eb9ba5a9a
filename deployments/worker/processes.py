"""Processes of runs on this machine, known by their titles: found, ended. Knows nothing of states."""

from __future__ import annotations

import asyncio
import os
import signal

import psutil

from deployments.worker.process_title import run_id_of


def living_runs() -> dict[str, int]:
    """Flow run ids and processes of the runs that live on this machine, whoever started them."""
    found = {}
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or [""]
        if run_id := run_id_of(f"{' '.join(words)} "):
            found[run_id] = process.pid
    return found


async def end_run(pid: int, grace_seconds: float) -> bool:
    """Ask the run with this process to end, then end it; False where that is no run's process."""
    if pid not in living_runs().values():
        return False
    process = psutil.Process(pid)
    try:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, grace_seconds)
    except psutil.TimeoutExpired:
        process.kill()
    except psutil.NoSuchProcess:
        return True
    return True


class Zombies:
    """Children nobody waits for: what a run left behind becomes the worker's child, and ends one day."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def reap(self, waited_for: set[int]) -> int:
        """Reap those that were there at the last call already; returns how many."""
        dead = {
            child.pid
            for child in psutil.Process().children()
            if child.pid not in waited_for and _is_zombie(child)
        }
        count = 0
        for pid in dead & self._seen:
            try:
                count += os.waitpid(pid, os.WNOHANG)[0] == pid
            except ChildProcessError:
                continue
        self._seen = dead
        return count


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
