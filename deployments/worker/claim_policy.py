"""Which due runs are started, and what becomes of the others. Reads no clock and asks no server.

Only runs that a schedule made and that never started are judged; all others are claimed as they come.
Method: coalescing and misfire grace as in APScheduler,
https://apscheduler.readthedocs.io/en/3.x/userguide.html#missed-job-executions-and-coalescing
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime

from aegis_lib.clock import duration, iso
from aegis_lib.maintenance import MaintenanceWindow
from aegis_lib.outcome import Frozen
from deployments.job_variables import ClaimRules

COALESCED = "Coalesced"
MISFIRED = "Misfired"
MAINTENANCE = "Maintenance"

JUDGED_STATES = frozenset({"Scheduled", "Late"})
"""Names of the states in which a run of a schedule waits for its first start."""

Action = Literal["claim", "coalesce", "misfire", "maintenance"]
STATE_NAMES: dict[Action, str] = {
    "coalesce": COALESCED,
    "misfire": MISFIRED,
    "maintenance": MAINTENANCE,
}
DEFAULT_RULES = ClaimRules()


class DueRun(Frozen):
    """A run whose time has come. `by_schedule`: a schedule made it, and it never started."""

    id: UUID
    name: str
    deployment_id: UUID | None
    scheduled_at: AwareDatetime
    by_schedule: bool


class Decision(Frozen):
    """What to do with one run; `message` is empty where it is claimed."""

    run: DueRun
    action: Action
    message: str = ""


def decide(
    due: Iterable[DueRun],
    now: datetime,
    rules: Mapping[UUID, ClaimRules] | None = None,
    kept: Mapping[UUID, DueRun] | None = None,
) -> tuple[Decision, ...]:
    """One decision for every run, those to be claimed first, each part in the order of due times.

    Args:
        due: runs whose time has come, each once, in any order.
        now: aware.
        rules: by deployment; the defaults for those not named.
        kept: by deployment, the latest run that was kept before; it stands for older ones found later.
    """
    ordered = sorted(due, key=_age)
    decisions = {run.id: Decision(run=run, action="claim") for run in ordered}
    jobs: dict[UUID, list[DueRun]] = {}
    for run in ordered:
        if run.by_schedule and run.deployment_id is not None:
            jobs.setdefault(run.deployment_id, []).append(run)
    for deployment, runs in jobs.items():
        applied = (rules or {}).get(deployment, DEFAULT_RULES)
        for decision in _of_one_job(runs, now, applied, (kept or {}).get(deployment)):
            decisions[decision.run.id] = decision
    return tuple(sorted(decisions.values(), key=lambda decision: decision.action != "claim"))


def _age(run: DueRun) -> tuple[datetime, str]:
    return run.scheduled_at, str(run.id)


def _of_one_job(runs: list[DueRun], now: datetime, rules: ClaimRules, kept: DueRun | None) -> list[Decision]:
    window = next((window for window in rules.maintenance_windows if window.contains(now)), None)
    if window is not None:
        return [_maintenance(run, window) for run in runs]
    if rules.coalesce == "all":
        return [_on_time_or_misfired(run, now, rules) for run in runs]
    *older, newest = runs
    if kept is not None and _age(newest) < _age(kept):
        return [coalesced(run, kept, len(runs)) for run in runs]
    return [*(coalesced(run, newest, len(older)) for run in older), _on_time_or_misfired(newest, now, rules)]


def _maintenance(run: DueRun, window: MaintenanceWindow) -> Decision:
    times = f"from {window.start} to {window.end} {window.timezone}"
    said = f"Not started: this job has maintenance {times}. The run was due at {iso(run.scheduled_at)}."
    return Decision(run=run, action="maintenance", message=said)


def coalesced(run: DueRun, newest: DueRun, count: int) -> Decision:
    """Not to be started, because `newest` stands for it, one of `count`."""
    others = "" if count == 1 else f" and for {count - 1} more"
    said = (
        f"Not started: run {newest.name}, due at {iso(newest.scheduled_at)}, stands for this one{others}. "
        "Of runs that pile up only the latest is started."
    )
    return Decision(run=run, action="coalesce", message=said)


def _on_time_or_misfired(run: DueRun, now: datetime, rules: ClaimRules) -> Decision:
    late, grace = now - run.scheduled_at, rules.misfire_grace_seconds
    if grace is None or late.total_seconds() <= grace:
        return Decision(run=run, action="claim")
    said = (
        f"Not started: the run was due at {iso(run.scheduled_at)} and would begin {duration(late)} late. "
        f"This job allows {duration(timedelta(seconds=grace))} (misfire_grace_seconds: {grace})."
    )
    return Decision(run=run, action="misfire", message=said)
