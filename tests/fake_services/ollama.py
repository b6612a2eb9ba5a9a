"""Ollama's POST /api/embed as documented ("Generate Embeddings"); strict about what it accepts."""

from __future__ import annotations

import json
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

MODEL = "nomic-embed-text"
DIMENSIONS = 8


class FakeOllama:
    """Knows one model; a text's vector is made of its bytes. `answer` replaces the next answers."""

    def __init__(self, server: HTTPServer) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer: Response | None = None
        self.url = server.url_for("").rstrip("/")
        server.expect_request("/api/embed", method="POST").respond_with_handler(self._embed)

    def _embed(self, request: Request) -> Response:
        if self.answer is not None:
            return self.answer
        asked = json.loads(request.get_data())
        self.asked.append(asked)
        unknown = set(asked) - {"model", "input", "truncate", "options", "keep_alive", "dimensions"}
        if unknown or not isinstance(asked.get("input"), list):
            return _json({"error": f"invalid request: {sorted(unknown)}"}, 400)
        if asked.get("model") != MODEL:
            return _json({"error": f'model "{asked.get("model")}" not found, try pulling it first'}, 404)
        return _json(
            {
                "model": MODEL,
                "embeddings": [vector(text) for text in asked["input"]],
                "total_duration": 14143917,
                "load_duration": 1019500,
                "prompt_eval_count": 8,
            }
        )


def vector(text: str) -> list[float]:
    """A direction of its own for every text of up to eight bytes."""
    raw = text.encode()[:DIMENSIONS].ljust(DIMENSIONS, b"\0")
    return [byte / 255 + 0.001 for byte in raw]


def _json(content: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(content), status=status, content_type="application/json")
