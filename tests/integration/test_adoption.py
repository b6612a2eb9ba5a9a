"""An existing Aegis database is adopted: its documented tables, with rows, under names of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from aegis_lib.db import database, migrate
from aegis_lib.errors import Misconfigured
from aegis_lib.memory.model import Importance
from aegis_lib.settings import DatabaseSettings

EXISTING = """
CREATE EXTENSION vector;
CREATE TYPE memory_importance AS ENUM ('low', 'medium', 'high', 'critical');
CREATE TABLE episodic_memory (
    id serial PRIMARY KEY,
    timestamp timestamptz DEFAULT now(),
    event_type varchar(100) NOT NULL,
    summary text NOT NULL,
    details jsonb,
    context jsonb,
    importance memory_importance DEFAULT 'medium',
    embedding vector(1536),
    tags text[],
    related_memories integer[],
    created_at timestamptz DEFAULT now(),
    decision text,
    metadata jsonb,
    graphiti_synced_at timestamptz
);
CREATE INDEX em_embedding ON episodic_memory USING hnsw (embedding vector_cosine_ops) WITH (m = 8);
CREATE INDEX em_time ON episodic_memory USING btree (timestamp DESC);
CREATE INDEX em_type ON episodic_memory USING btree (event_type);
CREATE INDEX em_importance ON episodic_memory USING btree (importance);
CREATE INDEX em_tags ON episodic_memory USING gin (tags);
CREATE TABLE state (key {key}, value {value}, updated_at timestamptz DEFAULT now());
CREATE TABLE config (key text PRIMARY KEY, value {value});
CREATE TABLE discord_tasks (
    id serial PRIMARY KEY,
    message_id varchar(64) UNIQUE NOT NULL,
    content text NOT NULL,
    author_id varchar(64) NOT NULL,
    author_name varchar(128) NOT NULL,
    status varchar(32) DEFAULT 'pending',
    result text,
    created_at timestamptz DEFAULT now(),
    completed_at timestamptz
);
CREATE TABLE email_cache (
    id serial PRIMARY KEY,
    message_id text UNIQUE NOT NULL,
    thread_id text,
    from_email text,
    from_name text,
    subject text,
    snippet text,
    body_text text,
    body_html text,
    received_at timestamptz,
    is_read boolean DEFAULT false,
    labels text[],
    category text,
    priority integer,
    metadata jsonb DEFAULT '{{}}',
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);
INSERT INTO episodic_memory (timestamp, event_type, summary, details, importance, tags, metadata) VALUES
    ('2026-01-01T00:00:00Z', 'decision', 'Chose a database', '{{"options": 3}}', 'high', '{{db,choice}}',
        '{{"a": 1}}'),
    ('2026-01-02T00:00:00Z', 'task_complete', 'Moved house', '[1, 2]', NULL, '{{x,NULL}}', NULL),
    (NULL, 'note', 'Of unknown time', NULL, 'low', NULL, '{{}}');
INSERT INTO config VALUES ('theme', {sample});
INSERT INTO state VALUES ('db_healthy', {sample}, '2026-01-01T00:00:00Z');
INSERT INTO discord_tasks (message_id, content, author_id, author_name) VALUES ('1', 'c', '2', 'n');
INSERT INTO email_cache (message_id, subject) VALUES ('m', 's');
"""
TABLES = ("episodic_memory", "state", "config", "discord_tasks", "email_cache")


@pytest.fixture(params=["text", "jsonb", "json"])
def existing(request: pytest.FixtureRequest, empty_settings: DatabaseSettings) -> DatabaseSettings:
    run(
        empty_settings,
        EXISTING.format(key="varchar(255) PRIMARY KEY", value=request.param, sample="'true'"),
    )
    return empty_settings


def run(settings: DatabaseSettings, statements: str) -> None:
    with psycopg.connect(**settings.connection(), autocommit=True) as connection:
        connection.execute(statements)


def read(settings: DatabaseSettings, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(**settings.connection()) as connection:
        return connection.execute(query).fetchall()


def columns(settings: DatabaseSettings) -> list[tuple[Any, ...]]:
    return read(
        settings,
        "SELECT attrelid::regclass::text, attnum, attname, format_type(atttypid, atttypmod), attnotnull "
        "FROM pg_attribute "
        f"WHERE attrelid = ANY ('{{{','.join(TABLES)}}}'::regclass[]) AND attnum > 0 ORDER BY 1, 2",
    )


def rows(settings: DatabaseSettings) -> dict[str, list[tuple[Any, ...]]]:
    # xmin too: a row that was rewritten with the same values would show
    return {t: read(settings, f"SELECT xmin::text, ctid::text, * FROM {t} ORDER BY 2") for t in TABLES}


def indexes(settings: DatabaseSettings, table: str) -> set[str]:
    return {row[0] for row in read(settings, f"SELECT indexname FROM pg_indexes WHERE tablename = '{table}'")}


def test_no_row_and_no_column_changes(existing: DatabaseSettings) -> None:
    columns_before, rows_before = columns(existing), rows(existing)
    assert len(columns_before) > 40
    assert all(rows_before.values())
    assert migrate.upgrade(existing) == migrate.available()
    assert (columns(existing), rows(existing)) == (columns_before, rows_before)
    assert migrate.upgrade(existing) == []
    assert (columns(existing), rows(existing)) == (columns_before, rows_before)


def test_indexes_that_do_the_same_under_another_name_are_not_made_again(existing: DatabaseSettings) -> None:
    before = indexes(existing, "episodic_memory")
    migrate.upgrade(existing)
    assert indexes(existing, "episodic_memory") - before == {
        "episodic_memory_aegis_key_idx",
        "episodic_memory_low_idx",
    }
    assert indexes(existing, "state") == {"state_pkey"}


def test_the_stores_work_on_what_was_adopted(existing: DatabaseSettings) -> None:
    migrate.upgrade(existing)
    with database.connect(existing) as db:
        found = db.memory.recall_recent()
        assert [(e.summary, e.details, e.importance, e.tags) for e in found] == [
            ("Moved house", {"value": [1, 2]}, Importance.MEDIUM, ("x",)),
            ("Chose a database", {"options": 3}, Importance.HIGH, ("db", "choice")),
        ]
        assert db.memory.count_expired(datetime(2030, 1, 1, tzinfo=UTC)) == 0
        assert db.memory.record("note", "new", key="k") == db.memory.record("note", "new", key="k") == 4
        assert db.state.get("db_healthy") == "true"
        for value in ("false", "2026-01-25T06:00:00Z", "12", '{"a": 1}', "null", '"', ""):
            db.state.set("db_healthy", value)
            assert db.state.get("db_healthy") == value
        assert db.state.get("absent") is None


def test_a_json_state_holds_true_and_false_as_json(empty_settings: DatabaseSettings) -> None:
    run(empty_settings, EXISTING.format(key="text PRIMARY KEY", value="jsonb", sample="'true'"))
    migrate.upgrade(empty_settings)
    with database.connect(empty_settings) as db:
        db.state.set("db_healthy", "false")
    assert read(empty_settings, "SELECT value, updated_at > now() - interval '1 hour' FROM state") == [
        (False, True)
    ]


def test_a_state_without_a_key_constraint_gets_one(empty_settings: DatabaseSettings) -> None:
    run(empty_settings, EXISTING.format(key="text", value="text", sample="'true'"))
    migrate.upgrade(empty_settings)
    assert indexes(empty_settings, "state") == {"state_key_idx"}
    with database.connect(empty_settings) as db:
        db.state.set("db_healthy", "false")
        assert db.state.get("db_healthy") == "false"


def test_a_state_with_doubled_keys_is_refused_untouched(empty_settings: DatabaseSettings) -> None:
    run(empty_settings, EXISTING.format(key="text", value="text", sample="'true'"))
    run(empty_settings, "INSERT INTO state (key) VALUES ('db_healthy')")
    before = rows(empty_settings)
    with pytest.raises(Misconfigured, match=r"rows already there are not unique\. Nothing was changed"):
        migrate.upgrade(empty_settings)
    assert rows(empty_settings) == before
    assert read(empty_settings, "SELECT to_regclass('tasks')") == [(None,)]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "CREATE TABLE tasks (id serial PRIMARY KEY, name text, status text)",
            "the table tasks is already there and lacks: title, details, priority, source, source_key, "
            "created_at, started_at, completed_at, due_at. Nothing was changed. Fix: rename that table",
        ),
        (
            "CREATE TABLE episodic_memory (id serial, timestamp timestamptz, event_type text, summary text)",
            "the table episodic_memory is already there and lacks: details, context, importance",
        ),
        (
            "CREATE TABLE state (id text, value text)",
            "the table state is already there and lacks: key, updated_at",
        ),
    ],
)
def test_a_table_that_is_not_the_one_we_mean_is_refused_and_nothing_is_applied(
    empty_settings: DatabaseSettings, statement: str, message: str
) -> None:
    run(empty_settings, statement)
    everything = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
    before = read(empty_settings, everything)
    with pytest.raises(Misconfigured) as caught:
        migrate.upgrade(empty_settings)
    assert message in str(caught.value)
    assert caught.value.setting == "POSTGRES_DB"
    assert read(empty_settings, everything) == before
    assert read(empty_settings, "SELECT count(*) FROM pg_extension WHERE extname = 'vector'") == [(0,)]
    assert migrate.current(empty_settings) is None
