"""The worker of type `aegis`: `prefect worker start --pool aegis --type aegis --name HOST`.

Puts the parts together: it hears what is due (listening.py, polls), decides (claim_policy.py), claims
(server_side.py), starts (starting.py), watches (in_flight.py), judges the end (endings.py) and keeps house
(housekeeping.py). It must not run anything of a job in its own process.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import anyio
import anyio.abc
import httpx
from prefect.client.schemas.objects import FlowRun, WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import InfrastructureNotAvailable, InfrastructureNotFound
from prefect.settings import get_current_settings
from prefect.workers.base import BaseWorker

from aegis_lib import clock
from aegis_lib.logs import get_logger
from aegis_lib.settings import WorkerSettings
from deployments.worker import cold_start, processes
from deployments.worker.configuration import AegisJobConfiguration, AegisResult, AegisVariables
from deployments.worker.executing import Execution, Executor
from deployments.worker.housekeeping import Housekeeper
from deployments.worker.images import Images, become_parent_of_orphans
from deployments.worker.listening import CANCELLING, Listener
from deployments.worker.prefect_internals import OneListener, one_token_at_a_time
from deployments.worker.server_side import PAGE, Server, due_time, is_transient
from deployments.worker.starting import Starter
from deployments.worker.waiting import Settled, Waiting

log = get_logger(__name__)

_HORIZON_SECONDS = 15.0
_QUIET_POLL_SECONDS = 10.0
_BUSY_POLL_SECONDS = 1.0
_STARTS_FIRST_SECONDS = 10.0
_LATE_SECONDS = 5.0
_ANSWER_SECONDS = 15.0
"""How long an answer about due runs is waited for: after a cut of the network, asking anew is quicker than
what still waits for its packets, or for the client's next attempt, half a minute later."""


class AegisWorker(OneListener, BaseWorker[AegisJobConfiguration, AegisVariables, AegisResult]):
    """Runs flow runs in processes of their own, forked from a warm one."""

    type = "aegis"
    job_configuration = AegisJobConfiguration
    job_configuration_variables = AegisVariables
    _description = "Runs each flow run in its own process, forked from one that has imported the jobs."
    _display_name = "Aegis"

    def __init__(
        self,
        work_pool_name: str,
        work_queues: list[str] | None = None,
        name: str | None = None,
        prefetch_seconds: float | None = None,
        create_pool_if_not_found: bool = True,
        limit: int | None = None,
        heartbeat_interval_seconds: int | None = None,
        *,
        base_job_template: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            work_pool_name,
            work_queues,
            name,
            prefetch_seconds,
            create_pool_if_not_found,
            limit,
            heartbeat_interval_seconds,
            base_job_template=base_job_template,
        )
        self._pool_name, self._queues, self._most = work_pool_name, work_queues or [], limit
        self._images, self._host = Images(), socket.gethostname()
        self._starter = Starter(self._images)
        self._drain_seconds = WorkerSettings().drain_seconds
        self._waiting = Waiting()
        self._executions: dict[UUID, Execution] = {}
        self._wake = asyncio.Event()
        self._look_wanted = False
        self._one_look = asyncio.Lock()
        self._polled_at = float("-inf")
        self._last_answer = time.monotonic()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._listener: Listener | None = None
        self._stopping = False

    # --- Prefect's public hooks -------------------------------------------------------------------

    async def setup(self) -> None:
        """Connect, warm up, then find out what an earlier start of this worker left behind."""
        await super().setup()
        one_token_at_a_time(self.client)
        self._stopping = False
        self._server = Server(self.client, self._pool_name, self.name)
        self._executor = Executor(
            self._server, self._starter, self.client, self.name, self._host, self._pool_and_id
        )
        self._housekeeper = Housekeeper(
            self._server, self.client, self._pool_name, self.name, self._host, self._executions
        )
        if cold_start.FORKS:
            become_parent_of_orphans()
        self._spawn(self._warm_up())
        self._spawn(self._look_on_time())
        self._spawn(self._housekeeper.run())

    async def teardown(self, *exc_info: Any) -> None:
        """Take no more runs, give those in flight their time, hand back or mark what is left."""
        with anyio.CancelScope(shield=True):
            self._stopping = True
            for task in list(self._tasks):
                task.cancel()
            await self._drain()
            await self._images.close()
        await super().teardown(*exc_info)

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Look for due runs, if it is time to: Prefect calls this every `PREFECT_WORKER_QUERY_SECONDS`."""
        if not self._is_ready():
            return []
        self._listen()
        quiet = self._listener is not None and self._listener.connected
        if quiet and time.monotonic() - self._polled_at < _QUIET_POLL_SECONDS:
            return []
        return await self._look()

    def is_worker_still_polling(self, query_interval_seconds: float) -> bool:
        """Whether the server answered lately; for the health check of the worker."""
        return time.monotonic() - self._last_answer <= max(query_interval_seconds, _QUIET_POLL_SECONDS) * 30

    async def run(
        self,
        flow_run: FlowRun,
        configuration: AegisJobConfiguration,
        task_status: anyio.abc.TaskStatus[Any] | None = None,
    ) -> AegisResult:
        """Run one flow run that was claimed already, and wait for its end."""
        execution = await self._execution(flow_run, configuration)
        self._executions[flow_run.id] = execution
        try:
            ending = await self._executor.execute_claimed(execution, task_status)
        finally:
            self._executions.pop(flow_run.id, None)
        return AegisResult(
            identifier=execution.infrastructure_pid,
            status_code=0 if ending is None else ending.exit.code or 0,
        )

    async def kill_infrastructure(
        self, infrastructure_pid: str, configuration: AegisJobConfiguration, grace_seconds: int = 30
    ) -> None:
        """End a run's process by its `host:pid`."""
        host, _, pid = infrastructure_pid.rpartition(":")
        if host != self._host:
            raise InfrastructureNotAvailable(f"The process runs on {host}, this worker on {self._host}.")
        if not await processes.end_run(int(pid), grace_seconds):
            raise InfrastructureNotFound(f"There is no run's process {pid} on {host}.")

    # --- finding out what is due ------------------------------------------------------------------

    def _is_ready(self) -> bool:
        if not self.is_setup or self._stopping or not self._housekeeper.looked.is_set():
            return False
        try:
            return self.work_pool is not None
        except RuntimeError:
            return False  # not synchronised yet

    def _pool_and_id(self) -> tuple[WorkPool, UUID | None]:
        return self.work_pool, self.backend_id

    def _listen(self) -> None:
        if self._listener is None and get_current_settings().worker.enable_cancellation:
            self._listener = Listener(self.work_pool.id, self._poke, self._control)
            self._spawn(self._listener.run())

    async def _warm_up(self) -> None:
        if not cold_start.FORKS:
            log.info("runs_start_cold", reason="forking is not safe on this system")
            return
        try:
            for deployment in await self._server.deployments_of_pool():
                self._starter.know(deployment)
        except httpx.HTTPError as error:
            log.warning("jobs_not_known_yet", reason=type(error).__name__)
        await self._images.start()

    def _poke(self) -> None:
        self._look_wanted = True
        self._wake.set()

    async def _look_on_time(self) -> None:
        """Start what is known when its time comes; look again when the server says that something waits."""
        held_back = False  # something is due and may not start; only news can change that
        while True:
            seconds = None if held_back else self._waiting.seconds_to_next(clock.utcnow())
            with anyio.move_on_after(seconds):
                await self._wake.wait()
            self._wake.clear()
            if self._look_wanted and self._is_ready():
                await self._executor.ease(_BUSY_POLL_SECONDS)  # what is found now could not start anyway
                self._look_wanted = False
                await self._look()
            now = clock.utcnow()
            self._start_due(now)
            held_back = self._waiting.seconds_to_next(now) == 0

    async def _look(self) -> list[FlowRun]:
        async with self._one_look:
            self._polled_at = time.monotonic()
            try:
                found = await self._poll(clock.utcnow())
            except (httpx.HTTPError, TimeoutError) as error:
                if isinstance(error, httpx.HTTPError) and not is_transient(error):
                    raise
                log.warning("poll_unanswered", error=type(error).__name__)
                return []
            self._last_answer = time.monotonic()
            self._start_due(clock.utcnow())
            self._wake.set()  # what was found may be due before what was waited for
            return [execution.run for execution in found]

    def _late_jobs(self, runs: list[FlowRun], now: datetime) -> set[UUID]:
        """Jobs of which more runs may wait than a poll tells of; the claim policy must see all of them.

        A poll is cut off after a page, and the server leaves out what it is writing to, such as a run that
        it marks as late at this very moment.
        """
        since = now if len(runs) >= PAGE else now - timedelta(seconds=_LATE_SECONDS)
        return {
            run.deployment_id
            for run in runs
            if run.deployment_id and run.id not in self._executions and due_time(run) <= since
        }

    async def _poll(self, now: datetime) -> list[Execution]:
        async with asyncio.timeout(_ANSWER_SECONDS):
            runs = await self._server.due_before(now + timedelta(seconds=_HORIZON_SECONDS), self._queues)
        if len(runs) < PAGE:
            self._waiting.keep_only({run.id for run in runs})
        if late := self._late_jobs(runs, now):
            known = {run.id: run for run in (*runs, *await self._server.all_due_of(late, now))}
            runs = list(known.values())
        fresh = [run for run in runs if run.id not in self._waiting and run.id not in self._executions]
        if not fresh:
            return []
        jobs = await self._server.deployments({run.deployment_id for run in fresh if run.deployment_id})
        for deployment in jobs.values():
            self._starter.know(deployment)
        found = [Execution(run, _of(jobs, run.deployment_id), due_time(run)) for run in fresh]
        self._waiting.add(found)
        return found

    # --- starting it ------------------------------------------------------------------------------

    def _start_due(self, now: datetime) -> None:
        if not self._is_ready() or not self._waiting or self._is_out_of_date():
            return
        settled = self._waiting.settle(now, self.work_pool.base_job_template, self._room())
        for execution in settled.claim:
            self._begin(execution)
        if settled.aside:
            for executions in settled.aside.values():
                self._executions.update((execution.run.id, execution) for execution in executions)
            self._spawn(self._set_aside(settled))

    def _is_out_of_date(self) -> bool:
        """Whether newer runs may be due than those we know of; the next answer of the server tells."""
        return time.monotonic() - self._last_answer > _HORIZON_SECONDS

    def _room(self) -> int | None:
        if self._most is None:
            return None
        return self._most - sum(1 for execution in self._executions.values() if execution.started)

    def _begin(self, execution: Execution) -> None:
        run_id = execution.run.id
        execution.started = True
        self._executions[run_id] = execution
        task = asyncio.get_running_loop().create_task(self._executor.execute(execution))
        execution.task = task
        task.add_done_callback(lambda _: self._ended(run_id))

    def _ended(self, run_id: UUID) -> None:
        execution = self._executions.pop(run_id)
        if execution.task and not execution.task.cancelled() and (error := execution.task.exception()):
            log.error("run_lost", run=execution.run.name, kind=type(error).__name__, error=str(error)[:300])
        if self._most is not None and self._waiting:
            self._poke()

    async def _set_aside(self, settled: Settled) -> None:
        if starting := [execution.task for execution in settled.claim if execution.task]:
            await asyncio.wait(starting, timeout=_STARTS_FIRST_SECONDS)  # the server is busy with them
        for (name, message), executions in settled.aside.items():
            run_ids = [execution.run.id for execution in executions]
            try:
                count = await self._server.set_aside(run_ids, name, message)
                log.info("runs_set_aside", outcome=name, runs=count)
            except httpx.HTTPError as error:
                log.warning("runs_not_set_aside", outcome=name, error=type(error).__name__)
            finally:
                for run_id in run_ids:
                    self._executions.pop(run_id, None)

    async def _execution(self, run: FlowRun, configuration: AegisJobConfiguration) -> Execution:
        found = await self._server.deployments([run.deployment_id] if run.deployment_id else [])
        deployment = found.get(run.deployment_id) if run.deployment_id else None
        return Execution(run, deployment, due_time(run), configuration)

    # --- control and the end ----------------------------------------------------------------------

    async def _control(self, run_id: UUID, what: str) -> None:
        execution = self._executions.get(run_id)
        if execution is None or not execution.started:
            return
        if what == CANCELLING:
            await execution.cancel()
        elif execution.in_flight and (run := await self._server.read(run_id)) and run.state:
            await execution.in_flight.tell({"suspended": run.state.model_dump(mode="json")})

    async def _drain(self) -> None:
        running = [e for e in self._executions.values() if e.task and not e.task.done()]
        for execution in running:
            execution.stopping = True  # what is only claimed goes back
        self._executor.hurry()
        if not running:
            return
        log.info("worker_drains", runs=len(running), seconds=self._drain_seconds)
        tasks = [execution.task for execution in running if execution.task]
        _, left = await asyncio.wait(tasks, timeout=self._drain_seconds)
        for execution in running:
            if execution.task in left:
                execution.stop(grace_seconds=5)
        if left:
            await asyncio.wait(left, timeout=15)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)

        def done(ended: asyncio.Task[Any]) -> None:
            self._tasks.discard(ended)
            if not ended.cancelled() and (error := ended.exception()):
                log.error("worker_part_failed", kind=type(error).__name__, error=str(error)[:300])

        task.add_done_callback(done)


def _of(jobs: Mapping[UUID, DeploymentResponse], deployment: UUID | None) -> DeploymentResponse | None:
    return None if deployment is None else jobs.get(deployment)
