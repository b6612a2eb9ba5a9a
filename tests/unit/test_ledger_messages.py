"""What the ledger says, word for word where a person acts on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aegis_lib.alerts.model import Phase, Severity
from aegis_lib.ledger import messages
from aegis_lib.ledger.model import JobTicks, Kind, Problem, Tally

NOON = datetime(2026, 1, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def problem(kind: Kind = Kind.MISSED, **changes: Any) -> Problem:
    fields = {"key": f"{kind}:x", "kind": kind, "job_id": None if kind is Kind.OUTAGE else "site_check",
              "since": NOON, "last": NOON + HOUR, "ticks": 13, "detail": "why"}  # fmt: skip
    return Problem.model_validate({**fields, **changes})


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (problem(ticks=1), "site_check did not run at 2026-01-25T12:00:00Z (why)."),
        (problem(over=True), "13 times from 2026-01-25T12:00:00Z to 2026-01-25T13:00:00Z (why). It has run"),
        (problem(Kind.OUTAGE), "from 2026-01-25T12:00:00Z to 2026-01-25T13:00:00Z (why): 13 ticks did not"),
        (problem(Kind.STUCK), "has not run since before 2026-01-25T12:00:00Z: its last 13 ticks were"),
        (problem(Kind.STALE), "site_check has given nothing new since 2026-01-25T12:00:00Z (why)."),
    ],
)  # fmt: skip
def test_a_problem_is_one_sentence(found: Problem, said: str) -> None:
    assert said in messages.sentence(found)
    assert "\n" not in messages.sentence(found)
    assert messages.over_sentence(found).endswith(".")


@pytest.mark.parametrize(
    ("found", "title", "severity"),
    [
        ([problem(ticks=1)], "site_check: a run was missed", Severity.CRITICAL),
        ([problem()], "site_check: 13 runs were missed", Severity.CRITICAL),
        ([problem(over=True)], "site_check: 13 runs were missed", Severity.WARNING),
        ([problem(Kind.STUCK)], "site_check: every run is turned away", Severity.CRITICAL),
        ([problem(Kind.STALE)], "site_check: nothing new for too long", Severity.WARNING),
        ([problem(Kind.OUTAGE, over=True)], "Aegis was not running", Severity.WARNING),
        ([problem(), problem(job_id="mail")], "2 jobs did not run as planned", Severity.CRITICAL),
    ],
)
def test_one_pass_is_one_message(found: list[Problem], title: str, severity: Severity) -> None:
    message = messages.opened(found)
    assert (message.title, message.severity) == (title, severity)
    assert ("another message follows" in message.body) == any(not one.over for one in found)


def test_what_a_server_said_is_no_markup() -> None:
    assert "[x](" not in messages.opened([problem(detail="[x](http://evil)")]).body


def test_the_end_is_a_message_of_its_own_about_the_same_problem() -> None:
    begin, end = messages.opened([problem()]), messages.over(problem())
    assert end.title == "site_check is well again"
    assert (begin.phase, end.phase) == (Phase.BEGIN, Phase.OVER)
    assert begin.problem == end.problem == problem().key
    assert begin.key != end.key


def test_what_is_over_or_of_several_jobs_is_said_once_and_no_alert_stays_open() -> None:
    assert messages.opened([problem(over=True)]).problem is None
    assert messages.opened([problem(), problem(job_id="mail")]).problem is None


def test_a_pass_is_summed_up_in_the_order_of_the_outcomes() -> None:
    said = messages.summary({"Missed": 1, "Completed": 12}, NOON, [], None)
    assert said == "13 ticks since 2026-01-25T12:00:00Z: 12 Completed, 1 Missed."
    assert messages.summary({}, NOON, [], None) == "No tick was due."
    assert messages.summary({}, NOON, [problem()], "Discord: away").startswith("Red: site_check did not run")
    assert "tries again: Discord: away" in messages.summary({}, NOON, [], "Discord: away")


def test_the_table_has_a_column_for_what_occurred() -> None:
    jobs = (
        JobTicks(job_id="a", due=3, outcomes={"Missed": 1, "Completed": 2}),
        JobTicks(job_id="b", due=0, outcomes={}),
    )
    rows = messages.table(Tally(start=NOON, end=NOON + HOUR, checked=None, jobs=jobs))
    assert rows == [
        {"job": "a", "due": 3, "Completed": 2, "Missed": 1},
        {"job": "b", "due": 0, "Completed": 0, "Missed": 0},
    ]
    assert list(rows[0]) == ["job", "due", "Completed", "Missed"]
