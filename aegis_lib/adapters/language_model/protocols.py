"""Speaks the Anthropic protocol to Z.ai and Claude, and chat completions to Ollama. Must be imported late.

References: Anthropic API, "Messages" and "Streaming Messages"
(https://platform.claude.com/docs/en/api/messages-streaming); Z.ai, "Claude Code" (its endpoint for that
protocol); Ollama, "OpenAI compatibility" (https://github.com/ollama/ollama/blob/main/docs/openai.md).

Answers are streamed, so that a broken one is known by its missing end and not taken for a whole one. The SDKs
do not retry, and follow no redirect: a key goes to the address that was set and to no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx2
import openai
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
from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.profiles import merge_profile
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from aegis_lib.adapters.language_model import failures
from aegis_lib.adapters.language_model.access import Access
from aegis_lib.isolation import attempt
from aegis_lib.llm.model import Ending, NoReply, Reply, Request

OAUTH_BETA = "oauth-2025-04-20"
"""What the Anthropic API wants beside a bearer token that is no key of the Console."""
CONSOLE_KEY = "sk-ant-api"
"""How keys of the Console begin."""
FORM = "answer"
LONGEST_NAME = 200
NO_KEY = "none"
"""Ollama asks for no key, but the package does."""
MOST_EVENTS = 20_000
"""A stream with more is no answer to a question of ours."""

_HEADERS = {
    "host", "connection", "accept", "accept-encoding", "content-type", "content-length", "transfer-encoding",
    "user-agent", "authorization", "anthropic-version", "anthropic-beta",
}  # fmt: skip
_FORM_DESCRIPTION = "Gives the answer. Call it once."


@dataclass(frozen=True)
class Line:
    """An open line to one provider."""

    access: Access
    model: Model[Any]
    client: anthropic.AsyncAnthropic | openai.AsyncOpenAI

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
        """End its connections."""
        runner.run(self.client.close())

    async def _respond(self, request: Request, timeout_seconds: float) -> ModelResponse | None:
        """The whole response, or None when it does not end."""
        messages = [ModelRequest([SystemPromptPart(request.instruction), UserPromptPart(request.data)])]
        parameters, settings = self._how(request, timeout_seconds)
        async with model_request_stream(
            self.model, messages, model_settings=settings, model_request_parameters=parameters
        ) as stream:
            events = 0
            async for _ in stream:
                events += 1
                if events > MOST_EVENTS:
                    return None
        return stream.get()

    def _how(self, request: Request, timeout_seconds: float) -> tuple[ModelRequestParameters, ModelSettings]:
        form = dict(request.form)
        if isinstance(self.model, OllamaModel):
            # The server itself holds the model to the form.
            wanted = OutputObjectDefinition(json_schema=form, name=FORM, description=_FORM_DESCRIPTION)
            return ModelRequestParameters(output_mode="native", output_object=wanted), ModelSettings(
                max_tokens=request.max_answer_tokens, request_timeout=timeout_seconds, temperature=0.0
            )
        tool = ToolDefinition(
            name=FORM, description=_FORM_DESCRIPTION, parameters_json_schema=form, kind="output"
        )
        parameters = ModelRequestParameters(output_mode="tool", output_tools=[tool], allow_text_output=False)
        return parameters, AnthropicModelSettings(
            max_tokens=request.max_answer_tokens,
            request_timeout=timeout_seconds,
            parallel_tool_calls=False,
            anthropic_thinking={"type": "disabled"},  # it would use up the answer's tokens
        )

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


def open_line(access: Access) -> Line:
    """A line to a provider. Nothing is sent yet."""
    return _chat_completions(access) if access.name == "ollama" else _anthropic(access)


def _anthropic(access: Access) -> Line:
    secret = access.secret.get_secret_value() if access.secret else ""
    with_token = access.name == "claude" and not secret.startswith(CONSOLE_KEY)
    client = anthropic.AsyncAnthropic(
        auth_token=secret,
        base_url=access.base_url,
        max_retries=0,
        default_headers={"anthropic-beta": OAUTH_BETA} if with_token else None,
        http_client=anthropic.DefaultAsyncHttpxClient(
            follow_redirects=False, event_hooks={"request": [_only_ours(secret)]}
        ),
    )
    return Line(
        access, AnthropicModel(access.model, provider=AnthropicProvider(anthropic_client=client)), client
    )


def _chat_completions(access: Access) -> Line:
    client = openai.AsyncOpenAI(
        api_key=NO_KEY,
        base_url=access.base_url,
        max_retries=0,
        http_client=openai.DefaultAsyncHttpxClient(
            follow_redirects=False, event_hooks={"request": [_only_ours(NO_KEY)]}
        ),
    )
    provider = OllamaProvider(openai_client=client)
    profile = merge_profile(
        provider.model_profile(access.model),
        OpenAIModelProfile(openai_chat_supports_max_completion_tokens=False),
    )
    return Line(access, OllamaModel(access.model, provider=provider, profile=profile), client)


def _only_ours(secret: str) -> Callable[[httpx2.Request], Awaitable[None]]:
    """Lets out no header but those that the protocols need.

    The packages add what variables of other programs say (`ANTHROPIC_CUSTOM_HEADERS`, `OPENAI_ORG_ID`), which
    may be meant for somebody else, and facts about this machine.
    """

    async def strip(request: httpx2.Request) -> None:
        for name in set(request.headers) - _HEADERS:
            del request.headers[name]
        request.headers["authorization"] = f"Bearer {secret}"

    return strip
