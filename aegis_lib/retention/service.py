"""Removes what is older than the policy keeps, in batches. Does not know what a kind is made of."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from aegis_lib import isolation
from aegis_lib.logs import get_logger
from aegis_lib.memory.model import Importance
from aegis_lib.outcome import Outcome
from aegis_lib.ports.memory import EpisodicMemory
from aegis_lib.ports.retention import Expiring
from aegis_lib.retention import messages, policy
from aegis_lib.retention.model import Kind, KindRow, Removed, RetentionConfig, RetentionReport

EVENT_TYPE = "retention"
log = get_logger(__name__)


def remove_expired(
    kinds: Sequence[Expiring],
    memory: EpisodicMemory,
    config: RetentionConfig,
    *,
    language_model_days: int,
    now: datetime,
    dry_run: bool,
    pause: Callable[[float], None] = time.sleep,
    elapsed: Callable[[], float] = time.monotonic,
) -> RetentionReport:
    """Remove what is old of every kind, or only count it. What fails for one kind does not stop the others.

    Safe to interrupt at any point and to run twice at once. After `config.time_limit_seconds` the rest is
    left to the next run. What went is remembered as an event of importance `low`. `pause` waits for seconds;
    `elapsed` is a clock in seconds that only goes on.

    Raises:
        AegisError: nothing could be looked at, of no kind; the first reason.
    """
    run = _Run(config, elapsed, pause, language_model_days, now)
    look = run.count if dry_run else run.forget
    done = isolation.each(kinds, look)
    rows = {row.kind: row for row in done.results}
    problems = [
        *(f"{kind.kind.value}: {error}" for kind, error in done.failures),
        *(row.problem for row in done.results if row.problem),
    ]
    left = [kind.kind for kind in kinds if kind.kind in run.left]
    ordered = tuple(rows[kind.kind] for kind in kinds if kind.kind in rows)
    report = RetentionReport(
        outcome=Outcome.DEGRADED if problems or left else Outcome.COMPLETED,
        summary=messages.sentence(ordered, left, problems, dry_run),
        dry_run=dry_run,
        rows=ordered,
        left=tuple(left),
        problems=tuple(problems),
        seconds=elapsed() - run.began,
    )
    log.info(
        "retention_dry_run" if dry_run else "retention_complete",
        **{row.kind.value: row.count for row in ordered if row.count},
        left=len(left),
        problems=len(problems),
        seconds=round(report.seconds, 2),
    )
    if not dry_run and any(row.count for row in ordered):
        memory.record(
            EVENT_TYPE,
            report.summary,
            {
                row.kind.value: {"count": row.count, "size_bytes": row.size_bytes}
                for row in ordered
                if row.count
            },
            Importance.LOW,
            tags=("storage", "retention"),
            timestamp=now,
        )
    return report


@dataclass
class _Run:
    """One run: its clock and what it could not get to."""

    config: RetentionConfig
    elapsed: Callable[[], float]
    pause: Callable[[float], None]
    language_model_days: int
    now: datetime
    left: set[Kind] = field(default_factory=set)
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.elapsed()

    def go_on(self) -> bool:
        return self.elapsed() - self.began < self.config.time_limit_seconds

    def before(self, kind: Expiring) -> datetime:
        return policy.age_limit(self.now, kind.kind, self.config, self.language_model_days)

    def count(self, kind: Expiring) -> KindRow:
        """What would go of a kind."""
        return self._row(kind, [kind.expired(self.before(kind))])

    def forget(self, kind: Expiring) -> KindRow:
        """Remove batch after batch until a kind has nothing old any more, or time is up."""
        steps: list[Removed] = []
        while True:
            if not self.go_on():
                self.left.add(kind.kind)
                break
            started = self.elapsed()
            step = kind.forget(self.before(kind), self.config.batch_rows, self.go_on)
            steps.append(step)
            if not step.more:
                break
            self.pause(policy.pause_seconds(self.elapsed() - started, self.config))
        return self._row(kind, steps)

    def _row(self, kind: Expiring, steps: Sequence[Removed]) -> KindRow:
        sizes = [step.size_bytes for step in steps if step.size_bytes is not None]
        held = [name for step in steps for name in step.held]
        said = [problem for step in steps for problem in step.problems]
        if held:
            said.insert(0, messages.held(kind.kind, held))
        return KindRow(
            kind=kind.kind,
            before=self.before(kind),
            count=sum(step.count for step in steps),
            unit=kind.unit,
            size_bytes=sum(sizes) if sizes else None,
            left=kind.kind in self.left,
            problem=" ".join(said[:3]),
        )
