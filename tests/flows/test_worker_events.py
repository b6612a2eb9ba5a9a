"""What the worker tells a run about the things that its events name, so that no run asks for them."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import prefect.events.related as events_related
import pytest
from prefect.client.schemas.objects import Flow, FlowRun, WorkPool, WorkQueue
from prefect.client.schemas.responses import DeploymentResponse
from prefect.context import FlowRunContext
from prefect.events.schemas.events import RelatedResource

from deployments.worker import prefect_internals


def test_what_a_runs_events_name_is_told_and_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_related, "RESOURCE_CACHE", {})
    flow = Flow(name="noop", tags=["t"], labels={})
    queue = WorkQueue(name="default", id=uuid4(), work_pool_id=uuid4())
    pool = WorkPool(name="aegis", type="aegis", default_queue_id=queue.id)
    deployment = DeploymentResponse(name="noop", flow_id=flow.id, tags=["d"])
    run = FlowRun(
        flow_id=flow.id,
        deployment_id=deployment.id,
        work_queue_id=queue.id,
        work_queue_name=queue.name,
        work_pool_name=pool.name,
    )

    class Worker:
        async def read_work_queue(self, _: UUID) -> WorkQueue:
            return queue

    class Direct:
        async def read_flow(self, _: UUID) -> Flow:
            return flow

        async def read_deployment(self, _: UUID) -> DeploymentResponse:
            return deployment

        async def read_work_queue(self, _: UUID) -> WorkQueue:
            return queue

        async def read_work_pool(self, _: str) -> WorkPool:
            return pool

    def named_by(client: Any) -> list[RelatedResource]:
        with FlowRunContext.model_construct(flow_run=run):
            return asyncio.run(events_related.related_resources_from_run_context(client))

    asked = named_by(Direct())
    events_related.RESOURCE_CACHE.clear()
    told = asyncio.run(prefect_internals.related(Worker(), run, flow, deployment, pool))  # type: ignore[arg-type]
    prefect_internals._remember(json.loads(json.dumps(told)))

    class Failing:
        def __getattr__(self, name: str) -> Any:
            async def fail(_: Any) -> None:
                raise AssertionError(name)

            return fail

    assert len(asked) == 7
    assert named_by(Failing()) == asked
