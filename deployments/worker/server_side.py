"""What the worker tells the Prefect server about runs, and asks it. States are proposed, never forced.

The answer of the server counts: a run that another worker claimed, or that is over, is left alone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import Abort, ObjectNotFound, Pause
from prefect.states import Crashed, Pending, Scheduled
from prefect.utilities.engine import propose_state

from aegis_lib.clock import iso, utcnow
from aegis_lib.logs import get_logger

log = get_logger(__name__)
T = TypeVar("T")

PAGE = 200
LOGGER = "prefect.flow_runs.worker"
"""What the worker's own words in a run's log are signed with, as Prefect's workers do."""
_BULK = 50
_LONGEST_PAUSE_SECONDS = 15.0
_SILENCE_SECONDS = 30.0
PATIENCE_SECONDS = 900.0
"""How long the end of a run is kept for a server that does not answer."""

Claim = Literal["ours", "not ours"]
CLAIMED = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)


def claim_message(worker: str) -> str:
    """What a claim says; a later start of the same worker knows its own claims by it."""
    return f"Claimed by worker {worker}."


def is_transient(error: httpx.HTTPError) -> bool:
    """Whether asking again may help."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= 500 or error.response.status_code in {408, 429}
    return isinstance(error, httpx.TransportError)


async def insist(what: str, ask: Callable[[], Awaitable[T]], patience_seconds: float = PATIENCE_SECONDS) -> T:
    """Ask the server until it answers, at most `patience_seconds`.

    Raises:
        httpx.HTTPError: it refused, or stayed away.
    """
    deadline, pause = time.monotonic() + patience_seconds, 0.5
    while True:
        try:
            return await ask()
        except httpx.HTTPError as error:
            if not is_transient(error) or time.monotonic() + pause > deadline:
                raise
            log.warning("server_not_reached", wanted=what, error=type(error).__name__, again_in=pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


class Server:
    """The part of the server's API that the worker needs, for one work pool."""

    def __init__(self, client: PrefectClient, pool: str, worker: str) -> None:
        self._client, self._pool, self._worker = client, pool, worker
        self._flow_names: dict[UUID, Any] = {}

    async def due_before(self, moment: datetime, queues: Iterable[str]) -> list[FlowRun]:
        """Waiting runs of the pool up to a moment, at most `PAGE`; none where the pool is not there yet."""
        try:
            found = await self._client.get_scheduled_flow_runs_for_work_pool(
                self._pool, work_queue_names=list(queues), scheduled_before=moment
            )
        except ObjectNotFound:
            return []
        return [row.flow_run for row in found]

    async def all_due_of(self, deployments: Iterable[UUID], moment: datetime) -> list[FlowRun]:
        """Every waiting run of these deployments up to a moment."""
        wanted = FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=list(deployments)),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
            next_scheduled_start_time=FlowRunFilterNextScheduledStartTime(before_=moment),
        )
        found: dict[UUID, FlowRun] = {}
        while True:
            page = await self._client.read_flow_runs(
                flow_run_filter=wanted,
                sort=FlowRunSort.ID_DESC,  # without ties, so that no page skips a run
                limit=PAGE,
                offset=len(found),
            )
            found.update((run.id, run) for run in page)
            if len(page) < PAGE:
                return list(found.values())

    async def deployments(self, ids: Iterable[UUID]) -> dict[UUID, DeploymentResponse]:
        """Those of the deployments that exist."""
        wanted = list(ids)
        found: dict[UUID, DeploymentResponse] = {}
        for start in range(0, len(wanted), PAGE):
            page = await self._client.read_deployments(
                deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=wanted[start : start + PAGE])),
                limit=PAGE,
            )
            found.update((deployment.id, deployment) for deployment in page)
        return found

    async def deployments_of_pool(self) -> list[DeploymentResponse]:
        """All deployments whose runs this worker may take."""
        found: list[DeploymentResponse] = []
        pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[self._pool]))
        while True:
            page = await self._client.read_deployments(work_pool_filter=pool, limit=PAGE, offset=len(found))
            found += page
            if len(page) < PAGE:
                return found

    async def flow(self, flow_id: UUID) -> Any:
        """The flow of a run; asked once, as its name never changes."""
        if flow_id not in self._flow_names:
            self._flow_names[flow_id] = await self._client.read_flow(flow_id)
        return self._flow_names[flow_id]

    async def claim(self, run: FlowRun) -> Claim:
        """Claim a run for this worker; on success its state is the one that the server gave it."""
        pending: State[Any] = Pending(message=claim_message(self._worker))
        try:
            state = await propose_state(self._client, pending, flow_run_id=run.id)
        except (Abort, Pause, ObjectNotFound) as refusal:
            log.info("run_not_claimed", run=run.name, reason=str(refusal).splitlines()[0])
            return "not ours"
        except httpx.HTTPError as error:
            log.warning("claim_unanswered", run=run.name, error=type(error).__name__)
            return await self._claimed_after_all(run)
        if not state.is_pending():
            log.info("run_not_claimed", run=run.name, reason=state.message or state.name)
            return "not ours"
        run.state = state
        return "ours"

    async def _claimed_after_all(self, run: FlowRun) -> Claim:
        """What became of a claim whose answer was lost: a run that waits for us holds its job's place.

        After a long silence it is handed back, because by now it may be later than its job allows.
        """
        asked = time.monotonic()
        now = await insist("claim", lambda: self.read(run.id))
        if now is None or now.state is None or not now.state.is_pending():
            return "not ours"
        if now.state.message != claim_message(self._worker):
            return "not ours"
        if time.monotonic() - asked > _SILENCE_SECONDS:
            said = f"Handed back by worker {self._worker}: the server did not answer its claim for long."
            await insist("hand back", lambda: self.hand_back(run, said))
            return "not ours"
        run.state = now.state
        return "ours"

    async def set_aside(self, runs: Iterable[UUID], name: str, message: str) -> int:
        """Cancel waiting runs under a name of ours; returns how many were. Claimed ones are left alone."""
        wanted, done = [str(run) for run in runs], list[str]()
        for start in range(0, len(wanted), _BULK):
            answer = await self._client.request(
                "POST",
                "/flow_runs/bulk_set_state",  # type: ignore[arg-type]  # newer than the client's list
                json={
                    "flow_runs": {
                        "id": {"any_": wanted[start : start + _BULK]},
                        "state": {"type": {"any_": [StateType.SCHEDULED.value]}},
                    },
                    "state": {"type": StateType.CANCELLED.value, "name": name, "message": message},
                },
            )
            results = answer.json()["results"]
            done += [result["flow_run_id"] for result in results if result["status"] == "ACCEPT"]
        await self._log(done, f"{name}. {message}")
        return len(done)

    async def _log(self, runs: list[str], message: str) -> None:
        """Say it in the runs' own logs too, which is what their pages show first; best effort."""
        line = {"name": LOGGER, "level": logging.INFO, "message": message, "timestamp": iso(utcnow())}
        try:
            for start in range(0, len(runs), PAGE):
                await self._client.create_logs(
                    [{**line, "flow_run_id": run} for run in runs[start : start + PAGE]]
                )
        except httpx.HTTPError as error:
            log.warning("runs_not_logged", runs=len(runs), error=type(error).__name__)

    async def propose(self, run_id: UUID, state: State[Any]) -> State[Any] | None:
        """The state that the run has afterwards; None where the server wants nothing of it."""
        try:
            return await propose_state(self._client, state, flow_run_id=run_id)
        except (Abort, Pause, ObjectNotFound):
            return None

    async def crash(self, run_id: UUID, message: str, name: str = "Crashed") -> State[Any] | None:
        """Crash a run that is not over yet; the state, or None where it was over."""
        state = await self.propose(run_id, Crashed(message=message, name=name))
        return state if state is not None and state.is_crashed() else None

    async def hand_back(self, run: FlowRun, message: str) -> bool:
        """Let a claimed run that never started wait again for whoever takes it, due when it was due."""
        due = due_time(run)
        state = await self.propose(run.id, Scheduled(scheduled_time=due, message=message))
        return state is not None and state.is_scheduled()

    async def locate(self, run: FlowRun, infrastructure_pid: str) -> None:
        """Note where the run's process is; only for one that does not say so itself."""
        await self._client.update_flow_run(run.id, infrastructure_pid=infrastructure_pid)

    async def label(self, run: FlowRun, labels: Mapping[str, str]) -> None:
        """Note whose the run is."""
        await self._client.update_flow_run_labels(run.id, dict(labels))

    async def read(self, run_id: UUID) -> FlowRun | None:
        """The run as it is now; None where it was deleted."""
        try:
            return await self._client.read_flow_run(run_id)
        except ObjectNotFound:
            return None

    async def claimed_runs(self) -> list[FlowRun]:
        """All runs of the pool that somebody claimed and that are not over."""
        found: list[FlowRun] = []
        while True:
            page = await self._client.read_flow_runs(
                flow_run_filter=FlowRunFilter(
                    state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(CLAIMED)))
                ),
                work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[self._pool])),
                sort=FlowRunSort.ID_DESC,
                limit=PAGE,
                offset=len(found),
            )
            found += page
            if len(page) < PAGE:
                return found


def due_time(run: FlowRun) -> datetime:
    """When the run is or was due, in UTC."""
    scheduled = run.state.state_details.scheduled_time if run.state else None  # a poll leaves the state out
    found = scheduled or run.next_scheduled_start_time or run.expected_start_time or run.created
    assert found is not None  # noqa: S101  the server sets the last for every run
    return datetime.fromisoformat(found.isoformat())
