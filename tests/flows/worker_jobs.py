"""Jobs with which the workers are compared; copied into a project of their own. Not a test."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.runtime import flow_run


def note(place: str, **fields: object) -> None:
    """Append one line of JSON to a file."""
    with Path(place).open("a") as file:
        file.write(json.dumps(fields) + "\n")


def hook(name: str):
    def noted(flow, flow_run, state):
        note(flow_run.parameters["place"], hook=name, state=state.name, pid=os.getpid())

    noted.__name__ = name
    return noted


HOOKS = {
    "on_failure": [hook("failure")],
    "on_crashed": [hook("crashed")],
    "on_cancellation": [hook("cancellation")],
    "on_completion": [hook("completion")],
}


@flow(**HOOKS, log_prints=True)
def tell(place: str, number: int = 1, words: list[str] | None = None):
    """Note what it was started with, and say it in three ways."""
    get_run_logger().info("logged number %s", number)
    print(f"printed number {number}")  # noqa: T201
    note(
        place,
        number=number,
        words=words,
        cwd=os.getcwd(),
        run=str(flow_run.id),
        name=flow_run.name,
        deployment=os.environ.get("PREFECT__DEPLOYMENT_NAME"),
        colour=os.environ.get("COLOUR"),
        pid=os.getpid(),
        files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        open=sorted(os.listdir("/proc/self/fd"), key=int),
    )


@flow(**HOOKS)
def fail(place: str):
    """Raise."""
    raise ValueError("no good")


@flow(**HOOKS)
def leave(place: str, code: int = 3):
    """End the interpreter."""
    sys.exit(code)


@flow(**HOOKS)
def vanish(place: str, code: int = 7):
    """End the process without a word."""
    os._exit(code)


@flow(**HOOKS)
def break_down(place: str):
    """Die as of a wild pointer."""
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(10)


@flow(**HOOKS)
def stay(place: str, seconds: float = 60):
    """Take its time."""
    note(place, started=os.getpid())
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.05)
    note(place, ended=os.getpid())


@flow(**HOOKS, timeout_seconds=1)
def dawdle(place: str):
    """Take longer than it may."""
    stay.fn(place)


@flow(**HOOKS, timeout_seconds=1)
def ignore_everything(place: str):
    """Take longer than it may, and listen to nobody."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(place, started=os.getpid())
    while True:
        try:
            time.sleep(30)
        except BaseException:  # noqa: BLE001
            continue


@flow(**HOOKS)
def grow(place: str, megabytes: int = 600):
    """Use memory."""
    kept = []
    for _ in range(megabytes // 10):
        kept.append(b"x" * 10_000_000)
        time.sleep(0.02)
    time.sleep(20)


@flow(**HOOKS)
def burn(place: str):
    """Use the processor."""
    while True:
        pass


@flow(**HOOKS, retries=1, retry_delay_seconds=0)
def fail_once(place: str):
    """Fail at the first attempt."""
    note(place, attempt=flow_run.run_count)
    if flow_run.run_count < 2:
        raise ValueError("first attempt")


@flow(**HOOKS)
async def wait_async(place: str):
    """Be a coroutine."""
    import asyncio

    await asyncio.sleep(0.01)
    note(place, loop=True)


@task
def double(number: int) -> int:
    """Work of a step."""
    return 2 * number


@flow(**HOOKS)
def steps(place: str):
    """Have steps."""
    note(place, result=double(21))


@flow(**HOOKS)
def leave_child(place: str):
    """Start a process that outlives the run."""
    child = subprocess.Popen(["sleep", "1"], start_new_session=True)
    note(place, child=child.pid)


@flow(**HOOKS)
def block(place: str):
    """Sit in C code, which no Python signal handler interrupts for long."""
    note(place, started=os.getpid())
    libc = ctypes.CDLL(None)
    for _ in range(600):
        libc.usleep(100_000)
