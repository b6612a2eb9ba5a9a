"""The job `decide_approval`: opens the database for one decision. Decides nothing by itself."""

from __future__ import annotations

from typing import Any, Literal

from prefect import runtime
from prefect.client.schemas.objects import State

from aegis_lib import clock
from aegis_lib.approvals import service
from aegis_lib.approvals.model import DecisionReport, Via
from aegis_lib.db import database
from aegis_lib.settings import DatabaseSettings
from flows._policy import job, outcome, step


@step
def decide(number: int, verdict: Literal["approve", "reject"], note: str, by: str) -> DecisionReport:
    """Take the decision, if nobody was first."""
    with database.connect(DatabaseSettings()) as db:
        return service.decide(
            db.approvals, number, verdict, by, clock.utcnow(), via=Via.PREFECT_UI, note=note
        )


@job()
def decide_approval(number: int, verdict: Literal["approve", "reject"], note: str = "") -> State[Any]:
    """Approve or reject a mail that waits for it: run this by hand, and fill in the form.

    The artifact `approvals` of `send_approved` lists what waits. A decision that comes too late changes
    nothing: the run ends as `Degraded` and says who was first. The server does not know who runs it, so that
    the decision is kept under the name of the run.

    Args:
        number: which proposal.
        verdict: approve lets it be sent by the next run of `send_approved`; reject never lets it be sent.
        note: why, for those who look later.

    Raises:
        DependencyUnavailable: PostgreSQL did not answer; retried.
    """
    return outcome(decide(number, verdict, note, f"run {runtime.flow_run.name}"))
