"""`aegis llm` against a real database."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from aegis_lib import clock
from aegis_lib.db.database import Database
from aegis_lib.llm.model import Asked, Told, Verdict
from aegis_lib.settings import DatabaseSettings
from deployments.cli import exit_codes
from deployments.cli.app import run
from tests import postgres as servers

ASKED = Asked(
    job_id="email_triage",
    prompt="mail_triage",
    provider="zai",
    model="glm-4.7",
    reserved_tokens=700,
    instruction="Sort it.",
    data="[red]Buy now[/red]",
)


@pytest.fixture(autouse=True)
def installation(
    database_settings: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in servers.environment_of(database_settings).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "aegis.yaml").write_text("llm:\n  jobs: {email_triage: 900}\n")
    monkeypatch.setenv("AEGIS_CONFIG", str(tmp_path / "aegis.yaml"))
    monkeypatch.setenv("ZAI_API_KEY", "zai-key-of-this-test")


def test_before_anything_was_asked_it_says_what_is_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["llm", "--json"]) == exit_codes.OK
    found = json.loads(capsys.readouterr().out)
    assert [(one["provider"], one["state"]) for one in found["providers"]] == [
        ("zai", "not asked yet"), ("claude", "not set"), ("ollama", "not set"),
    ]  # fmt: skip
    assert found["budgets"] == [{"scope": "*", "tokens": 0, "budget": 500_000}]
    assert run(["llm", "replay"]) == exit_codes.OK
    assert "Nothing was asked yet." in capsys.readouterr().out


def test_budgets_and_failing_providers_are_shown(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    now, ledger = clock.utcnow(), database.language_models
    ledger.claim_turn("zai", 8, now)
    ledger.ask(ASKED, 10_000, 900, now)
    ledger.failed("zai", "asks for a pause (HTTP 429).", now + timedelta(minutes=5))
    assert run(["llm", "status"]) == exit_codes.OK
    out, note = capsys.readouterr()
    assert "left alone" in out
    assert "1 of 8" in out
    assert "HTTP 429" in out
    assert [line.split() for line in out.splitlines()[-2:]] == [
        ["all", "jobs", "700", "500,000"], ["email_triage", "700", "900"],
    ]  # fmt: skip
    assert "New tokens at" in note
    assert "zai-key-of-this-test" not in out


def test_what_was_asked_and_answered_can_be_read(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    now, ledger = clock.utcnow(), database.language_models
    number = ledger.ask(ASKED, 10_000, 900, now)
    assert isinstance(number, int)
    ledger.tell(number, Told(verdict=Verdict.INVALID, answer="[bold]no", problem="category: wrong"), now)
    assert run(["llm", "replay", "--job", "email-triage"]) == exit_codes.OK
    listed = capsys.readouterr().out
    assert "invalid" in listed
    assert "category: wrong" in listed
    assert run(["llm", "replay", str(number)]) == exit_codes.OK
    shown = capsys.readouterr().out
    for text in ("Sort it.", "[red]Buy now[/red]", "[bold]no"):
        assert text in shown
    assert run(["llm", "replay", "--json"]) == exit_codes.OK
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["id"], row["verdict"], row["data"]) == (number, "invalid", "[red]Buy now[/red]")


def test_a_request_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["llm", "replay", "4711"]) == exit_codes.NOT_FOUND
    assert "no request 4711" in capsys.readouterr().err
