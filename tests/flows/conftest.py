"""One Prefect server for all flow tests, on SQLite in a temporary directory that ends with the session."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.docker_boxes import boxes, docker_client

__all__ = ["boxes", "docker_client", "prefect_server"]


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """A running Prefect server; yields the URL of its API, which child processes find in PREFECT_API_URL."""
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    os.environ["PREFECT_LOGGING_EXTRA_LOGGERS"] = "aegis_lib"
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=90):
        url = PREFECT_API_URL.value()
        assert url
        before = os.environ.get("PREFECT_API_URL")
        os.environ["PREFECT_API_URL"] = url
        yield url
        if before is None:
            del os.environ["PREFECT_API_URL"]
        else:
            os.environ["PREFECT_API_URL"] = before
