"""The outbox on a real PostgreSQL: two dispatchers at once, a killed one, and a database that is away."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aegis_lib import clock
from aegis_lib.alerts import service
from aegis_lib.alerts.model import (
    AlertsConfig,
    Attempt,
    Message,
    NoticeKind,
    Phase,
    Problem,
    Recovered,
    Severity,
)
from aegis_lib.containers.model import Listed
from aegis_lib.db import database as db
from aegis_lib.db.alerts import Outbox
from aegis_lib.db.database import Database
from aegis_lib.db.spool import FlushReport, Spool
from aegis_lib.db.spooled_alerts import OutboxNotifier
from aegis_lib.db.spooled_memory import flush_into
from aegis_lib.errors import DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.settings import DatabaseSettings
from deployments.cli import exit_codes
from deployments.cli.app import run
from tests.fakes.alerts import FakeChannel, FakeHistory, FakeNotifier
from tests.postgres import environment_of

NOW = datetime(2026, 1, 25, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
REFUSED = Attempt(delivered=False, problem="no such room")


def problem(key: str = "disk", **fields: Any) -> Problem:
    return Problem(**{"key": key, "occurrence": key, "title": f"{key} is full", "seen_at": NOW, **fields})


def dispatch(outbox: Outbox, channels: list[FakeChannel], now: datetime = NOW) -> service.DispatchReport:
    return service.dispatch(outbox, FakeHistory(), channels, AlertsConfig(), now)


def test_two_dispatchers_at_once_send_everything_once(database_settings: DatabaseSettings) -> None:
    together = threading.Barrier(2)
    channels = [FakeChannel(name) for name in ("discord", "telegram")]
    with db.connect(database_settings) as opened:
        for number in range(20):
            opened.alerts.raise_problem(problem(str(number)))

    def one(_: int) -> service.DispatchReport:
        with db.connect(database_settings) as opened:
            together.wait(10)
            return dispatch(opened.alerts, channels)

    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(one, range(2)))
    for channel in channels:
        assert sorted(channel.titles) == sorted(f"{number} is full" for number in range(20))
    assert sum(report.delivered for report in reports) == 40
    assert sum(len(report.told) for report in reports) == 20
    with db.connect(database_settings) as opened:
        assert {alert.state.value for alert in opened.alerts.newest()} == {"sent"}


def test_the_same_sighting_raised_by_many_at_once_is_counted_once(
    database_settings: DatabaseSettings,
) -> None:
    together = threading.Barrier(4)

    def one(number: int) -> list[int | None]:
        with db.connect(database_settings) as opened:
            together.wait(10)
            return [
                opened.alerts.raise_problem(problem("disk", occurrence=f"sighting-{n}"))
                for n in (0, 1, 2, 3, 10 + number)
            ]

    with ThreadPoolExecutor(4) as pool:
        raised = [number for found in pool.map(one, range(4)) for number in found if number is not None]
    assert len(raised) == 8
    assert len(set(raised)) == 1
    with db.connect(database_settings) as opened:
        (alert,) = opened.alerts.newest()
        assert alert.count == 8


def test_a_decision_made_on_an_alert_that_has_changed_meanwhile_is_not_carried_out(
    database: Database,
) -> None:
    outbox = database.alerts
    outbox.raise_problem(problem())
    (seen,) = outbox.to_decide(NOW)
    outbox.acknowledge("disk", "ada", NOW)
    message = Message(title="x")
    assert not outbox.add_notice(seen, NoticeKind.PROBLEM, message, ["discord"], NOW)
    assert not outbox.suppress(seen, seen.id)
    assert not outbox.close(seen, NOW)
    assert outbox.receipts(seen.id) == []


def test_what_a_killed_dispatcher_was_sending_is_sent_again_after_its_lease_and_not_before(
    database: Database, database_settings: DatabaseSettings
) -> None:
    database.alerts.raise_problem(problem())
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_SENDING],
        env=environment_of(database_settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    channel, now = FakeChannel("discord"), clock.utcnow()
    dispatch(database.alerts, [channel], now)
    assert channel.asked == []
    dispatch(database.alerts, [channel], now + service.LEASE + MINUTE)
    assert channel.titles == ["disk is full"]
    (receipt,) = database.alerts.receipts(database.alerts.newest()[0].id)
    assert (receipt.attempts, receipt.reference) == (2, "discord-1")


KILLED_WHILE_SENDING = """
import os, signal
from aegis_lib import clock
from aegis_lib.alerts import service
from aegis_lib.alerts.model import AlertsConfig
from aegis_lib.db import database

class Kills:
    name = "discord"
    def send(self, message, parts_sent=0):
        os.kill(os.getpid(), signal.SIGKILL)

class Nothing:
    def ended(self, *args): return []
    late = failed_actions = ended
    def workers(self): return []

with database.connect() as db:
    service.dispatch(db.alerts, Nothing(), [Kills()], AlertsConfig(), clock.utcnow())
"""


def test_the_receipts_say_which_channel_has_what(database: Database) -> None:
    outbox = database.alerts
    outbox.raise_problem(problem())
    busy = Attempt(delivered=False, problem="busy \0 now", again=True)
    dispatch(outbox, [FakeChannel("discord"), FakeChannel("telegram", busy)])
    (alert,) = outbox.newest()
    assert (alert.told, alert.undelivered) == (("discord",), 1)
    receipts = {r.channel: (r.delivered_at is not None, r.problem) for r in outbox.receipts(alert.id)}
    assert receipts == {"discord": (True, None), "telegram": (False, "busy \ufffd now")}
    standing = {c.channel: (c.failures, c.hold_until is not None) for c in outbox.channels()}
    assert standing == {"discord": (0, False), "telegram": (1, True)}
    backlog = outbox.backlog(NOW)
    assert (backlog.open, backlog.undelivered, backlog.given_up, backlog.oldest) == (1, 1, 0, NOW)


def test_what_was_closed_long_ago_is_forgotten_with_its_receipts(database: Database) -> None:
    outbox, channel = database.alerts, FakeChannel("discord")
    outbox.raise_problem(problem())
    dispatch(outbox, [channel])
    outbox.recover(Recovered(key="disk", at=NOW + MINUTE))
    dispatch(outbox, [channel], NOW + 2 * MINUTE)
    dispatch(outbox, [channel], NOW + timedelta(days=89))
    assert len(outbox.newest(everything=True)) == 1
    dispatch(outbox, [channel], NOW + timedelta(days=91))
    for table in ("alerts", "alert_notices", "alert_deliveries", "alert_occurrences"):
        row = database.connection.execute(f"SELECT count(*) AS rows FROM {table}").fetchone()
        assert row is not None
        assert row["rows"] == 0, table


def test_an_unreadable_watermark_counts_as_none(database: Database) -> None:
    database.state.set("alerts_watermark", "yesterday")
    assert database.alerts.watermark() is None


# --- the database is away ---

FIRE = Message(title="Fire", severity=Severity.CRITICAL, key="fire", problem="fire")
SMOKE = Message(title="Smoke", severity=Severity.WARNING, key="smoke", problem="smoke")


class Away:
    """Opens no outbox."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error or DependencyUnavailable("PostgreSQL", "is away.")

    def __call__(self) -> AbstractContextManager[Outbox]:
        raise self.error


def test_an_alert_goes_into_the_outbox_and_the_journal_to_its_channel(
    database: Database, tmp_path: Path
) -> None:
    direct = FakeNotifier()

    class Here:
        def __enter__(self) -> Outbox:
            return database.alerts

        def __exit__(self, *_: object) -> None:
            pass

    notifier = OutboxNotifier(Here, direct, Spool(tmp_path))
    (receipt,) = notifier.send(SMOKE)
    notifier.send(SMOKE)
    notifier.send(Message(title="The day", audience="journal"))
    assert (receipt.channel, receipt.delivered) == ("outbox", True)
    assert [message.title for message in direct.sent] == ["The day"]
    assert [(a.key, a.count) for a in database.alerts.newest()] == [("smoke", 1)]
    notifier.send(SMOKE.model_copy(update={"key": "smoke-2", "phase": Phase.AGAIN}))
    notifier.send(SMOKE.model_copy(update={"key": "smoke-3", "phase": Phase.OVER}))
    assert [(a.count, a.state.value) for a in database.alerts.newest()] == [(2, "resolved")]


@pytest.mark.parametrize(
    "error", [DependencyUnavailable("PostgreSQL", "away."), Misconfigured("POSTGRES_PASSWORD", "refused.")]
)
def test_while_the_database_is_away_critical_alerts_go_straight_out_and_the_rest_waits(
    error: Exception, tmp_path: Path
) -> None:
    direct, spool = FakeNotifier(), Spool(tmp_path)
    notifier = OutboxNotifier(Away(error), direct, spool)
    notifier.send(FIRE)
    (receipt,) = notifier.send(SMOKE)
    assert [message.title for message in direct.sent] == ["Fire"]
    assert receipt.channel == "spool"
    assert spool.pending() == 2


def test_what_was_spooled_reaches_the_outbox_once_and_is_not_told_twice(
    database: Database, tmp_path: Path
) -> None:
    spool = Spool(tmp_path)
    notifier = OutboxNotifier(Away(), FakeNotifier(), spool)
    for message in (FIRE, SMOKE, Message(title="By the way", severity=Severity.WARNING, key="note")):
        notifier.send(message)
    lines = (tmp_path / "pending.jsonl").read_bytes()
    assert flush_into(spool, database.memory, database.alerts) == FlushReport(applied=3)
    (tmp_path / "pending.jsonl").write_bytes(lines)  # as a crash between applying and forgetting leaves it
    assert flush_into(spool, database.memory, database.alerts) == FlushReport(applied=3)

    channel, now = FakeChannel("discord"), clock.utcnow()
    dispatch(database.alerts, [channel], now)
    assert sorted(channel.titles) == ["By the way", "Smoke"], "the fire was told by another way"
    assert sorted((a.key, a.count) for a in database.alerts.newest()) == [("fire", 1), ("smoke", 1)]
    over = FIRE.model_copy(update={"title": "Fire is out", "severity": Severity.INFO, "phase": Phase.OVER})
    notifier.send(over)
    lines = (tmp_path / "pending.jsonl").read_bytes()
    for _ in range(2):
        flush_into(spool, database.memory, database.alerts)
        (tmp_path / "pending.jsonl").write_bytes(lines)
        dispatch(database.alerts, [FakeChannel("fake"), channel], now + MINUTE)
    assert channel.titles[2:] == [], "the recovery goes where the fire was heard of"
    assert [a.key for a in database.alerts.newest()] == ["smoke"]


def test_an_alert_is_not_thrown_away_by_a_flush_without_an_outbox(database: Database, tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    OutboxNotifier(Away(), FakeNotifier(), spool).send(SMOKE)
    report = flush_into(spool, database.memory)
    assert (report.applied, report.rejected, report.remaining) == (0, 0, 1)
    assert flush_into(spool, database.memory, database.alerts).applied == 1


def test_a_spooled_line_that_is_no_alert_is_set_aside(database: Database, tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append("alert", "x", {"title": "no key"})
    assert flush_into(spool, database.memory, database.alerts).rejected == 1


def test_without_outbox_and_spool_everything_goes_straight_out(tmp_path: Path) -> None:
    direct = FakeNotifier()
    (tmp_path / "spool").touch()  # where a directory should be
    notifier = OutboxNotifier(Away(), direct, Spool(tmp_path / "spool"))
    notifier.send(FIRE)
    notifier.send(SMOKE)
    assert [message.title for message in direct.sent] == ["Fire", "Smoke"]


def test_a_critical_alert_that_nothing_takes_is_an_error(tmp_path: Path) -> None:
    direct = FakeNotifier()
    direct.broken = PermanentFailure("no")
    with pytest.raises(PermanentFailure):
        OutboxNotifier(Away(), direct, Spool(tmp_path)).send(FIRE)


def test_a_message_too_long_for_the_spool_is_shortened(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    long = SMOKE.model_copy(update={"body": "x" * 2_000_000, "key": "k" * 500})
    OutboxNotifier(Away(), FakeNotifier(), spool).send(long)
    assert spool.pending() == 1


# --- the command ---


@pytest.fixture
def command_on(database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment_of(database_settings).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("command_on")
def test_alerts_are_listed_shown_and_acknowledged_by_command(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["alerts"]) == 0
    assert "No alert is open." in capsys.readouterr().out
    now = clock.utcnow()
    database.alerts.raise_problem(problem("disk", body="**97 %** used", seen_at=now))
    database.alerts.raise_problem(problem("old", seen_at=now))
    dispatch(database.alerts, [FakeChannel("discord"), FakeChannel("telegram", REFUSED)], now)
    database.alerts.recover(Recovered(key="old", at=now))
    dispatch(database.alerts, [FakeChannel("discord"), FakeChannel("telegram")], now)

    assert run(["alerts", "list"]) == 0
    out, notes = capsys.readouterr()
    assert "disk is full" in out
    assert "sent, 1 undelivered" in out
    assert "old is full" not in out
    assert "aegis ack NO" in notes
    assert run(["alerts", "list", "--all", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {alert["key"]: alert["state"] for alert in found} == {"disk": "sent", "old": "resolved"}
    number = next(alert["id"] for alert in found if alert["key"] == "disk")

    assert run(["alerts", "show", str(number)]) == 0
    shown = capsys.readouterr().out
    for said in ("**97 %** used", "discord", "delivered", "given up", "no such room"):
        assert said in shown
    assert run(["alerts", "show", str(number), "--json"]) == 0
    assert {d["channel"] for d in json.loads(capsys.readouterr().out)["deliveries"]} == {
        "discord",
        "telegram",
    }
    assert run(["alerts", "show", "999"]) == exit_codes.NOT_FOUND

    assert run(["ack", "dsik"]) == exit_codes.NOT_FOUND
    assert f"{number} (disk)" in capsys.readouterr().err
    assert run(["ack", "disk", "--by", "ada", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"acknowledged": [number], "by": "ada"}
    assert run(["ack", str(number)]) == exit_codes.NOT_FOUND
    assert "acknowledged already, by ada" in capsys.readouterr().err


@pytest.mark.usefixtures("command_on")
def test_acknowledging_the_strikes_of_a_container_ends_its_alert(database: Database) -> None:
    sick = Listed(engine="local", id="w" * 16, name="web", state="running", created_at=NOW)
    case = database.strikes.claim_strike(sick, "unhealthy", NOW, timedelta(0))
    assert case is not None
    database.alerts.raise_problem(problem(case.key))
    database.alerts.raise_problem(problem(case.key.replace(":web:", ":web-2:")))
    assert run(["strikes", "ack", "web"]) == 0
    assert [alert.key for alert in database.alerts.newest()] == [case.key.replace(":web:", ":web-2:")]
