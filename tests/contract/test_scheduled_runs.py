"""The reader of the run history over real HTTP: what it sends, and what it makes of every answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr
from pytest_httpserver import HTTPServer

from aegis_lib.adapters import scheduled_runs
from aegis_lib.adapters.scheduled_runs import ScheduledRuns
from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.settings import PrefectApiSettings

NOON = datetime(2026, 1, 25, 12, tzinfo=UTC)
DEPLOYMENT = {
    "id": "d1", "name": "site-check", "paused": True, "status": "READY",
    "schedules": [{"slug": "often", "active": False}, {"slug": "daily", "active": True}],
}  # fmt: skip
RUN = {
    "id": "r1", "name": "brave-otter", "deployment_id": "d1", "expected_start_time": "2026-01-25T12:00:00Z",
    "start_time": "2026-01-25T12:00:01Z", "end_time": None, "run_count": 1, "auto_scheduled": True,
    "state": {"type": "RUNNING", "name": "Running", "message": None},
    "created_by": {"type": "SCHEDULE", "display_value": "often"},
}  # fmt: skip


def settings(server: HTTPServer, **more: Any) -> PrefectApiSettings:
    return PrefectApiSettings(**{"prefect_api_url": server.url_for("/api"), **more})


@pytest.fixture
def history(httpserver: HTTPServer) -> Iterator[ScheduledRuns]:
    httpserver.expect_request("/api/csrf-token").respond_with_json({"detail": "off"}, status=422)
    with scheduled_runs.connect(settings(httpserver)) as opened:
        yield opened


def asked(server: HTTPServer, path: str) -> list[dict[str, Any]]:
    return [json.loads(request.data) for request, _ in server.log if request.path == f"/api{path}"]


def test_a_run_is_read_with_its_job_and_its_schedule(httpserver: HTTPServer, history: ScheduledRuns) -> None:
    httpserver.expect_request("/api/deployments/filter").respond_with_json([DEPLOYMENT])
    never_began = {**RUN, "id": "r2", "run_count": 0, "created_by": None}
    of_nobody = {**RUN, "id": "r3", "deployment_id": "gone"}
    httpserver.expect_request("/api/flow_runs/filter").respond_with_json([RUN, RUN, never_began, of_nobody])

    first, second = history.runs(NOON, NOON)

    assert (first.id, first.job_id, first.slug, first.due_at) == ("r1", "site_check", "often", NOON)
    assert (first.state, first.name, first.message, first.automatic) == ("RUNNING", "Running", "", True)
    assert (second.id, second.slug, second.started_at) == ("r2", None, None)
    (body,) = asked(httpserver, "/flow_runs/filter")
    assert body["flow_runs"] == {
        "expected_start_time": {"after_": NOON.isoformat(), "before_": NOON.isoformat()}
    }
    assert body["deployments"] == {"tags": {"all_": ["aegis"]}}
    assert (body["limit"], body["offset"]) == (200, 0)


def test_what_is_paused_is_read(httpserver: HTTPServer, history: ScheduledRuns) -> None:
    httpserver.expect_request("/api/deployments/filter").respond_with_json([DEPLOYMENT])
    (job,) = history.jobs()
    assert (job.job_id, job.paused, job.paused_slugs) == ("site_check", True, frozenset({"often"}))


def test_no_run_asked_for_is_no_question(httpserver: HTTPServer, history: ScheduledRuns) -> None:
    assert history.runs_by_id([]) == []
    assert httpserver.log == []
    with pytest.raises(ValueError, match="at most 200"):
        history.runs_by_id(["x"] * 201)


def test_a_server_that_guards_against_forged_requests_is_given_its_token_anew(httpserver: HTTPServer) -> None:
    tokens = iter(["old", "new"])
    httpserver.expect_request("/api/csrf-token").respond_with_handler(
        lambda request: _json({"token": next(tokens), "expiration": "2026-01-25T13:00:00Z"})
    )
    httpserver.expect_request(
        "/api/deployments/filter", headers={"Prefect-Csrf-Token": "new"}
    ).respond_with_json([])
    httpserver.expect_request("/api/deployments/filter").respond_with_json(
        {"detail": "Invalid CSRF token or client identifier."}, status=403
    )
    with scheduled_runs.connect(settings(httpserver)) as opened:
        assert opened.jobs() == []


def _json(body: dict[str, Any]) -> Any:
    from werkzeug import Response

    return Response(json.dumps(body), content_type="application/json")


def test_a_password_is_sent_and_never_told(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/csrf-token").respond_with_json({}, status=401)
    given = settings(httpserver, prefect_api_auth_string=SecretStr("ada:lovelace"))
    with scheduled_runs.connect(given) as opened, pytest.raises(Misconfigured) as caught:
        opened.jobs()
    request, _ = httpserver.log[0]
    assert (request.authorization.username, request.authorization.password) == ("ada", "lovelace")  # type: ignore[union-attr]
    assert caught.value.setting == "PREFECT_API_AUTH_STRING"
    assert "lovelace" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (500, {}, DependencyUnavailable, "answered 500"),
        (429, {}, DependencyUnavailable, "answered 429"),
        (404, {}, Misconfigured, "PREFECT_API_URL"),
        (403, {"detail": "by the proxy"}, Misconfigured, "PREFECT_API_URL"),
        (422, {"detail": "no such filter"}, PermanentFailure, "no such filter"),
        (200, [{**DEPLOYMENT, "paused": None}], PermanentFailure, "0.paused"),
        (200, {"not": "a list"}, PermanentFailure, "a form we do not know"),
    ],
)
def test_an_answer_of_another_kind_is_an_error_that_says_so(
    httpserver: HTTPServer, history: ScheduledRuns, status: int, body: Any, error: type[AegisError], said: str
) -> None:
    httpserver.expect_request("/api/deployments/filter").respond_with_json(body, status=status)
    with pytest.raises(error, match=said):
        history.jobs()


def test_a_state_that_prefect_does_not_know_is_an_error(
    httpserver: HTTPServer, history: ScheduledRuns
) -> None:
    httpserver.expect_request("/api/deployments/filter").respond_with_json([DEPLOYMENT])
    odd = {**RUN, "state": {"type": "DREAMING", "name": "Dreaming"}}
    httpserver.expect_request("/api/flow_runs/filter").respond_with_json([odd])
    with pytest.raises(PermanentFailure, match=r"0\.state\.type"):
        history.runs(NOON, NOON)


def test_no_answer_is_transient() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/api"
        given = PrefectApiSettings(prefect_api_url=url)
        with scheduled_runs.connect(given) as opened, pytest.raises(DependencyUnavailable, match="aegis up"):
            opened.jobs()


def test_without_a_url_the_server_of_this_machine_is_meant() -> None:
    for given, url in (
        ({}, "http://127.0.0.1:4200/api/"),
        ({"aegis_port": 4321}, "http://127.0.0.1:4321/api/"),
    ):
        with scheduled_runs.connect(PrefectApiSettings(**given)) as opened:
            assert str(opened._http.base_url) == url
