"""`python -m deployments.docker_pool.guarded_run`: what the container of a run starts with.

Asks the server what else is due, decides whether this run may still start, and becomes Prefect's engine; or
ends the run as the warm worker would have. Where the server does not answer, the run starts: the engine has
more patience, and a run too many is better than a job that never runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID

from aegis_lib import clock
from aegis_lib.errors import AegisError
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


def main() -> None:
    """Decide, then become the engine, unless the run must not start."""
    run_id = os.environ[_RUN_ID]
    try:
        with PrefectApi.from_settings() as api:
            judgement = _judge(api, run_id)
            for decision in judgement.others:
                _end(api, decision)
            if judgement.own.action != "claim":
                _end(api, judgement.own)
                return
    except AegisError as error:
        log.warning("run_not_judged", run=run_id, error=str(error))
    _become_engine()


def _judge(api: PrefectApi, run_id: str) -> Judgement:
    run, now = api.get(f"/flow_runs/{run_id}"), clock.utcnow()
    own = due_run(run)
    if own.deployment_id is None:
        return judge(own, (), (), now, rules_of({}, {}))
    deployment = api.get(f"/deployments/{own.deployment_id}")
    pool = api.get(f"/work_pools/{deployment['work_pool_name']}")
    of_job = {"deployment_id": {"any_": [str(own.deployment_id)]}}
    since = {"after_": max(own.scheduled_at, now - _LOOK_BACK).isoformat(), "before_": now.isoformat()}

    def found(*states: str) -> list[dict[str, Any]]:
        wanted = {**of_job, "expected_start_time": since, "state": {"type": {"any_": list(states)}}}
        return list(api.filter("/flow_runs/filter", {"flow_runs": wanted, "sort": "ID_DESC"}))

    refused = [row for row in found("CANCELLED") if _REFUSAL in str(row["state"]["message"]).lower()]
    return judge(
        own,
        [due_run(row) for row in found("SCHEDULED") if row["id"] != run_id],
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
