"""What the Prefect server knows of runs, workers and automations, over its REST API. Changes nothing there.

Prefect REST API reference: "Read Flow Runs", "Read Deployments", "Read Workers", "Read Events". Only what
carries one of our tags is looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from aegis_lib.adapters.prefect_server.api import NotFound, PrefectApi
from aegis_lib.alerts.model import FailedAction, LateRun, RunEnd, WorkerSeen
from aegis_lib.errors import DependencyUnavailable
from aegis_lib.settings import PrefectApiSettings

TAGS = ("aegis", "aegis-custom")
"""What the deployments of the catalogue carry, and those that a person added."""
WORK_POOL = "aegis"
ACTION_FAILED = "prefect.automation.action.failed"
MOST_EVENTS = 50
_BAD = ("FAILED", "CRASHED")

Row = TypeVar("Row", bound="_Row")


class _Row(BaseModel):
    """Base of what we read: the fields we use must be there and right, others may be."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _State(_Row):
    type: str
    name: str
    message: str | None = None


class _Run(_Row):
    id: str
    name: str
    deployment_id: str
    end_time: AwareDatetime | None = None
    next_scheduled_start_time: AwareDatetime | None = None
    state: _State


class _Deployment(_Row):
    id: str
    name: str


class _Worker(_Row):
    name: str
    status: str
    last_heartbeat_time: AwareDatetime | None = None


class _Event(_Row):
    id: str
    occurred: AwareDatetime
    resource: dict[str, str]
    payload: dict[str, Any] = {}


class _Events(_Row):
    events: list[_Event]


class ServerHistory:
    """Implements the port `RunHistory`."""

    def __init__(self, api: PrefectApi, tags: Collection[str] = TAGS, work_pool: str = WORK_POOL) -> None:
        self._api, self._work_pool = api, work_pool
        self._ours = {"deployments": {"tags": {"any_": list(tags)}}}
        self._names: dict[str, str] = {}

    def ended(self, start: datetime, end: datetime, jobs: Collection[str]) -> list[RunEnd]:
        """Runs that ended in [start, end); see the port."""
        bad = self._ends(start, end, _BAD)
        jobs = {*jobs, *(run.job_id for run in bad)}
        good = self._ends(start, end, ("COMPLETED",), jobs) if jobs else []
        return sorted((*bad, *good), key=lambda run: (run.ended_at, run.run_id))

    def _ends(
        self, start: datetime, end: datetime, types: Iterable[str], jobs: Collection[str] | None = None
    ) -> list[RunEnd]:
        # The server's bounds include both ends.
        runs = {
            "state": {"type": {"any_": list(types)}},
            "end_time": {"after_": start.isoformat(), "before_": end.isoformat()},
        }
        chosen: dict[str, Any] = {**self._ours, "flow_runs": runs, "sort": "END_TIME_DESC"}
        if jobs is not None:
            names = {"name": {"any_": [job.replace("_", "-") for job in jobs]}}
            chosen["deployments"] = {**self._ours["deployments"], **names}
        return [
            RunEnd(
                run_id=run.id,
                run_name=run.name,
                job_id=job_id,
                ended_at=run.end_time,
                good=run.state.type == "COMPLETED",
                outcome=run.state.name,
                message=run.state.message or "",
            )
            for run, job_id in self._named(self._runs(chosen))
            if run.end_time is not None and start <= run.end_time < end
        ]

    def jobs(self) -> frozenset[str]:
        """The ids of all jobs that the server has."""
        rows = self._api.filter("/deployments/filter", self._ours)
        return frozenset(row.name.replace("-", "_") for row in _read(_Deployment, rows))

    def late(self, before: datetime) -> list[LateRun]:
        """Runs that the server itself calls late, and were due before that."""
        runs = {
            "state": {"name": {"any_": ["Late"]}},
            "next_scheduled_start_time": {"before_": before.isoformat()},
        }
        chosen = {**self._ours, "flow_runs": runs, "sort": "NEXT_SCHEDULED_START_TIME_ASC"}
        return [
            LateRun(run_id=run.id, job_id=job_id, due_at=run.next_scheduled_start_time)
            for run, job_id in self._named(self._runs(chosen))
            if run.next_scheduled_start_time is not None
        ]

    def workers(self) -> list[WorkerSeen]:
        """The workers of our pool; none where there is no pool."""
        try:
            rows = list(self._api.filter(f"/work_pools/{self._work_pool}/workers/filter"))
        except NotFound:
            return []
        return [
            WorkerSeen(name=worker.name, online=worker.status == "ONLINE", seen_at=worker.last_heartbeat_time)
            for worker in _read(_Worker, rows)
        ]

    def failed_actions(self, start: datetime, end: datetime) -> list[FailedAction]:
        """The newest failures of automations' actions, at most 50."""
        wanted = {
            "event": {"name": [ACTION_FAILED]},
            "occurred": {"since": start.isoformat(), "until": end.isoformat()},
        }
        (found,) = _read(
            _Events, [self._api.post("/events/filter", {"filter": wanted, "limit": MOST_EVENTS})]
        )
        return [
            FailedAction(
                event_id=event.id,
                automation=event.resource.get("prefect.resource.name", "unknown"),
                at=event.occurred,
                reason=str(event.payload.get("reason", "")),
            )
            for event in found.events
        ]

    def _runs(self, chosen: Mapping[str, Any]) -> list[_Run]:
        return _read(_Run, self._api.filter("/flow_runs/filter", chosen))

    def _named(self, runs: list[_Run]) -> Iterator[tuple[_Run, str]]:
        if missing := sorted({run.deployment_id for run in runs} - set(self._names)):
            rows = self._api.filter("/deployments/filter", {"deployments": {"id": {"any_": missing}}})
            self._names |= {row.id: row.name for row in _read(_Deployment, rows)}
        for run in runs:
            name = self._names.get(run.deployment_id)
            if name is not None:  # else the job was removed meanwhile
                yield run, name.replace("-", "_")


def _read(model: type[Row], rows: Iterable[Any]) -> list[Row]:
    try:
        return [model.model_validate(row) for row in rows]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise DependencyUnavailable(
            "Prefect server",
            f"answered something else than it documents: {first['loc']}: {first['msg']}.",
            "install the same Prefect version on both sides; `aegis doctor` compares them.",
        ) from error


@contextmanager
def connect(settings: PrefectApiSettings | None = None) -> Iterator[ServerHistory]:
    """The history of the server that the settings name.

    Raises:
        Misconfigured: one of the settings has a value that cannot work.
    """
    with PrefectApi.from_settings(settings) as api:
        yield ServerHistory(api)
