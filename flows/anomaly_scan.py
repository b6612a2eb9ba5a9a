"""The job `anomaly_scan`: opens database, memory and channels. Decides nothing."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State

from aegis_lib import clock
from aegis_lib.anomaly import service
from aegis_lib.anomaly.model import ScanReport
from aegis_lib.db import database
from aegis_lib.settings import DatabaseSettings
from flows import _open
from flows._policy import job, outcome, step


@step
def judge() -> ScanReport:
    """Judge every series by what it did before, and tell people of few of the unusual ones."""
    with (
        database.connect(DatabaseSettings()) as db,
        _open.memory() as memory,
        _open.notifier() as notifier,
    ):
        return service.scan(
            db.anomalies, db.state, memory, notifier, _open.config().anomaly, now=clock.utcnow()
        )


@job()
def anomaly_scan() -> State[Any]:
    """Find unusual behaviour in what metrics_collect and site_check measured: few alerts, explained.

    Each series has a detector that learns its level, rhythm and spread. What is unusual on one host at one
    time is one alert with numbers and a small plot; people get at most `anomaly.alerts_per_day` of them.
    What is no news is dismissed with `aegis anomalies dismiss`. The rules are explained in docs/anomalies.md.

    Raises:
        DependencyUnavailable: PostgreSQL is away; retried.
        Misconfigured: aegis.yaml is wrong.
    """
    return outcome(judge())
