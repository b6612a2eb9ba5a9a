"""What the ledger of runs knows: ticks, what became of each, and what speaks for it. Values only.

A *tick* is one due time of one schedule of one job. An *entry* is a tick with its outcome.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Self

from pydantic import Field, model_validator

from aegis_lib.maintenance import MaintenanceWindow
from aegis_lib.outcome import AwareDatetime, Frozen, Report
from aegis_lib.schedule import Schedule

EVERY = "*"
"""Stands for every job, and for every schedule of a job."""
CHECKED_KEY = "ledger_checked"
"""In `state`: when the ledger was last brought up to date."""
GREEN_KEY = "ledger_green"
"""In `state`: whether it was green then (`true`, `false`)."""

BEAT_PATIENCE = timedelta(seconds=180)
"""A process that says each minute that it lives is gone when it was silent for this long."""
PASS_PATIENCE = timedelta(minutes=16)
"""The same where only the ledger's own passes, five minutes apart, say it; also the greatest age of green."""


class TickOutcome(StrEnum):
    """What became of one tick. The first six are how a run of it ended, under the run's own name."""

    COMPLETED = "Completed"
    NO_INPUT = "NoInput"
    NOT_CONFIGURED = "NotConfigured"
    DEGRADED = "Degraded"
    FAILED = "Failed"
    CRASHED = "Crashed"
    COALESCED = "Coalesced"
    """A newer run stood for it."""
    MISFIRED = "Misfired"
    """It could have started only after its time of grace."""
    REFUSED = "Refused"
    """Another run of the job was active, and the limit of one refused this one."""
    CANCELLED = "Cancelled"
    """Somebody cancelled its run."""
    PAUSED = "Paused"
    """The job, its schedule or all scheduling was paused."""
    MAINTENANCE = "Maintenance"
    """It fell into a maintenance window, and nothing came of it."""
    STOPPED = "Stopped"
    """The installation was stopped on purpose."""
    OUTAGE = "Outage"
    """The installation did not run, and nobody had stopped it: killed, power lost, asleep, no database."""
    MISSED = "Missed"
    """The installation ran, and the tick did not happen. This is what people are told."""
    PENDING = "Pending"
    """Too young to be judged."""


RAN = frozenset({
    TickOutcome.COMPLETED, TickOutcome.NO_INPUT, TickOutcome.NOT_CONFIGURED, TickOutcome.DEGRADED,
    TickOutcome.FAILED, TickOutcome.CRASHED,
})  # fmt: skip
"""Outcomes of ticks that had a run which began."""
TURNED_AWAY = frozenset({TickOutcome.MISFIRED, TickOutcome.REFUSED})
"""Outcomes of ticks whose run was turned away and that no other run stood for."""
IDLE = frozenset({TickOutcome.PAUSED, TickOutcome.MAINTENANCE, TickOutcome.STOPPED, TickOutcome.OUTAGE})
"""Outcomes of ticks that had no run because nothing was to run."""


def rank(outcome: TickOutcome) -> int:
    """How much is known: 0 pending, 1 missed, 2 idle, 3 a run's own end. An entry only ever rises."""
    if outcome is TickOutcome.PENDING:
        return 0
    if outcome is TickOutcome.MISSED:
        return 1
    return 2 if outcome in IDLE else 3


class Planned(Frozen):
    """One schedule of one job as the catalogue has it.

    `grace_seconds` is how late its runs may start, None however late; `longest_run_seconds` how long one may
    take with all its attempts; `freshness_seconds` how old the job's newest output may become, None for any
    age. In its `maintenance_windows` no run is started.
    """

    job_id: str
    slug: str
    schedule: Schedule
    grace_seconds: int | None = Field(ge=0)
    longest_run_seconds: int = Field(ge=1)
    freshness_seconds: int | None = Field(default=None, ge=1)
    maintenance_windows: tuple[MaintenanceWindow, ...] = ()


class ScheduleVersion(Planned):
    """A schedule with the time in which it held: after `since`, up to and with `until` (None: still)."""

    since: AwareDatetime
    until: AwareDatetime | None = None


class Span(Frozen):
    """A stretch of time, [since, until]; without an end while it lasts."""

    since: AwareDatetime
    until: AwareDatetime | None = None

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.until is not None and self.until < self.since:
            raise ValueError("a span ends before it begins")
        return self


class Pause(Span):
    """A time in which a schedule was paused; `*` for every job, or for every schedule of a job."""

    job_id: str
    slug: str = EVERY


class Maintenance(Frozen):
    """A maintenance window of aegis.yaml: ticks of `jobs` (patterns) in [start, end) need not happen."""

    jobs: tuple[str, ...] = (EVERY,)
    start: AwareDatetime
    end: AwareDatetime

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.end <= self.start:
            raise ValueError("a maintenance window ends before it begins")
        return self

    def covers(self, job_id: str) -> bool:
        """Whether it is about that job."""
        return any(fnmatchcase(job_id, pattern) for pattern in self.jobs)


class Gap(Span):
    """A time in which the installation did not run. `stopped`: somebody stopped it on purpose."""

    stopped: bool
    why: str


class Presence(Frozen):
    """A time in which one process said again and again that the installation runs.

    `stopped` says that it ended on purpose.
    """

    process: str
    since: AwareDatetime
    last_seen: AwareDatetime
    stopped: bool = False


class ScheduledRun(Frozen):
    """A run of a job as the server's history has it.

    `slug` is the schedule that made it, where the server says so; `automatic` is false for runs that a person
    or an event asked for.
    """

    id: str
    job_id: str
    due_at: AwareDatetime
    slug: str | None = None
    state: str
    name: str
    message: str = ""
    started_at: AwareDatetime | None = None
    automatic: bool = True


class ServerJob(Frozen):
    """A job as the server holds it: what is paused of it. `paused_slugs` are its inactive schedules."""

    job_id: str
    paused: bool
    paused_slugs: frozenset[str] = frozenset()


class Tick(Frozen):
    """One due time of one schedule, with the patience that its job asks for.

    `grace_seconds` is None where its run may start however late; `in_maintenance` says that it lies in one of
    the job's own windows.
    """

    job_id: str
    slug: str
    due_at: AwareDatetime
    grace_seconds: int | None
    longest_run_seconds: int
    in_maintenance: bool = False


class Entry(Frozen):
    """A tick and what became of it. `detail` says why, for a person."""

    job_id: str
    slug: str
    due_at: AwareDatetime
    outcome: TickOutcome
    flow_run_id: str | None = None
    detail: str = ""


class Evidence(Frozen):
    """All that speaks for or against ticks, gathered at one moment."""

    runs: tuple[ScheduledRun, ...] = ()
    pauses: tuple[Pause, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
    gaps: tuple[Gap, ...] = ()
    known_jobs: frozenset[str] | None = None
    """Jobs that the server has; None: it was not asked."""


class MissedTick(Frozen):
    """A missed tick, and the first tick of its job that happened well after it (None: none yet)."""

    job_id: str
    due_at: AwareDatetime
    detail: str = ""
    calm_at: AwareDatetime | None = None


class TurnedAway(Frozen):
    """The newest ticks of a job, all of which were turned away: how many, and the first and last of them."""

    job_id: str
    ticks: int
    first: AwareDatetime
    last: AwareDatetime
    outcome: str


class Kind(StrEnum):
    """The kinds of problem that the ledger tells people about."""

    MISSED = "missed"
    OUTAGE = "outage"
    STUCK = "stuck"
    """Ticks are accounted for and yet the job never runs: each one is turned away."""
    STALE = "stale"
    """The job's newest output is older than the catalogue allows."""


class Problem(Frozen):
    """One thing that is or was wrong. `key` is the same in every pass, so that it is told once.

    `over` is set when it has ended already.
    """

    key: str
    kind: Kind
    job_id: str | None
    since: AwareDatetime
    last: AwareDatetime
    ticks: int = 0
    detail: str = ""
    over: bool = False


class Notice(StrEnum):
    """What is to be said about a case."""

    OPENED = "opened"
    OVER = "over"


class Case(Frozen):
    """A problem of which not everything was said yet. `told`: its beginning was."""

    key: str
    kind: Kind
    job_id: str | None
    since: AwareDatetime
    last: AwareDatetime
    ticks: int
    detail: str
    told: bool


class JobTicks(Frozen):
    """The account of one job over a stretch of time: `due` ticks, and how many of them had each outcome.

    `unaccounted` are ticks that the ledger should know and does not, because it was not made.
    """

    job_id: str
    due: int
    outcomes: dict[str, int]
    unaccounted: int = 0


class Tally(Frozen):
    """The account of every job over (start, end]. `checked` is when the ledger was last made."""

    start: AwareDatetime
    end: AwareDatetime
    checked: AwareDatetime | None
    jobs: tuple[JobTicks, ...]


class LedgerConfig(Frozen):
    """The section `ledger` of aegis.yaml.

    `keep_days` (2 to 3660) is how long ticks are remembered; `maintenance` are windows in which ticks need
    not happen.
    """

    keep_days: int = Field(default=30, ge=2, le=3660)
    maintenance: tuple[Maintenance, ...] = ()


class LedgerReport(Report):
    """What one pass found: `ticks` accounted in it by outcome, what was told, what is still open."""

    ticks: dict[str, int] = Field(default_factory=dict)
    opened: tuple[str, ...] = ()
    over: tuple[str, ...] = ()
    open: tuple[Problem, ...] = ()
    green: bool = True
    undelivered: str | None = None
