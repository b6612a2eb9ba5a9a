"""The store of `discord_tasks` and how far each has come, and of channels. It decides and answers nothing.

What changes a command is conditional on the claim of who does it: a claim that was lost changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime

from aegis_lib.commands.model import CommandRecord, CommandState, Progress, Response, Written
from aegis_lib.db.sql import Queries
from aegis_lib.db.storable import limited, storable_text
from aegis_lib.errors import DependencyUnavailable


class CommandStore:
    """Implements the port `CommandStore`. See it for the exact meaning."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def transaction(self) -> AbstractContextManager[None]:
        """What happens inside, in any store of this database, is kept together or not at all."""
        return self._queries.transaction()

    @contextmanager
    def exclusive(self) -> Iterator[bool]:
        """Be the one run that carries out commands; False when another one is. Ends with the connection."""
        held = bool(self._queries.try_lock())
        try:
            yield held
        finally:
            if held:
                with suppress(DependencyUnavailable):  # the lock went with the connection
                    self._queries.unlock()

    def progress(self, channel_id: str) -> Progress | None:
        """How far a channel has been read; None before the first time."""
        row = self._queries.progress(channel_id=channel_id)
        return None if row is None else Progress.model_validate(row)

    def begin(self, channel_id: str, newest_id: int, now: datetime) -> None:
        """Begin after that message; a channel that is being read already stays where it is."""
        self._queries.begin_reading(channel_id=channel_id, newest_id=newest_id, now=now)

    def take_in(self, channel_id: str, commands: Sequence[Written], last_id: int, now: datetime) -> int:
        """Keep commands, each message once, and that the channel was read up to there: how many are new."""
        fresh = 0
        with self._queries.transaction():
            for command in commands:
                fresh += self._queries.keep(
                    message_id=str(command.message_id),
                    channel_id=channel_id,
                    content=storable_text(command.content),
                    author_id=command.author_id,
                    author_name=storable_text(command.author_name),
                    authorized=command.authorized,
                    late=command.late,
                    sent_at=command.sent_at,
                    now=now,
                )
            self._queries.advance(channel_id=channel_id, last_id=last_id)
        return fresh

    def set_textless(self, channel_id: str, since: datetime | None) -> None:
        """Since when the service withholds texts; None: it does not."""
        self._queries.set_textless(channel_id=channel_id, since=since)

    def hold(self, channel_id: str, until: datetime | None) -> None:
        """Leave the service alone until then."""
        self._queries.hold(channel_id=channel_id, until=until)

    def open_commands(self, channel_id: str, limit: int) -> list[CommandRecord]:
        """Commands that are not answered: of those who may first, the oldest first."""
        limited(limit)
        rows = self._queries.open_commands(channel_id=channel_id, limit=limit)
        return [CommandRecord.model_validate(row) for row in rows]

    def count_open(self, channel_id: str) -> int:
        """How many commands are not answered."""
        return int(self._queries.count_open(channel_id=channel_id))

    def claim(self, record: CommandRecord, claim: str) -> CommandRecord | None:
        """Take a command over; None when somebody else did."""
        if not self._queries.claim(id=record.id, claim=claim, previous=record.claim):
            return None
        return record.model_copy(update={"claim": claim, "attempts": record.attempts + 1})

    def settle(self, record: CommandRecord, response: Response, now: datetime) -> bool:
        """Keep what became of it, once; False when the claim was lost."""
        return bool(
            self._queries.settle(
                id=record.id,
                claim=record.claim,
                state=response.state.value,
                result=storable_text(response.text),
                now=now,
            )
        )

    def part_sent(self, record: CommandRecord, parts_sent: int) -> bool:
        """So many parts of the answer are in the channel; False when the claim was lost."""
        return bool(self._queries.part_sent(id=record.id, claim=record.claim, parts_sent=parts_sent))

    def answered(
        self, record: CommandRecord, state: CommandState, now: datetime, problem: str | None = None
    ) -> bool:
        """The answer is out, or `problem` says why it cannot be shown; False when the claim was lost."""
        return bool(
            self._queries.answered(
                id=record.id,
                claim=record.claim,
                state=state.value,
                now=now,
                problem=storable_text(problem) if problem else None,
            )
        )
