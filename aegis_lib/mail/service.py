"""Sorts unread mail and acts on it; reminds of drafts. Must not lose a mail, nor handle one twice.

A mail is claimed by its identity before anything is decided, its decision is kept before anything is done,
and it counts as handled only after everything was done. A run that dies anywhere in between is taken up again
by the next one: what is told and what becomes a task carries the mail's identity as its key, flags and moves
do nothing the second time.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aegis_lib import isolation
from aegis_lib.errors import AegisError
from aegis_lib.logs import get_logger
from aegis_lib.mail import actions, feedback, messages
from aegis_lib.mail.actions import Actions
from aegis_lib.mail.classifier import Model
from aegis_lib.mail.deciding import Decider
from aegis_lib.mail.feedback import Feedback
from aegis_lib.mail.model import (
    HANDLED,
    KEYWORDS,
    Category,
    Decided,
    Decision,
    EmailConfig,
    Folders,
    Mail,
    MailboxRefused,
    MailKey,
    OpenedFolder,
    SentMail,
    SortedRow,
    Standing,
    TriageReport,
)
from aegis_lib.mail.reading import identity
from aegis_lib.memory.model import Importance
from aegis_lib.outcome import Outcome
from aegis_lib.ports.alerts import Notifier
from aegis_lib.ports.llm import LanguageModel
from aegis_lib.ports.mail import Mailbox, MailStore
from aegis_lib.ports.memory import EpisodicMemory
from aegis_lib.ports.tasks import TaskList

EVENT_TYPE = "email_triage"
_ROWS = 200
_LOOKED_UP_AT_ONCE = 500
_SENT_DAYS = 365
log = get_logger(__name__)


def triage(
    mailbox: Mailbox,
    store: MailStore,
    tasks: TaskList,
    memory: EpisodicMemory,
    notifier: Notifier,
    language_model: LanguageModel,
    *,
    now: datetime,
    config: EmailConfig,
    dry_run: bool = True,
    monotonic: Callable[[], float] = time.monotonic,
) -> TriageReport:
    """Learn from corrections, then sort the unread mail of the inbox and act on it.

    With `dry_run` mail is read and decided on; nothing is kept, told, flagged or moved.

    Raises:
        DependencyUnavailable: the mailbox or the database is away; the next run goes on where this one was.
        PermanentFailure: the mailbox refuses what is needed.
    """
    with store.exclusive(mailbox.account) as held:
        if not held:
            return TriageReport(summary="Another run is sorting this mailbox; nothing was done.")
        decider = Decider(config, Model(), SentMail(), language_model)
        run = _Triage(mailbox, store, tasks, memory, notifier, decider, now, config, dry_run, monotonic)
        return run.run()


@dataclass
class _Case:
    """One mail at work; `mails` are all its copies, the first of which is read."""

    standing: Standing
    mails: list[Mail]
    decision: Decision | None = None
    actions: Actions | None = None

    @property
    def mail(self) -> Mail:
        return self.mails[0]

    @property
    def uids(self) -> list[int]:
        return [mail.key.uid for mail in self.mails]

    def __str__(self) -> str:
        return str(self.mail.key)


@dataclass
class _Triage:
    mailbox: Mailbox
    store: MailStore
    tasks: TaskList
    memory: EpisodicMemory
    notifier: Notifier
    decider: Decider
    now: datetime
    config: EmailConfig
    dry_run: bool
    monotonic: Callable[[], float]
    began: float = 0.0
    folders: Folders = field(default_factory=Folders)
    begun: dict[int, int] = field(default_factory=dict)
    """Uids of the inbox at which an earlier run left something half done, and the numbers of the mails."""
    counts: Counter[Category] = field(default_factory=Counter)
    rows: list[SortedRow] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    moved: int = 0
    told: int = 0
    made_tasks: int = 0
    known_before: int = 0

    def run(self) -> TriageReport:
        """One run over the inbox."""
        self.began = self.monotonic()
        self.folders = self.mailbox.folders()
        found = self._feedback()
        self.decider.model = feedback.known(self.store, self.mailbox.account)
        opened = self._open_inbox()
        self._say_what_is_lacking(opened)
        waiting = self._waiting(opened)
        if waiting and self.folders.sent is not None:
            since = self.now - timedelta(days=_SENT_DAYS)
            self.decider.sent = self.mailbox.sent(self.folders.sent, since)
            self._open_inbox()
        left = self._sort(waiting)
        if left == 0 and not self.dry_run:
            self._close_what_is_gone(opened)
        return self._report(found, left)

    def _open_inbox(self) -> OpenedFolder:
        return self.mailbox.open(self.folders.inbox, read_only=self.dry_run)

    def _feedback(self) -> Feedback:
        if self.dry_run:
            return Feedback()
        found = feedback.gather(self.mailbox, self.store, self.config, self.folders, self.now)
        self.problems += found.problems
        return found

    def _say_what_is_lacking(self, opened: OpenedFolder) -> None:
        if self.config.move_messages:
            self.problems += [
                f"no folder for {use}: name one in email.folders.{use}"
                for use in actions.lacking(self.folders)
            ]
        if not opened.keeps_keywords:
            log.warning("mail_keywords_not_kept", folder=opened.name)

    def _sort(self, waiting: Sequence[int]) -> int:
        """Sort what waits, batch by batch; how many mails are left."""
        now_at = waiting[: self.config.most_per_run]
        done = 0
        for start in range(0, len(now_at), self.config.batch):
            if self.monotonic() - self.began > self.config.time_limit_seconds:
                break
            batch = now_at[start : start + self.config.batch]
            self._batch(batch)
            done += len(batch)
        return len(waiting) - done

    def _waiting(self, opened: OpenedFolder) -> list[int]:
        """Uids to be handled: what an earlier run left half done, then unread mail that nobody handled."""
        self.begun = {
            place.uid: standing.id
            for standing, place in self.store.unfinished(self.mailbox.account)
            if (place.folder, place.uidvalidity) == (opened.name, opened.uidvalidity)
        }
        found = self.mailbox.waiting()
        fresh = []
        for start in range(0, len(found), _LOOKED_UP_AT_ONCE):
            chunk = found[start : start + _LOOKED_UP_AT_ONCE]
            known = self.store.known(self.mailbox.account, opened.name, opened.uidvalidity, chunk)
            fresh += [uid for uid in chunk if uid not in known or not known[uid].finished]
        return list(dict.fromkeys([*self.begun, *fresh]))

    def _close_what_is_gone(self, opened: OpenedFolder) -> None:
        """What was begun and is not in the inbox any more: the move was done, or its reader took it away."""
        gone = [
            standing.id
            for standing, place in self.store.unfinished(self.mailbox.account)
            if (place.folder, place.uidvalidity) != (opened.name, opened.uidvalidity)
        ]
        self.store.finish(self.mailbox.account, gone, self.now)

    # --- one batch ---

    def _batch(self, uids: Sequence[int]) -> None:
        reading = self.mailbox.read(uids)
        for broken in reading.unreadable:
            self.problems.append(f"uid {broken.uid} cannot be read: {broken.reason}")
            if not self.dry_run:
                self.mailbox.mark([broken.uid], [HANDLED])
        by_identity: dict[str, list[Mail]] = defaultdict(list)
        for mail in reading.mails:
            answers = bool(self.decider.sent.message_ids.intersection(mail.thread_ids))
            by_identity[identity(mail)].append(mail.model_copy(update={"is_answer": answers}))
        if self.dry_run:
            cases = [_Case(Standing(id=0, identity=name), mails) for name, mails in by_identity.items()]
            for case in self._decided(cases):
                self._count(case)
            return
        standings = self.store.claim(self.mailbox.account, by_identity, self.now)
        cases = [
            _Case(standings[name], mails, standings[name].decision) for name, mails in by_identity.items()
        ]
        self._finish_the_vanished(uids, standings)
        self._greet_the_known([case for case in cases if case.standing.finished])
        open_cases = [case for case in cases if not case.standing.finished]
        self._decide([case for case in open_cases if case.decision is None])
        self._act([case for case in open_cases if case.decision is not None])

    def _finish_the_vanished(self, uids: Sequence[int], standings: dict[str, Standing]) -> None:
        """What was begun earlier and is not here any more was moved, by that run or by its reader."""
        seen = {standing.id for standing in standings.values()}
        gone = [self.begun[uid] for uid in uids if uid in self.begun and self.begun[uid] not in seen]
        self.store.finish(self.mailbox.account, gone, self.now)

    def _greet_the_known(self, cases: Sequence[_Case]) -> None:
        """Mail that was handled under another uid gets its keywords, and nothing else."""
        self.known_before += len(cases)
        by_flags: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for case in cases:
            category = case.standing.category
            by_flags[(HANDLED, KEYWORDS[category]) if category else (HANDLED,)] += case.uids
        self._mark(by_flags)

    def _decide(self, cases: Sequence[_Case]) -> None:
        tired = [case for case in cases if case.standing.attempts > actions.MOST_ATTEMPTS]
        if tired:
            said = f"set aside after {actions.MOST_ATTEMPTS} attempts"
            self.problems += [f"{case}: {said}" for case in tired]
            self._mark({(HANDLED,): [uid for case in tired for uid in case.uids]})
            self.store.finish(
                self.mailbox.account, [case.standing.id for case in tired], self.now, problem=said
            )
        fresh = [case for case in cases if case not in tired]
        self.store.decide(
            self.mailbox.account,
            [
                Decided(
                    id=case.standing.id,
                    mail=case.mail,
                    decision=case.decision,
                    move_to=self._follow(case).move_to,
                )
                for case in self._decided(fresh)
                if case.decision is not None
            ],
            self.now,
            keep_text=self.config.keep_text,
        )

    def _decided(self, cases: Sequence[_Case]) -> list[_Case]:
        """Those on which a decision was found; one that breaks the judges is tried again by the next run."""
        done = []
        for case in cases:
            found = isolation.attempt(lambda case=case: self.decider.decide(case.mail))  # type: ignore[misc]
            if isinstance(found, Exception):
                self.problems.append(f"{case}: not decided: {type(found).__name__}")
                log.error("mail_not_decided", place=str(case), error=str(found), kind=type(found).__name__)
                continue
            case.decision = found
            done.append(case)
        return done

    # --- acting ---

    def _follow(self, case: _Case) -> Actions:
        if case.actions is None:
            assert case.decision is not None  # noqa: S101
            case.actions = actions.follow_from(case.decision, case.mail, self.config, self.folders, self.now)
        return case.actions

    def _act(self, cases: Sequence[_Case]) -> None:
        told = [case for case in cases if self._tell(case)]
        by_flags: dict[tuple[str, ...], list[int]] = defaultdict(list)
        by_folder: dict[str, list[_Case]] = defaultdict(list)
        for case in told:
            plan = self._follow(case)
            by_flags[plan.flags] += case.uids
            if plan.move_to is not None:
                by_folder[plan.move_to].append(case)
        self._mark(by_flags)
        places: dict[int, MailKey] = {}
        for folder, ones in by_folder.items():
            places |= self._move(ones, folder)
        self.store.finish(self.mailbox.account, [case.standing.id for case in told], self.now, moved=places)
        for case in told:
            self._count(case)

    def _tell(self, case: _Case) -> bool:
        """Tell people and add a task, each once; False when it has to be tried again."""
        plan, mail = self._follow(case), case.mail
        decision = case.decision
        if decision is None:
            return False
        key = case.standing.identity
        if plan.task:
            self.tasks.add(
                messages.task_title(mail),
                details=messages.task_details(mail, decision),
                priority=1,
                source="email",
                source_key=f"mail:{key}",
                due_at=mail.received_at + actions.DUE_WITHIN,
            )
            self.made_tasks += 1
        if plan.notify:
            most = self.config.urgent_per_run
            message = (
                messages.urgent(mail, decision, key)
                if self.told < most
                else messages.many_urgent(self.mailbox.account, self.now, most)
            )
            try:
                self.notifier.send(message)
            except AegisError as error:
                self.problems.append(f"{case}: nobody could be told: {error}")
                return False
            self.told += 1
        return True

    def _mark(self, by_flags: dict[tuple[str, ...], list[int]]) -> None:
        for flags, uids in by_flags.items():
            try:
                self.mailbox.mark(uids, flags)
            except MailboxRefused as refused:
                self.problems.append(f"{len(uids)} mails not marked: {refused}")

    def _move(self, cases: Sequence[_Case], folder: str) -> dict[int, MailKey]:
        """Move them together; where each is now, by the mail's number."""
        owner = {mail.key.uid: case.standing.id for case in cases for mail in case.mails}
        self.store.moving([case.standing.id for case in cases], [case.mail.key for case in cases])
        try:
            moved = self.mailbox.move(sorted(owner), folder)
        except MailboxRefused as refused:
            self.store.not_moved([case.standing.id for case in cases])
            self.problems.append(f"{len(cases)} mails not moved: {refused}")
            return {}
        self.moved += len(cases)
        return {owner[uid]: place for uid, place in moved.items() if uid in owner}

    # --- reporting ---

    def _count(self, case: _Case) -> None:
        decision = case.decision
        if decision is None:
            return
        self.counts[decision.category] += 1
        if len(self.rows) < _ROWS:
            self.rows.append(
                SortedRow(
                    uid=case.mail.key.uid,
                    sender=messages.sender(case.mail),
                    subject=messages.subject(case.mail.subject),
                    category=decision.category,
                    confidence=round(decision.confidence, 3),
                    decided_by=decision.decided_by,
                    reason="; ".join(decision.reasons)[:300],
                )
            )

    def _report(self, found: Feedback, left: int) -> TriageReport:
        processed = self.counts.total()
        problems = tuple(dict.fromkeys(self.problems))
        summary = messages.triage_sentence(
            self.counts, processed=processed, moved=self.moved, known_before=self.known_before,
            corrections=found.corrections, left=left, problems=problems, dry_run=self.dry_run,
        )  # fmt: skip
        log.info(
            "email_triage_complete", processed=processed, urgent=self.counts[Category.URGENT],
            action_required=self.counts[Category.ACTION_REQUIRED], spam=self.counts[Category.SPAM],
            moved=self.moved, corrections=found.corrections, lessons=found.lessons, left=left,
        )  # fmt: skip
        if (processed or found.corrections) and not self.dry_run:
            self._remember(summary, processed, found)
        nothing = not (processed or found.corrections or self.known_before or problems)
        return TriageReport(
            outcome=(Outcome.DEGRADED if problems else Outcome.NO_INPUT if nothing else Outcome.COMPLETED),
            summary="No unread mail that was not sorted before." if nothing else summary,
            processed=processed,
            counts=dict(self.counts),
            moved=self.moved,
            told=self.told,
            tasks=self.made_tasks,
            corrections=found.corrections,
            known_before=self.known_before,
            left=left,
            rows=tuple(self.rows),
            problems=problems,
            dry_run=self.dry_run,
        )

    def _remember(self, summary: str, processed: int, found: Feedback) -> None:
        """One event for a run that changed something."""
        self.memory.record(
            EVENT_TYPE,
            summary,
            {
                "processed": processed,
                **{category.value: self.counts[category] for category in Category},
                "moved": self.moved,
                "tasks": self.made_tasks,
                "corrections": found.corrections,
                "lessons": found.lessons,
            },
            Importance.LOW,
            ("mail",),
            timestamp=self.now,
            key=f"{EVENT_TYPE}:{self.mailbox.account}:{self.now.isoformat()}:{processed}",
        )
