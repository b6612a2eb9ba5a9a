"""The job `alert_dispatch`: opens outbox, spool, the history of runs and the channels. Decides nothing."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State

from aegis_lib import clock
from aegis_lib.adapters.notify import one_by_one
from aegis_lib.adapters.prefect_server import history
from aegis_lib.alerts import service
from aegis_lib.alerts.model import DispatchReport
from aegis_lib.db import database, spooled_memory
from aegis_lib.errors import DependencyUnavailable, Misconfigured
from aegis_lib.settings import DatabaseSettings
from flows import _open
from flows._database_outage import tell_if_the_database_is_away
from flows._policy import job, outcome, step


@step
def send_what_is_due() -> DispatchReport:
    """Take up what was spooled, look for what went wrong, decide and deliver."""
    config = _open.config().alerts
    with (
        one_by_one.connect() as channels,
        history.connect() as runs,
        database.connect(DatabaseSettings()) as db,
    ):
        spooled_memory.flush_into(_open.spool(), db.memory, db.alerts)
        return service.dispatch(db.alerts, runs, channels, config, clock.utcnow())


@job(timeout_seconds=50, retries=0)
def alert_dispatch() -> State[Any]:
    """Tell people what is wrong, once, and when it is over: deliver the outbox of alerts.

    Failed, crashed and late runs, silent workers and failed automations are found in the server's history, so
    that a lost event loses no alert. The same problem again is counted; reminders, escalation, quiet hours
    and root causes follow the section `alerts` of aegis.yaml; docs/alerts.md explains them. Every channel has
    its own receipt and its own retries. Ends as `Degraded` when a channel, the history or the database does
    not answer; an outage of the database is told once, with `health_check`.

    Raises:
        DependencyUnavailable: the database went away in between and is back; the next run is a minute away.
        Misconfigured: aegis.yaml is wrong.
    """
    try:
        return outcome(send_what_is_due())
    except (DependencyUnavailable, Misconfigured):
        if (away := tell_if_the_database_is_away()) is None:
            raise
        return outcome(away)
