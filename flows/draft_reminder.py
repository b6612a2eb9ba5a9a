"""The job `draft_reminder`: opens mailbox, database and channels. Decides nothing."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State

from aegis_lib import clock
from aegis_lib.adapters.mailbox import imap
from aegis_lib.db import database
from aegis_lib.mail import drafts
from aegis_lib.mail.model import DraftReport
from aegis_lib.settings import DatabaseSettings, ImapSettings
from flows import _open
from flows._policy import job, outcome, step


@step
def remind() -> DraftReport:
    """Look into the folder of drafts; tell of those that lie."""
    config = _open.config().email
    with (
        imap.connect(ImapSettings(), config.folders) as mailbox,
        database.connect(DatabaseSettings()) as db,
        _open.notifier() as notifier,
    ):
        return drafts.remind(mailbox, db.mail, notifier, now=clock.utcnow(), config=config.drafts)


@job()
def draft_reminder() -> State[Any]:
    """Remind of drafts that were left lying in the mailbox.

    A draft is spoken of when nobody has changed it for `email.drafts.hours` (48), again every `again_days`
    (7) and at most `most` times (3). Drafts are only read. Ends as `NoInput` when there is none.

    Raises:
        DependencyUnavailable: the mail server, PostgreSQL or every channel is away; retried.
        Misconfigured: the mail server refuses the login, or the folder of aegis.yaml is not there.
    """
    return outcome(remind())
