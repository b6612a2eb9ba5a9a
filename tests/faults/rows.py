"""Measures faults on a running stack: a row for each, judged when the ledger was brought up to date."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aegis_lib import clock
from aegis_lib.ledger.model import TickOutcome
from tests.faults.catalogue import INTERVAL_SECONDS, JOBS
from tests.faults.injections import Fault, inject
from tests.faults.installation import Installation
from tests.faults.notes import Note

PATIENCE_SECONDS = 300.0
_INTERVAL = timedelta(seconds=INTERVAL_SECONDS)


@dataclass
class Row:
    """What one fault did.

    `struck` is the moment of the fault, or its end where no job can run while it lasts; `again_seconds` is
    the time from there until every job had run for a tick due after it; `best_seconds` is when the last of
    these ticks was due.
    """

    fault: Fault
    start: datetime
    struck: datetime
    again_seconds: float | None = None
    best_seconds: float = 0.0
    end: datetime | None = None
    run: str = ""
    run_state: str = ""
    ticks_due: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    begun_twice: int = 0
    effects_twice: int = 0

    @property
    def ticks_accounted(self) -> int:
        """Ticks for which the ledger names an outcome; one that still waits for it does not count."""
        unnamed = self.outcomes["Unaccounted"] + self.outcomes[TickOutcome.PENDING.value]
        return self.outcomes.total() - unnamed

    @property
    def green(self) -> bool:
        """Whether the jobs ran again, nothing happened twice and every tick has its outcome."""
        counted = self.ticks_due > 0 and self.ticks_accounted == self.ticks_due
        return self.again_seconds is not None and counted and not self.effects_twice


def measure(fault: Fault, stack: Installation, patience_seconds: float = PATIENCE_SECONDS) -> Row:
    """Inject a fault and wait until every job has run again, at most `patience_seconds`."""
    run = inject(fault, stack)
    struck = clock.utcnow()
    row = Row(fault, struck - _INTERVAL, struck, run=run)
    if fault.undo and fault.lasts_seconds is not None:
        time.sleep(fault.lasts_seconds)
        fault.undo(stack)
        row.struck = clock.utcnow()
    next_due = [job.ticks(row.struck, row.struck + _INTERVAL)[0] for job in JOBS]
    row.best_seconds = (max(next_due) - row.struck).total_seconds()
    again = stack.wait_again(row.struck, patience_seconds)
    row.again_seconds = None if again is None else (again - row.struck).total_seconds()
    if fault.undo and fault.lasts_seconds is None:
        fault.undo(stack)
    row.end = clock.utcnow()
    return row


def judge(rows: Iterable[Row], stack: Installation, patience_seconds: float = 120) -> None:
    """Ask the ledger about the time of each row, as soon as the last of its runs has ended."""
    judged = list(rows)
    deadline = time.monotonic() + patience_seconds
    time.sleep(INTERVAL_SECONDS)
    while True:
        stack.keep_ledger()
        for row in judged:
            _count(row, stack)
        if all(row.ticks_accounted == row.ticks_due for row in judged) or time.monotonic() > deadline:
            break
        time.sleep(INTERVAL_SECONDS)
    for row in judged:
        row.run_state = stack.state(row.run)


def _count(row: Row, stack: Installation) -> None:
    assert row.end is not None
    row.ticks_due = sum(len(job.ticks(row.start, row.end)) for job in JOBS)
    row.outcomes = stack.account(row.start, row.end)
    row.begun_twice = twice(stack.notes.begun(), row.start, row.end)
    row.effects_twice = twice(stack.notes.effects(), row.start, row.end)


def twice(notes: Iterable[Note], start: datetime, end: datetime) -> int:
    """How many ticks of (start, end] are noted more than once."""
    seen = Counter((note.job, note.due) for note in notes if start < note.due <= end)
    return sum(count > 1 for count in seen.values())
