"""How what is ours is called on the server. Imports nothing, for those who must start quickly."""

WORK_POOL = "aegis"
"""From which our own workers take runs."""
DOCKER_POOL = "aegis-docker"
"""The one of Prefect's type `docker`: a container for each run; only where somebody asked for it."""
POOLS = (WORK_POOL, DOCKER_POOL)
CUSTOM_TAG = "aegis-custom"
"""Carried by deployments that a person added; the sync lists them and leaves them alone."""
