"""One look at the channel of commands: take in what is new, carry out what is open, answer each once.

    written --> kept (message_id is the claim) --> settled (effect and answer) --> answered

Each arrow is kept before the next is begun, so that a process that dies anywhere leaves a command for the
next run to go on with, and no command is carried out or answered twice: what is done in our database is kept
together with the answer, what is done elsewhere carries the message's id, and before an answer is sent again
the channel is asked whether it is there. It never carries out what was written before it was first started.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

from aegis_lib.clock import iso
from aegis_lib.commands import carrying_out, messages, policy
from aegis_lib.commands.carrying_out import Hands
from aegis_lib.commands.model import (
    ChatMessage,
    Command,
    CommandRecord,
    CommandsConfig,
    CommandsReport,
    CommandState,
    Mistake,
    Progress,
    Response,
)
from aegis_lib.errors import DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.isolation import attempt
from aegis_lib.logs import get_logger
from aegis_lib.outcome import Outcome
from aegis_lib.ports.alerts import Notifier
from aegis_lib.ports.commands import CommandChannel, CommandStore
from aegis_lib.ports.memory import EpisodicMemory

BUDGET_SECONDS = 25.0
"""No command is begun later than this after the start; the rest is left to the next run."""
PAGE = 100
MOST_PAGES = 10
MOST_COMMANDS = 50
REFUSED_EMOJI = "🚫"
UNSHOWN_EMOJI = "⚠️"
EVENT = "discord_command"

log = get_logger(__name__)


class _ClaimLost(Exception):
    """Another run has the command now."""


def run_cycle(
    channel: CommandChannel,
    store: CommandStore,
    hands: Hands,
    memory: EpisodicMemory,
    notifier: Notifier,
    *,
    allowed: Collection[str],
    config: CommandsConfig,
    now: datetime,
    monotonic: Callable[[], float] = time.monotonic,
) -> CommandsReport:
    """Read what is new, carry out and answer what is open, from people in `allowed` (ids) only.

    Raises:
        DependencyUnavailable: the service or the database does not answer.
        Misconfigured: the service refuses us because of a setting.
    """
    with store.exclusive() as held:
        if not held:
            return CommandsReport(summary="Another run is carrying out commands.")
        progress = store.progress(channel.channel_id) or Progress(channel_id=channel.channel_id)
        if progress.hold_until is not None and progress.hold_until > now:
            return _held(progress.hold_until)
        cycle = _Cycle(channel, store, hands, memory, notifier, allowed, config, now, monotonic)
        try:
            return cycle.run(progress)
        except DependencyUnavailable as away:
            if away.retry_after_seconds is None:
                raise
            until = now + timedelta(seconds=away.retry_after_seconds)
            store.hold(channel.channel_id, until)
            log.warning("discord_asks_to_wait", until=until)
            return _held(until)


def _held(until: datetime) -> CommandsReport:
    said = f"Discord asks to be left alone until {iso(until)}; commands wait."
    return CommandsReport(outcome=Outcome.DEGRADED, summary=said)


@dataclass
class _Cycle:
    channel: CommandChannel
    store: CommandStore
    hands: Hands
    memory: EpisodicMemory
    notifier: Notifier
    allowed: Collection[str]
    config: CommandsConfig
    now: datetime
    monotonic: Callable[[], float]
    claim: str = field(default_factory=lambda: uuid4().hex)
    read: int = 0
    answered: int = 0
    refused: int = 0
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ends = self.monotonic() + BUDGET_SECONDS

    def run(self, progress: Progress) -> CommandsReport:
        if progress.first_id is None or progress.last_id is None:
            return self._begin()
        hollow = self._take_in(progress.first_id, progress.last_id)
        self._watch_texts(progress, hollow)
        for record in self.store.open_commands(self.channel.channel_id, MOST_COMMANDS):
            if not self._time_left():
                break
            self._handle(record)
        return self._report()

    # --- reading ---

    def _begin(self) -> CommandsReport:
        newest = self.channel.newest_id()
        if newest and not self.channel.anything():
            self.problems.append(messages.UNREADABLE)
        withheld = self.channel.texts_withheld()
        self.store.begin(self.channel.channel_id, newest, self.now)
        if withheld:
            self._textless()
        said = "Begins to read commands here; what was written before is not carried out."
        return CommandsReport(
            outcome=Outcome.DEGRADED if self.problems else Outcome.COMPLETED,
            summary=" ".join([said, *self.problems]),
            started=True,
            problems=tuple(self.problems),
        )

    def _take_in(self, first_id: int, last_id: int) -> bool:
        """Keep what is new; whether a message came without anything in it."""
        after, seen, hollow = policy.read_from(first_id, last_id), 0, False
        reached = last_id
        for _ in range(MOST_PAGES):
            page = self.channel.after(after, PAGE)
            seen += len(page)
            commands = [
                policy.written(message, self.allowed, self.now, self.config)
                for message in page
                if policy.is_command(message, first_id, last_id)
            ]
            reached = max([reached, *(message.id for message in page)])
            if reached > last_id or commands:
                self.read += self.store.take_in(self.channel.channel_id, commands, reached, self.now)
            hollow = hollow or any(_is_new_and_hollow(message, last_id) for message in page)
            if len(page) < PAGE or not self._time_left():
                break
            after = page[-1].id
        if not seen and last_id and not self.channel.anything() and self.channel.newest_id():
            self.remarks.append(messages.UNREADABLE)
        return hollow

    def _watch_texts(self, progress: Progress, hollow: bool) -> None:
        """Tell people when the service begins and ends to withhold what they write."""
        since = progress.textless_since
        if since is None and not hollow:
            return
        if self.channel.texts_withheld():
            self._textless(since)
        elif since is not None:
            self.notifier.send(messages.textless_over(since))
            self.store.set_textless(self.channel.channel_id, None)
            log.info("discord_texts_readable", since=since)

    def _textless(self, since: datetime | None = None) -> None:
        self.problems.append(messages.TEXTLESS)
        if since is None:
            log.warning("discord_texts_withheld")
            self.notifier.send(messages.textless(self.now))
            self.store.set_textless(self.channel.channel_id, self.now)

    # --- one command ---

    def _handle(self, record: CommandRecord) -> None:
        claimed = self.store.claim(record, self.claim)
        if claimed is None:
            return
        try:
            if claimed.result is not None:  # done by a run that did not come to answering it
                self._answer(claimed)
            elif not policy.may(claimed, self.allowed):
                self._refuse(claimed)
            elif (settled := self._settle(claimed)) is not None:
                self._answer(settled)
        except _ClaimLost:
            log.warning("discord_command_taken_over", message=record.message_id)

    def _settle(self, record: CommandRecord) -> CommandRecord | None:
        """Carry it out and keep the answer; None: it has to wait for somebody who does not answer."""
        command = policy.parse(record.content)
        if isinstance(command, Mistake):
            return self._keep(record, Response(text=command.answer, state=CommandState.FAILED))
        if record.late and policy.changes(command):
            said = messages.too_late(record.sent_at)
            return self._keep(record, Response(text=said, state=CommandState.FAILED))
        if record.attempts > policy.ATTEMPTS:
            return self._keep(record, Response(text=messages.unclear(None), state=CommandState.UNCLEAR))
        done = attempt(lambda: self._carry_out(command, record))
        if isinstance(done, CommandRecord):
            return done
        if isinstance(done, _ClaimLost):
            raise done
        if not isinstance(done, DependencyUnavailable):
            log.error("discord_command_broken", message=record.message_id, kind=type(done).__name__)
            self.problems.append(f"{record}: {type(done).__name__}.")
            return self._keep(record, Response(text=messages.broken(), state=CommandState.UNCLEAR))
        if policy.gives_up(record, self.now):
            return self._keep(record, Response(text=messages.unclear(done), state=CommandState.UNCLEAR))
        self.problems.append(f"{record} waits: {done}")
        return None

    def _carry_out(self, command: Command, record: CommandRecord) -> CommandRecord:
        if command.verb in carrying_out.REMOTE:
            response = carrying_out.carry_out(command, record, self.hands, self.now)
            return self._keep(record, response, command)
        with self.store.transaction():
            response = carrying_out.carry_out(command, record, self.hands, self.now)
            return self._keep(record, response, command)

    def _keep(
        self, record: CommandRecord, response: Response, command: Command | None = None
    ) -> CommandRecord:
        with self.store.transaction():
            if not self.store.settle(record, response, self.now):
                raise _ClaimLost
            if command is not None and response.changed is not None:
                self._remember(command, record, response.changed)
        verb = command.verb.value if command else None
        log.info(
            "discord_command",
            verb=verb,
            author=record.author_id,
            message=record.message_id,
            state=response.state.value,
        )
        return record.model_copy(update={"result": response.text, "state": response.state})

    def _remember(self, command: Command, record: CommandRecord, changed: str) -> None:
        self.memory.record(
            EVENT,
            f"By command of {carrying_out.who(record)}: {changed}",
            {"verb": command.verb.value, "author_id": record.author_id, "message_id": str(record.message_id)},
            tags=("commands", command.verb.value),
            timestamp=self.now,
            key=f"discord:{record.message_id}",
        )

    # --- answering ---

    def _answer(self, record: CommandRecord) -> None:
        parts = self.channel.parts(record.result or "")
        shown = self.channel.replies_to(record.message_id) if record.attempts > 1 else []
        problem = None
        try:
            for number, part in enumerate(parts[record.parts_sent :], start=record.parts_sent):
                if not _is_there(parts[: number + 1], shown):
                    self.channel.reply(record.message_id, part, _nonce(record.message_id, number))
                if not self.store.part_sent(record, number + 1):
                    raise _ClaimLost
        except Misconfigured:
            raise  # no answer can be shown: all of them wait until that is mended
        except PermanentFailure as refusal:
            problem = str(refusal)
            self.problems.append(f"The answer to {record} cannot be shown: {problem}")
            self._mark_as_unshown(record)
        self._close(record, record.state, problem)
        self.answered += 1

    def _mark_as_unshown(self, record: CommandRecord) -> None:
        """Better than no sign at all, and no reason to try the answer again."""
        try:
            self.channel.react(record.message_id, UNSHOWN_EMOJI)
        except PermanentFailure as refusal:
            log.warning("discord_reaction_refused", message=record.message_id, error=str(refusal))

    def _refuse(self, record: CommandRecord) -> None:
        problem = None
        try:
            self.channel.react(record.message_id, REFUSED_EMOJI)
        except Misconfigured:
            raise  # the right to react is missing: that is to be mended
        except PermanentFailure as refusal:
            problem = str(refusal)
        log.warning("discord_command_refused", author=record.author_id, message=record.message_id)
        self._close(record, CommandState.REFUSED, problem)
        self.refused += 1

    def _close(self, record: CommandRecord, state: CommandState, problem: str | None) -> None:
        if not self.store.answered(record, state, self.now, problem):
            raise _ClaimLost

    # --- the end ---

    def _time_left(self) -> bool:
        return self.monotonic() < self._ends

    def _report(self) -> CommandsReport:
        waiting = self.store.count_open(self.channel.channel_id)
        counted = [(self.read, "read"), (self.answered, "answered"), (self.refused, "refused")]
        said = ", ".join(f"{number} {what}" for number, what in counted if number)
        summary = f"Commands: {said}." if said else "No new command."
        if waiting:
            summary += f" {waiting} wait for the next run."
        quiet = not said and not waiting
        outcome = Outcome.NO_INPUT if quiet else Outcome.COMPLETED
        return CommandsReport(
            outcome=Outcome.DEGRADED if self.problems else outcome,
            summary=" ".join([summary, *self.problems, *self.remarks]),
            read=self.read,
            answered=self.answered,
            refused=self.refused,
            waiting=waiting,
            problems=tuple(self.problems),
        )


def _is_new_and_hollow(message: ChatMessage, last_id: int) -> bool:
    return message.hollow and message.id > last_id


def _nonce(message_id: int, part: int) -> str:
    """The same for the same part of the answer to the same message, and for nothing else."""
    return hashlib.sha256(f"aegis:{message_id}:{part}".encode()).hexdigest()


def _is_there(parts: Sequence[str], shown: Sequence[str]) -> bool:
    """Whether the last of `parts` is among what the channel shows; equal parts count one by one."""
    wanted = [" ".join(part.split()) for part in parts]
    there = [" ".join(text.split()) for text in shown]
    return there.count(wanted[-1]) >= wanted.count(wanted[-1])
