"""`python -m deployments.compose PART [ARGUMENT...]`: what docker-compose.yml calls in each container.

Imports only what the part needs: health checks are started every few seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from aegis_lib.errors import AegisError

USAGE = """usage: python -m deployments.compose PART

secrets            take over given secrets, make the others
server             the Prefect server
deploy             migrations, jobs and automations
worker             what runs the jobs
docker-worker      starts runs in containers of their own
steward            looks after them all
check server|worker|docker-worker   exit 0 when that part does its work
prefect ...        any command of Prefect, let in by the API
"""


def main(arguments: Sequence[str]) -> int:
    """Run one part; errors are told in a line."""
    try:
        return _run(list(arguments))
    except AegisError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


def _run(arguments: list[str]) -> int:
    match arguments:
        case ["check", "server" | "worker" as name]:
            from deployments.compose import health

            return health.server() if name == "server" else health.worker()
        case ["check", "docker-worker"]:
            from deployments.compose import health
            from deployments.compose.names import DOCKER_WORKER_NAME
            from deployments.pools import DOCKER_POOL

            return health.worker(DOCKER_WORKER_NAME, DOCKER_POOL)
        case ["steward"]:
            from deployments.compose.steward import steward

            return steward()
        case ["secrets"]:
            from deployments.compose import secret_files

            return secret_files.main()
        case ["deploy"]:
            from deployments.compose.deploying import deploy

            return deploy()
        case ["server" | "worker" as name]:
            from deployments.compose import parts

            parts.server() if name == "server" else parts.worker()
        case ["docker-worker"]:
            from deployments.docker_pool.worker import docker_worker

            docker_worker()
        case ["prefect", *rest]:
            from deployments.compose import parts

            parts.prefect(*rest)
    sys.stderr.write(USAGE)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
