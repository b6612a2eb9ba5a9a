"""The job `site_check`: opens the prober, the database, memory and channels. Decides nothing."""

from __future__ import annotations

from typing import Any

from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State

from aegis_lib import clock
from aegis_lib.adapters.site_prober import prober
from aegis_lib.changes import policy as changes
from aegis_lib.db import database
from aegis_lib.settings import DatabaseSettings
from aegis_lib.sites import service
from aegis_lib.sites.seen import SitesReport
from flows import _open
from flows._policy import job, outcome, step


@step
def look(only_tag: str | None) -> SitesReport:
    """Look at the sites that are due, keep what was seen, and tell what began, is over or changed."""
    config = _open.config().sites
    with (
        prober.connect(config) as sites,
        database.connect(DatabaseSettings()) as db,
        _open.memory() as memory,
        _open.notifier() as notifier,
    ):
        return service.run(
            sites, changes, db.sites, memory, notifier, config, now=clock.utcnow(), only_tag=only_tag
        )


@job(timeout_seconds=285)
def site_check(only_tag: str | None = None) -> State[Any]:
    """Check status, latency, certificate and content of every site; open and close incidents.

    The sites stand in the section `sites` of aegis.yaml. A site is checked when its interval is over, so that
    a run more does no harm. `only_tag` restricts the run to sites with that tag. What is expected of a site,
    what counts as down and who is told is explained in docs/sites.md.

    Raises:
        DependencyUnavailable: PostgreSQL did not answer; retried.
        Misconfigured: aegis.yaml or a channel is wrong.
    """
    report = look(only_tag)
    if report.rows:
        table = [row.model_dump(mode="json") for row in report.rows]
        create_table_artifact(table, key="sites", description=report.summary)
    return outcome(report)
