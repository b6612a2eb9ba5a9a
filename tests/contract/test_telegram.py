"""The Telegram adapter against the documented protocol."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator

import httpx
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from aegis_lib.adapters.notify import telegram
from aegis_lib.adapters.notify.fanout import Fanout
from aegis_lib.alerts.model import Message, Severity
from aegis_lib.errors import DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.settings import TelegramSettings
from aegis_lib.web import exchange
from tests.fake_services import telegram as service
from tests.fake_services.telegram import FakeTelegram

MESSAGE = Message(title="web is <sick> & tired", body="**third** strike", severity=Severity.CRITICAL)


@pytest.fixture
def fake(httpserver: HTTPServer) -> FakeTelegram:
    return FakeTelegram(httpserver)


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with exchange.connect() as opened:
        yield opened


def chat(fake: FakeTelegram, client: httpx.Client, **values: str) -> telegram.Chat:
    given = {"telegram_bot_token": service.TOKEN, "telegram_chat_id": str(service.CHAT), **values}
    (found,) = telegram.channels(TelegramSettings(telegram_api_url=fake.api_url, **given), client)
    return found


def post(channel: telegram.Chat, message: Message = MESSAGE) -> list[str | None]:
    return [channel.post(part) for part in channel.parts(message)]


def test_an_alert_is_shown_with_a_bold_title_and_everything_else_as_it_was_written(
    fake: FakeTelegram, client: httpx.Client
) -> None:
    assert post(chat(fake, client)) == ["1"]
    (message,) = fake.messages
    assert message["text"] == "<b>🔴 web is &lt;sick&gt; &amp; tired</b>\n<b>third</b> strike"
    assert message["shown"] == "🔴 web is <sick> & tired\nthird strike"
    assert message["disable_notification"] is False
    assert message["link_preview_options"] == {"is_disabled": True}


def test_information_comes_without_a_sound(fake: FakeTelegram, client: httpx.Client) -> None:
    post(chat(fake, client), Message(title="all well"))
    assert fake.messages[0]["disable_notification"] is True


@pytest.mark.parametrize(
    "body",
    [
        "a <b>not ours</b> & <script>",
        "```\nlog <line> & `tick` **not bold**\n```",
        "**unclosed and `unclosed",
        "**bold `code**` crossing**",
        "[label](https://example.org/?a=1&b=2) and [bad](javascript:alert(1))",
        "**[both](https://example.org/**)",
        "# Heading <1>\n- item_with_underscores\n~~~\nunclosed fence",
        "&lt; already an entity",
        "```\n```",
        "\u202ereversed \x1b[31m red \x00 nul \ud800 lone",
    ],
)
def test_any_text_is_taken_by_telegram(fake: FakeTelegram, client: httpx.Client, body: str) -> None:
    assert post(chat(fake, client), Message(title="<t> & **t**", body=body)) == ["1"]


def test_a_code_block_is_shown_as_one(fake: FakeTelegram, client: httpx.Client) -> None:
    post(chat(fake, client), Message(title="t", body="before\n```text\na < b\nc\n```\nafter"))
    assert fake.messages[0]["text"] == "<b>t</b>\nbefore\n<pre>a &lt; b\nc</pre>\nafter"


def test_a_long_log_arrives_in_several_messages_each_a_whole_block(
    fake: FakeTelegram, client: httpx.Client
) -> None:
    lines = [f"{number} 😀 <error> {'x' * 60}" for number in range(150)]
    body = "\n".join(["```", *lines, "```"])
    references = post(chat(fake, client), Message(title="t" * 200, body=body, severity=Severity.WARNING))
    assert len(references) == 3
    assert all("<pre>" in message["text"] for message in fake.messages)
    shown = "\n".join(message["shown"] for message in fake.messages).split("\n")
    assert [line for line in shown if "error" in line] == lines


def test_an_endless_text_is_cut_and_says_so(fake: FakeTelegram, client: httpx.Client) -> None:
    post(chat(fake, client), Message(title="t", body="word " * 10_000))
    assert len(fake.messages) == 5
    assert fake.messages[-1]["shown"].rstrip().endswith("more characters not shown)")


def test_a_rate_limit_asks_for_its_wait(fake: FakeTelegram, client: httpx.Client) -> None:
    now = 100.0
    slept: list[float] = []
    settings = TelegramSettings(
        telegram_api_url=fake.api_url, telegram_bot_token=service.TOKEN, telegram_chat_id=str(service.CHAT)
    )

    def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += seconds

    channels = telegram.channels(settings, client, clock=lambda: now)
    fake.fail(429, "Too Many Requests: retry after 9", retry_after=9)
    sender = Fanout(channels, sleep=sleep, clock=lambda: now, jitter=lambda: 0.0)
    (receipt,) = sender.send(MESSAGE)
    assert receipt.delivered
    assert slept == [9.0]


def test_nothing_is_asked_while_the_limit_holds(fake: FakeTelegram, client: httpx.Client) -> None:
    channel = chat(fake, client)
    fake.fail(429, "Too Many Requests: retry after 90", retry_after=90)
    for _ in range(2):
        with pytest.raises(DependencyUnavailable) as caught:
            post(channel)
        assert caught.value.retry_after_seconds == pytest.approx(90, abs=5)
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    ("values", "variable", "reason"),
    [
        ({"telegram_bot_token": "1:wrong"}, "TELEGRAM_BOT_TOKEN", "401: Unauthorized"),
        ({"telegram_chat_id": "55"}, "TELEGRAM_CHAT_ID", "chat not found"),
        ({"telegram_chat_id": str(service.BLOCKED)}, "TELEGRAM_CHAT_ID", "403: Forbidden: bot was blocked"),
    ],
    ids=["wrong-token", "no-chat", "blocked"],
)
def test_a_refusal_names_the_variable_to_check(
    fake: FakeTelegram, client: httpx.Client, values: dict[str, str], variable: str, reason: str
) -> None:
    with pytest.raises(Misconfigured, match=reason) as caught:
        post(chat(fake, client, **values))
    assert caught.value.setting == variable
    assert caught.value.mend


def test_a_group_that_became_a_supergroup_is_followed_and_said(
    fake: FakeTelegram, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    assert post(chat(fake, client, telegram_chat_id=str(service.OLD_GROUP))) == ["1"]
    assert f"set TELEGRAM_CHAT_ID to {service.CHAT}" in caplog.text


def test_another_refusal_is_permanent(fake: FakeTelegram, client: httpx.Client) -> None:
    fake.fail(400, "Bad Request: can't parse entities")
    with pytest.raises(PermanentFailure, match="can't parse entities"):
        post(chat(fake, client))


def test_a_missing_token_path_names_the_token(fake: FakeTelegram, client: httpx.Client) -> None:
    fake.fail(404, "Not Found")
    with pytest.raises(Misconfigured, match="TELEGRAM_BOT_TOKEN"):
        post(chat(fake, client))


@pytest.mark.parametrize("code", [500, 502])
def test_a_broken_service_is_transient(fake: FakeTelegram, client: httpx.Client, code: int) -> None:
    fake.fail(code, "Internal Server Error")
    with pytest.raises(DependencyUnavailable, match=str(code)):
        post(chat(fake, client))


def test_an_answer_that_is_not_telegrams_is_not_taken_for_delivery(
    client: httpx.Client, httpserver: HTTPServer
) -> None:
    httpserver.expect_request(f"/bot{service.TOKEN}/sendMessage").respond_with_data("<html>sign in</html>")
    settings = TelegramSettings(
        telegram_api_url=httpserver.url_for(""), telegram_bot_token=service.TOKEN, telegram_chat_id="1"
    )
    (channel,) = telegram.channels(settings, client)
    with pytest.raises(DependencyUnavailable, match="documented reply"):
        post(channel)


def test_a_hanging_service_is_given_up_in_time_and_its_address_is_not_said(
    client: httpx.Client, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drip(_: Request) -> Response:
        return Response((b" " for _ in range(10_000_000)), direct_passthrough=True)

    httpserver.expect_request(f"/bot{service.TOKEN}/sendMessage").respond_with_handler(drip)
    url = httpserver.url_for(f"/bot{service.TOKEN}/sendMessage")
    with pytest.raises(DependencyUnavailable, match=r"within 0\.2 s") as caught:
        exchange.send(client, "POST", url, system="telegram", json={}, timeout_seconds=0.2)
    assert service.TOKEN not in "".join(traceback.format_exception(caught.value))


def test_no_token_reaches_a_log_an_error_or_a_traceback(
    fake: FakeTelegram, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    post(chat(fake, client))
    nowhere = TelegramSettings(
        telegram_api_url="http://127.0.0.1:9", telegram_bot_token=service.TOKEN, telegram_chat_id="1"
    )
    (channel,) = telegram.channels(nowhere, client)
    with pytest.raises(DependencyUnavailable) as caught:
        post(channel)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    ours = [record.getMessage() for record in caplog.records if record.name != "werkzeug"]
    assert any("HTTP Request" in line for line in ours), "httpx must have been heard"
    told = [*ours, str(error), repr(channel), *traceback.format_exception(error)]
    assert service.TOKEN not in "".join(told)
    assert service.TOKEN.split(":")[1] not in "".join(told)


def test_what_is_sent_has_only_documented_fields(fake: FakeTelegram, client: httpx.Client) -> None:
    post(chat(fake, client))
    sent = json.loads(fake.requests[0].data)
    assert set(sent) == {"chat_id", "text", "parse_mode", "link_preview_options", "disable_notification"}
    assert sent["chat_id"] == service.CHAT


def test_a_request_that_breaks_a_documented_rule_is_refused_by_the_fake(fake: FakeTelegram) -> None:
    url = f"{fake.api_url}/bot{service.TOKEN}/sendMessage"
    good = {"chat_id": service.CHAT, "text": "<b>t</b>", "parse_mode": "HTML"}
    wrong = [
        {**good, "txt": "t"},
        {**good, "text": "t" * 4097},
        {**good, "text": "<b>t"},
        {**good, "text": "a & b < c"},
        {**good, "text": "<table>t</table>"},
        {**good, "text": "<b></b>"},
    ]
    assert [httpx.post(url, json=body).status_code for body in wrong] == [400] * len(wrong)
    assert httpx.post(url, json=good).status_code == 200
