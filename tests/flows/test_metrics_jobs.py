"""The jobs `metrics_collect` and `anomaly_scan` as Prefect runs them: real server, engine and PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aegis_lib import clock
from aegis_lib.adapters.docker_engine import engines
from aegis_lib.anomaly.model import STEP
from aegis_lib.anomaly.policy import floor
from aegis_lib.db.database import Database
from aegis_lib.settings import DatabaseSettings
from tests import postgres as servers
from tests.docker_boxes import Boxes
from tests.fakes.anomalies import new_group, unusual

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def installation(
    database_settings: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        **servers.environment_of(database_settings),
        "AEGIS_DATA_DIR": str(tmp_path / "data"),
        "AEGIS_CONFIG": str(tmp_path / "aegis.yaml"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "aegis.yaml").write_text("metrics:\n  host: here\n")


def collect() -> Any:
    from flows.metrics_collect import metrics_collect

    return metrics_collect(return_state=True)


def scan() -> Any:
    from flows.anomaly_scan import anomaly_scan

    return anomaly_scan.with_options(retry_delay_seconds=0)(return_state=True)


@pytest.mark.usefixtures("installation")
def test_the_host_and_a_container_are_measured_once_a_minute(boxes: Boxes, database: Database) -> None:
    boxes.make("web")
    state = collect()
    assert state.name in {"Completed", "Degraded"}, state.message
    since = clock.utcnow() - timedelta(hours=1)
    (host,) = database.metrics.newest_hosts(since)
    assert (host.host, host.cpu_count is not None) == ("here", True)
    (web,) = [one for one in database.metrics.newest_containers(since) if one.name == boxes.name("web")]
    assert web.memory_bytes
    again = collect()
    assert "Read a moment ago by another run: host here, engine local" in again.message
    assert len(database.metrics.of_host("here", since, clock.utcnow())) == 1


@pytest.mark.usefixtures("installation")
def test_a_machine_without_an_engine_is_measured(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(engines, "DEFAULT_SOCKET", tmp_path / "none.sock")
    state = collect()
    assert (state.name, state.message) == ("Completed", "1 host and 0 containers measured.")
    assert len(database.metrics.newest_hosts(clock.utcnow() - timedelta(hours=1))) == 1


@pytest.mark.usefixtures("installation")
def test_an_anomaly_reaches_the_outbox_once_and_its_end_too(database: Database) -> None:
    now = clock.utcnow()
    point = unusual(at=floor(now) - STEP)
    number = database.anomalies.open_group(new_group(point), [point])
    assert scan().name == "Completed"
    assert scan().name == "Completed"
    (alert,) = database.alerts.to_decide(now - timedelta(hours=1))
    assert (alert.key, alert.count) == (f"anomaly:{number}", 1)
    assert alert.title == "Unusual: web on local: memory in use, more than usual"

    said = {"by": "ada", "note": "", "now": now, "expires_at": now + timedelta(days=30)}
    assert database.anomalies.dismiss(number, **said)
    assert scan().name == "Completed"
    group = database.anomalies.group(number)
    assert group is not None
    assert group.end_told_at is not None
    (over,) = database.alerts.to_decide(now - timedelta(hours=1))
    assert over.recovery_title == "Over: web on local: memory in use, more than usual"
