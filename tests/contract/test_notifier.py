"""What services rely on in a `Notifier`: the same of the fake and of the real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_httpserver import HTTPServer

from aegis_lib.adapters.notify import fanout
from aegis_lib.alerts.model import Message
from aegis_lib.errors import DependencyUnavailable, PermanentFailure
from aegis_lib.ports.alerts import Notifier
from aegis_lib.settings import AlertUrlSettings, DiscordSettings, TelegramSettings
from tests.fake_services import discord as service
from tests.fake_services.discord import FakeDiscord
from tests.fakes.alerts import FakeNotifier


class Case:
    """A notifier with an alerts and a journal channel, and the two ways in which both can fail."""

    def __init__(self, notifier: Notifier, server: FakeDiscord | None) -> None:
        self.notifier, self._server = notifier, server

    def break_for_now(self) -> None:
        if self._server is None:
            assert isinstance(self.notifier, FakeNotifier)
            self.notifier.broken = DependencyUnavailable("fake", "is away.")
        else:
            for _ in range(8):
                self._server.fail(503, {"message": "later"})

    def break_for_good(self) -> None:
        if self._server is None:
            assert isinstance(self.notifier, FakeNotifier)
            self.notifier.broken = PermanentFailure("no")
        else:
            self._server.fail(403, {"message": "Missing Permissions", "code": 50013})


@pytest.fixture(params=["fake", "real"])
def case(request: pytest.FixtureRequest, httpserver: HTTPServer) -> Iterator[Case]:
    if request.param == "fake":
        yield Case(FakeNotifier(), None)
        return
    server = FakeDiscord(httpserver)
    settings = DiscordSettings(
        discord_bot_token=service.TOKEN,
        discord_alerts_channel=service.ALERTS,
        discord_journal_channel=service.JOURNAL,
        discord_api_url=server.api_url,
    )
    with fanout.connect(settings, TelegramSettings(), AlertUrlSettings(), sleep=lambda _: None) as notifier:
        yield Case(notifier, server)


@pytest.mark.parametrize("audience", ["alerts", "journal"])
def test_a_delivered_message_has_a_receipt_with_a_reference(case: Case, audience: str) -> None:
    (receipt,) = case.notifier.send(Message.model_validate({"title": "t", "body": "b", "audience": audience}))
    assert receipt.delivered
    assert receipt.reference
    assert receipt.problem is None


def test_two_messages_have_two_references(case: Case) -> None:
    receipts = [case.notifier.send(Message(title=title))[0] for title in ("one", "two")]
    assert receipts[0].reference != receipts[1].reference


def test_a_service_that_is_away_is_a_transient_failure(case: Case) -> None:
    case.break_for_now()
    with pytest.raises(DependencyUnavailable):
        case.notifier.send(Message(title="t"))


def test_a_refusal_is_a_permanent_failure(case: Case) -> None:
    case.break_for_good()
    with pytest.raises(PermanentFailure):
        case.notifier.send(Message(title="t"))
