"""Migrations: once, in order, all or nothing, on an empty and on an existing database."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from aegis_lib.db import migrate
from aegis_lib.errors import DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.settings import DatabaseSettings
from deployments.embedded_postgres import EmbeddedPostgres
from tests.postgres import PostgresForTests, environment_of, settings_of


def execute(settings: DatabaseSettings, *statements: str) -> None:
    with psycopg.connect(**settings.connection(), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def tables(settings: DatabaseSettings) -> set[str]:
    with psycopg.connect(**settings.connection()) as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        ).fetchall()
    return {row[0] for row in rows}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of migrations of the test's own, in the place of ours."""
    monkeypatch.setattr(migrate, "MIGRATIONS", tmp_path)
    (tmp_path / "0001_first.sql").write_text(
        "CREATE TABLE first (a text DEFAULT '100%:x'); CREATE TABLE other ()"
    )
    return tmp_path


def test_every_file_is_applied_in_order_and_only_once(empty_settings: DatabaseSettings) -> None:
    names = sorted(path.stem for path in Path(migrate.__file__).parent.glob("migrations/*.sql"))
    assert names[0] == "0001_core"
    assert migrate.current(empty_settings) is None
    assert migrate.upgrade(empty_settings) == names
    assert migrate.current(empty_settings) == migrate.head() == names[-1]
    assert migrate.upgrade(empty_settings) == []
    assert {"episodic_memory", "state", "config", "tasks"} <= tables(empty_settings)


def test_the_numbers_of_the_files_have_no_gap() -> None:
    assert [int(name[:4]) for name in migrate.available()] == list(range(1, len(migrate.available()) + 1))


def test_a_new_area_only_drops_in_a_file(files: Path, empty_settings: DatabaseSettings) -> None:
    assert migrate.upgrade(empty_settings) == ["0001_first"]
    (files / "0002_second.sql").write_text("CREATE TABLE second ();")
    (files / "0003_third.sql").write_text("ALTER TABLE second ADD COLUMN b text;")
    assert migrate.upgrade(empty_settings) == ["0002_second", "0003_third"]
    assert migrate.current(empty_settings) == migrate.head() == "0003_third"
    assert {"first", "other", "second"} <= tables(empty_settings)


def test_a_file_that_fails_leaves_what_came_before_and_nothing_of_itself(
    files: Path, empty_settings: DatabaseSettings
) -> None:
    (files / "0002_bad.sql").write_text("CREATE TABLE half (); SELECT 1 / 0;")
    with pytest.raises(PermanentFailure, match="division by zero"):
        migrate.upgrade(empty_settings)
    assert migrate.current(empty_settings) == "0001_first"
    assert "half" not in tables(empty_settings)
    (files / "0002_bad.sql").write_text("CREATE TABLE half ();")
    assert migrate.upgrade(empty_settings) == ["0002_bad"]


@pytest.mark.parametrize("name", ["0001_again.sql", "second.sql", "0002-second.sql"])
def test_a_file_without_a_number_of_its_own_is_refused(files: Path, name: str) -> None:
    (files / name).write_text("")
    with pytest.raises(PermanentFailure, match=r"not a name of its own number\. Fix: call it NNNN_name.sql"):
        migrate.available()


def test_a_folder_without_migrations_is_refused(files: Path) -> None:
    (files / "0001_first.sql").unlink()
    with pytest.raises(PermanentFailure, match="No migration in"):
        migrate.head()


def test_three_at_once_apply_everything_once(empty_settings: DatabaseSettings) -> None:
    command = [sys.executable, "-m", "aegis_lib.db.migrate", "upgrade"]
    processes = [
        subprocess.Popen(
            command,
            env=environment_of(empty_settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    answers = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], answers
    everything = "".join(f"{name}\n" for name in migrate.available())
    assert sorted(out for out, _ in answers) == sorted([everything, "nothing to do\n", "nothing to do\n"])


def test_a_database_newer_than_the_program_is_refused_with_both_versions(
    database_settings: DatabaseSettings,
) -> None:
    execute(database_settings, "UPDATE aegis_alembic_version SET version_num = '9001_future'")
    with pytest.raises(
        PermanentFailure, match=rf"at migration 9001_future.*up to {migrate.head()}. Fix: install"
    ):
        migrate.upgrade(database_settings)
    assert migrate.current(database_settings) == "9001_future"


def test_a_table_locked_by_others_is_a_transient_failure(
    files: Path, empty_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "_LOCK_SECONDS", 1)
    migrate.upgrade(empty_settings)
    (files / "0002_more.sql").write_text("ALTER TABLE first ADD COLUMN b text;")
    with psycopg.connect(**empty_settings.connection()) as reader:
        reader.execute("SELECT * FROM first")
        with pytest.raises(DependencyUnavailable, match="locked by somebody else"):
            migrate.upgrade(empty_settings)
    assert migrate.upgrade(empty_settings) == ["0002_more"]


def test_a_server_without_pgvector_says_what_to_install(fragile: EmbeddedPostgres) -> None:
    fragile.ensure_database("bare")
    settings = settings_of(fragile, name="bare")
    execute(settings, "ALTER DATABASE bare SET extension_control_path = '/nowhere'")
    with pytest.raises(PermanentFailure, match=r"apt-get install postgresql-18-pgvector"):
        migrate.upgrade(settings)
    assert tables(settings) == set()


def test_a_user_who_may_not_create_the_extension_says_who_must(
    postgres: PostgresForTests, empty_settings: DatabaseSettings
) -> None:
    owner = f"{empty_settings.name}_owner"
    role, name = sql.Identifier(owner), sql.Identifier(empty_settings.name)
    postgres.administer(
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'owns'").format(role),
        sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, role),
    )
    try:
        settings = postgres.settings(empty_settings.name, user=owner, password="owns")
        with pytest.raises(Misconfigured, match="CREATE EXTENSION vector") as caught:
            migrate.upgrade(settings)
        assert caught.value.setting == "POSTGRES_USER"
        assert tables(empty_settings) == set()
        execute(empty_settings, "CREATE EXTENSION vector")
        assert migrate.upgrade(settings) == migrate.available()
    finally:
        execute(
            empty_settings,
            f'REASSIGN OWNED BY "{owner}" TO current_user',
            f'DROP OWNED BY "{owner}"',
        )
        postgres.administer(
            sql.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(name),
            sql.SQL("DROP ROLE {}").format(role),
        )


def test_the_command_tells_where_it_is_and_what_is_wrong(
    empty_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment_of(empty_settings).items():
        monkeypatch.setenv(name, value)
    assert migrate.main(["current"]) == 0
    assert capsys.readouterr().out == "empty\n"
    assert migrate.main(["upgrade"]) == 0
    assert capsys.readouterr().out.split() == migrate.available()
    assert migrate.main(["sideways"]) == 2
    assert "upgrade | current | schema" in capsys.readouterr().err
    monkeypatch.setenv("POSTGRES_DB", "no_such_database")
    assert migrate.main(["current"]) == 1
    assert capsys.readouterr().err.startswith("POSTGRES_DB: ")
