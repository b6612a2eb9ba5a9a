"""What a deploy and a running stack write into the ledger, and what `aegis ledger` and the doctor read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from aegis_lib import clock
from aegis_lib.clock import iso
from aegis_lib.db.database import Database
from aegis_lib.ledger.model import CHECKED_KEY, GREEN_KEY, PASS_PATIENCE, Entry, TickOutcome
from aegis_lib.schedule import CronSchedule, IntervalSchedule
from aegis_lib.settings import DatabaseSettings
from deployments import ledger, triggers
from deployments.api import PrefectApi
from deployments.catalogue import ConcurrencyLimit, Job
from deployments.cli import app
from deployments.custom import CustomJob
from deployments.flow_facts import FlowFacts
from tests.postgres import environment_of

NOON = datetime(2026, 1, 25, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
FACTS = {"site_check": FlowFacts(flow_name="site-check", description="", parameter_schema={}, version=None)}


def job(**changes: Any) -> Job:
    fields: dict[str, Any] = {
        "id": "site_check", "deployment_name": "site-check", "entrypoint": "flows/site_check.py:site_check",
        "description": "Look.", "parameters": {}, "tags": ("aegis",), "work_pool": "aegis", "line": 1,
        "schedules": (
            IntervalSchedule(slug="often", interval_seconds=300, anchor_date=NOON - 9 * HOUR),
            CronSchedule(slug="nightly", cron="30 2 * * *", timezone="Europe/Berlin"),
        ),
        "concurrency_limit": ConcurrencyLimit(
            limit=1, collision_strategy="CANCEL_NEW", grace_period_seconds=60
        ),
        "freshness_seconds": 1800,
    }  # fmt: skip
    return Job(**{**fields, **changes})


class FakeApi:
    """Answers whether the work pool is paused."""

    def __init__(self) -> None:
        self.paused = False

    def get(self, path: str, **params: Any) -> Any:
        assert path == "/work_pools/aegis"
        return {"is_paused": self.paused}


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def settings(database_settings: DatabaseSettings, database: Database) -> DatabaseSettings:
    ledger.write_plan([job()], FACTS, database_settings, NOON - 24 * HOUR)
    return database_settings


def beat(presence: ledger.Presence, api: FakeApi, now: datetime) -> str | None:
    return presence.beat(cast("PrefectApi", api), now)


def test_a_deploy_writes_every_schedule_with_the_patience_of_its_job(
    settings: DatabaseSettings, database: Database
) -> None:
    nightly, often = database.ledger.versions(NOON)
    assert [nightly.schedule, often.schedule] == [job().schedules[1], job().schedules[0]]
    assert (often.grace_seconds, often.longest_run_seconds, often.freshness_seconds) == (300, 3600, 1800)
    facts = {"site_check": FACTS["site_check"].model_copy(update={"longest_run_seconds": 510})}
    assert ledger.write_plan([job()], facts, settings, NOON) == 0
    assert database.ledger.versions(NOON)[0].longest_run_seconds == 510
    assert ledger.write_plan([], {}, settings, NOON) == 2


NIGHTLY = {"start": "02:00", "end": "03:00"}


@pytest.mark.parametrize(
    ("variables", "pool", "grace_seconds", "windows"),
    [
        ({}, {}, 300, 0),
        ({"misfire_grace_seconds": 30}, {}, 30, 0),
        ({"misfire_grace_seconds": None}, {}, None, 0),
        ({"maintenance_windows": [NIGHTLY]}, {}, 300, 1),
        ({}, {"misfire_grace_seconds": 900}, 900, 0),
        ({"misfire_grace_seconds": 30}, {"misfire_grace_seconds": 900}, 30, 0),
    ],
)
def test_the_ledger_counts_by_the_rules_by_which_the_worker_claims(
    settings: DatabaseSettings,
    database: Database,
    variables: dict[str, Any],
    pool: dict[str, Any],
    grace_seconds: int | None,
    windows: int,
) -> None:
    template = {"variables": {"properties": {name: {"default": value} for name, value in pool.items()}}}
    server = ledger.OnServer(template=template)
    assert ledger.write_plan([job(job_variables=variables)], FACTS, settings, NOON, server) == 0
    for held in database.ledger.versions(NOON):
        assert (held.grace_seconds, len(held.maintenance_windows)) == (grace_seconds, windows)


def test_a_time_out_of_the_job_s_own_is_how_long_its_runs_may_take(
    settings: DatabaseSettings, database: Database
) -> None:
    of_flow = {"timeout_seconds": 240, "attempts": 2, "longest_run_seconds": 510}
    facts = {"site_check": FACTS["site_check"].model_copy(update=of_flow)}
    ledger.write_plan([job(job_variables={"timeout_seconds": 600})], facts, settings, NOON)
    assert database.ledger.versions(NOON)[0].longest_run_seconds == 2 * 600 + 30


def custom_row(job_id: str, **changes: Any) -> dict[str, Any]:
    """A custom job as the server has it."""
    made = CustomJob.checked(
        job_id, target="backup:run", arguments={}, schedule=triggers.interval_schedule(HOUR)
    )
    return {**made.payload("flow", "/project"), **changes}


def test_jobs_that_people_added_are_in_the_ledger_and_a_deploy_leaves_them_there(
    settings: DatabaseSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    row = custom_row("backup")
    ledger.note_job("backup", row, NOON)
    held = {version.job_id: version for version in database.ledger.versions(NOON)}
    assert set(held) == {"backup", "site_check"}
    assert held["backup"].schedule == IntervalSchedule(
        slug="custom", interval_seconds=3600, anchor_date=datetime(2026, 1, 1, tzinfo=UTC)
    )
    assert (held["backup"].grace_seconds, held["backup"].longest_run_seconds) == (300, 2 * 2880 + 30)

    later, known = NOON + HOUR, ledger.OnServer(custom=(row,))
    assert ledger.write_plan([job()], FACTS, settings, later, known) == 0, "nothing changed"
    ledger.note_job("backup", None, later)
    (ended,) = [version for version in database.ledger.versions(NOON) if version.job_id == "backup"]
    assert ended.until == later


def test_schedules_of_custom_jobs_come_back_from_the_server_as_they_were_sent() -> None:
    berlin = triggers.cron_schedule("0 6 * * 1", "Europe/Berlin")
    daily = CustomJob.checked("report", target="a:b", arguments={}, schedule=berlin).payload("f", "/")
    assert [planned.schedule for planned in ledger.planned_custom(daily)] == [berlin]
    foreign = {"slug": None, "schedule": {"rrule": "FREQ=DAILY"}}
    assert ledger.planned_custom(custom_row("x", schedules=[foreign])) == []
    assert ledger.planned_custom(custom_row("x", schedules=[])) == []


def test_a_job_can_be_added_while_the_ledger_is_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("POSTGRES_HOST", str(tmp_path / "nobody-listens"))
    ledger.note_job("backup", custom_row("backup"), NOON)
    assert "event=job_not_in_ledger job_id=backup" in caplog.text


def test_a_stack_says_that_it_lives_and_that_it_was_stopped(
    settings: DatabaseSettings, database: Database, api: FakeApi
) -> None:
    presence = ledger.Presence(settings)
    presence.stop(NOON)
    assert database.ledger.last_presence() is None, "it never ran"
    for minute in range(5):
        beat(presence, api, NOON + minute * MINUTE)
    presence.stop(NOON + 5 * MINUTE)
    (seen,) = database.ledger.presences(NOON - HOUR)
    assert (seen.since, seen.last_seen, seen.stopped) == (NOON, NOON + 5 * MINUTE, True)


def test_two_stacks_one_after_the_other_are_told_apart(
    settings: DatabaseSettings, database: Database, api: FakeApi
) -> None:
    beat(ledger.Presence(settings), api, NOON)
    beat(ledger.Presence(settings), api, NOON + MINUTE)
    assert len(database.ledger.presences(NOON - HOUR)) == 2


def test_a_pause_of_all_scheduling_is_noted(
    settings: DatabaseSettings, database: Database, api: FakeApi
) -> None:
    presence = ledger.Presence(settings)
    for minute, api.paused in enumerate([False, True, True, False]):
        beat(presence, api, NOON + minute * MINUTE)
    (pause,) = database.ledger.pauses(NOON)
    assert (pause.job_id, pause.since, pause.until) == ("*", NOON, NOON + 3 * MINUTE)


def test_the_stack_says_once_when_nobody_keeps_the_ledger(
    settings: DatabaseSettings, database: Database, api: FakeApi
) -> None:
    presence = ledger.Presence(settings)
    said = [beat(presence, api, NOON + minute * MINUTE) for minute in range(30)]
    first = int(PASS_PATIENCE / MINUTE) + 1
    assert [minute for minute, told in enumerate(said) if told] == [first]
    assert "missed_runs does not run" in str(said[first])
    database.state.set(CHECKED_KEY, iso(NOON + 30 * MINUTE))
    assert [beat(presence, api, NOON + minute * MINUTE) for minute in range(30, 47)] == [None] * 17
    assert "2026-01-25T12:30:00Z" in str(beat(presence, api, NOON + 47 * MINUTE))


def test_while_all_scheduling_is_paused_nobody_expects_the_ledger(
    settings: DatabaseSettings, api: FakeApi
) -> None:
    presence, api.paused = ledger.Presence(settings), True
    assert [beat(presence, api, NOON + minute * MINUTE) for minute in range(30)] == [None] * 30


def test_a_stack_whose_database_is_away_goes_on(
    settings: DatabaseSettings, api: FakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    presence = ledger.Presence(settings.model_copy(update={"host": "/nowhere"}))
    assert beat(presence, api, NOON) is None
    presence.stop(NOON)
    assert "presence_not_noted" in caplog.text


def test_the_doctor_tells_whether_the_ledger_is_kept_and_green(
    settings: DatabaseSettings, database: Database
) -> None:
    def found(now: datetime = NOON) -> tuple[bool | None, str]:
        check = ledger.check(settings, now)
        assert check.ok or check.fix
        return check.ok, check.detail

    assert found()[0] is False
    assert "has never been kept" in found()[1]
    assert found(NOON - 24 * HOUR + MINUTE) == (None, "not kept yet")
    database.state.set(CHECKED_KEY, iso(NOON))
    database.state.set(GREEN_KEY, "false")
    assert found()[0] is False
    database.state.set(GREEN_KEY, "true")
    assert found() == (True, "every tick is accounted for")
    assert found(NOON + HOUR)[0] is False
    database.ledger.plan([], NOON)
    assert ledger.check(settings, NOON + MINUTE).ok is None


@pytest.fixture
def command(
    settings: DatabaseSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> DatabaseSettings:
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(clock, "utcnow", lambda: NOON)
    entries = [
        Entry(job_id="site_check", slug="often", due_at=NOON - n * 5 * MINUTE, outcome=TickOutcome.COMPLETED)
        for n in range(12)
    ]
    database.ledger.record(entries, NOON)
    database.state.set(CHECKED_KEY, iso(NOON))
    return settings


def test_the_command_shows_what_became_of_every_due_time(
    command: DatabaseSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["ledger", "--since", "1h"]) == 0
    said = capsys.readouterr()
    assert said.out.split() == ["JOB", "DUE", "COMPLETED", "site_check", "12", "12"]
    assert "Brought up to date" in said.err


def test_a_missed_time_is_explained_and_the_exit_code_says_so(
    command: DatabaseSettings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    missed = Entry(job_id="site_check", slug="often", due_at=NOON - HOUR, outcome=TickOutcome.MISSED,
                   detail="the server planned no run for it")  # fmt: skip
    database.ledger.record([missed], NOON)
    assert app.run(["ledger", "--since", "65m", "--job", "site-check"]) == 1
    said = capsys.readouterr().out
    assert "MISSED" in said
    assert "site_check missed 11:00:00 (1 h ago): the server planned no run for it." in said
    assert app.run(["ledger", "--since", "65m", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["jobs"] == [
        {"job_id": "site_check", "due": 13, "outcomes": {"Completed": 12, "Missed": 1}, "unaccounted": 0}
    ]
    assert found["missed"][0]["due_at"] == "2026-01-25T11:00:00Z"


def test_due_times_that_nobody_accounted_for_are_red(
    command: DatabaseSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["ledger", "--since", "2h"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["JOB", "DUE", "COMPLETED", "UNACCOUNTED"]
    assert lines[1].split() == ["site_check", "24", "12", "12"]


def test_a_ledger_that_is_not_kept_is_red(
    command: DatabaseSettings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    database.state.set(CHECKED_KEY, iso(NOON - HOUR))
    assert app.run(["ledger", "--since", "1h"]) == 1
    assert "missed_runs does not run" in capsys.readouterr().err


def test_a_job_that_the_ledger_does_not_know_is_said(
    command: DatabaseSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["ledger", "--job", "site_chek"]) == 4
    assert "The ledger knows no job 'site_chek'" in capsys.readouterr().err
