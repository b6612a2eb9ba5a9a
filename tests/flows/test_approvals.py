"""Sending and deciding as Prefect runs them: real server, real PostgreSQL, a real mail server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from aegis_lib import clock
from aegis_lib.approvals import service
from aegis_lib.approvals.model import Approval, ApprovalsConfig, State, Via
from aegis_lib.db.database import Database
from aegis_lib.settings import DatabaseSettings
from tests import postgres as servers
from tests.approval_values import proposal
from tests.fake_services import smtp
from tests.loopback import free_port

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def installation(
    database_settings: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The environment of a run: its database, data directory and empty `aegis.yaml`; no mail server."""
    values = {
        **servers.environment_of(database_settings),
        "AEGIS_DATA_DIR": str(tmp_path / "data"),
        "AEGIS_CONFIG": str(tmp_path / "aegis.yaml"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "aegis.yaml").touch()
    return tmp_path


@pytest.fixture
def server(installation: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[smtp.Mailbox]:
    """A mail server that the settings name."""
    with smtp.running() as mailbox:
        monkeypatch.setenv("EMAIL_SMTP_HOST", "127.0.0.1")
        monkeypatch.setenv("EMAIL_SMTP_PORT", str(mailbox.port))
        monkeypatch.setenv("EMAIL_SMTP_SECURITY", "none")
        monkeypatch.setenv("EMAIL_FROM", "Aegis <aegis@ours.example>")
        yield mailbox


def proposed(database: Database, key: str = "reply:1", **values: Any) -> Approval:
    now = clock.utcnow()
    made = proposal(key, **{"expires_at": now + timedelta(days=2), **values})
    return service.propose(database.approvals, made, ApprovalsConfig(), now)


def send(**parameters: Any) -> Any:
    from flows.send_approved import send_approved

    return send_approved.with_options(retry_delay_seconds=0)(**parameters, return_state=True)


def decide(**parameters: Any) -> Any:
    from flows.decide_approval import decide_approval

    return decide_approval(**parameters, return_state=True)


def state(database: Database, row: Approval) -> State:
    found = database.approvals.get(row.number)
    assert found is not None
    return found.state


def titles(database: Database) -> list[str]:
    return [alert.title for alert in database.alerts.newest(everything=True)]


def test_a_mail_waits_is_approved_by_the_form_and_goes_out_once(
    database: Database, server: smtp.Mailbox
) -> None:
    row = proposed(database)
    assert send(dry_run=False).message == "Nothing to send."
    assert titles(database) == [f"Mail {row.number} waits for approval: customer_reply"]
    decided = decide(number=row.number, verdict="approve", note="fine")
    assert (decided.name, "is approved" in decided.message) == ("Completed", True)
    held = database.approvals.get(row.number)
    assert held is not None
    assert (held.decided_via, held.note) == (Via.PREFECT_UI, "fine")
    assert str(held.decided_by).startswith("run ")
    for _ in range(2):
        assert send(dry_run=False).name == "Completed"
    (mail,) = server.mails
    assert (mail["To"], mail["From"]) == ("ada@example.org", "Aegis <aegis@ours.example>")
    assert state(database, row) is State.SENT
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts()
    assert any(
        artifact.key == "approvals" and "customer_reply" in str(artifact.data) for artifact in artifacts
    )


def test_nothing_is_sent_by_default(database: Database, server: smtp.Mailbox) -> None:
    row = proposed(database)
    service.approve(database.approvals, row.number, "ada", clock.utcnow())
    assert send().message == f"Would send {row.number}."
    assert (server.asked, state(database, row)) == ([], State.APPROVED)
    assert titles(database) == []


@pytest.mark.usefixtures("installation")
def test_without_a_mail_server_people_are_told_what_waits_and_the_run_names_the_variables(
    database: Database,
) -> None:
    row = proposed(database)
    ended = send(dry_run=False)
    assert ended.name == "NotConfigured"
    assert "EMAIL_SMTP_HOST, EMAIL_FROM" in ended.message
    assert titles(database) == [f"Mail {row.number} waits for approval: customer_reply"]


def test_a_mail_server_that_is_away_is_retried_and_nothing_is_lost(
    database: Database, server: smtp.Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = proposed(database)
    service.approve(database.approvals, row.number, "ada", clock.utcnow())
    monkeypatch.setenv("EMAIL_SMTP_PORT", str(free_port()))
    import flows.send_approved as module

    quick = module.send_approved.with_options(retries=0)
    monkeypatch.setattr("flows._policy.STEP", {})
    ended = quick(dry_run=False, return_state=True)
    assert ended.is_failed()
    assert "mail server" in ended.message
    assert state(database, row) is State.APPROVED
    monkeypatch.setenv("EMAIL_SMTP_PORT", str(server.port))
    assert send(dry_run=False).name == "Completed"
    assert len(server.envelopes) == 1


def test_a_rule_of_aegis_yaml_sends_its_kind_until_it_is_gone(
    database: Database, server: smtp.Mailbox, installation: Path
) -> None:
    (installation / "aegis.yaml").write_text("approvals:\n  allow: [customer_reply]\n")
    rules = ApprovalsConfig(allow=("customer_reply",))
    now = clock.utcnow()
    first, second = (
        service.propose(database.approvals, proposal(key, expires_at=now + timedelta(days=1)), rules, now)
        for key in ("reply:1", "reply:2")
    )
    database.connection.execute(
        "UPDATE approvals SET next_attempt_at = now() + interval '1 day' WHERE number = %s", [second.number]
    )
    send(dry_run=False)
    assert (len(server.envelopes), state(database, first)) == (1, State.SENT)
    (installation / "aegis.yaml").write_text("")
    send(dry_run=False)
    assert state(database, second) is State.PENDING


@pytest.mark.usefixtures("installation")
def test_a_decision_that_comes_too_late_ends_as_degraded_and_says_who_was_first(database: Database) -> None:
    row = proposed(database)
    service.reject(database.approvals, row.number, "ada", clock.utcnow(), via=Via.DISCORD)
    late = decide(number=row.number, verdict="approve")
    assert late.name == "Degraded"
    assert "is rejected already, by ada (discord)" in late.message
    assert decide(number=99, verdict="reject").name == "Degraded"
    assert state(database, row) is State.REJECTED


@pytest.mark.parametrize("wrong", [{"verdict": "maybe"}, {"verdict": "APPROVE"}, {"number": "x"}])
@pytest.mark.usefixtures("installation")
def test_the_form_takes_only_a_number_and_one_of_two_verdicts(
    database: Database, wrong: dict[str, Any]
) -> None:
    row = proposed(database)
    ended = decide(**{"number": row.number, "verdict": "approve", **wrong})
    assert ended.is_failed()
    assert state(database, row) is State.PENDING


def test_the_form_of_the_prefect_ui_offers_the_two_verdicts() -> None:
    from prefect.utilities.callables import parameter_schema

    from flows.decide_approval import decide_approval

    form = parameter_schema(decide_approval).model_dump()
    assert form["properties"]["verdict"]["enum"] == ["approve", "reject"]
    assert form["properties"]["number"]["type"] == "integer"
    assert form["required"] == ["number", "verdict"]
