"""The Discord adapter against the documented protocol."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import httpx
import pytest
from pytest_httpserver import HTTPServer

from aegis_lib.adapters.notify import discord
from aegis_lib.adapters.notify.fanout import Fanout
from aegis_lib.alerts.model import Message, Severity
from aegis_lib.errors import DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.settings import DiscordSettings
from aegis_lib.web import exchange
from tests.fake_services import discord as service
from tests.fake_services.discord import FakeDiscord

MESSAGE = Message(
    title="web_1 is *sick*",
    body="third strike\n```\nOOM\n```",
    severity=Severity.CRITICAL,
    key="container:web",
)


@pytest.fixture
def fake(httpserver: HTTPServer) -> FakeDiscord:
    return FakeDiscord(httpserver)


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with exchange.connect() as opened:
        yield opened


class Clock:
    """Seconds that pass only by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def settings(fake: FakeDiscord, **values: str) -> DiscordSettings:
    given = {"discord_bot_token": service.TOKEN, "discord_alerts_channel": service.ALERTS, **values}
    return DiscordSettings(discord_api_url=fake.api_url, **given)


def notifier(fake: FakeDiscord, client: httpx.Client, clock: Clock, **values: str) -> Fanout:
    found = discord.channels(settings(fake, **values), client, clock=clock)
    return Fanout(found, sleep=clock.sleep, clock=clock, jitter=lambda: 0.0)


def post(fake: FakeDiscord, client: httpx.Client, message: Message = MESSAGE, **values: str) -> str | None:
    (channel,) = discord.channels(settings(fake, **values), client)
    return next(channel.post(part) for part in channel.parts(message))


def test_an_alert_is_shown_with_title_text_and_colour_and_pings_nobody(
    fake: FakeDiscord, client: httpx.Client
) -> None:
    reference = post(fake, client)
    (message,) = fake.rooms[service.ALERTS]
    (embed,) = message["embeds"]
    assert embed["title"] == r"web\_1 is \*sick\*"
    assert embed["description"] == MESSAGE.body
    assert embed["color"] == 0xE74C3C
    assert message["allowed_mentions"] == {"parse": []}
    assert reference == message["id"]


@pytest.mark.parametrize("severity", list(Severity))
def test_each_severity_has_its_own_colour(
    fake: FakeDiscord, client: httpx.Client, severity: Severity
) -> None:
    post(fake, client, Message(title="t", severity=severity))
    others = [Message(title="t", severity=other) for other in Severity if other is not severity]
    (channel,) = discord.channels(settings(fake), client)
    elsewhere = {channel.parts(other)[0]["embeds"][0]["color"] for other in others}
    assert fake.shown(service.ALERTS)[0]["color"] not in elsewhere


def test_a_long_text_arrives_whole_in_several_messages(fake: FakeDiscord, client: httpx.Client) -> None:
    body = "\n".join(f"line {number} 😀 {'x' * 40}" for number in range(200))
    clock = Clock()
    (receipt,) = notifier(fake, client, clock).send(Message(title="long", body=body))
    shown = fake.shown(service.ALERTS)
    assert receipt.delivered
    assert len(shown) == 3
    assert "\n".join(embed["description"] for embed in shown) == body
    assert ["title" in embed for embed in shown] == [True, False, False]


def test_the_same_message_again_is_shown_once(fake: FakeDiscord, client: httpx.Client) -> None:
    assert post(fake, client) == post(fake, client)
    assert len(fake.rooms[service.ALERTS]) == 1


def test_another_message_about_the_same_problem_is_shown_too(fake: FakeDiscord, client: httpx.Client) -> None:
    post(fake, client)
    post(fake, client, MESSAGE.model_copy(update={"title": "web_1 is well again"}))
    assert len(fake.rooms[service.ALERTS]) == 2


def test_a_lost_answer_is_asked_for_again_and_shows_no_second_message(
    fake: FakeDiscord, client: httpx.Client
) -> None:
    fake.lost_answers = 1
    (receipt,) = notifier(fake, client, Clock()).send(MESSAGE)
    assert receipt.delivered
    assert len(fake.requests) == 2
    assert len(fake.rooms[service.ALERTS]) == 1


def test_the_journal_goes_to_the_journals_channel_only(fake: FakeDiscord, client: httpx.Client) -> None:
    values = {"discord_journal_channel": service.JOURNAL, "discord_webhook_url": fake.webhook_url}
    sender = notifier(fake, client, Clock(), **values)
    (receipt,) = sender.send(Message(title="The day", body="# Today", audience="journal"))
    assert receipt.channel == "discord-journal"
    assert [len(fake.rooms[room]) for room in (service.JOURNAL, service.ALERTS, service.WEBHOOK_ID)] == [
        1,
        0,
        0,
    ]


def test_the_webhook_shows_the_same_and_gives_the_messages_id(
    fake: FakeDiscord, client: httpx.Client
) -> None:
    only = DiscordSettings(discord_webhook_url=fake.webhook_url)
    (channel,) = discord.channels(only, client)
    references = [channel.post(part) for part in channel.parts(MESSAGE)]
    assert fake.shown(service.WEBHOOK_ID)[0]["description"] == MESSAGE.body
    assert references == [fake.rooms[service.WEBHOOK_ID][0]["id"]]


@pytest.mark.parametrize("everywhere", [False, True], ids=["route", "global"])
def test_a_rate_limit_is_waited_for_as_long_as_discord_says(
    fake: FakeDiscord, client: httpx.Client, everywhere: bool
) -> None:
    clock = Clock()
    fake.limit(2.5, everywhere=everywhere)
    (receipt,) = notifier(fake, client, clock).send(MESSAGE)
    assert receipt.delivered
    assert clock.slept == [2.5]


def test_a_global_limit_holds_the_bots_other_channel_too(fake: FakeDiscord, client: httpx.Client) -> None:
    clock = Clock()
    sender = notifier(fake, client, clock, discord_journal_channel=service.JOURNAL)
    fake.limit(60, everywhere=True)
    with pytest.raises(DependencyUnavailable) as caught:
        sender.send(MESSAGE)
    assert caught.value.retry_after_seconds == 60
    with pytest.raises(DependencyUnavailable):
        sender.send(Message(title="The day", audience="journal"))
    assert len(fake.requests) == 1, "nothing may be asked while the limit holds"


def test_a_limit_of_one_channel_leaves_the_other_alone(fake: FakeDiscord, client: httpx.Client) -> None:
    clock = Clock()
    sender = notifier(fake, client, clock, discord_journal_channel=service.JOURNAL)
    fake.limit(60)
    with pytest.raises(DependencyUnavailable):
        sender.send(MESSAGE)
    assert sender.send(Message(title="The day", audience="journal"))[0].delivered


def test_a_wait_longer_than_the_time_for_a_message_is_not_waited(
    fake: FakeDiscord, client: httpx.Client
) -> None:
    clock = Clock()
    fake.limit(3600)
    with pytest.raises(DependencyUnavailable, match="rate-limited on this route for 3600 s"):
        notifier(fake, client, clock).send(MESSAGE)
    assert clock.slept == []


def test_an_empty_bucket_is_respected_before_discord_has_to_refuse(
    fake: FakeDiscord, client: httpx.Client
) -> None:
    clock = Clock()
    fake.next_headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "3.25"}
    sender = notifier(fake, client, clock)
    sender.send(MESSAGE)
    sender.send(Message(title="next"))
    assert clock.slept == [3.25]
    assert len(fake.requests) == 2


def test_a_429_without_a_documented_body_is_waited_for_by_its_header(
    fake: FakeDiscord, client: httpx.Client
) -> None:
    clock = Clock()
    fake.fail(429, "Access denied", {"Retry-After": "7"})
    assert notifier(fake, client, clock).send(MESSAGE)[0].delivered
    assert clock.slept == [7.0]


@pytest.mark.parametrize(
    ("values", "variable", "reason"),
    [
        ({"discord_bot_token": "wrong.token.here"}, "DISCORD_BOT_TOKEN", "401"),
        (
            {"discord_alerts_channel": service.LOCKED},
            "DISCORD_ALERTS_CHANNEL",
            "403, code 50013: Missing Perm",
        ),
        ({"discord_alerts_channel": "123"}, "DISCORD_ALERTS_CHANNEL", "404, code 10003: Unknown Channel"),
        ({"discord_alerts_channel": service.VOICE}, "DISCORD_ALERTS_CHANNEL", "non-text"),
    ],
    ids=["wrong-token", "no-permission", "no-channel", "voice-channel"],
)
def test_a_refusal_names_the_variable_to_check_and_is_not_retried(
    fake: FakeDiscord, client: httpx.Client, values: dict[str, str], variable: str, reason: str
) -> None:
    clock = Clock()
    with pytest.raises(Misconfigured, match=reason) as caught:
        post(fake, client, **values)
    assert caught.value.setting == variable
    assert caught.value.mend
    with pytest.raises(PermanentFailure, match=variable):
        notifier(fake, client, clock, **values).send(MESSAGE)
    assert clock.slept == []


@pytest.mark.parametrize(("number", "token"), [("999", service.WEBHOOK_TOKEN), (service.WEBHOOK_ID, "wrong")])
def test_a_dead_webhook_names_its_variable(
    fake: FakeDiscord, client: httpx.Client, number: str, token: str
) -> None:
    url = fake.server.url_for(f"/api/webhooks/{number}/{token}")
    (channel,) = discord.channels(DiscordSettings(discord_webhook_url=url), client)
    with pytest.raises(Misconfigured, match="DISCORD_WEBHOOK_URL") as caught:
        channel.post(channel.parts(MESSAGE)[0])
    assert token not in str(caught.value)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_broken_service_is_tried_again_with_growing_waits(
    fake: FakeDiscord, client: httpx.Client, status: int
) -> None:
    clock = Clock()
    for _ in range(4):
        fake.fail(status, {"message": "upstream"})
    with pytest.raises(DependencyUnavailable, match=str(status)):
        notifier(fake, client, clock).send(MESSAGE)
    assert clock.slept == [0.5, 1.0, 2.0]


def test_an_unexpected_refusal_is_permanent(fake: FakeDiscord, client: httpx.Client) -> None:
    fake.fail(400, {"message": "Invalid Form Body", "code": 50035})
    with pytest.raises(PermanentFailure, match="400, code 50035: Invalid Form Body"):
        post(fake, client)


def test_a_redirect_is_not_followed_with_the_token(fake: FakeDiscord, client: httpx.Client) -> None:
    fake.fail(302, None, {"Location": fake.api_url + f"/channels/{service.JOURNAL}/messages"})
    with pytest.raises(PermanentFailure, match="302"):
        post(fake, client)
    assert len(fake.requests) == 1


def test_a_sign_in_page_instead_of_discord_is_not_taken_for_delivery(
    fake: FakeDiscord, client: httpx.Client
) -> None:
    fake.fail(200, "<html>please sign in</html>")
    with pytest.raises(DependencyUnavailable, match="documented reply"):
        post(fake, client)


def test_a_service_that_is_not_there_is_transient(client: httpx.Client, httpserver: HTTPServer) -> None:
    nowhere = DiscordSettings(
        discord_bot_token=service.TOKEN, discord_alerts_channel="1", discord_api_url="http://127.0.0.1:9/api"
    )
    (channel,) = discord.channels(nowhere, client)
    with pytest.raises(DependencyUnavailable, match="cannot be reached"):
        channel.post(channel.parts(MESSAGE)[0])


def test_a_request_that_leaves_out_a_documented_rule_is_refused_by_the_fake(fake: FakeDiscord) -> None:
    url = f"{fake.api_url}/channels/{service.ALERTS}/messages"
    headers = {"Authorization": f"Bot {service.TOKEN}", "User-Agent": "DiscordBot (x, 1)"}
    good = {"embeds": [{"title": "t"}], "allowed_mentions": {"parse": []}}
    wrong = [
        {**good, "colour": 1},
        {**good, "embeds": [{"title": "t" * 257}]},
        {**good, "embeds": [{"description": "t" * 4097}]},
        {**good, "content": "t" * 2001},
        {**good, "nonce": "n" * 26},
        {"embeds": [{"title": "t"}]},
        {"allowed_mentions": {"parse": []}},
    ]
    answers = [httpx.post(url, json=body, headers=headers).status_code for body in wrong]
    assert answers == [400] * len(wrong)
    assert httpx.post(url, json=good, headers=headers).status_code == 200
    assert httpx.post(url, json=good, headers={"Authorization": service.TOKEN}).status_code == 401


def test_what_is_sent_is_json_of_only_documented_fields(fake: FakeDiscord, client: httpx.Client) -> None:
    post(fake, client)
    (request,) = fake.requests
    sent = json.loads(request.data)
    assert set(sent) == {"embeds", "allowed_mentions", "nonce", "enforce_nonce"}
    assert request.headers["Authorization"] == f"Bot {service.TOKEN}"


def test_no_secret_reaches_a_log_an_error_or_a_receipt(
    fake: FakeDiscord, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("aegis_lib").setLevel(logging.DEBUG)
    clock = Clock()
    sender = notifier(fake, client, clock, discord_webhook_url=fake.webhook_url)
    sender.send(MESSAGE)
    for status in (500, 400):
        fake.fail(status, {"message": f"{service.TOKEN} {service.WEBHOOK_TOKEN}"})
    said = [str(receipt) for receipt in sender.send(MESSAGE)]
    (hook,) = discord.channels(DiscordSettings(discord_webhook_url=fake.webhook_url), client)
    fake.fail(404, {"message": service.WEBHOOK_TOKEN})
    with pytest.raises(Misconfigured) as caught:
        hook.post(hook.parts(MESSAGE)[0])
    error = caught.value
    ours = [record.getMessage() for record in caplog.records if record.name != "werkzeug"]
    said += [str(error), repr(error), repr(error.__cause__), repr(error.__context__), repr(hook), *ours]
    assert any("HTTP Request" in line for line in ours), "httpx must have been heard"
    assert any("notification_failed" in line for line in ours)
    assert service.TOKEN not in "".join(said)
    assert service.WEBHOOK_TOKEN not in "".join(said)
