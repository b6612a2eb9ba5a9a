"""Commands that people write in a chat channel, and what became of them. Values only; decides nothing.

What people write is data: it stays a text until `policy.parse` has made one of a few commands of it.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from aegis_lib.outcome import AwareDatetime, Frozen, Report

LONGEST_TEXT_CHARACTERS = 4000
"""More than any chat message may have."""


class CommandsConfig(Frozen):
    """The section `commands` of aegis.yaml.

    A command that changes something is not carried out when it is older than `max_age_minutes` (1 to 10080)
    by the time it is first read, for example after an outage.
    """

    max_age_minutes: int = Field(default=60, ge=1, le=10080)


class Verb(StrEnum):
    """What can be asked for, as people write it after the exclamation mark."""

    TASK = "task"
    STATUS = "status"
    JOBS = "jobs"
    RUN = "run"
    PAUSE = "pause"
    RESUME = "resume"
    ACK = "ack"
    APPROVE = "approve"
    REJECT = "reject"
    HELP = "help"


class Command(Frozen):
    """A command that was understood. Which field is set depends on the verb.

    `name` is a job or a container, of the form that such a name has; `number` a proposal; `text` of a task.
    """

    verb: Verb
    name: str = ""
    number: int = 0
    text: str = ""


class Mistake(Frozen):
    """A command that was not understood, and what is said to that, as markdown."""

    answer: str


class ChatMessage(Frozen):
    """A message as the channel shows it.

    `id` orders messages by time. `by_person` is False for bots, webhooks and messages of the service itself.
    `hollow`: it has nothing at all in it, which no person can write; the service withheld what was written.
    """

    id: int = Field(ge=0, lt=2**63)
    author_id: str
    author_name: str
    by_person: bool
    content: str
    edited: bool = False
    hollow: bool = False
    sent_at: AwareDatetime


class Written(Frozen):
    """A command to be kept. `late`: it is too old to change anything."""

    message_id: int
    author_id: str
    author_name: str
    content: str
    authorized: bool
    late: bool
    sent_at: AwareDatetime


class CommandState(StrEnum):
    """What became of a command, as it stands in `discord_tasks.status`."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"
    """Understood and not done, or not understood."""
    REFUSED = "refused"
    """Written by somebody who may not."""
    UNCLEAR = "unclear"
    """Nobody knows whether it took effect."""


class CommandRecord(Written):
    """A kept command as it stands. `result` is the answer, of which `parts_sent` parts are in the channel.

    `attempts` counts the claims: from the second on, somebody died or gave up at it before.
    """

    id: int
    state: CommandState
    result: str | None = None
    attempts: int = 0
    parts_sent: int = 0
    claim: str | None = None

    def __str__(self) -> str:
        return f"command {self.message_id}"


class Progress(Frozen):
    """How far a channel has been read.

    Messages up to `first_id` were there before us and are no commands; None: reading has not begun.
    `textless_since`: since when the service withholds what people write. `hold_until`: the service wants to
    be left alone.
    """

    channel_id: str
    first_id: int | None = None
    last_id: int | None = None
    textless_since: AwareDatetime | None = None
    hold_until: AwareDatetime | None = None


class Response(Frozen):
    """What is said to a command, and what became of it."""

    text: str
    state: CommandState = CommandState.COMPLETED
    changed: str | None = None
    """What it changed, in a sentence for the event memory; None where it changed nothing."""


# --- what job control says ---


class JobLine(Frozen):
    """One job in a list."""

    id: str
    schedule: str | None = None
    next_run: AwareDatetime | None = None
    paused: bool = False
    running: bool = False
    last_outcome: str | None = None
    last_run: AwareDatetime | None = None


class Availability(Frozen):
    """Whether runs start at all, and whether a worker is there to take them."""

    running: bool
    worker_online: bool


class AskedRun(Frozen):
    """A run that was asked for. `refused`: another run of the job, `beside`, holds its only slot."""

    job_id: str
    run: str
    refused: bool = False
    beside: str | None = None
    paused: bool = False
    availability: Availability


class CommandsReport(Report):
    """One run of `discord_commands`, in numbers of commands; `waiting` are left for the next run."""

    read: int = 0
    answered: int = 0
    refused: int = 0
    waiting: int = 0
    started: bool = False
    problems: tuple[str, ...] = ()
