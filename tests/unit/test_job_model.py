"""The server's answers as the values that the command shows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from deployments.job_model import JobView, LogLine, RunView

MOMENT = "2026-03-28T12:00:00.5Z"


def row(state: str, name: str = "", message: str | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "id": "1",
        "name": "brave-otter",
        "state": {"type": state, "name": name or state.capitalize(), "message": message},
        "expected_start_time": MOMENT,
        "start_time": MOMENT,
        "end_time": None,
        "total_run_time": 0.0,
        "auto_scheduled": True,
        **fields,
    }


@pytest.mark.parametrize(
    ("state", "final", "good"),
    [
        ("SCHEDULED", False, False),
        ("PENDING", False, False),
        ("RUNNING", False, False),
        ("PAUSED", False, False),
        ("CANCELLING", False, False),
        ("COMPLETED", True, True),
        ("FAILED", True, False),
        ("CRASHED", True, False),
        ("CANCELLED", True, False),
    ],
)
def test_only_four_states_are_the_end_and_only_one_is_good(state: str, final: bool, good: bool) -> None:
    run = RunView.of(row(state), "job")
    assert (run.final, run.good) == (final, good)


@pytest.mark.parametrize("name", ["Completed", "NoInput", "NotConfigured", "Degraded"])
def test_the_name_of_a_completed_run_is_its_outcome_and_is_good(name: str) -> None:
    run = RunView.of(row("COMPLETED", name, "One sentence."), "job")
    assert (run.outcome, run.message, run.good) == (name, "One sentence.", True)


def test_a_run_refused_by_the_limit_is_told_from_one_cancelled_by_a_person() -> None:
    refused = RunView.of(row("CANCELLED", message="Deployment concurrency limit reached."), "job")
    assert refused.refused
    assert refused.started is None
    assert refused.duration_seconds is None
    by_hand = RunView.of(row("CANCELLED", total_run_time=3.5), "job")
    assert not by_hand.refused
    assert by_hand.duration_seconds == 3.5


def test_a_run_without_a_state_is_waiting() -> None:
    run = RunView.of({"id": "1", "name": "otter"}, None)
    assert (run.state, run.outcome, run.started, run.duration_seconds) == (
        "SCHEDULED",
        "Scheduled",
        None,
        None,
    )


def test_a_schedule_that_is_switched_off_is_not_shown() -> None:
    deployment = {
        "id": "d",
        "name": "site-check",
        "tags": ["aegis"],
        "schedules": [
            {"active": False, "schedule": {"interval": 60}},
            {"active": True, "schedule": {"cron": "0 6 * * *"}},
        ],
    }
    job = JobView.of(deployment, next_run=None, active=None, last=None)
    assert (job.id, job.schedule, job.custom, job.paused, job.summary) == (
        "site_check", "daily 06:00", False, False, None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("due", "paused", "words"),
    [
        ("2026-03-28T12:05:00Z", False, "2026-03-28 12:05:00"),
        ("2026-03-28T11:00:00Z", False, "due now"),
        ("2026-03-28T12:05:00Z", True, "paused"),
        (None, False, "-"),
    ],
)
def test_the_next_run_in_words_is_never_in_the_past(due: str | None, paused: bool, words: str) -> None:
    waiting = RunView.of(row("SCHEDULED", expected_start_time=due), "job") if due else None
    deployment = {"id": "d", "name": "site-check", "tags": ["aegis"], "paused": paused}
    job = JobView.of(deployment, next_run=waiting, active=None, last=None)
    assert job.next_words(datetime(2026, 3, 28, 12, tzinfo=UTC)) == words


@pytest.mark.parametrize(("number", "level"), [(20, "INFO"), (40, "ERROR"), (25, "25")])
def test_levels_of_lines_have_names(number: int, level: str) -> None:
    line = LogLine.of({"timestamp": MOMENT, "level": number, "message": "x", "task_run_id": None})
    assert (line.level, line.task) == (level, False)
