"""Discord's documented REST protocol for creating messages, on a loopback server; strict in what it accepts.

Discord Developer Documentation: "Create Message", "Execute Webhook", "Embed Limits", "Rate Limits". Fields
that the documentation does not name are refused, which the real service is too lenient to do.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.fake_services.answers import Queue, reply

TOKEN = "MTIzNDU2Nzg5.GabcDE.not-a-real-token_for-tests"
WEBHOOK_TOKEN = "w3bh00k-s3cret_token-of-this-test"
ALERTS, JOURNAL, LOCKED, VOICE = (
    "100000000000000001",
    "100000000000000002",
    "100000000000000403",
    "100000000000000008",
)
WEBHOOK_ID = "200000000000000001"

_EMBED_LIMITS = {"title": 256, "description": 4096}
_EMBED_FIELDS = {"title", "type", "description", "url", "timestamp", "color", "footer", "fields", "author"}
_MESSAGE_FIELDS = {
    "content",
    "tts",
    "embeds",
    "allowed_mentions",
    "components",
    "attachments",
    "flags",
    "poll",
}
_BOT_FIELDS = _MESSAGE_FIELDS | {"nonce", "enforce_nonce", "message_reference", "sticker_ids"}
_WEBHOOK_FIELDS = _MESSAGE_FIELDS | {"username", "avatar_url", "thread_name", "applied_tags"}


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def refusal(payload: Any, fields: set[str]) -> str:
    """Why Discord would not take this body; empty when it would."""
    if not isinstance(payload, dict):
        return "not an object"
    if unknown := set(payload) - fields:
        return f"unknown fields {sorted(unknown)}"
    content, embeds = payload.get("content") or "", payload.get("embeds") or []
    if not content and not embeds:
        return "Cannot send an empty message"
    if units(content) > 2000:
        return "content: Must be 2000 or fewer in length."
    if len(embeds) > 10:
        return "embeds: 10 or fewer"
    total = 0
    for embed in embeds:
        if unknown := set(embed) - _EMBED_FIELDS:
            return f"unknown embed fields {sorted(unknown)}"
        if not (embed.get("title") or "").strip() and not (embed.get("description") or "").strip():
            return "embed: This field is required"
        for name, limit in _EMBED_LIMITS.items():
            if units(embed.get(name, "")) > limit:
                return f"{name}: Must be {limit} or fewer in length."
            total += units(embed.get(name, ""))
        if not 0 <= embed.get("color", 0) <= 0xFFFFFF:
            return "color: out of range"
    if total > 6000:
        return "Embed size exceeds maximum size of 6000"
    if payload.get("allowed_mentions") != {"parse": []}:
        return "this test wants no mention ever to be allowed"
    if len(str(payload.get("nonce", ""))) > 25:
        return "nonce: Must be 25 or fewer in length."
    return ""


@dataclass
class FakeDiscord:
    """The service: what people see in each room, and what was asked of it."""

    server: HTTPServer
    rooms: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {ALERTS: [], JOURNAL: [], WEBHOOK_ID: []}
    )
    requests: list[Request] = field(default_factory=list)
    queue: Queue = field(default_factory=Queue)
    next_headers: dict[str, str] = field(default_factory=dict)
    lost_answers: int = 0
    _nonces: dict[str, dict[str, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        channel = re.compile(r"^/api/v10/channels/(\d+)/messages$")
        self.server.expect_request(channel, method="POST").respond_with_handler(self._create)
        hook = re.compile(r"^/api/webhooks/\d+/[\w-]+$")
        self.server.expect_request(hook, method="POST").respond_with_handler(self._execute)

    @property
    def api_url(self) -> str:
        return self.server.url_for("/api/v10")

    @property
    def webhook_url(self) -> str:
        return self.server.url_for(f"/api/webhooks/{WEBHOOK_ID}/{WEBHOOK_TOKEN}")

    def fail(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        """Answer the next request so, without doing anything."""
        self.queue.add(reply(status, body, headers))

    def limit(self, seconds: float, *, everywhere: bool = False) -> None:
        """Answer the next request with a 429 as documented."""
        headers = {
            "Retry-After": str(int(seconds) + 1),
            "X-RateLimit-Scope": "global" if everywhere else "user",
        }
        headers |= {"X-RateLimit-Global": "true"} if everywhere else {"X-RateLimit-Reset-After": str(seconds)}
        body = {"message": "You are being rate limited.", "retry_after": seconds, "global": everywhere}
        self.fail(429, body, headers)

    def shown(self, room: str) -> list[dict[str, Any]]:
        return [embed for message in self.rooms[room] for embed in message["embeds"]]

    def _create(self, request: Request) -> Response:
        with self._lock:
            self.requests.append(request)
            if (early := self.queue.next()) is not None:
                return early
            if request.headers.get("Authorization") != f"Bot {TOKEN}":
                return reply(401, {"message": "401: Unauthorized", "code": 0})
            if not request.headers.get("User-Agent", "").startswith("DiscordBot ("):
                return reply(403, {"message": "a bot's User-Agent is documented", "code": 40333})
            room = request.path.split("/")[-2]
            if room == LOCKED:
                return reply(403, {"message": "Missing Permissions", "code": 50013})
            if room == VOICE:
                return reply(400, {"message": "Cannot send messages in a non-text channel", "code": 50008})
            if room not in self.rooms:
                return reply(404, {"message": "Unknown Channel", "code": 10003})
            return self._take(request, room, _BOT_FIELDS)

    def _execute(self, request: Request) -> Response:
        with self._lock:
            self.requests.append(request)
            if (early := self.queue.next()) is not None:
                return early
            identity, token = request.path.split("/")[-2:]
            if identity != WEBHOOK_ID:
                return reply(404, {"message": "Unknown Webhook", "code": 10015})
            if token != WEBHOOK_TOKEN:
                return reply(401, {"message": "Invalid Webhook Token", "code": 50027})
            answer = self._take(request, identity, _WEBHOOK_FIELDS)
            if answer.status_code == 200 and request.args.get("wait") != "true":
                return Response(status=204)
            return answer

    def _take(self, request: Request, room: str, fields: set[str]) -> Response:
        if not request.headers.get("Content-Type", "").startswith("application/json"):
            return reply(400, {"message": "Invalid Form Body", "code": 50035})
        payload = json.loads(request.data)
        if problem := refusal(payload, fields):
            return reply(400, {"message": f"Invalid Form Body: {problem}", "code": 50035})
        nonce = payload.get("nonce") if payload.get("enforce_nonce") else None
        if nonce is not None and nonce in self._nonces:
            message = self._nonces[nonce]
        else:
            number = sum(map(len, self.rooms.values())) + 1
            message = {"id": str(900000000000000000 + number), "channel_id": room, "type": 0, **payload}
            self.rooms[room].append(message)
            if nonce is not None:
                self._nonces[nonce] = message
        if self.lost_answers:
            self.lost_answers -= 1
            return reply(502, {"message": "the answer was lost on the way"})
        headers, self.next_headers = self.next_headers, {}
        return reply(200, message, headers)
