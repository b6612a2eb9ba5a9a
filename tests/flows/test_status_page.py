"""The job `status_page` as Prefect runs it: real server, real PostgreSQL, a real file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aegis_lib import clock
from aegis_lib.db.database import Database
from aegis_lib.settings import DatabaseSettings
from tests import postgres as servers

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(autouse=True)
def installation(
    database_settings: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    values = {
        **servers.environment_of(database_settings),
        "AEGIS_DATA_DIR": str(tmp_path / "data"),
        "AEGIS_CONFIG": str(tmp_path / "aegis.yaml"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "aegis.yaml").write_text(
        "sites:\n  sites:\n    - {name: shop, url: 'https://shop.example.org/'}\n"
    )
    return tmp_path


def run(flow: Any) -> Any:
    return flow.with_options(retry_delay_seconds=0)(return_state=True)


def test_the_page_is_written_and_written_again(database: Database, installation: Path) -> None:
    from flows.status_page import status_page

    index = installation / "data" / "report" / "index.html"
    assert run(status_page).name == "Completed"
    assert "not checked yet" in index.read_text()

    database.connection.execute(
        "INSERT INTO site_states (name, target, state, since, checked_at)"
        " VALUES ('shop', 'https://shop.example.org/', 'down', %s, %s)",
        [clock.utcnow(), clock.utcnow()],
    )
    state = run(status_page)
    assert (state.name, state.message.split(".")[0]) == (
        "Completed",
        "The one site is down; no alert is open",
    )
    assert "The one site is down" in index.read_text()
    assert database.memory.recall_recent() == [], "a page is no event"


def test_a_page_that_cannot_be_written_fails_at_once_and_names_the_setting(
    installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.status_page import status_page

    monkeypatch.setenv("AEGIS_REPORT_DIR", str(installation / "aegis.yaml"))
    state = run(status_page)
    assert state.is_failed()
    assert "AEGIS_REPORT_DIR" in state.message
