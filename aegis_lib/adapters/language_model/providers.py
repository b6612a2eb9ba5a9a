"""The providers of language models that are set, in the order in which they are asked. Opens no connection.

What speaks their protocols takes seconds to import, so it is imported with the first request: a job that asks
nothing does not pay for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aegis_lib.adapters.language_model.access import Access
from aegis_lib.adapters.language_model.provider import Provider
from aegis_lib.settings import ClaudeSettings, OllamaSettings, ZaiSettings


@contextmanager
def connect(
    zai: ZaiSettings | None = None, claude: ClaudeSettings | None = None, ollama: OllamaSettings | None = None
) -> Iterator[list[Provider]]:
    """Z.ai, Claude and Ollama, as far as they are set; connections end with the context.

    Raises:
        Misconfigured: a setting has a value that cannot work.
    """
    runner = asyncio.Runner()  # makes its loop with the first request
    found = [
        Provider(access, runner)
        for access in (
            _zai(zai or ZaiSettings()),
            _claude(claude or ClaudeSettings()),
            _ollama(ollama or OllamaSettings()),
        )
        if access is not None
    ]
    try:
        yield found
    finally:
        for provider in found:
            provider.close()
        runner.close()


def _zai(settings: ZaiSettings) -> Access | None:
    if settings.api_key is None:
        return None
    return Access(
        name="zai",
        model=settings.model,
        base_url=settings.base_url,
        secret=settings.api_key,
        model_setting="ZAI_MODEL",
        address_setting="ZAI_BASE_URL",
        secret_setting="ZAI_API_KEY",  # noqa: S106
    )


def _claude(settings: ClaudeSettings) -> Access | None:
    if settings.token is None:
        return None
    return Access(
        name="claude",
        model=settings.model,
        base_url=settings.base_url,
        secret=settings.token,
        model_setting="CLAUDE_MODEL",
        address_setting="CLAUDE_BASE_URL",
        secret_setting="CLAUDE_CODE_OAUTH_TOKEN",  # noqa: S106
    )


def _ollama(settings: OllamaSettings) -> Access | None:
    address = settings.address
    if address is None:
        return None
    return Access(
        name="ollama",
        model=settings.model,
        base_url=f"{address}/v1",
        secret=None,
        model_setting="OLLAMA_MODEL",
        address_setting="OLLAMA_HOST",
        secret_setting="OLLAMA_HOST",  # noqa: S106
        model_mend=f"run `ollama pull {settings.model}` there, or name another model.",
    )
