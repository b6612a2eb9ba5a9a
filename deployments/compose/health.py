"""Whether a container does what it is for. Asked every few seconds: cheap, and without any effect.

What costs half a second to import is imported only where it is needed.
"""

from __future__ import annotations

import http.client
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from aegis_lib.errors import AegisError
from deployments.compose.names import WORKER_NAME
from deployments.pools import WORK_POOL

if TYPE_CHECKING:
    from deployments.api import PrefectApi

_PATIENCE_SECONDS = 8.0
_HEARTBEATS = timedelta(seconds=100)
"""Prefect's worker says every 30 s that it lives."""
_PLANNED = Path("/tmp/aegis-planned")  # noqa: S108  the container's own, in memory
_PLANNED_SECONDS = 60.0
"""How long it is believed that every schedule has its next run: that is a question for every job."""


class Unwell(AegisError):
    """The container runs and does not do its work."""


def server() -> int:
    """Whether it answers, reaches its database, and plans runs for every active schedule.

    Raises:
        Unwell: it plans nothing, although it answers.
        DependencyUnavailable: it or its database does not answer.
    """
    port = int(os.environ.get("AEGIS_PORT") or 4200)
    if _age_seconds(_PLANNED) < _PLANNED_SECONDS and _is_ready(port):
        return 0

    from aegis_lib import clock
    from deployments import run_watch

    with _api(f"http://127.0.0.1:{port}/api") as api:
        api.get("/ready")
        if missing := run_watch.without_future_run(api, clock.utcnow()):
            raise Unwell(f"The server plans no run of {', '.join(missing)}. Fix: see its log.")
    _PLANNED.touch()
    return 0


def worker(name: str = WORKER_NAME, pool: str = WORK_POOL) -> int:
    """Whether the server heard of a worker in the last minutes; `pool` is its work pool.

    Raises:
        Unwell: it did not.
        DependencyUnavailable: the server does not answer.
    """
    from aegis_lib import clock
    from deployments import run_watch

    since = clock.utcnow() - _HEARTBEATS
    with _api() as api:
        if not run_watch.worker_seen_since(api, name, since, pool):
            raise Unwell(f"The server has not heard of {name} lately. Fix: see the worker's log.")
    return 0


def _is_ready(port: int) -> bool:
    """Whether it reaches its database, asked without a library."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
    try:
        connection.request("GET", "/api/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _age_seconds(file: Path) -> float:
    try:
        return time.time() - file.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _api(url: str | None = None) -> PrefectApi:
    from aegis_lib.settings import PrefectApiSettings
    from deployments.api import PrefectApi

    settings = PrefectApiSettings().model_copy(update={"timeout_seconds": _PATIENCE_SECONDS})
    return PrefectApi.from_settings(settings.model_copy(update={"url": url}) if url else settings)
