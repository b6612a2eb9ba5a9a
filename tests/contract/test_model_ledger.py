"""The same promises from the fake ledger of language models and from the one on a real PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aegis_lib.db.language_models import ModelLedger
from aegis_lib.llm.model import Asked, Refusal, Told, Turn, Verdict
from tests.fakes.llm import FakeModelLedger

NOON = datetime(2026, 1, 25, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PLENTY = 1_000_000
Ledger = FakeModelLedger | ModelLedger


@pytest.fixture(params=["fake", "real"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    if request.param == "fake":
        return FakeModelLedger()
    ledger: ModelLedger = request.getfixturevalue("database").language_models
    return ledger


def asked(tokens: int = 100, job_id: str = "email_triage", **others: str) -> Asked:
    words = {
        "prompt": "mail_triage",
        "provider": "zai",
        "model": "m",
        "instruction": "i",
        "data": "d",
        **others,
    }
    return Asked(job_id=job_id, reserved_tokens=tokens, **words)


def number_of(found: int | Refusal) -> int:
    assert isinstance(found, int)
    return found


def test_what_was_asked_is_written_down_before_there_is_an_answer(ledger: Ledger) -> None:
    number = number_of(ledger.ask(asked(data="fråga\0"), PLENTY, PLENTY, NOON))
    (row,) = ledger.exchanges()
    assert (row.id, row.asked_at, row.told_at, row.verdict) == (number, NOON, None, None)
    assert row.data.startswith("fråga")


def test_what_was_answered_is_written_beside_it_once(ledger: Ledger) -> None:
    number = number_of(ledger.ask(asked(), PLENTY, PLENTY, NOON))
    told = Told(
        verdict=Verdict.VALID, answer="{}", model="m-2", input_tokens=7, output_tokens=3, spent_tokens=10
    )
    ledger.tell(number, told, NOON + SECOND)
    ledger.tell(number, Told(verdict=Verdict.FAILED, problem="later"), NOON + 2 * SECOND)
    (row,) = ledger.exchanges()
    assert (row.verdict, row.answer, row.model, row.told_at) == (Verdict.VALID, "{}", "m-2", NOON + SECOND)
    assert (row.input_tokens, row.output_tokens, row.problem) == (7, 3, None)


def test_a_budget_is_given_whole_or_not_at_all(ledger: Ledger) -> None:
    assert isinstance(ledger.ask(asked(60), 100, PLENTY, NOON), int)
    assert ledger.ask(asked(41), 100, PLENTY, NOON) == Refusal(scope="*", used=60, budget=100)
    assert isinstance(ledger.ask(asked(40), 100, PLENTY, NOON), int)
    assert ledger.ask(asked(1), 100, PLENTY, NOON) == Refusal(scope="*", used=100, budget=100)
    assert len(ledger.exchanges()) == 2


def test_a_job_out_of_tokens_takes_none_from_the_others(ledger: Ledger) -> None:
    assert isinstance(ledger.ask(asked(50), 100, 50, NOON), int)
    assert ledger.ask(asked(1), 100, 50, NOON) == Refusal(scope="email_triage", used=50, budget=50)
    assert isinstance(ledger.ask(asked(50, "morning_status"), 100, 50, NOON), int)


def test_nothing_fits_into_no_budget(ledger: Ledger) -> None:
    assert ledger.ask(asked(1), 0, PLENTY, NOON) == Refusal(scope="*", used=0, budget=0)


def test_tokens_that_were_not_used_are_given_back_on_the_day_that_paid(ledger: Ledger) -> None:
    midnight = datetime(2026, 1, 26, tzinfo=UTC)
    number = number_of(ledger.ask(asked(100), 100, 100, midnight - SECOND))
    assert isinstance(ledger.ask(asked(100), 100, 100, midnight), int), "a new day has new tokens"
    ledger.tell(number, Told(verdict=Verdict.VALID, spent_tokens=30), midnight + SECOND)
    assert isinstance(ledger.ask(asked(1), 100, 100, midnight + SECOND), Refusal)
    assert isinstance(ledger.ask(asked(70), 100, 100, midnight - SECOND), int)


def test_more_than_was_set_aside_is_counted_too(ledger: Ledger) -> None:
    number = number_of(ledger.ask(asked(10), 100, 100, NOON))
    ledger.tell(number, Told(verdict=Verdict.VALID, spent_tokens=95), NOON)
    assert ledger.ask(asked(10), 100, 100, NOON) == Refusal(scope="*", used=95, budget=100)


def test_a_provider_gets_so_many_requests_in_any_minute(ledger: Ledger) -> None:
    for at in (0, 10, 20):
        assert ledger.claim_turn("zai", 3, NOON + at * SECOND).granted
    assert ledger.claim_turn("zai", 3, NOON + 59 * SECOND) == Turn(granted=False, at=NOON + 60 * SECOND)
    assert ledger.claim_turn("zai", 3, NOON + 60 * SECOND).granted
    assert ledger.claim_turn("zai", 3, NOON + 61 * SECOND) == Turn(granted=False, at=NOON + 70 * SECOND)
    assert ledger.claim_turn("ollama", 3, NOON + 61 * SECOND).granted


def test_a_pace_that_was_lowered_holds_at_once(ledger: Ledger) -> None:
    for at in range(5):
        ledger.claim_turn("zai", 8, NOON + at * SECOND)
    assert ledger.claim_turn("zai", 2, NOON + 10 * SECOND) == Turn(granted=False, at=NOON + 63 * SECOND)


def test_a_clock_that_was_set_back_stops_nobody_for_long(ledger: Ledger) -> None:
    ledger.claim_turn("zai", 1, NOON + timedelta(days=1))
    assert ledger.claim_turn("zai", 1, NOON).granted


def test_a_provider_that_failed_is_left_alone_and_an_answer_ends_that(ledger: Ledger) -> None:
    ledger.claim_turn("zai", 8, NOON)
    ledger.failed("zai", "HTTP 529", NOON + 30 * SECOND)
    held = ledger.claim_turn("zai", 8, NOON + 10 * SECOND)
    assert held == Turn(granted=False, at=NOON + 30 * SECOND, held=True, failures=1, problem="HTTP 529")
    assert ledger.claim_turn("zai", 8, NOON + 30 * SECOND) == Turn(
        granted=True, at=NOON + 30 * SECOND, failures=1
    )
    ledger.failed("zai", "again", NOON + 90 * SECOND)
    ledger.failed("zai", "too long a mail", None)
    assert ledger.claim_turn("zai", 8, NOON + 40 * SECOND).at == NOON + 90 * SECOND
    ledger.answered("zai", NOON + 90 * SECOND)
    assert ledger.claim_turn("zai", 8, NOON + 91 * SECOND) == Turn(granted=True, at=NOON + 91 * SECOND)


def test_old_exchanges_and_too_many_are_forgotten(ledger: Ledger) -> None:
    for hour in range(6):
        ledger.ask(asked(1, data=str(hour)), PLENTY, PLENTY, NOON + timedelta(hours=hour))
    ledger.forget(NOON + timedelta(hours=1), 100)
    assert [row.data for row in ledger.exchanges()] == ["5", "4", "3", "2", "1"]
    ledger.forget(NOON, 2)
    assert [row.data for row in ledger.exchanges()] == ["5", "4"]
    ledger.forget(NOON, 2)
    assert len(ledger.exchanges()) == 2


def test_telling_of_what_was_forgotten_changes_nothing(ledger: Ledger) -> None:
    number = number_of(ledger.ask(asked(), PLENTY, PLENTY, NOON))
    ledger.forget(NOON + SECOND, 100)
    ledger.tell(number, Told(verdict=Verdict.VALID), NOON)
    assert ledger.exchanges() == []


def test_exchanges_are_found_by_job_and_number(ledger: Ledger) -> None:
    first = number_of(ledger.ask(asked(), PLENTY, PLENTY, NOON))
    ledger.ask(asked(job_id="evening_summary"), PLENTY, PLENTY, NOON)
    assert [row.id for row in ledger.exchanges(job_id="email_triage")] == [first]
    assert [row.id for row in ledger.exchanges(number=first)] == [first]
    assert len(ledger.exchanges(1)) == 1
    with pytest.raises(ValueError, match="1 to 1000"):
        ledger.exchanges(0)
