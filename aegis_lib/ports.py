"""What services need from the outside, as protocols. Adapters and stores implement them; tests fake them.

No implementation lives here, and no name of a vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from aegis_lib.alerts.model import (
    Alert,
    Attempt,
    Delivery,
    FailedAction,
    LateRun,
    Message,
    NoticeKind,
    Problem,
    Receipt,
    Recovered,
    RunEnd,
    WorkerSeen,
)
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
from aegis_lib.commands.model import (
    AskedRun,
    Availability,
    ChatMessage,
    CommandRecord,
    CommandState,
    JobLine,
    Progress,
    Response,
    Written,
)
from aegis_lib.containers.model import Inspected, Listed, Notice, RestartAnswer, RestartOutcome, StrikeRecord
from aegis_lib.digest.model import Arrivals, Claim, EventCounts, TaskCounts, Window
from aegis_lib.health.model import Flushed, Outage, Stage
from aegis_lib.ledger.model import (
    Case,
    Entry,
    MissedTick,
    Pause,
    Planned,
    Presence,
    ScheduledRun,
    ScheduleVersion,
    ServerJob,
    Tally,
    TurnedAway,
)
from aegis_lib.ledger.model import Problem as LedgerProblem
from aegis_lib.llm.model import A, Answer, Asked, NoReply, Question, Refusal, Reply, Request, Told, Turn
from aegis_lib.mail.model import (
    Category,
    Correction,
    CorrectionSource,
    Decided,
    Draft,
    DraftStanding,
    Folders,
    Mail,
    MailKey,
    OpenedFolder,
    Reading,
    SentMail,
    Standing,
)
from aegis_lib.memory.model import Deleted, Episode, Importance
from aegis_lib.tasks.model import Task, TaskStatus


class EpisodicMemory(Protocol):
    """The agent's event memory, the table `episodic_memory`."""

    def record(
        self,
        event_type: str,
        summary: str,
        details: Mapping[str, Any] | None = None,
        importance: Importance = Importance.MEDIUM,
        tags: Sequence[str] = (),
        *,
        context: Mapping[str, Any] | None = None,
        decision: str | None = None,
        timestamp: datetime | None = None,
        key: str | None = None,
    ) -> int | None:
        """Store an event and return its id.

        `timestamp` defaults to now. With a `key` that is already stored nothing is written and the
        stored row's id is returned. None means that the event is spooled until the database is back.
        """

    def recall_recent(self, limit: int = 10, event_type: str | None = None) -> list[Episode]:
        """The newest events first, at most `limit` (1 to 1000), of one type where given."""

    def find_similar(self, embedding: Sequence[float], limit: int = 10) -> list[tuple[Episode, float]]:
        """Events nearest to a vector of 1536 numbers, with cosine similarity (-1 to 1), best first."""


class StateStore(Protocol):
    """The key-value table `state`: last known facts, overwritten in place."""

    def get(self, key: str) -> str | None:
        """The value, or None."""

    def set(self, key: str, value: str) -> None:
        """Store the value and the time it was set."""


class Notifier(Protocol):
    """Delivers messages to people, or keeps them durably until they are delivered."""

    def send(self, message: Message) -> tuple[Receipt, ...]:
        """Deliver to every channel of the message's audience, each on its own, or keep it for them.

        A message that returns is not to be sent again. Its `problem` and `phase` say what it is about.

        Raises:
            DependencyUnavailable: every channel failed and at least one failure was transient.
            PermanentFailure: every channel refused for good.
        """


class DatabaseProbe(Protocol):
    """Asks the database for a sign of life."""

    def ping(self) -> timedelta:
        """Run `SELECT 1` on a fresh connection and return the time it took.

        Raises:
            DependencyUnavailable: no answer within the time-out.
            Misconfigured: the server refused the user, the password or the database name.
        """


class ExpiringMemory(Protocol):
    """The part of the event memory that is allowed to be forgotten: importance `low`, nothing else."""

    def count_expired(self, before: datetime, spare_unsynced: bool = False) -> int:
        """How many low-importance events are older than `before`; see `delete_expired`."""

    def delete_expired(self, before: datetime, limit: int, spare_unsynced: bool = False) -> Deleted:
        """Delete one batch: the oldest low-importance events older than `before`, at most `limit`.

        With `spare_unsynced`, events that the knowledge graph has not read yet stay. An event of
        unknown time never expires. Fewer than `limit` means that nothing is left, or that the rest is
        held by another transaction right now.
        """


class TaskList(Protocol):
    """The list of things to do, the table `tasks`."""

    def add(
        self,
        title: str,
        *,
        details: str = "",
        priority: int = 2,
        source: str = "aegis",
        source_key: str | None = None,
        due_at: datetime | None = None,
        created_at: datetime | None = None,
    ) -> int:
        """Add a pending task and return its id; `priority` is 0 (highest) to 4.

        With a `source_key` that is already stored nothing is written and the stored task's id returned.
        """

    def set_status(self, task_id: int, status: TaskStatus, at: datetime) -> bool:
        """Move a task that is not over yet to another status; False when there is no such task."""

    def counts(self) -> dict[TaskStatus, int]:
        """How many tasks stand in each status, every status named."""

    def completed(self, start: datetime, end: datetime, limit: int = 100) -> list[Task]:
        """Tasks completed in [start, end), oldest first, at most `limit` (1 to 1000)."""

    def failed(self, start: datetime, end: datetime, limit: int = 100) -> list[Task]:
        """Tasks failed in [start, end), oldest first, at most `limit` (1 to 1000)."""

    def pending(self, limit: int = 100) -> list[Task]:
        """Pending tasks by priority, then due date (none last), then age; at most `limit` (1 to 1000)."""


class OutageMemory(Protocol):
    """Remembers on this host that the database is away. What changes something is called under `hold`."""

    def hold(self) -> AbstractContextManager[bool]:
        """Be the one check that acts now; False when another process is. Freed when the holder dies.

        Raises:
            PermanentFailure: the place cannot be used.
        """

    def current(self) -> Outage | None:
        """The outage that is not closed yet, or None."""

    def open(self, outage: Outage) -> None:
        """Remember a new outage. Raises `PermanentFailure` when it cannot."""

    def advance(self, outage: Outage, stage: Stage, until: datetime | None = None) -> Outage:
        """Remember that the outage has come further. Raises `PermanentFailure` when it cannot."""

    def close(self, outage: Outage) -> None:
        """Forget the outage. Raises `PermanentFailure` when it cannot."""


class Heart(Protocol):
    """A dead-man's switch that raises an alarm elsewhere when it hears nothing."""

    def ping(self) -> None:
        """Say that all is well.

        Raises:
            DependencyUnavailable: it did not answer.
            Misconfigured: it does not know us.
        """


class AnsweringDatabase(Protocol):
    """What the health check writes once the database has answered."""

    @property
    def state(self) -> StateStore:
        """The state table."""

    @property
    def memory(self) -> EpisodicMemory:
        """The event memory itself: it never spools."""

    def flush(self) -> Flushed:
        """Store the events that wait on this host, each exactly once; says when it had to stop.

        Raises:
            AegisError: the disk of this host does not let us; what was not stored still waits.
        """


class ContainerEngine(Protocol):
    """One container engine. Every call is bounded in time.

    Every method raises DependencyUnavailable when the engine does not answer, and Misconfigured when it may
    not be asked. A container that has gone in the meantime is an answer, not an error.
    """

    @property
    def name(self) -> str:
        """How people call this engine; part of every container's identity."""

    def containers(self, only_label: str | None = None) -> list[Listed]:
        """All containers, running or not, in one call; with the label `name` or `name=value` where given."""

    def inspect(self, container_id: str) -> Inspected | None:
        """The container in detail; None when it is gone."""

    def restart(self, container_id: str, stop_timeout_seconds: int) -> RestartAnswer:
        """Stop the container, killing it after the time-out, and start it; a stopped one is started."""

    def logs(self, container_id: str, lines: int, max_bytes: int) -> str:
        """The last lines of its output, at most `max_bytes`; a sentence in brackets when unreadable."""


class StrikeStore(Protocol):
    """Open cases of sick containers and their restarts. A claim that answers None or False was lost."""

    def open_cases(
        self, now: datetime, engine: str | None = None, name: str | None = None
    ) -> list[StrikeRecord]:
        """The open cases, of one engine and one name where given, ordered by both."""

    def claim_strike(
        self, container: Listed, reason: str, now: datetime, interval: timedelta
    ) -> StrikeRecord | None:
        """Count a strike unless the last one is younger than `interval`; the case as it then stands.

        Another container under the same name, and a case that had recovered, begin anew with one strike.
        """

    def claim_restart(self, case: StrikeRecord, now: datetime, budget: int, lease: timedelta) -> int | None:
        """Claim the next restart of a case while fewer than `budget` were claimed in 24 hours.

        An earlier attempt left unfinished for `lease` is marked as interrupted.
        """

    def finish_restart(self, restart_id: int, outcome: RestartOutcome, now: datetime) -> None:
        """Write down what came of a claimed restart; VERIFIED also sets the time of verification."""

    def quarantine(self, case: StrikeRecord, now: datetime) -> bool:
        """Allow no more restarts in this case; False when that was so already."""

    def claim_notice(self, case: StrikeRecord, notice: Notice, now: datetime, lease: timedelta) -> bool:
        """Claim the sending of a message about a case; a claim older than `lease` counts as abandoned."""

    def notice_delivered(self, case: StrikeRecord, notice: Notice, now: datetime) -> None:
        """The message is out. A recovery's message closes the case."""

    def release_notice(self, case: StrikeRecord) -> None:
        """The message could not be delivered: the next cycle may claim it at once."""

    def count_healthy(self, case: StrikeRecord, now: datetime, interval: timedelta) -> int | None:
        """Count a healthy cycle unless the last one is younger than `interval`; how many in a row now."""

    def sick_again(self, case: StrikeRecord) -> None:
        """Forget the healthy cycles counted so far."""

    def mark_recovered(self, case: StrikeRecord, now: datetime) -> bool:
        """The container is well; the case stays until people have been told. False: already marked."""

    def close(self, case: StrikeRecord) -> bool:
        """Forget the case; False when somebody else did."""


class DigestStore(Protocol):
    """Which windows have been digested, and what happened in a window."""

    def exclusive(self) -> AbstractContextManager[bool]:
        """Be the one run that writes digests; False when another one is. Freed when the holder dies."""

    def unfinished(self) -> Claim | None:
        """The digest that a run claimed and did not finish."""

    def claim(self, now: datetime, first_start: datetime) -> Claim | None:
        """Claim the time from the last digest's end (at first: `first_start`) to `now`.

        None when the last digest ends now or later.
        """

    def claim_post(self, digest_id: int, at: datetime) -> bool:
        """Claim the one posting of a digest; False when that was done before."""

    def release_post(self, digest_id: int) -> None:
        """Give that claim back: it is known that nothing was posted."""

    def finish(self, digest_id: int, at: datetime, journal_path: str | None) -> None:
        """The digest is done; `journal_path` is None for one that held nothing."""

    def arrivals(self, window: Window, listed: int) -> Arrivals:
        """The events that arrived in a window, at most `listed` lines of each kind.

        An event arrives at the later of when it happened and when it was stored, so each is in one window.
        """

    def events_between(self, window: Window) -> EventCounts:
        """The events that happened in a window, whenever they were stored."""

    def tasks_between(self, window: Window) -> TaskCounts:
        """What happened to tasks in a window."""


class Journal(Protocol):
    """The journal that people and this product write into, one page a day."""

    def write(self, day: date, section: str, text: str) -> str:
        """Put a section on the day's page, or replace our own text of it, and return where it stands.

        Raises:
            DependencyUnavailable: there is no room for it.
            Misconfigured: the journal cannot be written.
        """


class Embedder(Protocol):
    """Turns texts into vectors whose nearness is nearness of meaning."""

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector per text, in order, all of one length.

        Raises:
            DependencyUnavailable: the model server did not answer.
            PermanentFailure: it refused the texts, or answered something else.
        """


class AlertChannel(Protocol):
    """One way to reach people about alerts. It tries once; when to try again is decided elsewhere."""

    @property
    def name(self) -> str:
        """What receipts call it."""

    def send(self, message: Message, parts_sent: int = 0) -> Attempt:
        """Send the message, or what is left of it after `parts_sent` parts. A failure is a value."""


class Outbox(Protocol):
    """Alerts, what is to be told about them, and each channel's receipts.

    What changes an alert or claims a delivery answers False or None when another process was first.
    Every method raises DependencyUnavailable when the database is away.
    """

    def transaction(self) -> AbstractContextManager[None]:
        """What happens inside is kept together, or not at all."""

    def raise_problem(self, problem: Problem) -> int | None:
        """Open an alert or count one more; its id, or None when that occurrence was counted before."""

    def recover(self, recovered: Recovered) -> bool:
        """Mark as over what was not seen since; False when there was nothing, or it was reported before.

        A flapping alert stays open and is calm from then on, unless it is over for good.
        """

    def to_decide(self, ended_after: datetime) -> list[Alert]:
        """Alerts that are not closed, and lasting ones that ended after that; oldest first."""

    def open_keys(self, prefix: str) -> list[str]:
        """Keys of open alerts that begin so."""

    def watermark(self) -> datetime | None:
        """Up to when the history of runs has been read."""

    def set_watermark(self, moment: datetime) -> None:
        """The history has been read up to then."""

    def suppress(self, alert: Alert, cause: int) -> bool:
        """Note that it follows from a root cause; False when the alert has changed meanwhile."""

    def close(self, alert: Alert, now: datetime) -> bool:
        """Close it without a word; False when the alert has changed meanwhile."""

    def add_notice(
        self, alert: Alert, kind: NoticeKind, message: Message, channels: Sequence[str], now: datetime
    ) -> bool:
        """Have the message told on these channels; False when the alert has changed meanwhile.

        A recovery closes the alert and overtakes what was still to be told of it; what is flapping keeps the
        `openings`, `count` and `first_seen_at` that it was given.
        """

    def due(self, now: datetime, lease: timedelta) -> list[Delivery]:
        """Deliveries to be made, on channels that are not left alone; the most urgent first."""

    def claim(self, delivery: Delivery, now: datetime, lease: timedelta) -> int | None:
        """Claim one delivery: how many of its parts are out already; None when it is not ours.

        A claim older than `lease` counts as abandoned.
        """

    def delivered(self, delivery: Delivery, attempt: Attempt, now: datetime) -> None:
        """The channel has it all: its receipt."""

    def not_delivered(self, delivery: Delivery, attempt: Attempt, now: datetime, *, give_up: bool) -> int:
        """The channel does not have it; with `give_up` it is not tried again. Its failures in a row."""

    def hold_channel(self, channel: str, until: datetime) -> None:
        """Leave the channel alone until then."""

    def forget(self, alerts_before: datetime, occurrences_before: datetime) -> None:
        """Delete what was closed, and sightings that were counted, before these times."""


class RunHistory(Protocol):
    """What the Prefect server knows of runs, workers and automations.

    Every method raises DependencyUnavailable when the server does not answer, Misconfigured when it wants
    other credentials.
    """

    def ended(self, start: datetime, end: datetime, jobs: Collection[str]) -> list[RunEnd]:
        """Runs that ended in [start, end), in the order in which they did.

        All bad ones, and the good ones of `jobs` and of every job that has a bad one among them.
        """

    def jobs(self) -> frozenset[str]:
        """The ids of all jobs that it has, of the catalogue or added."""

    def late(self, before: datetime) -> list[LateRun]:
        """Runs that should have started before that and have not."""

    def workers(self) -> list[WorkerSeen]:
        """The workers that the server knows."""

    def failed_actions(self, start: datetime, end: datetime) -> list[FailedAction]:
        """Actions of automations that failed in [start, end)."""


class ScheduledRunHistory(Protocol):
    """What the server that starts jobs knows of them and of their runs.

    Every method raises DependencyUnavailable when it does not answer, and Misconfigured when it refuses us.
    """

    def runs(self, start: datetime, end: datetime) -> list[ScheduledRun]:
        """Every run that was to start in [start, end], whatever became of it."""

    def runs_by_id(self, ids: Sequence[str]) -> list[ScheduledRun]:
        """These runs, as far as they are still there; at most 200."""

    def jobs(self) -> list[ServerJob]:
        """Every job, and what of it is paused."""

    def newest_output(self, job_id: str, before: datetime) -> datetime | None:
        """When the newest run of a job until `before` ended that did its work, in part at least; or None."""


class LedgerStore(Protocol):
    """What the ledger of runs remembers."""

    def plan(self, planned: Sequence[Planned], now: datetime) -> int:
        """From `now` these schedules hold and no others; how many are new, other or gone. Twice is once."""

    def plan_job(self, job_id: str, planned: Sequence[Planned], now: datetime) -> int:
        """The same for one job; those of the others stay."""

    def versions(self, start: datetime) -> list[ScheduleVersion]:
        """Every version of a schedule that held at or after `start`."""

    def observe(self, jobs: Sequence[ServerJob], looked_before: datetime, now: datetime) -> None:
        """Note what is paused now. A new pause counts from `looked_before`, when it was not seen yet."""

    def pauses(self, start: datetime) -> list[Pause]:
        """Every pause that lasted at or after `start`."""

    def last_presence(self) -> Presence | None:
        """The newest sign of life of the installation."""

    def beat(self, process: str, now: datetime, patience: timedelta) -> None:
        """Say that the installation runs; a silence longer than `patience` is a gap."""

    def presences(self, start: datetime) -> list[Presence]:
        """Signs of life at or after `start`, and the last ones before it."""

    def record(self, entries: Sequence[Entry], now: datetime) -> None:
        """Write down what became of ticks. What is known for certain never changes back."""

    def oldest_unsettled(self, start: datetime, missed_since: datetime) -> datetime | None:
        """The oldest tick after `start` that is pending, or is missed and due after `missed_since`."""

    def missed_with_run(self, start: datetime, limit: int = 200) -> list[Entry]:
        """Missed ticks after `start` that have a run, which may still be taken; the newest first."""

    def missed(self, start: datetime, calm: timedelta) -> list[MissedTick]:
        """Missed ticks after `start`, each with the job's first tick that happened at least `calm` later."""

    def lost(self, start: datetime) -> list[datetime]:
        """Due times after `start` that an outage took."""

    def turned_away(self, start: datetime) -> list[TurnedAway]:
        """Jobs whose runs since the last that began, and after `start`, were all turned away."""

    def tally(self, start: datetime, end: datetime, checked: datetime | None) -> Tally:
        """The account of every job over (start, end]."""

    def cases(self) -> list[Case]:
        """Problems of which not everything was said yet."""

    def claim_opening(self, problem: LedgerProblem, now: datetime, lease: timedelta) -> bool:
        """Be the one to say that a problem began; a claim older than `lease` counts as abandoned."""

    def claim_over(self, key: str, now: datetime, lease: timedelta) -> bool:
        """Be the one to say that it is over."""

    def renew(self, problem: LedgerProblem) -> None:
        """Keep what is known of an open problem current."""

    def told(self, key: str, now: datetime, *, over: bool) -> None:
        """The first message is out; `over`: it also said that it is over."""

    def over_told(self, key: str, now: datetime) -> None:
        """The last message is out."""

    def release(self, key: str) -> None:
        """The message could not be delivered: the next pass may claim it at once."""

    def forget(self, before: datetime) -> None:
        """Forget what is older."""


class LanguageModel(Protocol):
    """Answers questions in a given form. What it answers is data of that form, never a command."""

    def ask(self, question: Question[A]) -> Answer[A]:
        """The answer of the first provider that gives one.

        Raises:
            NotConfigured: no provider is set.
            BudgetSpent: the tokens of the job, or of all jobs, are used up for today.
            DependencyUnavailable: no provider answered in time; or the database, which keeps the limits.
            PermanentFailure: a provider answered, but nothing valid, also when asked again.
            Misconfigured: every provider refuses us because of a setting, which is named.
        """


class ModelProvider(Protocol):
    """One provider of a language model. It asks once: no second try, no other provider, no checking."""

    @property
    def name(self) -> str:
        """What settings and records call it."""

    @property
    def model(self) -> str:
        """The model that it is asked for."""

    def ask(self, request: Request, timeout_seconds: float) -> Reply | NoReply:
        """Send the request and wait at most so long for the whole answer."""


class ModelLedger(Protocol):
    """What all processes share about requests to language models. See `db.language_models`."""

    def ask(self, asked: Asked, day_budget: int, job_budget: int, now: datetime) -> int | Refusal:
        """Set tokens aside and write the request down; its number, or which budget has too few left."""

    def tell(self, number: int, told: Told, now: datetime) -> None:
        """Write down what became of a request, and give back tokens that it did not use. Twice is once."""

    def claim_turn(self, provider: str, per_minute: int, now: datetime) -> Turn:
        """Claim one request to a provider, or say when the next may be claimed."""

    def answered(self, provider: str, now: datetime) -> None:
        """The provider answers: nothing is held against it any more."""

    def failed(self, provider: str, problem: str, hold_until: datetime | None) -> None:
        """The provider gave no answer; until then nobody should ask it."""

    def forget(self, before: datetime, keep: int) -> None:
        """Delete requests that are older, and all but the newest `keep`."""


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


class Mailbox(Protocol):
    """One account's mail. Nothing here deletes a mail, and reading one does not mark it as read.

    Every method raises DependencyUnavailable when the server does not answer or the connection is lost,
    Misconfigured when a folder that was named does not exist, and MailboxRefused when the server says no.
    """

    @property
    def account(self) -> str:
        """The account, as `user@server`."""

    def folders(self) -> Folders:
        """The folders that are there, as configured or as the server says which is which."""

    def open(self, folder: str, *, read_only: bool = False) -> OpenedFolder:
        """Open a folder; the methods below are about the one that is open."""

    def waiting(self) -> list[int]:
        """The uids of mails that are unread, not deleted and not marked as handled; the newest first."""

    def marked(self, keyword: str, since: datetime, *, seen: bool = False) -> list[int]:
        """The uids of mails with that keyword that arrived since about then, only read ones where asked."""

    def read(self, uids: Sequence[int]) -> Reading:
        """These mails, each as far as its bounds go; at most 500 at a time."""

    def mark(self, uids: Sequence[int], add: Sequence[str], remove: Sequence[str] = ()) -> None:
        """Put flags and keywords on mails, and take some away; uids that are gone are no error."""

    def move(self, uids: Sequence[int], folder: str) -> dict[int, MailKey]:
        """Put mails into another folder in one step; where each is now, as far as the server tells.

        Raises:
            MailboxRefused: the server cannot move in one step, or there is no room or no such folder.
        """

    def sent(self, folder: str, since: datetime) -> SentMail:
        """What that folder received since about then, the newest 5,000 mails; opens it to read."""

    def drafts(self, folder: str) -> list[Draft]:
        """The newest 1,000 drafts; opens that folder to read."""


class MailStore(Protocol):
    """Which mails were claimed, what was decided, where they lie, and what readers corrected.

    Every method raises DependencyUnavailable without its database.
    """

    def exclusive(self, account: str) -> AbstractContextManager[bool]:
        """Be the one run that handles this account; False when another one is. Freed when the holder dies."""

    def known(self, account: str, folder: str, uidvalidity: int, uids: Sequence[int]) -> dict[int, Standing]:
        """What is known of the mails at these places."""

    def unfinished(self, account: str) -> list[tuple[Standing, MailKey]]:
        """Mails that a run claimed and did not finish, and where they were last seen; at most 1,000."""

    def claim(self, account: str, mails: Mapping[str, Sequence[Mail]], now: datetime) -> dict[str, Standing]:
        """Claim mails by their identities, and keep where each lies; what is known of each from now on.

        One that is finished stays so. One that was claimed before counts one more attempt.
        """

    def decide(self, account: str, decided: Sequence[Decided], now: datetime, *, keep_text: bool) -> None:
        """Keep decisions, each once: one that was kept before stays."""

    def moving(self, ids: Sequence[int], places: Sequence[MailKey]) -> None:
        """These mails, which lie there, are about to be moved."""

    def not_moved(self, ids: Sequence[int]) -> None:
        """These mails were not moved after all."""

    def place(self, account: str, places: Sequence[tuple[int, MailKey]], now: datetime) -> None:
        """Keep where mails lie."""

    def keep(self, account: str, ids: Sequence[int], finished_before: datetime, now: datetime) -> int:
        """Readers left these mails as they were put: how many of them say so for the first time.

        Not those that were finished later, were corrected, or on which nobody really decided.
        """

    def finish(
        self,
        account: str,
        ids: Sequence[int],
        now: datetime,
        *,
        moved: Mapping[int, MailKey] | None = None,
        problem: str | None = None,
    ) -> None:
        """These mails are done; `moved` says where they are now, `problem` what could not be done."""

    def correct(
        self,
        mail_id: int,
        category: Category,
        source: CorrectionSource,
        now: datetime,
    ) -> bool:
        """Keep a reader's correction; False when the mail counts as that already."""

    def unlearned(self, account: str, limit: int) -> list[Correction]:
        """Corrections that the classifier has not learned from, the oldest first."""

    def classifier(self, account: str) -> str | None:
        """The state of the classifier, as JSON; None before its first lesson."""

    def learn(
        self,
        account: str,
        correction_ids: Sequence[int],
        update: Callable[[str | None, frozenset[int]], str],
        now: datetime,
    ) -> int:
        """Change the state of the classifier, for corrections that it has not learned from: how many.

        `update` gets the state as it is and which of the corrections are new; all or nothing is kept.
        """

    def reminders(self, account: str) -> dict[str, DraftStanding]:
        """What is known of drafts, by identity."""

    def claim_reminder(self, account: str, identities: Sequence[str], key: str, now: datetime) -> None:
        """Somebody is about to be reminded of these drafts, by the message of that key."""

    def reminded(self, account: str, key: str, now: datetime) -> None:
        """The message of that key is out."""

    def forget_drafts(self, account: str, keep: Sequence[str]) -> None:
        """Forget every draft but these."""


class CommandChannel(Protocol):
    """A chat channel in which people write commands.

    Every method raises DependencyUnavailable when the service does not answer or wants to be left alone, and
    Misconfigured when it refuses us because of a setting, which is named.
    """

    @property
    def channel_id(self) -> str:
        """The service's id of it."""

    def newest_id(self) -> int:
        """The id of the newest message, whether or not it can be read; 0 in an empty channel."""

    def texts_withheld(self) -> bool:
        """Whether the service gives us messages without what people wrote."""

    def after(self, message_id: int, limit: int = 100) -> list[ChatMessage]:
        """The messages that follow on that one, the oldest first, at most `limit` (1 to 100)."""

    def anything(self) -> bool:
        """Whether any message can be read."""

    def parts(self, text: str) -> list[str]:
        """Markdown text cut into what one message can hold, at least one part."""

    def reply(self, to: int, part: str, nonce: str) -> None:
        """Answer a message. The same nonce again within minutes is no second message; nobody is pinged.

        Raises:
            PermanentFailure: this one text cannot be shown.
        """

    def replies_to(self, message_id: int) -> list[str]:
        """The answers to that message that are in the channel, as far as the messages after it reach back."""

    def react(self, to: int, emoji: str) -> None:
        """Put a reaction on a message; twice is once, and one on a message that is gone is none.

        Raises:
            PermanentFailure: this one message takes no reaction.
        """


class CommandStore(Protocol):
    """Commands, how far each has come, and how far channels have been read.

    What answers False or None changed nothing: somebody else has the command now. Every method raises
    DependencyUnavailable without its database.
    """

    def transaction(self) -> AbstractContextManager[None]:
        """What happens inside, in any store of this database, is kept together or not at all."""

    def exclusive(self) -> AbstractContextManager[bool]:
        """Be the one run that carries out commands; False when another one is. Freed when the holder dies."""

    def progress(self, channel_id: str) -> Progress | None:
        """How far a channel has been read; None before the first time."""

    def begin(self, channel_id: str, newest_id: int, now: datetime) -> None:
        """Begin after that message; a channel that is being read already stays where it is."""

    def take_in(self, channel_id: str, commands: Sequence[Written], last_id: int, now: datetime) -> int:
        """Keep commands, each message once, and that the channel was read up to there: how many are new."""

    def set_textless(self, channel_id: str, since: datetime | None) -> None:
        """Since when the service withholds texts; None: it does not."""

    def hold(self, channel_id: str, until: datetime | None) -> None:
        """Leave the service alone until then."""

    def open_commands(self, channel_id: str, limit: int) -> list[CommandRecord]:
        """Commands that are not answered: of those who may first, the oldest first."""

    def count_open(self, channel_id: str) -> int:
        """How many commands are not answered."""

    def claim(self, record: CommandRecord, claim: str) -> CommandRecord | None:
        """Take a command over from whoever had it when it was looked at."""

    def settle(self, record: CommandRecord, response: Response, now: datetime) -> bool:
        """Keep what became of it, once."""

    def part_sent(self, record: CommandRecord, parts_sent: int) -> bool:
        """So many parts of the answer are in the channel."""

    def answered(
        self, record: CommandRecord, state: CommandState, now: datetime, problem: str | None = None
    ) -> bool:
        """The answer is out, or `problem` says why it cannot be shown."""


class ContainerCases(Protocol):
    """Open cases of sick containers, as a person sees them."""

    def acknowledge(self, name: str, now: datetime) -> list[str]:
        """Somebody looked: strikes are forgotten, restarts allowed. The engines where a case was open."""

    def names(self, now: datetime) -> list[str]:
        """The names of containers with an open case, each once."""


class OpenAlerts(Protocol):
    """What is wrong just now."""

    def newest(self, limit: int) -> list[Alert]:
        """Open alerts, last seen first, at most `limit` (1 to 1000)."""


class JobControl(Protocol):
    """The jobs of this installation, as `aegis jobs`, `run`, `pause` and `resume` treat them.

    Every method raises DependencyUnavailable when the server does not answer, PermanentFailure when it
    refuses, and for a job that it does not have; the latter names the nearest ones.
    """

    def availability(self) -> Availability:
        """Whether a run that is asked for now would start."""

    def jobs(self) -> list[JobLine]:
        """Every job, by name."""

    def run(self, job: str, key: str) -> AskedRun:
        """Ask for a run now; the same `key` again is the same run."""

    def pause(self, job: str) -> JobLine:
        """Start no further scheduled run of it; twice is once."""

    def resume(self, job: str) -> JobLine:
        """Undo that; twice is once."""
