"""The job `evening_summary`: opens database, journal and channels, and shows the digest. Decides nothing."""

from __future__ import annotations

from typing import Any

from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State

from aegis_lib import clock
from aegis_lib.adapters import journal
from aegis_lib.db import database
from aegis_lib.digest import service
from aegis_lib.digest.model import EveningReport
from aegis_lib.settings import DatabaseSettings, JournalSettings
from flows import _open
from flows._policy import job, outcome, step


@step
def write() -> EveningReport:
    """Write the digest of the time since the last one, each window exactly once."""
    with database.connect(DatabaseSettings()) as db, _open.notifier() as notifier:
        return service.evening_summary(
            db.digests,
            db.tasks,
            db.memory,
            journal.connect(JournalSettings()),
            notifier,
            now=clock.utcnow(),
            config=_open.config().digest,
        )


@job()
def evening_summary() -> State[Any]:
    """Write the digest since the last one: tasks, events, decisions, errors, tomorrow's priorities.

    It goes into the journal (`AEGIS_JOURNAL_DIR`, one file a day; what people wrote there stays), the event
    memory, the journal's channel and an artifact. A run that failed halfway is finished by the next one, and
    nothing is posted twice. Ends as `NoInput` when nothing happened.

    Raises:
        DependencyUnavailable: PostgreSQL, the disk or every channel is away; retried.
        Misconfigured: the journal cannot be written.
    """
    report = write()
    if report.markdown:
        create_markdown_artifact(report.markdown, key="evening-summary", description=report.summary)
    return outcome(report)
