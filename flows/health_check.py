"""The job `health_check`: opens the probe, the spool and the channels. Decides nothing."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State

from aegis_lib import clock
from aegis_lib.adapters import heartbeat
from aegis_lib.adapters.outage_file import OutageFile
from aegis_lib.db import database, health
from aegis_lib.db.spooled_memory import SpooledMemory
from aegis_lib.health import service
from aegis_lib.health.model import HealthReport
from aegis_lib.ledger import service as ledger
from aegis_lib.settings import DatabaseSettings, HeartbeatSettings
from flows import _open
from flows._policy import job, outcome, step


@step
def look() -> HealthReport:
    """Ask the database for a sign of life and tell about changes."""
    settings, spool = DatabaseSettings(), _open.spool()
    with _open.notifier() as notifier:
        return service.check(
            database.prober(settings),
            health.connector(settings, spool),
            SpooledMemory(None, spool),
            OutageFile(spool.directory),
            notifier,
            heartbeat.connect(HeartbeatSettings()),
            now=clock.utcnow(),
            config=_open.config().health,
            withheld_by=ledger.why_red,
        )


@job()
def health_check() -> State[Any]:
    """Check that PostgreSQL answers, and how quickly.

    Writes `last_health_check` and `db_healthy` to the state table. While the database is down, events wait on
    disk and one alert goes out; the run ends as `Degraded`. On recovery everything kept is stored, with the
    start and the end of the outage, and one message says so. `HEARTBEAT_URL` is pinged only when all is well
    and the ledger of runs (`missed_runs`) is fresh and green.

    Raises:
        Misconfigured: a notification channel is set up halfway, or aegis.yaml is wrong.
    """
    return outcome(look())
