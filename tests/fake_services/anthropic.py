"""The Anthropic protocol as documented ("Messages", "Streaming Messages", "Errors"); strict.

Z.ai's endpoint speaks it with its key as bearer token, Claude with an OAuth token and the beta header for it.
What is asked is answered from `script`, one entry a request; without one, with an empty form.
"""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

INPUT_TOKENS, OUTPUT_TOKENS = 25, 15
OAUTH_BETA = "oauth-2025-04-20"

_FIELDS = {
    "model", "max_tokens", "messages", "system", "stream", "temperature", "top_p", "top_k", "stop_sequences",
    "tools", "tool_choice", "thinking", "metadata", "service_tier",
}  # fmt: skip
_ERROR_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 500: "api_error",
    529: "overloaded_error",
}  # fmt: skip


@dataclass(frozen=True)
class Said:
    """One answer. `form` goes into the tool that was offered, in pieces; `text` is said outside it.

    `stop` is the reason for the end; `events` cuts the stream after so many events; `tool` calls another
    tool; `error` is an error event in the middle of the stream; `times` calls the tool so often.
    """

    form: str | None = None
    text: str | None = None
    stop: str | None = None
    events: int | None = None
    tool: str | None = None
    error: str | None = None
    times: int = 1


@dataclass(frozen=True)
class Failed:
    """An error instead of an answer, in the documented form or with a body of its own."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    message: str = "no"


@dataclass(frozen=True)
class Garbage:
    """Status 200, and a body that is none of the protocol's."""

    body: str
    content_type: str = "text/event-stream"


class Silence:
    """The request is taken and nothing is answered before `release` (or ten seconds)."""

    def __init__(self) -> None:
        self.release = threading.Event()


Entry = Said | Failed | Garbage | Silence


@dataclass
class FakeAnthropic:
    """The service below `base_url`. `asked` are the bodies that it took, `refused` why not others."""

    server: HTTPServer
    token: str
    models: tuple[str, ...]
    oauth: bool = False
    prefix: str = ""
    script: deque[Entry] = field(default_factory=deque)
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        path = f"{self.prefix}/v1/messages"
        self.server.expect_request(path, method="POST").respond_with_handler(self._messages)

    @property
    def base_url(self) -> str:
        return self.server.url_for(self.prefix).rstrip("/")

    def _messages(self, request: Request) -> Response:
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if request.headers.get("authorization") != f"Bearer {self.token}" or "x-api-key" in request.headers:
            return self._refuse(401, "authentication_error: invalid bearer token")
        betas = request.headers.get("anthropic-beta", "").split(",")
        if self.oauth and OAUTH_BETA not in betas:
            return self._refuse(401, "OAuth authentication is currently not supported.")
        if not self.oauth and OAUTH_BETA in betas:
            return self._refuse(400, "this is no OAuth token")
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", request.headers.get("anthropic-version", "")):
            return self._refuse(400, "anthropic-version: header is required")
        if request.mimetype != "application/json":
            return self._refuse(400, "content-type: application/json is required")
        body = json.loads(request.get_data())
        wrong = refusal(body)
        if wrong:
            return self._refuse(400, wrong)
        if body["model"] not in self.models:
            return self._refuse(404, f"model: {body['model']}")
        self.asked.append(body)
        entry = self.script.popleft() if self.script else Said(form="{}")
        match entry:
            case Failed():
                return failure(entry)
            case Garbage():
                return Response(entry.body, 200, content_type=entry.content_type)
            case Silence():
                return Response(_silent(entry), 200, content_type="text/event-stream")
            case Said():
                return Response(_stream(entry, body), 200, content_type="text/event-stream")

    def _refuse(self, status: int, why: str) -> Response:
        self.refused.append(why)
        return failure(Failed(status, message=why))


def refusal(body: Any) -> str:
    """Why the service would not take this body; empty when it would."""
    if unknown := set(body) - _FIELDS:
        return f"{sorted(unknown)}: Extra inputs are not permitted"
    if missing := {"model", "max_tokens", "messages"} - set(body):
        return f"{sorted(missing)}: Field required"
    if not isinstance(body["max_tokens"], int) or body["max_tokens"] < 1:
        return "max_tokens: must be positive"
    if body.get("stream") is not True:
        return "this test wants a stream"
    if not body["messages"] or body["messages"][0].get("role") != "user":
        return "messages: first message must use the user role"
    for message in body["messages"]:
        if set(message) != {"role", "content"} or message["role"] not in {"user", "assistant"}:
            return "messages: malformed"
        blocks = message["content"] if isinstance(message["content"], list) else []
        if any(block.get("type") == "text" and not block["text"].strip() for block in blocks):
            return "messages: text content blocks must contain non-whitespace text"
    for tool in body.get("tools", []):
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", tool.get("name", "")):
            return "tools.0.name: malformed"
        if tool.get("input_schema", {}).get("type") != "object":
            return "tools.0.input_schema.type: Field required"
    choice = body.get("tool_choice", {"type": "auto"})
    if choice.get("type") not in {"auto", "any", "tool", "none"}:
        return "tool_choice.type: malformed"
    if choice["type"] in {"any", "tool"} and body.get("thinking", {}).get("type") == "enabled":
        return "Thinking may not be enabled when tool_choice forces tool use."
    return ""


def failure(failed: Failed) -> Response:
    kind = _ERROR_TYPES.get(failed.status, "api_error")
    told = {"type": "error", "error": {"type": kind, "message": failed.message}, "request_id": "req_1"}
    body = failed.body if failed.body is not None else json.dumps(told)
    return Response(body, failed.status, failed.headers, content_type="application/json")


def _silent(silence: Silence) -> Iterator[bytes]:
    yield b": wait\n\n"
    silence.release.wait(10)


def _stream(said: Said, asked: dict[str, Any]) -> Iterator[bytes]:
    for number, event in enumerate(_events(said, asked)):
        if said.events is not None and number >= said.events:
            return
        yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _events(said: Said, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    start = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": asked["model"], "content": [],
        "stop_reason": None, "stop_sequence": None,
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": 1},
    }  # fmt: skip
    yield {"type": "message_start", "message": start}
    yield {"type": "ping"}
    if said.error:
        yield {"type": "error", "error": {"type": said.error, "message": "in the stream"}}
        return
    index = 0
    if said.text is not None:
        yield {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}
        for piece in _pieces(said.text):
            yield {
                "type": "content_block_delta",
                "index": index,
                "delta": {"type": "text_delta", "text": piece},
            }
        yield {"type": "content_block_stop", "index": index}
        index += 1
    if said.form is not None:
        name = said.tool or asked["tools"][0]["name"]
        for number in range(said.times):
            block = {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": {}}
            yield {"type": "content_block_start", "index": index, "content_block": block}
            for piece in _pieces(said.form):
                delta = {"type": "input_json_delta", "partial_json": piece}
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
            index += 1
    stop = said.stop or ("tool_use" if said.form is not None else "end_turn")
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": stop, "stop_sequence": None},
        "usage": {"output_tokens": OUTPUT_TOKENS},
    }
    yield {"type": "message_stop"}


def _pieces(text: str) -> list[str]:
    half = len(text) // 2
    return [piece for piece in (text[:half], text[half:]) if piece]
