"""Sets right what a killed worker, run or server left: orphaned runs, claims without a start, lost slots.

Whatever it finds is seen twice before it acts, except for what this very worker left before it was started
again. It proposes states and never forces one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container
from datetime import timedelta
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, StateType, WorkerStatus
from prefect.states import Cancelled

from aegis_lib import clock
from aegis_lib.logs import get_logger
from deployments.run_watch import WORKER_LABEL
from deployments.worker import processes
from deployments.worker.server_side import Server, claim_message, insist

log = get_logger(__name__)

PASS_SECONDS = 60.0
_SLOT_PASSES = 6  # a lease lives up to 300 s after its run; only what outlives it is nobody's
_ABANDONED_FOR = timedelta(minutes=5)


class Housekeeper:
    """Keeps house for one worker."""

    def __init__(
        self, server: Server, client: PrefectClient, pool: str, worker: str, host: str, busy: Container[UUID]
    ) -> None:
        """`busy`: the runs that the worker has in hand itself."""
        self._server, self._client, self._pool = server, client, pool
        self._worker, self._host, self._busy = worker, host, busy
        self._suspects: set[UUID] = set()
        self._surplus: dict[UUID, int] = {}
        self._zombies = processes.Zombies()
        self.waited_for: set[int] = set()
        self.looked = asyncio.Event()
        """Set when what an earlier start left behind was settled: until then it may hold places of jobs."""

    async def run(self) -> None:
        """Look after what was left behind, then once a minute."""
        try:
            await insist("orphans", self.orphans_at_start, patience_seconds=86400)
        finally:
            self.looked.set()
        while True:
            await asyncio.sleep(PASS_SECONDS)
            try:
                claimed = await self._server.claimed_runs()
                await self.orphans(claimed, at_start=False)
                await self.slots(claimed)
            except httpx.HTTPError as error:
                log.info("housekeeping_put_off", error=type(error).__name__)
            self._zombies.reap(self.waited_for)

    async def orphans_at_start(self) -> int:
        """Settle what this very worker left before it was started again; returns how many."""
        return await self.orphans(await self._server.claimed_runs(), at_start=True)

    async def orphans(self, claimed: list[FlowRun], *, at_start: bool) -> int:
        """Settle those of the claimed runs that nobody works on any more; returns how many."""
        online = await self._online_workers() if any(not self._is_mine(run) for run in claimed) else set()
        living = processes.living_runs()
        suspects = {
            run.id: run
            for run in claimed
            if run.id not in self._busy
            and str(run.id) not in living
            and (self._is_mine(run) or self._is_abandoned(run, online))
        }
        certain = [run for run in suspects.values() if at_start or run.id in self._suspects]
        self._suspects = set(suspects)
        for run in certain:
            if run.id not in self._busy:
                await self._settle(run, at_start)
        return len(certain)

    async def _settle(self, run: FlowRun, at_start: bool) -> None:
        assert run.state is not None  # noqa: S101  it was chosen by its state
        when = "found when the worker started again" if at_start else "found by the worker"
        if run.state.type == StateType.PENDING:
            done = await self._server.hand_back(run, f"Claimed, but never started; {when}.")
            log.warning("claim_handed_back", run=run.name, accepted=done)
        elif run.state.type == StateType.CANCELLING:
            await self._server.propose(run.id, Cancelled(message=f"Its process has ended; {when}."))
            log.warning("cancellation_finished", run=run.name)
        else:
            crashed = await self._server.crash(run.id, f"Its process on {self._host} is gone; {when}.")
            log.warning("orphan_crashed", run=run.name, accepted=crashed is not None)

    def _is_mine(self, run: FlowRun) -> bool:
        return self._claimer(run) == self._worker

    def _is_abandoned(self, run: FlowRun, online: set[str]) -> bool:
        """A claim that was never started and whose worker is away."""
        assert run.state is not None  # noqa: S101
        claimer = self._claimer(run)
        since = clock.utcnow() - run.state.timestamp
        return run.state.type == StateType.PENDING and claimer not in online and since > _ABANDONED_FOR

    def _claimer(self, run: FlowRun) -> str | None:
        label = run.labels.get(WORKER_LABEL)
        if label is not None:
            return str(label)
        message = run.state.message or "" if run.state else ""
        if message == claim_message(self._worker):
            return self._worker
        before, _, after = claim_message("\0").partition("\0")
        if message.startswith(before) and message.endswith(after):
            return message.removeprefix(before).removesuffix(after)
        return None

    async def _online_workers(self) -> set[str]:
        found = await self._client.read_workers_for_work_pool(self._pool)
        return {worker.name for worker in found if worker.status == WorkerStatus.ONLINE}

    async def slots(self, claimed: list[FlowRun]) -> int:
        """Free slots of jobs that more runs seem to hold than are claimed; returns how many jobs."""
        if min(await self._online_workers() or {self._worker}) != self._worker:
            return 0  # one worker of the pool does this
        held: dict[UUID, int] = {}
        for run in claimed:
            if run.deployment_id:
                held[run.deployment_id] = held.get(run.deployment_id, 0) + 1
        surplus: dict[UUID, int] = {}
        repaired = 0
        for deployment in await self._server.deployments_of_pool():
            limit = deployment.global_concurrency_limit
            if limit is None or limit.active_slots <= held.get(deployment.id, 0):
                continue
            passes = surplus[deployment.id] = self._surplus.get(deployment.id, 0) + 1
            if passes >= _SLOT_PASSES:
                count = int(limit.active_slots) - held.get(deployment.id, 0)
                await self._client.release_concurrency_slots([limit.name], count, 0.0)
                log.error("slot_repaired", job=deployment.name, slots=count)
                del surplus[deployment.id]
                repaired += 1
        self._surplus = surplus
        return repaired
