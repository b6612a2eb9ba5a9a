"""The job `morning_status`: opens the database and shows the status. Decides nothing."""

from __future__ import annotations

from typing import Any

from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State

from aegis_lib import clock
from aegis_lib.db import database
from aegis_lib.digest import service
from aegis_lib.digest.model import MorningReport
from aegis_lib.settings import DatabaseSettings
from flows import _open
from flows._policy import job, outcome, step


@step
def gather() -> MorningReport:
    """Count, and record the event."""
    with database.connect(DatabaseSettings()) as db:
        return service.morning_status(
            db.digests, db.tasks, db.memory, now=clock.utcnow(), config=_open.config().digest
        )


@job()
def morning_status() -> State[Any]:
    """Sum up yesterday's tasks and events, and what is pending today.

    Recorded once a day as `morning_status` in the event memory and shown as an artifact. Ends as `NoInput`
    when yesterday was empty and no task is open.

    Raises:
        DependencyUnavailable: PostgreSQL did not answer; retried.
    """
    report = gather()
    if report.markdown:
        create_markdown_artifact(report.markdown, key="morning-status", description=report.summary)
    return outcome(report)
