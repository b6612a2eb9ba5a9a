"""The job `memory_cleanup`: opens the database. Decides nothing."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State

from aegis_lib import clock
from aegis_lib.db import database
from aegis_lib.memory import service
from aegis_lib.memory.model import CleanupReport
from aegis_lib.settings import DatabaseSettings, GraphSettings
from flows import _open
from flows._policy import job, outcome, step


@step
def forget(dry_run: bool) -> CleanupReport:
    """Delete in small batches, or only count."""
    with database.connect(DatabaseSettings()) as db:
        return service.clean_up(
            db.memory,
            _open.config().memory,
            now=clock.utcnow(),
            dry_run=dry_run,
            graph_configured=GraphSettings().host is not None,
        )


@job(timeout_seconds=3600)
def memory_cleanup(dry_run: bool = True) -> State[Any]:
    """Forget low-importance events older than the retention (30 days); nothing else is ever deleted.

    Events that the knowledge graph has not read yet stay when one is configured. Safe to interrupt: the next
    run goes on.

    Args:
        dry_run: only count what would be deleted.

    Raises:
        DependencyUnavailable: PostgreSQL did not answer; retried.
    """
    return outcome(forget(dry_run))
