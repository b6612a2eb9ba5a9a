"""What the stack concludes from the server's answers about its runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from deployments import run_watch
from deployments.api import Refused
from tests.fakes.memory import FakeMemory

NOW = datetime(2026, 1, 25, 6, 0, tzinfo=UTC)


class FakeServer:
    """Answers filters from lists, and keeps what it was asked to change."""

    def __init__(self, **rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.changes: list[tuple[str, Any]] = []
        self.answer: str | Exception = "ACCEPT"

    def filter(self, path: str, body: Any = None, *, limit: int | None = None) -> Any:
        found = self.rows.get(path.strip("/").split("/")[-2], [])
        wanted = ((body or {}).get("deployments") or {}).get("id", {}).get("any_")
        return iter([row for row in found if wanted is None or row.get("deployment_id") in wanted])

    def post(self, path: str, body: Any = None) -> Any:
        self.changes.append((path, body))
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"status": self.answer}


def run(name: str, state: str = "RUNNING", label: str | None = "aegis-here", age: int = 0) -> dict[str, Any]:
    return {
        "id": f"id-{name}",
        "name": name,
        "flow_id": "f1",
        "labels": {run_watch.WORKER_LABEL: label} if label else {},
        "state": {
            "type": state,
            "name": state.title(),
            "message": "boom",
            "timestamp": (NOW - timedelta(seconds=age)).isoformat(),
        },
    }


def test_runs_of_our_worker_without_a_process_are_proposed_crashed_and_never_forced() -> None:
    server = FakeServer(flow_runs=[run("dead"), run("alive"), run("foreign", label="aegis-there")])
    crashed = run_watch.crash_orphans(server, "aegis-here", lambda: {"id-alive"}, NOW, "gone")  # type: ignore[arg-type]
    assert [row["name"] for row in crashed] == ["dead"]
    state = {"type": "CRASHED", "name": "Crashed", "message": "gone"}
    assert server.changes == [("/flow_runs/id-dead/set_state", {"state": state, "force": False})]


def test_a_claim_without_a_worker_counts_as_lost_only_after_a_minute() -> None:
    rows = [run("old", "PENDING", None, 61), run("new", "PENDING", None, 59), run("odd", "RUNNING", None, 99)]
    found = run_watch.claimed_runs(FakeServer(flow_runs=rows), "aegis-here", NOW)  # type: ignore[arg-type]
    assert [row["name"] for row in found] == ["old"]


def test_a_run_that_ended_meanwhile_is_left_alone() -> None:
    server = FakeServer(flow_runs=[run("dead")])
    server.answer = "ABORT"
    assert run_watch.crash_orphans(server, "aegis-here", set, NOW, "gone") == []  # type: ignore[arg-type]
    server.answer = Refused("POST", 404, "gone")
    assert run_watch.crash_orphans(server, "aegis-here", set, NOW, "gone") == []  # type: ignore[arg-type]


def test_each_failed_run_is_remembered_under_the_key_of_its_own_hook() -> None:
    server = FakeServer(flow_runs=[run("bad", "CRASHED")], flows=[{"id": "f1", "name": "health-check"}])
    memory = FakeMemory()
    rows = run_watch.ended_badly(server, NOW - timedelta(hours=2))  # type: ignore[arg-type]
    assert run_watch.record_failures(memory, rows) == 1
    run_watch.record_failures(memory, rows)
    (event,) = memory.recall_recent(event_type="job_error")
    assert event.summary == "health_check: boom"
    assert event.details["flow_run_id"] == "id-bad"
    assert event.importance == "high"


def test_only_active_schedules_of_unpaused_deployments_need_a_future_run() -> None:
    rows = [
        {"id": "a", "name": "planned", "paused": False, "schedules": [{"active": True}]},
        {"id": "b", "name": "dead", "paused": False, "schedules": [{"active": True}]},
        {"id": "c", "name": "paused", "paused": True, "schedules": [{"active": True}]},
        {"id": "d", "name": "stopped", "paused": False, "schedules": [{"active": False}]},
        {"id": "e", "name": "on-demand", "paused": False, "schedules": []},
    ]
    server = FakeServer(deployments=rows, flow_runs=[{"deployment_id": "a"}])
    assert run_watch.without_future_run(server, NOW) == ["dead"]  # type: ignore[arg-type]


def test_a_heartbeat_from_before_the_start_proves_nothing() -> None:
    old = {"name": "aegis-here", "last_heartbeat_time": (NOW - timedelta(seconds=1)).isoformat()}
    new = {"name": "aegis-here", "last_heartbeat_time": NOW.isoformat()}
    other = {"name": "aegis-there", "last_heartbeat_time": NOW.isoformat()}
    for rows, seen in (([old], False), ([other], False), ([], False), ([old, new], True)):
        server = FakeServer(workers=rows)
        assert run_watch.worker_seen_since(server, "aegis-here", NOW) is seen  # type: ignore[arg-type]
