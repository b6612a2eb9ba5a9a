"""Telegram's documented Bot API method sendMessage, on a loopback server; strict about what it accepts.

Telegram Bot API: "Making requests", "sendMessage", "HTML style", "ResponseParameters". Unknown fields are
refused, which the real service ignores.
"""

from __future__ import annotations

import html
import json
import re
import threading
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.fake_services.answers import Queue, reply

TOKEN = "123456789:AAnot-a-real_token-of-these-tests0"
CHAT = -1001234567890
BLOCKED, OLD_GROUP = 4030000000, -40000001

_FIELDS = {
    "chat_id", "text", "parse_mode", "entities", "link_preview_options", "disable_notification",
    "protect_content", "message_thread_id", "reply_parameters", "reply_markup",
}  # fmt: skip
_TAGS = {"b", "strong", "i", "em", "u", "s", "code", "pre", "a", "blockquote"}


class _Html(HTMLParser):
    """Telegram's HTML style: only its tags, properly nested, only its four named entities."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=False)
        self.shown, self.problem, self._open = "", "", list[str]()
        self.feed(text)
        self.close()
        if self._open:
            self.problem = self.problem or f"Can't find end tag corresponding to start tag {self._open[-1]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _TAGS:
            self.problem = f'Unsupported start tag "{tag}"'
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.problem = f'Unmatched end tag "{tag}"'

    def handle_data(self, data: str) -> None:
        if "<" in data or "&" in data:
            self.problem = "unescaped character"
        self.shown += data

    def handle_entityref(self, name: str) -> None:
        if name not in {"lt", "gt", "amp", "quot"}:
            self.problem = f"entity {name}"
        self.shown += html.unescape(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.shown += html.unescape(f"&#{name};")


@dataclass
class FakeTelegram:
    """The service: what is seen in the chat, and what was asked of it."""

    server: HTTPServer
    messages: list[dict[str, Any]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    queue: Queue = field(default_factory=Queue)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        path = re.compile(r"^/bot[^/]*/.*$")
        self.server.expect_request(path, method="POST").respond_with_handler(self._answer)

    @property
    def api_url(self) -> str:
        return self.server.url_for("").rstrip("/")

    def fail(self, code: int, description: str, **parameters: int) -> None:
        """Answer the next request so, without doing anything."""
        self.queue.add(self._error(code, description, **parameters))

    @staticmethod
    def _error(code: int, description: str, **parameters: int) -> Response:
        body: dict[str, Any] = {"ok": False, "error_code": code, "description": description}
        return reply(code, body | ({"parameters": parameters} if parameters else {}))

    def _answer(self, request: Request) -> Response:
        with self._lock:
            self.requests.append(request)
            if (early := self.queue.next()) is not None:
                return early
            token, _, method = request.path.removeprefix("/bot").partition("/")
            if token != TOKEN:
                return self._error(401, "Unauthorized")
            if method != "sendMessage":
                return self._error(404, "Not Found")
            return self._send(json.loads(request.data))

    def _send(self, payload: dict[str, Any]) -> Response:
        if unknown := set(payload) - _FIELDS:
            return self._error(400, f"Bad Request: unknown fields {sorted(unknown)}")
        if payload["chat_id"] == BLOCKED:
            return self._error(403, "Forbidden: bot was blocked by the user")
        if payload["chat_id"] == OLD_GROUP:
            description = "Bad Request: group chat was upgraded to a supergroup chat"
            return self._error(400, description, migrate_to_chat_id=CHAT)
        if payload["chat_id"] != CHAT:
            return self._error(400, "Bad Request: chat not found")
        if payload.get("parse_mode") != "HTML":
            return self._error(400, "Bad Request: unsupported parse_mode")
        parsed = _Html(payload["text"])
        if parsed.problem:
            return self._error(400, f"Bad Request: can't parse entities: {parsed.problem}")
        if not parsed.shown.strip():
            return self._error(400, "Bad Request: message text is empty")
        if len(parsed.shown.encode("utf-16-le")) // 2 > 4096:
            return self._error(400, "Bad Request: message is too long")
        self.messages.append({**payload, "shown": parsed.shown})
        sent = {
            "message_id": len(self.messages),
            "date": 1769320800,
            "chat": {"id": CHAT, "type": "supergroup"},
        }
        return reply(200, {"ok": True, "result": {**sent, "text": parsed.shown}})
