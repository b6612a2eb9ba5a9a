"""The store of `approvals` and `mail_suppressions`. It never decides: the moves are given to it.

A claim or a decision that answers None or False came too late: somebody else was first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from aegis_lib.approvals.model import (
    Approval,
    Decision,
    Move,
    Proposal,
    State,
    Suppression,
    address_key,
)
from aegis_lib.db.sql import Queries
from aegis_lib.db.storable import limited, storable_text

LIMIT_WINDOW = timedelta(hours=24)
_LONGEST_SAID_CHARACTERS = 2000


class ApprovalStore:
    """Implements the port `ApprovalStore`. See it for the exact meaning."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    # --- proposals and decisions ---

    def add(self, proposal: Proposal, rule: Decision | None, now: datetime) -> Approval:
        """Keep a proposal, approved where a rule is given; the one that is there where its key is known."""
        added = self._queries.add(
            kind=proposal.kind,
            key=proposal.key,
            recipient=proposal.recipient,
            recipient_key=address_key(proposal.recipient),
            subject=proposal.subject,
            body=proposal.body,
            in_reply_to=proposal.in_reply_to,
            reference_ids=list(proposal.references),
            proposed_by=storable_text(proposal.proposed_by),
            why=storable_text(proposal.why),
            digest=proposal.digest,
            expires_at=proposal.expires_at,
            rule=None if rule is None else rule.by,
            now=now,
        )
        return _approval(added or self._queries.by_key(key=proposal.key))

    def get(self, number: int) -> Approval | None:
        """One proposal."""
        return _maybe(self._queries.by_number(number=number))

    def listed(self, states: Collection[State], limit: int) -> list[Approval]:
        """Proposals in one of these states, the newest first. `limit` is 1 to 1000."""
        limited(limit)
        return _all(self._queries.listed(states=_names(states), limit=limit))

    def decide(self, number: int, move: Move, decision: Decision) -> Approval | None:
        """Take a decision, unless the time is up or the content is not the proposed one."""
        return _maybe(
            self._queries.decide(
                number=number,
                **_move(move),
                by=storable_text(decision.by),
                via=decision.via.value,
                at=decision.at,
                note=storable_text(decision.note),
                digest=decision.digest,
            )
        )

    def withdraw(self, number: int, move: Move) -> Approval | None:
        """Undo the approval by a rule."""
        return _maybe(self._queries.withdraw(number=number, **_move(move)))

    def expire(self, move: Move, now: datetime) -> list[Approval]:
        """End what nobody decided on, or what could not be sent, in time."""
        return _all(self._queries.expire(**_move(move), now=now))

    # --- who is never written to again ---

    def suppress(self, entry: Suppression, move: Move) -> bool:
        """Never write to an address again, and reject what waits for it; False when it was listed before."""
        with self._queries.transaction():
            fresh = self._queries.add_suppression(
                address=storable_text(entry.address),
                reason=storable_text(entry.reason),
                added_by=storable_text(entry.added_by),
                added_at=entry.added_at,
            )
            self.reject_suppressed(move, entry.added_at)
        return bool(fresh)

    def reject_suppressed(self, move: Move, now: datetime) -> list[Approval]:
        """Reject what is meant for somebody who has unsubscribed."""
        return _all(self._queries.reject_suppressed(**_move(move), now=now))

    def suppressions(self, limit: int) -> list[Suppression]:
        """Addresses that are never written to, the newest first. `limit` is 1 to 1000."""
        limited(limit)
        return [Suppression.model_validate(row) for row in self._queries.suppressions(limit=limit)]

    # --- sending ---

    def sendable(self, now: datetime, limit: int) -> list[Approval]:
        """What is approved, is not over and is due for an attempt; the oldest decision first."""
        limited(limit)
        return _all(self._queries.sendable(now=now, limit=limit))

    def sends_since(self, moment: datetime) -> int:
        """How many were sent, or may have been, or are being sent, since then."""
        return int(self._queries.sends_since(since=moment))

    def claim(
        self, number: int, move: Move, claim: str, message_id: str, now: datetime, limit: int
    ) -> Approval | None:
        """Be the one to send it; None also when `limit` were sent in the 24 hours before `now`."""
        with self._queries.transaction():
            self._queries.lock_sending()
            row = self._queries.claim(
                number=number,
                **_move(move),
                claim=claim,
                message_id=message_id,
                now=now,
                since=now - LIMIT_WINDOW,
                limit=limit,
            )
        return _maybe(row)

    def hand_over(self, number: int, claim: str, digest: str, now: datetime) -> bool:
        """The last word before the mail server may have it. False: it must not."""
        return bool(self._queries.hand_over(number=number, claim=claim, digest=digest, now=now))

    def abandoned(self, before: datetime) -> list[Approval]:
        """What was claimed before then and is still being sent: the process that did died."""
        return _all(self._queries.abandoned(before=before))

    def settle(
        self,
        number: int,
        move: Move,
        now: datetime,
        *,
        claim: str | None = None,
        problem: str = "",
        reply: str = "",
        next_attempt_at: datetime | None = None,
        uncounted: bool = False,
    ) -> Approval | None:
        """How an attempt ended. With `claim`, only where that claim holds; `uncounted`: it was none."""
        return _maybe(
            self._queries.settle(
                number=number,
                **_move(move),
                now=now,
                claim=claim,
                problem=storable_text(problem)[:_LONGEST_SAID_CHARACTERS],
                reply=storable_text(reply)[:_LONGEST_SAID_CHARACTERS],
                next_attempt_at=next_attempt_at,
                uncounted=uncounted,
            )
        )

    # --- telling people ---

    def untold(self, limit: int) -> list[Approval]:
        """Proposals of whose state people were not told yet. `limit` is 1 to 1000."""
        limited(limit)
        return _all(self._queries.untold(limit=limit))

    def told(self, number: int, state: State) -> None:
        """People were told that it is in that state."""
        self._queries.told(number=number, state=state.value)


def _move(move: Move) -> dict[str, Any]:
    return {"sources": _names(move.sources), "target": move.target.value}


def _names(states: Collection[State]) -> list[str]:
    return sorted(state.value for state in states)


def _all(rows: list[Mapping[str, Any]]) -> list[Approval]:
    return [_approval(row) for row in rows]


def _maybe(row: Mapping[str, Any] | None) -> Approval | None:
    return None if row is None else _approval(row)


def _approval(row: Mapping[str, Any]) -> Approval:
    held = {name: value for name, value in row.items() if name not in {"recipient_key", "reference_ids"}}
    return Approval(**held, references=tuple(row["reference_ids"]))
