"""prefect.toml against the installed Prefect, which ignores a key that it does not know."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from prefect.settings.models.root import Settings
from pydantic import BaseModel
from uvicorn import Config
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from deployments import automations

PROJECT = Path(__file__).resolve().parents[2]
TEXT = (PROJECT / "prefect.toml").read_text(encoding="utf-8")


def keys(content: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from keys(value, (*above, key))
        else:
            yield (*above, key), value


def unknown(content: Mapping[str, Any]) -> list[str]:
    found = []
    for path, _ in keys(content):
        model: Any = Settings
        for name in path:
            if (
                not (isinstance(model, type) and issubclass(model, BaseModel))
                or name not in model.model_fields
            ):
                found.append(".".join(path))
                break
            annotation = model.model_fields[name].annotation
            model = next((part for part in get_args(annotation) if isinstance(part, type)), annotation)
    return found


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """What Prefect makes of the file alone, in a directory of its own."""
    import os

    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    (tmp_path / "prefect.toml").write_text(TEXT, encoding="utf-8")
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return Settings()


def test_every_key_is_a_setting_of_this_prefect() -> None:
    assert len(list(keys(tomllib.loads(TEXT)))) > 10
    assert unknown(tomllib.loads(TEXT)) == []


def test_a_misspelt_key_would_be_found() -> None:
    assert unknown({"worker": {"query_second": 2}, "serve": {"x": 1}}) == ["worker.query_second", "serve.x"]


def test_prefect_takes_every_value_from_the_file(settings: Settings) -> None:
    for path, value in keys(tomllib.loads(TEXT)):
        held: Any = settings
        for name in path:
            held = getattr(held, name)
        seconds = held.total_seconds() if hasattr(held, "total_seconds") else held
        if path == ("server", "events", "retention_period"):
            assert seconds == 72 * 3600
        elif isinstance(held, (set, list)):
            assert sorted(held) == sorted(str(value).split(","))
        else:
            assert seconds == value, ".".join(path)


def test_nothing_secret_stands_in_the_file() -> None:
    assert not [path for path, _ in keys(tomllib.loads(TEXT)) if "auth" in path[-1] or "password" in path[-1]]


def test_runs_say_that_they_live_as_often_as_the_automation_expects(settings: Settings) -> None:
    assert settings.flows.heartbeat_frequency == automations.HEARTBEAT_SECONDS


def test_uvicorn_takes_the_fast_loop_and_parser_that_are_installed_for_the_server() -> None:
    factory = Config("any:application").get_loop_factory()
    assert factory
    assert factory.__module__ == "uvloop"
    assert AutoHTTPProtocol.__module__ == "uvicorn.protocols.http.httptools_impl"
