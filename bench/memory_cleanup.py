"""How fast old memories go, and what a concurrent reader feels: our batches against one plain DELETE.

    python bench/memory_cleanup.py [--rows 1000000]

Starts an embedded PostgreSQL of its own in a temporary directory, or makes two temporary databases on the
server of POSTGRES_HOST. Fills a table of `--rows` events of realistic width, of which 60 % may be deleted,
and copies it, so that both ways start from the same bytes. A reader in a process of its own asks what the
product asks (the newest events, those of one type, one by its id) and notes every answer time: idle, then
during the deletion. Prints a table and, as the last line, one JSON object. Takes about two minutes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql

from aegis_lib import clock
from aegis_lib.db import database, migrate
from aegis_lib.memory import policy, service
from aegis_lib.memory.model import MemoryConfig
from aegis_lib.settings import DatabaseSettings
from deployments.embedded_postgres import EmbeddedPostgres

IDLE_SECONDS = 20.0
READS_PER_SECOND = 100
LIMIT_SECONDS = 900.0
"""Nothing here may take longer; the reader and the plain DELETE are stopped then."""

EVENT_TYPES = (
    "task_complete",
    "docker_health_check",
    "email_triaged",
    "site_checked",
    "decision",
    "job_error",
)

FILL = """
INSERT INTO episodic_memory
    (timestamp, created_at, event_type, summary, details, context, importance, tags, metadata)
SELECT
    happened, happened,
    (ARRAY['task_complete','docker_health_check','email_triaged',
        'site_checked','decision','job_error'])[1 + n % 6],
    'Checked ' || (n % 40) || ' items of queue ' || (n % 97) ||
        ' and found nothing that needs a human; run ' || n,
    jsonb_build_object('run', md5(n::text), 'duration_ms', n % 9000, 'host', 'node-' || (n % 12),
        'items', jsonb_build_array(n % 7, n % 11, n % 13), 'note', repeat(md5((n * 7)::text), 3)),
    jsonb_build_object('session', md5((n / 50)::text), 'model', 'none'),
    (CASE WHEN n % 10 < 6 THEN 'low' WHEN n % 10 < 9 THEN 'medium' ELSE 'high' END)::memory_importance,
    ARRAY['area-' || (n % 9), 'host-' || (n % 12)],
    NULL
FROM (
    SELECT n, now() - interval '31 days' - ({rows} - n) * interval '20 seconds' AS happened
    FROM generate_series(1, {rows}) AS n
) AS old
"""
EMBED = """
UPDATE episodic_memory SET embedding = vector.value
FROM (
    SELECT id, (
        SELECT array_agg(sin(id * 0.37 + i * 0.11))::vector FROM generate_series(1, 1536) AS i
    ) AS value
    FROM episodic_memory WHERE id % 2000 = 0
) AS vector
WHERE episodic_memory.id = vector.id
"""


@dataclass
class Felt:
    """Answer times of the reader in milliseconds."""

    milliseconds: list[float]

    def p(self, percent: int) -> float:
        return statistics.quantiles(self.milliseconds, n=100)[percent - 1]


def read(settings: DatabaseSettings, ids: int, control: Connection) -> None:
    """The reader: asks at a steady rate until told to stop, then sends its answer times."""
    chance = random.Random(7)
    times: list[float] = []
    began = time.monotonic()
    with database.connect(settings) as db:
        db.memory.recall_recent(10)
        control.send("ready")
        due = time.monotonic()
        while not control.poll() and time.monotonic() - began < LIMIT_SECONDS:
            time.sleep(max(0.0, due - time.monotonic()))
            due = max(due, time.monotonic()) + 1 / READS_PER_SECOND
            asked = time.perf_counter()
            match chance.randrange(3):
                case 0:
                    db.memory.recall_recent(10)
                case 1:
                    db.memory.recall_recent(10, chance.choice(EVENT_TYPES))
                case _:
                    db.connection.execute(
                        "SELECT summary, details FROM episodic_memory WHERE id = %s", [chance.randint(1, ids)]
                    ).fetchone()
            times.append((time.perf_counter() - asked) * 1000)
    control.send(times)


@contextmanager
def reader(settings: DatabaseSettings, ids: int) -> Iterator[Callable[[], Felt]]:
    """A reader at work; call what is yielded to stop it and see what it felt."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=read, args=(settings, ids, theirs), daemon=True)
    process.start()
    if not ours.poll(60):
        raise SystemExit("the reader did not start")
    ours.recv()

    def stop() -> Felt:
        ours.send("stop")
        return Felt(ours.recv())

    try:
        yield stop
    finally:
        process.join(5)
        process.kill()


def idle(settings: DatabaseSettings, ids: int) -> Felt:
    with reader(settings, ids) as stop:
        time.sleep(IDLE_SECONDS)
        return stop()


def ours(settings: DatabaseSettings, config: MemoryConfig) -> tuple[int, float]:
    """Rows deleted by the product and the seconds it took."""
    with database.connect(settings) as db:
        report = service.clean_up(db.memory, config, now=clock.utcnow(), dry_run=False)
    print(f"  {report.summary} {report.batches} batches.")
    return report.deleted, report.seconds


def plain(settings: DatabaseSettings, config: MemoryConfig) -> tuple[int, float]:
    """The same rows by one statement."""
    with psycopg.connect(**settings.connection(), autocommit=True) as connection:  # type: ignore[arg-type]
        connection.execute(f"SET statement_timeout = '{LIMIT_SECONDS:.0f}s'")
        began = time.monotonic()
        gone = connection.execute(
            "DELETE FROM episodic_memory WHERE importance = 'low' AND timestamp < %s",
            [policy.age_limit(clock.utcnow(), config)],
        ).rowcount
        return gone, time.monotonic() - began


def fill(settings: DatabaseSettings, rows: int) -> None:
    migrate.upgrade(settings)
    with psycopg.connect(**settings.connection(), autocommit=True) as connection:  # type: ignore[arg-type]
        connection.execute("SET maintenance_work_mem = '256MB'")
        gin = connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'episodic_memory'"
            " AND (indexdef LIKE '% USING gin %' OR indexdef LIKE '% USING hnsw %')"
        ).fetchall()
        for name, _ in gin:  # filled first, indexed after: minutes less
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
        connection.execute(sql.SQL(FILL).format(rows=sql.Literal(rows)))
        connection.execute(EMBED)
        for _, definition in gin:
            connection.execute(definition)
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


@contextmanager
def server() -> Iterator[Callable[[str], DatabaseSettings]]:
    """A function from database names to settings, on the server given or one of our own."""
    given = DatabaseSettings()
    if not given.embedded:
        yield lambda name: given.model_copy(update={"name": name})
        return
    directory = Path(tempfile.mkdtemp(prefix="aegis-bench-", dir="/var/tmp"))
    directory.chmod(0o755)
    embedded = EmbeddedPostgres(directory)
    try:
        embedded.start()
        access = embedded.connection("postgres")
        yield lambda name: DatabaseSettings(
            host=access["host"],
            port=access["port"],
            user=access["user"],
            password=access["password"],
            name=name,
        )
    finally:
        embedded.stop()
        shutil.rmtree(directory, ignore_errors=True)


def measure(
    settings: DatabaseSettings,
    rows: int,
    delete: Callable[[DatabaseSettings, MemoryConfig], tuple[int, float]],
) -> tuple[int, float, Felt, Felt]:
    """Rows, seconds, and what the reader felt idle and during the deletion."""
    quiet = idle(settings, rows)
    with reader(settings, rows) as stop:
        gone, seconds = delete(settings, MemoryConfig())
        busy = stop()
    if len(busy.milliseconds) < 100:
        print(f"  only {len(busy.milliseconds)} reads during the deletion: take more rows", file=sys.stderr)
    return gone, seconds, quiet, busy


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    rows = arguments.parse_args().rows
    names = [f"aegis_bench_{uuid4().hex[:8]}" for _ in range(2)]
    with server() as at:
        admin = at("postgres").connection()
        with psycopg.connect(**admin, autocommit=True) as connection:  # type: ignore[arg-type]
            try:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(names[0])))
                began = time.monotonic()
                fill(at(names[0]), rows)
                connection.execute(
                    sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*map(sql.Identifier, reversed(names)))
                )
                print(f"{rows} rows filled and copied in {time.monotonic() - began:.0f} s")
                results = [
                    ("batches", *measure(at(names[0]), rows, ours)),
                    ("one DELETE", *measure(at(names[1]), rows, plain)),
                ]
            finally:
                for name in names:
                    connection.execute(
                        sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
                    )
    print(f"\n{'':12}{'rows':>9}{'s':>8}{'rows/s':>9}{'p50 idle':>10}{'p50 busy':>10}{'p99 idle':>10}"
          f"{'p99 busy':>10}{'p99 ratio':>11}{'max busy':>10}")  # fmt: skip
    for name, gone, seconds, quiet, busy in results:
        print(f"{name:12}{gone:>9}{seconds:>8.1f}{gone / seconds:>9.0f}{quiet.p(50):>10.2f}"
              f"{busy.p(50):>10.2f}{quiet.p(99):>10.2f}{busy.p(99):>10.2f}{busy.p(99) / quiet.p(99):>11.2f}"
              f"{max(busy.milliseconds):>10.1f}")  # fmt: skip
    (_, gone, seconds, quiet, busy), (_, plain_gone, plain_seconds, plain_quiet, plain_busy) = results
    print(
        json.dumps(
            {
                "rows_deleted": gone,
                "rows_per_second": round(gone / seconds),
                "reader_p99_ratio": round(busy.p(99) / quiet.p(99), 2),
                "plain_delete_rows": plain_gone,
                "plain_delete_rows_per_second": round(plain_gone / plain_seconds),
                "plain_delete_reader_p99_ratio": round(plain_busy.p(99) / plain_quiet.p(99), 2),
            }
        )
    )


if __name__ == "__main__":
    main()
