"""The container that starts runs of the Docker pool: Prefect's own worker, once the pool says how.

A run's container is made of what this one is made of. The way to the engine that may create containers is in
no run's network.
"""

from __future__ import annotations

import os
import socket
from typing import Any, NoReturn

import docker
from docker.errors import DockerException
from prefect_docker.worker import DockerWorker

from aegis_lib.errors import DependencyUnavailable
from deployments.api import NotFound, PrefectApi
from deployments.compose.names import DOCKER_WORKER_NAME
from deployments.compose.parts import api_secret, become_prefect, insist, say
from deployments.docker_pool.work_pool import (
    DOCKER_POOL_TYPE,
    Template,
    job_template,
    run_container,
)
from deployments.pools import DOCKER_POOL

_OWN_NETWORK = "pool-engine"
_DESCRIPTION = "Runs of Aegis jobs, each in a container of its own."


def docker_worker() -> NoReturn:
    """Write the pool, then become its worker."""
    secret = api_secret()
    stock = DockerWorker.get_default_base_job_template()
    wanted = run_container(insist(_own_container), (_OWN_NETWORK,))
    if wanted.held_back:
        say(
            f"Not handed to runs, where everyone would see it: {', '.join(wanted.held_back)}. "
            "Fix: write each into a file of that name in compose/secrets, then docker-compose up -d."
        )
    template = job_template(stock, wanted)
    with PrefectApi.from_settings() as api:
        say(f"Work pool {DOCKER_POOL}: {insist(lambda: write_pool(api, template))}")
    options = ("--pool", DOCKER_POOL, "--type", DOCKER_POOL_TYPE, "--name", DOCKER_WORKER_NAME)
    become_prefect("worker", "start", *options, settings={"PREFECT_API_AUTH_STRING": secret})


def write_pool(api: PrefectApi, template: Template) -> str:
    """Make the pool, or bring its template up to this container; what was done, in a word."""
    try:
        known = api.get(f"/work_pools/{DOCKER_POOL}")
    except NotFound:
        body = {"name": DOCKER_POOL, "type": DOCKER_POOL_TYPE, "base_job_template": template}
        api.post("/work_pools/", {**body, "description": _DESCRIPTION})
        return "made"
    if known["base_job_template"] == template:
        return "as it should be"
    api.patch(f"/work_pools/{DOCKER_POOL}", {"base_job_template": template})
    return "changed"


def _own_container() -> dict[str, Any]:
    try:
        client = docker.from_env(timeout=10)
        try:
            found: dict[str, Any] = client.containers.get(socket.gethostname()).attrs
        finally:
            client.close()
    except (DockerException, OSError) as error:
        where = os.environ.get("DOCKER_HOST", "the Docker socket")
        raise DependencyUnavailable("Docker engine", f"{where}: {error}.") from error
    return found
