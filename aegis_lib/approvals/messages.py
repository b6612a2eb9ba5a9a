"""What people read about proposals. What a proposal says is data from outside: escaped and bounded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from aegis_lib.alerts.model import Message, Phase, Severity
from aegis_lib.approvals.model import Approval, State
from aegis_lib.clock import duration, iso
from aegis_lib.markdown import inline

PROPOSE_ANEW = "whatever proposed it may propose it anew."
CHANGED = "The row was changed after it was approved, so that it is not what somebody agreed to."
SHOWN_BODY_LINES = 30
SHOWN_LINE_CHARACTERS = 300
SHOWN_BODY_CHARACTERS = 1500
SHOWN_WAITING = 20
_SETTLE = "`aegis approvals settle {number} --arrived` or `--lost`"
_NEXT = {
    State.SENDING: "`aegis approvals show {number}` tells in a minute what became of it.",
    State.UNCLEAR: f"find out whether it arrived, then {_SETTLE}.",
}


# --- about decisions ---


def expired(approval: Approval) -> str:
    """What is said to somebody who decides too late."""
    return f"expired at {iso(approval.expires_at)}, so that it is never sent"


def decided(approval: Approval) -> str:
    """What is said to somebody who was not the first."""
    if approval.state in {State.APPROVED, State.REJECTED}:
        return f"is {approval.state.value} already, {_by(approval)}"
    verbs = {
        State.SENDING: "is being sent",
        State.SENT: "was sent",
        State.UNCLEAR: "may have been sent",
        State.FAILED: "has failed",
    }
    return f"{verbs.get(approval.state, approval.state.value)} already; it was approved {_by(approval)}"


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


# --- about sending ---


def unsendable(problem: str) -> str:
    """Why a row is no mail."""
    return f"The row is no mail that may be sent: {problem.removeprefix('Value error, ')}."


def refused(said: str) -> str:
    """What a mail server's refusal means."""
    return f"The mail server refused it for good: {said}."


def too_often(attempts: int, said: str) -> str:
    """Why it is not tried again."""
    return f"Given up after {attempts} attempts; the last answer was: {said}."


def lost(said: str) -> str:
    """What it means that the answer was not heard."""
    return f"Nobody knows whether it was sent. {said}"


def problem(approval: Approval, text: str) -> str:
    """A problem with one mail, in a run's summary."""
    return f"Mail {approval.number}: {inline(text, 400)}"


def tended(waiting: int, ended: int, abandoned: int) -> str:
    """What was put in order, in a sentence."""
    said = [f"{waiting} wait for a decision"]
    said += [f"{ended} expired"] if ended else []
    said += [f"{abandoned} were left by a process that died"] if abandoned else []
    return f"{', '.join(said)}."


def sent_summary(sent: int, later: int, failed: int, unclear: int, held: int, limit: int) -> str:
    """One sentence for the run."""
    counts = ((sent, "sent"), (later, "tried again later"), (failed, "failed"), (unclear, "unclear"))
    said = [f"{number} {what}" for number, what in counts if number]
    if held:
        said.append(f"{held} held back by the limit of {limit} in 24 hours")
    return f"{', '.join(said) or 'Nothing to send'}."


def rehearsed(due: Sequence[Approval], held: int) -> str:
    """What would be sent."""
    numbers = ", ".join(str(approval.number) for approval in due[:SHOWN_WAITING]) or "nothing"
    more = f" and {len(due) - SHOWN_WAITING} more" if len(due) > SHOWN_WAITING else ""
    kept = f" {held} would be held back by the daily limit." if held > 0 else ""
    return f"Would send {numbers}{more}.{kept}"


# --- for people, and for the event memory ---


def notices(approval: Approval, now: datetime) -> list[Message]:
    """What people are told when a proposal has come into its state: nothing, or one message."""
    number, key = approval.number, f"approval:{approval.number}:{approval.state.value}"
    matter = f"approval:{number}"
    if approval.told_state is State.UNCLEAR:
        title = f"Mail {number} is settled: {approval.state.value}"
        said = approval.reply or approval.problem
        return [Message(title=title, body=inline(said, 400), key=key, problem=matter, phase=Phase.OVER)]
    match approval.state:
        case State.PENDING:
            return [
                Message(
                    title=f"Mail {number} waits for approval: {approval.kind}",
                    body=ask(approval, now),
                    key=key,
                )
            ]
        case State.FAILED:
            body = f"{_heading(approval)}\n\n{inline(approval.problem, 600)}\n\n{_whole(number)}"
            return [
                Message(title=f"Mail {number} was not sent", body=body, severity=Severity.WARNING, key=key)
            ]
        case State.EXPIRED if approval.decided_at is not None:
            body = (
                f"{_heading(approval)}\n\nIt was approved {inline(_by(approval))}, but could not be sent "
                f"before {iso(approval.expires_at)}. {inline(approval.problem, 600)}"
            )
            title = f"Mail {number} expired before it could be sent"
            return [Message(title=title, body=body, severity=Severity.WARNING, key=key)]
        case State.UNCLEAR:
            body = (
                f"{_heading(approval)}\n\n{inline(approval.problem, 600)}\n\n"
                "It is not sent again by itself. Look whether it is among the sent mail of the account, or "
                f"ask the provider for Message-ID {inline(approval.message_id or '')}; then "
                f"{_SETTLE.format(number=number)}."
            )
            return [
                Message(
                    title=f"Mail {number}: nobody knows whether it was sent",
                    body=body,
                    severity=Severity.WARNING,
                    key=key,
                    problem=matter,
                )
            ]
        case _:
            return []


def ask(approval: Approval, now: datetime) -> str:
    """The question for whoever decides: the mail, and how to answer."""
    number = approval.number
    why = [f"Why: {inline(approval.why, 400)}"] if approval.why else []
    by = f", proposed by {inline(approval.proposed_by)}" if approval.proposed_by else ""
    left = duration(approval.expires_at - now)
    return "\n\n".join(
        [
            f"{_heading(approval)}{by}",
            *why,
            quoted(approval),
            f"Send it: `!approve {number}` in the tasks channel, or `aegis approvals approve {number}`. "
            f"Never send it: `!reject {number}`, or `aegis approvals reject {number}`. "
            f"Without an answer it expires at {iso(approval.expires_at)}, in {left}.",
        ]
    )


def quoted(approval: Approval) -> str:
    """The text of the mail as a quotation, shortened where it is long."""
    lines, room = [], SHOWN_BODY_CHARACTERS
    every = approval.body.splitlines()
    for line in every[:SHOWN_BODY_LINES]:
        shown = inline(line, SHOWN_LINE_CHARACTERS)
        if len(shown) > room:
            break
        room -= len(shown)
        lines.append(f"> {shown}".rstrip())
    cut = len(lines) < len(every) or any(len(line) > SHOWN_LINE_CHARACTERS for line in every[: len(lines)])
    text = "\n".join(lines)
    return f"{text}\n\nShortened. {_whole(approval.number)}" if cut else text


def waiting_markdown(waiting: Sequence[Approval], now: datetime) -> str:
    """The list of what waits, for the Prefect UI."""
    if not waiting:
        return "No mail waits for a decision."
    parts = [
        f"{len(waiting)} wait for a decision. Run the deployment `decide-approval` with the number and "
        "`approve` or `reject`."
    ]
    for approval in waiting[:SHOWN_WAITING]:
        parts += [f"## {approval.number}: {approval.kind}", ask(approval, now)]
    if len(waiting) > SHOWN_WAITING:
        parts.append(f"… and {len(waiting) - SHOWN_WAITING} more: `aegis approvals`.")
    return "\n\n".join(parts)


def event(approval: Approval) -> str:
    """One sentence for the event memory."""
    what = f"Mail {approval.number} ({approval.kind}) to {approval.recipient}"
    match approval.state:
        case State.PENDING:
            return f"{what} waits for approval"
        case State.APPROVED | State.REJECTED:
            return f"{what} was {approval.state.value} {_by(approval)}"
        case State.SENT:
            return f"{what} was sent; approved {_by(approval)}"
        case State.EXPIRED:
            return f"{what} expired at {iso(approval.expires_at)}"
        case _:
            return f"{what} is {approval.state.value}: {approval.problem or approval.reply}"


def decision(approval: Approval) -> str | None:
    """What somebody decided, where the state is a decision."""
    if approval.state not in {State.APPROVED, State.REJECTED}:
        return None
    verb = "send" if approval.state is State.APPROVED else "do not send"
    return f"{verb} mail {approval.number}" + (f": {approval.note}" if approval.note else "")


def _heading(approval: Approval) -> str:
    return f"To {inline(approval.recipient)}: {inline(approval.subject)}"


def _whole(number: int) -> str:
    return f"The whole: `aegis approvals show {number}`"
