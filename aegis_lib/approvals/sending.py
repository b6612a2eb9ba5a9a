"""Sends what was approved, and tells people what waits for them. Must not send anything twice, or undecided.

A mail is claimed before anything is said to the mail server, and marked right before the mail server is told
that it is complete; between the two it cannot have it. So of a run that died, what was claimed only may be
tried again, and what was marked may not: a human has to look. Content, time and recipient are judged in the
statement that marks.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import ValidationError

from aegis_lib import isolation
from aegis_lib.alerts.model import Phase
from aegis_lib.approvals import messages, policy
from aegis_lib.approvals.model import (
    Approval,
    ApprovalsConfig,
    Content,
    Handover,
    Letter,
    SendReport,
    SendResult,
    State,
    TendReport,
)
from aegis_lib.approvals.policy import Event
from aegis_lib.approvals.service import MOST_LISTED, pending
from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.logs import get_logger
from aegis_lib.memory.model import Importance
from aegis_lib.outcome import Outcome
from aegis_lib.ports.alerts import Notifier
from aegis_lib.ports.approvals import ApprovalStore, MailSender
from aegis_lib.ports.memory import EpisodicMemory

LEASE = timedelta(minutes=10)
"""Above the job's time-out: what was claimed longer ago, nobody is sending any more."""
BUDGET_SECONDS = 120.0
"""No mail is begun later than this."""
DAY = timedelta(hours=24)

log = get_logger(__name__)


def tend(
    store: ApprovalStore,
    notifier: Notifier,
    memory: EpisodicMemory,
    config: ApprovalsConfig,
    *,
    now: datetime,
    dry_run: bool,
) -> TendReport:
    """Put in order what time, rules and died processes have changed, and tell people. Sends no mail.

    With `dry_run` nothing is changed and nobody is told.

    Raises:
        DependencyUnavailable: the database is away, or nobody could be told.
    """
    expired = abandoned = told = 0
    if not dry_run:
        expired = len(store.expire(policy.MOVES[Event.EXPIRE], now))
        store.reject_suppressed(policy.MOVES[Event.REJECT], now)
        for approval in store.abandoned(now - LEASE):
            abandoned += _take_back(store, approval, config, now)
        for approval in store.listed((State.APPROVED,), MOST_LISTED):
            if policy.rule_is_gone(approval, config):
                store.withdraw(approval.number, policy.MOVES[Event.WITHDRAW])
        told = tell(store, notifier, memory, now)
    waiting = pending(store, now)
    return TendReport(
        summary=messages.tended(len(waiting), expired, abandoned),
        waiting=len(waiting),
        expired=expired,
        abandoned=abandoned,
        told=told,
        markdown=messages.waiting_markdown(waiting, now) if told else "",
    )


def _take_back(store: ApprovalStore, approval: Approval, config: ApprovalsConfig, now: datetime) -> bool:
    """Of a claim whose process died: what may still be done with the mail."""
    event, problem = policy.after_death(approval, config)
    log.warning("sending_abandoned", number=approval.number, event_follows=event.value)
    settled = store.settle(approval.number, policy.MOVES[event], now, claim=approval.claim, problem=problem)
    return settled is not None


def send(
    store: ApprovalStore,
    sender: MailSender,
    notifier: Notifier,
    memory: EpisodicMemory,
    config: ApprovalsConfig,
    *,
    now: datetime,
    dry_run: bool,
    new_claim: Callable[[], str] = lambda: uuid.uuid4().hex,
    monotonic: Callable[[], float] = time.monotonic,
    budget_seconds: float = BUDGET_SECONDS,
) -> SendReport:
    """Send what is approved and due, each mail once, within the limit of a day.

    Any number of runs may do so at once. With `dry_run` it is only said what would be sent.

    Raises:
        DependencyUnavailable: the mail server or the database is away; what was not sent is due again.
        Misconfigured: the mail server refuses our login, our sender or our encryption; likewise.
    """
    run = _Sending(store, sender, config, now, new_claim, monotonic, budget_seconds)
    if dry_run:
        return run.rehearse()
    try:
        run.all_due()
    finally:
        if run.touched:
            with suppress(AegisError):  # the next run tells what this one could not
                tell(store, notifier, memory, run.now())
    return run.report()


@dataclass
class _Sending:
    """One run: its ports, its moment, and what it did so far."""

    store: ApprovalStore
    sender: MailSender
    config: ApprovalsConfig
    started_at: datetime
    new_claim: Callable[[], str]
    monotonic: Callable[[], float]
    budget_seconds: float
    began: float = 0.0
    touched: int = 0
    sent: int = 0
    later: int = 0
    refused: int = 0
    unclear: int = 0
    held: int = 0
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.began = self.monotonic()

    def elapsed(self) -> float:
        return self.monotonic() - self.began

    def now(self) -> datetime:
        return self.started_at + timedelta(seconds=self.elapsed())

    def rehearse(self) -> SendReport:
        """What would be sent now."""
        due = self.store.sendable(self.started_at, MOST_LISTED)
        room = max(self.config.daily_limit - self.store.sends_since(self.started_at - DAY), 0)
        return SendReport(
            summary=messages.rehearsed(due[:room], len(due) - room), held=max(len(due) - room, 0)
        )

    def all_due(self) -> None:
        """One after the other, the oldest decision first."""
        due = self.store.sendable(self.started_at, MOST_LISTED)
        for place, approval in enumerate(due):
            if self.elapsed() > self.budget_seconds:
                break
            if self.store.sends_since(self.now() - DAY) >= self.config.daily_limit:
                self.held = len(due) - place
                break
            claim = self.new_claim()
            claimed = self.store.claim(
                approval.number,
                policy.MOVES[Event.CLAIM],
                claim,
                self.sender.new_message_id(claim),
                self.now(),
                self.config.daily_limit,
            )
            if claimed is not None:
                self.touched += 1
                self._send(claimed, claim)

    def _send(self, approval: Approval, claim: str) -> None:
        if approval.content_digest != approval.approved_digest:
            self._refuse(approval, messages.CHANGED)
            return
        try:
            letter = _letter(approval, self.now())
        except ValidationError as error:
            self._refuse(approval, messages.unsendable(error.errors(include_input=False)[0]["msg"]))
            return

        def hand_over() -> bool:
            return self.store.hand_over(approval.number, claim, letter.content.digest, self.now())

        try:
            result = self.sender.send(letter, hand_over)
        except (DependencyUnavailable, Misconfigured):
            with suppress(DependencyUnavailable):  # else the claim runs out
                self._settle(approval, Event.RELEASE, uncounted=True)
            raise
        except PermanentFailure as error:
            self._refuse(approval, str(error))
            return
        self._after(approval, result)

    def _after(self, approval: Approval, result: SendResult) -> None:
        match result.handover:
            case Handover.ACCEPTED:
                # Also where a slow answer was given up meanwhile: now it is known.
                if not self._settle(approval, Event.ACCEPTED, reply=result.said):
                    self._settle(approval, Event.ARRIVED, reply=result.said)
                self.sent += 1
                log.info("mail_sent", number=approval.number, message_id=approval.message_id)
            case Handover.LATER if approval.attempts < self.config.attempts:
                due = self.now() + policy.wait_before(approval.attempts)
                self._settle(approval, Event.RELEASE, problem=result.said, next_attempt_at=due)
                self.later += 1
                log.warning("mail_refused_for_now", number=approval.number, said=result.said)
            case Handover.LATER:
                self._refuse(approval, messages.too_often(approval.attempts, result.said), result.said)
            case Handover.REFUSED:
                self._refuse(approval, messages.refused(result.said), result.said)
            case Handover.WITHHELD:
                self._settle(approval, Event.RELEASE, uncounted=True)
                self.store.expire(policy.MOVES[Event.EXPIRE], self.now())
                self.store.reject_suppressed(policy.MOVES[Event.REJECT], self.now())
                log.warning("mail_withheld", number=approval.number)
            case Handover.UNCLEAR:
                self._settle(approval, Event.LOST, problem=result.said)
                self.unclear += 1
                self.problems.append(messages.problem(approval, messages.lost(result.said)))
                log.error("mail_unclear", number=approval.number, message_id=approval.message_id)

    def _refuse(self, approval: Approval, problem: str, reply: str = "") -> None:
        self._settle(approval, Event.REFUSED, problem=problem, reply=reply)
        self.refused += 1
        self.problems.append(messages.problem(approval, problem))
        log.error("mail_refused", number=approval.number, problem=problem)

    def _settle(
        self,
        approval: Approval,
        event: Event,
        *,
        problem: str = "",
        reply: str = "",
        next_attempt_at: datetime | None = None,
        uncounted: bool = False,
    ) -> bool:
        settled = self.store.settle(
            approval.number,
            policy.MOVES[event],
            self.now(),
            claim=approval.claim,
            problem=problem,
            reply=reply,
            next_attempt_at=next_attempt_at,
            uncounted=uncounted,
        )
        return settled is not None

    def report(self) -> SendReport:
        return SendReport(
            outcome=Outcome.DEGRADED if self.problems else Outcome.COMPLETED,
            summary=messages.sent_summary(
                self.sent, self.later, self.refused, self.unclear, self.held, self.config.daily_limit
            )
            + "".join(f" {problem}" for problem in self.problems),
            sent=self.sent,
            later=self.later,
            refused=self.refused,
            unclear=self.unclear,
            held=self.held,
            problems=tuple(self.problems),
        )


def _letter(approval: Approval, now: datetime) -> Letter:
    """The mail of a row, checked as strictly as the proposal was.

    Raises:
        ValidationError: somebody wrote into the row what could not have been proposed.
    """
    content = Content(
        recipient=approval.recipient,
        subject=approval.subject,
        body=approval.body,
        in_reply_to=approval.in_reply_to,
        references=approval.references,
    )
    return Letter(content=content, message_id=approval.message_id or "", date=now)


def tell(store: ApprovalStore, notifier: Notifier, memory: EpisodicMemory, now: datetime) -> int:
    """Tell people and the event memory of every state that they do not know yet; how many there were.

    What is told carries a key of its own, so that saying it again after a crash changes nothing.

    Raises:
        DependencyUnavailable: the database is away, or nothing could be told.
    """

    def tell_one(approval: Approval) -> None:
        _record(memory, approval, now)
        for message in messages.notices(approval, now):
            notifier.send(message)
            if message.phase is Phase.OVER:
                log.info("proposal_clear", number=approval.number, state=approval.state.value)
        store.told(approval.number, approval.state)

    return len(isolation.each(store.untold(MOST_LISTED), tell_one).results)


def _record(memory: EpisodicMemory, approval: Approval, now: datetime) -> None:
    grave = approval.state in {State.FAILED, State.UNCLEAR}
    memory.record(
        f"approval_{approval.state.value}",
        messages.event(approval),
        {
            "number": approval.number,
            "kind": approval.kind,
            "proposed_by": approval.proposed_by,
            "decided_by": approval.decided_by,
            "via": approval.decided_via.value if approval.decided_via else None,
            "message_id": approval.message_id,
        },
        Importance.HIGH if grave else Importance.MEDIUM,
        ("approvals",),
        decision=messages.decision(approval),
        timestamp=now,
        key=f"approval:{approval.number}:{approval.state.value}",
    )
