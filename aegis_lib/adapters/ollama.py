"""Embeddings from a local Ollama server. Must not decide what is embedded, nor know the table they go to.

Reference: https://github.com/ollama/ollama/blob/main/docs/api.md, "Generate Embeddings": POST /api/embed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aegis_lib.errors import DependencyUnavailable, Misconfigured, NotConfigured, PermanentFailure
from aegis_lib.settings import OllamaSettings

_SYSTEM = "Ollama"


class _Reply(BaseModel):
    """What /api/embed answers; further fields are times and counts that nobody here needs."""

    model_config = ConfigDict(strict=True, extra="ignore")

    model: str
    embeddings: list[list[float]] = Field(min_length=1)


class OllamaEmbedder:
    """Implements the port `Embedder` with one model of one server."""

    def __init__(self, client: httpx.Client, model: str) -> None:
        self._client, self._model = client, model

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector per text, in order.

        Raises:
            DependencyUnavailable: no answer in time, or the server answered that it cannot now.
            Misconfigured: it does not have the model.
            PermanentFailure: it refused the texts, or its answer is not the documented one.
        """
        if not texts:
            return []
        try:
            reply = self._client.post("/api/embed", json={"model": self._model, "input": list(texts)})
        except httpx.TimeoutException as error:
            raise DependencyUnavailable(
                _SYSTEM,
                f"{self._client.base_url} did not answer in time.",
                "raise OLLAMA_TIMEOUT or see its load.",
            ) from error
        except httpx.HTTPError as error:
            raise DependencyUnavailable(
                _SYSTEM,
                f"{self._client.base_url} could not be reached ({error}).",
                "see that it runs and that OLLAMA_HOST leads to it.",
            ) from error
        self._refuse(reply)
        try:
            vectors = _Reply.model_validate_json(reply.content).embeddings
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            raise PermanentFailure(
                f"{_SYSTEM} at {self._client.base_url} answered something else than embeddings: "
                f"{first['msg']} ({'.'.join(map(str, first['loc']))}). "
                "Fix: see that OLLAMA_HOST leads to an Ollama server."
            ) from None
        if len(vectors) != len(texts) or len({len(vector) for vector in vectors}) != 1:
            raise PermanentFailure(
                f"{_SYSTEM} answered {len(vectors)} vectors for {len(texts)} texts, or of different lengths."
            )
        return vectors

    def _refuse(self, reply: httpx.Response) -> None:
        if reply.is_success:
            return
        said = " ".join(reply.text.split())[:300]
        if reply.status_code == httpx.codes.NOT_FOUND:
            raise Misconfigured(
                "OLLAMA_EMBEDDING_MODEL",
                f"the server does not have {self._model} ({said}).",
                f"run `ollama pull {self._model}` there, or name another model.",
            )
        if reply.is_server_error or reply.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise DependencyUnavailable(_SYSTEM, f"answered {reply.status_code}: {said}.", "see its log.")
        raise PermanentFailure(f"{_SYSTEM} refused the texts ({reply.status_code}): {said}")


@contextmanager
def connect(settings: OllamaSettings) -> Iterator[OllamaEmbedder]:
    """The server at `OLLAMA_HOST`; nothing is sent before the first text.

    Raises:
        NotConfigured: OLLAMA_HOST is not set.
        Misconfigured: it is no address.
    """
    address = settings.address
    if address is None:
        raise NotConfigured("OLLAMA_HOST", purpose="find events by meaning")
    with httpx.Client(base_url=address, timeout=settings.timeout_seconds) as client:
        yield OllamaEmbedder(client, settings.embedding_model)
