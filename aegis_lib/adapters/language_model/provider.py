"""One provider of a language model: opens it with the first request, asks once, says what came of it.

Must not ask again, ask another provider, or judge an answer. The protocol is imported by the first request:
with pydantic-ai and the vendor's package it costs seconds.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aegis_lib.adapters.language_model.access import Access
from aegis_lib.llm.model import NoReply, Reply, Request, Trouble

if TYPE_CHECKING:
    from aegis_lib.adapters.language_model.line import Line


class Provider:
    """Implements the port `ModelProvider`."""

    def __init__(self, access: Access, runner: asyncio.Runner) -> None:
        self._access, self._runner = access, runner
        self._line: Line | None = None

    @property
    def name(self) -> str:
        """What settings and records call it."""
        return self._access.name

    @property
    def model(self) -> str:
        """The model that it is asked for."""
        return self._access.model

    def ask(self, request: Request, timeout_seconds: float) -> Reply | NoReply:
        """Send the request and wait at most so long for the whole answer."""
        if self._line is None:
            opened = _open(self._access)
            if isinstance(opened, NoReply):
                return opened
            self._line = opened
        return self._line.ask(self._runner, request, timeout_seconds)

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._line is not None:
            self._line.close(self._runner)


def _open(access: Access) -> Line | NoReply:
    try:
        if access.name == "ollama":
            from aegis_lib.adapters.language_model.chat_completions import open_line
        else:
            from aegis_lib.adapters.language_model.anthropic_protocol import open_line
    except ModuleNotFoundError as error:
        return NoReply(
            trouble=Trouble.MISSET,
            problem=f"what asks language models is not installed ({error.name} is missing).",
            mend="pip install 'aegis-scheduler[llm]'.",
            setting=access.secret_setting,
        )
    return open_line(access)
