"""The Apprise adapter against a real HTTP service behind Apprise's own json:// plug-in."""

from __future__ import annotations

import json
import logging

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from aegis_lib.adapters.notify import apprise_urls
from aegis_lib.adapters.notify.apprise_urls import AppriseUrl
from aegis_lib.alerts.model import Message, Severity
from aegis_lib.errors import DependencyUnavailable, Misconfigured
from aegis_lib.settings import AlertUrlSettings

# Apprise loads every plug-in at first use; one of its modules imports imghdr.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

PASSWORD = "s3cret-passw0rd"
MESSAGE = Message(title="web is sick", body="a <b> & **c**\n```\nlog\n```", severity=Severity.CRITICAL)


class Received:
    """A service that takes JSON; `status` is what it answers next."""

    def __init__(self, server: HTTPServer) -> None:
        self.bodies: list[dict[str, str]] = []
        self.status = 200
        self.address = f"json://user:{PASSWORD}@{server.host}:{server.port}/hook/t0ken-in-path"
        server.expect_request("/hook/t0ken-in-path").respond_with_handler(self._take)

    def _take(self, request: Request) -> Response:
        self.bodies.append(json.loads(request.data))
        return Response(status=self.status)


@pytest.fixture
def received(httpserver: HTTPServer) -> Received:
    return Received(httpserver)


def connect(*addresses: str) -> list[AppriseUrl]:
    return apprise_urls.channels(AlertUrlSettings(alert_urls="\n".join(addresses)))


def test_a_message_arrives_with_its_kind_and_text(received: Received) -> None:
    (channel,) = connect(received.address)
    assert [channel.post(part) for part in channel.parts(MESSAGE)] == [None]
    (body,) = received.bodies
    assert (body["title"], body["message"], body["type"]) == (MESSAGE.title, MESSAGE.body, "failure")


def test_a_message_without_text_arrives(received: Received) -> None:
    (channel,) = connect(received.address)
    channel.post(Message(title="all well"))
    assert "all well" in (received.bodies[0]["title"], received.bodies[0]["message"])


def test_a_service_that_shows_html_gets_a_lesser_sign_as_text(received: Received) -> None:
    (channel,) = connect(f"{received.address}?format=html")
    channel.post(MESSAGE)
    assert "<b>" not in received.bodies[0]["message"]
    assert "&lt;b&gt;" in received.bodies[0]["message"]


def test_each_address_is_a_channel_of_its_own(received: Received) -> None:
    names = [channel.name for channel in connect(received.address, f" {received.address}?x=1 ")]
    assert names == ["apprise-1 (json)", "apprise-2 (json)"]


def test_a_refusal_is_an_exception_with_apprises_reason_and_no_secret(
    received: Received, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    received.status = 500
    (channel,) = connect(received.address)
    with pytest.raises(DependencyUnavailable, match=r"entry 1 of ALERT_URLS") as caught:
        channel.post(MESSAGE)
    ours = [record.getMessage() for record in caplog.records if record.name != "werkzeug"]
    told = "".join([str(caught.value), repr(channel), channel.name, *ours])
    assert "500" in str(caught.value)
    assert PASSWORD not in told
    assert "t0ken-in-path" not in told


def test_a_service_that_is_not_there_is_transient(received: Received) -> None:
    (channel,) = connect("json://127.0.0.1:9/secret-path")
    with pytest.raises(DependencyUnavailable) as caught:
        channel.post(MESSAGE)
    assert "secret-path" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("tgram://hunter2secret/1", "the tgram:// address is incomplete or wrong"),
        ("nonsense://hunter2secret", "does not begin with a service that Apprise knows"),
        ("hunter2secret", "does not begin with a service"),
        ("json://[hunter2secret", "incomplete or wrong"),
    ],
)
def test_a_bad_address_is_named_by_number_and_not_shown(
    received: Received, caplog: pytest.LogCaptureFixture, address: str, hint: str
) -> None:
    caplog.set_level(1)
    with pytest.raises(Misconfigured, match="ALERT_URLS: entry 2 cannot be used") as caught:
        connect(received.address, address)
    assert hint in str(caught.value)
    assert "hunter2" not in str(caught.value) + caplog.text


def test_apprises_log_is_given_back_afterwards(received: Received, caplog: pytest.LogCaptureFixture) -> None:
    connect(received.address)[0].post(MESSAGE)
    logging.getLogger("apprise").warning("somebody else's line")
    assert "somebody else's line" in caplog.text
