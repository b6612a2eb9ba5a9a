"""One run from its claim to the end of its process, and what is said about it to the server.

Decides neither what is due (worker.py) nor what an end means (endings.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import anyio.abc
import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State, WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.logging.handlers import emit_api_log
from prefect.states import Cancelled

from aegis_lib.errors import AegisError
from aegis_lib.logs import get_logger
from deployments.worker import prefect_internals
from deployments.worker.attempts import attempted
from deployments.worker.configuration import AegisJobConfiguration
from deployments.worker.endings import judge
from deployments.worker.in_flight import Ending, RunInFlight
from deployments.worker.pacing import Pace
from deployments.worker.server_side import Server, insist
from deployments.worker.starting import Prepared, Starter, WorkingDirectory

log = get_logger(__name__)

_HOOKS_SECONDS = 300.0
_NOT_OVER = ("PENDING", "RUNNING", "CANCELLING")


@dataclass
class Execution:
    """One run that this worker knows of, from the poll that found it to its end."""

    run: FlowRun
    deployment: DeploymentResponse | None
    due_at: datetime
    configuration: AegisJobConfiguration | None = None
    log: Callable[[dict[str, Any]], None] = emit_api_log
    started: bool = False
    stopping: bool = False
    cancelling: bool = False
    in_flight: RunInFlight | None = None
    infrastructure_pid: str = ""
    task: asyncio.Task[Any] | None = field(default=None, repr=False)

    async def cancel(self) -> None:
        """Cancel it, now or as soon as it has a process."""
        self.cancelling = True
        if self.in_flight:
            await self.in_flight.cancel()

    def stop(self, grace_seconds: float) -> None:
        """The worker stops: end its process, or do not start it."""
        self.stopping = True
        if self.in_flight:
            self.in_flight.stop(grace_seconds)


class Executor:
    """Carries executions out for one worker."""

    def __init__(
        self,
        server: Server,
        starter: Starter,
        client: PrefectClient,
        worker: str,
        host: str,
        pool_and_id: Callable[[], tuple[WorkPool, UUID | None]],
    ) -> None:
        """`pool_and_id`: the work pool as it is now, and the server's id of the worker."""
        self._server, self._starter, self._client = server, starter, client
        self._worker, self._host, self._pool_and_id = worker, host, pool_and_id
        self._pace = Pace()

    async def _prepare(self, execution: Execution) -> AegisJobConfiguration | None:
        """How it is to be started; None where it cannot be, which the server is told."""
        run, deployment = execution.run, execution.deployment
        if execution.configuration is not None:
            return execution.configuration
        if run.deployment_id and deployment is None:
            await self._server.set_aside([run.id], "Cancelled", "Its deployment no longer exists.")
            return None
        found = await attempted(self._configure(run, deployment, *self._pool_and_id()))
        if isinstance(found, httpx.HTTPError):
            raise found
        if isinstance(found, Exception):
            said = f"Its job variables cannot be used: {type(found).__name__}: {found}"
            await self._server.crash(run.id, said)
            return None
        execution.configuration = found
        return found

    async def _configure(
        self,
        run: FlowRun,
        deployment: DeploymentResponse | None,
        work_pool: WorkPool,
        worker_id: UUID | None,
    ) -> AegisJobConfiguration:
        values: dict[str, Any] = dict(deployment.job_variables or {}) if deployment else {}
        own = dict(run.job_variables or {})
        if isinstance(values.get("env"), dict):
            values["env"] = {**values["env"], **own.pop("env", {})}
        values.update(own)
        configuration: AegisJobConfiguration = await AegisJobConfiguration.from_template_and_values(
            base_job_template=work_pool.base_job_template, values=values, client=self._client
        )
        configuration.prepare_for_flow_run(
            run,
            deployment=deployment,
            flow=await self._server.flow(run.flow_id),
            work_pool=work_pool,
            worker_name=self._worker,
            worker_id=worker_id,
        )
        return configuration

    async def execute(self, execution: Execution) -> Ending | None:
        """When its turn comes, claim a run, run it, report it; None where it was not started."""
        leave = await self._pace.place()
        try:
            return None if execution.stopping else await self._execute(execution)
        finally:
            leave()

    async def ease(self, patience_seconds: float) -> None:
        """Wait until all who want to start may, so long at most."""
        await self._pace.ease(patience_seconds)

    def hurry(self) -> None:
        """Make no run wait for its turn any more: those that are to be stopped come to their end."""
        self._pace.open()

    async def _execute(self, execution: Execution) -> Ending | None:
        try:
            configuration = await self._prepare(execution)
        except httpx.HTTPError as error:
            log.warning("run_put_off", run=execution.run.name, error=type(error).__name__)
            return None  # it still waits; the next poll finds it
        if configuration is None:
            return None
        return await self._with_process(execution, configuration, claim=True)

    async def execute_claimed(
        self, execution: Execution, task_status: anyio.abc.TaskStatus[str] | None
    ) -> Ending | None:
        """The same for a run that was claimed before; `task_status` is told the process."""
        assert execution.configuration is not None  # noqa: S101  it came with one
        return await self._with_process(execution, execution.configuration, task_status)

    async def _with_process(
        self,
        execution: Execution,
        configuration: AegisJobConfiguration,
        task_status: anyio.abc.TaskStatus[str] | None = None,
        *,
        claim: bool = False,
    ) -> Ending | None:
        preparing = None
        if not configuration.command:
            work = self._starter.prepare(configuration, execution.deployment)
            preparing = asyncio.get_running_loop().create_task(work)  # while the server thinks
        try:
            if claim and await self._server.claim(execution.run) != "ours":
                return None
            if execution.stopping:
                await self._hand_back(execution)
                return None
            return await self._run(execution, configuration, preparing, task_status)
        finally:
            await _let_go(preparing, execution)

    async def _run(
        self,
        execution: Execution,
        configuration: AegisJobConfiguration,
        preparing: asyncio.Task[Prepared] | None,
        task_status: anyio.abc.TaskStatus[str] | None,
    ) -> Ending | None:
        directory = WorkingDirectory(configuration, execution.deployment)
        try:
            try:
                in_flight = await self._launch(execution, configuration, preparing, directory.path)
            except AegisError as error:
                said = f"Failed to submit flow run to infrastructure: {error}"
                await insist("crash", lambda: self._server.crash(execution.run.id, said))
                return None
            execution.in_flight = in_flight
            if task_status is not None:
                task_status.started(execution.infrastructure_pid)
            if execution.cancelling:
                await in_flight.cancel()
            recording = asyncio.get_running_loop().create_task(self._record(execution, configuration))
            ending = await in_flight.wait()
            await self._conclude(execution, configuration, ending, directory.path)
            await recording
            return ending
        finally:
            directory.remove()

    async def _launch(
        self,
        execution: Execution,
        configuration: AegisJobConfiguration,
        preparing: asyncio.Task[Prepared] | None,
        directory: str,
    ) -> RunInFlight:
        if preparing is None:
            in_flight = await self._starter.command(configuration, directory, execution.log)
            execution.infrastructure_pid = f"{self._host}:{in_flight.pid}"
            return in_flight
        prepared = await preparing
        in_flight = prepared.take(configuration, execution.log)
        execution.infrastructure_pid = f"{self._host}:{in_flight.pid}"
        await in_flight.tell(await self._order("run", execution, configuration, directory))
        return in_flight

    async def _order(
        self, op: str, execution: Execution, configuration: AegisJobConfiguration, directory: str
    ) -> dict[str, Any]:
        run, deployment = execution.run, execution.deployment
        flow, (pool, _) = await self._server.flow(run.flow_id), self._pool_and_id()
        shared = {
            **await prefect_internals.shared(self._client),
            "related": await prefect_internals.related(self._client, run, flow, deployment, pool),
        }
        where = execution.infrastructure_pid
        return self._starter.order(op, run, configuration, deployment, directory, where, shared)

    async def _record(self, execution: Execution, configuration: AegisJobConfiguration) -> None:
        run, where = execution.run, execution.infrastructure_pid
        pool, _ = self._pool_and_id()
        labels = {
            "prefect.worker.name": self._worker,
            "prefect.worker.type": "aegis",
            "prefect.work-pool.name": pool.name,
            "prefect.work-pool.id": str(pool.id),
        }
        try:
            if configuration.command:
                await insist("locate", lambda: self._server.locate(run, where))
            await insist("label", lambda: self._server.label(run, labels))
        except httpx.HTTPError as error:
            log.warning("run_not_recorded", run=run.name, error=type(error).__name__)

    async def _hand_back(self, execution: Execution) -> None:
        said = f"Handed back by worker {self._worker}, which stopped before starting it."
        handed = await insist("hand back", lambda: self._server.hand_back(execution.run, said), 10)
        log.info("run_handed_back", run=execution.run.name, waits_again=handed)

    async def _conclude(
        self, execution: Execution, configuration: AegisJobConfiguration, ending: Ending, directory: str
    ) -> None:
        run = execution.run
        explain = prefect_internals.exit_explanation(ending.exit.code or 0)
        judgement = judge(ending, configuration, explain, self._host)
        if judgement.verdict == "nothing":
            return
        if judgement.verdict in {"ask", "cancelled"}:
            now = await insist("read", lambda: self._server.read(run.id))
            if now is None or now.state is None or now.state.type.value not in _NOT_OVER:
                return
            if judgement.verdict == "cancelled":
                await self._hooks(execution, configuration, now.state, directory)
                said = judgement.message
                await insist("cancel", lambda: self._server.propose(run.id, Cancelled(message=said)))
                return
        name = "TimedOut" if judgement.verdict == "timed_out" else "Crashed"
        state = await insist("crash", lambda: self._server.crash(run.id, judgement.message, name))
        if state is not None:
            log.warning("run_crashed", run=run.name, message=judgement.message)
            await self._hooks(execution, configuration, state, directory)

    async def _hooks(
        self, execution: Execution, configuration: AegisJobConfiguration, state: State[Any], directory: str
    ) -> None:
        """Run the flow's hooks in a process of their own, as the run's process cannot any more."""
        execution.run.state = state
        if configuration.command:
            return
        prepared = await self._starter.prepare(configuration, execution.deployment)
        hooks = prepared.take(configuration, execution.log)
        await hooks.tell(await self._order("hooks", execution, configuration, directory))
        waiting = asyncio.get_running_loop().create_task(hooks.wait())
        done, _ = await asyncio.wait((waiting,), timeout=_HOOKS_SECONDS)
        if not done:
            hooks.kill()
            await waiting


async def _let_go(preparing: asyncio.Task[Prepared] | None, execution: Execution) -> None:
    """End a process that was prepared and not used."""
    if preparing is None or execution.in_flight is not None:
        return
    prepared = await attempted(_result(preparing))
    if isinstance(prepared, Prepared):
        prepared.let_go()


async def _result(task: asyncio.Task[Prepared]) -> Prepared:
    return await task
