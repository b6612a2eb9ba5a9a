"""What a job does that finds the database away: it tells of it, once for all jobs. Decides nothing."""

from __future__ import annotations

from aegis_lib import clock
from aegis_lib.adapters.outage_file import OutageFile
from aegis_lib.db import database, spooled_memory
from aegis_lib.health import service
from aegis_lib.health.model import HealthReport
from aegis_lib.settings import DatabaseSettings
from flows import _open
from flows._policy import step


@step
def tell_if_the_database_is_away() -> HealthReport | None:
    """What `health_check` does about an outage, up to its end; None where the database answers."""
    spool = _open.spool()
    with _open.notifier() as notifier:
        return service.tell_if_away(
            database.prober(DatabaseSettings()),
            spooled_memory.SpooledMemory(None, spool),
            OutageFile(spool.directory),
            notifier,
            now=clock.utcnow(),
            config=_open.config().health,
        )
