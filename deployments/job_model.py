"""Jobs, runs and log lines as values, by the names this package calls them. Nothing of its own is here."""

from __future__ import annotations

from aegis_lib.adapters.prefect_server.job_view import (
    ACTIVE,
    FINAL,
    REFUSED_BY_LIMIT,
    JobView,
    LogLine,
    RunView,
    job_id_of,
)

__all__ = ["ACTIVE", "FINAL", "REFUSED_BY_LIMIT", "JobView", "LogLine", "RunView", "job_id_of"]
