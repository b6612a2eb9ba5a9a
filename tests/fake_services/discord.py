"""Discord's documented REST protocol for messages, on a loopback server; strict in what it accepts.

Discord Developer Documentation: "Get Channel Messages", "Create Message", "Create Reaction", "Execute
Webhook", "Get Channel", "Get Current Application", "Message Content Intent", "Embed Limits", "Rate Limits",
"Opcodes and Status Codes". Fields that the documentation does not name are refused, which the real service is
too lenient to do.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.fake_services.answers import Queue, reply

TOKEN = "MTIzNDU2Nzg5.GabcDE.not-a-real-token_for-tests"
WEBHOOK_TOKEN = "w3bh00k-s3cret_token-of-this-test"
ALERTS, JOURNAL, TASKS, LOCKED, VOICE = (
    "100000000000000001",
    "100000000000000002",
    "100000000000000003",
    "100000000000000403",
    "100000000000000008",
)
WEBHOOK_ID = "200000000000000001"
BOT_ID = "300000000000000001"
ADA, EVE = "400000000000000001", "400000000000000666"
EPOCH_MS = 1420070400000
MESSAGE_CONTENT_LIMITED = 1 << 19

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


_REFERENCE_FIELDS = {"type", "message_id", "channel_id", "guild_id", "fail_if_not_exists"}
_SETTABLE_FLAGS = 1 << 2 | 1 << 12 | 1 << 13 | 1 << 15
_WITHHELD = ("embeds", "attachments", "components")


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
    if payload.get("allowed_mentions") not in ({"parse": []}, {"parse": [], "replied_user": False}):
        return "this test wants no mention ever to be allowed"
    if len(str(payload.get("nonce", ""))) > 25:
        return "nonce: Must be 25 or fewer in length."
    if payload.get("flags", 0) & ~_SETTABLE_FLAGS:
        return "flags: cannot be set"
    if set(payload.get("message_reference") or {}) - _REFERENCE_FIELDS:
        return "message_reference: unknown fields"
    return ""


@dataclass
class Bucket:
    """So many requests of a route within so many seconds."""

    name: str
    limit: int
    seconds: float
    used: int = 0
    ends: float = 0.0

    def take(self, now: float) -> float:
        """Count a request; how long to wait where it was one too many, else 0."""
        if now >= self.ends:
            self.used, self.ends = 0, now + self.seconds
        if self.used >= self.limit:
            return self.ends - now
        self.used += 1
        return 0.0

    def headers(self, now: float) -> dict[str, str]:
        left = max(0.0, self.ends - now)
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.limit - self.used),
            "X-RateLimit-Reset": f"{time.time() + left:.3f}",
            "X-RateLimit-Reset-After": f"{left:.3f}",
            "X-RateLimit-Bucket": self.name,
        }


@dataclass
class FakeDiscord:
    """The service: what people see in each room, and what was asked of it."""

    server: HTTPServer
    rooms: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {ALERTS: [], JOURNAL: [], TASKS: [], WEBHOOK_ID: []}
    )
    requests: list[Request] = field(default_factory=list)
    queue: Queue = field(default_factory=Queue)
    next_headers: dict[str, str] = field(default_factory=dict)
    lost_answers: int = 0
    reactions: dict[str, set[str]] = field(default_factory=dict)
    last_ids: dict[str, str] = field(default_factory=dict)
    content_intent: bool = True
    reads_history: bool = True
    adds_reactions: bool = True
    sends: bool = True
    buckets: dict[str, Bucket] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    bytes_sent: int = 0
    answered_at: dict[int, float] = field(default_factory=dict)
    """When (monotonic seconds) the first answer to each message was in its room."""
    before_write: Callable[[], None] = lambda: None
    """Called when a message has arrived and is not yet in the room."""
    after_write: Callable[[], None] = lambda: None
    """Called when it is in the room and nobody has been told."""
    _nonces: dict[str, dict[str, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _newest: int = 0

    def __post_init__(self) -> None:
        channel = re.compile(r"^/api/v10/channels/(\d+)/messages$")
        self.server.expect_request(channel, method="POST").respond_with_handler(self._create)
        self.server.expect_request(channel, method="GET").respond_with_handler(self._list)
        reaction = re.compile(r"^/api/v10/channels/\d+/messages/\d+/reactions/[^/]+/@me$")
        self.server.expect_request(reaction, method="PUT").respond_with_handler(self._react)
        room = re.compile(r"^/api/v10/channels/\d+$")
        self.server.expect_request(room, method="GET").respond_with_handler(self._room)
        self.server.expect_request("/api/v10/applications/@me", method="GET").respond_with_handler(self._app)
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

    def say(
        self, content: str, author: str = ADA, room: str = TASKS, *, at: datetime | None = None, **fields: Any
    ) -> int:
        """A person writes; `at` in the past makes an older id, as of a message that waited. Its id."""
        with self._lock:
            number = self._new_id(at)
            message = {
                "id": str(number),
                "channel_id": room,
                "type": 0,
                "content": content,
                "author": {"id": author, "username": "ada" if author == ADA else "eve", "discriminator": "0"},
                "timestamp": datetime.fromtimestamp(((number >> 22) + EPOCH_MS) / 1000, UTC).isoformat(),
                "edited_timestamp": None,
                "embeds": [],
                "attachments": [],
                "components": [],
                **fields,
            }
            self.rooms[room].append(message)
            self.last_ids[room] = message["id"]
            return number

    def edit(self, number: int, content: str, room: str = TASKS) -> None:
        message = next(held for held in self.rooms[room] if held["id"] == str(number))
        message |= {"content": content, "edited_timestamp": datetime.now(UTC).isoformat()}

    def delete(self, number: int, room: str = TASKS) -> None:
        """Gone; the channel's `last_message_id` goes on naming it."""
        self.rooms[room] = [held for held in self.rooms[room] if held["id"] != str(number)]

    def forget_nonces(self) -> None:
        """What Discord does after a few minutes."""
        self._nonces.clear()

    def answers(self, number: int | None = None, room: str = TASKS) -> list[str]:
        """What the bot said, to one message where given."""
        return [
            held["content"]
            for held in self.rooms[room]
            if held["author"]["id"] == BOT_ID
            if number is None or (held.get("message_reference") or {}).get("message_id") == str(number)
        ]

    def asked(self, method: str, ending: str = "") -> list[Request]:
        return [r for r in self.requests if r.method == method and r.path.endswith(ending)]

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
        return [embed for message in self.rooms[room] for embed in message.get("embeds", ())]

    def _new_id(self, at: datetime | None = None) -> int:
        if at is not None:
            return (int(at.timestamp() * 1000) - EPOCH_MS) << 22 | (len(self.rooms[TASKS]) & 0xFFF)
        self._newest = max(self._newest + 1, (int(time.time() * 1000) - EPOCH_MS) << 22)
        return self._newest

    def _early(self, request: Request, route: str) -> Response | None:
        """What is answered before the request is looked at: prepared failures, limits, who asks."""
        self.requests.append(request)
        if (early := self.queue.next()) is not None:
            return early
        if request.headers.get("Authorization") != f"Bot {TOKEN}":
            return reply(401, {"message": "401: Unauthorized", "code": 0})
        if not request.headers.get("User-Agent", "").startswith("DiscordBot ("):
            return reply(403, {"message": "a bot's User-Agent is documented", "code": 40333})
        bucket = self.buckets.get(route)
        if bucket is not None and (wait := bucket.take(self.clock())):
            headers = {
                **bucket.headers(self.clock()),
                "Retry-After": str(int(wait) + 1),
                "X-RateLimit-Scope": "user",
            }
            return reply(
                429, {"message": "You are being rate limited.", "retry_after": wait, "global": False}, headers
            )
        return None

    def _done(self, route: str, status: int, body: Any) -> Response:
        bucket = self.buckets.get(route)
        headers = bucket.headers(self.clock()) if bucket is not None else {}
        headers |= self.next_headers
        self.next_headers = {}
        done = Response(status=204, headers=headers) if status == 204 else reply(status, body, headers)
        self.bytes_sent += len(done.get_data())
        return done

    def _no_room(self, room: str) -> Response | None:
        if room == LOCKED:
            return reply(403, {"message": "Missing Permissions", "code": 50013})
        if room not in self.rooms:
            return reply(404, {"message": "Unknown Channel", "code": 10003})
        return None

    def _create(self, request: Request) -> Response:
        with self._lock:
            if (early := self._early(request, "write")) is not None:
                return early
            room = request.path.split("/")[-2]
            if room == VOICE:
                return reply(400, {"message": "Cannot send messages in a non-text channel", "code": 50008})
            if (none := self._no_room(room)) is not None:
                return none
            if not self.sends:
                return reply(403, {"message": "Missing Permissions", "code": 50013})
            self.before_write()
            answer = self._take(request, room, _BOT_FIELDS)
            self.after_write()
            return answer

    def _list(self, request: Request) -> Response:
        with self._lock:
            if (early := self._early(request, "read")) is not None:
                return early
            room = request.path.split("/")[-2]
            if (none := self._no_room(room)) is not None:
                return none
            asked = request.args.to_dict()
            places = [name for name in ("after", "before", "around") if name in asked]
            limit = asked.get("limit", "50")
            if set(asked) - {"after", "before", "around", "limit"} or len(places) > 1:
                return reply(400, {"message": "Invalid Form Body", "code": 50035})
            if not limit.isdigit() or not 1 <= int(limit) <= 100 or "around" in places:
                return reply(400, {"message": "Invalid Form Body", "code": 50035})
            if any(not asked[place].isdigit() for place in places):
                return reply(400, {"message": "Invalid Form Body: not a snowflake", "code": 50035})
            found = sorted(self.rooms[room], key=lambda message: int(message["id"]))
            if "after" in asked:
                found = [m for m in found if int(m["id"]) > int(asked["after"])][: int(limit)]
            else:
                before = int(asked.get("before", 2**63))
                found = [m for m in found if int(m["id"]) < before][-int(limit) :]
            shown = [self._as_seen(message) for message in reversed(found)] if self.reads_history else []
            return self._done("read", 200, shown)

    def _as_seen(self, message: dict[str, Any]) -> dict[str, Any]:
        """Without the intent, what others wrote comes empty unless it mentions the bot."""
        own = message["author"]["id"] == BOT_ID or f"<@{BOT_ID}>" in (message["content"] or "")
        if self.content_intent or own:
            return message
        return {**message, "content": "", **{name: [] for name in _WITHHELD}}

    def _react(self, request: Request) -> Response:
        with self._lock:
            if (early := self._early(request, "react")) is not None:
                return early
            *_, room, _messages, number, _reactions, emoji, _me = request.path.split("/")
            if (none := self._no_room(room)) is not None:
                return none
            raw = request.environ.get("REQUEST_URI", "")
            if not raw.isascii() or "%" not in raw or emoji.isascii():
                return reply(400, {"message": "Unknown Emoji", "code": 10014})
            if not self.reads_history or not self.adds_reactions:
                return reply(403, {"message": "Missing Permissions", "code": 50013})
            if all(message["id"] != number for message in self.rooms[room]):
                return reply(404, {"message": "Unknown Message", "code": 10008})
            self.reactions.setdefault(number, set()).add(emoji)
            return self._done("react", 204, None)

    def _room(self, request: Request) -> Response:
        with self._lock:
            if (early := self._early(request, "channel")) is not None:
                return early
            room = request.path.split("/")[-1]
            if room == VOICE:
                return self._done("channel", 200, {"id": room, "type": 15, "last_message_id": None})
            if (none := self._no_room(room)) is not None:
                return none
            body = {"id": room, "type": 0, "name": "tasks", "last_message_id": self.last_ids.get(room)}
            return self._done("channel", 200, body)

    def _app(self, request: Request) -> Response:
        with self._lock:
            if (early := self._early(request, "application")) is not None:
                return early
            flags = MESSAGE_CONTENT_LIMITED if self.content_intent else 0
            return self._done("application", 200, {"id": BOT_ID, "name": "aegis", "flags": flags})

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
        to = payload.get("message_reference")
        known = to is None or any(held["id"] == to["message_id"] for held in self.rooms[room])
        if to is not None and not self.reads_history:
            no = "Cannot reply without permission to read message history"
            return reply(400, {"message": no, "code": 160002})
        if to is not None and not known and to.get("fail_if_not_exists", True):
            return reply(400, {"message": "Invalid Form Body: Unknown message", "code": 50035})
        if nonce is not None and nonce in self._nonces:
            message = self._nonces[nonce]
        else:
            message = {
                "id": str(self._new_id()),
                "channel_id": room,
                "type": 0 if to is None or not known else 19,
                "content": "",
                "author": {"id": BOT_ID, "username": "aegis", "discriminator": "0001", "bot": True},
                "edited_timestamp": None,
                **{name: value for name, value in payload.items() if name != "message_reference"},
            }
            if to is not None and known:
                message["message_reference"] = {"type": 0, "channel_id": room, "message_id": to["message_id"]}
            self.rooms[room].append(message)
            self.last_ids[room] = message["id"]
            if to is not None:
                self.answered_at.setdefault(int(to["message_id"]), time.monotonic())
            if nonce is not None:
                self._nonces[nonce] = message
        if self.lost_answers:
            self.lost_answers -= 1
            return reply(502, {"message": "the answer was lost on the way"})
        return self._done("write", 200, message)
