"""Every name of Prefect that is not part of its public interface and that the worker relies on.

A test holds each of them to the installed version. Nothing else of ours may import or touch such a name.

What is changed here, in the process of a run only, and why:

* The first heartbeat and the first renewal of the concurrency lease come after `FIRST_SIGN_SECONDS`. Prefect
  sends both at once, which costs a run of a second two threads and two connections. Nothing is watched
  before the first heartbeat; until then the worker, which waits for the process, is the one who knows.
* Cancellation and suspension come over the run's channel from the worker, which listens to the server's
  events once for all runs. Prefect opens a connection and a thread in every run.
* The token against cross-site requests, the default storage of results, and what a run's events name besides
  it (flow, deployment, queue, pool) are what the worker knows, so that a run need not ask; and the run's
  process is told together with its retries. Each saves a request.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import prefect._flow_run_suspension as suspension
import prefect._internal.control_listener as control_listener
import prefect.concurrency._leases as leases
import prefect.engine as prefect_engine
import prefect.events.related as events_related
import prefect.flow_engine as flow_engine
from prefect._internal.infrastructure_exit_codes import get_infrastructure_exit_info
from prefect._internal.metrics import RunMetrics
from prefect.client.orchestration import PrefectClient, SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, ServerDefaultResultStorage, State, WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events.schemas.events import RelatedResource
from prefect.flows import Flow
from prefect.workers.base import BaseJobConfiguration

FIRST_SIGN_SECONDS = 10.0
"""When a run says for the first time that it is alive. A lease is granted for 60 s or more."""

_STORAGE_SECONDS = 60.0

Shared = dict[str, Any]
_storage: dict[str, Any] | None = None
_queues: dict[UUID, Any] = {}
_storage_read = 0.0


def exit_explanation(code: int) -> str:
    """Prefect's sentence about an exit code; the negative of a signal's number for a signal."""
    return str(get_infrastructure_exit_info(code).explanation)


class OneListener:
    """A worker that listens to the server's events itself, so that Prefect's own listener is not started."""

    async def _setup_cancellation_observer(self) -> None:
        return


@cache
def settings_environment() -> dict[str, str]:
    """The settings of this process as environment variables; worked out once, as it takes 50 ms."""
    return dict(BaseJobConfiguration._base_environment())


class KnownEnvironment(BaseJobConfiguration):
    """A job configuration that does not work out the worker's settings anew for each run."""

    @classmethod
    def _base_environment(cls) -> dict[str, str]:
        return settings_environment()

    @staticmethod
    def _base_flow_run_command() -> str:
        return ""  # where no command was asked for, none is used


def one_token_at_a_time(client: PrefectClient) -> None:
    """Have concurrent requests of the worker ask for one token against cross-site requests, not for one each.

    The server keeps one token a client: a second one makes the first invalid, and Prefect's client answers
    that by waiting for seconds before it asks for a third.
    """
    http: Any = client._client
    add, lock = http._add_csrf_headers, asyncio.Lock()

    async def add_headers(request: Any) -> None:
        async with lock:
            await add(request)

    http._add_csrf_headers = add_headers


def _own_token_when_it_expires(http: Any) -> None:
    """A run that outlives the worker's token gets one of its own, and leaves the worker's valid."""
    add = http._add_csrf_headers

    def add_headers(request: Any) -> None:
        expires = http.csrf_token_expiration
        if not http.csrf_token or (expires and datetime.now(UTC) > expires):
            http.csrf_token, http.csrf_client_id = None, uuid4()
        add(request)

    http._add_csrf_headers = add_headers


async def shared(client: PrefectClient) -> Shared:
    """What the worker knows of the server and its runs need not ask for again."""
    http: Any = client._client
    expires = http.csrf_token_expiration
    return {
        "csrf_token": http.csrf_token,
        "csrf_client": str(http.csrf_client_id),
        "csrf_expires": expires.isoformat() if expires else None,
        "result_storage": await _result_storage(client),
    }


async def related(
    client: PrefectClient, run: FlowRun, flow: Any, deployment: DeploymentResponse | None, pool: WorkPool
) -> dict[str, dict[str, Any]]:
    """What the events of a run name besides it, by the keys under which Prefect remembers such things."""
    things = {f"flow.{run.flow_id}": flow, f"work-pool.{pool.name}": pool}
    if deployment is not None:
        things[f"deployment.{deployment.id}"] = deployment
    if run.work_queue_id:
        if run.work_queue_id not in _queues:
            _queues[run.work_queue_id] = await client.read_work_queue(run.work_queue_id)
        things[f"work-queue.{run.work_queue_id}"] = _queues[run.work_queue_id]
    found = {}
    for key, thing in things.items():
        kind = key.partition(".")[0]
        labels = events_related.object_as_related_resource(kind, kind, thing).model_dump()
        found[key] = {"labels": labels, "tags": list(getattr(thing, "tags", ()))}
    return found


class _Remembered:
    """Stands for an object of the server where an event only names it."""

    def __init__(self, labels: dict[str, str], tags: list[str]) -> None:
        self._labels, self.tags = labels, tags

    def as_related_resource(self, role: str) -> RelatedResource:
        return RelatedResource({**self._labels, "prefect.resource.role": role})


def _remember(given: dict[str, dict[str, Any]]) -> None:
    cache: dict[str, Any] = events_related.RESOURCE_CACHE
    for key, said in given.items():
        thing = _Remembered(said["labels"], said["tags"])
        cache[key] = ({"kind": key.partition(".")[0], "object": thing}, datetime.now(UTC))


async def _result_storage(client: PrefectClient) -> dict[str, Any]:
    """The server's default storage of results, as it was at most a minute ago."""
    global _storage, _storage_read
    if _storage is None or time.monotonic() - _storage_read > _STORAGE_SECONDS:
        found = await client.read_server_default_result_storage()
        _storage, _storage_read = found.model_dump(mode="json"), time.monotonic()
    return _storage


def adopt(client: SyncPrefectClient, given: Shared, infrastructure_pid: str) -> None:
    """Make the run's client use what the worker knows, and tell the server with one request where the run is.

    The engine's first word about its run, its retries, takes the process along. A server that is just being
    restarted is waited for, as by a client that has reached it before.
    """
    http: Any = client._client
    http._has_connected = True
    if given["csrf_token"]:
        http.csrf_token, http.csrf_client_id = given["csrf_token"], UUID(given["csrf_client"])
        expires = given["csrf_expires"]
        http.csrf_token_expiration = datetime.fromisoformat(expires) if expires else None
    _own_token_when_it_expires(http)
    _remember(given["related"])
    storage = ServerDefaultResultStorage.model_validate(given["result_storage"])
    update = client.update_flow_run

    def update_flow_run(flow_run_id: UUID, *arguments: Any, **fields: Any) -> Any:
        client.update_flow_run = update  # type: ignore[method-assign]
        return update(flow_run_id, *arguments, **{"infrastructure_pid": infrastructure_pid, **fields})

    client.update_flow_run = update_flow_run  # type: ignore[method-assign]
    client.read_server_default_result_storage = lambda: storage  # type: ignore[method-assign]


def run_metrics(flow_run: FlowRun, flow: Flow[Any, Any]) -> AbstractContextManager[None]:
    """Prefect's own measuring of a run, which does nothing unless it is switched on."""
    return RunMetrics(flow_run, flow)


def drive(flow: Flow[Any, Any], result: object) -> None:
    """Finish what `run_flow` returned: a coroutine or a generator is run to its end."""
    prefect_engine._drive_run_flow_result(flow, result)


def prepare_engine(
    cancel_asked: Callable[[], bool], suspended_state: Callable[[], State[Any] | None]
) -> None:
    """Make Prefect's engine in this process ask us for control, and keep quiet for the first seconds.

    Args:
        cancel_asked: whether the worker told this run to cancel; called when a SIGTERM arrived.
        suspended_state: the state with which the server suspended this run, if it did; called at each step.
    """

    def get_intent() -> Any:
        if control_listener._intent is None and cancel_asked():
            control_listener._set_intent("cancel")
        return control_listener._intent

    @contextmanager
    def observe(
        flow_run_id: UUID,
        suspension_request: suspension.FlowRunSuspensionRequest,
        polling_interval: float = 10,
    ) -> Generator[None, None, None]:
        request = suspension_request
        remembered = request.get_state

        def get_state() -> State[Any] | None:
            if remembered() is None and (state := suspended_state()) is not None:
                request.mark_requested(state)
            return remembered()

        request.get_state = get_state  # type: ignore[method-assign]
        yield

    for module in (control_listener, flow_engine, prefect_engine):
        module.get_intent = get_intent  # type: ignore[attr-defined]
    flow_engine.observe_flow_run_suspension = observe  # type: ignore[attr-defined]
    flow_engine._send_heartbeats = _heartbeats
    leases._lease_renewal_loop = _later_renewal(leases._lease_renewal_loop)


@contextmanager
def _heartbeats(engine: Any, join_on_exit: bool = True) -> Generator[None, None, None]:
    """As Prefect's own, except that the first one comes later and that the end need not be waited for."""
    if engine.heartbeat_seconds is None:
        yield
        return
    resource, related = engine._build_heartbeat_event_template()
    over = threading.Event()

    def beat() -> None:
        wait = min(FIRST_SIGN_SECONDS, engine.heartbeat_seconds)
        while not over.wait(wait):
            run = engine.flow_run
            if run and run.state and run.state.is_final():
                return
            engine._emit_flow_run_heartbeat(resource, related)
            wait = engine.heartbeat_seconds

    thread = threading.Thread(
        target=contextvars.copy_context().run, args=(beat,), name="heartbeat", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        over.set()
        if join_on_exit:
            thread.join(timeout=2)


def _later_renewal(renew: Callable[..., None]) -> Callable[..., None]:
    def loop(lease_id: UUID, lease_duration: float, stop_event: threading.Event) -> None:
        if not stop_event.wait(FIRST_SIGN_SECONDS):
            renew(lease_id, lease_duration, stop_event)

    return loop
