"""An existing Aegis database, looked at before it is taken over."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from aegis_lib.db import migrate
from aegis_lib.errors import Misconfigured, PermanentFailure
from aegis_lib.settings import DatabaseSettings
from deployments import catalogue, cutover
from deployments.catalogue import Catalogue
from deployments.cli.app import run
from tests import postgres as servers
from tests.integration.test_adoption import EXISTING

PROJECT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 1, 25, 12, 0, tzinfo=UTC)
STORED = """
CREATE TABLE apscheduler_jobs (
    id varchar(191) PRIMARY KEY, next_run_time double precision, job_state bytea NOT NULL
);
INSERT INTO apscheduler_jobs VALUES ('health_check', 1769342700.5, 'x'), ('wallet_balance', NULL, 'x');
"""


@pytest.fixture(scope="module")
def jobs() -> Catalogue:
    return catalogue.read(PROJECT / "prefect.yaml")


def execute(settings: DatabaseSettings, *statements: str) -> None:
    with psycopg.connect(**settings.connection()) as connection:  # type: ignore[arg-type]
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture
def existing(empty_settings: DatabaseSettings) -> DatabaseSettings:
    words = {"key": "varchar(255) PRIMARY KEY", "value": "text", "sample": "'true'"}
    execute(empty_settings, EXISTING.format(**words))
    return empty_settings


def tables(settings: DatabaseSettings) -> list[tuple[object, ...]]:
    with psycopg.connect(**settings.connection()) as connection:  # type: ignore[arg-type]
        return connection.execute(
            "SELECT c.relname, c.relkind FROM pg_class c"
            " WHERE relnamespace = current_schema()::regnamespace ORDER BY 1, 2"
        ).fetchall()


def test_the_look_says_what_stays_and_what_is_made_and_changes_nothing(
    existing: DatabaseSettings, jobs: Catalogue
) -> None:
    before = tables(existing)
    seen = cutover.examine(jobs, existing, NOW)
    assert tables(existing) == before
    assert seen.at is None
    assert seen.adopted == {"config": 1, "episodic_memory": 3, "state": 1}
    assert "table tasks" in seen.made
    assert "index episodic_memory_aegis_key_idx on episodic_memory" in seen.made
    assert "table episodic_memory" not in seen.made
    assert "index episodic_memory_embedding_idx on episodic_memory" not in seen.made


def test_what_was_announced_is_what_an_upgrade_makes(existing: DatabaseSettings) -> None:
    announced = set(migrate.rehearse(existing))
    before = {name for name, kind in tables(existing) if kind in "rp"}
    migrate.upgrade(existing)
    made = {name for name, kind in tables(existing) if kind in "rp"} - before - {migrate.VERSION_TABLE}
    assert {f"table {name}" for name in made} == {line for line in announced if line.startswith("table ")}
    assert migrate.rehearse(existing) == []


OLD_METRICS = """
CREATE TABLE container_metrics (
    id serial PRIMARY KEY, container_name text NOT NULL, cpu_percent real, created_at timestamptz
);
CREATE INDEX idx_container_metrics_name ON container_metrics (container_name);
INSERT INTO container_metrics (container_name, cpu_percent) SELECT 'web', n FROM generate_series(1, 50) AS n;
CREATE VIEW busy AS SELECT * FROM container_metrics WHERE cpu_percent > 40;
"""


def test_an_old_table_of_metrics_keeps_its_rows_under_another_name_and_this_is_announced(
    existing: DatabaseSettings, jobs: Catalogue
) -> None:
    execute(existing, OLD_METRICS, "CREATE TABLE container_metrics_original (x int)")
    seen = cutover.examine(jobs, existing, NOW)
    assert seen.renamed == {"container_metrics": ("container_metrics_original_2", 50)}
    assert not [line for line in seen.made if "container_metrics_original" in line]

    migrate.upgrade(existing)
    with psycopg.connect(**existing.connection()) as connection:  # type: ignore[arg-type]
        kept = connection.execute(
            "SELECT count(*), max(id), (SELECT count(*) FROM busy) FROM container_metrics_original_2"
        ).fetchone()
        kind = connection.execute(
            "SELECT relkind::text FROM pg_class WHERE oid = 'container_metrics'::regclass"
        ).fetchone()
    assert kept == (50, 50, 10)
    assert kind == ("p",)
    assert cutover.examine(jobs, existing, NOW).renamed == {}


def test_the_command_says_that_the_old_metrics_are_renamed(
    existing: DatabaseSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(existing, OLD_METRICS)
    for name, value in servers.environment_of(existing).items():
        monkeypatch.setenv(name, value)
    run(["migrate-check"])
    assert "is renamed to container_metrics_original" in capsys.readouterr().out


def test_what_is_called_as_a_table_of_metrics_and_is_none_is_refused(existing: DatabaseSettings) -> None:
    execute(existing, "CREATE VIEW host_metrics AS SELECT 1 AS one")
    with pytest.raises(Misconfigured, match="what is called host_metrics is no table"):
        migrate.upgrade(existing)


def test_jobs_of_the_old_scheduler_s_own_table_are_told_apart(
    existing: DatabaseSettings, jobs: Catalogue
) -> None:
    execute(existing, STORED)
    seen = cutover.examine(jobs, existing, NOW)
    assert [job.id for job in seen.doubled] == ["health_check"]
    assert seen.doubled[0].next_run == datetime(2026, 1, 25, 12, 5, 0, 500_000, tzinfo=UTC)
    assert [job.id for job in seen.left_behind] == ["wallet_balance"]


def test_an_old_scheduler_that_runs_is_seen_by_what_it_writes(
    existing: DatabaseSettings, jobs: Catalogue
) -> None:
    execute(
        existing,
        f"INSERT INTO state VALUES ('last_health_check', 'x', '{NOW - timedelta(minutes=4)}')",
        "INSERT INTO episodic_memory (timestamp, event_type, summary)"
        f" VALUES ('{NOW - timedelta(hours=6)}', 'morning_status', 's'),"
        f" ('{NOW - timedelta(hours=26)}', 'evening_summary', 's')",
    )
    seen = cutover.examine(jobs, existing, NOW)
    assert [job.id for job in seen.doubled] == ["health_check", "morning_status"]


def test_what_this_program_wrote_itself_is_no_sign_of_another(
    database_settings: DatabaseSettings, jobs: Catalogue
) -> None:
    execute(
        database_settings,
        f"INSERT INTO state VALUES ('last_health_check', 'x', '{NOW - timedelta(minutes=4)}')",
        "INSERT INTO installation_presence (process, since, last_seen)"
        f" VALUES ('p', '{NOW - timedelta(hours=1)}', '{NOW - timedelta(minutes=1)}')",
    )
    seen = cutover.examine(jobs, database_settings, NOW)
    assert seen.old_jobs == ()
    assert seen.made == ()
    assert seen.at == migrate.head()


def test_a_table_of_another_make_is_refused_as_it_would_be_later(
    empty_settings: DatabaseSettings, jobs: Catalogue
) -> None:
    execute(empty_settings, "CREATE TABLE tasks (id int)")
    with pytest.raises(Misconfigured, match="tasks is already there and lacks"):
        cutover.examine(jobs, empty_settings, NOW)


def test_a_newer_database_is_refused_by_its_name(
    database_settings: DatabaseSettings, jobs: Catalogue
) -> None:
    execute(database_settings, "UPDATE aegis_alembic_version SET version_num = '9999_later'")
    with pytest.raises(PermanentFailure, match="9999_later"):
        cutover.examine(jobs, database_settings, NOW)


def test_the_report_goes_to_programs_as_json(existing: DatabaseSettings, jobs: Catalogue) -> None:
    assert json.loads(cutover.examine(jobs, existing, NOW).model_dump_json())["adopted"]["state"] == 1
