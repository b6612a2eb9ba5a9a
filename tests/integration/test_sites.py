"""Sites against a real database: two workers at once, odd texts, the command."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from aegis_lib import clock
from aegis_lib.changes import policy as changes
from aegis_lib.db import database as databases
from aegis_lib.db.database import Database
from aegis_lib.settings import DatabaseSettings
from aegis_lib.sites import service
from aegis_lib.sites.model import Site, SitesConfig
from aegis_lib.sites.seen import Failure, FailureKind, Probe
from deployments.cli import exit_codes
from deployments.cli.app import run
from tests import postgres as servers
from tests.fake_services import zoo as zoos
from tests.fake_services.zoo import Zoo
from tests.fakes.alerts import FakeNotifier
from tests.fakes.memory import FakeMemory
from tests.fakes.sites import FakePages, FakeProber, bad, good

NOW = clock.utcnow()


def config(count: int) -> SitesConfig:
    sites = tuple(Site(name=f"s{n:03}", url=f"https://s{n:03}.example/") for n in range(count))
    return SitesConfig(sites=sites, failures=1, of_checks=1, recover_after=1, attempts=1, group_from=1000)


def test_two_workers_at_once_open_close_and_tell_everything_once(database_settings: DatabaseSettings) -> None:
    settings = config(120)
    titles: list[str] = []

    def one_round(minute: int, *, up: bool) -> None:
        together = threading.Barrier(2)

        def worker() -> None:
            def says(name: str, _attempt: int) -> Probe:
                if name == "s060":
                    together.wait(20)  # both have read how the sites stand
                return good(name) if up else bad(name)

            notifier = FakeNotifier()
            with databases.connect(database_settings) as db:
                service.run(
                    FakeProber(says), FakePages(), db.sites, FakeMemory(), notifier, settings,
                    now=NOW + timedelta(minutes=minute),
                )  # fmt: skip
            titles.extend(message.title for message in notifier.sent)

        workers = [threading.Thread(target=worker) for _ in range(2)]
        for one in workers:
            one.start()
        for one in workers:
            one.join(60)

    one_round(0, up=False)
    assert sorted(titles) == [f"Site s{n:03} is down" for n in range(120)]
    titles.clear()
    one_round(5, up=False)
    assert titles == []
    one_round(10, up=True)
    assert sorted(titles) == [f"Site s{n:03} is up again" for n in range(120)]
    with databases.connect(database_settings) as db:
        incidents = db.sites.newest_incidents(1000)
        assert len(incidents) == 120
        assert all(one.closed_at for one in incidents)
        assert len(db.sites.newest_checks("s000", 100)) == 3
        assert (db.sites.uptime(NOW - timedelta(days=1))["s000"].good) == 1


def test_text_that_no_database_takes_is_kept_as_far_as_it_goes(database: Database) -> None:
    words = "it said \x00 and \ud800 and '; DROP TABLE site_checks; --"
    prober = FakeProber(lambda name, _: bad(name, Failure(kind=FailureKind.BROKEN, words=words)))
    service.run(prober, changes, database.sites, FakeMemory(), FakeNotifier(), config(1), now=NOW)
    (incident,) = database.sites.newest_incidents(1)
    assert incident.reason.startswith("it said \ufffd and \ufffd")
    assert incident.reason.endswith(" and '; DROP TABLE site_checks; --")


def test_a_thousand_sites_are_kept_in_a_moment(database: Database) -> None:
    settings = config(1000)
    for minute in (0, 5):
        now = NOW + timedelta(minutes=minute)
        report = service.run(
            FakeProber(), FakePages(), database.sites, FakeMemory(), FakeNotifier(), settings, now=now
        )
        assert (report.checked, report.up) == (1000, 1000)
    assert len(database.sites.newest_checks("s999", 10)) == 2


# --- the command ---


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    with zoos.running(tmp_path_factory.mktemp("zoo")) as running:
        yield running


@pytest.fixture
def installation(
    zoo: Zoo, database_settings: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in servers.environment_of(database_settings).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "aegis.yaml").write_text(
        f"""
sites:
  attempts: 1
  failures: 1
  of_checks: 1
  sites:
    - {{name: shop, url: "{zoo.url("ok")}", allow_private_addresses: true, tags: [money]}}
    - {{name: blog, url: "{zoo.url("status/500")}", allow_private_addresses: true}}
"""
    )
    monkeypatch.setenv("AEGIS_CONFIG", str(tmp_path / "aegis.yaml"))


def test_a_look_now_prints_what_is_seen_and_keeps_nothing(
    installation: None, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sites", "check", "shop"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert "shop: good" in shown
    assert "200, HTTP/1.1, 20 bytes" in shown
    assert "first byte at" in shown
    assert run(["sites", "check", "shop", "blog", "--json"]) == exit_codes.FAILED
    found = json.loads(capsys.readouterr().out)
    assert [(one["site"], one["problem"]) for one in found] == [
        ("shop", None), ("blog", "it answered 500, expected is 200-299"),
    ]  # fmt: skip
    assert database.sites.standings() == {}
    assert run(["sites", "check", "nowhere"]) == exit_codes.NOT_FOUND
    assert "no site named 'nowhere'" in capsys.readouterr().err


def test_sites_and_incidents_are_listed(
    installation: None, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sites"]) == exit_codes.OK
    assert "unknown" in capsys.readouterr().out
    from aegis_lib import config as files

    settings = files.load().sites
    says = FakeProber(lambda name, _: bad(name) if name == "blog" else good(name))
    service.run(says, FakePages(), database.sites, FakeMemory(), FakeNotifier(), settings, now=clock.utcnow())
    assert run(["sites", "list", "--tag", "money", "--json"]) == exit_codes.OK
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["state"], row["uptime"], row["median_ms"]) == ("shop", "up", 1.0, 50.0)
    assert run(["sites"]) == exit_codes.OK
    assert "100.00 %" in capsys.readouterr().out
    assert run(["sites", "show", "blog"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert "refused the connection" in shown
    assert "goes on" in shown
    assert run(["sites", "show", "blog", "--json"]) == exit_codes.OK
    assert json.loads(capsys.readouterr().out)["standing"]["state"] == "down"
    assert run(["sites", "incidents", "--open", "--json"]) == exit_codes.OK
    assert [one["site"] for one in json.loads(capsys.readouterr().out)] == ["blog"]
    assert run(["sites", "incidents", "shop"]) == exit_codes.OK
    assert "No incident." in capsys.readouterr().out
