"""Whether a run that was claimed by a worker which is not ours may still start. Pure; knows no clock.

Prefect's own workers claim every due run, the oldest first; of those that piled up in an outage the limit of
one run turns all but the first away. So the one that got through stands for all that were due until now, and
is as late as the newest of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from aegis_lib.outcome import Frozen
from deployments.job_variables import ClaimRules
from deployments.worker.claim_policy import Decision, DueRun, coalesced, decide


class Judgement(Frozen):
    """`own`: what becomes of the run itself; `others`: of those that wait, only what is not to be started."""

    own: Decision
    others: tuple[Decision, ...] = ()


def judge(
    own: DueRun,
    waiting: Iterable[DueRun],
    turned_away: Iterable[datetime],
    now: datetime,
    rules: ClaimRules,
) -> Judgement:
    """Decide about a run at its start.

    Args:
        own: the run.
        waiting: due runs of the same deployment that nobody has claimed.
        turned_away: due times of its runs that the limit refused.
        now: aware.
        rules: the job's.
    """
    if not own.by_schedule or own.deployment_id is None:
        return Judgement(own=Decision(run=own, action="claim"))
    by_deployment = {own.deployment_id: rules}
    if rules.coalesce == "all":
        (decision,) = decide([own], now, by_deployment)
        return Judgement(own=decision)
    pile = [run for run in waiting if run.by_schedule and own.scheduled_at < run.scheduled_at <= now]
    stands_for = [own.scheduled_at, *(run.scheduled_at for run in pile)]
    stands_for += [due for due in turned_away if own.scheduled_at < due <= now]
    newest = own.model_copy(update={"scheduled_at": max(stands_for)})
    (decision,) = decide([newest], now, by_deployment)
    if decision.action != "claim":
        return Judgement(own=decision.model_copy(update={"run": own}))
    set_aside = tuple(coalesced(run, own, len(pile)) for run in pile)
    return Judgement(own=Decision(run=own, action="claim"), others=set_aside)
