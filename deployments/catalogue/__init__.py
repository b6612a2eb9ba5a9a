"""The job catalogue: `read()` gives `prefect.yaml` as typed values. Never imports prefect or a flow."""

from __future__ import annotations

from deployments.catalogue.model import (
    CUSTOM_TAG,
    TAG,
    WORK_POOL,
    Catalogue,
    ConcurrencyLimit,
    CronSchedule,
    IntervalSchedule,
    Job,
    Schedule,
    UnknownJob,
)
from deployments.catalogue.reading import CatalogueError, read
from deployments.catalogue.table import job_table_markdown

__all__ = [
    "CUSTOM_TAG",
    "TAG",
    "WORK_POOL",
    "Catalogue",
    "CatalogueError",
    "ConcurrencyLimit",
    "CronSchedule",
    "IntervalSchedule",
    "Job",
    "Schedule",
    "UnknownJob",
    "job_table_markdown",
    "read",
]
