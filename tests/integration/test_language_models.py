"""What processes share about language models on a real PostgreSQL, and a real model on this machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

import pytest
import pytest_socket
from pydantic import Field, SecretStr
from pytest_httpserver import HTTPServer

from aegis_lib import clock
from aegis_lib.adapters.language_model import providers
from aegis_lib.db import database as db
from aegis_lib.db.database import Database
from aegis_lib.errors import BudgetSpent, DependencyUnavailable, PermanentFailure
from aegis_lib.llm import prompt_files, service
from aegis_lib.llm.model import Asked, LlmConfig, Pace, Question, Told, Verdict
from aegis_lib.outcome import Frozen
from aegis_lib.ports.llm import ModelProvider
from aegis_lib.settings import DatabaseSettings, OllamaSettings, ZaiSettings
from tests import local_model, requirement
from tests.fake_services.anthropic import Failed, FakeAnthropic, Said
from tests.fake_services.openai_chat import FakeChat

NOON = datetime(2026, 1, 25, 12, tzinfo=UTC)
KEY = "zai-key-of-this-test"


class Kind(StrEnum):
    BILL = "bill"
    SPAM = "spam"
    OTHER = "other"


class Sorted(Frozen):
    """What kind of mail it is. Choices only: no grammar holds a small model to the bounds of a number."""

    kind: Kind
    sure: bool


@pytest.fixture(autouse=True)
def prompts(tmp_path: prompt_files.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "sorting.md").write_text("Say what kind of mail this is: a bill, spam, or something else.")
    (tmp_path / "rules.md").write_text((prompt_files.PROMPTS / "rules.md").read_text())
    monkeypatch.setattr(prompt_files, "PROMPTS", tmp_path)
    prompt_files.read.cache_clear()
    yield
    prompt_files.read.cache_clear()


def question() -> Question[Sorted]:
    return Question(
        prompt="sorting",
        answer=Sorted,
        untrusted={"subject": "Invoice 4711", "body": "Please pay 20 EUR until Friday."},
        max_answer_tokens=100,
    )


def models(database: Database, found: list[ModelProvider], config: LlmConfig | None = None) -> service.Models:
    around = service.Surroundings(
        ledger=lambda: database.language_models, memory=lambda: database.memory, secrets=lambda: {KEY}
    )
    return service.Models("email_triage", found, config or LlmConfig(), around)


def at_once(settings: DatabaseSettings, processes: int, act: Callable[[Database], int]) -> list[int]:
    """What each of so many connections of their own came to, all let go in the same moment."""
    counts: list[int] = []
    ready = threading.Barrier(processes)

    def work() -> None:
        with db.connect(settings) as own:
            ready.wait()
            counts.append(act(own))

    threads = [threading.Thread(target=work) for _ in range(processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counts) == processes
    return counts


def test_processes_that_race_get_no_turn_too_many(database_settings: DatabaseSettings) -> None:
    def claim(own: Database) -> int:
        return sum(own.language_models.claim_turn("zai", 8, NOON).granted for _ in range(5))

    assert sum(at_once(database_settings, 6, claim)) == 8


def test_processes_that_race_take_no_token_too_many(database_settings: DatabaseSettings) -> None:
    asked = Asked(
        job_id="email_triage",
        prompt="p",
        provider="zai",
        model="m",
        reserved_tokens=30,
        instruction="",
        data="",
    )

    def ask(own: Database) -> int:
        return sum(isinstance(own.language_models.ask(asked, 1000, 200, NOON), int) for _ in range(4))

    assert sum(at_once(database_settings, 5, ask)) == 6
    with db.connect(database_settings) as own:
        spent = {row.scope: row.tokens for row in own.language_models.spent(date(2026, 1, 25))}
        assert spent == {"*": 180, "email_triage": 180}


def test_telling_twice_at_once_gives_back_once(database_settings: DatabaseSettings) -> None:
    asked = Asked(
        job_id="a_job", prompt="p", provider="zai", model="m", reserved_tokens=100, instruction="", data=""
    )
    with db.connect(database_settings) as own:
        number = own.language_models.ask(asked, 1000, 1000, NOON)
        assert isinstance(number, int)

    def tell(other: Database) -> int:
        other.language_models.tell(number, Told(verdict=Verdict.VALID, spent_tokens=10), NOON)
        return 1

    at_once(database_settings, 4, tell)
    with db.connect(database_settings) as own:
        assert [row.tokens for row in own.language_models.spent(date(2026, 1, 25))] == [10, 10]


def test_what_a_dead_process_had_set_aside_counts_as_spent_until_midnight(database: Database) -> None:
    asked = Asked(
        job_id="a_job", prompt="p", provider="zai", model="m", reserved_tokens=100, instruction="", data=""
    )
    ledger = database.language_models
    ledger.ask(asked, 150, 150, NOON)
    assert not isinstance(ledger.ask(asked, 150, 150, NOON), int)
    assert isinstance(ledger.ask(asked, 150, 150, NOON + timedelta(hours=12)), int)
    assert [row.verdict for row in ledger.exchanges()] == [None, None]


def test_budgets_of_days_gone_by_are_forgotten(database: Database) -> None:
    asked = Asked(
        job_id="a_job", prompt="p", provider="zai", model="m", reserved_tokens=1, instruction="", data=""
    )
    ledger = database.language_models
    for day in range(4):
        ledger.ask(asked, 10, 10, NOON + timedelta(days=day))
    ledger.forget(NOON + timedelta(days=3), 100)
    days = [date(2026, 1, 25) + timedelta(days=day) for day in range(4)]
    assert [len(ledger.spent(day)) for day in days] == [0, 0, 2, 2]


@pytest.fixture
def zai(httpserver: HTTPServer) -> FakeAnthropic:
    return FakeAnthropic(httpserver, KEY, ("glm-4.7",), prefix="/api/anthropic")


def zai_settings(zai: FakeAnthropic) -> ZaiSettings:
    return ZaiSettings(api_key=SecretStr(KEY), base_url=zai.base_url)


def test_a_question_goes_past_a_busy_provider_to_the_next_and_back(
    database: Database, zai: FakeAnthropic, httpserver: HTTPServer
) -> None:
    chat = FakeChat(httpserver)
    zai.script += [Failed(429, {"retry-after": "3600"})]
    chat.script += [Said(form="not the form"), Said(form='{"kind": "bill", "sure": false}')]
    chat.script += [Said(form='{"kind": "spam", "sure": true}')]
    with providers.connect(zai_settings(zai), ollama=OllamaSettings(host=chat.host)) as found:
        asking = models(database, list(found))
        assert [asking.ask(question()).value.kind for _ in range(2)] == [Kind.BILL, Kind.SPAM]
    assert len(zai.asked) == 1, "an hour was asked for"
    assert zai.refused == chat.refused == []
    rows = database.language_models.exchanges()
    assert [(row.provider, str(row.verdict)) for row in reversed(rows)] == [
        ("zai", "failed"),
        ("ollama", "invalid"),
        ("ollama", "valid"),
        ("ollama", "valid"),
    ]
    states = {state.provider: state for state in database.language_models.providers(clock.utcnow())}
    assert (states["zai"].failures, states["ollama"].failures) == (1, 0)
    assert "HTTP 429" in str(states["zai"].problem)


def test_another_process_knows_at_once_that_a_provider_is_away(
    database: Database, database_settings: DatabaseSettings, zai: FakeAnthropic
) -> None:
    zai.script.append(Failed(529))
    with db.connect(database_settings) as other:
        for own in (database, other):
            with providers.connect(zai_settings(zai)) as found, pytest.raises(DependencyUnavailable):
                models(own, list(found)).ask(question())
    assert len(zai.asked) == 1


def test_a_budget_ends_in_the_middle_of_the_work_and_stays_spent(
    database: Database, zai: FakeAnthropic
) -> None:
    good = '{"kind": "bill", "sure": true}'
    zai.script += [Said(form=good)] * 50
    config = LlmConfig(tokens_per_job=1000, requests_per_minute=Pace(zai=6000))
    answers: list[object] = []

    def work(asking: service.Models) -> None:
        while True:
            answers.append(asking.ask(question()))

    with (
        providers.connect(zai_settings(zai)) as found,
        pytest.raises(BudgetSpent, match="email_triage"),
    ):
        work(models(database, list(found), config))
    assert len(answers) == len(zai.asked) > 1
    (total, job) = database.language_models.spent(clock.utcnow().date())
    assert total.tokens == job.tokens == 40 * len(answers) <= 1000
    (event,) = database.memory.recall_recent()
    assert event.event_type == "language_model_budget_spent"


@pytest.fixture(scope="module")
def real_model() -> Iterator[str]:
    if local_model.model_file() is None:
        requirement.missing("local_model", local_model.HOW_TO_INSTALL)
    with local_model.serving() as address:
        yield address


@pytest.fixture
def only_this_machine() -> Iterator[None]:
    pytest_socket.socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)
    yield
    pytest_socket._remove_restrictions()


def test_a_real_model_on_this_machine_answers_in_the_form(
    database: Database, real_model: str, only_this_machine: None
) -> None:
    with providers.connect(ollama=OllamaSettings(host=real_model, model="smollm2")) as found:
        answer = models(database, list(found)).ask(question())
    assert isinstance(answer.value, Sorted)
    assert (answer.provider, answer.model) == ("ollama", "smollm2")
    assert answer.input_tokens > 50
    assert 0 < answer.output_tokens <= 200
    row = database.language_models.exchanges()[0]
    assert (row.verdict, row.input_tokens) == (Verdict.VALID, answer.input_tokens)
    assert Sorted.model_validate_json(row.answer) == answer.value


def test_a_real_model_steps_in_for_a_provider_that_is_down(database: Database, real_model: str) -> None:
    down = ZaiSettings(api_key=SecretStr(KEY), base_url="http://127.0.0.1:1")
    with providers.connect(down, ollama=OllamaSettings(host=real_model, model="smollm2")) as found:
        answer = models(database, list(found)).ask(question())
    assert answer.provider == "ollama"
    assert [row.provider for row in database.language_models.exchanges()] == ["ollama", "zai"]


def test_a_real_model_that_may_say_little_gives_no_half_answer(database: Database, real_model: str) -> None:
    class Long(Frozen):
        first: str = Field(min_length=200)

    short = Question(prompt="sorting", answer=Long, untrusted={"body": "Hello"}, max_answer_tokens=16)
    with (
        providers.connect(ollama=OllamaSettings(host=real_model, model="smollm2")) as found,
        pytest.raises(PermanentFailure, match="cut off at 16 tokens"),
    ):
        models(database, list(found)).ask(short)
    assert [row.verdict for row in database.language_models.exchanges()] == [Verdict.INVALID] * 2
