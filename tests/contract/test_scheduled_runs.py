"""The reader of the run history over real HTTP: what it sends, and what it makes of every answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from aegis_lib.adapters.prefect_server import scheduled_runs
from aegis_lib.adapters.prefect_server.scheduled_runs import ScheduledRuns
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
    assert body["deployments"] == {"tags": {"any_": ["aegis", "aegis-custom"]}}
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


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (500, {}, DependencyUnavailable, "answered 500"),
        (403, {"detail": "by the proxy"}, Misconfigured, "PREFECT_API_URL"),
        (422, {"detail": "no such filter"}, PermanentFailure, "no such filter"),
        (200, [{**DEPLOYMENT, "paused": None}], PermanentFailure, "a form we do not know: paused"),
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
    with pytest.raises(PermanentFailure, match=r"state\.type"):
        history.runs(NOON, NOON)
