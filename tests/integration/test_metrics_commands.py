"""`aegis metrics` and `aegis anomalies` as a person types them, against a real database."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any

import pytest

from aegis_lib import clock
from aegis_lib.anomaly.model import STEP
from aegis_lib.anomaly.policy import floor
from aegis_lib.db.database import Database
from aegis_lib.metrics.model import ContainerSample, EngineReading, HostSample
from aegis_lib.settings import DatabaseSettings
from deployments.cli import exit_codes
from deployments.cli.app import run
from tests import postgres as servers
from tests.fakes.anomalies import WEB_CPU, WEB_MEMORY, new_group, unusual
from tests.fakes.metrics import host_reading


@pytest.fixture(autouse=True)
def environment(database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in servers.environment_of(database_settings).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def now() -> datetime:
    return clock.utcnow()


def measured(database: Database, now: datetime) -> None:
    """Ten minutes of a host and of a container on two engines, with a gap of five."""
    for minute in (15, 14, 13, 3, 2, 1):
        at = now - timedelta(minutes=minute)
        before = database.metrics.host_reading("local")
        host = HostSample(host="local", at=at, cpu_ratio=minute / 100, memory_used_ratio=0.25, load_1m=1.5)
        database.metrics.keep_host(before, host_reading(at), host)
        for engine in ("local", "nas"):
            last = database.metrics.engine_reading(engine)
            sample = ContainerSample(
                engine=engine, name="web", at=at, container_id="x", cpu_cores=0.5, memory_bytes=10**8 * minute
            )
            database.metrics.keep_engine(last, EngineReading(engine=engine, taken_at=at), [sample])


def test_nothing_measured_says_where_to_look(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["metrics"]) == exit_codes.OK
    assert "aegis history metrics_collect" in capsys.readouterr().out
    assert run(["metrics", "show", "web"]) == exit_codes.NOT_FOUND
    assert "fix: `aegis metrics` lists" in capsys.readouterr().err


def test_the_newest_numbers_of_everything_are_listed(
    database: Database, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    measured(database, now)
    assert run(["metrics"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert re.search(r"local +1 % +1\.5 +25 %", shown)
    assert re.search(r"web +nas +0\.5 cores +100 MB", shown)
    run(["metrics", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [one["engine"] for one in found["containers"]] == ["local", "nas"]
    assert set(found["hosts"][0]) == set(HostSample.model_fields)


def test_how_a_container_went_is_shown_with_its_gap(
    database: Database, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    measured(database, now)
    assert run(["metrics", "show", "web", "--engine", "nas", "--hours", "1"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert "CONTAINER/NAS/WEB" in shown
    assert "LOCAL" not in shown
    assert re.search(r"memory_bytes +100 MB +100 MB +800 MB +1\.5 GB +█▇\S* \S+▁", shown)
    assert run(["metrics", "show", "local", "--json"]) == exit_codes.OK
    found = json.loads(capsys.readouterr().out)
    (cpu,) = [one for one in found if one["series"] == "host/local/cpu_ratio"]
    assert (cpu["samples"], cpu["last"], cpu["unit"]) == (6, 0.01, "ratio")
    assert [value for _, value in cpu["points"]].count(None) == 1


# --- anomalies ---


def found(database: Database, now: datetime, **changes: Any) -> int:
    points = [
        unusual(WEB_MEMORY, floor(now) - STEP, **changes),
        unusual(WEB_CPU, floor(now) - STEP, value=2.0, expected=0.5, low=0.3, high=0.6, **changes),
    ]
    return database.anomalies.open_group(new_group(*points), points)


def test_without_anomalies_the_list_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["anomalies"]) == exit_codes.OK
    assert "Nothing unusual." in capsys.readouterr().out


def test_what_was_unusual_is_listed_and_explained(
    database: Database, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    measured(database, now)
    number = found(database, now)
    assert run(["anomalies"]) == exit_codes.OK
    assert "web on local: memory in use, more than usual" in capsys.readouterr().out
    assert run(["anomalies", "show", str(number)]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert "container/local/web/memory_bytes" in shown
    assert "800 MB at" in shown
    assert "expected 300 MB, usually 280 MB to 320 MB; score 0.90, +25.0 usual distances" in shown
    assert "24 h to" in shown
    run(["anomalies", "show", str(number), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["id"], len(told["points"])) == (number, 2)


def test_what_a_lesson_covers_is_listed_when_asked(
    database: Database, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    found(database, now, known=True)
    run(["anomalies", "--json"])
    assert json.loads(capsys.readouterr().out) == []
    run(["anomalies", "list", "--all"])
    assert "open, no news" in capsys.readouterr().out


def test_a_person_dismisses_and_takes_it_back(
    database: Database, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    number = found(database, now)
    assert run(["anomalies", "dismiss", str(number), "--note", "backup", "--by", "ada"]) == exit_codes.OK
    assert "no news for 30 days (2 series)" in capsys.readouterr().out
    assert run(["anomalies", "dismiss", str(number)]) == exit_codes.OK
    assert "was dismissed before" in capsys.readouterr().out
    run(["anomalies", "show", str(number)])
    assert "dismissed  by ada: backup" in capsys.readouterr().out
    assert run(["anomalies", "lessons"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert re.search(r"container/local/web/memory_bytes +up to 800 MB", shown)
    run(["anomalies", "lessons", "--json"])
    lesson = json.loads(capsys.readouterr().out)[0]["id"]
    assert run(["anomalies", "unlearn", str(lesson)]) == exit_codes.OK
    assert run(["anomalies", "unlearn", str(lesson)]) == exit_codes.NOT_FOUND


@pytest.mark.parametrize("command", ["show", "dismiss"])
def test_a_number_that_is_none_is_not_found(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["anomalies", command, "77"]) == exit_codes.NOT_FOUND
    assert "There is no anomaly 77" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["metrics list", "metrics show", "anomalies list", "anomalies show",
                                     "anomalies lessons"])  # fmt: skip
def test_every_key_of_the_json_is_named_in_the_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    run([*command.split(), "--help"])
    assert "Keys of --json" in capsys.readouterr().out
