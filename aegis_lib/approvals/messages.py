"""What people read about proposals. What a proposal says is data from outside: escaped and bounded."""

from __future__ import annotations

from aegis_lib.approvals.model import Approval, State
from aegis_lib.clock import iso

PROPOSE_ANEW = "whatever proposed it may propose it anew."
SHOWN_BODY_LINES = 20
SHOWN_LINE_CHARACTERS = 300
_NEXT = {
    State.SENDING: "`aegis approvals show {number}` tells in a minute what became of it.",
    State.UNCLEAR: "find out whether it arrived, then `aegis approvals settle {number}`.",
}


def expired(approval: Approval) -> str:
    """What is said to somebody who decides too late."""
    return f"expired at {iso(approval.expires_at)}, so that it is never sent"


def decided(approval: Approval) -> str:
    """What is said to somebody who was not the first."""
    if approval.state in {State.APPROVED, State.REJECTED}:
        return f"is {approval.state.value} already, {_by(approval)}"
    verb = {State.SENDING: "is being sent", State.SENT: "was sent", State.UNCLEAR: "may have been sent"}
    return f"{verb.get(approval.state, approval.state.value)} already; it was approved {_by(approval)}"


def mend(approval: Approval) -> str:
    """What somebody can do who was not the first."""
    return _NEXT.get(approval.state, "nothing is to be done.").format(number=approval.number)


def done(approval: Approval) -> str:
    """What a decision did, in a sentence."""
    if approval.state is State.APPROVED:
        return f"Proposal {approval.number} is approved and will be sent within minutes."
    return f"Proposal {approval.number} is rejected and will never be sent."


def _by(approval: Approval) -> str:
    when = f" at {iso(approval.decided_at)}" if approval.decided_at else ""
    via = f" ({approval.decided_via.value})" if approval.decided_via else ""
    return f"by {approval.decided_by or 'nobody'}{via}{when}"
