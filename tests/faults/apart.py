"""`aegis up` with its worker in another network: `python -m tests.faults.apart NAMESPACE API_URL`.

Differs from `aegis up` in nothing but where the worker runs and by which address it reaches the server.
"""

from __future__ import annotations

import shutil
import sys

from deployments import stack
from deployments.catalogue import WORK_POOL
from deployments.child_process import ChildProcess
from deployments.stack_environment import child_environment
from deployments.work_pool import POOL_TYPE

NAMESPACE, API_URL = sys.argv[1:]


class Apart(stack.Stack):
    """The stack of a worker that has a network of its own."""

    def _worker(self) -> ChildProcess:
        start = (sys.executable, "-m", "prefect", "worker", "start", "--pool", WORK_POOL)
        name = ("--type", POOL_TYPE, "--name", stack.worker_name())
        return ChildProcess(
            "worker",
            [shutil.which("ip") or "ip", "netns", "exec", NAMESPACE, *start, *name],
            {**child_environment(self._installation), "PREFECT_API_URL": API_URL},
            self._project,
            self._logs / "worker.log",
            grace_seconds=25,
        )


if __name__ == "__main__":
    stack.Stack = Apart  # type: ignore[misc]
    sys.exit(stack.up())
