"""The name under which a run's process is listed: it tells which run a process is, also to a later worker.

A forked process shows the command line of the one it was forked from. On Linux that text can be overwritten
in place; elsewhere nothing happens. Reads and writes nothing else of the process.
"""

from __future__ import annotations

import ctypes
import re
import sys
from pathlib import Path

PADDING = "-" * 160
"""An argument that a process must be started with, so that there is room for the titles of its children."""

_ARG_START, _ARG_END = 48, 49  # fields of /proc/PID/stat, counted from one; see proc(5)
_RUN = re.compile(r"^aegis-run ([0-9a-f-]{36}) ")


def run_title(run_id: str, name: str) -> str:
    """The title of a run's process."""
    return f"aegis-run {run_id} {name} "


def run_id_of(title: str) -> str | None:
    """The run whose process shows this title, None where it is no run's."""
    found = _RUN.match(title)
    return found[1] if found else None


def set_title(title: str) -> bool:
    """Show `title`, cut to the room there is, for this process; False where the system knows no way."""
    if sys.platform != "linux":
        return False
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()  # from the third field on
    start, end = int(fields[_ARG_START - 3]), int(fields[_ARG_END - 3])
    room = end - start
    if start == 0 or room < 2:
        return False
    shown = title.encode()[: room - 1]
    ctypes.memmove(start, shown.ljust(room, b"\0"), room)
    return True
