"""`aegis approvals`: the mails that wait for a decision, and deciding. Sends nothing.

A proposal's text comes from strangers: it is shown without characters that a terminal would obey.
"""

from __future__ import annotations

import getpass
import re
import sys
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter, validators

from aegis_lib import clock
from deployments.cli import screen
from deployments.cli.exit_codes import FAILED, OK, UsageMistake
from deployments.cli.options import INSIGHT, Json

if TYPE_CHECKING:
    from datetime import datetime

    from aegis_lib.approvals.model import Approval

approvals = App(name="approvals", group=INSIGHT, help="Decide which mails may be sent.")
_COLOURS = {
    "pending": "yellow",
    "approved": "cyan",
    "sending": "cyan",
    "sent": "green",
    "failed": "bold red",
    "unclear": "bold red",
}
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_OPEN = ("pending", "approved", "sending", "unclear")

By = Annotated[str | None, Parameter(show_default=False)]
Yes = Annotated[bool, Parameter(name=["--yes", "-y"], negative="", show_default=False)]


@approvals.default
@approvals.command(name="list")
def list_approvals(
    *,
    everything: Annotated[bool, Parameter(name="--all", negative="", show_default=False)] = False,
    limit: Annotated[
        int, Parameter(name=["--limit", "-n"], validator=validators.Number(gte=1, lte=1000))
    ] = 50,
    json: Json = False,
) -> int:
    """List the mails that wait for a decision or are on their way, newest first.

    Keys of --json, per mail: number, kind, key, recipient, subject, body,
    in_reply_to, references, proposed_by, why, digest, state, proposed_at,
    expires_at, decided_by, decided_via, decided_at, approved_digest, note,
    attempts, next_attempt_at, claim, claimed_at, handed_over_at, message_id,
    ended_at, problem, reply, told_state.

    For example:
        aegis approvals
        aegis approvals list --all --limit 10
        aegis approvals approve 7

    Args:
        everything: Also those that are over: sent, rejected, expired, failed.
        limit: At most so many, 1 to 1000.
        json: Print JSON for programs.
    """
    from aegis_lib.approvals.model import State
    from aegis_lib.db import database

    now = clock.utcnow()
    with database.connect() as db:
        found = db.approvals.listed([state for state in State if everything or state.value in _OPEN], limit)
    if json:
        screen.as_json(found)
        return OK
    screen.table(
        ("NO", "STATE", "KIND", "EXPIRES (UTC)", "TO", "SUBJECT"),
        [
            (
                str(approval.number),
                screen.plain(approval.state.value, _COLOURS.get(approval.state.value, "dim")),
                approval.kind,
                screen.moment(approval.expires_at, now) if approval.state.value in _OPEN[:2] else "-",
                _visible(approval.recipient),
                _visible(approval.subject),
            )
            for approval in found
        ],
        empty="No mail was proposed yet." if everything else "No mail waits for a decision.",
    )
    states = {approval.state.value for approval in found}
    if "pending" in states:
        screen.note("Read one: aegis approvals show NO. Decide: aegis approvals approve NO, or reject NO.")
    if "unclear" in states:
        screen.note("Unclear: look whether it arrived, then aegis approvals settle NO --arrived or --lost.")
    return OK


@approvals.command
def show(number: int, /, *, json: Json = False) -> int:
    """Show one mail: to whom, its text, who decided, and what became of it.

    Keys of --json: as in `aegis approvals list`.

    For example:
        aegis approvals show 7

    Args:
        number: Its number.
        json: Print JSON for programs.
    """
    from aegis_lib.approvals import service
    from aegis_lib.db import database

    with database.connect() as db:
        found = service.find(db.approvals, number)
    if json:
        screen.as_json(found)
        return OK
    _show(found, clock.utcnow())
    return OK


@approvals.command
def approve(number: int, /, *, yes: Yes = False, by: By = None, note: str = "", json: Json = False) -> int:
    """Let a mail be sent, by the next run of send_approved.

    Shows the mail and asks first. Exit code 1 when it was decided before or
    has expired. Keys of --json: as in `aegis approvals list`.

    For example:
        aegis approvals approve 7
        aegis approvals approve 7 --yes --by ada --note "as we agreed"

    Args:
        number: Its number.
        yes: Do not ask.
        by: Who decides; you, by default.
        note: Why, for those who look later.
        json: Print JSON for programs; wants --yes.
    """
    return _decide(number, "approve", yes, by, note, json)


@approvals.command
def reject(number: int, /, *, yes: Yes = False, by: By = None, note: str = "", json: Json = False) -> int:
    """Never let a mail be sent; also takes back an approval, until it is sent.

    Shows the mail and asks first. Exit code 1 when it is too late. Keys of
    --json: as in `aegis approvals list`.

    For example:
        aegis approvals reject 7 --note "wrong tone"

    Args:
        number: Its number.
        yes: Do not ask.
        by: Who decides; you, by default.
        note: Why, for those who look later.
        json: Print JSON for programs; wants --yes.
    """
    return _decide(number, "reject", yes, by, note, json)


@approvals.command
def settle(
    number: int,
    /,
    *,
    arrived: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    lost: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    by: By = None,
    json: Json = False,
) -> int:
    """Say of an unclear mail whether it arrived. It is not sent again.

    Keys of --json: as in `aegis approvals list`.

    For example:
        aegis approvals settle 7 --arrived

    Args:
        number: Its number.
        arrived: It was sent.
        lost: It was not sent; whatever proposed it may propose it anew.
        by: Who found out; you, by default.
        json: Print JSON for programs.
    """
    from aegis_lib.approvals import service
    from aegis_lib.db import database

    if arrived == lost:
        raise UsageMistake("Say what became of it. Fix: give --arrived or --lost.")
    with database.connect() as db:
        settled = service.settle(
            db.approvals, number, by or getpass.getuser(), clock.utcnow(), arrived=arrived
        )
    if json:
        screen.as_json(settled)
    else:
        screen.say(f"Mail {settled.number} is {settled.state.value}.")
    return OK


@approvals.command
def suppress(
    address: str, /, *, reason: str = "", yes: Yes = False, by: By = None, json: Json = False
) -> int:
    """Never write to an address again, at once and for ever.

    What waits for it is rejected, also what is approved. There is no command
    that undoes this. Asks first. Keys of --json: address, fresh.

    For example:
        aegis approvals suppress ada@example.org --reason "asked by phone"

    Args:
        address: The bare address. What follows a + in it does not count.
        reason: Why, for those who look later.
        yes: Do not ask.
        by: Who asks for it; you, by default.
        json: Print JSON for programs; wants --yes.
    """
    from aegis_lib.approvals import service
    from aegis_lib.db import database

    shown = _visible(address)
    if not _confirm(f"Never write to {shown} again, for ever?", yes, json):
        screen.say("Nothing was changed.")
        return FAILED
    with database.connect() as db:
        fresh = service.suppress(db.approvals, address, reason, by or getpass.getuser(), clock.utcnow())
    if json:
        screen.as_json({"address": address, "fresh": fresh})
    else:
        screen.say(f"{shown} is never written to again." if fresh else f"{shown} was on the list already.")
    return OK


@approvals.command
def suppressed(
    *,
    limit: Annotated[
        int, Parameter(name=["--limit", "-n"], validator=validators.Number(gte=1, lte=1000))
    ] = 50,
    json: Json = False,
) -> int:
    """List who is never written to again, newest first.

    Keys of --json, per address: address, reason, added_by, added_at.

    For example:
        aegis approvals suppressed

    Args:
        limit: At most so many, 1 to 1000.
        json: Print JSON for programs.
    """
    from aegis_lib.db import database

    now = clock.utcnow()
    with database.connect() as db:
        found = db.approvals.suppressions(limit)
    if json:
        screen.as_json(found)
        return OK
    screen.table(
        ("ADDRESS", "SINCE (UTC)", "BY", "REASON"),
        [
            (
                _visible(entry.address),
                screen.moment(entry.added_at, now),
                _visible(entry.added_by),
                _visible(entry.reason),
            )
            for entry in found
        ],
        empty="Nobody has unsubscribed.",
    )
    return OK


def _decide(
    number: int, verdict: Literal["approve", "reject"], yes: bool, by: str | None, note: str, json: bool
) -> int:
    from aegis_lib.approvals import service
    from aegis_lib.db import database

    with database.connect() as db:
        found = service.find(db.approvals, number)
        if not yes:
            if not json:
                _show(found, clock.utcnow())
            question = "Send it?" if verdict == "approve" else "Never send it?"
            if not _confirm(question, yes, json):
                screen.say("Nothing was decided.")
                return FAILED
        store, who, now = db.approvals, by or getpass.getuser(), clock.utcnow()
        if verdict == "approve":
            decided = service.approve(store, number, who, now, note=note, seen=found)
        else:
            decided = service.reject(store, number, who, now, note=note)
    if json:
        screen.as_json(decided)
    else:
        said = "is approved and will be sent within minutes" if verdict == "approve" else "is rejected"
        screen.say(f"Mail {decided.number} {said}.")
    return OK


def _confirm(question: str, yes: bool, json: bool) -> bool:
    """Whether the person at the terminal agrees; `yes` agrees beforehand."""
    if yes:
        return True
    if json or not sys.stdin.isatty():
        raise UsageMistake("Nobody is here to be asked. Fix: give --yes to decide without a question.")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _show(approval: Approval, now: datetime) -> None:
    title = f"Mail {approval.number} ({approval.kind}, {approval.state.value})"
    screen.say(screen.plain(title, "bold"))
    by = f" by {approval.proposed_by}" if approval.proposed_by else ""
    via = f" ({approval.decided_via.value})" if approval.decided_via else ""
    lines = (
        ("to", approval.recipient),
        ("subject", approval.subject),
        ("answers", approval.in_reply_to),
        ("why", approval.why),
        ("proposed", f"{screen.moment(approval.proposed_at, now)}{by}"),
        ("expires", screen.moment(approval.expires_at, now)),
        (
            "decided",
            f"{screen.moment(approval.decided_at, now)} by {approval.decided_by}{via}"
            if approval.decided_at
            else None,
        ),
        ("note", approval.note),
        ("attempts", str(approval.attempts) if approval.attempts else None),
        (
            "next attempt",
            screen.moment(approval.next_attempt_at, now) if approval.state.value == "approved" else None,
        ),
        ("ended", screen.moment(approval.ended_at, now) if approval.ended_at else None),
        ("problem", approval.problem),
        ("answer", approval.reply),
        ("Message-ID", approval.message_id),
    )
    for what, said in lines:
        if said:
            screen.say(screen.plain(f"{what:<12} {_visible(said)}"))
    if approval.content_digest != approval.digest:
        screen.note("Its row was changed after it was proposed: it cannot be approved.")
    screen.say("")
    for line in approval.body.split("\n"):
        screen.say(screen.plain(f"  | {_visible(line)}"))
    screen.say("")


def _visible(text: str) -> str:
    """The text without what a terminal would obey, or a reader would not see."""
    return _OBEYED.sub("\ufffd", text)
