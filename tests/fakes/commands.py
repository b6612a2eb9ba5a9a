"""Fakes of what the commands area needs.

The store is held to the real one by tests/contract/test_command_store.py. The counterpart of the channel is
tests/fake_services/discord.py, which speaks HTTP.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from aegis_lib.alerts.model import Alert
from aegis_lib.approvals.model import Approval, State, UnknownApproval
from aegis_lib.commands.carrying_out import Hands
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
from aegis_lib.errors import PermanentFailure
from aegis_lib.web import discord, text
from tests.fakes.containers import FakeStrikes
from tests.fakes.tasks import FakeTasks

NOON = datetime(2026, 1, 25, 12, tzinfo=UTC)
ADA, EVE = "400000000000000001", "400000000000000666"


def message(number: int, content: str, author: str = ADA, **fields: object) -> ChatMessage:
    """What `author` wrote; `number` counts seconds before or after noon."""
    at = NOON + timedelta(seconds=number)
    given = {
        "id": discord.first_id_at(at),
        "author_id": author,
        "author_name": "ada",
        "by_person": True,
        "content": content,
        "sent_at": at,
        **fields,
    }
    return ChatMessage.model_validate(given)


class FakeChannel:
    """A channel in memory. What is in `failures` is raised by the next calls of that name, one each."""

    channel_id = "100000000000000003"

    def __init__(self) -> None:
        self.messages: list[ChatMessage] = []
        self.replies: list[tuple[int, str, str]] = []
        self.reactions: list[tuple[int, str]] = []
        self.withheld = False
        self.readable = True
        self.calls: list[str] = []
        self.failures: dict[str, list[BaseException]] = {}

    def say(self, number: int, content: str, author: str = ADA, **fields: object) -> int:
        said = message(number, content, author, **fields)
        self.messages.append(said)
        return said.id

    def newest_id(self) -> int:
        self._called("newest_id")
        return max((message.id for message in self.messages), default=0)

    def texts_withheld(self) -> bool:
        self._called("texts_withheld")
        return self.withheld

    def after(self, message_id: int, limit: int = 100) -> list[ChatMessage]:
        self._called("after")
        found = sorted((m for m in self.messages if m.id > message_id), key=lambda m: m.id)
        return found[:limit] if self.readable else []

    def anything(self) -> bool:
        self._called("anything")
        return bool(self.messages) and self.readable

    def parts(self, answer: str) -> list[str]:
        return text.split(answer, 2000) or ["(nothing)"]

    def reply(self, to: int, part: str, nonce: str) -> None:
        self._called("reply")
        if all(nonce != known for _, _, known in self.replies):
            self.replies.append((to, part, nonce))

    def replies_to(self, message_id: int) -> list[str]:
        self._called("replies_to")
        return [part for to, part, _ in self.replies if to == message_id]

    def react(self, to: int, emoji: str) -> None:
        self._called("react")
        if (to, emoji) not in self.reactions:
            self.reactions.append((to, emoji))

    def answer_to(self, message_id: int) -> str:
        """The only answer to a message, in one part."""
        (answer,) = [part for to, part, _ in self.replies if to == message_id]
        return answer

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if waiting := self.failures.get(name):
            raise waiting.pop(0)


class FakeCommandStore:
    """Commands in a dict. A transaction takes them and `joined` back when an exception leaves."""

    def __init__(self) -> None:
        self.rows: dict[int, CommandRecord] = {}
        self.closed: dict[int, str | None] = {}
        self.channels: dict[str, Progress] = {}
        self.channel_of: dict[int, str] = {}
        self.busy = False
        self.joined: list[object] = []

    @contextmanager
    def transaction(self) -> Iterator[None]:
        before = copy.copy(self.rows), copy.copy(self.closed), copy.copy(self.channels)
        others = [copy.deepcopy(vars(other)) for other in self.joined]
        try:
            yield
        except BaseException:
            self.rows, self.closed, self.channels = before
            for other, held in zip(self.joined, others, strict=True):
                vars(other).update(held)
            raise

    @contextmanager
    def exclusive(self) -> Iterator[bool]:
        if self.busy:
            yield False
            return
        self.busy = True
        try:
            yield True
        finally:
            self.busy = False

    def progress(self, channel_id: str) -> Progress | None:
        return self.channels.get(channel_id)

    def begin(self, channel_id: str, newest_id: int, now: datetime) -> None:
        known = self.channels.get(channel_id, Progress(channel_id=channel_id))
        if known.first_id is None:
            begun = {"first_id": newest_id, "last_id": newest_id}
            self.channels[channel_id] = known.model_copy(update=begun)

    def take_in(self, channel_id: str, commands: Sequence[Written], last_id: int, now: datetime) -> int:
        fresh = 0
        for command in commands:
            if all(row.message_id != command.message_id for row in self.rows.values()):
                number = len(self.rows) + 1
                self.rows[number] = CommandRecord(
                    **command.model_dump(), id=number, state=CommandState.PENDING
                )
                self.channel_of[number] = channel_id
                fresh += 1
        known = self.channels[channel_id]
        reached = max(known.last_id or 0, last_id)
        self.channels[channel_id] = known.model_copy(update={"last_id": reached})
        return fresh

    def set_textless(self, channel_id: str, since: datetime | None) -> None:
        self.channels[channel_id] = self.channels[channel_id].model_copy(update={"textless_since": since})

    def hold(self, channel_id: str, until: datetime | None) -> None:
        known = self.channels.get(channel_id, Progress(channel_id=channel_id))
        self.channels[channel_id] = known.model_copy(update={"hold_until": until})

    def open_commands(self, channel_id: str, limit: int) -> list[CommandRecord]:
        return sorted(self._open(channel_id), key=lambda row: (not row.authorized, row.message_id))[:limit]

    def count_open(self, channel_id: str) -> int:
        return len(self._open(channel_id))

    def claim(self, record: CommandRecord, claim: str) -> CommandRecord | None:
        row = self.rows[record.id]
        if row.claim != record.claim or row.id in self.closed:
            return None
        self.rows[row.id] = row.model_copy(update={"claim": claim, "attempts": row.attempts + 1})
        return record.model_copy(update={"claim": claim, "attempts": record.attempts + 1})

    def settle(self, record: CommandRecord, response: Response, now: datetime) -> bool:
        row = self.rows[record.id]
        if row.claim != record.claim or row.result is not None or row.id in self.closed:
            return False
        self.rows[row.id] = row.model_copy(update={"result": response.text, "state": response.state})
        return True

    def part_sent(self, record: CommandRecord, parts_sent: int) -> bool:
        if self.rows[record.id].claim != record.claim:
            return False
        self.rows[record.id] = self.rows[record.id].model_copy(update={"parts_sent": parts_sent})
        return True

    def answered(
        self, record: CommandRecord, state: CommandState, now: datetime, problem: str | None = None
    ) -> bool:
        if self.rows[record.id].claim != record.claim or record.id in self.closed:
            return False
        self.rows[record.id] = self.rows[record.id].model_copy(update={"state": state})
        self.closed[record.id] = problem
        return True

    def row(self, message_id: int) -> CommandRecord:
        return next(row for row in self.rows.values() if row.message_id == message_id)

    def _open(self, channel_id: str) -> list[CommandRecord]:
        return [
            row
            for row in self.rows.values()
            if row.id not in self.closed and self.channel_of[row.id] == channel_id
        ]


class FakeJobs:
    """Two jobs. `asked` are the runs by their key; set `broken` to make the next calls raise it."""

    def __init__(self) -> None:
        self.lines = {
            "health_check": JobLine(
                id="health_check", schedule="every 5 min", last_outcome="Completed", last_run=NOON
            ),
            "site_check": JobLine(id="site_check", schedule="every 5 min", last_outcome="Failed"),
        }
        self.asked: dict[str, AskedRun] = {}
        self.available = Availability(running=True, worker_online=True)
        self.occupied: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self.broken: list[Exception] = []
        self.answer_lost = False

    def availability(self) -> Availability:
        self._check()
        return self.available

    def jobs(self) -> list[JobLine]:
        self._check()
        return list(self.lines.values())

    def run(self, job: str, key: str) -> AskedRun:
        line = self._find("run", job)
        run = AskedRun(
            job_id=line.id,
            run=f"run-{len(self.asked) + 1}",
            refused=line.id in self.occupied,
            beside="brave-otter" if line.id in self.occupied else None,
            paused=line.paused,
            availability=self.available,
        )
        return self.asked.setdefault(key, run)

    def pause(self, job: str) -> JobLine:
        return self._set("pause", job, True)

    def resume(self, job: str) -> JobLine:
        return self._set("resume", job, False)

    def _set(self, what: str, job: str, paused: bool) -> JobLine:
        line = self._find(what, job)
        self.lines[line.id] = line.model_copy(update={"paused": paused})
        return self.lines[line.id]

    def _find(self, what: str, job: str) -> JobLine:
        self.calls.append((what, job))
        self._check()
        found = self.lines.get(job.replace("-", "_"))
        if found is None:
            raise PermanentFailure(f"There is no job {job!r} on the server. Fix: did you mean health_check?")
        return found

    def _check(self) -> None:
        if self.broken:
            raise self.broken.pop(0)


class FakeCases:
    """Open cases by name, and the engines of each."""

    def __init__(self, **open_cases: list[str]) -> None:
        self.open_cases = open_cases
        self.acknowledged: list[str] = []

    def acknowledge(self, name: str, now: datetime) -> list[str]:
        self.acknowledged.append(name)
        return self.open_cases.pop(name, [])

    def names(self, now: datetime) -> list[str]:
        return sorted(self.open_cases)


class FakeAlerts:
    """No alert is open."""

    def newest(self, limit: int) -> list[Alert]:
        return []


class FakeApprovals:
    """One proposal, number 7; `decisions` are what was decided, by whom."""

    def __init__(self) -> None:
        self.decisions: list[tuple[str, int, str]] = []

    def approve(self, number: int, by: str, now: datetime) -> Approval:
        return self._decide("approve", number, by, State.APPROVED)

    def reject(self, number: int, by: str, now: datetime) -> Approval:
        return self._decide("reject", number, by, State.REJECTED)

    def waiting(self, now: datetime) -> list[Approval]:
        return [] if self.decisions else [self._proposal(State.PENDING)]

    def _decide(self, what: str, number: int, by: str, state: State) -> Approval:
        if number != 7:
            raise UnknownApproval(number)
        self.decisions.append((what, number, by))
        return self._proposal(state)

    def _proposal(self, state: State) -> Approval:
        return Approval(
            number=7,
            kind="reply",
            key="k",
            recipient="grace@example.org",
            subject="Your *question* @everyone",
            body="Hello",
            digest="d",
            state=state,
            proposed_at=NOON,
            expires_at=NOON + timedelta(days=1),
        )


class FakeHands:
    """Everything that commands may do, each part a recording fake."""

    def __init__(self) -> None:
        self.jobs = FakeJobs()
        self.tasks = FakeTasks(NOON)
        self.cases = FakeCases(web=["local"])
        self.approvals = FakeApprovals()

    def all(self) -> Hands:
        return Hands(
            jobs=self.jobs,
            tasks=self.tasks,
            containers=self.cases,
            strikes=FakeStrikes(),
            alerts=FakeAlerts(),
            approve=self.approvals.approve,
            reject=self.approvals.reject,
            waiting=self.approvals.waiting,
        )
