"""The job `missed_runs`: opens database, run history and channels, and shows the ledger. Decides nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State

from aegis_lib import clock
from aegis_lib.db import database
from aegis_lib.ledger import messages, service
from aegis_lib.ledger.model import LedgerReport, Tally
from aegis_lib.settings import DatabaseSettings
from flows import _open
from flows._policy import job, outcome, step


@step
def take_stock() -> tuple[LedgerReport, Tally]:
    """Account for every tick since the last pass, tell what changed, and sum up the last day."""
    now = clock.utcnow()
    with (
        database.connect(DatabaseSettings()) as db,
        _open.run_history() as history,
        _open.notifier() as notifier,
    ):
        report = service.take_stock(
            db.ledger, history, db.state, db.memory, notifier, now=now, config=_open.config().ledger
        )
        return report, db.ledger.tally(now - timedelta(days=1), now, now)


@job()
def missed_runs() -> State[Any]:
    """Keep the ledger of runs: whether every job that should have run has run.

    Every due time of every schedule of the catalogue gets an outcome: how its run ended, or why there was
    none. One that has neither is missed, and people are told, once when it begins and once when it is over;
    so are jobs whose runs are all turned away, and jobs whose newest output is older than the catalogue's
    `freshness_seconds`. A time in which nothing ran at all is one message. See docs/ledger.md.

    Raises:
        DependencyUnavailable: PostgreSQL or the Prefect server did not answer; retried.
        Misconfigured: a channel or aegis.yaml is wrong, or the server refuses us.
    """
    report, day = take_stock()
    create_table_artifact(messages.table(day), key="ledger", description=report.summary)
    return outcome(report)
