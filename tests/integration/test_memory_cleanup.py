"""The cleanup on real PostgreSQL: exactly the right rows, interrupted, and twice at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aegis_lib.db import database as db
from aegis_lib.memory import service
from aegis_lib.memory.model import CleanupReport, MemoryConfig
from aegis_lib.settings import DatabaseSettings
from tests import postgres as servers
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
DAY = timedelta(days=1)

FILL = """
INSERT INTO episodic_memory (timestamp, event_type, summary, details, importance, graphiti_synced_at)
SELECT %(now)s::timestamptz - (n %% 61) * interval '1 day' - n * interval '1 millisecond',
    'note', 'row ' || n,
    '{"n": 1}', (ARRAY['low','medium','high','critical','low'])[1 + n %% 5]::memory_importance,
    CASE WHEN n %% 3 = 0 THEN now() END
FROM generate_series(1, %(rows)s) AS n
"""


def fill(database: db.Database, rows: int) -> None:
    database.connection.execute(FILL, {"now": NOW, "rows": rows})


def rows(database: db.Database, condition: str = "true") -> int:
    row = database.connection.execute(
        f"SELECT count(*) AS n FROM episodic_memory WHERE {condition}", {"limit": NOW - 30 * DAY}
    ).fetchone()
    assert row is not None
    return int(row["n"])


EXPIRED = "importance = 'low' AND timestamp < %(limit)s"


def clean_up(database: db.Database, graph: bool = False, **config: object) -> CleanupReport:
    return service.clean_up(
        database.memory, MemoryConfig(**config), now=NOW, dry_run=False, graph_configured=graph
    )


def test_exactly_the_low_and_old_go(database: db.Database) -> None:
    fill(database, 6000)
    database.connection.execute(
        "INSERT INTO episodic_memory (timestamp, event_type, summary, importance)"
        " VALUES (NULL, 'note', 'of unknown time', 'low'), (%s, 'note', 'of unknown importance', NULL)",
        [NOW - 90 * DAY],
    )
    expired, kept = rows(database, EXPIRED), rows(database, f"({EXPIRED}) IS NOT TRUE")
    assert expired > 1000
    span = database.connection.execute(
        f"SELECT min(timestamp) AS oldest, max(timestamp) AS newest FROM episodic_memory WHERE {EXPIRED}",
        {"limit": NOW - 30 * DAY},
    ).fetchone()
    assert span is not None
    report = clean_up(database)
    assert (report.deleted, report.remaining, report.stopped_early) == (expired, 0, False)
    assert (report.oldest, report.newest) == (span["oldest"], span["newest"])
    assert report.batches > 1
    assert rows(database, EXPIRED) == 0
    assert rows(database) == kept
    assert clean_up(database).deleted == 0


def test_a_dry_run_deletes_nothing(database: db.Database) -> None:
    fill(database, 1000)
    expired, before = rows(database, EXPIRED), rows(database)
    report = service.clean_up(database.memory, MemoryConfig(), now=NOW, dry_run=True)
    assert (report.deleted, report.remaining) == (0, expired)
    assert rows(database) == before


def test_what_the_graph_has_not_read_stays(database: db.Database) -> None:
    fill(database, 3000)
    unsynced = rows(database, f"{EXPIRED} AND graphiti_synced_at IS NULL")
    assert unsynced > 100
    report = clean_up(database, graph=True)
    assert report.deleted > 100
    assert rows(database, EXPIRED) == unsynced


CLEAN_UP_SLOWLY = """
from datetime import datetime
import signal
import sys
from aegis_lib.db import database
from aegis_lib.memory import service
from aegis_lib.memory.model import MemoryConfig
from aegis_lib.settings import DatabaseSettings
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
with database.connect(DatabaseSettings()) as db:
    most, share = int(sys.argv[2]), float(sys.argv[3])
    config = MemoryConfig(least_batch_rows=10, most_batch_rows=most, busy_share=share)
    report = service.clean_up(db.memory, config, now=datetime.fromisoformat(sys.argv[1]), dry_run=False)
    print(report.deleted)
"""


@contextmanager
def cleaning(
    settings: DatabaseSettings, most_batch_rows: int, busy_share: float
) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, **servers.environment_of(settings)}
    process = subprocess.Popen(
        [sys.executable, "-c", CLEAN_UP_SLOWLY, NOW.isoformat(), str(most_batch_rows), str(busy_share)],
        stdout=subprocess.PIPE, env=environment, cwd=ROOT, text=True,
    )  # fmt: skip
    with process:
        yield process


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_a_cleanup_ended_in_the_middle_has_deleted_only_what_it_may_and_the_next_goes_on(
    database: db.Database, database_settings: DatabaseSettings, ending: signal.Signals
) -> None:
    fill(database, 6000)
    expired, kept = rows(database, EXPIRED), rows(database, f"({EXPIRED}) IS NOT TRUE")
    with cleaning(database_settings, most_batch_rows=10, busy_share=0.01) as process:
        wait_until(lambda: rows(database, EXPIRED) < expired, description="the first batch to be gone")
        process.send_signal(ending)
        process.wait(30)
    assert 0 < rows(database, EXPIRED) < expired
    assert rows(database, f"({EXPIRED}) IS NOT TRUE") == kept
    assert clean_up(database).deleted > 0
    assert rows(database) == kept


def test_two_cleanups_at_once_share_the_work_and_count_each_row_once(
    database: db.Database, database_settings: DatabaseSettings
) -> None:
    fill(database, 10_000)
    expired, kept = rows(database, EXPIRED), rows(database, f"({EXPIRED}) IS NOT TRUE")
    with cleaning(database_settings, 50, 0.5) as one, cleaning(database_settings, 50, 0.5) as other:
        counts = [int(process.communicate(timeout=120)[0]) for process in (one, other)]
    assert sum(counts) + clean_up(database).deleted == expired
    assert rows(database) == kept
