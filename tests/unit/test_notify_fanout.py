"""The fan-out: every channel on its own, retries that end, and what is not sent."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from aegis_lib.adapters.notify import console, fanout
from aegis_lib.adapters.notify.channel import Broken, Channel
from aegis_lib.adapters.notify.fanout import Fanout
from aegis_lib.alerts.model import Message, Severity
from aegis_lib.errors import DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.settings import AlertUrlSettings, DiscordSettings, TelegramSettings

MESSAGE = Message(title="web is sick", body="third strike", severity=Severity.CRITICAL)
TOKEN = "MTIz.not-a.token"


class Room:
    """A channel that answers as it is told: an exception is raised, anything else is the reference."""

    def __init__(
        self, name: str, *answers: object, journal: bool = False, parts: Sequence[str] = ("only",)
    ) -> None:
        self.name, self._answers, self._journal, self._parts = name, list(answers), journal, parts
        self.sent: list[str] = []

    def takes(self, message: Message) -> bool:
        return (message.audience == "journal") == self._journal

    def parts(self, message: Message) -> Sequence[str]:
        return self._parts

    def post(self, part: str) -> str | None:
        answer = self._answers.pop(0) if self._answers else f"{self.name}:{part}"
        if isinstance(answer, Exception):
            raise answer
        self.sent.append(part)
        return None if answer is None else str(answer)


class Time:
    """Passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def connect(*rooms: Room, time: Time | None = None, jitter: Callable[[], float] = lambda: 0.0) -> Fanout:
    time = time or Time()
    return Fanout(rooms, sleep=time.sleep, clock=lambda: time.now, jitter=jitter)


def away(name: str = "x", wait: float | None = None) -> DependencyUnavailable:
    return DependencyUnavailable(name, "did not answer.", retry_after_seconds=wait)


def test_every_channel_gets_the_message_and_gives_a_receipt() -> None:
    one, two = Room("one"), Room("two", None)
    receipts = connect(one, two).send(MESSAGE)
    assert [(r.channel, r.delivered, r.reference, r.problem) for r in receipts] == [
        ("one", True, "one:only", None),
        ("two", True, None, None),
    ]


def test_a_channel_that_refuses_does_not_keep_the_others_from_the_message() -> None:
    broken, well = Room("broken", Misconfigured("X", "is wrong.", "mend it.")), Room("well")
    receipts = connect(broken, well).send(MESSAGE)
    assert [r.delivered for r in receipts] == [False, True]
    assert receipts[0].problem == "X: is wrong. Fix: mend it."


def test_a_defect_in_one_channel_does_not_keep_the_others_from_the_message() -> None:
    broken, well = Room("broken", KeyError("oops")), Room("well")
    receipts = connect(broken, well).send(MESSAGE)
    assert [r.delivered for r in receipts] == [False, True]
    assert "KeyError" in (receipts[0].problem or "")


def test_a_failure_is_logged_with_channel_and_reason(caplog: pytest.LogCaptureFixture) -> None:
    connect(Room("broken", PermanentFailure("no such room")), Room("well")).send(MESSAGE)
    assert 'event=notification_failed channel=broken title="web is sick"' in caplog.text
    assert "no such room" in caplog.text


def test_a_channel_that_comes_back_delivers_after_growing_waits() -> None:
    time = Time()
    room = Room("one", away(), away(), "7")
    (receipt,) = connect(room, time=time).send(MESSAGE)
    assert receipt.delivered
    assert receipt.reference == "7"
    assert receipt.problem is None
    assert time.slept == [0.5, 1.0]


def test_the_waits_are_jittered_up_to_twice() -> None:
    time = Time()
    connect(Room("one", away(), away()), time=time, jitter=lambda: 1.0).send(MESSAGE)
    assert time.slept == [1.0, 2.0]


def test_all_channels_are_tried_once_before_any_is_tried_again() -> None:
    time = Time()
    order: list[str] = []

    class Noted(Room):
        def post(self, part: str) -> str | None:
            order.append(self.name)
            return super().post(part)

    connect(Noted("slow", away()), Noted("quick"), time=time).send(MESSAGE)
    assert order == ["slow", "quick", "slow"]


def test_what_was_delivered_is_not_sent_again() -> None:
    room = Room("one", "11", away(), "12", parts=("first", "second"))
    (receipt,) = connect(room).send(MESSAGE)
    assert room.sent == ["first", "second"]
    assert receipt.reference == "11"


def test_a_channel_that_stays_away_is_given_up_after_four_attempts() -> None:
    time = Time()
    away_for_ever = Room("one", *[away()] * 99)
    receipts = connect(away_for_ever, Room("two"), time=time).send(MESSAGE)
    assert [r.delivered for r in receipts] == [False, True]
    assert time.slept == [0.5, 1.0, 2.0]


def test_progress_starts_the_count_of_attempts_anew() -> None:
    answers = [away(), away(), away(), "1", away(), away(), away(), "2"]
    (receipt,) = connect(Room("one", *answers, parts=("a", "b"))).send(MESSAGE)
    assert receipt.delivered


def test_a_wait_that_the_service_asks_for_is_kept() -> None:
    time = Time()
    connect(Room("one", away(wait=12.5)), time=time).send(MESSAGE)
    assert time.slept == [12.5]


def test_no_attempt_begins_after_the_time_for_a_message_is_up() -> None:
    time = Time()
    room = Room("one", away(wait=30), away(wait=30))
    with pytest.raises(DependencyUnavailable) as caught:
        connect(room, time=time).send(MESSAGE)
    assert time.slept == [30]
    assert caught.value.retry_after_seconds == 30


def test_when_all_fail_and_one_may_come_back_the_failure_is_transient_and_names_all() -> None:
    rooms = Room("one", *[away("one", 99)] * 9), Room("two", PermanentFailure("two refused"))
    with pytest.raises(DependencyUnavailable, match=r"\[one\].*\[two\] two refused"):
        connect(*rooms).send(MESSAGE)


def test_when_all_refuse_the_failure_is_permanent() -> None:
    rooms = Room("one", PermanentFailure("no")), Room("two", Misconfigured("X", "is wrong."))
    with pytest.raises(PermanentFailure, match=r"\[one\] no \[two\] X: is wrong"):
        connect(*rooms).send(MESSAGE)


def test_the_journal_goes_only_to_the_journals_channel() -> None:
    alerts, journal = Room("alerts"), Room("journal", journal=True)
    (receipt,) = connect(alerts, journal).send(Message(title="The day", audience="journal"))
    assert receipt.channel == "journal"
    assert alerts.sent == []


def test_a_journal_without_a_channel_is_no_failure_and_has_no_receipt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "aegis_lib")
    alerts = Room("alerts")
    assert connect(alerts).send(Message(title="The day", audience="journal")) == ()
    assert alerts.sent == []
    assert "event=notification_without_channel audience=journal" in caplog.text


def channels(**values: str) -> tuple[Channel[Any], ...]:
    with fanout.connect(
        DiscordSettings(**{k: v for k, v in values.items() if k.startswith("discord")}),
        TelegramSettings(**{k: v for k, v in values.items() if k.startswith("telegram")}),
        AlertUrlSettings(),
    ) as notifier:
        return notifier.channels


def names(**values: str) -> list[str]:
    return [channel.name for channel in channels(**values)]


def misconfigured(**values: str) -> Misconfigured:
    (channel,) = channels(**values)
    assert isinstance(channel, Broken)
    return channel.error


def test_every_configured_channel_is_connected() -> None:
    found = names(
        discord_bot_token=TOKEN,
        discord_alerts_channel="1",
        discord_journal_channel="2",
        discord_webhook_url="https://discord.com/api/webhooks/1/abc-DEF_1",
        telegram_bot_token="1:abc",
        telegram_chat_id="-1001",
    )
    assert found == ["discord", "discord-journal", "discord-webhook", "telegram"]


def test_nothing_configured_means_the_console() -> None:
    assert names() == ["console"]


def test_a_journal_channel_alone_leaves_alerts_to_the_console() -> None:
    assert names(discord_bot_token=TOKEN, discord_journal_channel="2") == ["discord-journal", "console"]


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ({"discord_bot_token": TOKEN}, "DISCORD_ALERTS_CHANNEL"),
        ({"discord_alerts_channel": "1"}, "DISCORD_BOT_TOKEN"),
        ({"discord_journal_channel": "1"}, "DISCORD_BOT_TOKEN"),
        ({"telegram_bot_token": "1:abc"}, "TELEGRAM_CHAT_ID"),
        ({"telegram_chat_id": "1"}, "TELEGRAM_BOT_TOKEN"),
    ],
)
def test_half_a_configuration_refuses_messages_and_names_the_other_half(
    values: dict[str, str], missing: str
) -> None:
    error = misconfigured(**values)
    assert error.setting == missing
    assert next(iter(values)).upper() in error.problem


def test_a_channel_that_is_half_configured_does_not_keep_the_others_from_delivering() -> None:
    telegram = TelegramSettings(telegram_bot_token="1:abc")
    with fanout.connect(DiscordSettings(), telegram, AlertUrlSettings()) as notifier:
        (broken,) = notifier.channels
        well = Room("well")
        receipts = fanout.Fanout([broken, well], sleep=lambda _: None).send(MESSAGE)
    assert [(r.channel, r.delivered) for r in receipts] == [("telegram", False), ("well", True)]
    assert "TELEGRAM_CHAT_ID" in (receipts[0].problem or "")


def test_a_message_that_only_a_half_configured_channel_would_take_counts_as_refused() -> None:
    telegram = TelegramSettings(telegram_bot_token="1:abc")
    with (
        fanout.connect(DiscordSettings(), telegram, AlertUrlSettings()) as notifier,
        pytest.raises(PermanentFailure, match="TELEGRAM_CHAT_ID"),
    ):
        notifier.send(MESSAGE)


@pytest.mark.parametrize(
    ("values", "setting"),
    [
        ({"discord_bot_token": "Bot x y", "discord_alerts_channel": "1"}, "DISCORD_BOT_TOKEN"),
        ({"discord_bot_token": TOKEN, "discord_alerts_channel": "#alerts"}, "DISCORD_ALERTS_CHANNEL"),
        (
            {"discord_bot_token": TOKEN, "discord_alerts_channel": "1", "discord_api_url": "ftp://x"},
            "DISCORD_API_URL",
        ),
        ({"discord_webhook_url": "https://example.org/s3cr3t-part"}, "DISCORD_WEBHOOK_URL"),
        ({"discord_webhook_url": "http://example.org/api/webhooks/1/s3cr3t-part"}, "DISCORD_WEBHOOK_URL"),
        ({"telegram_bot_token": "1:a/../s3cr3t-part", "telegram_chat_id": "1"}, "TELEGRAM_BOT_TOKEN"),
        ({"telegram_bot_token": "1:a", "telegram_chat_id": "my group"}, "TELEGRAM_CHAT_ID"),
        (
            {"telegram_bot_token": "1:a", "telegram_chat_id": "1", "telegram_api_url": "http://example.org"},
            "TELEGRAM_API_URL",
        ),
    ],
)
def test_a_value_that_cannot_be_right_is_named_before_anything_is_sent(
    values: dict[str, str], setting: str
) -> None:
    error = misconfigured(**values)
    assert error.setting == setting
    assert error.mend
    assert "s3cr3t" not in str(error)


def test_the_console_writes_at_the_level_of_the_severity_and_explains_itself_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    console._say_once.cache_clear()
    caplog.set_level(logging.INFO, "aegis_lib")
    with fanout.connect(DiscordSettings(), TelegramSettings(), AlertUrlSettings()) as notifier:
        (receipt,) = notifier.send(MESSAGE)
        notifier.send(Message(title="fine"))
    levels = [r.levelname for r in caplog.records if "event=notification " in r.getMessage()]
    assert levels == ["ERROR", "INFO"]
    assert receipt.channel == "console"
    assert caplog.text.count("no_notification_channel") == 1


def test_apprise_is_not_loaded_where_it_is_not_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "apprise", raising=False)
    names(telegram_bot_token="1:abc", telegram_chat_id="-1001")
    assert "apprise" not in sys.modules
