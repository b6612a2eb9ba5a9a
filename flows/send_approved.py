"""The job `send_approved`: opens database, memory, channels and the mail server. Decides nothing."""

from __future__ import annotations

from typing import Any

from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State

from aegis_lib import clock
from aegis_lib.adapters import mail_sender
from aegis_lib.approvals import sending
from aegis_lib.approvals.model import SendReport, TendReport
from aegis_lib.db import database
from aegis_lib.settings import DatabaseSettings, MailSenderSettings
from flows import _open
from flows._policy import job, outcome, step


@step
def tend(dry_run: bool) -> TendReport:
    """Let expire what nobody decided on, and tell people what waits for them."""
    config = _open.config().approvals
    with database.connect(DatabaseSettings()) as db, _open.notifier() as notifier:
        return sending.tend(db.approvals, notifier, db.memory, config, now=clock.utcnow(), dry_run=dry_run)


@step
def send(dry_run: bool) -> SendReport:
    """Send each approved mail once."""
    sender = mail_sender.connect(MailSenderSettings())
    config = _open.config().approvals
    with database.connect(DatabaseSettings()) as db, _open.notifier() as notifier:
        return sending.send(
            db.approvals, sender, notifier, db.memory, config, now=clock.utcnow(), dry_run=dry_run
        )


@job()
def send_approved(dry_run: bool = True) -> State[Any]:
    """Send the mails that somebody approved, each once; tell people which ones wait for approval.

    Rejected, expired and changed ones, and those to people who have unsubscribed, are never sent. What the
    mail server refuses for now is tried again; of what broke off at the very end nobody knows whether it was
    sent, so that it waits for a human. The rules stand in the section `approvals` of aegis.yaml;
    docs/approvals.md explains them.

    Args:
        dry_run: only say what would be sent; nothing expires, nobody is told.

    Raises:
        DependencyUnavailable: PostgreSQL or the mail server did not answer; retried.
        Misconfigured: the mail server refuses our login, our sender or our encryption.
    """
    tended = tend(dry_run)
    if tended.markdown:
        create_markdown_artifact(tended.markdown, key="approvals", description=tended.summary)
    return outcome(send(dry_run))
