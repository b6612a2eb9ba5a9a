"""An open line to one provider, whatever protocol it speaks. Must be imported late: it takes a second.

Answers are streamed, so that a broken one is known by its missing end and not taken for a whole one. What a
line goes out with is the protocol's alone: the packages do not retry, follow no redirect, and add no header.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2
from pydantic_ai.direct import model_request_stream
from pydantic_ai.exceptions import ContentFilterError
from pydantic_ai.messages import (
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from aegis_lib.adapters.language_model import failures
from aegis_lib.adapters.language_model.access import Access
from aegis_lib.isolation import attempt
from aegis_lib.llm.model import Ending, NoReply, Reply, Request

FORM = "answer"
FORM_DESCRIPTION = "Gives the answer. Call it once."
LONGEST_NAME = 200
MOST_EVENTS = 20_000
"""A stream with more is no answer to a question of ours."""
_HEADERS = {
    "host", "connection", "accept", "accept-encoding", "content-type", "content-length", "transfer-encoding",
    "user-agent", "authorization", "anthropic-version", "anthropic-beta",
}  # fmt: skip

How = Callable[[Request, float], tuple[ModelRequestParameters, ModelSettings]]
"""How a protocol asks for an answer in a form, within so many seconds."""


class Client(Protocol):
    """What holds the connections."""

    async def close(self) -> None:
        """End them."""


@dataclass(frozen=True)
class Line:
    """A model behind a client, and how its protocol asks."""

    access: Access
    model: Model[Any]
    client: Client
    how: How

    def ask(self, runner: asyncio.Runner, request: Request, timeout_seconds: float) -> Reply | NoReply:
        """One request, one answer, within so many seconds overall."""
        # The packages fall over what no service should send, each time with another exception.
        got = attempt(lambda: runner.run(self._respond(request, timeout_seconds)))
        if isinstance(got, ContentFilterError):
            return Reply(
                text="", ending=Ending.REFUSED, model=self.access.model, input_tokens=0, output_tokens=0
            )
        if isinstance(got, Exception):
            return failures.no_reply(self.access, got)
        return failures.endless(self.access) if got is None else self._read(got)

    def close(self, runner: asyncio.Runner) -> None:
        """End its connections. What goes wrong with that spoils no answer."""
        attempt(lambda: runner.run(self._close()))

    async def _close(self) -> None:
        await self.client.close()

    async def _respond(self, request: Request, timeout_seconds: float) -> ModelResponse | None:
        """The whole response, or None when it does not end."""
        messages = [ModelRequest([SystemPromptPart(request.instruction), UserPromptPart(request.data)])]
        parameters, settings = self.how(request, timeout_seconds)
        async with model_request_stream(
            self.model, messages, model_settings=settings, model_request_parameters=parameters
        ) as stream:
            events = 0
            async for _ in stream:
                events += 1
                if events > MOST_EVENTS:
                    return None
        return stream.get()

    def _read(self, response: ModelResponse) -> Reply | NoReply:
        details = response.provider_details or {}
        refused = response.finish_reason == "content_filter"
        if not refused and not details.get("finish_reason"):
            return failures.broken_off(self.access)
        too_long = response.finish_reason == "length"
        return Reply(
            text=str(details.get("refusal", "")) if refused else _text(response),
            ending=Ending.REFUSED if refused else Ending.TOO_LONG if too_long else Ending.COMPLETE,
            model=(response.model_name or self.access.model)[:LONGEST_NAME],
            input_tokens=response.usage.input_tokens,
            output_tokens=response.usage.output_tokens,
        )


def _text(response: ModelResponse) -> str:
    """What was put into the form; else what was said outside it. Two answers stay two, which is no JSON."""
    given = [
        part.args if isinstance(part.args, str) else part.args_as_json_str()
        for part in response.parts
        if isinstance(part, ToolCallPart) and part.tool_name == FORM
    ]
    said = [part.content for part in response.parts if isinstance(part, TextPart)]
    return "\n".join(given or said)


def only_ours(secret: str) -> dict[str, list[Callable[[httpx2.Request], Awaitable[None]]]]:
    """Event hooks of a client that let out no header but those that the protocols need.

    The packages add what variables of other programs say (`ANTHROPIC_CUSTOM_HEADERS`, `OPENAI_ORG_ID`), which
    may be meant for somebody else, and facts about this machine.
    """

    async def strip(request: httpx2.Request) -> None:
        for name in set(request.headers) - _HEADERS:
            del request.headers[name]
        request.headers["authorization"] = f"Bearer {secret}"

    return {"request": [strip]}
