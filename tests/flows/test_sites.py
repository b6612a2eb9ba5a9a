"""The job site_check as Prefect runs it: real server, real PostgreSQL, real sites."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aegis_lib.db.database import Database
from aegis_lib.settings import DatabaseSettings
from tests import postgres as servers
from tests.fake_services import zoo as zoos
from tests.fake_services.zoo import Zoo

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    with zoos.running(tmp_path_factory.mktemp("zoo")) as running:
        yield running


@pytest.fixture
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
    return tmp_path


def run(**parameters: Any) -> Any:
    from flows.site_check import site_check

    return site_check.with_options(retry_delay_seconds=0)(**parameters, return_state=True)


def test_without_sites_the_job_says_what_to_set(installation: Path) -> None:
    (installation / "aegis.yaml").write_text("")
    state = run()
    assert (state.name, state.message) == (
        "NotConfigured",
        "Not configured: set sites.sites in aegis.yaml to the websites to check.",
    )


def test_the_job_checks_and_its_alert_waits_in_the_outbox_once(
    installation: Path, zoo: Zoo, database: Database
) -> None:
    (installation / "aegis.yaml").write_text(
        f"""
sites:
  failures: 1
  of_checks: 1
  retry_seconds: 0
  sites:
    - {{name: shop, url: "{zoo.url("ok")}", allow_private_addresses: true, tags: [a]}}
    - {{name: blog, url: "{zoo.url("hangs_up")}", allow_private_addresses: true}}
    - {{name: inner, url: "{zoo.url("ok")}", severity: warning}}
"""
    )
    assert run(only_tag="a").message == "1 checked, 0 down."
    state = run()
    assert (state.name, state.message) == ("Completed", "2 checked, 2 down; began: blog, inner.")
    assert run().message == "No site is due."
    alerts = {alert.title: alert for alert in database.alerts.newest(10)}
    assert set(alerts) == {"Site blog is down", "Site inner is down"}
    assert alerts["Site blog is down"].severity.value == "critical"
    assert len(database.memory.recall_recent(10, "site_check")) == 2
