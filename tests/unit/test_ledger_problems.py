"""What of the ledger people are told: misses, outages, stuck jobs, old output; each problem once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aegis_lib.ledger import problems
from aegis_lib.ledger.model import (
    Case,
    Gap,
    Kind,
    Maintenance,
    MissedTick,
    Pause,
    Problem,
    TurnedAway,
)
from aegis_lib.maintenance import MaintenanceWindow
from tests.ledger_values import HOUR, MINUTE, NOON, version


def missed(minutes: int, calm: int | None = None, job: str = "site_check") -> MissedTick:
    calm_at = None if calm is None else NOON + calm * MINUTE
    return MissedTick(job_id=job, due_at=NOON + minutes * MINUTE, calm_at=calm_at)


def test_misses_in_a_row_are_one_problem_and_a_flapping_job_is_one_too() -> None:
    (problem,) = problems.missed_problems([missed(0), missed(5), missed(15)])
    assert (problem.ticks, problem.over, problem.since, problem.last) == (
        3, False, NOON, NOON + 15 * MINUTE,
    )  # fmt: skip
    (flapping,) = problems.missed_problems([missed(0, 20), missed(10, 25), missed(20, 35), missed(30)])
    assert (flapping.ticks, flapping.over) == (4, False)


def test_misses_with_quiet_between_them_are_two_problems() -> None:
    first, second = problems.missed_problems([missed(0, 15), missed(60)])
    assert (first.over, second.over) == (True, False)
    assert first.key != second.key


def test_each_job_has_its_own_problem() -> None:
    assert {p.job_id for p in problems.missed_problems([missed(0), missed(0, job="b")])} == {
        "site_check",
        "b",
    }


def test_a_run_by_hand_makes_up_for_a_missed_one() -> None:
    def found(output: datetime | None) -> list[tuple[int, bool]]:
        told = problems.missed_problems([missed(0), missed(60)], {"site_check": output})
        return [(problem.ticks, problem.over) for problem in told]

    assert found(None) == [(2, False)]
    assert found(NOON) == [(2, False)]
    assert found(NOON + 30 * MINUTE) == [(1, True), (1, False)]
    assert found(NOON + 61 * MINUTE) == [(2, True)]


def test_an_outage_is_one_problem_however_many_ticks_it_took() -> None:
    lost = [NOON + n * MINUTE for n in range(60)] * 10
    killed = Gap(since=NOON, until=NOON + HOUR, stopped=False, why="killed")
    (problem,) = problems.outage_problems([killed], lost)
    assert (problem.kind, problem.ticks, problem.job_id, problem.over) == (Kind.OUTAGE, 600, None, True)
    assert problems.outage_problems([killed.model_copy(update={"stopped": True})], lost) == []
    assert problems.outage_problems([killed], []) == []


def test_a_job_that_is_only_ever_turned_away_is_stuck() -> None:
    def away(ticks: int) -> TurnedAway:
        return TurnedAway(job_id="a", ticks=ticks, first=NOON, last=NOON + HOUR, outcome="Refused")

    assert problems.stuck_problems([away(5)]) == []
    assert [p.ticks for p in problems.stuck_problems([away(6)])] == [6]


def stale(output: datetime | None, **more: Any) -> list[Problem]:
    held = version(freshness_seconds=1800, since=NOON - 24 * HOUR)
    known: dict[str, Any] = {"pauses": [], "found": [], "now": NOON, **more}
    return problems.stale_problems([held], {"site_check": output}, **known)


def test_output_may_become_as_old_as_the_catalogue_says() -> None:
    assert stale(NOON - 30 * MINUTE) == []
    (problem,) = stale(NOON - 31 * MINUTE)
    assert (problem.kind, problem.job_id, problem.since) == (Kind.STALE, "site_check", NOON - 31 * MINUTE)
    assert [p.since for p in stale(None)] == [NOON - 24 * HOUR], "none ever: since the job is known"
    assert problems.stale_problems([version()], {}, [], [], NOON) == [], "no limit, no age"


def test_time_in_which_nothing_was_to_run_makes_no_output_old() -> None:
    old = NOON - HOUR
    gap = Gap(since=NOON - HOUR, until=NOON - 20 * MINUTE, stopped=True, why="")
    assert stale(old, found=[gap]) == []
    assert stale(old, pauses=[Pause(job_id="site_check", since=NOON - 40 * MINUTE)]) == []
    assert stale(old, pauses=[Pause(job_id="site_check", slug="often", since=NOON - 40 * MINUTE)]) == []
    assert stale(old, pauses=[Pause(job_id="other", since=NOON - HOUR)]) != []


def test_a_maintenance_window_makes_no_output_old() -> None:
    held = version(
        freshness_seconds=1800, maintenance_windows=(MaintenanceWindow(start="10:00", end="11:45"),)
    )
    known: dict[str, Any] = {"pauses": [], "found": [], "now": NOON}
    assert problems.stale_problems([held], {"site_check": NOON - 2 * HOUR}, **known) == []
    assert problems.stale_problems([held], {"site_check": NOON - 3 * HOUR}, **known) != []
    known["maintenance"] = (Maintenance(jobs=("site_*",), start=NOON - 3 * HOUR, end=NOON - 2 * HOUR),)
    assert problems.stale_problems([held], {"site_check": NOON - 3 * HOUR}, **known) == []


def test_a_problem_whose_first_tick_was_answered_late_stays_the_same_case() -> None:
    (problem,) = problems.missed_problems([missed(5)])
    case = Case(key="missed:site_check:earlier", kind=Kind.MISSED, job_id="site_check", since=NOON, last=NOON,
                ticks=2, detail="", told=True)  # fmt: skip
    assert [p.key for p in problems.matched([problem], [case])] == [case.key]
    untold = case.model_copy(update={"told": False})
    assert [p.key for p in problems.matched([problem], [untold])] == [problem.key]
    over = problem.model_copy(update={"over": True})
    assert [p.key for p in problems.matched([over], [case])] == [problem.key]
