"""Makes the status page for `aegis report` as the job does, whether Prefect runs or not. Decides nothing."""

from __future__ import annotations

from pathlib import Path

from aegis_lib import clock
from aegis_lib import config as config_file
from aegis_lib.adapters import picture_files, report_files
from aegis_lib.db import database
from aegis_lib.settings import DatabaseSettings, ReportSettings, ScreenshotSettings, secrets_in_use
from aegis_lib.status_page import service
from aegis_lib.status_page.model import StatusPageReport


def make(output: Path | None = None) -> StatusPageReport:
    """Write the page to `output`, or to its usual place in `AEGIS_REPORT_DIR`.

    Raises:
        DependencyUnavailable: the database does not answer, or the disk is full.
        Misconfigured: aegis.yaml is wrong, or the page cannot be written there.
    """
    config = config_file.load()
    if output is None:
        place = report_files.connect(ReportSettings())
    else:
        place = report_files.ReportFile(output.expanduser().absolute(), "--output")
    with database.connect(DatabaseSettings()) as db:
        return service.write(
            db.status_page,
            picture_files.opened(ScreenshotSettings()),
            place,
            now=clock.utcnow(),
            config=config.status_page,
            sites=config.sites,
            secrets=secrets_in_use(),
        )
