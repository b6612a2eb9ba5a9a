"""What services need from the outside: the ledger of runs.

No implementation lives here, and no name of a vendor.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from aegis_lib.ledger.model import (
    Case,
    Entry,
    MissedTick,
    Pause,
    Planned,
    Presence,
    ScheduledRun,
    ScheduleVersion,
    ServerJob,
    Tally,
    TurnedAway,
)
from aegis_lib.ledger.model import Problem as LedgerProblem


class ScheduledRunHistory(Protocol):
    """What the server that starts jobs knows of them and of their runs.

    Every method raises DependencyUnavailable when it does not answer, and Misconfigured when it refuses us.
    """

    def runs(self, start: datetime, end: datetime) -> list[ScheduledRun]:
        """Every run that was to start in [start, end], whatever became of it."""

    def runs_by_id(self, ids: Sequence[str]) -> list[ScheduledRun]:
        """These runs, as far as they are still there; at most 200."""

    def jobs(self) -> list[ServerJob]:
        """Every job, and what of it is paused."""

    def newest_output(self, job_id: str, before: datetime) -> datetime | None:
        """When the newest run of a job until `before` ended that did its work, in part at least; or None."""


class LedgerStore(Protocol):
    """What the ledger of runs remembers."""

    def plan(self, planned: Sequence[Planned], now: datetime) -> int:
        """From `now` these schedules hold and no others; how many are new, other or gone. Twice is once."""

    def plan_job(self, job_id: str, planned: Sequence[Planned], now: datetime) -> int:
        """The same for one job; those of the others stay."""

    def versions(self, start: datetime) -> list[ScheduleVersion]:
        """Every version of a schedule that held at or after `start`."""

    def observe(self, jobs: Sequence[ServerJob], looked_before: datetime, now: datetime) -> None:
        """Note what is paused now. A new pause counts from `looked_before`, when it was not seen yet."""

    def pauses(self, start: datetime) -> list[Pause]:
        """Every pause that lasted at or after `start`."""

    def last_presence(self) -> Presence | None:
        """The newest sign of life of the installation."""

    def beat(self, process: str, now: datetime, patience: timedelta) -> None:
        """Say that the installation runs; a silence longer than `patience` is a gap."""

    def presences(self, start: datetime) -> list[Presence]:
        """Signs of life at or after `start`, and the last ones before it."""

    def record(self, entries: Sequence[Entry], now: datetime) -> None:
        """Write down what became of ticks. What is known for certain never changes back."""

    def oldest_unsettled(self, start: datetime, missed_since: datetime) -> datetime | None:
        """The oldest tick after `start` that is pending, or is missed and due after `missed_since`."""

    def missed_with_run(self, start: datetime, limit: int = 200) -> list[Entry]:
        """Missed ticks after `start` that have a run, which may still be taken; the newest first."""

    def missed(self, start: datetime, calm: timedelta) -> list[MissedTick]:
        """Missed ticks after `start`, each with the job's first tick that happened at least `calm` later."""

    def lost(self, start: datetime) -> list[datetime]:
        """Due times after `start` that an outage took."""

    def turned_away(self, start: datetime) -> list[TurnedAway]:
        """Jobs whose runs since the last that began, and after `start`, were all turned away."""

    def tally(self, start: datetime, end: datetime, checked: datetime | None) -> Tally:
        """The account of every job over (start, end]."""

    def cases(self) -> list[Case]:
        """Problems of which not everything was said yet."""

    def claim_opening(self, problem: LedgerProblem, now: datetime, lease: timedelta) -> bool:
        """Be the one to say that a problem began; a claim older than `lease` counts as abandoned."""

    def claim_over(self, key: str, now: datetime, lease: timedelta) -> bool:
        """Be the one to say that it is over."""

    def renew(self, problem: LedgerProblem) -> None:
        """Keep what is known of an open problem current."""

    def told(self, key: str, now: datetime, *, over: bool) -> None:
        """The first message is out; `over`: it also said that it is over."""

    def over_told(self, key: str, now: datetime) -> None:
        """The last message is out."""

    def release(self, key: str) -> None:
        """The message could not be delivered: the next pass may claim it at once."""

    def forget(self, before: datetime) -> None:
        """Forget what is older."""
