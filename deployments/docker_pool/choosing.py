"""Which work pool the runs of a job go to, as a person chose it. Sends nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from aegis_lib.errors import PermanentFailure
from deployments.api import NotFound, PrefectApi
from deployments.catalogue.model import Job
from deployments.docker_pool.work_pool import DOCKER_POOL_TYPE
from deployments.pools import DOCKER_POOL, WORK_POOL


def pools(api: PrefectApi, choice: Literal["aegis", "docker"], jobs: Iterable[Job]) -> dict[str, str]:
    """The work pool of each job, by job id.

    Raises:
        PermanentFailure: there is no Docker pool on the server, or it is for another kind of worker.
    """
    if choice == "docker":
        _require_docker_pool(api)
    name = DOCKER_POOL if choice == "docker" else WORK_POOL
    return {job.id: name for job in jobs}


def _require_docker_pool(api: PrefectApi) -> None:
    try:
        kind = api.get(f"/work_pools/{DOCKER_POOL}")["type"]
    except NotFound:
        raise PermanentFailure(
            f"There is no work pool {DOCKER_POOL!r} on the Prefect server: its worker makes it. "
            "Fix: docker-compose --profile docker-pool up -d docker-worker"
        ) from None
    if kind != DOCKER_POOL_TYPE:
        raise PermanentFailure(
            f"Work pool {DOCKER_POOL!r} is of type {kind!r}, not {DOCKER_POOL_TYPE!r}. "
            f"Fix: delete it (prefect work-pool delete {DOCKER_POOL}); its worker makes it anew."
        )
