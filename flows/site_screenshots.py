"""The job `site_screenshots`: opens browser, files, database, memory and channels. Decides nothing."""

from __future__ import annotations

from typing import Any

from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State

from aegis_lib import clock
from aegis_lib.adapters import picture_files
from aegis_lib.db import database
from aegis_lib.pictures import service
from aegis_lib.pictures.model import PicturesReport
from aegis_lib.settings import BrowserSettings, DatabaseSettings
from flows import _open
from flows._policy import job, outcome, step


@step
def photograph(only: str | None) -> PicturesReport:
    """Take the pictures, compare them with those before, and tell."""
    # Here: the worker keeps every flow's imports in memory, and a run every six hours can afford two seconds.
    from aegis_lib.adapters.browser import camera
    from aegis_lib.adapters.picture_diff import Darkroom

    config = _open.config()
    with (
        camera.connect(BrowserSettings(), config.pictures.at_once) as opened,
        database.connect(DatabaseSettings()) as db,
        _open.memory() as memory,
        _open.notifier() as notifier,
    ):
        studio = service.Studio(opened, picture_files.opened(), Darkroom(), db.pictures)
        return service.take_all(
            studio, memory, notifier,
            sites=config.sites.sites, config=config.pictures, now=clock.utcnow(), only=only,
        )  # fmt: skip


@job(timeout_seconds=5400)
def site_screenshots(only: str | None = None) -> State[Any]:
    """Take a picture of every site that asks for one in aegis.yaml, and tell which look different.

    `only` is the name of one site. A page that hangs or crashes costs only its own picture. Which browser
    takes them, how they are compared and what pages may not do is explained in docs/pictures.md.

    Raises:
        DependencyUnavailable: the browser, PostgreSQL or the disk is away; retried.
        Misconfigured: browser or directory cannot be used as set, or `only` is no such site.
    """
    report = photograph(only)
    if report.rows:
        table = [row.model_dump(mode="json") for row in report.rows]
        create_table_artifact(table, key="site-screenshots", description=report.summary)
    return outcome(report)
