"""Runs of the server: found, waited for, followed line by line. Starts none and changes none."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from aegis_lib import clock
from aegis_lib.adapters.prefect_server.api import NotFound, PrefectApi
from aegis_lib.adapters.prefect_server.job_view import ACTIVE, LogLine, RunView, job_id_of
from aegis_lib.errors import DependencyUnavailable, PermanentFailure

_PATIENCE_SECONDS = 30  # how long following a run outlasts a server that does not answer
_LOG_DELAY = timedelta(seconds=5)  # lines of one run may arrive this much out of order
_LAST_LINES_SECONDS = 2.5  # runs send their lines every two seconds
_NEWEST = "START_TIME_DESC"


class NoSuchRun(PermanentFailure):
    """The server has no such run."""

    def __init__(self, run: str) -> None:
        super().__init__(
            f"There is no run {run!r} on the server. Fix: `aegis history JOB` lists the runs of a job; "
            "old ones are deleted after two weeks."
        )


class Runs:
    """Reads the runs of one server."""

    def __init__(self, api: PrefectApi, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.api = api
        self._sleep = sleep

    def find(self, run: str) -> RunView:
        """A run by its id, by its name (the newest of that name), or by its job (the newest one of that).

        Raises:
            NoSuchRun: there is none.
        """
        try:
            row = self._row(str(uuid.UUID(run)))
        except ValueError:
            found = self.select({"name": {"any_": [run]}}, _NEWEST, 1)
            if not found:
                found = self._due_of(run)
            if not found:
                raise NoSuchRun(run) from None
            row = found[0]
        return RunView.of(row, self._job_id_of_run(row))

    def beside(self, run: RunView) -> RunView | None:
        """Another run of the same job that is active: it holds the job's only slot."""
        if run.job_id is None:
            return None
        body = {
            "deployments": {"name": {"any_": [run.job_id.replace("_", "-")]}},
            "flow_runs": {"state": {"type": {"any_": list(ACTIVE)}}, "id": {"not_any_": [run.id]}},
            "sort": _NEWEST,
        }
        found = next(self.api.filter("/flow_runs/filter", body, limit=1), None)
        return RunView.of(found, run.job_id) if found else None

    def logs(self, run: str, *, limit: int | None = None) -> list[LogLine]:
        """The lines that a run wrote, oldest first; `run` as for `find`."""
        chosen = {"logs": {"flow_run_id": {"any_": [self.find(run).id]}}, "sort": "TIMESTAMP_ASC"}
        return [LogLine.of(row) for row in self.api.filter("/logs/filter", chosen, limit=limit)]

    def settle(self, run_id: str, *, within_seconds: float) -> RunView:
        """Wait until a run has left the queue, at most `within_seconds`, and return how it stands."""
        deadline = time.monotonic() + within_seconds
        while True:
            run = self.find(run_id)
            if run.state != "SCHEDULED" or time.monotonic() >= deadline:
                return run
            self._sleep(0.2)

    def follow(self, run: str, *, every_seconds: float = 0.5) -> Iterator[RunView | LogLine]:
        """What happens to a run until it is over: each line it writes, and itself at each change of state.

        `run` is as for `find`. Outlasts half a minute of a server that does not answer.

        Raises:
            NoSuchRun: there is none, or it was deleted meanwhile.
            DependencyUnavailable: the server stayed away.
        """
        current = self.find(run)
        shown: tuple[str, str] | None = None
        lines = _Lines(self.api, current.id)
        answered = time.monotonic()
        ends_by: float | None = None
        while True:
            try:
                current = RunView.of(self._row(current.id), current.job_id)
                fresh = lines.fresh()
            except DependencyUnavailable:
                if time.monotonic() - answered > _PATIENCE_SECONDS:
                    raise
                self._sleep(max(1.0, every_seconds))
                continue
            answered = time.monotonic()
            yield from fresh
            if current.final:
                ends_by = ends_by or answered + (_LAST_LINES_SECONDS if current.started else 0)
                if lines.complete or answered >= ends_by:
                    yield current
                    return
            elif (current.state, current.outcome) != shown:
                shown = (current.state, current.outcome)
                yield current
            self._sleep(every_seconds)

    def select(self, chosen: Mapping[str, Any], sort: str, limit: int) -> list[dict[str, Any]]:
        """The server's rows, at most `limit`."""
        return list(self.api.filter("/flow_runs/filter", {"flow_runs": chosen, "sort": sort}, limit=limit))

    def _row(self, run_id: str) -> dict[str, Any]:
        try:
            return dict(self.api.get(f"/flow_runs/{run_id}"))
        except NotFound:
            raise NoSuchRun(run_id) from None

    def _due_of(self, job: str) -> list[dict[str, Any]]:
        body = {
            "deployments": {"name": {"any_": [job.strip().replace("_", "-").lower()]}},
            "flow_runs": {"expected_start_time": {"before_": clock.utcnow().isoformat()}},
            "sort": _NEWEST,
        }
        return list(self.api.filter("/flow_runs/filter", body, limit=1))

    def _job_id_of_run(self, row: Mapping[str, Any]) -> str | None:
        if not row.get("deployment_id"):
            return None
        try:
            return job_id_of(self.api.get(f"/deployments/{row['deployment_id']}"))
        except NotFound:
            return None


class _Lines:
    """The lines of one run as they come in; they may arrive a little out of order."""

    def __init__(self, api: PrefectApi, run_id: str) -> None:
        self._api, self._run_id = api, run_id
        self._seen: set[str] = set()
        self._newest: datetime | None = None
        self.complete = False
        """Whether the last line was seen; it may reach the server after the run's last state."""

    def fresh(self) -> list[LogLine]:
        """Those not given before."""
        chosen: dict[str, Any] = {"flow_run_id": {"any_": [self._run_id]}}
        if self._newest is not None:
            chosen["timestamp"] = {"after_": (self._newest - _LOG_DELAY).isoformat()}
        found = []
        for row in self._api.filter("/logs/filter", {"logs": chosen, "sort": "TIMESTAMP_ASC"}):
            if row["id"] in self._seen:
                continue
            self._seen.add(row["id"])
            line = LogLine.of(row)
            found.append(line)
            self._newest = max(self._newest or line.timestamp, line.timestamp)
            self.complete = self.complete or (not line.task and line.message.startswith("Finished in state"))
        return found
