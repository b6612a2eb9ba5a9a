"""The five core jobs as Prefect runs them: real server, real PostgreSQL, and what each leaves behind."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from aegis_lib import clock
from aegis_lib.db.database import Database
from aegis_lib.memory.model import Importance
from aegis_lib.settings import DatabaseSettings
from tests import postgres as servers

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def installation(
    database_settings: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The environment of a run: its database, data directory, journal, empty `aegis.yaml`, and no channel."""
    values = {
        **servers.environment_of(database_settings),
        "AEGIS_DATA_DIR": str(tmp_path / "data"),
        "AEGIS_CONFIG": str(tmp_path / "aegis.yaml"),
        "AEGIS_JOURNAL_DIR": str(tmp_path / "journal"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "aegis.yaml").touch()
    return tmp_path


def run(flow: Any, **parameters: Any) -> Any:
    return flow.with_options(retry_delay_seconds=0)(**parameters, return_state=True)


def test_the_health_check_writes_its_state_keys(installation: Path, database: Database) -> None:
    from flows.health_check import health_check

    state = run(health_check)
    assert (state.name, database.state.get("db_healthy")) == ("Completed", "true")
    assert database.state.get("last_health_check")
    assert "answered in" in state.message


def test_a_database_that_is_away_degrades_the_health_check_and_nothing_is_lost(
    installation: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.health_check import health_check

    here = os.environ["POSTGRES_HOST"]
    monkeypatch.setenv("POSTGRES_HOST", str(installation / "nobody-listens"))
    assert [run(health_check).name, run(health_check).name] == ["Degraded", "Degraded"]
    assert database.memory.recall_recent() == []

    monkeypatch.setenv("POSTGRES_HOST", here)
    assert run(health_check).name == "Completed"
    events = [(e.event_type, e.importance.value) for e in database.memory.recall_recent()]
    assert sorted(events) == [("db_outage", "critical"), ("db_recovery", "high")]


def test_a_wrong_password_is_said_by_the_health_check_with_the_variable_to_set(
    installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.health_check import health_check

    monkeypatch.setenv("POSTGRES_PASSWORD", "not-the-password")
    state = run(health_check)
    assert state.name == "Degraded"
    assert "POSTGRES_PASSWORD" in state.message
    assert "not-the-password" not in state.message


def test_the_switch_hears_nothing_until_the_ledger_of_runs_is_green(
    installation: Path, database: Database, monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer
) -> None:
    from flows.health_check import health_check

    httpserver.expect_request("/ping").respond_with_data("OK")
    monkeypatch.setenv("HEARTBEAT_URL", httpserver.url_for("/ping"))
    assert "ledger of runs has not been made yet" in run(health_check).message
    assert httpserver.log == []

    database.state.set("ledger_checked", clock.iso(clock.utcnow()))
    database.state.set("ledger_green", "true")
    assert "withheld" not in run(health_check).message
    assert len(httpserver.log) == 1


def test_a_failed_job_is_remembered_even_while_the_database_is_away(
    installation: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.health_check import health_check

    here = os.environ["POSTGRES_HOST"]
    monkeypatch.setenv("POSTGRES_HOST", str(installation / "nobody-listens"))
    (installation / "aegis.yaml").write_text("helth: {}\n")
    failed = run(health_check)
    assert failed.is_failed()

    monkeypatch.setenv("POSTGRES_HOST", here)
    (installation / "aegis.yaml").write_text("")
    assert run(health_check).name == "Completed"
    (event,) = database.memory.recall_recent(event_type="job_error")
    assert event.importance is Importance.HIGH
    assert "health_check" in event.summary
    assert event.details["flow_run_id"] == str(failed.state_details.flow_run_id)


def test_an_empty_installation_says_so_instead_of_reporting_success(
    installation: Path, database: Database
) -> None:
    from flows.evening_summary import evening_summary
    from flows.morning_status import morning_status

    assert run(morning_status).name == "NoInput"
    assert run(evening_summary).name == "NoInput"


def test_the_evening_summary_stands_in_the_journal_and_running_it_again_repeats_nothing(
    installation: Path, database: Database
) -> None:
    from flows.evening_summary import evening_summary

    database.memory.record("task_complete", "Backups verified")
    database.memory.record("job_error", "site_check: timed out", importance=Importance.CRITICAL)
    assert run(evening_summary).name == "Completed"
    run(evening_summary)
    (page,) = (installation / "journal").iterdir()
    text = page.read_text(encoding="utf-8")
    assert page.name == f"{clock.utcnow():%Y-%m-%d}.md"
    assert text.count("site_check: timed out") <= 2, "once among the critical, once among the errors"
    assert len(database.memory.recall_recent(event_type="evening_summary")) == 1


def test_the_morning_status_is_recorded_once_a_day(installation: Path, database: Database) -> None:
    from flows.morning_status import morning_status

    database.tasks.add("Renew the certificate")
    assert run(morning_status).name == "Completed"
    run(morning_status)
    (event,) = database.memory.recall_recent(event_type="morning_status")
    assert "1" in event.summary


def test_the_cleanup_only_counts_until_it_is_told_to_delete(installation: Path, database: Database) -> None:
    from flows.memory_cleanup import memory_cleanup

    old = clock.utcnow() - timedelta(days=31)
    for importance in Importance:
        database.memory.record("note", f"{importance} and old", importance=importance, timestamp=old)
    database.memory.record("note", "low and new", importance=Importance.LOW)

    run(memory_cleanup)
    assert len(database.memory.recall_recent()) == 5
    run(memory_cleanup, dry_run=False)
    left = {e.summary for e in database.memory.recall_recent()}
    assert left == {"medium and old", "high and old", "critical and old", "low and new"}


def test_a_broken_configuration_file_fails_the_run_with_the_line_at_once(
    installation: Path, database: Database
) -> None:
    from flows.memory_cleanup import memory_cleanup

    (installation / "aegis.yaml").write_text("memory:\n  retension_days: 10\n")
    state = run(memory_cleanup)
    assert state.is_failed()
    assert "aegis.yaml:2" in state.message
