"""Proposals and decisions about them: propose, approve, reject, settle. Sends nothing.

Each decision is one conditional statement of the store: who gets no row was too late, and hears of whom.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from aegis_lib.approvals import messages, policy
from aegis_lib.approvals.model import (
    AlreadyDecided,
    Approval,
    ApprovalExpired,
    ApprovalsConfig,
    ContentChanged,
    Decision,
    DecisionReport,
    NotDecided,
    Proposal,
    State,
    Suppression,
    UnknownApproval,
    Via,
    address,
    address_key,
)
from aegis_lib.approvals.policy import Event
from aegis_lib.errors import PermanentFailure
from aegis_lib.logs import get_logger
from aegis_lib.outcome import Outcome
from aegis_lib.ports.approvals import ApprovalStore

MOST_LISTED = 1000

log = get_logger(__name__)


def propose(store: ApprovalStore, proposal: Proposal, rules: ApprovalsConfig, now: datetime) -> Approval:
    """Put a mail before the people who decide. The same key again gives the proposal that is there.

    Where a rule of aegis.yaml allows the kind it is approved at once; to somebody who has unsubscribed it is
    rejected at once. Look at the `state` of what comes back.

    Raises:
        DependencyUnavailable: the database is away.
        PermanentFailure: its time is up already.
    """
    if proposal.expires_at <= now:
        raise PermanentFailure(
            f"The proposal {proposal.key!r} would expire before anybody could decide. "
            "Fix: give it an expires_at that is ahead."
        )
    rule = None
    if policy.allowed_by_rule(proposal.kind, rules):
        by = f"approvals.allow: {proposal.kind}"
        rule = Decision(by=by, via=Via.RULE, at=now, digest=proposal.digest)
    added = store.add(proposal, rule, now)
    log.info("proposal", number=added.number, kind=added.kind, state=added.state.value)
    return added


def pending(store: ApprovalStore, now: datetime) -> list[Approval]:
    """What waits for a decision, the oldest first, without what has expired."""
    waiting = store.listed((State.PENDING,), MOST_LISTED)
    return [approval for approval in reversed(waiting) if not policy.is_over(approval, now)]


def find(store: ApprovalStore, number: int) -> Approval:
    """The proposal of that number.

    Raises:
        UnknownApproval: there is none.
    """
    found = store.get(number)
    if found is None:
        raise UnknownApproval(number)
    return found


def approve(
    store: ApprovalStore,
    number: int,
    by: str,
    now: datetime,
    *,
    via: Via = Via.CLI,
    note: str = "",
    seen: Approval | None = None,
) -> Approval:
    """Let it be sent, by the next run of `send_approved`.

    `seen` is the proposal as it was shown to the person, where it was. The same decision of the same person
    again changes nothing.

    Raises:
        UnknownApproval, ApprovalExpired, AlreadyDecided, ContentChanged: nothing has changed; says why.
        DependencyUnavailable: the database is away.
    """
    found = find(store, number)
    if found.content_digest != found.digest or (seen and seen.content_digest != found.content_digest):
        raise ContentChanged(
            found, "was changed after it was proposed, so that it cannot be approved", "reject it."
        )
    return _decide(store, found, Event.APPROVE, by, now, via, note)


def reject(
    store: ApprovalStore,
    number: int,
    by: str,
    now: datetime,
    *,
    via: Via = Via.CLI,
    note: str = "",
) -> Approval:
    """Never let it be sent. Also takes back an approval, as long as the sending has not begun.

    Raises:
        UnknownApproval, ApprovalExpired, AlreadyDecided: nothing has changed; says why.
        DependencyUnavailable: the database is away.
    """
    return _decide(store, find(store, number), Event.REJECT, by, now, via, note)


def _decide(
    store: ApprovalStore, found: Approval, event: Event, by: str, now: datetime, via: Via, note: str
) -> Approval:
    who = " ".join(by.split())[:200]
    if not who:
        raise PermanentFailure("Nobody is named who decides. Fix: say who you are.")
    decision = Decision(by=who, via=via, at=now, digest=found.content_digest, note=note.strip()[:1000])
    decided = store.decide(found.number, policy.MOVES[event], decision)
    if decided is None:
        standing = find(store, found.number)
        if (standing.state, standing.decided_by, standing.decided_via) == (
            policy.MOVES[event].target,
            who,
            via,
        ):
            return standing  # the same person said the same before; a repeated command is no quarrel
        raise _too_late(standing, now)
    log.info(
        "proposal_decided",
        number=decided.number,
        state=decided.state.value,
        by=decided.decided_by,
        via=via.value,
    )
    return decided


def _too_late(approval: Approval, now: datetime) -> NotDecided:
    if approval.state is State.EXPIRED or (
        approval.state in policy.MOVES[Event.EXPIRE].sources and policy.is_over(approval, now)
    ):
        return ApprovalExpired(approval, messages.expired(approval), messages.PROPOSE_ANEW)
    return AlreadyDecided(approval, messages.decided(approval), messages.mend(approval))


def decide(
    store: ApprovalStore,
    number: int,
    verdict: Literal["approve", "reject"],
    by: str,
    now: datetime,
    *,
    via: Via,
    note: str = "",
) -> DecisionReport:
    """A decision as the result of a job: one that comes too late is a finding, not a failure.

    Raises:
        DependencyUnavailable: the database is away.
    """
    act = approve if verdict == "approve" else reject
    try:
        decided = act(store, number, by, now, via=via, note=note)
    except (UnknownApproval, NotDecided) as refused:
        state = refused.approval.state if isinstance(refused, NotDecided) else None
        return DecisionReport(
            outcome=Outcome.DEGRADED, summary=f"Nothing was decided. {refused}", number=number, state=state
        )
    return DecisionReport(summary=messages.done(decided), number=number, state=decided.state)


def settle(store: ApprovalStore, number: int, by: str, now: datetime, *, arrived: bool) -> Approval:
    """Say of an unclear one whether it arrived. It is not sent again either way.

    Raises:
        UnknownApproval, AlreadyDecided: nothing has changed; says why.
    """
    event = Event.ARRIVED if arrived else Event.VANISHED
    who = " ".join(by.split())[:200]
    said = f"{who} found out that it {'arrived' if arrived else 'did not arrive'}"
    settled = store.settle(number, policy.MOVES[event], now, problem="" if arrived else said, reply=said)
    if settled is None:
        found = find(store, number)
        raise AlreadyDecided(found, f"is {found.state.value}, not unclear", "nothing is to be done.")
    log.info("proposal_settled", number=number, state=settled.state.value, by=who)
    return settled


def suppress(store: ApprovalStore, recipient: str, reason: str, by: str, now: datetime) -> bool:
    """Never write to this address again, from now on and for ever; False when that was so already.

    What waits for it, or was approved and is not handed over yet, is rejected with it.

    Raises:
        PermanentFailure: it is no address.
    """
    try:
        address(recipient)
    except ValueError as error:
        raise PermanentFailure(f"{recipient[:100]!r} {error}. Fix: give the bare address.") from None
    entry = Suppression(
        address=address_key(recipient), reason=reason.strip()[:500], added_by=by[:200], added_at=now
    )
    fresh = store.suppress(entry, policy.MOVES[Event.REJECT])
    log.info("address_suppressed", fresh=fresh, by=by)
    return fresh
