"""The Anthropic protocol, to Z.ai and to Claude. Must be imported late: it takes seconds.

References: Anthropic API, "Messages" and "Streaming Messages"
(https://platform.claude.com/docs/en/api/messages-streaming); Z.ai, "Claude Code" (its endpoint for that
protocol).
"""

from __future__ import annotations

import anthropic
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from aegis_lib.adapters.language_model.access import Access
from aegis_lib.adapters.language_model.line import FORM, FORM_DESCRIPTION, Line, only_ours
from aegis_lib.llm.model import Request

OAUTH_BETA = "oauth-2025-04-20"
"""What the Anthropic API wants beside a bearer token that is no key of the Console."""
CONSOLE_KEY = "sk-ant-api"
"""How keys of the Console begin."""


def open_line(access: Access) -> Line:
    """A line to a provider. Nothing is sent yet."""
    secret = access.secret.get_secret_value() if access.secret else ""
    with_token = access.name == "claude" and not secret.startswith(CONSOLE_KEY)
    client = anthropic.AsyncAnthropic(
        auth_token=secret,
        base_url=access.base_url,
        max_retries=0,
        default_headers={"anthropic-beta": OAUTH_BETA} if with_token else None,
        http_client=anthropic.DefaultAsyncHttpxClient(follow_redirects=False, event_hooks=only_ours(secret)),
    )
    model = AnthropicModel(access.model, provider=AnthropicProvider(anthropic_client=client))
    return Line(access, model, client, _how)


def _how(request: Request, timeout_seconds: float) -> tuple[ModelRequestParameters, ModelSettings]:
    """The form is a tool that the model has to call."""
    tool = ToolDefinition(
        name=FORM, description=FORM_DESCRIPTION, parameters_json_schema=dict(request.form), kind="output"
    )
    parameters = ModelRequestParameters(output_mode="tool", output_tools=[tool], allow_text_output=False)
    return parameters, AnthropicModelSettings(
        max_tokens=request.max_answer_tokens,
        request_timeout=timeout_seconds,
        parallel_tool_calls=False,
        anthropic_thinking={"type": "disabled"},  # it would use up the answer's tokens
    )
