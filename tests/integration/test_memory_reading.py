"""Looking into the event memory and the strikes, by store and by command, on a real database."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from aegis_lib.containers.model import Listed
from aegis_lib.db.database import Database
from aegis_lib.db.memory_reading import reader
from aegis_lib.memory.model import Importance
from aegis_lib.settings import DatabaseSettings
from deployments.cli import exit_codes
from deployments.cli.app import run
from tests.postgres import environment_of

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def events(database: Database) -> Database:
    record = database.memory.record
    record("job_error", "health_check: connection REFUSED", {"job_id": "health_check"}, Importance.HIGH,
           timestamp=NOW - timedelta(hours=1))  # fmt: skip
    record("task_complete", "Backups verified", tags=("Backup", "50%"), timestamp=NOW - timedelta(days=2))
    record("job_error", "site_check: slow", importance=Importance.CRITICAL, timestamp=NOW - timedelta(days=3))
    return database


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("connection refused", ["health_check: connection REFUSED"]),
        ("JOB_ERROR", ["health_check: connection REFUSED", "site_check: slow"]),
        ("backup", ["Backups verified"]),
        ("50%", ["Backups verified"]),
        ("%", ["Backups verified"]),
        ("_", ["health_check: connection REFUSED", "Backups verified", "site_check: slow"]),
        ("'; DROP TABLE state; --", []),
    ],
)
def test_a_text_is_found_in_summary_type_and_tags_without_wildcards(
    events: Database, text: str, found: list[str]
) -> None:
    assert [event.summary for event in reader(events).search(text)] == found


def test_at_most_so_many_are_found(events: Database) -> None:
    assert len(reader(events).search("e", limit=2)) == 2
    with pytest.raises(ValueError, match="limit"):
        reader(events).search("e", limit=0)


@pytest.mark.parametrize("details", ["[1, 2]", "null", '"text"', None])
def test_rows_of_others_with_odd_details_are_shown_too(database: Database, details: str | None) -> None:
    database.connection.execute(
        "INSERT INTO episodic_memory (event_type, summary, details, tags, importance) "
        "VALUES ('odd', 'odd row', %s::jsonb, ARRAY[NULL, 'x'], NULL)",
        [details],
    )
    (event,) = reader(database).search("odd row")
    assert (event.tags, event.importance) == (("x",), Importance.MEDIUM)


def test_events_are_counted_by_type(events: Database) -> None:
    first, second = reader(events).stats(NOW)
    assert (first.event_type, first.events, first.last_day, first.high_or_critical) == ("job_error", 2, 1, 2)
    assert first.newest == NOW - timedelta(hours=1)
    assert (second.event_type, second.events, second.last_day, second.high_or_critical) == (
        "task_complete", 1, 0, 0,
    )  # fmt: skip


@pytest.fixture
def command_on(database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment_of(database_settings).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("command_on")
def test_the_command_shows_events(events: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["memory"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[0] == "TIME"
    assert len(rows) == 3
    assert "connection REFUSED" in rows[0]
    assert run(["memory", "recent", "--type", "task_complete", "--json"]) == 0
    (event,) = json.loads(capsys.readouterr().out)
    assert list(event) == [
        "id", "timestamp", "event_type", "summary", "details", "importance", "tags", "decision",
    ]  # fmt: skip
    assert run(["memory", "search", "slow"]) == 0
    assert "site_check: slow" in capsys.readouterr().out
    assert run(["memory", "search", "absent"]) == 0
    assert "No event contains 'absent'." in capsys.readouterr().out
    assert run(["memory", "stats", "--json"]) == 0
    (count, _) = json.loads(capsys.readouterr().out)
    assert list(count) == ["event_type", "events", "last_day", "high_or_critical", "newest"]


@pytest.mark.usefixtures("command_on")
def test_strikes_are_listed_and_acknowledged(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["strikes"]) == 0
    assert "No container has a strike." in capsys.readouterr().out
    for name in ("web", "mail"):
        sick = Listed(engine="local", id=name * 16, name=name, state="running", created_at=NOW)
        database.strikes.claim_strike(sick, "unhealthy: connection refused", NOW, timedelta(0))
    assert run(["strikes", "list"]) == 0
    shown = capsys.readouterr().out
    assert "unhealthy: connection refused" in shown
    assert run(["strikes", "--json"]) == 0
    assert [case["name"] for case in json.loads(capsys.readouterr().out)] == ["mail", "web"]
    assert run(["strikes", "ack", "wbe"]) == exit_codes.NOT_FOUND
    assert "open cases: mail, web" in capsys.readouterr().err
    assert run(["strikes", "ack", "web"]) == 0
    assert run(["strikes", "clear"]) == 0
    assert "Acknowledged: mail." in capsys.readouterr().out
    assert run(["strikes", "clear"]) == 0
    assert database.strikes.open_cases(NOW) == []


def test_a_database_that_is_away_is_exit_code_three(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSTGRES_HOST", "127.0.0.1")
    monkeypatch.setenv("POSTGRES_PORT", "9")
    assert run(["memory"]) == exit_codes.UNREACHABLE
    shown = capsys.readouterr().err
    assert shown.startswith("error: PostgreSQL")
    assert "fix: " in shown


def test_a_database_that_was_never_started_is_exit_code_five(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AEGIS_DATA_DIR", str(tmp_path))
    assert run(["strikes"]) == exit_codes.SETTINGS
    assert "run `aegis up` first" in capsys.readouterr().err
