"""The job `status_page`: opens database, images and the place of the page. Decides nothing."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State

from aegis_lib import clock
from aegis_lib.adapters import picture_files, report_files
from aegis_lib.db import database
from aegis_lib.settings import DatabaseSettings, ReportSettings, ScreenshotSettings, secrets_in_use
from aegis_lib.status_page import service
from aegis_lib.status_page.model import StatusPageReport
from flows import _open
from flows._policy import job, outcome, step


@step
def make_page() -> StatusPageReport:
    """Read every part, put the page together and write it."""
    config = _open.config()
    images, place = picture_files.opened(ScreenshotSettings()), report_files.connect(ReportSettings())
    with database.connect(DatabaseSettings()) as db:
        return service.write(
            db.status_page, images, place,
            now=clock.utcnow(), config=config.status_page, sites=config.sites, secrets=secrets_in_use(),
        )  # fmt: skip


@job()
def status_page() -> State[Any]:
    """Write the status page: sites, incidents, pictures, containers, hosts, anomalies, jobs and alerts.

    One HTML file that needs nothing else, `index.html` in `AEGIS_REPORT_DIR`. A part that cannot be read is
    named on the page, and the run is `Degraded`. See docs/status-page.md.

    Raises:
        DependencyUnavailable: PostgreSQL did not answer, or the disk is full; retried.
        Misconfigured: aegis.yaml is wrong, or the page cannot be written there.
    """
    return outcome(make_page())
