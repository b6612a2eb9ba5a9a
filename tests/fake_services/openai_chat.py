"""Chat completions as Ollama serves them under /v1 ("OpenAI compatibility"); strict about what it accepts.

Only fields that Ollama's page lists are taken. What is asked is answered from `script`, as in `anthropic`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.fake_services.anthropic import Entry, Failed, Garbage, Said, Silence

MODEL = "llama3.2"
INPUT_TOKENS, OUTPUT_TOKENS = 9, 4
_FIELDS = {
    "model", "messages", "frequency_penalty", "presence_penalty", "response_format", "seed", "stop", "stream",
    "stream_options", "temperature", "top_p", "max_tokens", "tools", "reasoning_effort", "n", "user",
}  # fmt: skip


@dataclass
class FakeChat:
    """The service at `host`. `asked` are the bodies that it took, `refused` why it did not take others."""

    server: HTTPServer
    script: deque[Entry] = field(default_factory=deque)
    asked: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server.expect_request("/v1/chat/completions", method="POST").respond_with_handler(self._complete)

    @property
    def host(self) -> str:
        return self.server.url_for("").rstrip("/")

    def _complete(self, request: Request) -> Response:
        body = json.loads(request.get_data())
        wrong = refusal(body) if request.mimetype == "application/json" else "no JSON"
        if wrong:
            return self._refuse(400, wrong)
        if body["model"] != MODEL:
            return self._refuse(404, f"model '{body['model']}' not found")
        self.asked.append(body)
        entry = self.script.popleft() if self.script else Said(form="{}")
        match entry:
            case Failed():
                return failure(entry)
            case Garbage():
                return Response(entry.body, 200, content_type=entry.content_type)
            case Silence():
                entry.release.wait(10)
                return failure(Failed(500))
            case Said():
                return Response(_stream(entry), 200, content_type="text/event-stream")

    def _refuse(self, status: int, why: str) -> Response:
        self.refused.append(why)
        return failure(Failed(status, message=why))


def refusal(body: Any) -> str:
    """Why the service would not take this body; empty when it would."""
    if unknown := set(body) - _FIELDS:
        return f"unknown fields {sorted(unknown)}"
    if not isinstance(body.get("model"), str) or not body.get("messages"):
        return "model and messages are required"
    if not isinstance(body.get("max_tokens"), int):
        return "this test wants answers to have a limit"
    if body.get("stream") is not True or body.get("stream_options") != {"include_usage": True}:
        return "this test wants a stream that ends with its usage"
    if any(set(message) - {"role", "content"} for message in body["messages"]):
        return "messages: malformed"
    form = body.get("response_format", {})
    if form.get("type") != "json_schema" or form["json_schema"].get("schema", {}).get("type") != "object":
        return "this test wants the answer's form in response_format"
    return ""


def failure(failed: Failed) -> Response:
    told = {"error": {"message": failed.message, "type": "api_error", "param": None, "code": None}}
    body = failed.body if failed.body is not None else json.dumps(told)
    return Response(body, failed.status, failed.headers, content_type="application/json")


def _stream(said: Said) -> Iterator[bytes]:
    for number, event in enumerate(_events(said)):
        if said.events is not None and number >= said.events:
            return
        yield f"data: {event}\n\n".encode()


def _events(said: Said) -> Iterator[str]:
    text = said.form if said.form is not None else said.text or ""
    half = len(text) // 2
    yield _chunk({"role": "assistant", "content": ""})
    yield _chunk({"content": text[:half]})
    yield _chunk({"content": text[half:]})
    yield _chunk({}, said.stop or "stop")
    usage = {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    yield json.dumps({**_frame(), "choices": [], "usage": usage})
    yield "[DONE]"


def _frame() -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}


def _chunk(delta: dict[str, Any], finish: str | None = None) -> str:
    return json.dumps({**_frame(), "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
