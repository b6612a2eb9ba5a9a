"""Connecting, losing the connection, and what each failure is called. Over real password authentication."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from aegis_lib.db import database, migrate
from aegis_lib.db.database import Database, prober
from aegis_lib.db.spool import Spool
from aegis_lib.db.spooled_memory import flush_into, opened
from aegis_lib.db.translation import translated
from aegis_lib.errors import DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.settings import DatabaseSettings
from deployments.embedded_postgres import EmbeddedPostgres
from tests.postgres import PostgresForTests, settings_of
from tests.waiting import wait_until


def test_a_connection_has_time_outs_and_a_name(database: Database) -> None:
    shown = {
        name: database.connection.execute(sql.SQL("SHOW {}").format(sql.Identifier(name))).fetchone()
        for name in ("statement_timeout", "lock_timeout", "application_name")
    }
    assert shown == {
        "statement_timeout": {"statement_timeout": "1min"},
        "lock_timeout": {"lock_timeout": "10s"},
        "application_name": {"application_name": "aegis"},
    }


def test_each_store_is_made_once(database: Database) -> None:
    assert database.memory is database.memory
    assert database.state is database.state
    assert database.tasks is database.tasks


def test_what_a_transaction_did_is_undone_when_an_exception_leaves_it(database: Database) -> None:
    def begin_and_give_up() -> None:
        with database.transaction():
            database.memory.record("x", "y")
            database.state.set("a", "b")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        begin_and_give_up()
    assert database.memory.recall_recent() == []
    assert database.state.get("a") is None
    with database.transaction():
        database.state.set("a", "c")
    assert database.state.get("a") == "c"


@pytest.mark.parametrize(
    ("changes", "setting", "problem"),
    [
        ({"password": "secret-but-wrong"}, "POSTGRES_PASSWORD", "refused the password"),
        ({"password": None}, "POSTGRES_PASSWORD", "asks for a password"),
        ({"user": "nobody_known"}, "POSTGRES_PASSWORD", "does not know the user"),
        ({"name": "no_such_database"}, "POSTGRES_DB", "has no database no_such_database"),
    ],
)
def test_a_server_that_refuses_us_names_the_setting(
    fragile: EmbeddedPostgres, changes: dict[str, str], setting: str, problem: str
) -> None:
    wrong = settings_of(fragile, **changes)
    for attempt in (lambda: database.connect(wrong).__enter__(), lambda: prober(wrong).ping()):
        with pytest.raises(Misconfigured, match=problem) as caught:
            attempt()
        assert caught.value.setting == setting
        assert "secret-but-wrong" not in str(caught.value)
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_user_without_login_names_the_setting(fragile: EmbeddedPostgres) -> None:
    with psycopg.connect(**fragile.connection("postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE idle PASSWORD 'known'")
        connection.execute("CREATE ROLE outside LOGIN PASSWORD 'known'")
        connection.execute("CREATE DATABASE closed")
        connection.execute("REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
    with pytest.raises(Misconfigured, match="does not let user idle log in") as caught:
        prober(settings_of(fragile, user="idle", password="known")).ping()
    assert caught.value.setting == "POSTGRES_USER"
    with pytest.raises(Misconfigured, match="does not let user outside into database closed") as caught:
        prober(settings_of(fragile, user="outside", password="known", name="closed")).ping()
    assert caught.value.setting == "POSTGRES_DB"


def test_a_server_that_is_down_is_a_transient_failure_with_its_remedy(fragile: EmbeddedPostgres) -> None:
    settings = settings_of(fragile)
    fragile.stop()
    for attempt in (lambda: database.connect(settings).__enter__(), lambda: prober(settings).ping()):
        with pytest.raises(DependencyUnavailable, match=r"no connection to .* Fix: see that the server runs"):
            attempt()


def test_an_address_that_nobody_has_is_a_transient_failure() -> None:
    nowhere = DatabaseSettings(host="db.invalid", user="aegis", password="x", name="aegis")
    with pytest.raises(DependencyUnavailable, match=r"no connection to db.invalid:5432"):
        prober(nowhere).ping()
    closed = DatabaseSettings(host="127.0.0.1", port=1, user="aegis", password="x", name="aegis")
    with pytest.raises(DependencyUnavailable, match=r"no connection to 127.0.0.1:1 \(.*refused"):
        prober(closed).ping()


def test_a_sign_of_life_takes_a_measured_time(database_settings: DatabaseSettings) -> None:
    assert timedelta() < prober(database_settings).ping() < timedelta(seconds=5)


def test_a_frozen_server_is_noticed_within_the_time_out(fragile: EmbeddedPostgres) -> None:
    settings = settings_of(fragile, connect_timeout_seconds=1)
    pid = fragile.pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(DependencyUnavailable, match="did not answer within 1 s"):
            prober(settings).ping()
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_backend_frozen_after_connecting_is_noticed_within_the_time_out(fragile: EmbeddedPostgres) -> None:
    settings = settings_of(fragile, connect_timeout_seconds=1)
    probe = prober(settings)
    with database.connect(settings) as db:
        backend = db.connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        try:
            with pytest.raises(DependencyUnavailable, match="did not answer SELECT 1 within 1 s"):
                probe._ask(db.connection.pgconn)
        finally:
            os.kill(backend, signal.SIGCONT)


def test_a_server_killed_in_the_middle_is_a_transient_failure_at_once_and_later(
    fragile: EmbeddedPostgres,
) -> None:
    with database.connect(settings_of(fragile)) as db:
        pid = fragile.pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not fragile.is_running(), description="the server to be gone")
        for _ in range(2):
            with pytest.raises(DependencyUnavailable, match="connection was lost"):
                db.state.get("a")


def test_a_lost_connection_leaves_the_context_as_ours_too(
    postgres: PostgresForTests, database_settings: DatabaseSettings
) -> None:
    def lose_it() -> None:
        with database.connect(database_settings) as db:
            backend = db.connection.info.backend_pid
            postgres.administer(sql.SQL("SELECT pg_terminate_backend({})").format(backend))
            db.connection.execute("SELECT 1")

    with pytest.raises(DependencyUnavailable, match="connection was lost"):
        lose_it()


def test_a_lost_connection_that_was_dealt_with_inside_is_no_failure_of_the_context(
    postgres: PostgresForTests, database_settings: DatabaseSettings
) -> None:
    with database.connect(database_settings) as db:
        postgres.administer(sql.SQL("SELECT pg_terminate_backend({})").format(db.connection.info.backend_pid))
        with pytest.raises(DependencyUnavailable):
            db.state.get("a")


def test_a_statement_beyond_its_time_is_a_transient_failure(database_settings: DatabaseSettings) -> None:
    with (
        pytest.raises(DependencyUnavailable, match="a statement was stopped"),
        database.connect(database_settings, statement_timeout_seconds=0.05) as db,
    ):
        db.connection.execute("SELECT pg_sleep(5)")


def test_a_row_locked_by_others_is_a_transient_failure(database_settings: DatabaseSettings) -> None:
    with (
        database.connect(database_settings) as one,
        database.connect(database_settings, lock_timeout_seconds=0.05) as other,
    ):
        one.state.set("a", "1")
        with one.transaction():
            one.state.set("a", "2")
            with pytest.raises(DependencyUnavailable, match="locked by somebody else"):
                other.state.set("a", "3")


def test_a_database_that_was_never_migrated_says_what_to_run(empty_settings: DatabaseSettings) -> None:
    with database.connect(empty_settings) as db, pytest.raises(Misconfigured, match="run `aegis up`"):
        db.state.get("a")


def test_a_right_that_is_missing_names_the_user(
    postgres: PostgresForTests, database_settings: DatabaseSettings
) -> None:
    role = f"{database_settings.name}_reader"
    postgres.administer(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'reads'").format(sql.Identifier(role)))
    try:
        settings = postgres.settings(database_settings.name, user=role, password="reads")
        with database.connect(settings) as db, pytest.raises(Misconfigured, match="lacks a right") as caught:
            db.state.get("a")
        assert caught.value.setting == "POSTGRES_USER"
    finally:
        postgres.administer(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def test_a_refused_statement_tells_no_value(database: Database) -> None:
    long = "private" * 20
    with pytest.raises(PermanentFailure, match="value too long") as caught, translated():
        database.connection.execute(
            "INSERT INTO episodic_memory (event_type, summary) VALUES (%s, %s)", [long, long]
        )
    assert "private" not in str(caught.value)


def test_events_of_an_outage_arrive_once_and_at_their_own_time(
    fragile: EmbeddedPostgres, tmp_path: Path
) -> None:
    settings, spool = settings_of(fragile), Spool(tmp_path)
    migrate.upgrade(settings)
    at = datetime(2026, 1, 25, 6, tzinfo=UTC)
    with opened(settings, spool) as memory:
        assert memory.record("health", "before", timestamp=at, key="first") == 1
        pid = fragile.pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not fragile.is_running(), description="the server to be gone")
        assert memory.record("health", "during", timestamp=at + timedelta(minutes=5), key="second") is None
        assert memory.record("health", "again", timestamp=at, key="first") is None
    with opened(settings, spool) as memory:
        assert memory.record("health", "still", timestamp=at + timedelta(minutes=10)) is None
        with pytest.raises(DependencyUnavailable):
            memory.recall_recent()
    assert spool.pending() == 3
    fragile.start()
    with database.connect(settings) as db:
        assert flush_into(spool, db.memory).applied == 3
        found = [(e.summary, e.timestamp) for e in db.memory.recall_recent()]
        assert found == [
            ("still", at + timedelta(minutes=10)),
            ("during", at + timedelta(minutes=5)),
            ("before", at),
        ]
    assert spool.pending() == 0


def test_a_wrong_password_is_not_spooled_away(fragile: EmbeddedPostgres, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured), opened(settings_of(fragile, password="wrong"), Spool(tmp_path)):
        pass
