"""What stands in files about the database is true of the migrated database: schema.sql, and every query."""

from __future__ import annotations

import re
import shutil
from typing import Any

import psycopg
import pytest
from psycopg import sql as statements

from aegis_lib.db import migrate
from aegis_lib.db.database import Database
from aegis_lib.db.sql import QUERIES, named
from aegis_lib.settings import DatabaseSettings
from tests.postgres import PostgresForTests
from tests.write_schema import SCHEMA

AREAS = sorted(path.stem for path in QUERIES.glob("*.sql"))
CATALOGUE = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
            a.attgenerated, pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute a
        JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'v', 'm', 'p')
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY c.relname, a.attnum""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid <> 0 ORDER BY 1, 2""",
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    "sequences": """
        SELECT sequencename, data_type::text, start_value, increment_by FROM pg_sequences
        WHERE schemaname = 'public' ORDER BY 1""",
    "enums": """
        SELECT enumtypid::regtype::text, array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum
        GROUP BY 1 ORDER BY 1""",
    "functions": """
        SELECT p.oid::regprocedure::text, pg_get_functiondef(p.oid) FROM pg_proc p
        LEFT JOIN pg_depend e ON e.objid = p.oid AND e.deptype = 'e'
        WHERE p.pronamespace = 'public'::regnamespace AND e.objid IS NULL AND p.prokind IN ('f', 'p')
        ORDER BY 1""",
    "triggers": """
        SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger
        WHERE NOT tgisinternal ORDER BY 1, 2""",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public' ORDER BY 1",
    "extensions": "SELECT extname FROM pg_extension ORDER BY 1",
}


def describe(settings: DatabaseSettings) -> dict[str, list[tuple[Any, ...]]]:
    with psycopg.connect(**settings.connection()) as connection:
        connection.execute(statements.SQL("SET search_path = public"))
        found = {name: connection.execute(query).fetchall() for name, query in CATALOGUE.items()}
    # the account of the migrations is alembic's, and not part of the schema
    return {n: [row for row in rows if migrate.VERSION_TABLE not in str(row)] for n, rows in found.items()}


def test_schema_sql_is_the_sum_of_the_migrations(
    database_settings: DatabaseSettings, empty_settings: DatabaseSettings
) -> None:
    with psycopg.connect(**empty_settings.connection()) as connection:
        connection.execute(SCHEMA.read_text(encoding="utf-8"))
    migrated = describe(database_settings)
    assert len(migrated["columns"]) > 40
    assert len(migrated["indexes"]) > 10
    assert describe(empty_settings) == migrated, "run `make generate`"


def test_the_schema_command_writes_a_schema_that_can_be_loaded(
    database_settings: DatabaseSettings, empty_settings: DatabaseSettings
) -> None:
    with psycopg.connect(**empty_settings.connection()) as connection:
        connection.execute(migrate.schema(database_settings))
    assert describe(empty_settings) == describe(database_settings)


def test_the_schema_command_without_pg_dump_says_so(
    database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(migrate.PermanentFailure, match="No pg_dump here"):
        migrate.schema(database_settings)


def test_every_migrated_database_is_dropped_after_its_test(postgres: PostgresForTests) -> None:
    made = postgres.create_migrated()
    postgres.drop(made)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(**postgres.settings(made).connection())


def numbered(query: str) -> str:
    """The query with $1, $2 ... for its named parameters, as PREPARE wants it."""
    parameter = re.compile(r"%\((\w+)\)s")
    names = list(dict.fromkeys(parameter.findall(query)))
    return parameter.sub(lambda found: f"${names.index(found[1]) + 1}", query).replace("%%", "%")


def test_there_are_areas_with_queries() -> None:
    assert {"memory", "state", "tasks"} <= set(AREAS)


@pytest.mark.parametrize("area", AREAS)
def test_every_query_is_accepted_by_the_migrated_schema(area: str, database: Database) -> None:
    queries = named(area)
    names = [name for name in queries.available_queries if not name.endswith("_cursor")]
    assert names, f"{area}.sql has no query"
    for name in names:
        prepared = numbered(getattr(queries, name).sql)
        result = database.connection.pgconn.prepare(b"", prepared.encode())
        assert not result.error_message, f"{area}.{name}: {result.error_message.decode()}"


@pytest.mark.parametrize("area", AREAS)
def test_every_query_says_what_it_is_for(area: str) -> None:
    queries = named(area)
    for name in queries.available_queries:
        assert getattr(queries, name).__doc__, f"{area}.{name} has no comment"
