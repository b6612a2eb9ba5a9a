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
from pydantic import SecretStr

from aegis_lib.adapters.notify.channel import Channel
from aegis_lib.alerts.model import Message, Severity
from aegis_lib.errors import Misconfigured
from aegis_lib.settings import DiscordSettings
from aegis_lib.web import discord, exchange, text
from aegis_lib.web.discord import Limits, Route
from aegis_lib.web.secrecy import protect

TITLE_UNITS = 256
DESCRIPTION_UNITS = 4096
COLOURS = {Severity.INFO: 0x3498DB, Severity.WARNING: 0xF1C40F, Severity.CRITICAL: 0xE74C3C}

_WEBHOOK = re.compile(r"(?P<start>https?://[^/?#]+/api(?:/v\d+)?/webhooks/\d+/)(?P<token>[\w-]+)/?")
_MARKUP = re.compile(r"([\\*_~`|\[\]<>])")

Payload = dict[str, Any]


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
    used = settings.tasks_channel or any(room for _, room in rooms.values())
    if settings.bot_token is not None and not used:
        raise Misconfigured(
            "DISCORD_ALERTS_CHANNEL",
            "is not set, but DISCORD_BOT_TOKEN is.",
            "set the id of the channel to write to, or leave both out.",
        )
    limits = Limits()
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
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._token = discord.checked_token(token)
        self._client, self._variable, self._audience = client, variable, audience
        self._url = f"{api_url}/channels/{discord.checked_channel(variable, channel_id)}/messages"
        self._route = Route(self.name, limits, resource=channel_id, clock=clock)

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
            payload["nonce"] = hashlib.sha256(seed.encode()).hexdigest()[: discord.NONCE_CHARACTERS]
            payload["enforce_nonce"] = True
        return payloads

    def post(self, part: Payload) -> str | None:
        """Create the message; see `Channel.post`."""
        self._route.wait_our_turn()
        answer = exchange.send(
            self._client,
            "POST",
            self._url,
            system=self.name,
            json=part,
            headers=discord.headers(self._token),
        )
        self._route.learn(answer)
        discord.refuse(
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
        return answer.read(discord.Created, self.name).id


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
        self._route = Route(self.name, Limits(), resource=matched["start"], clock=clock)

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
        answer = exchange.send(self._client, "POST", url, system=self.name, json=part)
        self._route.learn(answer)
        mend = ("DISCORD_WEBHOOK_URL", "make a new webhook in the channel's settings and set its address.")
        discord.refuse(answer, self.name, {401: mend, 403: mend, 404: mend})
        return answer.read(discord.Created, self.name).id


def _payloads(message: Message) -> list[Payload]:
    title = _title(message.title)
    texts: Sequence[str] = text.split(message.body, DESCRIPTION_UNITS) or [""]
    payloads = []
    for number, body in enumerate(texts):
        embed: dict[str, Any] = {"color": COLOURS[message.severity]}
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
