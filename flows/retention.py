"""The job `retention`: opens database, pictures and memory. Decides nothing."""

from __future__ import annotations

from typing import Any

from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State

from aegis_lib import clock
from aegis_lib.adapters import picture_files
from aegis_lib.db import database
from aegis_lib.retention import service
from aegis_lib.retention.model import RetentionReport
from aegis_lib.settings import DatabaseSettings
from flows import _open
from flows._old_pictures import OldPictures
from flows._policy import job, outcome, step


@step
def remove(dry_run: bool) -> RetentionReport:
    """Remove what is older than aegis.yaml keeps, or only count it."""
    config = _open.config()
    with database.connect(DatabaseSettings()) as db, _open.memory() as memory:
        pictures = OldPictures(db, picture_files.opened(), config.retention.pictures_per_site)
        return service.remove_expired(
            [*db.retention.kinds(), pictures],
            memory,
            config.retention,
            language_model_days=config.llm.keep_days,
            now=clock.utcnow(),
            dry_run=dry_run,
        )


@job(timeout_seconds=3600)
def retention(dry_run: bool = True) -> State[Any]:
    """Remove old metrics, checks, pictures, incidents and texts, by the days that aegis.yaml keeps them.

    What is still open is never removed, nor anything outside of our own tables and pictures. Safe to
    interrupt: the next run goes on. What goes when, and what looks after the rest, is in docs/retention.md.

    Args:
        dry_run: only count what would be removed.

    Raises:
        DependencyUnavailable: PostgreSQL did not answer; retried.
    """
    report = remove(dry_run)
    gone = [row.model_dump(mode="json") for row in report.rows if row.count or row.problem]
    if gone:
        create_table_artifact(gone, key="retention", description=report.summary)
    return outcome(report)
