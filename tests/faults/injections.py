"""The faults: at which moment each strikes, and how. Repairs nothing but what a lasting fault took away."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.catalogue import SLOW, TOIL
from tests.faults.installation import Installation

CUT_SECONDS = 45.0

Wait = Callable[[Installation], str]
Strike = Callable[[Installation], object]


@dataclass(frozen=True)
class Fault:
    """One row of the table. `wait` waits for the moment and gives the run that the fault finds in flight.

    A fault that lasts is undone by `undo`: after `lasts_seconds`, from when on the jobs must run again; or,
    without a time, when they have run again in spite of it.
    """

    name: str
    title: str
    wait: Wait
    strike: Strike
    undo: Strike | None = None
    lasts_seconds: float | None = None
    needs: str | None = None


def _running(stack: Installation) -> str:
    return stack.wait_running(TOIL).run


def _pending(stack: Installation) -> str:
    return stack.wait_pending(SLOW)


def _server(number: signal.Signals) -> Strike:
    def strike(stack: Installation) -> None:
        server = stack.server()
        assert server is not None
        server.send_signal(number)

    return strike


def _postgres(number: signal.Signals) -> Strike:
    def strike(stack: Installation) -> None:
        pid = stack.postgres.pid()
        assert pid is not None
        os.kill(pid, number)

    return strike


def _kill_worker(stack: Installation) -> None:
    worker = stack.worker()
    assert worker is not None
    worker.kill()


def _kill_run(stack: Installation) -> None:
    os.kill(stack.notes.begun(TOIL)[-1].pid, signal.SIGKILL)


def _kill_worker_and_run(stack: Installation) -> None:
    _kill_worker(stack)
    _kill_run(stack)


FAULTS = (
    Fault("server-restart-pending", "server restarted, a run PENDING", _pending, _server(signal.SIGTERM)),
    Fault("server-restart-running", "server restarted, a run RUNNING", _running, _server(signal.SIGTERM)),
    Fault("server-kill", "kill -9 of the server, a run RUNNING", _running, _server(signal.SIGKILL)),
    Fault("worker-kill", "kill -9 of the worker, a run RUNNING", _running, _kill_worker),
    Fault("worker-run-kill", "kill -9 of the worker and of its run", _running, _kill_worker_and_run),
    Fault("run-kill", "kill -9 of the run's process", _running, _kill_run),
    Fault("postgres-kill", "kill -9 of PostgreSQL, a run RUNNING", _running, _postgres(signal.SIGKILL)),
    Fault("postgres-restart", "PostgreSQL restarted, a run RUNNING", _running, _postgres(signal.SIGINT)),
    Fault(
        "disk-full",
        "disk full for logs and scratch files",
        _running,
        lambda stack: stack.small_disk.fill(),
        undo=lambda stack: stack.small_disk.empty(),
        needs="disk",
    ),
    Fault(
        "network-cut",
        "network cut between worker and server, a run RUNNING",
        _running,
        lambda stack: stack.network.cut(),
        undo=lambda stack: stack.network.mend(),
        lasts_seconds=CUT_SECONDS,
        needs="network",
    ),
)
QUICK = {"server-kill", "worker-run-kill", "run-kill", "postgres-kill", "disk-full", "network-cut"}
"""The faults that the test suite injects."""


def inject(fault: Fault, stack: Installation) -> str:
    """Wait for the moment and strike; the run that the fault found in flight."""
    run = fault.wait(stack)
    fault.strike(stack)
    return run
