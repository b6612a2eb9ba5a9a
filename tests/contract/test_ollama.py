"""The embedding adapter against the documented protocol."""

from __future__ import annotations

import json

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from aegis_lib.adapters import ollama
from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured, NotConfigured, PermanentFailure
from aegis_lib.settings import OllamaSettings
from tests.fake_services.ollama import DIMENSIONS, MODEL, FakeOllama, vector


@pytest.fixture
def fake(httpserver: HTTPServer) -> FakeOllama:
    return FakeOllama(httpserver)


def embed(fake: FakeOllama, *texts: str, model: str = MODEL) -> list[list[float]]:
    settings = OllamaSettings(host=fake.url, embedding_model=model, timeout_seconds=5)
    with ollama.connect(settings) as embedder:
        return embedder.embed(texts)


def test_every_text_gets_its_vector_in_one_call(fake: FakeOllama) -> None:
    assert embed(fake, "one", "två") == [vector("one"), vector("två")]
    assert fake.asked == [{"model": MODEL, "input": ["one", "två"]}]
    assert len(vector("x")) == DIMENSIONS


def test_no_text_is_no_call(fake: FakeOllama) -> None:
    assert embed(fake) == []
    assert fake.asked == []


def test_a_model_that_is_not_there_says_how_to_get_it(fake: FakeOllama) -> None:
    with pytest.raises(Misconfigured, match=r"OLLAMA_EMBEDDING_MODEL: .*ollama pull other"):
        embed(fake, "x", model="other")


@pytest.mark.parametrize(
    ("content", "status", "error", "said"),
    [
        ('{"error": "busy"}', 503, DependencyUnavailable, "answered 503"),
        ('{"error": "slow down"}', 429, DependencyUnavailable, "answered 429"),
        ('{"error": "input length exceeds"}', 400, PermanentFailure, "input length exceeds"),
        ("<html>It works!</html>", 200, PermanentFailure, "something else than embeddings"),
        ("{}", 200, PermanentFailure, "something else than embeddings"),
        (json.dumps({"model": MODEL, "embeddings": []}), 200, PermanentFailure, "something else"),
        (json.dumps({"model": MODEL, "embeddings": [["1"]]}), 200, PermanentFailure, "something else"),
        (json.dumps({"model": MODEL, "embeddings": [[1.0]]}), 200, PermanentFailure, "1 vectors for 2 texts"),
        (json.dumps({"model": MODEL, "embeddings": [[1.0], [1.0, 2.0]]}), 200, PermanentFailure, "lengths"),
    ],
)
def test_any_other_answer_is_an_error_of_its_kind(
    fake: FakeOllama, content: str, status: int, error: type[AegisError], said: str
) -> None:
    fake.answer = Response(content, status=status)
    with pytest.raises(error, match=said):
        embed(fake, "one", "two")


def test_a_server_that_is_away_is_transient() -> None:
    settings = OllamaSettings(host="http://127.0.0.1:1", timeout_seconds=2)
    with ollama.connect(settings) as embedder, pytest.raises(DependencyUnavailable, match="OLLAMA_HOST"):
        embedder.embed(["x"])


def test_without_a_host_it_is_not_configured() -> None:
    with pytest.raises(NotConfigured, match="OLLAMA_HOST"), ollama.connect(OllamaSettings()):
        pass


@pytest.mark.parametrize("host", ["ftp://host", "http://[x]/", "http://"])
def test_what_is_no_address_names_the_setting(host: str) -> None:
    with pytest.raises(Misconfigured, match="OLLAMA_HOST"), ollama.connect(OllamaSettings(host=host)):
        pass


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:11434"),
        ("gpu:8080", "http://gpu:8080"),
        ("http://gpu", "http://gpu"),
        ("https://gpu:9/", "https://gpu:9"),
    ],
)
def test_scheme_and_port_may_be_left_out_as_ollama_itself_allows(host: str, address: str) -> None:
    with ollama.connect(OllamaSettings(host=host)) as embedder:
        assert str(embedder._client.base_url) == address
