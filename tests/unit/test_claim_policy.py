"""Which due runs are started: a table, and what holds for any set of them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import ValidationError

from aegis_lib.maintenance import MaintenanceWindow
from deployments.job_variables import ClaimRules, JobVariables
from deployments.worker.claim_policy import STATE_NAMES, Decision, DueRun, decide

NOW = datetime(2026, 1, 25, 6, 0, tzinfo=UTC)
JOB, OTHER = UUID(int=1), UUID(int=2)


def run(number: int, late_seconds: float, job: UUID | None = JOB, by_schedule: bool = True) -> DueRun:
    return DueRun(
        id=UUID(int=1000 + number),
        name=f"run-{number}",
        deployment_id=job,
        scheduled_at=NOW - timedelta(seconds=late_seconds),
        by_schedule=by_schedule,
    )


def actions(decisions: tuple[Decision, ...]) -> dict[str, str]:
    return {decision.run.name: decision.action for decision in decisions}


NIGHT = MaintenanceWindow(start="05:30", end="06:30")

TABLE: dict[str, tuple[list[DueRun], ClaimRules, dict[str, str]]] = {
    "a run on time is claimed": ([run(1, 0)], ClaimRules(), {"run-1": "claim"}),
    "a run within its grace is claimed": ([run(1, 300)], ClaimRules(), {"run-1": "claim"}),
    "a run beyond its grace misfires": ([run(1, 301)], ClaimRules(), {"run-1": "misfire"}),
    "no grace means that it always runs": (
        [run(1, 86400)],
        ClaimRules(misfire_grace_seconds=None),
        {"run-1": "claim"},
    ),
    "a grace of its own": ([run(1, 11)], ClaimRules(misfire_grace_seconds=10), {"run-1": "misfire"}),
    "of several only the latest is claimed": (
        [run(1, 120), run(3, 0), run(2, 60)],
        ClaimRules(),
        {"run-1": "coalesce", "run-2": "coalesce", "run-3": "claim"},
    ),
    "the latest of several may be too late itself": (
        [run(1, 900), run(2, 600)],
        ClaimRules(),
        {"run-1": "coalesce", "run-2": "misfire"},
    ),
    "all are wanted, those in time": (
        [run(1, 900), run(2, 200), run(3, 100)],
        ClaimRules(coalesce="all"),
        {"run-1": "misfire", "run-2": "claim", "run-3": "claim"},
    ),
    "two of the same second are one too many": (
        [run(1, 0), run(2, 0)],
        ClaimRules(),
        {"run-1": "coalesce", "run-2": "claim"},
    ),
    "manual runs are never judged": (
        [run(1, 9000, by_schedule=False), run(2, 8000, by_schedule=False)],
        ClaimRules(),
        {"run-1": "claim", "run-2": "claim"},
    ),
    "a manual run stands for nothing": (
        [run(1, 100), run(2, 0, by_schedule=False)],
        ClaimRules(),
        {"run-1": "claim", "run-2": "claim"},
    ),
    "jobs do not stand for each other": (
        [run(1, 100), run(2, 0, OTHER)],
        ClaimRules(),
        {"run-1": "claim", "run-2": "claim"},
    ),
    "nothing starts in a maintenance window": (
        [run(1, 100), run(2, 0)],
        ClaimRules(maintenance_windows=(NIGHT,)),
        {"run-1": "maintenance", "run-2": "maintenance"},
    ),
    "a person may start a job in its maintenance window": (
        [run(1, 0, by_schedule=False)],
        ClaimRules(maintenance_windows=(NIGHT,)),
        {"run-1": "claim"},
    ),
    "nothing is due": ([], ClaimRules(), {}),
}


@pytest.mark.parametrize("row", TABLE)
def test_decisions(row: str) -> None:
    due, rules, expected = TABLE[row]
    assert actions(decide(due, NOW, {JOB: rules})) == expected


def test_a_coalesced_run_says_which_run_stands_for_it_and_for_how_many() -> None:
    first, *_ = (d for d in decide([run(n, 300 - 60 * n) for n in range(4)], NOW) if d.action == "coalesce")
    assert first.message == (
        "Not started: run run-3, due at 2026-01-25T05:58:00Z, stands for this one and for 2 more. "
        "Of runs that pile up only the latest is started."
    )


def test_a_misfired_run_says_how_late_it_was() -> None:
    (only,) = decide([run(1, 3600)], NOW)
    assert only.message == (
        "Not started: the run was due at 2026-01-25T05:00:00Z and would begin 1 h late. "
        "This job allows 5 min (misfire_grace_seconds: 300)."
    )


def test_those_to_be_claimed_come_first_and_the_earliest_of_them_first() -> None:
    decided = decide([run(1, 50), run(2, 10), run(3, 20, OTHER), run(4, 90, by_schedule=False)], NOW)
    assert [d.run.name for d in decided if d.action == "claim"] == ["run-4", "run-3", "run-2"]
    assert decided[-1].action == "coalesce"


def test_a_run_found_after_a_later_one_was_kept_is_not_started() -> None:
    late = decide([run(1, 120), run(2, 60)], NOW, kept={JOB: run(3, 0)})
    assert actions(late) == {"run-1": "coalesce", "run-2": "coalesce"}
    assert "run run-3, due at 2026-01-25T06:00:00Z, stands for this one and for 1 more" in late[0].message


def test_a_run_later_than_the_one_kept_before_is_started_and_so_is_that_one_again() -> None:
    assert actions(decide([run(1, 0)], NOW, kept={JOB: run(3, 60)})) == {"run-1": "claim"}
    assert actions(decide([run(3, 60)], NOW, kept={JOB: run(3, 60)})) == {"run-3": "claim"}


WINDOWS: list[tuple[dict[str, Any], str, bool]] = [
    ({"start": "05:00", "end": "07:00"}, "2026-01-25T06:00+00:00", True),
    ({"start": "05:00", "end": "06:00"}, "2026-01-25T06:00+00:00", False),
    ({"start": "06:00", "end": "06:01"}, "2026-01-25T06:00+00:00", True),
    ({"start": "22:00", "end": "02:00"}, "2026-01-25T23:00+00:00", True),
    ({"start": "22:00", "end": "02:00"}, "2026-01-25T01:59+00:00", True),
    ({"start": "22:00", "end": "02:00"}, "2026-01-25T02:00+00:00", False),
    ({"start": "22:00", "end": "02:00", "days": ["sat"]}, "2026-01-25T01:00+00:00", True),
    ({"start": "22:00", "end": "02:00", "days": ["sun"]}, "2026-01-25T01:00+00:00", False),
    ({"start": "05:00", "end": "07:00", "days": ["mon"]}, "2026-01-25T06:00+00:00", False),
    ({"start": "07:00", "end": "08:00", "timezone": "Europe/Paris"}, "2026-01-25T06:30+00:00", True),
    ({"start": "07:00", "end": "08:00", "timezone": "Europe/Paris"}, "2026-07-25T06:30+00:00", False),
]


@pytest.mark.parametrize(("window", "moment", "open_"), WINDOWS)
def test_maintenance_windows(window: dict[str, Any], moment: str, open_: bool) -> None:
    found = MaintenanceWindow.model_validate(window)
    assert found.contains(datetime.fromisoformat(moment)) is open_


@pytest.mark.parametrize(
    "wrong",
    [
        {"misfire_grace_seconds": -1},
        {"coalesce": "some"},
        {"memory_limit": 5},
        {"memory_limit_mb": 1},
        {"maintenance_windows": [{"start": "5:00", "end": "06:00"}]},
        {"maintenance_windows": [{"start": "05:00", "end": "05:00"}]},
        {"maintenance_windows": [{"start": "05:00", "end": "06:00", "timezone": "Mars/Base"}]},
        {"maintenance_windows": [{"start": "05:00", "end": "06:00", "days": ["someday"]}]},
    ],
)
def test_job_variables_refuse_what_cannot_be_meant(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JobVariables.model_validate(wrong)


def test_only_what_was_written_is_sent_to_the_server() -> None:
    assert JobVariables.model_validate({"misfire_grace_seconds": None}).written() == {
        "misfire_grace_seconds": None
    }


runs = some.builds(
    lambda number, late, job, by_schedule: run(number, late, job, by_schedule),
    number=some.integers(0, 10_000),
    late=some.integers(0, 2000),
    job=some.sampled_from([JOB, OTHER, None]),
    by_schedule=some.booleans(),
)
rules = some.builds(
    ClaimRules,
    misfire_grace_seconds=some.none() | some.integers(0, 1000),
    coalesce=some.sampled_from(["latest", "all"]),
    maintenance_windows=some.sampled_from([(), (NIGHT,)]),
)


@given(
    due=some.lists(runs, unique_by=lambda one: one.id),
    first=rules,
    second=rules,
    kept=some.dictionaries(some.sampled_from([JOB, OTHER]), runs),
)
def test_whatever_is_due_nothing_is_lost_and_one_a_job_is_kept(
    due: list[DueRun], first: ClaimRules, second: ClaimRules, kept: dict[UUID, DueRun]
) -> None:
    by_job = {JOB: first, OTHER: second}
    decided = decide(due, NOW, by_job, kept)

    assert Counter(d.run.id for d in decided) == Counter(one.id for one in due)
    started = [d.run for d in decided if d.action == "claim"]
    for job, applied in by_job.items():
        of_job = [one for one in started if one.by_schedule and one.deployment_id == job]
        if applied.coalesce == "latest":
            assert len(of_job) <= 1
            assert all(one.scheduled_at >= kept[job].scheduled_at for one in of_job if job in kept)
    assert all(d.action == "claim" for d in decided if not d.run.by_schedule)
    assert all(bool(d.message) == (d.action in STATE_NAMES) for d in decided)
    assert decide(list(reversed(due)), NOW, by_job, kept) == decided


@given(due=some.lists(runs, unique_by=lambda one: one.id), applied=rules)
def test_deciding_again_about_what_was_kept_changes_nothing(due: list[DueRun], applied: ClaimRules) -> None:
    by_job = {JOB: applied, OTHER: applied}
    kept = tuple(d for d in decide(due, NOW, by_job) if d.action == "claim")
    assert decide([d.run for d in kept], NOW, by_job) == kept
