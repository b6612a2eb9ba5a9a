"""Names that parts of the stack of containers agree on. Nothing else."""

WORKER_NAME = "aegis-worker"
"""The same for ever: by it the worker finds the runs that an earlier container left behind."""
DOCKER_WORKER_NAME = "aegis-docker-worker"
"""The one of the Docker pool."""
