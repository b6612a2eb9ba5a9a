"""What the containers of docker-compose.yml become, and with which environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from aegis_lib.errors import DependencyUnavailable, Misconfigured
from deployments import stack_database
from deployments.compose import parts
from deployments.compose.__main__ import main

SECRET = "aegis:of-this-test"


class Became(Exception):
    """In place of the program that a part becomes."""

    def __init__(self, program: str, words: list[str], environment: Mapping[str, str]) -> None:
        self.words, self.environment = words, environment


@pytest.fixture(autouse=True)
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As in a container: a directory of secrets, a database elsewhere."""
    for name, value in (("PREFECT_API_AUTH_STRING", SECRET), ("POSTGRES_PASSWORD", "p/w")):
        (tmp_path / name).write_text(value)
    monkeypatch.delenv("PREFECT_API_AUTH_STRING", raising=False)
    monkeypatch.setenv("AEGIS_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("AEGIS_PORT", "4300")
    monkeypatch.setenv("POSTGRES_HOST", "postgres")

    def become(*arguments: Any) -> None:
        raise Became(*arguments)

    monkeypatch.setattr(os, "execve", become)
    monkeypatch.setattr(os, "chdir", lambda _: None)
    monkeypatch.setattr(stack_database, "ensure_databases", lambda *_: None)
    return tmp_path


def test_the_server_gets_its_database_and_asks_for_the_secret() -> None:
    with pytest.raises(Became) as caught:
        parts.server()
    found = caught.value.environment
    assert caught.value.words[2:5] == ["prefect", "server", "start"]
    assert "4300" in caught.value.words
    assert found["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == (
        "postgresql+asyncpg://aegis:p%2Fw@postgres:5432/prefect"
    )
    assert found["PREFECT_SERVER_API_AUTH_STRING"] == SECRET
    assert found["PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS"] == "http://127.0.0.1:4300,http://localhost:4300"
    assert found["PREFECT_API_URL"] == "http://127.0.0.1:4300/api"


def test_the_worker_is_let_in_under_its_lasting_name() -> None:
    with pytest.raises(Became) as caught:
        parts.worker()
    assert caught.value.words[-2:] == ["--name", "aegis-worker"]
    assert caught.value.environment["PREFECT_API_AUTH_STRING"] == SECRET
    assert "PREFECT_SERVER_DATABASE_CONNECTION_URL" not in caught.value.environment


def test_any_command_of_prefect_is_let_in() -> None:
    with pytest.raises(Became) as caught:
        main(["prefect", "deployment", "ls"])
    assert caught.value.words[2:] == ["prefect", "deployment", "ls"]
    assert caught.value.environment["PREFECT_API_AUTH_STRING"] == SECRET


@pytest.mark.parametrize("part", [parts.server, parts.worker, lambda: parts.prefect("version")])
def test_no_secret_stands_on_a_command_line(part: Any) -> None:
    with pytest.raises(Became) as caught:
        part()
    assert not [word for word in caught.value.words if SECRET in word or "p/w" in word or "p%2Fw" in word]


@pytest.mark.parametrize("part", [parts.server, parts.worker])
def test_without_the_secret_nothing_starts(part: Any, container: Path) -> None:
    (container / "PREFECT_API_AUTH_STRING").unlink()
    with pytest.raises(Misconfigured, match=r"PREFECT_API_AUTH_STRING: .*docker-compose up secrets"):
        part()


def test_an_unknown_part_is_told_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cook"]) == 2
    assert main(["check", "postgres"]) == 2
    assert "usage" in capsys.readouterr().err


def test_an_error_is_told_in_a_line(container: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (container / "PREFECT_API_AUTH_STRING").write_text("")
    assert main(["worker"]) == 1
    assert capsys.readouterr().err.startswith("error: AEGIS_SECRETS_DIR: ")


def test_what_does_not_answer_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_PAUSE_SECONDS", 0)
    answers = iter([DependencyUnavailable("PostgreSQL", "starts.", "wait."), None, "there"])

    def look() -> Any:
        answer = next(answers)
        if isinstance(answer, DependencyUnavailable):
            raise answer
        return answer

    assert parts.insist(look) is None
    assert parts.insist(look) == "there"


def test_it_is_not_waited_for_ever() -> None:
    def look() -> None:
        raise DependencyUnavailable("PostgreSQL", "is away.", "start it.")

    with pytest.raises(DependencyUnavailable, match="is away"):
        parts.insist(look, patience_seconds=-1)


def test_a_health_check_imports_next_to_nothing_while_all_is_well() -> None:
    listed = (
        "import sys; import deployments.compose.health;"
        "print([name for name in ('httpx', 'pydantic', 'psycopg', 'prefect') if name in sys.modules])"
    )
    seen = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"
