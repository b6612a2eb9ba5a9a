"""The jobs of a Prefect server: listed, run, paused, resumed. Adds, removes and schedules none.

Everything happens on the server, so that it holds for every process and survives them. Never imports prefect:
a call takes milliseconds, not seconds.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Mapping
from typing import Any

from aegis_lib.adapters.prefect_server.api import NotFound, PrefectApi, Refused
from aegis_lib.adapters.prefect_server.job_view import ACTIVE, FINAL, JobView, RunView, job_id_of
from aegis_lib.adapters.prefect_server.pools import CUSTOM_TAG, POOLS, WORK_POOL
from aegis_lib.adapters.prefect_server.runs import Runs
from aegis_lib.errors import PermanentFailure
from aegis_lib.outcome import Frozen


class NoSuchJob(PermanentFailure):
    """The server has no job of that name. `suggestions` are the nearest names it has."""

    def __init__(self, job: str, known: list[str]) -> None:
        self.job = job
        self.suggestions = difflib.get_close_matches(job.replace("-", "_").lower(), known, n=3, cutoff=0.6)
        if self.suggestions:
            mend = f"did you mean {' or '.join(self.suggestions)}?"
        else:
            mend = f"there are {', '.join(known)}." if known else "run `aegis deploy` first."
        super().__init__(f"There is no job {job!r} on the server. Fix: {mend}")


class Availability(Frozen):
    """`running`: runs may start. `worker_online`: a worker asked for work within the last half minute."""

    running: bool
    worker_online: bool


class Jobs:
    """The jobs of one Prefect server. A job is named `health_check` or `health-check`, as one likes."""

    def __init__(self, api: PrefectApi | None = None, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Connects with the first call: to `api`, else to the server that the settings name."""
        self._given = api
        self._sleep = sleep

    @property
    def api(self) -> PrefectApi:
        """The connection."""
        if self._given is None:
            self._given = PrefectApi.from_settings()
        return self._given

    @property
    def runs(self) -> Runs:
        """The runs of this server."""
        return Runs(self.api, sleep=self._sleep)

    def availability(self) -> Availability:
        """Whether a run that is asked for now would start."""
        try:
            pool = self.api.get(f"/work_pools/{WORK_POOL}")
        except NotFound as error:
            raise no_pool() from error
        return Availability(running=not pool["is_paused"], worker_online=pool.get("status") == "READY")

    def list_jobs(self) -> list[JobView]:
        """Every job, by name, with its next run and its last outcome."""
        rows = list(self.api.filter("/deployments/filter", {**_IN_POOL, "sort": "NAME_ASC"}))
        waiting = {"type": {"any_": ["SCHEDULED"]}, "name": {"not_any_": ["AwaitingRetry"]}}
        upcoming = self._one_each(rows, waiting, "NEXT_SCHEDULED_START_TIME_ASC")
        ended = self._one_each(rows, {"type": {"any_": list(FINAL)}}, "END_TIME_DESC")
        active = self._newest_each({"type": {"any_": list(ACTIVE)}}, "START_TIME_DESC")
        return [
            JobView.of(
                row,
                next_run=upcoming.get(row["id"]),
                active=active.get(row["id"]),
                last=ended.get(row["id"]),
            )
            for row in rows
        ]

    def pause_job(self, job_id: str) -> JobView:
        """Start no further scheduled run of the job; kept across deploys and restarts. Twice is once."""
        row = self._deployment(job_id)
        self.api.post(f"/deployments/{row['id']}/pause_deployment")
        return self.job(job_id)

    def resume_job(self, job_id: str) -> JobView:
        """Undo `pause_job`; the server schedules the next runs within seconds. Twice is once."""
        row = self._deployment(job_id)
        self.api.post(f"/deployments/{row['id']}/resume_deployment")
        return self.job(job_id)

    def run_job(
        self,
        job_id: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> RunView:
        """Ask for a run now and return it, not yet started. While another run is active the limit refuses it.

        Args:
            job_id: the job.
            parameters: what differs from the deployment's; for a custom job, arguments of its function.
            idempotency_key: asking again with the same one gives the run that was made then.

        Raises:
            NoSuchJob: there is none of that name.
            PermanentFailure: the server refused the parameters; says which.
        """
        row = self._deployment(job_id)
        given = dict(parameters or {})
        if given and CUSTOM_TAG in row["tags"]:
            given = {"arguments": {**(row["parameters"].get("arguments") or {}), **given}}
        body: dict[str, Any] = {"parameters": given}
        if idempotency_key is not None:
            body["idempotency_key"] = idempotency_key
        try:
            run = self.api.post(f"/deployments/{row['id']}/create_flow_run", body)
        except Refused as refusal:
            if isinstance(refusal, NotFound):
                raise
            known = ", ".join((row.get("parameter_openapi_schema") or {}).get("properties") or {}) or "none"
            raise PermanentFailure(
                f"The server refused the parameters of {job_id_of(row)}: "
                f"{refusal.detail.removeprefix('Error creating flow run: ')}. "
                f"Fix: it takes: {known}."
            ) from refusal
        return RunView.of(run, job_id_of(row))

    def job(self, job_id: str) -> JobView:
        """One job.

        Raises:
            NoSuchJob: there is none of that name.
        """
        row = self._deployment(job_id)
        found: list[RunView | None] = []
        for state, sort in (
            ({"type": {"any_": ["SCHEDULED"]}, "name": {"not_any_": ["AwaitingRetry"]}}, _NEXT),
            ({"type": {"any_": list(ACTIVE)}}, "START_TIME_DESC"),
            ({"type": {"any_": list(FINAL)}}, "END_TIME_DESC"),
        ):
            runs = self.runs.select({"deployment_id": {"any_": [row["id"]]}, "state": state}, sort, 1)
            found.append(RunView.of(runs[0], job_id_of(row)) if runs else None)
        return JobView.of(row, next_run=found[0], active=found[1], last=found[2])

    def _find(self, name: str, *, prefer_custom: bool = False) -> dict[str, Any] | None:
        chosen = {**_IN_POOL, "deployments": {"name": {"any_": [name]}}}
        rows = list(self.api.filter("/deployments/filter", chosen))
        rows.sort(key=lambda row: (CUSTOM_TAG in row["tags"]) != prefer_custom)
        return rows[0] if rows else None

    def _deployment(self, job_id: str, *, prefer_custom: bool = False) -> dict[str, Any]:
        name = job_id.strip().rpartition("/")[2].replace("_", "-").lower()
        row = self._find(name, prefer_custom=prefer_custom)
        if row is None:
            known = self.api.filter("/deployments/filter", {**_IN_POOL, "sort": "NAME_ASC"})
            raise NoSuchJob(job_id, [job_id_of(other) for other in known])
        return row

    def _newest_each(self, state: Mapping[str, Any], sort: str) -> dict[str, RunView]:
        """The first run of each deployment among the first 200 in that state."""
        first: dict[str, RunView] = {}
        for run in self.runs.select({"state": state, "deployment_id": {"is_null_": False}}, sort, 200):
            first.setdefault(run["deployment_id"], RunView.of(run, None))
        return first

    def _one_each(
        self, rows: list[dict[str, Any]], state: Mapping[str, Any], sort: str
    ) -> dict[str, RunView]:
        """The first run of every deployment: one question for most of them, one more for each rare one."""
        first = self._newest_each(state, sort)
        for row in rows:
            if row["id"] not in first and not (sort == _NEXT and row["paused"]):
                runs = self.runs.select({"deployment_id": {"any_": [row["id"]]}, "state": state}, sort, 1)
                if runs:
                    first[row["id"]] = RunView.of(runs[0], None)
        return first


_NEXT = "NEXT_SCHEDULED_START_TIME_ASC"
_IN_POOL = {"work_pools": {"name": {"any_": list(POOLS)}}}


def no_pool() -> PermanentFailure:
    """What is said where the server was never set up."""
    return PermanentFailure(
        f"The server has no work pool {WORK_POOL!r} yet. Fix: run `aegis deploy` (or `aegis up`) first."
    )
