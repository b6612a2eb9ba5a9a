"""Discord, as a bot that writes to channels or by an incoming webhook. Must never ping anyone.

Discord Developer Documentation: "Create Message" (channel resource), "Execute Webhook" (webhook resource),
"Embed Limits", "Rate Limits", "Opcodes and Status Codes". A message is one embed per part: the title, the
text and the severity as colour. What a bot sends carries a nonce that Discord checks, so that a repeated
request within the next minutes shows no second message; a webhook has nothing like it, and a request whose
answer was lost may show twice.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import httpx
from pydantic import Field, SecretStr

from aegis_lib.adapters.notify import exchange, text
from aegis_lib.adapters.notify.channel import Channel
from aegis_lib.adapters.notify.exchange import Answer, Reply
from aegis_lib.adapters.notify.secrecy import protect, redact
from aegis_lib.alerts.model import Message
from aegis_lib.errors import DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.settings import DiscordSettings

TITLE_UNITS = 256
DESCRIPTION_UNITS = 4096
NONCE_CHARACTERS = 25

_WRONG_ROOM = {10003, 50008}
"""Discord's codes for an unknown channel and for one that holds no text."""
_TOKEN = re.compile(r"[A-Za-z0-9._-]+")
_SNOWFLAKE = re.compile(r"\d{1,20}")
_WEBHOOK = re.compile(r"(?P<start>https?://[^/?#]+/api(?:/v\d+)?/webhooks/\d+/)(?P<token>[\w-]+)/?")
_MARKUP = re.compile(r"([\\*_~`|\[\]<>])")

Payload = dict[str, Any]


class _Created(Reply):
    id: str = Field(pattern=r"^\d{1,20}$")


class _Error(Reply):
    """The documented body of a refusal; `retry_after` is in seconds and comes with status 429."""

    message: str = ""
    code: int = 0
    retry_after: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    is_global: bool = Field(default=False, alias="global")


def channels(
    settings: DiscordSettings, client: httpx.Client, *, clock: Callable[[], float] = time.monotonic
) -> list[Channel[Payload]]:
    """Every way into Discord that the settings give: the alerts channel, the journal's, the webhook.

    Raises:
        Misconfigured: a token without a channel, a channel without a token, or one that cannot be right.
    """
    rooms = {
        "alerts": ("DISCORD_ALERTS_CHANNEL", settings.alerts_channel),
        "journal": ("DISCORD_JOURNAL_CHANNEL", settings.journal_channel),
    }
    found: list[Channel[Payload]] = []
    if settings.bot_token is not None and not any(room for _, room in rooms.values()):
        raise Misconfigured(
            "DISCORD_ALERTS_CHANNEL",
            "is not set, but DISCORD_BOT_TOKEN is.",
            "set the id of the channel to write to, or leave both out.",
        )
    limits = _GlobalLimit()
    for audience, (variable, room) in rooms.items():
        if not room:
            continue
        if settings.bot_token is None:
            raise Misconfigured(
                "DISCORD_BOT_TOKEN", f"is not set, but {variable} is.", "set both, or leave both out."
            )
        found.append(
            BotChannel(
                client,
                api_url=exchange.check_address("DISCORD_API_URL", settings.api_url),
                token=settings.bot_token,
                channel_id=room,
                variable=variable,
                audience="alerts" if audience == "alerts" else "journal",
                limits=limits,
                clock=clock,
            )
        )
    if settings.webhook_url is not None:
        found.append(Webhook(client, settings.webhook_url, clock=clock))
    return found


class _GlobalLimit:
    """When the bot as a whole may write again; shared by its channels."""

    def __init__(self) -> None:
        self.until = 0.0


class _Route:
    """One rate-limited way: remembers what Discord said about when the next request may be made."""

    def __init__(self, name: str, clock: Callable[[], float], limits: _GlobalLimit) -> None:
        self._name, self._clock, self._limits = name, clock, limits
        self._until = 0.0

    def wait_our_turn(self) -> None:
        left = max(self._until, self._limits.until) - self._clock()
        if left > 0:
            raise DependencyUnavailable(self._name, "its rate limit is used up.", retry_after_seconds=left)

    def learn(self, answer: Answer) -> None:
        """Note the headers of any answer, and the wait that a 429 asks for.

        Raises:
            DependencyUnavailable: the answer is a 429.
        """
        if answer.status != 429:
            reset = answer.seconds("x-ratelimit-reset-after")
            if answer.headers.get("x-ratelimit-remaining") == "0" and reset is not None:
                self._until = self._clock() + reset
            return
        said = answer.read_or_none(_Error) or _Error()
        asked = [said.retry_after, answer.seconds("retry-after"), answer.seconds("x-ratelimit-reset-after")]
        wait = next((seconds for seconds in asked if seconds is not None), 5.0)
        everywhere = said.is_global or answer.headers.get("x-ratelimit-global", "").lower() == "true"
        if everywhere:
            self._limits.until = self._clock() + wait
        else:
            self._until = self._clock() + wait
        scope = "globally" if everywhere else "on this route"
        raise DependencyUnavailable(
            self._name, f"is rate-limited {scope} for {wait:g} s (429).", retry_after_seconds=wait
        )


class BotChannel:
    """A channel that the bot writes to."""

    def __init__(
        self,
        client: httpx.Client,
        *,
        api_url: str,
        token: SecretStr,
        channel_id: str,
        variable: str,
        audience: Literal["alerts", "journal"],
        limits: _GlobalLimit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not _TOKEN.fullmatch(token.get_secret_value()):
            raise Misconfigured(
                "DISCORD_BOT_TOKEN",
                "is no bot token.",
                "copy it from the application's Bot page, without 'Bot '.",
            )
        if not _SNOWFLAKE.fullmatch(channel_id):
            raise Misconfigured(
                variable,
                f"{channel_id!r} is no channel id (digits only).",
                "in Discord's developer mode, right-click the channel and copy its id.",
            )
        self._client, self._token, self._variable, self._audience = client, token, variable, audience
        self._url = f"{api_url}/channels/{channel_id}/messages"
        self._route = _Route(self.name, clock, limits)

    @property
    def name(self) -> str:
        """`discord` for alerts, `discord-journal` for the journal."""
        return "discord" if self._audience == "alerts" else "discord-journal"

    def takes(self, message: Message) -> bool:
        """Messages for this channel's own audience."""
        return message.audience == self._audience

    def parts(self, message: Message) -> list[Payload]:
        """One request body per part; the nonce follows from key and content, so a repetition has the same."""
        payloads = _payloads(message)
        for number, payload in enumerate(payloads):
            seed = f"{message.key}\n{number}\n{payload['embeds']!r}"
            payload["nonce"] = hashlib.sha256(seed.encode()).hexdigest()[:NONCE_CHARACTERS]
            payload["enforce_nonce"] = True
        return payloads

    def post(self, part: Payload) -> str | None:
        """Create the message; see `Channel.post`."""
        self._route.wait_our_turn()
        answer = exchange.post(
            self._client,
            self._url,
            system=self.name,
            json=part,
            headers={
                "authorization": f"Bot {protect(self._token)}",
                "user-agent": exchange.user_agent("DiscordBot"),
            },
        )
        self._route.learn(answer)
        _refuse(
            answer,
            self.name,
            {
                401: (
                    "DISCORD_BOT_TOKEN",
                    "reset the token on the application's Bot page and set the new one.",
                ),
                403: (
                    self._variable,
                    "invite the bot and give it View Channel, Send Messages and Embed Links there.",
                ),
                404: (self._variable, "copy the id of a channel that exists and that the bot can see."),
            },
        )
        return answer.read(_Created, self.name).id


class Webhook:
    """An incoming webhook: its address alone allows writing."""

    name = "discord-webhook"

    def __init__(
        self, client: httpx.Client, url: SecretStr, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        matched = _WEBHOOK.fullmatch(url.get_secret_value())
        if matched is None:
            raise Misconfigured(
                "DISCORD_WEBHOOK_URL",
                "is no Discord webhook address.",
                "copy it from the channel's settings, Integrations, Webhooks.",
            )
        exchange.check_address("DISCORD_WEBHOOK_URL", url.get_secret_value())
        self._client = client
        self._start, self._token = matched["start"], SecretStr(matched["token"])
        self._route = _Route(self.name, clock, _GlobalLimit())

    def takes(self, message: Message) -> bool:
        """Alerts only: the webhook belongs to one channel, and that is for alerts."""
        return message.audience == "alerts"

    def parts(self, message: Message) -> list[Payload]:
        """One request body per part."""
        return _payloads(message)

    def post(self, part: Payload) -> str | None:
        """Execute the webhook and wait for the message; see `Channel.post`."""
        self._route.wait_our_turn()
        url = f"{self._start}{protect(self._token)}?wait=true"
        answer = exchange.post(self._client, url, system=self.name, json=part)
        self._route.learn(answer)
        mend = ("DISCORD_WEBHOOK_URL", "make a new webhook in the channel's settings and set its address.")
        _refuse(answer, self.name, {401: mend, 403: mend, 404: mend})
        return answer.read(_Created, self.name).id


def _payloads(message: Message) -> list[Payload]:
    title = _title(message.title)
    texts: Sequence[str] = text.split(message.body, DESCRIPTION_UNITS) or [""]
    payloads = []
    for number, body in enumerate(texts):
        embed: dict[str, Any] = {"color": text.COLOURS[message.severity]}
        if number == 0:
            embed["title"] = title
        if body:
            embed["description"] = body
        payloads.append({"embeds": [embed], "allowed_mentions": {"parse": []}})
    return payloads


def _title(title: str) -> str:
    """The title with its markup made plain; the marks for that may make it too long."""
    for limit in (TITLE_UNITS, TITLE_UNITS // 2):
        escaped = _MARKUP.sub(r"\\\1", text.one_line(title, limit))
        if text.size(escaped) <= TITLE_UNITS:
            break
    return escaped


def _refuse(answer: Answer, system: str, causes: dict[int, tuple[str, str]]) -> None:
    """Raise for every answer that is not a success, by kind."""
    if answer.status in {200, 201}:
        return
    said = answer.read_or_none(_Error) or _Error()
    code = f", code {said.code}" if said.code else ""
    reason = redact(f"Discord answered {answer.status}{code}: {said.message[:200] or 'no reason given'}.")
    cause = 404 if said.code in _WRONG_ROOM else answer.status
    if cause in causes:
        variable, mend = causes[cause]
        raise Misconfigured(variable, reason, mend)
    if answer.status >= 500 or answer.status == 408:
        raise DependencyUnavailable(system, reason, "wait; see Discord's status page.")
    raise PermanentFailure(f"{system}: {reason} Fix: check DISCORD_API_URL, else report this as a defect.")
