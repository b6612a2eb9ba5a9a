"""The dead-man's switch over real HTTP."""

from __future__ import annotations

import socket
import traceback

import pytest
from pydantic import SecretStr
from pytest_httpserver import HTTPServer
from werkzeug import Response

from aegis_lib.adapters import heartbeat
from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured
from aegis_lib.settings import HeartbeatSettings

PATH = "/ping/6f1d-secret"


def switch(url: str, timeout_seconds: float = 5) -> heartbeat.HttpHeartbeat:
    opened = heartbeat.connect(HeartbeatSettings(url=SecretStr(url), timeout_seconds=timeout_seconds))
    assert opened is not None
    return opened


def test_without_an_address_there_is_no_switch() -> None:
    assert heartbeat.connect(HeartbeatSettings()) is None


def test_a_ping_is_one_get(httpserver: HTTPServer) -> None:
    httpserver.expect_ordered_request(PATH, method="GET").respond_with_data("OK")
    switch(httpserver.url_for(PATH)).ping()
    assert len(httpserver.log) == 1


def test_a_redirect_is_followed(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/old").respond_with_response(Response(status=301, headers={"Location": PATH}))
    httpserver.expect_request(PATH).respond_with_data("OK")
    switch(httpserver.url_for("/old")).ping()
    assert [request.path for request, _ in httpserver.log] == ["/old", PATH]


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (500, DependencyUnavailable, "answered 500"),
        (503, DependencyUnavailable, "answered 503"),
        (429, DependencyUnavailable, "answered 429"),
        (404, Misconfigured, "HEARTBEAT_URL: the service answered 404"),
        (410, Misconfigured, "HEARTBEAT_URL: the service answered 410"),
    ],
)
def test_an_answer_other_than_yes_is_an_error_of_its_kind(
    httpserver: HTTPServer, status: int, error: type[AegisError], said: str
) -> None:
    httpserver.expect_request(PATH).respond_with_data("no", status=status)
    with pytest.raises(error, match=said):
        switch(httpserver.url_for(PATH)).ping()


@pytest.mark.parametrize("address", ["not an address", "ftp://host/x", "http://[broken/x", "http:///nohost"])
def test_what_is_no_address_names_the_setting(address: str) -> None:
    with pytest.raises((Misconfigured, DependencyUnavailable), match="HEARTBEAT_URL"):
        switch(address).ping()


def test_no_server_and_no_answer_are_transient_and_never_show_the_address() -> None:
    shown = []
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # takes connections, answers nothing
        for port, said in ((deaf.getsockname()[1], "no answer within 0.2 s"), (1, "could not be reached")):
            with pytest.raises(DependencyUnavailable, match=said) as caught:
                switch(f"http://127.0.0.1:{port}{PATH}", timeout_seconds=0.2).ping()
            shown += traceback.format_exception(caught.value)
    assert "6f1d-secret" not in "".join(shown)
