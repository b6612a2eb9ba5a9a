"""Which messages are commands, what they ask for, and whether it is too late for them. Pure.

A command begins with `!` and a letter. Names and numbers must have the exact form of a name or a number:
nothing else gets further than this module.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from datetime import datetime, timedelta

from aegis_lib.commands.model import (
    LONGEST_TEXT_CHARACTERS,
    ChatMessage,
    Command,
    CommandRecord,
    CommandsConfig,
    Mistake,
    Verb,
    Written,
)

OVERLAP_IDS = 10_000 << 22
"""Ten seconds in ids: a message may become visible after one that was written a moment later."""
ATTEMPTS = 5
"""So often is a command tried that nobody survives."""
PATIENCE = timedelta(minutes=5)
"""How long a command waits for a server that does not answer, before that is said."""

_COMMAND = re.compile(r"!([A-Za-z]\S*)(?:\s+(.*))?", re.DOTALL)
_JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_NUMBER = re.compile(r"#?([0-9]{1,9})")
_CONTROL = re.compile("[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\ud800-\udfff]")

_CHANGING = frozenset({Verb.RUN, Verb.PAUSE, Verb.RESUME, Verb.ACK, Verb.APPROVE, Verb.REJECT})
_WITH_JOB = frozenset({Verb.RUN, Verb.PAUSE, Verb.RESUME})
_WITH_NUMBER = frozenset({Verb.APPROVE, Verb.REJECT})

USAGE: dict[Verb, str] = {
    Verb.TASK: "!task TEXT",
    Verb.STATUS: "!status",
    Verb.JOBS: "!jobs",
    Verb.RUN: "!run JOB",
    Verb.PAUSE: "!pause JOB",
    Verb.RESUME: "!resume JOB",
    Verb.ACK: "!ack CONTAINER",
    Verb.APPROVE: "!approve N",
    Verb.REJECT: "!reject N",
    Verb.HELP: "!help",
}


def is_command(message: ChatMessage, first_id: int, last_id: int) -> bool:
    """Whether a message is to be answered: written by a person, after `first_id`, as a command.

    What was seen before (up to `last_id`) and has been edited since is none: edits are ignored.
    """
    if not message.by_person or message.id <= first_id:
        return False
    if message.id <= last_id and message.edited:
        return False
    return _COMMAND.fullmatch(message.content.strip()) is not None


def written(message: ChatMessage, allowed: Collection[str], now: datetime, config: CommandsConfig) -> Written:
    """A command as it is kept. Who may command is decided by the author's id alone."""
    return Written(
        message_id=message.id,
        author_id=message.author_id,
        author_name=message.author_name[:128],
        content=message.content.strip()[:LONGEST_TEXT_CHARACTERS],
        authorized=message.author_id in allowed,
        late=now - message.sent_at > timedelta(minutes=config.max_age_minutes),
        sent_at=message.sent_at,
    )


def parse(content: str) -> Command | Mistake:
    """What a message asks for, or what to say where that is not understood."""
    found = _COMMAND.fullmatch(content.strip())
    if found is None:
        return Mistake(answer="That is no command. `!help` lists them.")
    word, rest = found[1].lower() if found[1].isascii() else "", (found[2] or "").strip()
    try:
        verb = Verb(word)
    except ValueError:
        near = difflib.get_close_matches(word[:40], [verb.value for verb in Verb], n=1)
        hint = f"Did you mean `!{near[0]}`? " if near else ""
        return Mistake(answer=f"There is no such command. {hint}`!help` lists them.")
    if verb is Verb.TASK:
        text = _CONTROL.sub("", rest).strip()
        return Command(verb=verb, text=text) if text else _misused(verb, "It needs the text of the task.")
    if verb in _WITH_JOB:
        named = _JOB.fullmatch(rest)
        return Command(verb=verb, name=rest) if named else _misused(verb, "It takes the id of one job.")
    if verb is Verb.ACK:
        named = _CONTAINER.fullmatch(rest)
        return Command(verb=verb, name=rest) if named else _misused(verb, "It takes one container's name.")
    if verb in _WITH_NUMBER:
        number = _NUMBER.fullmatch(rest)
        if number and int(number[1]) > 0:
            return Command(verb=verb, number=int(number[1]))
        return _misused(verb, "It takes the number of one proposal.")
    return Command(verb=verb) if not rest else _misused(verb, "It takes nothing else.")


def _misused(verb: Verb, said: str) -> Mistake:
    return Mistake(answer=f"Nothing was done. {said} Usage: `{USAGE[verb]}`")


def changes(command: Command) -> bool:
    """Whether it changes something that was so when it was written and may be otherwise by now."""
    return command.verb in _CHANGING


def may(record: CommandRecord, allowed: Collection[str]) -> bool:
    """Whether it is obeyed: its author was allowed when it was read, and still is."""
    return record.authorized and record.author_id in allowed


def read_from(first_id: int, last_id: int) -> int:
    """The id after which to read, so that nothing is missed and at least one known message comes back.

    That one proves that the channel can be read at all: without the right to, it looks empty.
    """
    return max(0, min(last_id - 1, last_id - OVERLAP_IDS))


def gives_up(record: CommandRecord, now: datetime) -> bool:
    """Whether a command that could not be carried out so far is answered all the same."""
    return record.attempts >= ATTEMPTS or now - record.sent_at > PATIENCE


def task_of(text: str) -> tuple[str, str]:
    """Title (one line of at most 200 characters) and details of a task: all of it where the title is not."""
    whole = text.strip()
    first = " ".join(whole.partition("\n")[0].split())
    title = first if len(first) <= 200 else first[:199].rstrip() + "…"
    return title, "" if title == whole else whole
