"""Chat completions, to Ollama. Must be imported late: it takes seconds.

Reference: Ollama, "OpenAI compatibility" (https://github.com/ollama/ollama/blob/main/docs/openai.md).
"""

from __future__ import annotations

import openai
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.profiles import merge_profile
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.settings import ModelSettings

from aegis_lib.adapters.language_model.access import Access
from aegis_lib.adapters.language_model.line import FORM, FORM_DESCRIPTION, Line, only_ours
from aegis_lib.llm.model import Request

NO_KEY = "none"
"""Ollama asks for no key, but the package does."""


def open_line(access: Access) -> Line:
    """A line to the server. Nothing is sent yet."""
    client = openai.AsyncOpenAI(
        api_key=NO_KEY,
        base_url=access.base_url,
        max_retries=0,
        http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False, event_hooks=only_ours(NO_KEY)),
    )
    provider = OllamaProvider(openai_client=client)
    profile = merge_profile(
        provider.model_profile(access.model),
        OpenAIModelProfile(openai_chat_supports_max_completion_tokens=False),
    )
    return Line(access, OllamaModel(access.model, provider=provider, profile=profile), client, _how)


def _how(request: Request, timeout_seconds: float) -> tuple[ModelRequestParameters, ModelSettings]:
    """The server itself holds the model to the form."""
    form = OutputObjectDefinition(json_schema=dict(request.form), name=FORM, description=FORM_DESCRIPTION)
    parameters = ModelRequestParameters(output_mode="native", output_object=form)
    return parameters, ModelSettings(
        max_tokens=request.max_answer_tokens, request_timeout=timeout_seconds, temperature=0.0
    )
