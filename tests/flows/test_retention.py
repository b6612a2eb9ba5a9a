"""The job `retention` as Prefect runs it: dry by default, and what it leaves behind."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aegis_lib import clock
from aegis_lib.db.database import Database
from aegis_lib.settings import DatabaseSettings
from tests import postgres as servers

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def old_days(
    database: Database, database_settings: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Database:
    """A database with days of checks of long ago, in the environment of a run."""
    for name, value in {
        **servers.environment_of(database_settings),
        "AEGIS_DATA_DIR": str(tmp_path / "data"),
        "AEGIS_CONFIG": str(tmp_path / "aegis.yaml"),
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "aegis.yaml").write_text("retention:\n  site_checks_days: 5\n")
    database.partitions.ensure("site_checks", clock.utcnow() - timedelta(days=30), days_ahead=0)
    database.partitions.ensure("site_checks", clock.utcnow())
    return database


def run(flow: Any, **parameters: Any) -> Any:
    return flow.with_options(retry_delay_seconds=0)(**parameters, return_state=True)


def test_retention_removes_nothing_unless_the_catalogue_says_so(old_days: Database) -> None:
    from flows.retention import retention

    state = run(retention)
    assert state.name == "Completed"
    assert state.message.startswith("Dry run: 2 days of site checks")
    assert len(old_days.partitions.list("site_checks")) == 6


def test_retention_removes_what_the_file_says_and_a_second_run_finds_nothing(old_days: Database) -> None:
    from flows.retention import retention

    state = run(retention, dry_run=False)
    assert state.message.startswith("Removed 2 days of site checks")
    assert len(old_days.partitions.list("site_checks")) == 4
    assert [event.event_type for event in old_days.memory.recall_recent()] == ["retention"]
    assert run(retention, dry_run=False).message == "Nothing is old enough to be removed."
