"""Partitions by day on a real PostgreSQL: made by many at once, dropped while others read and write."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from aegis_lib.db import database as db
from aegis_lib.db.database import Database
from aegis_lib.db.partitions import Partitions
from aegis_lib.errors import DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.settings import DatabaseSettings

NOW = datetime(2026, 3, 14, 23, 59, 30, tzinfo=UTC)
DAY = timedelta(days=1)
TABLE = "readings_for_tests"


@pytest.fixture
def readings(database: Database) -> Partitions:
    """The partitions of a divided table with everything that ours have: key, index, check, default."""
    database.connection.execute(
        f"CREATE TABLE {TABLE} (name text NOT NULL, at timestamptz NOT NULL, value int CHECK (value >= 0), "
        f"said text NOT NULL DEFAULT 'x', PRIMARY KEY (name, at)) PARTITION BY RANGE (at)"
    )
    database.connection.execute(f"CREATE INDEX ON {TABLE} (at)")
    return database.partitions


def write(database: Database, at: datetime, name: str = "a", value: int = 1) -> None:
    database.connection.execute(
        f"INSERT INTO {TABLE} (name, at, value) VALUES (%s, %s, %s)", [name, at, value]
    )


def names(partitions: Partitions) -> list[str]:
    return [one.name.removeprefix(f"{TABLE}_p") for one in partitions.list(TABLE)]


@contextmanager
def reading(settings: DatabaseSettings) -> Iterator[None]:
    """Somebody whose transaction has read the table and goes on."""
    with db.connect(settings) as other, other.connection.transaction():
        other.connection.execute(f"SELECT count(*) FROM {TABLE}")
        yield


def test_yesterday_today_and_the_days_ahead_are_made_once(readings: Partitions) -> None:
    made = readings.ensure(TABLE, NOW)
    assert names(readings) == ["20260313", "20260314", "20260315", "20260316"]
    assert len(made) == 4
    assert readings.ensure(TABLE, NOW) == []
    assert readings.ensure(TABLE, NOW + timedelta(minutes=1)) == [f"{TABLE}_p20260317"]


def test_a_partition_holds_one_utc_day_and_has_the_keys_and_checks_of_its_table(
    readings: Partitions, database: Database
) -> None:
    readings.ensure(TABLE, NOW, days_ahead=0)
    today = readings.list(TABLE)[-1]
    assert (today.starts_at, today.ends_at) == (
        datetime(2026, 3, 14, tzinfo=UTC),
        datetime(2026, 3, 15, tzinfo=UTC),
    )
    write(database, NOW)
    with pytest.raises(psycopg.errors.UniqueViolation):
        write(database, NOW)
    with pytest.raises(psycopg.errors.CheckViolation):
        write(database, NOW, "b", -1)
    with pytest.raises(psycopg.errors.CheckViolation, match="no partition"):
        write(database, NOW + DAY)
    assert database.connection.execute(f"SELECT said FROM {TABLE}").fetchone() == {"said": "x"}


def test_days_are_those_of_utc_whatever_the_zone_of_the_connection_and_of_the_moment(
    readings: Partitions, database: Database
) -> None:
    database.connection.execute("SET timezone = 'Pacific/Auckland'")
    readings.ensure(TABLE, NOW.astimezone(), days_ahead=0)
    assert [one.ends_at for one in readings.list(TABLE)] == [
        datetime(2026, 3, 14, tzinfo=UTC), datetime(2026, 3, 15, tzinfo=UTC),
    ]  # fmt: skip
    assert readings.drop_before(TABLE, datetime(2026, 3, 14, tzinfo=UTC)).names == (f"{TABLE}_p20260313",)


def test_many_who_make_the_same_days_at_once_do_not_disturb_each_other(
    readings: Partitions, database_settings: DatabaseSettings
) -> None:
    made: list[str] = []
    failures: list[Exception] = []
    start = threading.Barrier(6)

    def make() -> None:
        try:
            with db.connect(database_settings) as other:
                start.wait()
                for day in range(3):
                    made.extend(other.partitions.ensure(TABLE, NOW + day * DAY))
        except (psycopg.Error, PermanentFailure, DependencyUnavailable) as error:
            failures.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(made) == [f"{TABLE}_p202603{day}" for day in range(13, 19)]


def test_a_day_is_made_while_others_write_and_do_not_stop_writing(
    readings: Partitions, database: Database, database_settings: DatabaseSettings
) -> None:
    readings.ensure(TABLE, NOW)
    with db.connect(database_settings) as other, other.connection.transaction():
        write(other, NOW)
        database.connection.execute("SET lock_timeout = '500ms'")
        assert readings.ensure(TABLE, NOW + DAY) == [f"{TABLE}_p20260317"]


def test_a_table_that_is_not_there_says_to_migrate(readings: Partitions, database: Database) -> None:
    database.connection.execute("CREATE TABLE ordinary (at timestamptz)")
    for table in ("ordinary", "nowhere"):
        with pytest.raises(Misconfigured, match=rf"POSTGRES_DB: .* table {table} .* run `aegis up`"):
            readings.ensure(table, NOW)
    assert readings.list("nowhere") == []
    assert readings.drop_before("nowhere", NOW).names == ()


def test_naive_times_are_refused(readings: Partitions) -> None:
    naive = NOW.replace(tzinfo=None)
    with pytest.raises(ValueError, match="zone"):
        readings.ensure(TABLE, naive)
    with pytest.raises(ValueError, match="zone"):
        readings.drop_before(TABLE, naive)
    with pytest.raises(ValueError, match="0 to 60"):
        readings.ensure(TABLE, NOW, days_ahead=61)


def test_days_that_are_over_are_dropped_and_only_those(readings: Partitions, database: Database) -> None:
    readings.ensure(TABLE, NOW)
    for day in (-1, 0, 1):
        write(database, NOW + day * DAY)
    dropped = readings.drop_before(TABLE, NOW)
    assert (dropped.names, dropped.held) == ((f"{TABLE}_p20260313",), ())
    assert dropped.size_bytes > 0
    assert names(readings) == ["20260314", "20260315", "20260316"]
    left = database.connection.execute(f"SELECT count(*) AS n FROM {TABLE}").fetchone()
    assert left == {"n": 2}
    assert database.connection.execute("SHOW lock_timeout").fetchone() == {"lock_timeout": "10s"}


def test_a_day_that_somebody_still_reads_waits_for_the_next_run_and_nobody_waits_for_it(
    readings: Partitions,
    database: Database,
    database_settings: DatabaseSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aegis_lib.db.partitions._LOCK_SECONDS", 0.2)
    readings.ensure(TABLE, NOW)
    with reading(database_settings):
        dropped = readings.drop_before(TABLE, NOW + DAY)
        assert dropped.names == ()
        assert dropped.held == (f"{TABLE}_p20260313", f"{TABLE}_p20260314")
        database.connection.execute("SET lock_timeout = '100ms'")
        write(database, NOW + DAY)  # writers go on, and so do those who make days
        assert readings.ensure(TABLE, NOW + DAY) == [f"{TABLE}_p20260317"]
    again = readings.drop_before(TABLE, NOW + DAY)
    assert (again.names, again.held) == ((f"{TABLE}_p20260313", f"{TABLE}_p20260314"), ())


def test_what_an_interrupted_run_took_out_is_dropped_by_the_next_one(
    readings: Partitions, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings.ensure(TABLE, NOW)
    tried = Partitions._tried

    def killed_before_the_drop(self: Partitions, name: str, statement: psycopg.sql.Composed) -> bool:
        if "DROP TABLE" in statement.as_string():
            raise KeyboardInterrupt
        return tried(self, name, statement)

    with monkeypatch.context() as patched:
        patched.setattr(Partitions, "_tried", killed_before_the_drop)
        with pytest.raises(KeyboardInterrupt):
            readings.drop_before(TABLE, NOW)
    assert database.connection.execute("SELECT to_regclass(%s) AS t", [f"{TABLE}_p20260313"]).fetchone() != {
        "t": None
    }
    assert readings.drop_before(TABLE, NOW).names == (f"{TABLE}_p20260313",)
    assert database.connection.execute("SELECT to_regclass(%s) AS t", [f"{TABLE}_p20260313"]).fetchone() == {
        "t": None
    }


def test_a_table_that_a_human_took_out_is_left_alone(readings: Partitions, database: Database) -> None:
    readings.ensure(TABLE, NOW)
    database.connection.execute(f"ALTER TABLE {TABLE} DETACH PARTITION {TABLE}_p20260313")
    assert readings.drop_before(TABLE, NOW).names == ()
    assert database.connection.execute("SELECT to_regclass(%s) AS t", [f"{TABLE}_p20260313"]).fetchone() != {
        "t": None
    }


def test_two_who_drop_at_once_share_nothing_and_fail_at_nothing(
    readings: Partitions, database_settings: DatabaseSettings
) -> None:
    readings.ensure(TABLE, NOW)
    with db.connect(database_settings) as other:
        other.connection.execute(
            "SELECT pg_advisory_lock(hashtext('aegis_partitions_drop'), hashtext(%s))", [TABLE]
        )
        assert readings.drop_before(TABLE, NOW).names == ()
        other.connection.execute("SELECT pg_advisory_unlock_all()")
    assert readings.drop_before(TABLE, NOW).names == (f"{TABLE}_p20260313",)


@pytest.mark.parametrize("table", ["site_checks", "host_metrics", "container_metrics"])
def test_our_divided_tables_can_be_divided_so(database: Database, table: str) -> None:
    assert len(database.partitions.ensure(table, NOW)) == 4
    assert database.partitions.drop_before(table, NOW + 9 * DAY).held == ()
    assert database.partitions.list(table) == []
