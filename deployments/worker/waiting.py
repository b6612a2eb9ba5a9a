"""The runs that this worker knows to be coming, and the decision about those whose time has come.

Asks no server and starts nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from deployments.job_variables import rules_of
from deployments.worker.claim_policy import (
    JUDGED_STATES,
    STATE_NAMES,
    DueRun,
    decide,
)
from deployments.worker.executing import Execution

EARLY = timedelta(milliseconds=20)
"""How much before its time a run counts as due: what it takes to begin with it."""


@dataclass
class Settled:
    """What became of the runs that were due."""

    claim: list[Execution] = field(default_factory=list)
    aside: dict[tuple[str, str], list[Execution]] = field(default_factory=dict)
    """Not to be started, by the name of the state and its message."""


class Waiting:
    """Runs from the poll that found them until they are begun or set aside."""

    def __init__(self) -> None:
        self._runs: dict[UUID, Execution] = {}
        self._kept: dict[UUID, DueRun] = {}

    def __contains__(self, run_id: UUID) -> bool:
        return run_id in self._runs

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, executions: Iterable[Execution]) -> None:
        """Wait for these."""
        self._runs.update((execution.run.id, execution) for execution in executions)

    def keep_only(self, run_ids: Collection[UUID]) -> None:
        """Forget the others: they were paused, deleted, or taken by another worker."""
        self._runs = {run_id: found for run_id, found in self._runs.items() if run_id in run_ids}

    def seconds_to_next(self, now: datetime) -> float | None:
        """Until the first is due; None where there is none."""
        if not self._runs:
            return None
        first = min(execution.due_at for execution in self._runs.values())
        return max(0.0, (first - EARLY - now).total_seconds())

    def settle(self, now: datetime, base_job_template: dict[str, Any], room: int | None) -> Settled:
        """Take out what is due, as the claim policy says; at most `room` are to be claimed."""
        due = [execution for execution in self._runs.values() if execution.due_at - EARLY <= now]
        if not due:
            return Settled()
        rules = {
            execution.deployment.id: rules_of(base_job_template, execution.deployment.job_variables or {})
            for execution in {e.run.deployment_id: e for e in due}.values()
            if execution.deployment
        }
        settled = Settled()
        for decision in decide(map(_due_run, due), now, rules, self._kept):
            run_id = decision.run.id
            if decision.action != "claim":
                key = STATE_NAMES[decision.action], decision.message
                settled.aside.setdefault(key, []).append(self._runs.pop(run_id))
            elif room is None or len(settled.claim) < room:
                settled.claim.append(self._runs.pop(run_id))
                if decision.run.by_schedule and decision.run.deployment_id:
                    self._kept[decision.run.deployment_id] = decision.run
        return settled


def _due_run(execution: Execution) -> DueRun:
    run = execution.run
    waits = (run.state.name if run.state else run.state_name) in JUDGED_STATES
    return DueRun(
        id=run.id,
        name=run.name,
        deployment_id=run.deployment_id,
        scheduled_at=execution.due_at.astimezone(UTC),
        by_schedule=bool(run.auto_scheduled) and waits and run.start_time is None,
    )
