"""Answers that a fake service gives before it behaves again: queued failures, in order."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from typing import Any

from werkzeug import Response


def reply(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(body), status, headers, content_type="application/json")


class Queue:
    """Failures to give first, one per request."""

    def __init__(self) -> None:
        self._waiting: deque[Response] = deque()

    def add(self, response: Response) -> None:
        self._waiting.append(response)

    def next(self) -> Response | None:
        return self._waiting.popleft() if self._waiting else None
