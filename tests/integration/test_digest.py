"""Digests on real PostgreSQL: windows, arrivals, crashes between two steps, two writers at once."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from aegis_lib.adapters.journal import FileJournal
from aegis_lib.alerts.model import Message, Receipt
from aegis_lib.db import database as db
from aegis_lib.digest import service
from aegis_lib.digest.model import DigestConfig, EveningReport, EventCounts, Window
from aegis_lib.outcome import Outcome
from aegis_lib.settings import DatabaseSettings
from tests import postgres as servers
from tests.fakes.alerts import FakeNotifier
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
# Later than any row's `created_at`, so that an event arrives when it happens.
TEN_PM = datetime(2096, 1, 25, 22, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def evening(database: db.Database, journal: Path, now: datetime, notifier: FakeNotifier) -> EveningReport:
    return service.evening_summary(
        database.digests, database.tasks, database.memory, FileJournal(journal), notifier,
        now=now, config=DigestConfig(),
    )  # fmt: skip


def test_windows_are_contiguous_across_late_evenings_and_a_missed_day(
    database: db.Database, tmp_path: Path
) -> None:
    notifier = FakeNotifier()
    moments = [TEN_PM - HOUR, TEN_PM + HOUR, TEN_PM + 2 * HOUR, TEN_PM + DAY + HOUR, TEN_PM + 2 * DAY]
    for number, at in enumerate(moments):
        database.memory.record("decision", f"event {number}", timestamp=at)
    for now in (TEN_PM, TEN_PM + 3 * DAY):  # two evenings in between were missed
        evening(database, tmp_path, now, notifier)
    evening(database, tmp_path, TEN_PM + 4 * DAY, notifier)
    rows = database.connection.execute("SELECT window_start, window_end FROM digests ORDER BY 1").fetchall()
    assert [(row["window_start"], row["window_end"]) for row in rows] == [
        (TEN_PM - DAY, TEN_PM), (TEN_PM, TEN_PM + 3 * DAY), (TEN_PM + 3 * DAY, TEN_PM + 4 * DAY),
    ]  # fmt: skip
    pages = "".join(path.read_text() for path in sorted(tmp_path.glob("*.md")))
    assert [pages.count(f"event {number}") for number in range(len(moments))] == [1] * len(moments)


def test_an_event_that_waited_for_the_database_is_in_the_digest_after_it_was_stored(
    database: db.Database,
) -> None:
    stored = datetime.now(UTC)
    happened = stored - 2 * DAY
    database.memory.record("note", "spooled", timestamp=happened)
    earlier = Window(start=happened - HOUR, end=happened + HOUR)
    now = Window(start=stored - HOUR, end=stored + HOUR)
    assert database.digests.arrivals(earlier, 10).events.total == 0
    assert database.digests.arrivals(now, 10).events.total == 1
    assert database.digests.events_between(earlier) == EventCounts(total=1, critical=0, others=1)


def test_rows_of_an_adopted_table_without_times_or_decision_harm_nothing(database: db.Database) -> None:
    database.connection.execute(
        "INSERT INTO episodic_memory (event_type, summary, timestamp, created_at, importance)"
        " VALUES ('job_error', 'no time at all', NULL, NULL, NULL),"
        " ('job_error', 'only stored', NULL, %s, NULL)",
        [TEN_PM - HOUR],
    )
    found = database.digests.arrivals(Window(start=TEN_PM - DAY, end=TEN_PM), 10)
    assert found.events == EventCounts(total=1, critical=0, others=1)
    assert [line.summary for line in found.errors.shown] == ["only stored"]


class Died(BaseException):
    """The process ended here."""


@pytest.mark.parametrize("step", ["journal", "record", "before_post", "after_post", "finish"])
def test_a_run_that_dies_at_any_step_is_finished_by_the_next_and_posts_at_most_once(
    database: db.Database, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.memory.record("decision", "the one event", timestamp=TEN_PM - HOUR)

    class DyingNotifier(FakeNotifier):
        def send(self, message: Message) -> tuple[Receipt, ...]:
            if step == "before_post":
                raise Died
            receipts = super().send(message)
            if step == "after_post":
                raise Died
            return receipts

    def die(*_: object, **__: object) -> None:
        raise Died

    notifier = DyingNotifier()
    deadly = {
        "journal": (FileJournal, "write"),
        "record": (type(database.memory), "record"),
        "finish": (type(database.digests), "finish"),
    }
    with monkeypatch.context() as patch:
        if step in deadly:
            patch.setattr(*deadly[step], die)
        with pytest.raises(Died):
            evening(database, tmp_path, TEN_PM, notifier)
    again = FakeNotifier()
    evening(database, tmp_path, TEN_PM + timedelta(minutes=5), again)
    posted = len(notifier.sent) + len(again.sent)
    assert posted == (0 if step == "before_post" else 1)
    [page] = tmp_path.glob("*.md")
    assert page.read_text().count("the one event") == 1
    assert len(database.memory.recall_recent(event_type="evening_summary")) == 1
    rows = database.connection.execute("SELECT window_start, window_end, finished_at FROM digests").fetchall()
    assert [(row["window_start"], row["window_end"]) for row in rows] == [(TEN_PM - DAY, TEN_PM)]
    assert rows[0]["finished_at"] is not None


def test_two_writers_at_once_are_one(
    database: db.Database, database_settings: DatabaseSettings, tmp_path: Path
) -> None:
    database.memory.record("note", "x", timestamp=TEN_PM - HOUR)
    notifier = FakeNotifier()
    with db.connect(database_settings) as other, other.digests.exclusive() as held:
        assert held
        report = evening(database, tmp_path, TEN_PM, notifier)
        assert "Another run" in report.summary
    assert evening(database, tmp_path, TEN_PM, notifier).posted == 1
    assert len(notifier.sent) == 1


def test_a_writer_that_dies_does_not_keep_the_lock(
    database: db.Database, database_settings: DatabaseSettings, tmp_path: Path
) -> None:
    database.memory.record("note", "x", timestamp=TEN_PM - HOUR)
    with db.connect(database_settings) as other, other.digests.exclusive() as held:
        assert held
        with pytest.raises(psycopg.OperationalError):
            other.connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert evening(database, tmp_path, TEN_PM, FakeNotifier()).outcome is Outcome.COMPLETED


WRITE_IN_A_ZONE = """
import sys
from datetime import datetime
from pathlib import Path
from pydantic import SecretStr
from aegis_lib.adapters.journal import FileJournal
from aegis_lib.db import database
from aegis_lib.digest import service
from aegis_lib.digest.model import DigestConfig
from aegis_lib.settings import DatabaseSettings
from tests.fakes.alerts import FakeNotifier
import time
assert time.tzname[0] != "UTC"
with database.connect(DatabaseSettings()) as db:
    now = datetime.fromisoformat(sys.argv[2]).astimezone()  # the host's own zone
    report = service.evening_summary(db.digests, db.tasks, db.memory, FileJournal(Path(sys.argv[1])),
        FakeNotifier(), now=now, config=DigestConfig())
    print(service.morning_status(db.digests, db.tasks, db.memory, now=now, config=DigestConfig()).markdown)
print(report.journal[0])
"""


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles"])
def test_dates_are_utc_whatever_zone_host_and_server_are_in(
    database: db.Database, database_settings: DatabaseSettings, tmp_path: Path, zone: str
) -> None:
    name = database_settings.name
    database.connection.execute(f"ALTER DATABASE {name} SET timezone = '{zone}'")
    database.memory.record("decision", "midnight is elsewhere", timestamp=TEN_PM - HOUR)
    database.memory.record("note", "the evening before", timestamp=TEN_PM - DAY)
    done = subprocess.run(
        [sys.executable, "-c", WRITE_IN_A_ZONE, str(tmp_path), TEN_PM.isoformat()],
        capture_output=True, text=True, check=False, cwd=ROOT,
        env={**os.environ, "TZ": zone, **servers.environment_of(database_settings), "POSTGRES_DB": name},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(tmp_path / "2096-01-25.md")
    page = (tmp_path / "2096-01-25.md").read_text()
    assert "From 2096-01-24T22:00:00Z to 2096-01-25T22:00:00Z (24 h)." in page
    assert "2096-01-25 21:00 decision: midnight is elsewhere" in page
    assert "## Morning status 2096-01-25" in done.stdout
    assert "Yesterday (2096-01-24, UTC)" in done.stdout


def test_two_claims_of_one_window_are_one(database: db.Database, database_settings: DatabaseSettings) -> None:
    """Even where nobody holds the writers' lock."""
    with db.connect(database_settings) as other, ThreadPoolExecutor(1) as pool:
        with database.transaction():
            assert database.digests.claim(TEN_PM, TEN_PM - DAY) is not None
            second = pool.submit(other.digests.claim, TEN_PM, TEN_PM - DAY)
            wait_until(
                lambda: (
                    database.connection.execute(
                        "SELECT 1 FROM pg_stat_activity"
                        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                    ).fetchone()
                    is not None
                ),
                description="the second claim to wait for the first",
            )
        assert second.result(timeout=30) is None
