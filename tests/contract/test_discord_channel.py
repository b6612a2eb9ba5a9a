"""The channel of commands against the documented protocol: what is sent, and what is made of every answer."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pytest_httpserver import HTTPServer

from aegis_lib.adapters import discord_channel
from aegis_lib.adapters.discord_channel import DiscordChannel
from aegis_lib.errors import DependencyUnavailable, Misconfigured, NotConfigured, PermanentFailure
from aegis_lib.settings import DiscordSettings
from aegis_lib.web import discord, exchange
from tests.fake_services import discord as service
from tests.fake_services.discord import ADA, BOT_ID, EVE, TASKS, Bucket, FakeDiscord


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


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fake(httpserver: HTTPServer, clock: Clock) -> FakeDiscord:
    return FakeDiscord(httpserver, clock=clock)


def settings(fake: FakeDiscord, **values: str) -> DiscordSettings:
    given = {
        "discord_bot_token": service.TOKEN,
        "discord_tasks_channel": TASKS,
        "discord_allowed_users": ADA,
        **values,
    }
    return DiscordSettings(discord_api_url=fake.api_url, **given)


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with exchange.connect() as opened:
        yield opened


@pytest.fixture
def channel(fake: FakeDiscord, client: httpx.Client, clock: Clock) -> DiscordChannel:
    return made(fake, client, clock)


def made(fake: FakeDiscord, client: httpx.Client, clock: Clock, **values: str) -> DiscordChannel:
    chosen = settings(fake, **values)
    assert chosen.bot_token is not None
    assert chosen.tasks_channel is not None
    return DiscordChannel(
        client, api_url=fake.api_url, token=chosen.bot_token, channel_id=chosen.tasks_channel,
        sleep=clock.sleep, clock=clock,
    )  # fmt: skip


def nonce(text: str = "n") -> str:
    return text * 64


# --- reading ---


def test_messages_come_oldest_first_and_page_by_page(fake: FakeDiscord, channel: DiscordChannel) -> None:
    ids = [fake.say(f"{number}") for number in range(150)]
    first = channel.after(ids[0] - 1, 100)
    second = channel.after(first[-1].id, 100)
    assert [message.id for message in first + second] == ids
    assert [message.content for message in second] == [str(number) for number in range(100, 150)]


def test_a_message_is_read_with_author_and_time(fake: FakeDiscord, channel: DiscordChannel) -> None:
    before = datetime.now(UTC)
    number = fake.say("!help")
    (message,) = channel.after(number - 1)
    assert (message.author_id, message.author_name, message.by_person) == (ADA, "ada", True)
    assert (message.content, message.edited, message.hollow) == ("!help", False, False)
    assert abs(message.sent_at - before) < timedelta(seconds=5)


@pytest.mark.parametrize(
    "fields",
    [
        {"author": {"id": ADA, "username": "ada", "bot": True}},
        {"author": {"id": ADA, "username": "ada", "system": True}},
        {"webhook_id": service.WEBHOOK_ID},
        {"type": 6},
        {"type": 20},
    ],
    ids=["bot", "system", "webhook-in-her-name", "pin-notice", "slash-command"],
)
def test_what_no_person_wrote_is_no_persons(
    fake: FakeDiscord, channel: DiscordChannel, fields: dict[str, Any]
) -> None:
    number = fake.say("!run health_check", **fields)
    assert not channel.after(number - 1)[0].by_person


def test_a_reply_of_a_person_is_a_persons(fake: FakeDiscord, channel: DiscordChannel) -> None:
    number = fake.say("!help", type=19, message_reference={"message_id": "1", "channel_id": TASKS})
    assert channel.after(number - 1)[0].by_person


def test_a_forwarded_command_has_no_text_of_its_own(fake: FakeDiscord, channel: DiscordChannel) -> None:
    snapshot = [{"message": {"content": "!run health_check"}}]
    number = fake.say("", message_reference={"type": 1, "message_id": "1"}, message_snapshots=snapshot)
    (message,) = channel.after(number - 1)
    assert (message.content, message.hollow) == ("", False)


@pytest.mark.parametrize(
    "odd",
    [
        {"content": None},
        {"author": None},
        {"type": "0"},
        {"author": {"id": "x", "username": "ada"}},
    ],
    ids=["no-content", "no-author", "type-as-text", "author-of-no-id"],
)
def test_a_message_of_an_unknown_form_is_nobodys_and_keeps_no_other_from_us(
    fake: FakeDiscord, channel: DiscordChannel, odd: dict[str, Any]
) -> None:
    first = fake.say(**{"content": "!run health_check", **odd})
    fake.say("!help")
    strange, good = channel.after(first - 1)
    assert (strange.id, strange.by_person, strange.content) == (first, False, "")
    assert good.content == "!help"


def test_a_text_that_is_no_unicode_spoils_no_other(fake: FakeDiscord, channel: DiscordChannel) -> None:
    first = fake.say("!task \ud800")
    fake.say("!help")
    assert [message.content for message in channel.after(first - 1)] == ["!task \ud800", "!help"]


def test_an_edited_message_says_so_and_a_deleted_one_is_gone(
    fake: FakeDiscord, channel: DiscordChannel
) -> None:
    one, two = fake.say("one"), fake.say("two")
    fake.edit(one, "!run health_check")
    fake.delete(two)
    (message,) = channel.after(one - 1)
    assert (message.content, message.edited) == ("!run health_check", True)


def test_the_newest_message_is_known_without_reading(fake: FakeDiscord, channel: DiscordChannel) -> None:
    assert channel.newest_id() == 0
    number = fake.say("hello")
    fake.reads_history = False
    assert channel.newest_id() == number
    assert not channel.anything()
    assert channel.after(number - 1) == []
    fake.reads_history = True
    assert channel.anything()


def test_withheld_texts_are_known_by_the_applications_flags(
    fake: FakeDiscord, channel: DiscordChannel
) -> None:
    assert not channel.texts_withheld()
    fake.content_intent = False
    assert channel.texts_withheld()
    number = fake.say("!run health_check")
    (message,) = channel.after(number - 1)
    assert (message.content, message.hollow) == ("", True)


def test_a_picture_without_words_is_not_hollow(fake: FakeDiscord, channel: DiscordChannel) -> None:
    number = fake.say("", attachments=[{"id": "1", "filename": "a.png"}])
    assert not channel.after(number - 1)[0].hollow


# --- answering ---


def test_a_reply_refers_to_its_message_and_pings_nobody(fake: FakeDiscord, channel: DiscordChannel) -> None:
    number = fake.say("!help")
    channel.reply(number, "@everyone <@1> **x** https://example.org", nonce())
    sent = json.loads(fake.asked("POST")[0].data)
    assert sent["allowed_mentions"] == {"parse": [], "replied_user": False}
    assert sent["message_reference"] == {"message_id": str(number), "fail_if_not_exists": False}
    assert (sent["flags"], sent["enforce_nonce"], len(sent["nonce"])) == (4, True, 25)
    assert fake.answers(number) == ["@everyone <@1> **x** https://example.org"]
    assert channel.replies_to(number) == fake.answers(number)


def test_the_same_reply_again_is_one_message(fake: FakeDiscord, channel: DiscordChannel) -> None:
    number = fake.say("!help")
    fake.lost_answers = 1
    channel.reply(number, "once", nonce())
    channel.reply(number, "once", nonce())
    assert fake.answers(number) == ["once"]
    assert len(fake.asked("POST")) == 3


def test_a_reply_to_a_deleted_message_is_said_to_the_room(fake: FakeDiscord, channel: DiscordChannel) -> None:
    number = fake.say("!help")
    fake.delete(number)
    channel.reply(number, "here", nonce())
    assert fake.answers() == ["here"]


def test_only_a_bots_replies_count_as_ours(fake: FakeDiscord, channel: DiscordChannel) -> None:
    number = fake.say("!help")
    fake.say("me too", EVE, type=19, message_reference={"message_id": str(number), "channel_id": TASKS})
    assert channel.replies_to(number) == []


def test_a_long_answer_is_cut_into_parts_that_discord_takes(
    fake: FakeDiscord, channel: DiscordChannel
) -> None:
    number = fake.say("!jobs")
    answer = "```\n" + "\n".join(f"{line} {'😀' * 30}" for line in range(100)) + "\n```"
    parts = channel.parts(answer)
    assert len(parts) > 2
    for place, part in enumerate(parts):
        channel.reply(number, part, nonce(str(place)))
    assert fake.answers(number) == parts
    assert channel.parts("") == ["(nothing)"]


def test_a_reaction_is_put_once_and_its_emoji_is_encoded(fake: FakeDiscord, channel: DiscordChannel) -> None:
    number = fake.say("!run health_check", EVE)
    channel.react(number, "🚫")
    channel.react(number, "🚫")
    assert fake.reactions == {str(number): {"🚫"}}
    assert fake.requests[0].environ["REQUEST_URI"].endswith("/reactions/%F0%9F%9A%AB/@me")


def test_a_reaction_to_what_is_gone_is_none(fake: FakeDiscord, channel: DiscordChannel) -> None:
    number = fake.say("!run health_check", EVE)
    fake.delete(number)
    channel.react(number, "🚫")
    fake.fail(403, {"message": "Reaction was blocked", "code": 90001})
    channel.react(number, "🚫")
    fake.fail(400, {"message": "Maximum number of reactions reached (20)", "code": 30010})
    channel.react(number, "🚫")


# --- rate limits ---


def test_an_empty_bucket_is_respected_before_discord_has_to_refuse(
    fake: FakeDiscord, channel: DiscordChannel, clock: Clock
) -> None:
    fake.buckets["react"] = Bucket("abcd1234", limit=1, seconds=0.25)
    numbers = [fake.say("!x", EVE) for _ in range(3)]
    for number in numbers:
        channel.react(number, "🚫")
    assert clock.slept == [0.25, 0.25]
    assert len(fake.requests) == 3


def test_a_bucket_that_two_routes_share_holds_both(
    fake: FakeDiscord, channel: DiscordChannel, clock: Clock
) -> None:
    shared = Bucket("shared", limit=3, seconds=5)
    fake.buckets |= {"read": shared, "write": shared}
    number = fake.say("!help")
    channel.after(number - 1)
    channel.reply(number, "one", nonce("1"))
    channel.reply(number, "two", nonce("2"))
    channel.after(number - 1)
    assert clock.slept == [5.0]
    assert len(fake.requests) == 4


def test_a_limit_of_one_route_leaves_the_others_alone(
    fake: FakeDiscord, channel: DiscordChannel, clock: Clock
) -> None:
    number = fake.say("!help")
    fake.limit(60)
    with pytest.raises(DependencyUnavailable) as caught:
        channel.reply(number, "x", nonce())
    assert caught.value.retry_after_seconds == 60
    channel.after(number - 1)
    with pytest.raises(DependencyUnavailable):
        channel.reply(number, "x", nonce())
    assert len(fake.requests) == 2, "nothing may be asked on a route while its limit holds"
    assert clock.slept == []


def test_a_global_limit_holds_every_route(fake: FakeDiscord, channel: DiscordChannel) -> None:
    number = fake.say("!help")
    fake.limit(60, everywhere=True)
    with pytest.raises(DependencyUnavailable, match="globally"):
        channel.after(number - 1)
    with pytest.raises(DependencyUnavailable, match="used up"):
        channel.reply(number, "x", nonce())
    assert len(fake.requests) == 1


@pytest.mark.parametrize("everywhere", [False, True], ids=["route", "global"])
def test_a_short_wait_is_waited_as_long_as_discord_says(
    fake: FakeDiscord, channel: DiscordChannel, clock: Clock, everywhere: bool
) -> None:
    number = fake.say("!help")
    fake.limit(1.337, everywhere=everywhere)
    assert len(channel.after(number - 1)) == 1
    assert clock.slept == [pytest.approx(1.337)]


def test_waits_together_are_bounded(fake: FakeDiscord, channel: DiscordChannel, clock: Clock) -> None:
    for _ in range(2):
        fake.limit(8)
    with pytest.raises(DependencyUnavailable) as caught:
        channel.after(1)
    assert caught.value.retry_after_seconds == pytest.approx(8)
    assert sum(clock.slept) <= discord_channel.PATIENCE_SECONDS


def test_a_429_of_the_proxy_in_front_is_waited_for_by_its_header(
    fake: FakeDiscord, channel: DiscordChannel, clock: Clock
) -> None:
    fake.fail(429, "Access denied", {"Retry-After": "7"})
    channel.after(1)
    assert clock.slept == [7.0]


# --- refusals ---


@pytest.mark.parametrize(
    ("values", "variable", "reason"),
    [
        ({"discord_bot_token": "wrong.token.here"}, "DISCORD_BOT_TOKEN", "401"),
        ({"discord_tasks_channel": service.LOCKED}, "DISCORD_TASKS_CHANNEL", "403, code 50013"),
        ({"discord_tasks_channel": "123"}, "DISCORD_TASKS_CHANNEL", "404, code 10003: Unknown Channel"),
    ],
    ids=["wrong-token", "no-permission", "no-channel"],
)
@pytest.mark.parametrize("asking", ["after", "newest_id", "reply"])
def test_a_refusal_names_the_variable_to_check(
    fake: FakeDiscord,
    client: httpx.Client,
    clock: Clock,
    values: dict[str, str],
    variable: str,
    reason: str,
    asking: str,
) -> None:
    channel = made(fake, client, clock, **values)
    acts = {
        "after": lambda: channel.after(1),
        "newest_id": channel.newest_id,
        "reply": lambda: channel.reply(1, "x", nonce()),
    }
    with pytest.raises(Misconfigured, match=reason) as caught:
        acts[asking]()
    assert caught.value.setting == variable
    assert caught.value.mend
    assert len(fake.requests) == 1
    assert clock.slept == []


def test_a_channel_that_holds_no_messages_is_refused(
    fake: FakeDiscord, client: httpx.Client, clock: Clock
) -> None:
    with pytest.raises(Misconfigured, match="no text channel"):
        made(fake, client, clock, discord_tasks_channel=service.VOICE).newest_id()


def test_a_missing_right_to_write_or_react_names_the_rights(
    fake: FakeDiscord, channel: DiscordChannel
) -> None:
    number = fake.say("!help")
    fake.sends = fake.adds_reactions = False
    for act in (lambda: channel.reply(number, "x", nonce()), lambda: channel.react(number, "🚫")):
        with pytest.raises(Misconfigured, match="Send Messages and Add Reactions"):
            act()


def test_a_text_that_discord_does_not_take_is_a_refusal_of_that_text_only(
    fake: FakeDiscord, channel: DiscordChannel
) -> None:
    fake.fail(400, {"message": "Invalid Form Body", "code": 50035})
    with pytest.raises(PermanentFailure, match="50035") as caught:
        channel.reply(1, "x", nonce())
    assert not isinstance(caught.value, Misconfigured)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_broken_service_is_asked_once_more_and_then_said(
    fake: FakeDiscord, channel: DiscordChannel, clock: Clock, status: int
) -> None:
    fake.fail(status, {"message": "upstream"})
    assert channel.after(1) == []
    for _ in range(2):
        fake.fail(status, {"message": "upstream"})
    with pytest.raises(DependencyUnavailable, match=str(status)):
        channel.after(1)
    assert len(fake.requests) == 4
    assert clock.slept == [0.5, 0.5]


@pytest.mark.parametrize(
    "body", ["<html>please sign in</html>", {"message": "hello"}, [{"content": "!help"}]]
)
def test_something_else_than_messages_is_not_an_empty_channel(
    fake: FakeDiscord, channel: DiscordChannel, body: Any
) -> None:
    fake.fail(200, body)
    with pytest.raises(DependencyUnavailable, match="something else than messages"):
        channel.after(1)


def test_a_redirect_is_not_followed_with_the_token(fake: FakeDiscord, channel: DiscordChannel) -> None:
    fake.fail(302, None, {"Location": fake.api_url + "/applications/@me"})
    with pytest.raises(PermanentFailure, match="302"):
        channel.after(1)
    assert len(fake.requests) == 1


def test_the_token_reaches_no_log_and_no_error(
    fake: FakeDiscord, channel: DiscordChannel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    channel.after(1)
    fake.fail(400, {"message": f"you sent {service.TOKEN}"})
    with pytest.raises(PermanentFailure) as caught:
        channel.after(1)
    ours = [record.getMessage() for record in caplog.records if record.name != "werkzeug"]
    assert any("HTTP Request" in line for line in ours), "httpx must have been heard"
    assert service.TOKEN not in "".join([*ours, str(caught.value), repr(channel)])


# --- settings ---


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ({}, {"DISCORD_BOT_TOKEN", "DISCORD_TASKS_CHANNEL", "DISCORD_ALLOWED_USERS"}),
        ({"discord_bot_token": service.TOKEN}, {"DISCORD_TASKS_CHANNEL", "DISCORD_ALLOWED_USERS"}),
        (
            {"discord_bot_token": service.TOKEN, "discord_tasks_channel": TASKS},
            {"DISCORD_ALLOWED_USERS"},
        ),
    ],
)
def test_what_is_not_set_is_named(values: dict[str, str], missing: set[str]) -> None:
    with pytest.raises(NotConfigured) as caught, discord_channel.connect(DiscordSettings(**values)):
        pass
    assert set(caught.value.settings) == missing


@pytest.mark.parametrize(
    ("given", "ids"),
    [("", set()), (f" {ADA} ", {ADA}), (f"{ADA},{EVE}", {ADA, EVE}), (f"{ADA}, {EVE}\n", {ADA, EVE})],
)
def test_people_are_listed_by_commas_or_spaces(given: str, ids: set[str]) -> None:
    assert discord_channel.allowed_users(DiscordSettings(discord_allowed_users=given)) == ids


@pytest.mark.parametrize("given", ["ada", "*", "@everyone", f"{ADA};{EVE}", "123", f"<@{ADA}>", "٤" * 18])
def test_what_is_no_id_is_refused(given: str) -> None:
    with pytest.raises(Misconfigured, match="DISCORD_ALLOWED_USERS"):
        discord_channel.allowed_users(DiscordSettings(discord_allowed_users=given))


def test_the_commands_channel_alone_makes_no_channel_for_alerts() -> None:
    from aegis_lib.adapters.notify import discord as alerts

    only = DiscordSettings(discord_bot_token=service.TOKEN, discord_tasks_channel=TASKS)
    with exchange.connect() as client:
        assert alerts.channels(only, client) == []


# --- the fake itself ---


def asked(fake: FakeDiscord, path: str, **params: str | int) -> httpx.Response:
    headers = {"Authorization": f"Bot {service.TOKEN}", "User-Agent": "DiscordBot (x, 1)"}
    return httpx.get(fake.api_url + path, params=params, headers=headers)


def test_the_fake_answers_as_documented_newest_first_after_an_id(fake: FakeDiscord) -> None:
    ids = [fake.say(str(number)) for number in range(10)]
    path = f"/channels/{TASKS}/messages"
    page = asked(fake, path, after=ids[2], limit=3).json()
    assert [int(message["id"]) for message in page] == [ids[5], ids[4], ids[3]]
    assert [int(message["id"]) for message in asked(fake, path, limit=2).json()] == [ids[9], ids[8]]
    assert asked(fake, path, before=ids[1]).json()[0]["id"] == str(ids[0])


@pytest.mark.parametrize(
    "params", [{"limit": 0}, {"limit": 101}, {"after": 1, "before": 2}, {"after": "x"}, {"since": 1}]
)
def test_the_fake_refuses_what_is_not_documented(fake: FakeDiscord, params: dict[str, str | int]) -> None:
    assert asked(fake, f"/channels/{TASKS}/messages", **params).status_code == 400


def test_the_fake_withholds_texts_as_documented(fake: FakeDiscord, channel: DiscordChannel) -> None:
    number = fake.say("!help")
    fake.say(f"<@{BOT_ID}> hello")
    channel.reply(number, "own", nonce())
    fake.content_intent = False
    found = asked(fake, f"/channels/{TASKS}/messages").json()
    assert [message["content"] for message in reversed(found)] == ["", f"<@{BOT_ID}> hello", "own"]


def test_ids_and_times_agree() -> None:
    moment = datetime(2026, 1, 25, 12, 0, 0, 123000, tzinfo=UTC)
    assert discord.made_at(discord.first_id_at(moment)) == moment
    assert discord.made_at(175928847299117063) == datetime(2016, 4, 30, 11, 18, 25, 796000, tzinfo=UTC)
