"""Telegram, as a bot that writes to one chat. Must not let its token reach a log: the address contains it.

Telegram Bot API: "Making requests", "sendMessage", "HTML style", "ResponseParameters", "LinkPreviewOptions".
The text is sent as HTML with everything escaped that is not our own markup. There is no way to mark a
repeated request, so a message whose answer was lost may show twice.
"""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable
from typing import Any

import httpx
from pydantic import Field, SecretStr

from aegis_lib.alerts.model import Message, Severity
from aegis_lib.errors import DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.logs import get_logger
from aegis_lib.settings import TelegramSettings
from aegis_lib.web import exchange, text
from aegis_lib.web.exchange import Reply
from aegis_lib.web.secrecy import protect, redact

log = get_logger(__name__)

TEXT_UNITS = 4096
"""Limit of a message's text after its markup is taken out."""
TITLE_UNITS = 200

MARKS = {Severity.INFO: "", Severity.WARNING: "⚠️ ", Severity.CRITICAL: "🔴 "}

_TOKEN = re.compile(r"\d+:[A-Za-z0-9_-]+")
_CHAT = re.compile(r"-?\d{1,20}|@[A-Za-z]\w{3,}")

Payload = dict[str, Any]


class _Sent(Reply):
    message_id: int


class _Parameters(Reply):
    retry_after: int | None = Field(default=None, ge=0)
    migrate_to_chat_id: int | None = None


class _Answer(Reply):
    """The documented envelope of every reply."""

    ok: bool
    result: _Sent | None = None
    error_code: int = 0
    description: str = ""
    parameters: _Parameters = _Parameters()


def channels(
    settings: TelegramSettings, client: httpx.Client, *, clock: Callable[[], float] = time.monotonic
) -> list[Chat]:
    """The chat, where token and chat are set.

    Raises:
        Misconfigured: one without the other, or one that cannot be right.
    """
    if settings.bot_token is None and settings.chat_id is None:
        return []
    if settings.bot_token is None:
        raise Misconfigured(
            "TELEGRAM_BOT_TOKEN", "is not set, but TELEGRAM_CHAT_ID is.", "set both or neither."
        )
    if settings.chat_id is None:
        raise Misconfigured(
            "TELEGRAM_CHAT_ID", "is not set, but TELEGRAM_BOT_TOKEN is.", "set both or neither."
        )
    api_url = exchange.check_address("TELEGRAM_API_URL", settings.api_url)
    return [Chat(client, api_url, settings.bot_token, settings.chat_id, clock=clock)]


class Chat:
    """The chat that alerts go to."""

    name = "telegram"

    def __init__(
        self,
        client: httpx.Client,
        api_url: str,
        token: SecretStr,
        chat_id: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not _TOKEN.fullmatch(token.get_secret_value()):
            raise Misconfigured(
                "TELEGRAM_BOT_TOKEN", "is no bot token.", "copy it from BotFather: 12345:letters."
            )
        if not _CHAT.fullmatch(chat_id):
            raise Misconfigured(
                "TELEGRAM_CHAT_ID", f"{chat_id!r} is no chat.", "set a number, or @name of a public channel."
            )
        self._client, self._api_url, self._token, self._clock = client, api_url, token, clock
        self._chat: int | str = chat_id if chat_id.startswith("@") else int(chat_id)
        self._until = 0.0

    def takes(self, message: Message) -> bool:
        """Alerts; the journal is not sent here."""
        return message.audience == "alerts"

    def parts(self, message: Message) -> list[Payload]:
        """The text in pieces of at most 4096 characters, the title in bold on the first."""
        title = MARKS[message.severity] + text.one_line(message.title, TITLE_UNITS)
        bodies = text.split(message.body, TEXT_UNITS - TITLE_UNITS - 10)
        first = f"<b>{html.escape(title)}</b>" + (f"\n{to_html(bodies[0])}" if bodies else "")
        return [
            {
                "text": content,
                "parse_mode": "HTML",
                "link_preview_options": {"is_disabled": True},
                "disable_notification": message.severity is Severity.INFO,
            }
            for content in [first, *filter(str.strip, map(to_html, bodies[1:]))]
        ]

    def post(self, part: Payload) -> str | None:
        """Send one message; see `Channel.post`. A group that became a supergroup is followed."""
        left = self._until - self._clock()
        if left > 0:
            raise DependencyUnavailable(self.name, "its rate limit is used up.", retry_after_seconds=left)
        said = self._call(part)
        moved = said.parameters.migrate_to_chat_id
        if moved is not None and moved != self._chat:
            log.warning("telegram_chat_moved", hint=f"set TELEGRAM_CHAT_ID to {moved}")
            self._chat = moved
            said = self._call(part)
        if said.ok and said.result is not None:
            return str(said.result.message_id)
        raise self._failure(said)

    def _call(self, part: Payload) -> _Answer:
        url = f"{self._api_url}/bot{protect(self._token)}/sendMessage"
        answer = exchange.send(
            self._client, "POST", url, system=self.name, json={"chat_id": self._chat, **part}
        )
        if answer.status >= 500:
            raise DependencyUnavailable(
                self.name, f"answered HTTP {answer.status}.", "wait; it is Telegram's side."
            )
        return answer.read(_Answer, self.name)

    def _failure(self, said: _Answer) -> DependencyUnavailable | PermanentFailure:
        reason = redact(
            f"Telegram answered {said.error_code}: {said.description[:200] or 'no reason given'}."
        )
        if said.error_code == 429:
            wait = float(said.parameters.retry_after if said.parameters.retry_after is not None else 5)
            self._until = self._clock() + wait
            return DependencyUnavailable(self.name, reason, retry_after_seconds=wait)
        if said.ok or said.error_code >= 500:
            return DependencyUnavailable(self.name, reason, "wait; it is Telegram's side.")
        if said.error_code in {401, 404}:
            return Misconfigured("TELEGRAM_BOT_TOKEN", reason, "copy the token from BotFather again.")
        about_chat = "chat" in said.description.lower() or "peer" in said.description.lower()
        if said.error_code == 403 or (said.error_code == 400 and about_chat):
            return Misconfigured(
                "TELEGRAM_CHAT_ID", reason, "write to the bot or add it to the group, and set that chat's id."
            )
        return PermanentFailure(f"{self.name}: {reason} Fix: report this as a defect.")


_FENCE = re.compile(r"^ {0,3}(?:`{3,}|~{3,})")
_HEADING = re.compile(r"^ {0,3}#{1,6} +(.*?)(?: +#+)?$")
_INLINE = re.compile(
    r"\*\*(?=\S)(?P<bold>.+?)(?<=\S)\*\*|\[(?P<label>[^\[\]]+)\]\((?P<target>https?://[^\s()<>]+)\)"
)


def to_html(body: str) -> str:
    """The few marks of CommonMark that Telegram can show, as its HTML; everything else escaped as it is."""
    rows: list[str] = []
    block: list[str] | None = None
    for row in body.split("\n"):
        if _FENCE.match(row):
            if block is None:
                block = []
            else:
                rows.append(_block(block))
                block = None
        elif block is not None:
            block.append(row)
        else:
            rows.append(_row(row))
    if block is not None:
        rows.append(_block(block))
    return "\n".join(rows)


def _block(rows: list[str]) -> str:
    return f"<pre>{html.escape(chr(10).join(rows))}</pre>" if any(row.strip() for row in rows) else ""


def _row(row: str) -> str:
    heading = _HEADING.match(row)
    if heading:
        return f"<b>{html.escape(heading[1])}</b>"
    pieces = re.split(r"`([^`]+)`", row)
    return "".join(
        f"<code>{html.escape(piece)}</code>" if at % 2 else _inline(html.escape(piece))
        for at, piece in enumerate(pieces)
    )


def _inline(escaped: str) -> str:
    def marked(found: re.Match[str]) -> str:
        if found["bold"]:
            return f"<b>{found['bold']}</b>"
        return f'<a href="{found["target"]}">{found["label"]}</a>'

    return _INLINE.sub(marked, escaped)
