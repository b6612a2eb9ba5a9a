"""The private names of Prefect on which the worker relies are there and are used as it supposes.

A failure here after an upgrade of Prefect names what moved; deployments/worker/prefect_internals.py is the
place to mend.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import prefect._flow_run_suspension as suspension
import prefect._internal.control_listener as control_listener
import prefect.concurrency._leases as leases
import prefect.engine as engine
import prefect.events.related as events_related
import prefect.flow_engine as flow_engine
import pytest
from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient
from prefect.client.orchestration import SyncPrefectClient
from prefect.workers.base import BaseJobConfiguration, BaseWorker

from deployments.worker import prefect_internals
from deployments.worker.worker import AegisWorker

STORAGE = {"default_result_storage_block_id": None}


def source(thing: Any) -> str:
    return inspect.getsource(thing)


USED: dict[str, tuple[Callable[[], str], str]] = {
    "the worker's own listener is started by a method": (
        lambda: source(BaseWorker._initialize_after_sync),
        "await self._setup_cancellation_observer()",
    ),
    "settings of the worker come from one method": (
        lambda: source(BaseJobConfiguration.prepare_for_flow_run),
        "**self._base_environment()",
    ),
    "the fallback command comes from one method": (
        lambda: source(BaseJobConfiguration.prepare_for_flow_run),
        "self.command or self._base_flow_run_command()",
    ),
    "the engine asks for intent by a name of its module": (
        lambda: source(flow_engine._termination_intent),
        "return get_intent()",
    ),
    "signal handling asks for intent by a name of its module": (
        lambda: source(engine.handle_engine_signals),
        "intent = get_intent()",
    ),
    "heartbeats are a name of the engine's module": (
        lambda: source(flow_engine.FlowRunEngine.run_context),
        "with _send_heartbeats(self):",
    ),
    "suspension is observed by a name of the engine's module": (
        lambda: source(flow_engine.BaseFlowRunEngine.setup_flow_run_suspension_request),
        "observe_flow_run_suspension(\n                        self.flow_run.id, flow_run_suspension_request",
    ),
    "a request for suspension is asked for its state": (
        lambda: source(suspension.FlowRunSuspensionRequest),
        "if state := self.get_state():",
    ),
    "leases are renewed by a name of their module": (
        lambda: source(leases._start_lease_renewal_thread),
        "_lease_renewal_loop(lease_id, lease_duration, stop_event)",
    ),
    "a server that was reached once is waited for": (
        lambda: source(PrefectHttpxSyncClient.send),
        "if self._has_connected:\n            retry_exceptions = retry_exceptions + (httpx.ConnectError,)",
    ),
    "the engine tells its retries by keyword": (
        lambda: source(flow_engine.FlowRunEngine.initialize_run),
        "self.client.update_flow_run(\n                        flow_run_id=self.flow_run.id,",
    ),
}


@pytest.mark.parametrize("fact", USED)
def test_a_private_name_is_used_as_we_suppose(fact: str) -> None:
    read, expected = USED[fact]
    assert " ".join(expected.split()) in " ".join(read().split())


def test_every_private_name_that_is_touched_exists() -> None:
    modules = {
        "suspension": suspension,
        "control_listener": control_listener,
        "leases": leases,
        "events_related": events_related,
        "prefect_engine": engine,
        "flow_engine": flow_engine,
    }
    tree = ast.parse(source(prefect_internals))
    touched = {
        (node.value.id, node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
    }
    assert len(touched) >= 7
    assert [name for name in touched if not hasattr(modules[name[0]], name[1])] == []


@pytest.mark.parametrize("client", [PrefectHttpxAsyncClient, PrefectHttpxSyncClient])
def test_the_token_against_cross_site_requests_is_kept_where_we_look(client: type) -> None:
    text = source(client)
    for name in (
        "self.csrf_token:",
        "self.csrf_client_id:",
        "self.csrf_token_expiration:",
        "_add_csrf_headers",
    ):
        assert name in text


def test_our_worker_hides_no_attribute_of_prefects() -> None:
    theirs = {name for name in vars(BaseWorker) if not name.startswith("__")}
    theirs |= {
        node.attr
        for node in ast.walk(ast.parse(source(BaseWorker)))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    }
    meant = {"setup", "teardown", "get_and_submit_flow_runs", "is_worker_still_polling", "run", "type",
             "kill_infrastructure", "job_configuration", "job_configuration_variables", "_description",
             "_display_name"}  # fmt: skip
    ours = {name for name in vars(AegisWorker) if not name.startswith("__")}
    ours |= {
        node.attr
        for node in ast.walk(ast.parse(source(AegisWorker.__init__).replace("    def", "def", 1)))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
        and isinstance(node.ctx, ast.Store)
    }
    assert (ours & theirs) - meant - {"_abc_impl"} == set()


def client_with(monkeypatch: pytest.MonkeyPatch, expires: datetime) -> tuple[SyncPrefectClient, list[Any]]:
    sent: list[Any] = []

    def update(self: SyncPrefectClient, flow_run_id: UUID, **fields: Any) -> None:
        sent.append((flow_run_id, fields))

    monkeypatch.setattr(SyncPrefectClient, "update_flow_run", update)
    client = SyncPrefectClient("http://127.0.0.1:9/api")
    given = {
        "csrf_token": "t",
        "csrf_client": str(uuid4()),
        "csrf_expires": expires.isoformat(),
        "result_storage": STORAGE,
        "related": {},
    }
    prefect_internals.adopt(client, given, "host:7")
    return client, sent


def test_the_runs_first_word_takes_its_process_along_and_only_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, sent = client_with(monkeypatch, datetime.now(UTC) + timedelta(hours=1))
    run = uuid4()
    client.update_flow_run(flow_run_id=run, flow_version="1")
    client.update_flow_run(flow_run_id=run, flow_version="2")

    assert sent == [
        (run, {"infrastructure_pid": "host:7", "flow_version": "1"}),
        (run, {"flow_version": "2"}),
    ]
    assert client.read_server_default_result_storage().default_result_storage_block_id is None


def test_a_run_waits_for_a_server_that_is_just_being_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = client_with(monkeypatch, datetime.now(UTC) + timedelta(hours=1))
    answers = iter([httpx.ConnectError("refused"), httpx.Response(200, json="hello")])
    pauses: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        found = next(answers)
        if isinstance(found, httpx.Response):
            return found
        raise found

    monkeypatch.setattr("prefect.client.base.time.sleep", pauses.append)
    http = client._client  # type: ignore[attr-defined]
    monkeypatch.setattr(http, "_transport_for_url", lambda url: httpx.MockTransport(answer))
    assert client.hello().json() == "hello"
    assert len(pauses) == 1


def test_a_run_that_outlives_the_workers_token_asks_under_a_name_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[UUID] = []
    monkeypatch.setattr(
        PrefectHttpxSyncClient, "_add_csrf_headers", lambda self, request: asked.append(self.csrf_client_id)
    )
    lasting, _ = client_with(monkeypatch, datetime.now(UTC) + timedelta(hours=1))
    ended, _ = client_with(monkeypatch, datetime.now(UTC) - timedelta(seconds=1))
    workers = [client._client.csrf_client_id for client in (lasting, ended)]  # type: ignore[attr-defined]
    for client in (lasting, ended):
        client._client._add_csrf_headers(request=None)  # type: ignore[attr-defined]

    assert asked[0] == workers[0]
    assert asked[1] != workers[1]
