"""The job `email_triage`: opens mailbox, database, memory, channels and language model. Decides nothing."""

from __future__ import annotations

from typing import Any

from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State

from aegis_lib import clock
from aegis_lib.adapters.mailbox import imap
from aegis_lib.db import database
from aegis_lib.mail import service
from aegis_lib.mail.model import TriageReport
from aegis_lib.settings import DatabaseSettings, ImapSettings
from flows import _open
from flows._policy import job, outcome, step


@step
def sort(dry_run: bool) -> TriageReport:
    """Learn from corrections, decide on every unread mail, and act."""
    config = _open.config().email
    with (
        imap.connect(ImapSettings(), config.folders) as mailbox,
        database.connect(DatabaseSettings()) as db,
        _open.memory() as memory,
        _open.notifier() as notifier,
        _open.language_model("email_triage") as language_model,
    ):
        return service.triage(
            mailbox, db.mail, db.tasks, memory, notifier, language_model,
            now=clock.utcnow(), config=config, dry_run=dry_run,
        )  # fmt: skip


@job(timeout_seconds=3300)
def email_triage(dry_run: bool = True) -> State[Any]:
    """Sort unread mail: flag and tell what is urgent, make tasks, archive and junk the rest where allowed.

    With `dry_run` everything is decided and shown, nothing is done. Mail is moved only with
    `email.move_messages` in aegis.yaml; none is ever deleted or marked as read. Each mail is handled once;
    what a reader moves back or marks otherwise is learned. The settings are explained in docs/mail.md.

    Raises:
        DependencyUnavailable: the mail server, PostgreSQL or every channel is away; retried.
        Misconfigured: the mail server refuses the login, or a folder of aegis.yaml is not there.
    """
    report = sort(dry_run)
    if report.rows:
        table = [row.model_dump(mode="json") for row in report.rows]
        create_table_artifact(table, key="email-triage", description=report.summary)
    return outcome(report)
