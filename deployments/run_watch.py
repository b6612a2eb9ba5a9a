"""What the stack asks the Prefect server about its runs: orphans, failures, schedules that died, workers.

Writes two things only: the Crashed state of runs whose process is gone, proposed and never forced, and one
`job_error` event for each run that failed or crashed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from aegis_lib.clock import iso
from aegis_lib.memory import job_error
from aegis_lib.ports.memory import EpisodicMemory
from deployments.api import NotFound, PrefectApi, Refused
from deployments.pools import POOLS, WORK_POOL

WORKER_LABEL = "prefect.worker.name"
"""What a worker writes on the runs it takes."""

_IN_POOL = {"work_pools": {"name": {"any_": list(POOLS)}}}
CLAIMED = ("PENDING", "RUNNING")
_UNLABELLED_FOR = timedelta(seconds=60)


def claimed_runs(
    api: PrefectApi, worker: str, now: datetime, states: Sequence[str] = CLAIMED
) -> list[dict[str, Any]]:
    """Pending and running runs that `worker` took, and those that were claimed long ago by nobody known."""
    wanted = {"flow_runs": {"state": {"type": {"any_": list(states)}}}}
    rows = list(api.filter("/flow_runs/filter", {**_IN_POOL, **wanted, "sort": "ID_DESC"}))
    return [row for row in rows if _is_of(row, worker, now)]


def _is_of(row: Mapping[str, Any], worker: str, now: datetime) -> bool:
    label = (row.get("labels") or {}).get(WORKER_LABEL)
    if label is not None:
        return bool(label == worker)
    since = datetime.fromisoformat(row["state"]["timestamp"])
    return bool(row["state"]["type"] == "PENDING" and now - since > _UNLABELLED_FOR)


def crash_orphans(
    api: PrefectApi,
    worker: str,
    living: Callable[[], set[str]],
    now: datetime,
    why: str,
    states: Sequence[str] = CLAIMED,
) -> list[dict[str, Any]]:
    """Propose Crashed for the runs of `worker` that have no living process; return those that took it.

    While the worker runs, only RUNNING may be judged: a pending run has no process yet. `living` is asked
    after the server, so that a run which starts in between is not taken for dead.
    """
    crashed = []
    rows = claimed_runs(api, worker, now, states)
    alive = living() if rows else set()
    for row in rows:
        if row["id"] in alive:
            continue
        state = {"type": "CRASHED", "name": "Crashed", "message": why}
        try:
            answer = api.post(f"/flow_runs/{row['id']}/set_state", {"state": state, "force": False})
        except Refused:
            continue  # it ended or was deleted meanwhile
        if answer["status"] == "ACCEPT":
            crashed.append(row)
    return crashed


def ended_badly(api: PrefectApi, since: datetime) -> list[dict[str, Any]]:
    """Runs of our pool that failed or crashed after `since`, with their `flow_name`, newest first."""
    wanted = {"state": {"type": {"any_": ["FAILED", "CRASHED"]}}, "end_time": {"after_": iso(since)}}
    found = list(api.filter("/flow_runs/filter", {**_IN_POOL, "flow_runs": wanted, "sort": "END_TIME_DESC"}))
    if not found:
        return []
    names = {flow["id"]: flow["name"] for flow in api.filter("/flows/filter", {"sort": "NAME_ASC"})}
    return [{**row, "flow_name": names.get(row["flow_id"], "unknown")} for row in found]


def record_failures(memory: EpisodicMemory, rows: Iterable[Mapping[str, Any]]) -> int:
    """Store `job_error` for each; the key is the one that the run's own hook uses, so none comes twice."""
    count = 0
    for row in rows:
        state = row["state"]
        job_error.record(
            memory,
            job_id=job_error.job_id_of(str(row["flow_name"]), row.get("parameters")),
            run_id=str(row["id"]),
            run_name=str(row["name"]),
            state=str(state["name"]),
            message=state.get("message"),
            at=datetime.fromisoformat(state["timestamp"]),
        )
        count += 1
    return count


def scheduled_deployments(api: PrefectApi) -> list[dict[str, Any]]:
    """Deployments of our pool that are not paused and have an active schedule."""
    rows = api.filter("/deployments/filter", {**_IN_POOL, "sort": "NAME_ASC"})
    return [
        row
        for row in rows
        if not row["paused"] and any(schedule["active"] for schedule in row.get("schedules") or ())
    ]


def without_future_run(api: PrefectApi, now: datetime) -> list[str]:
    """Names of deployments with an active schedule for which the server has planned nothing after `now`.

    An empty answer proves that the server's scheduler works; its health question proves nothing.
    """
    return [row["name"] for row in scheduled_deployments(api) if not _has_future_run(api, row["id"], now)]


def _has_future_run(api: PrefectApi, deployment_id: str, now: datetime) -> bool:
    wanted = {
        "deployments": {"id": {"any_": [deployment_id]}},
        "flow_runs": {
            "state": {"type": {"any_": ["SCHEDULED"]}},
            "next_scheduled_start_time": {"after_": iso(now)},
        },
    }
    return next(api.filter("/flow_runs/filter", {**wanted, "sort": "ID_DESC"}, limit=1), None) is not None


def worker_seen_since(api: PrefectApi, worker: str, moment: datetime, pool: str = WORK_POOL) -> bool:
    """Whether the server heard from that worker of a pool after `moment`."""
    try:
        rows = list(api.filter(f"/work_pools/{pool}/workers/filter"))
    except NotFound:
        return False
    heartbeats = (row.get("last_heartbeat_time") for row in rows if row["name"] == worker)
    return any(heard and datetime.fromisoformat(heard) >= moment for heard in heartbeats)
