"""Runs in processes started for them, where nothing can be forked or a command was asked for.

macOS: forking a process that has used system libraries is not safe there, so every run starts this way. It
costs seconds instead of milliseconds and changes nothing else.
"""

from __future__ import annotations

import asyncio
import shlex
import socket
import sys
from collections.abc import Mapping

from aegis_lib.errors import DependencyUnavailable, PermanentFailure
from deployments.worker.exits import Exit
from deployments.worker.images import Child
from deployments.worker.process_title import PADDING

FORKS = sys.platform == "linux"
"""Whether runs are forked from a warm process on this system."""


async def start_run(channel: socket.socket) -> Child:
    """Start a process for a run, which is told the rest over `channel`."""
    descriptor = channel.fileno()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "deployments.worker.run_process", str(descriptor), PADDING),
        pass_fds=(descriptor,),
        stdin=asyncio.subprocess.DEVNULL,
    )
    return _watched(process)


async def start_command(
    command: str, environment: Mapping[str, str], directory: str, *, stream_output: bool
) -> Child:
    """Start a run by a command of the user's own.

    Raises:
        PermanentFailure: the command cannot be read.
        DependencyUnavailable: it cannot be started.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise PermanentFailure(
            f"The job variable command cannot be read: {error}. Fix: its quotes."
        ) from error
    output = None if stream_output else asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            env=dict(environment),
            cwd=directory,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    except OSError as error:
        raise DependencyUnavailable(words[0], f"it cannot be started ({error}).") from error
    return _watched(process)


def _watched(process: asyncio.subprocess.Process) -> Child:
    child = Child(process.pid)

    async def watch() -> None:
        child.end(Exit(code=await process.wait()))

    child.watcher = asyncio.get_running_loop().create_task(watch())
    return child
