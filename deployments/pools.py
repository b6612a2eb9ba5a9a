"""Names on the server, under the name by which this package calls them. Nothing of its own is here."""

from __future__ import annotations

from aegis_lib.adapters.prefect_server.pools import CUSTOM_TAG, DOCKER_POOL, POOLS, WORK_POOL

__all__ = ["CUSTOM_TAG", "DOCKER_POOL", "POOLS", "WORK_POOL"]
