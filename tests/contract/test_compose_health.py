"""The quick half of the server's health check, against a server."""

from __future__ import annotations

import pytest
from pytest_httpserver import HTTPServer

from deployments.compose import health
from tests.loopback import free_port


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False), (500, False), (401, False)])
def test_only_a_server_that_reaches_its_database_is_ready(
    httpserver: HTTPServer, status: int, ready: bool
) -> None:
    httpserver.expect_request("/api/ready").respond_with_data("", status=status)
    assert health._is_ready(httpserver.port) is ready


def test_nobody_on_the_port_is_not_ready() -> None:
    assert health._is_ready(free_port()) is False
