"""What services need from the outside: proposals, and the sending of mail.

No implementation lives here, and no name of a vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Protocol

from aegis_lib.approvals.model import (
    Approval,
    Decision,
    Letter,
    Move,
    Proposal,
    SendResult,
    State,
    Suppression,
)


class ApprovalStore(Protocol):
    """Proposals, decisions about them, and who is never written to again.

    A move is made only from one of its `sources`; what answers None or False changed nothing: somebody else
    was first. Every method raises DependencyUnavailable without its database.
    """

    def add(self, proposal: Proposal, rule: Decision | None, now: datetime) -> Approval:
        """Keep a proposal, approved where a rule is given; the one that is there where its key is known.

        To an address that is suppressed it is kept as rejected.
        """

    def get(self, number: int) -> Approval | None:
        """One proposal."""

    def listed(self, states: Collection[State], limit: int) -> list[Approval]:
        """Proposals in one of these states, the newest first."""

    def decide(self, number: int, move: Move, decision: Decision) -> Approval | None:
        """Take a decision, unless the time is up or the content is not the proposed one."""

    def suppress(self, entry: Suppression, move: Move) -> bool:
        """Never write to an address again, and reject what waits for it; False when it was listed before."""

    def reject_suppressed(self, move: Move, now: datetime) -> list[Approval]:
        """Reject what is meant for somebody who has unsubscribed, and came in at the same moment."""

    def suppressions(self, limit: int) -> list[Suppression]:
        """Addresses that are never written to, the newest first."""

    def expire(self, move: Move, now: datetime) -> list[Approval]:
        """End what nobody decided on, or what could not be sent, in time."""

    def withdraw(self, number: int, move: Move) -> Approval | None:
        """Undo the approval by a rule."""

    def sendable(self, now: datetime, limit: int) -> list[Approval]:
        """What is approved, is not over and is due for an attempt; the oldest decision first."""

    def sends_since(self, moment: datetime) -> int:
        """How many were sent, or may have been, or are being sent, since then."""

    def claim(
        self, number: int, move: Move, claim: str, message_id: str, now: datetime, limit: int
    ) -> Approval | None:
        """Be the one to send it; None also when `limit` were sent in the 24 hours before `now`.

        It counts as an attempt. A Message-ID that it has from an earlier one stays.
        """

    def hand_over(self, number: int, claim: str, digest: str, now: datetime) -> bool:
        """The last word before the mail server may have it. False: it must not.

        True once, while the claim holds, the approval is of this content, its time is not up and its
        recipient has not unsubscribed.
        """

    def abandoned(self, before: datetime) -> list[Approval]:
        """What was claimed before then and is still being sent: the process that did died."""

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
        """How an attempt ended. With `claim`, only where that claim holds.

        `uncounted`: it was no attempt, because the mail server was not even reached.
        """

    def untold(self, limit: int) -> list[Approval]:
        """Proposals of whose state people were not told yet, and which is none that passes by itself."""

    def told(self, number: int, state: State) -> None:
        """People were told that it is in that state."""


class MailSender(Protocol):
    """The mail server that takes what we send."""

    def new_message_id(self, claim: str) -> str:
        """A Message-ID made of `claim`, of the sender's domain."""

    def send(self, letter: Letter, hand_over: Callable[[], bool]) -> SendResult:
        """Offer one mail. Right before the mail server is told that it is complete, `hand_over` is asked.

        Raises:
            DependencyUnavailable: the mail server does not answer, or wants no mail at all now.
            Misconfigured: it refuses our login, our certificate check or our sender.
            Exception: whatever `hand_over` raises; the mail server does not have the mail then.
        """
