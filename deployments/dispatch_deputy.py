"""Has alerts delivered when no worker does it: who else would say that no worker takes runs.

It runs the job's own flow in a process of its own, now and then, and only while the job itself has not run
for minutes. What is found and told is decided there, not here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from deployments.api import NotFound, PrefectApi
from deployments.automations import DISPATCH
from deployments.catalogue import WORK_POOL
from deployments.child_process import ChildProcess

PATIENCE = timedelta(minutes=5)
"""So long the job may not have run before somebody else does it."""
LONGEST = timedelta(seconds=90)
COMMAND = (sys.executable, "-c", "from flows.alert_dispatch import alert_dispatch; alert_dispatch()")
_RAN = ["COMPLETED", "FAILED", "CRASHED"]


def overdue(api: PrefectApi, now: datetime) -> bool:
    """Whether the dispatch should have run and has not; never while a person has paused it.

    Raises:
        DependencyUnavailable: the server does not answer.
    """
    try:
        deployment = api.get(f"/deployments/name/{DISPATCH}/{DISPATCH}")
        pool = api.get(f"/work_pools/{WORK_POOL}")
    except NotFound:
        return False
    if deployment["paused"] or pool["is_paused"]:
        return False
    wanted = {
        "flows": {"name": {"any_": [DISPATCH]}},
        "flow_runs": {
            "state": {"type": {"any_": _RAN}},
            "end_time": {"after_": (now - PATIENCE).isoformat()},
        },
    }
    return int(api.post("/flow_runs/count", wanted)) == 0


class DispatchDeputy:
    """Looks now and then whether alerts are delivered, and has it done where they are not."""

    def __init__(
        self, api: PrefectApi, environment: Mapping[str, str], project: Path, logs: Path, since: datetime
    ) -> None:
        """`since` is when the stack came up; before `PATIENCE` has passed nothing is overdue."""
        self._api, self._quiet_until = api, since + PATIENCE
        self._process = ChildProcess(
            "alert dispatch", COMMAND, environment, project, logs / "alert_dispatch.log", grace_seconds=3
        )
        self._started_at: datetime | None = None

    def look(self, now: datetime) -> bool:
        """Start a dispatch where one is overdue, end one that hangs; True when one was started.

        Raises:
            DependencyUnavailable: the server does not answer.
        """
        if self._process.is_alive():
            if self._started_at is not None and now - self._started_at > LONGEST:
                self._process.stop()
            return False
        if now < self._quiet_until or not overdue(self._api, now):
            return False
        self._process.stop()
        self._process.start()
        self._started_at, self._quiet_until = now, now + PATIENCE
        return True

    def stop(self) -> None:
        """End what is under way."""
        self._process.stop()
