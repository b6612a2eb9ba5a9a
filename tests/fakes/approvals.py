"""Proposals without a database, and a mail server that is none. Imports nothing but models."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aegis_lib.approvals.model import (
    Approval,
    Decision,
    Handover,
    Letter,
    Move,
    Proposal,
    SendResult,
    State,
    Suppression,
    Via,
    address_key,
)

COUNTED = (State.SENDING, State.SENT, State.UNCLEAR)


class FakeApprovals:
    """A port `ApprovalStore` in memory. Tests change `rows` as one with a database client would."""

    def __init__(self) -> None:
        self.rows: dict[int, Approval] = {}
        self.listed_addresses: dict[str, Suppression] = {}

    def change(self, number: int, **values: Any) -> Approval:
        """Write into a row, past everything."""
        self.rows[number] = self.rows[number].model_copy(update=values)
        return self.rows[number]

    def _move(self, number: int, move: Move, **values: Any) -> Approval | None:
        row = self.rows.get(number)
        if row is None or row.state not in move.sources:
            return None
        return self.change(number, state=move.target, **values)

    def add(self, proposal: Proposal, rule: Decision | None, now: datetime) -> Approval:
        for row in self.rows.values():
            if row.key == proposal.key:
                return row
        number = len(self.rows) + 1
        held = proposal.model_dump(exclude={"expires_at"})
        made = Approval(
            number=number,
            **held,
            expires_at=proposal.expires_at,
            digest=proposal.digest,
            state=State.PENDING,
            proposed_at=now,
        )
        entry = self.listed_addresses.get(address_key(proposal.recipient))
        if entry is not None:
            made = made.model_copy(
                update={
                    "state": State.REJECTED,
                    "decided_by": entry.added_by,
                    "decided_via": Via.SUPPRESSION,
                    "decided_at": now,
                    "ended_at": now,
                }
            )
        elif rule is not None:
            made = made.model_copy(
                update={
                    "state": State.APPROVED,
                    "decided_by": rule.by,
                    "decided_via": Via.RULE,
                    "decided_at": now,
                    "approved_digest": proposal.digest,
                }
            )
        self.rows[number] = made
        return made

    def get(self, number: int) -> Approval | None:
        return self.rows.get(number)

    def listed(self, states: Collection[State], limit: int) -> list[Approval]:
        found = [row for row in self.rows.values() if row.state in states]
        return sorted(found, key=lambda row: -row.number)[:limit]

    def decide(self, number: int, move: Move, decision: Decision) -> Approval | None:
        row = self.rows.get(number)
        approves = move.target is State.APPROVED
        if row is None or row.expires_at <= decision.at or (approves and row.digest != decision.digest):
            return None
        return self._move(
            number,
            move,
            decided_by=decision.by,
            decided_via=decision.via,
            decided_at=decision.at,
            note=decision.note,
            approved_digest=decision.digest if approves else None,
            ended_at=None if approves else decision.at,
        )

    def withdraw(self, number: int, move: Move) -> Approval | None:
        if self.rows[number].decided_via is not Via.RULE:
            return None
        undone = {"decided_by": None, "decided_via": None, "decided_at": None}
        return self._move(number, move, **undone, approved_digest=None, told_state=None)

    def expire(self, move: Move, now: datetime) -> list[Approval]:
        over = [row.number for row in self.rows.values() if row.expires_at <= now]
        return [row for number in over if (row := self._move(number, move, ended_at=now))]

    def suppress(self, entry: Suppression, move: Move) -> bool:
        fresh = entry.address not in self.listed_addresses
        self.listed_addresses.setdefault(entry.address, entry)
        self.reject_suppressed(move, entry.added_at)
        return fresh

    def reject_suppressed(self, move: Move, now: datetime) -> list[Approval]:
        found = []
        for row in list(self.rows.values()):
            entry = self.listed_addresses.get(address_key(row.recipient))
            if entry is None:
                continue
            values = {
                "decided_by": entry.added_by,
                "decided_via": Via.SUPPRESSION,
                "decided_at": now,
                "approved_digest": None,
                "ended_at": now,
            }
            if changed := self._move(row.number, move, **values):
                found.append(changed)
        return found

    def suppressions(self, limit: int) -> list[Suppression]:
        found = sorted(self.listed_addresses.values(), key=lambda entry: entry.added_at, reverse=True)
        return found[:limit]

    def sendable(self, now: datetime, limit: int) -> list[Approval]:
        found = [
            row
            for row in self.rows.values()
            if row.state is State.APPROVED
            and row.expires_at > now
            and (row.next_attempt_at is None or row.next_attempt_at <= now)
        ]
        return sorted(found, key=lambda row: (row.decided_at or now, row.number))[:limit]

    def sends_since(self, moment: datetime) -> int:
        return sum(
            row.claimed_at is not None and row.claimed_at > moment and row.state in COUNTED
            for row in self.rows.values()
        )

    def claim(
        self, number: int, move: Move, claim: str, message_id: str, now: datetime, limit: int
    ) -> Approval | None:
        due = number in {row.number for row in self.sendable(now, 1000)}
        if not due or self.sends_since(now - timedelta(hours=24)) >= limit:
            return None
        row = self.rows[number]
        if address_key(row.recipient) in self.listed_addresses:
            return None
        return self._move(
            number,
            move,
            claim=claim,
            claimed_at=now,
            handed_over_at=None,
            message_id=row.message_id or message_id,
            attempts=row.attempts + 1,
        )

    def hand_over(self, number: int, claim: str, digest: str, now: datetime) -> bool:
        row = self.rows[number]
        if (
            row.state is not State.SENDING
            or row.claim != claim
            or row.handed_over_at is not None
            or row.approved_digest != digest
            or row.expires_at <= now
            or address_key(row.recipient) in self.listed_addresses
        ):
            return False
        self.change(number, handed_over_at=now)
        return True

    def abandoned(self, before: datetime) -> list[Approval]:
        return [
            row
            for row in self.rows.values()
            if row.state is State.SENDING and row.claimed_at is not None and row.claimed_at < before
        ]

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
        row = self.rows.get(number)
        if row is None or (claim is not None and row.claim != claim):
            return None
        again = (
            {"claim": None, "handed_over_at": None} if move.target is State.APPROVED else {"ended_at": now}
        )
        return self._move(
            number,
            move,
            problem=problem,
            reply=reply,
            next_attempt_at=next_attempt_at,
            attempts=max(row.attempts - uncounted, 0),
            **again,
        )

    def untold(self, limit: int) -> list[Approval]:
        found = [
            row
            for row in self.rows.values()
            if row.told_state is not row.state and row.state is not State.SENDING
        ]
        return sorted(found, key=lambda row: row.number)[:limit]

    def told(self, number: int, state: State) -> None:
        if self.rows[number].state is state:
            self.change(number, told_state=state)


@dataclass
class FakeSender:
    """A port `MailSender`. `results` are what becomes of the next mails; then all are accepted.

    An exception among them is raised; `before_hand_over` is called before each mail is let go.
    """

    results: list[SendResult | Exception] = field(default_factory=list)
    before_hand_over: Callable[[], None] | None = None
    offered: list[Letter] = field(default_factory=list)
    sent: list[Letter] = field(default_factory=list)

    def new_message_id(self, claim: str) -> str:
        return f"<{claim}@ours.example>"

    def send(self, letter: Letter, hand_over: Callable[[], bool]) -> SendResult:
        self.offered.append(letter)
        result = (
            self.results.pop(0) if self.results else SendResult(handover=Handover.ACCEPTED, said="250 ok")
        )
        if isinstance(result, Exception):
            raise result
        if self.before_hand_over is not None:
            self.before_hand_over()
        if result.handover in {Handover.LATER, Handover.REFUSED}:
            return result
        if not hand_over():
            return SendResult(handover=Handover.WITHHELD)
        if result.handover is Handover.ACCEPTED:
            self.sent.append(letter)
        return result
