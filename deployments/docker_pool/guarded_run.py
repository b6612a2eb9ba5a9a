"""`python -m deployments.docker_pool.guarded_run`: what the container of a run starts with.

Asks the server what else is due, decides whether this run may still start, and becomes Prefect's engine; or
ends the run as the warm worker would have. A server that does not answer is asked again for a minute. Then
the run starts: the engine asks on, and a run too many is better than a job that never runs.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID

from aegis_lib import clock
from aegis_lib.errors import AegisError, DependencyUnavailable
from aegis_lib.logs import get_logger
from aegis_lib.settings import PrefectApiSettings
from deployments.api import PrefectApi
from deployments.docker_pool.guard import Judgement, judge
from deployments.job_variables import rules_of
from deployments.worker.claim_policy import JUDGED_STATES, STATE_NAMES, Decision, DueRun

log = get_logger(__name__)

_RUN_ID = "PREFECT__FLOW_RUN_ID"
_REFUSAL = "concurrency limit reached"
_LOOK_BACK = timedelta(days=1)
_OVER = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
_PAUSES_SECONDS = (0.5, 1, 2, 4, 8, 15, 30)


def main() -> None:
    """Decide, then become the engine, unless the run must not start."""
    try:
        with PrefectApi.from_settings() as api:
            may_start = asked_again(lambda: _may_start(api, os.environ[_RUN_ID]), time.sleep)
    except AegisError as error:
        log.warning("run_not_judged", run=os.environ[_RUN_ID], error=str(error))
        may_start = True
    if may_start:
        _become_engine()


def asked_again(question: Callable[[], bool], sleep: Callable[[float], None]) -> bool:
    """The answer to a question that may be asked twice, from a server that is busy for up to a minute.

    Raises:
        DependencyUnavailable: it did not answer in all that time.
    """
    for pause in _PAUSES_SECONDS:
        try:
            return question()
        except DependencyUnavailable as error:
            log.info("server_asked_again", seconds=pause, error=str(error))
            sleep(pause)
    return question()


def _may_start(api: PrefectApi, run_id: str) -> bool:
    run = api.get(f"/flow_runs/{run_id}")
    if over(run):  # by us, when the answer to that was lost
        return False
    judgement = _judge(api, run)
    for decision in judgement.others:
        _end(api, decision)
    if judgement.own.action != "claim":
        _end(api, judgement.own)
        return False
    return True


def over(run: Mapping[str, Any]) -> bool:
    """Whether a run has ended."""
    return (run["state"] or {}).get("type") in _OVER


def _judge(api: PrefectApi, run: Mapping[str, Any]) -> Judgement:
    own, now = due_run(run), clock.utcnow()
    if own.deployment_id is None:
        return judge(own, (), (), now, rules_of({}, {}))
    deployment = api.get(f"/deployments/{own.deployment_id}")
    pool = api.get(f"/work_pools/{deployment['work_pool_name']}")
    of_job = {"deployment_id": {"any_": [str(own.deployment_id)]}}
    since = {"after_": max(own.scheduled_at, now - _LOOK_BACK).isoformat(), "before_": now.isoformat()}

    def found(*states: str) -> list[dict[str, Any]]:
        wanted = {**of_job, "expected_start_time": since, "state": {"type": {"any_": list(states)}}}
        return list(api.filter("/flow_runs/filter", {"flow_runs": wanted, "sort": "ID_DESC"}))

    # First what waits: what the limit turns away in between is then among those that it turned away.
    waiting = found("SCHEDULED")
    refused = [row for row in found("CANCELLED") if _REFUSAL in str(row["state"]["message"]).lower()]
    return judge(
        own,
        [due_run(row) for row in waiting if row["id"] != run["id"]],
        [due_run(row).scheduled_at for row in refused],
        now,
        rules_of(pool["base_job_template"], deployment["job_variables"] or {}),
    )


def due_run(row: Mapping[str, Any]) -> DueRun:
    """A run as the server describes it. One that waits has a state of a schedule; ours is claimed already."""
    state = row["state"] or {}
    waits = state.get("name") in JUDGED_STATES or state.get("type") == "PENDING"
    return DueRun(
        id=UUID(row["id"]),
        name=row["name"],
        deployment_id=UUID(row["deployment_id"]) if row["deployment_id"] else None,
        scheduled_at=datetime.fromisoformat(row["expected_start_time"]),
        by_schedule=bool(row["auto_scheduled"]) and waits and row["start_time"] is None,
    )


def _end(api: PrefectApi, decision: Decision) -> None:
    name = STATE_NAMES[decision.action]
    state = {"type": "CANCELLED", "name": name, "message": decision.message}
    answer = api.post(f"/flow_runs/{decision.run.id}/set_state", {"state": state})
    log.info("run_set_aside", run=decision.run.name, outcome=name, answer=answer["status"])


def _become_engine() -> NoReturn:
    secret = PrefectApiSettings().auth_string
    given = {"PREFECT_API_AUTH_STRING": secret.get_secret_value()} if secret else {}
    words = [sys.executable, "-m", "prefect.engine"]
    os.execve(sys.executable, words, {**os.environ, **given})  # noqa: S606


if __name__ == "__main__":
    main()
