"""A language model inside a job as Prefect runs it: opened by `_open`, limited for the job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from aegis_lib.db.database import Database
from aegis_lib.llm import prompt_files
from aegis_lib.llm.model import Question
from aegis_lib.outcome import Frozen, Report
from aegis_lib.settings import DatabaseSettings
from flows import _open
from flows._policy import job, outcome, step
from tests import postgres as servers
from tests.fake_services.anthropic import Failed, FakeAnthropic, Said

pytestmark = pytest.mark.usefixtures("prefect_server", "installation")
KEY = "zai-key-of-this-test"


class Yes(Frozen):
    yes: bool


@pytest.fixture
def installation(
    database_settings: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    values = {
        **servers.environment_of(database_settings),
        "AEGIS_DATA_DIR": str(tmp_path / "data"),
        "AEGIS_CONFIG": str(tmp_path / "aegis.yaml"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "aegis.yaml").touch()
    monkeypatch.setattr(prompt_files, "PROMPTS", tmp_path)
    prompt_files.read.cache_clear()
    (tmp_path / "sorting.md").write_text("Is it so?")
    (tmp_path / "rules.md").write_text("Answer in the form.")
    yield tmp_path
    prompt_files.read.cache_clear()


@pytest.fixture
def zai(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> FakeAnthropic:
    fake = FakeAnthropic(httpserver, KEY, ("glm-4.7",), prefix="/api/anthropic")
    monkeypatch.setenv("ZAI_API_KEY", KEY)
    monkeypatch.setenv("ZAI_BASE_URL", fake.base_url)
    return fake


@step
def think() -> Report:
    with _open.language_model("thinking") as model:
        answer = model.ask(Question(prompt="sorting", answer=Yes, untrusted={"body": "It is so."}))
    return Report(summary=f"{answer.provider} says {answer.value.yes}")


@job()
def thinking() -> Any:
    """Ask one question."""
    return outcome(think())


def run() -> Any:
    return thinking.with_options(retry_delay_seconds=0)(return_state=True)


def test_a_job_asks_and_its_question_is_in_the_ledger(zai: FakeAnthropic, database: Database) -> None:
    zai.script.append(Said(form='{"yes": true}'))
    state = run()
    assert (state.name, state.message) == ("Completed", "zai says True")
    (row,) = database.language_models.exchanges()
    assert (row.job_id, row.prompt, row.answer) == ("thinking", "sorting", '{"yes": true}')


def test_without_a_provider_the_job_says_which_variables_are_missing() -> None:
    state = run()
    assert state.name == "NotConfigured"
    assert "ZAI_API_KEY, CLAUDE_CODE_OAUTH_TOKEN, OLLAMA_HOST" in state.message


def test_a_provider_that_is_away_is_a_transient_failure(zai: FakeAnthropic) -> None:
    zai.script.append(Failed(529, {"retry-after": "0"}))
    zai.script.append(Said(form='{"yes": false}'))
    state = run()
    assert (state.name, state.message) == ("Completed", "zai says False")


def test_a_spent_budget_fails_the_job_for_good_and_says_so(
    zai: FakeAnthropic, database: Database, installation: Path
) -> None:
    (installation / "aegis.yaml").write_text("llm:\n  jobs: {thinking: 10}\n")
    state = run()
    assert state.name == "Failed"
    assert zai.asked == []
    kinds = [event.event_type for event in database.memory.recall_recent()]
    assert sorted(kinds) == ["job_error", "language_model_budget_spent"], "not retried, remembered once"


def test_a_wrong_key_fails_the_job_and_names_the_variable(
    zai: FakeAnthropic, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    monkeypatch.setenv("ZAI_API_KEY", "another-key")
    state = run()
    assert "ZAI_API_KEY" in state.message
    assert "another-key" not in state.message
    assert len(database.language_models.exchanges()) == 1
