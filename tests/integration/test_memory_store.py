"""What only a real PostgreSQL shows of the event memory: races, locks, indexes, text it cannot hold."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from aegis_lib.db import database
from aegis_lib.db.database import Database
from aegis_lib.memory.model import EMBEDDING_DIMENSIONS, Importance
from aegis_lib.settings import DatabaseSettings

NOON = datetime(2026, 1, 25, 12, tzinfo=UTC)
OLD = NOON - timedelta(days=31)


def plan(db: Database, statement: str) -> str:
    rows = db.connection.execute(f"EXPLAIN {statement}").fetchall()
    return "\n".join(str(row["QUERY PLAN"]) for row in rows)


def test_many_at_once_with_one_key_store_one_event(database_settings: DatabaseSettings) -> None:
    def record(number: int) -> int | None:
        with database.connect(database_settings) as db:
            return db.memory.record("note", f"from {number}", key="the key")

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(record, range(16)))
    assert len(set(ids)) == 1
    with database.connect(database_settings) as db:
        assert len(db.memory.recall_recent()) == 1


def test_text_that_postgresql_cannot_hold_is_stored_with_replacements(database: Database) -> None:
    number = database.memory.record(
        "note",
        "a\0b\udcff",
        {"log": "x\0y", "ratio": float("inf"), "at": NOON, "set": {1}, "lone": "\ud800"},
        tags=["t\0"],
        context={"k\0": 1},
        decision="\0",
        key="k\0",
    )
    [event] = database.memory.recall_recent()
    assert event.id == number
    assert event.summary.startswith("a\ufffdb\ufffd")
    assert event.details["log"] == "x\ufffdy"
    assert (event.details["ratio"], event.details["at"], event.details["set"]) == (
        "inf",
        NOON.isoformat(),
        [1],
    )
    assert (event.tags, event.decision) == (("t\ufffd",), "\ufffd")
    assert database.memory.record("note", "again", key="k\0") == number


def test_the_key_stands_in_the_metadata(database: Database) -> None:
    database.memory.record("note", "with", key="k")
    database.memory.record("note", "without")
    rows = database.connection.execute("SELECT metadata, context FROM episodic_memory ORDER BY id").fetchall()
    assert [(r["metadata"], r["context"]) for r in rows] == [({"aegis_key": "k"}, None), (None, None)]


def test_two_cleanups_share_the_rows_and_do_not_wait_for_each_other(
    database_settings: DatabaseSettings,
) -> None:
    with (
        database.connect(database_settings) as one,
        database.connect(database_settings, lock_timeout_seconds=1) as other,
    ):
        for _ in range(5):
            one.memory.record("old", "x", importance=Importance.LOW, timestamp=OLD)
        with one.transaction():
            assert one.memory.delete_expired(NOON, limit=3).rows == 3
            assert other.memory.delete_expired(NOON, limit=10).rows == 2
        assert other.memory.count_expired(NOON) == 0


def test_an_event_of_unknown_time_or_importance_is_never_forgotten(database: Database) -> None:
    database.connection.execute(
        "INSERT INTO episodic_memory (timestamp, event_type, summary, importance) "
        "VALUES (NULL, 'note', 'when?', 'low'), (%s, 'note', 'what?', NULL)",
        [OLD],
    )
    assert database.memory.count_expired(NOON) == 0
    assert database.memory.delete_expired(NOON, limit=10).rows == 0


def test_each_statement_that_grows_with_the_table_has_its_index(database: Database) -> None:
    database.connection.execute(
        "INSERT INTO episodic_memory (timestamp, event_type, summary, importance, metadata) "
        "SELECT '2026-01-01'::timestamptz + n * interval '1 minute', 'type ' || n % 500, 'x', "
        "(ARRAY['low', 'medium', 'high'])[1 + n % 3]::memory_importance, "
        "jsonb_build_object('aegis_key', n::text) FROM generate_series(1, 20000) n"
    )
    database.connection.execute("ANALYZE episodic_memory")
    assert "episodic_memory_timestamp_idx" in plan(
        database,
        "SELECT * FROM episodic_memory WHERE timestamp IS NOT NULL ORDER BY timestamp DESC, id DESC LIMIT 10",
    )
    assert "episodic_memory_event_type_idx" in plan(
        database,
        "SELECT * FROM episodic_memory WHERE timestamp IS NOT NULL AND event_type = 'type 7' "
        "ORDER BY timestamp DESC, id DESC LIMIT 100",
    )
    assert "episodic_memory_low_idx" in plan(
        database,
        "SELECT id FROM episodic_memory WHERE importance = 'low' AND timestamp < '2026-01-03' "
        "ORDER BY timestamp LIMIT 1000 FOR UPDATE SKIP LOCKED",
    )
    assert "episodic_memory_aegis_key_idx" in plan(
        database, "SELECT id FROM episodic_memory WHERE metadata ->> 'aegis_key' = '77'"
    )


def test_the_nearest_of_many_are_found_through_the_index(database: Database) -> None:
    source = random.Random(7)

    def vector() -> list[float]:
        return [source.gauss(0, 1) for _ in range(EMBEDDING_DIMENSIONS)]

    vectors = [vector() for _ in range(300)]
    with database.connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO episodic_memory (event_type, summary, embedding) VALUES ('note', %s, %s::vector)",
            [(str(number), json.dumps(one)) for number, one in enumerate(vectors)],
        )
    wanted = [a + b * 0.5 for a, b in zip(vectors[42], vector(), strict=True)]
    database.connection.execute("SET enable_seqscan = off")
    literal = json.dumps(wanted)
    assert "episodic_memory_embedding_idx" in plan(
        database, f"SELECT id FROM episodic_memory ORDER BY embedding <=> '{literal}'::vector LIMIT 5"
    )
    found = database.memory.find_similar(wanted, limit=5)
    assert found[0][0].summary == "42"
    assert found[0][1] > 0.8
    assert [similarity for _, similarity in found] == sorted((s for _, s in found), reverse=True)
    assert len(database.memory.find_similar(wanted, limit=200)) == 200


def test_a_stored_vector_without_direction_is_not_found(database: Database) -> None:
    database.connection.execute(
        "INSERT INTO episodic_memory (event_type, summary, embedding) VALUES ('note', 'zero', %s::vector)",
        [json.dumps([0.0] * EMBEDDING_DIMENSIONS)],
    )
    assert database.memory.find_similar([1.0] * EMBEDDING_DIMENSIONS) == []
