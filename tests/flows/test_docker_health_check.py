"""The job `docker_health_check` as Prefect runs it: real server, real engine, real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from aegis_lib import clock
from aegis_lib.adapters.docker_engine import engines
from aegis_lib.db.database import Database
from aegis_lib.settings import DatabaseSettings
from tests import postgres as servers
from tests.docker_boxes import Boxes
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def installation(
    database_settings: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment of a run: its database and a data directory; no channel, an empty aegis.yaml."""
    values = {
        **servers.environment_of(database_settings),
        "AEGIS_DATA_DIR": str(tmp_path / "data"),
        "AEGIS_CONFIG": str(tmp_path / "aegis.yaml"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "aegis.yaml").write_text("containers:\n  verify_max_seconds: 10\n")


def run(**parameters: Any) -> Any:
    from flows.docker_health_check import docker_health_check

    return docker_health_check.with_options(retry_delay_seconds=0)(**parameters, return_state=True)


@pytest.fixture
def latest_table(prefect_server: str) -> Callable[[], dict[str, Any]]:
    """Reads the newest table artifact of the job from the server."""

    def read() -> dict[str, Any]:
        answer = httpx.get(f"{prefect_server}/artifacts/containers/latest").raise_for_status()
        return dict(answer.json())

    return read


@pytest.mark.usefixtures("installation")
def test_three_runs_log_restart_and_call_a_human(
    boxes: Boxes, database: Database, latest_table: Callable[[], dict[str, Any]]
) -> None:
    container = boxes.make("web", health="echo no; false")
    wait_until(lambda: boxes.health(container) == "unhealthy", description="the container to be unhealthy")
    began = boxes.state(container)["StartedAt"]
    options = {"dry_run": False, "strike_interval_seconds": 0, "only_label": boxes.only_label}

    states = [run(**options) for _ in range(3)]
    assert [state.name for state in states] == ["Completed"] * 3
    title = boxes.name("web")
    assert [state.message for state in states] == [
        "0 healthy, 1 unhealthy.",
        "0 healthy, 1 unhealthy; 1 restarted.",
        f"0 healthy, 1 unhealthy; called a human for {title}.",
    ]
    assert boxes.state(container)["StartedAt"] > began
    (case,) = database.strikes.open_cases(clock.utcnow())
    assert (case.name, case.strikes, case.escalated_at is not None) == (title, 3, True)

    table = latest_table()
    assert title in str(table["data"])
    assert "3/3" in str(table["data"])
    assert table["description"] == states[2].message


@pytest.mark.usefixtures("installation")
def test_by_default_nothing_is_done(
    boxes: Boxes, database: Database, latest_table: Callable[[], dict[str, Any]]
) -> None:
    container = boxes.make("web", health="false")
    wait_until(lambda: boxes.health(container) == "unhealthy", description="the container to be unhealthy")
    state = run(only_label=boxes.only_label)
    assert state.name == "Completed"
    assert state.message.startswith("Dry run, nothing done: ")
    assert database.strikes.open_cases(clock.utcnow()) == []
    assert "would count strike 1 of 3" in str(latest_table()["data"])


@pytest.mark.usefixtures("installation")
def test_without_docker_the_job_is_not_configured_rather_than_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "DEFAULT_SOCKET", tmp_path / "docker.sock")
    state = run()
    assert state.name == "NotConfigured"
    assert "DOCKER_HOSTS" in state.message


@pytest.mark.usefixtures("installation")
def test_a_wrong_address_fails_at_once_with_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOSTS", "docker.sock")
    state = run()
    assert state.is_failed()
    assert "'docker.sock' is not an address of an engine. Fix: " in state.message
