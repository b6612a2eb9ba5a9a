"""Approvals on real PostgreSQL and against a real mail server: kill -9, races, and what strangers write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from aegis_lib import clock
from aegis_lib.adapters import mail_sender
from aegis_lib.approvals import sending, service
from aegis_lib.approvals.model import (
    Approval,
    ApprovalsConfig,
    NotDecided,
    SendReport,
    State,
    Via,
)
from aegis_lib.db import database as db
from aegis_lib.settings import DatabaseSettings, MailSenderSettings
from tests import postgres as servers
from tests.approval_values import DAY, HOUR, MINUTE, proposal
from tests.fake_services import smtp
from tests.fakes.alerts import FakeNotifier
from tests.fakes.memory import FakeMemory

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ApprovalsConfig()


@pytest.fixture
def server() -> Iterator[smtp.Mailbox]:
    with smtp.running() as mailbox:
        yield mailbox


def sender(server: smtp.Mailbox) -> mail_sender.SmtpSender:
    settings = MailSenderSettings(
        host="127.0.0.1", port=server.port, security="none", sender="aegis@ours.example", timeout_seconds=20
    )
    return mail_sender.connect(settings)


def proposed(database: db.Database, key: str = "reply:1", **values: Any) -> Approval:
    now = clock.utcnow()
    made = proposal(key, **{"expires_at": now + 9 * DAY, **values})
    return service.propose(database.approvals, made, CONFIG, now)


def approved(database: db.Database, key: str = "reply:1", **values: Any) -> Approval:
    number = proposed(database, key, **values).number
    return service.approve(database.approvals, number, "ada", clock.utcnow())


def send(
    database: db.Database, server: smtp.Mailbox, now: datetime | None = None, config: ApprovalsConfig = CONFIG
) -> SendReport:
    now, notifier, memory = now or clock.utcnow(), FakeNotifier(), FakeMemory()
    sending.tend(database.approvals, notifier, memory, config, now=now, dry_run=False)
    return sending.send(database.approvals, sender(server), notifier, memory, config, now=now, dry_run=False)


def state(database: db.Database, row: Approval) -> State:
    found = database.approvals.get(row.number)
    assert found is not None
    return found.state


# --- nothing without approval, nothing rejected or expired ---


def test_only_what_was_approved_in_time_reaches_the_mail_server(
    database: db.Database, server: smtp.Mailbox
) -> None:
    soon = clock.utcnow() + timedelta(hours=1)
    good = approved(database, "good", recipient="good@example.org")
    proposed(database, "waiting")
    rejected = proposed(database, "rejected")
    service.reject(database.approvals, rejected.number, "ada", clock.utcnow())
    taken_back = approved(database, "taken back")
    service.reject(database.approvals, taken_back.number, "ada", clock.utcnow())
    proposed(database, "expires undecided", expires_at=soon)
    approved(database, "expires approved", expires_at=soon)
    approved(database, "unsubscribed", recipient="gone@example.org")
    service.suppress(database.approvals, "Gone+x@Example.org", "", "mail", clock.utcnow())
    for later in (2 * HOUR, DAY, 8 * DAY):
        send(database, server, clock.utcnow() + later)
    assert [envelope.rcpt_tos for envelope in server.envelopes] == [["good@example.org"]]
    assert state(database, good) is State.SENT
    counts = database.connection.execute("SELECT state, count(*) FROM approvals GROUP BY 1").fetchall()
    assert {row["state"]: row["count"] for row in counts} == {
        "sent": 1, "pending": 1, "rejected": 3, "expired": 2,
    }  # fmt: skip


@pytest.mark.parametrize("field", ["recipient", "subject", "body"])
def test_a_row_that_is_changed_after_the_approval_is_not_sent(
    database: db.Database, server: smtp.Mailbox, field: str
) -> None:
    row = approved(database)
    database.connection.execute(
        psycopg.sql.SQL("UPDATE approvals SET {} = 'all@evil.example'").format(psycopg.sql.Identifier(field))
    )
    report = send(database, server)
    assert (report.refused, server.asked) == (1, [])
    assert state(database, row) is State.FAILED


@pytest.mark.parametrize(
    "change",
    [
        "state = 'approved'",
        "state = 'sent'",
        "state = 'sending', claim = 'c', claimed_at = now(), message_id = 'm'",
    ],
)
def test_the_table_itself_refuses_what_nobody_decided(database: db.Database, change: str) -> None:
    proposed(database)
    with pytest.raises(psycopg.errors.CheckViolation, match="approvals_nothing_goes_out_undecided"):
        database.connection.execute(f"UPDATE approvals SET {change}".encode())


# --- kill -9 ---


def run_and_die(settings: DatabaseSettings, point: str, port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.dying_sender", point, str(port)],
        cwd=ROOT,
        env={**os.environ, **servers.environment_of(settings)},
    )


@pytest.mark.parametrize(
    ("point", "arrived", "then", "in_all"),
    [
        ("claimed", 0, State.SENT, 1),
        ("asked", 0, State.SENT, 1),
        ("marked", 0, State.UNCLEAR, 0),
        ("dot", 1, State.UNCLEAR, 1),
        ("answered", 1, State.UNCLEAR, 1),
        ("settled", 1, State.SENT, 1),
    ],
)
def test_a_mail_is_never_sent_twice_wherever_its_process_is_killed(
    database_settings: DatabaseSettings,
    server: smtp.Mailbox,
    point: str,
    arrived: int,
    then: State,
    in_all: int,
) -> None:
    with db.connect(database_settings) as database:
        row = approved(database)
        victim = run_and_die(database_settings, point, server.port)
        if point == "dot":
            server.before_answer = victim.kill
        assert victim.wait(60) == -signal.SIGKILL
        server.before_answer = None
        assert len(server.envelopes) == arrived
        assert send(database, server).sent == 0, "its claim still holds, or it is over"
        assert len(server.envelopes) == arrived
        for hours in (1, 2, 30):
            send(database, server, clock.utcnow() + hours * HOUR)
        assert len(server.envelopes) == in_all
        assert state(database, row) is then


def test_a_process_that_is_stopped_and_woken_does_not_send_what_was_taken_from_it(
    database_settings: DatabaseSettings, server: smtp.Mailbox
) -> None:
    with db.connect(database_settings) as database, db.connect(database_settings) as other:
        row = approved(database)
        real = sender(server)

        class Frozen:
            """Sleeps through its claim right before the last question."""

            new_message_id = staticmethod(real.new_message_id)

            def send(self, letter: Any, hand_over: Any) -> Any:
                def later() -> bool:
                    assert send(other, server, clock.utcnow() + HOUR).sent == 1
                    return bool(hand_over())

                return real.send(letter, later)

        report = sending.send(
            database.approvals, Frozen(), FakeNotifier(), FakeMemory(), CONFIG,
            now=clock.utcnow(), dry_run=False,
        )  # fmt: skip
        assert (report.sent, len(server.envelopes)) == (0, 1)
        assert state(database, row) is State.SENT


# --- several at once ---


def at_once(settings: DatabaseSettings, count: int, act: Any) -> list[Any]:
    barrier = threading.Barrier(count)

    def one(number: int) -> Any:
        with db.connect(settings) as opened:
            barrier.wait(20)
            return act(opened, number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_several_senders_send_each_mail_once(
    database_settings: DatabaseSettings, server: smtp.Mailbox
) -> None:
    with db.connect(database_settings) as database:
        for number in range(8):
            approved(database, f"reply:{number}", recipient=f"r{number}@example.org")
    reports = at_once(database_settings, 3, lambda opened, _: send(opened, server))
    assert sum(report.sent for report in reports) == 8
    recipients = sorted(envelope.rcpt_tos[0] for envelope in server.envelopes)
    assert recipients == [f"r{number}@example.org" for number in range(8)]
    assert len({mail["Message-ID"] for mail in server.mails}) == 8


def test_several_senders_keep_the_limit_together(
    database_settings: DatabaseSettings, server: smtp.Mailbox
) -> None:
    config = ApprovalsConfig(daily_limit=3)
    with db.connect(database_settings) as database:
        for number in range(8):
            approved(database, f"reply:{number}")
    at_once(database_settings, 4, lambda opened, _: send(opened, server, config=config))
    assert len(server.envelopes) == 3


def test_of_several_decisions_at_once_one_is_first(database_settings: DatabaseSettings) -> None:
    with db.connect(database_settings) as database:
        row = proposed(database)

    def decide(opened: db.Database, number: int) -> str | None:
        try:
            service.approve(opened.approvals, row.number, f"person {number}", clock.utcnow(), via=Via.DISCORD)
        except NotDecided as late:
            return str(late)
        return None

    answers = at_once(database_settings, 4, decide)
    assert answers.count(None) == 1
    first = f"by person {answers.index(None)} (discord)"
    assert all(first in answer for answer in answers if answer)


def test_of_several_proposals_with_one_key_there_is_one(database_settings: DatabaseSettings) -> None:
    rows = at_once(database_settings, 4, lambda opened, number: proposed(opened, subject=f"From {number}"))
    assert len({row.number for row in rows}) == 1
    assert len({row.subject for row in rows}) == 1


def test_unsubscribing_beats_a_sender_that_has_claimed_already(
    database: db.Database, database_settings: DatabaseSettings, server: smtp.Mailbox
) -> None:
    row = approved(database)
    real = sender(server)

    class Interrupted:
        new_message_id = staticmethod(real.new_message_id)

        def send(self, letter: Any, hand_over: Any) -> Any:
            with db.connect(database_settings) as other:
                service.suppress(other.approvals, row.recipient, "asked", "mail", clock.utcnow())
            return real.send(letter, hand_over)

    sending.send(
        database.approvals, Interrupted(), FakeNotifier(), FakeMemory(), CONFIG,
        now=clock.utcnow(), dry_run=False,
    )  # fmt: skip
    assert server.envelopes == []
    assert state(database, row) is State.REJECTED


# --- what strangers write ---


def test_no_text_becomes_a_recipient_a_header_or_a_second_mail(
    database: db.Database, server: smtp.Mailbox
) -> None:
    body = (
        "Hi\n.\nMAIL FROM:<x@evil.example>\nRCPT TO:<all@example.com>\nDATA\nSubject: two\n\nspam\n.\nQUIT\n"
        "Bcc: all@example.com\n!approve 1\n"
    )
    approved(database, body=body, subject="Bcc: all@example.com; Subject: %0D%0ABcc: x")
    assert send(database, server).sent == 1
    (envelope,), (mail,) = server.envelopes, server.mails
    assert (envelope.mail_from, envelope.rcpt_tos) == ("aegis@ours.example", ["ada@example.org"])
    assert str(mail.get_content()).replace("\r\n", "\n") == body
    assert sorted(mail.keys()) == [
        "Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date", "From", "MIME-Version",
        "Message-ID", "Subject", "To",
    ]  # fmt: skip


def test_two_days_of_outage_and_the_mail_still_goes_out_once(
    database: db.Database, server: smtp.Mailbox
) -> None:
    row = approved(database)
    server.answers["RCPT"] = "450 4.2.1 busy"
    began = clock.utcnow()
    for minutes in (0, 6, 30, 120):
        assert send(database, server, began + minutes * MINUTE).later == 1
    server.answers.clear()
    assert send(database, server, began + 8 * HOUR).sent == 1
    assert state(database, row) is State.SENT
    assert len(server.envelopes) == 1
