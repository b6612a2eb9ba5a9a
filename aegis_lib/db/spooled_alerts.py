"""Alerts that outlive the database: what cannot be put into the outbox now waits in the spool.

It must not lose a critical alert to a database that is away: that one is sent straight out, and the outbox
learns of it later, with the receipts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from uuid import uuid4

from pydantic import ValidationError

from aegis_lib import clock
from aegis_lib.alerts.model import (
    LONGEST_KEY_CHARACTERS,
    Message,
    Phase,
    Problem,
    Receipt,
    Recovered,
    Severity,
)
from aegis_lib.db.spool import RecordTooLarge, Spool, SpoolRecord
from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.logs import get_logger
from aegis_lib.ports.alerts import Notifier, Outbox

PROBLEM_KIND = "alert"
RECOVERED_KIND = "alert_over"
KINDS = (PROBLEM_KIND, RECOVERED_KIND)
_LONGEST_BODY_CHARACTERS = 20_000
log = get_logger(__name__)

OpensOutbox = Callable[[], AbstractContextManager[Outbox]]


class OutboxNotifier:
    """Implements the port `Notifier`: alerts go into the outbox, everything else straight to its channel.

    `opens` opens the outbox; `direct` is the notifier over the channels themselves.
    """

    def __init__(self, opens: OpensOutbox, direct: Notifier, spool: Spool) -> None:
        self._opens, self._direct, self._spool = opens, direct, spool

    def send(self, message: Message) -> tuple[Receipt, ...]:
        """Keep the message durably; what is kept is delivered by `alert_dispatch`.

        Raises:
            DependencyUnavailable: neither the outbox, nor the spool, nor a channel takes it.
            PermanentFailure: as before, and every channel refused for good.
        """
        if message.audience != "alerts":
            return self._direct.send(message)
        now = clock.utcnow()
        entry = _entry(message, now)
        try:
            with self._opens() as outbox:
                put(outbox, entry)
        except (DependencyUnavailable, Misconfigured) as away:
            log.warning("alert_without_outbox", title=message.title, error=str(away))
            return self._without_outbox(message, entry)
        return (Receipt(channel="outbox", delivered=True, reference=entry.key),)

    def _without_outbox(self, message: Message, entry: Problem | Recovered) -> tuple[Receipt, ...]:
        if message.severity is Severity.CRITICAL and isinstance(entry, Problem):
            receipts = self._direct.send(message)
            try:
                keep(self._spool, entry.model_copy(update={"told": receipts}))
            except AegisError as unkept:  # told it is; only the outbox will not know
                log.error("alert_not_spooled", title=message.title, error=str(unkept))
            return receipts
        try:
            keep(self._spool, entry)
        except AegisError as unkept:
            log.error("alert_not_spooled", title=message.title, error=str(unkept))
            return self._direct.send(message)
        return (Receipt(channel="spool", delivered=True, reference=entry.key),)


def keep(spool: Spool, entry: Problem | Recovered) -> None:
    """Spool it. Raises SpoolFull when there is no room, Misconfigured when the spool cannot be used."""
    kind = PROBLEM_KIND if isinstance(entry, Problem) else RECOVERED_KIND
    key = entry.occurrence or f"over:{uuid4()}"
    try:
        spool.append(kind, key, entry.model_dump(mode="json"))
    except RecordTooLarge:
        shorter = entry.model_copy(update={"body": (entry.body or "")[:_LONGEST_BODY_CHARACTERS]})
        spool.append(kind, key, shorter.model_dump(mode="json"))


def put(outbox: Outbox, entry: Problem | Recovered) -> None:
    """Put it into the outbox."""
    if isinstance(entry, Problem):
        outbox.raise_problem(entry)
    else:
        outbox.recover(entry)


def apply(outbox: Outbox, record: SpoolRecord) -> None:
    """Put a spooled record into the outbox; one that is there already changes nothing.

    Raises:
        PermanentFailure: it is no alert.
        DependencyUnavailable: the database is away.
    """
    model = Problem if record.kind == PROBLEM_KIND else Recovered
    try:
        entry = model.model_validate(record.payload)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        raise PermanentFailure(f"not an alert: {problem['loc']}: {problem['msg']}") from error
    put(outbox, entry)


def _entry(message: Message, now: datetime) -> Problem | Recovered:
    identity = _short(message.key or str(uuid4()))
    if message.problem is None:
        return _problem(message, key=identity, occurrence=f"message:{identity}", now=now, lasting=False)
    if message.phase is Phase.OVER:
        return Recovered(
            key=message.problem,
            at=now,
            title=message.title,
            body=message.body,
            occurrence=f"over:{_short(message.problem)}",
        )
    occurrence = f"message:{message.phase.value}:{identity}"
    return _problem(message, key=message.problem, occurrence=occurrence, now=now, lasting=True)


def _problem(message: Message, *, key: str, occurrence: str, now: datetime, lasting: bool) -> Problem:
    return Problem(
        key=key,
        occurrence=occurrence,
        title=message.title,
        body=message.body,
        severity=message.severity,
        seen_at=now,
        lasting=lasting,
        own_reminders=lasting,
        again=message.phase is Phase.AGAIN,
    )


def _short(key: str) -> str:
    """A key with room for a word before it."""
    room = LONGEST_KEY_CHARACTERS - 40
    return key if len(key) <= room else f"{key[: room - 40]}:{hashlib.sha256(key.encode()).hexdigest()[:32]}"
