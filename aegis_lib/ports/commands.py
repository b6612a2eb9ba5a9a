"""What services need from the outside: a channel of commands, and what commands act on.

No implementation lives here, and no name of a vendor.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from aegis_lib.alerts.model import Alert
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
