"""What may happen to a proposal, and when. Pure; reads no clock and no table."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from aegis_lib.approvals.model import Approval, ApprovalsConfig, Move, State, Via

FIRST_WAIT = timedelta(minutes=5)
LONGEST_WAIT = timedelta(hours=6)


class Event(StrEnum):
    """What can happen to a proposal."""

    APPROVE = "approve"
    REJECT = "reject"
    """Also takes back an approval, until the sending has begun."""
    WITHDRAW = "withdraw"
    """The rule that approved it is gone from aegis.yaml: somebody has to decide."""
    EXPIRE = "expire"
    CLAIM = "claim"
    RELEASE = "release"
    """Nothing was handed over: it may be tried again."""
    ACCEPTED = "accepted"
    REFUSED = "refused"
    """The mail server refused it for good, or we did."""
    LOST = "lost"
    """It was handed over, and no answer was heard."""
    ARRIVED = "arrived"
    """A human found out that it did arrive."""
    VANISHED = "vanished"
    """A human found out that it did not."""


MOVES: dict[Event, Move] = {
    event: Move(sources=frozenset(sources), target=target)
    for event, sources, target in (
        (Event.APPROVE, (State.PENDING,), State.APPROVED),
        (Event.REJECT, (State.PENDING, State.APPROVED), State.REJECTED),
        (Event.WITHDRAW, (State.APPROVED,), State.PENDING),
        (Event.EXPIRE, (State.PENDING, State.APPROVED), State.EXPIRED),
        (Event.CLAIM, (State.APPROVED,), State.SENDING),
        (Event.RELEASE, (State.SENDING,), State.APPROVED),
        (Event.ACCEPTED, (State.SENDING,), State.SENT),
        (Event.REFUSED, (State.SENDING,), State.FAILED),
        (Event.LOST, (State.SENDING,), State.UNCLEAR),
        (Event.ARRIVED, (State.UNCLEAR,), State.SENT),
        (Event.VANISHED, (State.UNCLEAR,), State.FAILED),
    )
}
"""The whole machine. What is not here cannot happen: no way leads out of rejected, expired, sent, failed."""


def after(state: State, event: Event) -> State | None:
    """The state that follows, or None where the event is not possible."""
    move = MOVES[event]
    return move.target if state in move.sources else None


def allowed_by_rule(kind: str, config: ApprovalsConfig) -> bool:
    """Whether aegis.yaml lets this kind be sent without asking."""
    return kind in config.allow


def rule_is_gone(approval: Approval, config: ApprovalsConfig) -> bool:
    """Whether it was approved by a rule that no longer holds."""
    return approval.decided_via is Via.RULE and not allowed_by_rule(approval.kind, config)


def is_over(approval: Approval, now: datetime) -> bool:
    """Whether its time is up; the moment itself counts as over."""
    return approval.expires_at <= now


def after_death(approval: Approval, config: ApprovalsConfig) -> tuple[Event, str]:
    """What may be done with a mail whose sender died, and why.

    Before it was handed over nobody else can have it; afterwards only a human can find out.
    """
    if approval.handed_over_at is not None:
        return Event.LOST, "The process that sent it died before it heard the answer of the mail server."
    if approval.attempts >= config.attempts:
        return Event.REFUSED, f"Given up after {approval.attempts} attempts: the process that sent it died."
    return Event.RELEASE, "The process that sent it died before the mail was handed over."


def wait_before(attempt: int) -> timedelta:
    """How long to wait after attempt number `attempt` (1 or more): 5, 20, 80, 320, then 360 minutes."""
    factor: int = 4 ** min(attempt - 1, 8)
    return min(FIRST_WAIT * factor, LONGEST_WAIT)
