"""What trees of processes have cost so far: processor time with all that ended in them, and memory.

Only reads; starts and ends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

import psutil

_MB = 1024 * 1024


def tree(roots: Iterable[int]) -> Iterator[psutil.Process]:
    """Living processes below and including `roots`, each once."""
    seen: set[int] = set()
    for root in roots:
        with suppress(psutil.Error):
            parent = psutil.Process(root)
            for process in (parent, *parent.children(recursive=True)):
                if process.pid not in seen:
                    seen.add(process.pid)
                    yield process


def cpu_seconds(roots: Iterable[int]) -> float:
    """Processor time, also of those that have ended: whoever waited for a process carries its time."""
    total = 0.0
    for process in tree(roots):
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def pss_mb(roots: Iterable[int]) -> float:
    """Memory in MB, where each page counts by the share of the processes that map it (PSS)."""
    total = 0
    for process in tree(roots):
        with suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total / _MB


def open_files(pid: int) -> int:
    """Descriptors that a process holds; 0 when it is gone."""
    with suppress(psutil.Error):
        return int(psutil.Process(pid).num_fds())
    return 0
