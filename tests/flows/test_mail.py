"""The mail jobs as Prefect runs them: real server, real PostgreSQL, real Dovecot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aegis_lib.db.database import Database
from aegis_lib.mail.model import HANDLED, Category
from aegis_lib.settings import DatabaseSettings
from tests import postgres as servers
from tests.dovecot import PASSWORD, Dovecot
from tests.letters import letter

pytestmark = pytest.mark.usefixtures("prefect_server")

RULES = """
email:
  move_messages: true
  rules:
    senders:
""" + "".join(
    f"      - {{sender: '{category.value}@example.net', category: {category.value}, unverified: true}}\n"
    for category in Category
)


@pytest.fixture
def installation(
    database_settings: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    values = {
        **servers.environment_of(database_settings),
        "AEGIS_DATA_DIR": str(tmp_path / "data"),
        "AEGIS_CONFIG": str(tmp_path / "aegis.yaml"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "aegis.yaml").write_text(RULES)
    return tmp_path


@pytest.fixture
def user(installation: Path, dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch) -> str:
    """A mailbox that the environment leads to."""
    name = dovecot.user()
    values = {"HOST": "127.0.0.1", "PORT": str(dovecot.port), "USER": name, "PASSWORD": PASSWORD}
    for variable, value in {**values, "SECURITY": "plain"}.items():
        monkeypatch.setenv(f"EMAIL_IMAP_{variable}", value)
    return name


def run(flow: Any, **parameters: Any) -> Any:
    return flow.with_options(retry_delay_seconds=0)(**parameters, return_state=True)


def test_without_a_mailbox_the_jobs_say_what_to_set(installation: Path) -> None:
    from flows.draft_reminder import draft_reminder
    from flows.email_triage import email_triage

    for flow in (email_triage, draft_reminder):
        state = run(flow)
        assert state.name == "NotConfigured"
        for name in ("EMAIL_IMAP_HOST", "EMAIL_IMAP_USER", "EMAIL_IMAP_PASSWORD"):
            assert name in state.message


def test_triage_sorts_and_its_alert_waits_in_the_outbox_once(
    user: str, dovecot: Dovecot, database: Database
) -> None:
    from flows.email_triage import email_triage

    dovecot.deliver(user, *(letter(category, category.value) for category in Category))
    assert "Dry run" in run(email_triage).message
    assert dovecot.uids(user, criteria="KEYWORD " + HANDLED) == []
    state = run(email_triage, dry_run=False)
    assert (state.name, "5 mails sorted" in state.message) == ("Completed", True)
    assert run(email_triage, dry_run=False).name == "NoInput"
    assert [alert.title for alert in database.alerts.newest(10)] == ["Urgent mail: urgent"]
    assert [task.source for task in database.tasks.pending()] == ["email"]
    assert len(database.memory.recall_recent(10, "email_triage")) == 1
    assert dovecot.subjects(user, "Spamverdacht") == ["spam"]


def test_a_mail_server_that_is_away_is_tried_again_and_then_fails(
    user: str, dovecot: Dovecot, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.email_triage import email_triage

    monkeypatch.setenv("EMAIL_IMAP_PORT", "1")
    state = run(email_triage.with_options(retries=0), dry_run=False)
    assert state.is_failed()
    assert "mail server 127.0.0.1" in state.message


def test_drafts_are_spoken_of(user: str, dovecot: Dovecot, database: Database) -> None:
    from flows.draft_reminder import draft_reminder

    assert run(draft_reminder).name == "NoInput"
    lying = datetime.now(UTC) - timedelta(days=4)
    dovecot.deliver(user, letter(None, "half"), folder="Entwürfe", flags=["\\Draft"], at=lying)
    state = run(draft_reminder)
    assert (state.name, state.message) == ("Completed", "Drafts: 1, left lying: 1, reminded of: 1.")
    assert run(draft_reminder).message.endswith("reminded of: 0.")
    assert [alert.title for alert in database.alerts.newest(10)] == ["A draft lies unsent in the mailbox"]
