"""A Discord channel in which people write commands, over the REST API. Must never ping anyone.

Discord Developer Documentation: "Get Channel Messages", "Create Message", "Create Reaction" (message
resource), "Get Channel", "Get Current Application" (flags), "Message Content Intent", "Rate Limits". No
gateway connection is held: the bot is offline in the list of members, and still reads and answers.

A short wait that Discord asks for is waited, and a lost or broken answer asked for again, within
`PATIENCE_SECONDS` for all requests together; a longer wait is said (`retry_after_seconds`). Every request
may be repeated: reading changes nothing, a reaction is once by nature, a reply carries a nonce that Discord
checks. A message of a form that we do not know is nobody's command; it does not keep the others from us.
"""

from __future__ import annotations

import json as json_text
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import Field, SecretStr, TypeAdapter, ValidationError

from aegis_lib.commands.model import LONGEST_TEXT_CHARACTERS, ChatMessage
from aegis_lib.errors import DependencyUnavailable, Misconfigured, NotConfigured
from aegis_lib.logs import get_logger
from aegis_lib.settings import DiscordSettings
from aegis_lib.web import discord, exchange, text
from aegis_lib.web.discord import SNOWFLAKE, Limits, Refused, Route
from aegis_lib.web.exchange import Answer, Reply

log = get_logger(__name__)

NAME = "discord-commands"
CONTENT_UNITS = 2000
PATIENCE_SECONDS = 15.0
TIMEOUT_SECONDS = 6.0
WAIT_SECONDS = 0.5
MOST_REQUESTS = 5
"""For one question, rate limits included."""
LARGEST_PAGE_BYTES = 20_000_000
"""A hundred messages with all that may be in them."""

_ORDINARY = {0, 19}
"""Types of messages that people write: a message, and a reply."""
_NO_TEXT_HERE = {4, 13, 14, 15, 16}
"""Types of channels that hold no messages: category, stage, directory, forum, media."""
_CONTENT_FLAGS = 1 << 18 | 1 << 19
"""GATEWAY_MESSAGE_CONTENT and its limited form: the intent is switched on."""
_SUPPRESS_EMBEDS = 1 << 2
_NOT_THERE, _TOO_MANY_REACTIONS, _REACTION_BLOCKED = 10008, 30010, 90001

_VARIABLE = "DISCORD_TASKS_CHANNEL"
_TOKEN_CAUSE = ("DISCORD_BOT_TOKEN", "reset the token on the application's Bot page and set the new one.")
_CAUSES: Mapping[int, tuple[str, str]] = {
    401: _TOKEN_CAUSE,
    403: (
        _VARIABLE,
        "give the bot View Channel, Read Message History, Send Messages and Add Reactions there.",
    ),
    404: (_VARIABLE, "copy the id of a channel that exists and that the bot can see."),
}


class _Author(Reply):
    id: str = Field(pattern=SNOWFLAKE)
    username: str
    bot: bool = False
    system: bool = False


class _Reference(Reply):
    type: int = 0
    message_id: str | None = None


class _Message(Reply):
    """The documented fields of a message that we use."""

    id: str = Field(pattern=SNOWFLAKE)
    type: int
    content: str
    author: _Author
    webhook_id: str | None = None
    edited_timestamp: str | None = None
    message_reference: _Reference | None = None
    embeds: list[Any] = Field(default_factory=list)
    attachments: list[Any] = Field(default_factory=list)
    components: list[Any] = Field(default_factory=list)
    sticker_items: list[Any] = Field(default_factory=list)
    message_snapshots: list[Any] = Field(default_factory=list)
    poll: dict[str, Any] | None = None

    @property
    def by_person(self) -> bool:
        """Neither of a bot, nor of a webhook (whatever author it names), nor a notice of Discord itself."""
        return not (self.author.bot or self.author.system or self.webhook_id) and self.type in _ORDINARY

    @property
    def hollow(self) -> bool:
        """Nothing in it at all."""
        held = (self.embeds, self.attachments, self.components, self.sticker_items, self.message_snapshots)
        return self.by_person and not (self.content or any(held) or self.poll)

    def value(self) -> ChatMessage:
        """As our own value."""
        number = int(self.id)
        return ChatMessage(
            id=number,
            author_id=self.author.id,
            author_name=self.author.username[:128],
            by_person=self.by_person,
            content=self.content[:LONGEST_TEXT_CHARACTERS],
            edited=self.edited_timestamp is not None,
            hollow=self.hollow,
            sent_at=discord.made_at(number),
        )


class _Odd(Reply):
    """What is read of a message of a form that we do not know."""

    id: str = Field(pattern=SNOWFLAKE)

    def value(self) -> ChatMessage:
        """As a message that is nobody's command."""
        number = int(self.id)
        return ChatMessage(
            id=number,
            author_id="",
            author_name="",
            by_person=False,
            content="",
            sent_at=discord.made_at(number),
        )


class _Channel(Reply):
    type: int
    last_message_id: str | None = Field(default=None, pattern=SNOWFLAKE)


class _Application(Reply):
    flags: int = 0


_ROWS = TypeAdapter(list[dict[str, Any]])
"""Read by the standard library: one text that is no Unicode must not spoil the others."""


def _message(row: dict[str, Any]) -> _Message | _Odd:
    try:
        return _Message.model_validate(row)
    except ValidationError:
        log.warning("discord_message_not_understood", message=row.get("id"))
        return _Odd.model_validate(row)


class DiscordChannel:
    """Implements the port `CommandChannel`. Not for several threads at once."""

    def __init__(
        self,
        client: httpx.Client,
        *,
        api_url: str,
        token: SecretStr,
        channel_id: str,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.channel_id = discord.checked_channel(_VARIABLE, channel_id)
        self._token = discord.checked_token(token)
        self._client, self._api_url, self._sleep = client, api_url, sleep
        self._patience = PATIENCE_SECONDS
        limits = Limits()
        self._routes = {
            what: Route(NAME, limits, resource=resource, clock=clock)
            for what, resource in (
                ("read", channel_id),
                ("write", channel_id),
                ("react", channel_id),
                ("channel", channel_id),
                ("application", ""),
            )
        }

    def newest_id(self) -> int:
        """The id of the newest message, whether or not it can be read; 0 in an empty channel."""
        answer = self._ask("channel", "GET", f"/channels/{self.channel_id}")
        found = answer.read(_Channel, NAME)
        if found.type in _NO_TEXT_HERE:
            raise Misconfigured(
                _VARIABLE, f"{self.channel_id} is no text channel.", "copy the id of a text channel."
            )
        return int(found.last_message_id or 0)

    def texts_withheld(self) -> bool:
        """Whether the bot's Message Content Intent is switched off."""
        answer = self._ask("application", "GET", "/applications/@me", causes={401: _TOKEN_CAUSE})
        return not answer.read(_Application, NAME).flags & _CONTENT_FLAGS

    def after(self, message_id: int, limit: int = 100) -> list[ChatMessage]:
        """The messages that follow on that one, the oldest first, at most `limit` (1 to 100)."""
        return [found.value() for found in self._messages({"after": message_id, "limit": limit})]

    def anything(self) -> bool:
        """Whether any message can be read; Discord shows none to a bot that may not Read Message History."""
        return bool(self._messages({"limit": 1}))

    def parts(self, answer: str) -> list[str]:
        """Markdown text cut into what one message can hold, at least one part."""
        return text.split(answer, CONTENT_UNITS) or ["(nothing)"]

    def reply(self, to: int, part: str, nonce: str) -> None:
        """Answer a message, or the room where that message is gone. The same nonce again is no second one."""
        body = {
            "content": part,
            "flags": _SUPPRESS_EMBEDS,
            "allowed_mentions": {"parse": [], "replied_user": False},
            "message_reference": {"message_id": str(to), "fail_if_not_exists": False},
            "nonce": nonce[: discord.NONCE_CHARACTERS],
            "enforce_nonce": True,
        }
        answer = self._ask("write", "POST", f"/channels/{self.channel_id}/messages", json=body)
        answer.read(discord.Created, NAME)

    def replies_to(self, message_id: int) -> list[str]:
        """Our answers to that message among the 100 that follow on it: bots' messages that refer to it."""
        return [
            found.content
            for found in self._messages({"after": message_id, "limit": 100})
            if isinstance(found, _Message) and found.author.bot and found.message_reference is not None
            if found.message_reference.message_id == str(message_id)
        ]

    def react(self, to: int, emoji: str) -> None:
        """Put a reaction on a message; twice is once, and one on a message that is gone is none."""
        path = f"/channels/{self.channel_id}/messages/{to}/reactions/{quote(emoji, safe='')}/@me"
        causes = {status: cause for status, cause in _CAUSES.items() if status != 404}
        try:
            self._ask("react", "PUT", path, causes=causes, forgiven={_REACTION_BLOCKED})
        except Refused as refused:
            if refused.code not in {_NOT_THERE, _TOO_MANY_REACTIONS, _REACTION_BLOCKED}:
                raise

    def _messages(self, params: Mapping[str, str | int]) -> list[_Message | _Odd]:
        answer = self._ask("read", "GET", f"/channels/{self.channel_id}/messages", params=params)
        try:
            found = [_message(row) for row in _ROWS.validate_python(json_text.loads(answer.body))]
        except (ValidationError, ValueError):
            raise DependencyUnavailable(
                NAME,
                "answered with something else than messages.",
                "check that no proxy or sign-in page stands in between.",
            ) from None
        return sorted(found, key=lambda message: int(message.id))

    def _ask(
        self,
        what: str,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        params: Mapping[str, str | int] | None = None,
        causes: Mapping[int, tuple[str, str]] = _CAUSES,
        forgiven: frozenset[int] | set[int] = frozenset(),
    ) -> Answer:
        """One request, again after a wait that Discord asks for, and once where it did not answer.

        `forgiven` codes blame no setting.
        """
        route, failed = self._routes[what], False
        for left in reversed(range(MOST_REQUESTS)):
            try:
                self._wait(route.wait_seconds)
                answer = exchange.send(
                    self._client,
                    method,
                    self._api_url + path,
                    system=NAME,
                    json=json,
                    params=params,
                    headers=discord.headers(self._token),
                    timeout_seconds=TIMEOUT_SECONDS,
                    largest_bytes=LARGEST_PAGE_BYTES,
                )
                route.learn(answer)
                said = answer.read_or_none(discord.Refusal) if answer.status >= 400 else None
                blamed = {} if said is not None and said.code in forgiven else causes
                discord.refuse(answer, NAME, blamed)
            except DependencyUnavailable as away:
                limited = away.retry_after_seconds
                if not left or (failed and limited is None) or (limited or WAIT_SECONDS) > self._patience:
                    raise
                failed = failed or limited is None
                self._wait(WAIT_SECONDS if limited is None else 0)
            else:
                return answer
        raise AssertionError("the last attempt returns or raises")

    def _wait(self, seconds: float) -> None:
        if seconds <= 0:
            return
        if seconds > self._patience:
            raise DependencyUnavailable(NAME, "its rate limit is used up.", retry_after_seconds=seconds)
        self._patience -= seconds
        self._sleep(seconds)


def allowed_users(settings: DiscordSettings) -> frozenset[str]:
    """The ids of the people whose commands are obeyed.

    Raises:
        Misconfigured: something in the list is no id.
    """
    given = settings.allowed_users.replace(",", " ").split()
    for name in given:
        if not name.isascii() or not name.isdigit() or not 15 <= len(name) <= 19:
            raise Misconfigured(
                "DISCORD_ALLOWED_USERS",
                f"{name[:40]!r} is no user id (digits only).",
                "in Discord's developer mode, right-click a person and copy the id; commas between several.",
            )
    return frozenset(given)


@contextmanager
def connect(
    settings: DiscordSettings | None = None, *, sleep: Callable[[float], None] = time.sleep
) -> Iterator[DiscordChannel]:
    """The channel that the settings name. Nothing is sent yet.

    Raises:
        NotConfigured: there is no token, no channel, or nobody who may command.
        Misconfigured: one of them cannot be right.
    """
    chosen = settings or DiscordSettings()
    given = {
        "DISCORD_BOT_TOKEN": chosen.bot_token,
        _VARIABLE: chosen.tasks_channel,
        "DISCORD_ALLOWED_USERS": allowed_users(chosen),
    }
    missing = [variable for variable, value in given.items() if not value]
    if missing or chosen.bot_token is None or chosen.tasks_channel is None:
        raise NotConfigured(*missing, purpose="obey commands from a Discord channel")
    with exchange.connect() as client:
        yield DiscordChannel(
            client,
            api_url=exchange.check_address("DISCORD_API_URL", chosen.api_url),
            token=chosen.bot_token,
            channel_id=chosen.tasks_channel,
            sleep=sleep,
        )
