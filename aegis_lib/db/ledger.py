"""The store of the ledger of runs. It never decides what became of a tick, nor what people are told.

An entry only ever becomes more certain, and each claim is one statement: who gets no row does not act.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from aegis_lib.db.sql import Queries
from aegis_lib.db.storable import storable_text
from aegis_lib.ledger import policy
from aegis_lib.ledger.model import (
    EVERY,
    RAN,
    TURNED_AWAY,
    Case,
    Entry,
    MissedTick,
    Pause,
    Planned,
    Presence,
    Problem,
    ScheduleVersion,
    ServerJob,
    Tally,
    TickOutcome,
    TurnedAway,
    rank,
)

_LIMITS = ("grace_seconds", "longest_run_seconds", "freshness_seconds")


class LedgerStore:
    """Implements the port `LedgerStore`. See it for the exact meaning."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def plan(self, planned: Sequence[Planned], now: datetime) -> int:
        """From `now` these schedules hold and no others; how many are new, other or gone."""
        with self._queries.transaction():
            self._queries.lock_plan()
            return self._replace(self._queries.schedules_in_force(), planned, now)

    def plan_job(self, job_id: str, planned: Sequence[Planned], now: datetime) -> int:
        """From `now` these schedules of one job hold; how many are new, other or gone."""
        with self._queries.transaction():
            self._queries.lock_plan()
            return self._replace(self._queries.schedules_of_job(job_id=job_id), planned, now)

    def _replace(self, rows: Iterable[dict[str, Any]], planned: Sequence[Planned], now: datetime) -> int:
        changed = 0
        held = {(v.job_id, v.slug): v for v in map(_version, rows)}
        wanted = {(p.job_id, p.slug): p for p in planned}
        for job_id, slug in held.keys() - wanted.keys():
            changed += self._queries.end_schedule(job_id=job_id, slug=slug, now=now)
        for key, plan in wanted.items():
            before = held.get(key)
            if before is not None and before.schedule == plan.schedule:
                self._queries.renew_limits(job_id=plan.job_id, slug=plan.slug, **_limits(plan))
                continue
            if before is not None:
                self._queries.end_schedule(job_id=plan.job_id, slug=plan.slug, now=now)
            schedule = plan.schedule.model_dump_json()
            changed += self._queries.begin_schedule(
                job_id=plan.job_id, slug=plan.slug, now=now, schedule=schedule, **_limits(plan)
            )
        return changed

    def versions(self, start: datetime) -> list[ScheduleVersion]:
        """Every version of a schedule that held at or after `start`."""
        return [_version(row) for row in self._queries.schedules_since(start=start)]

    def observe(self, jobs: Sequence[ServerJob], looked_before: datetime, now: datetime) -> None:
        """Note which jobs and schedules are paused now."""
        paused = {(job.job_id, EVERY) for job in jobs if job.paused}
        paused |= {(job.job_id, slug) for job in jobs for slug in job.paused_slugs}
        self._observe(paused, looked_before, now, of_all=False)

    def observe_all(self, paused: bool, looked_before: datetime, now: datetime) -> None:
        """Note whether all scheduling is paused now."""
        self._observe({(EVERY, EVERY)} if paused else set(), looked_before, now, of_all=True)

    def _observe(self, paused: set[tuple[str, str]], since: datetime, now: datetime, *, of_all: bool) -> None:
        with self._queries.transaction():
            known = {(row["job_id"], row["slug"]) for row in self._queries.open_pauses()}
            for job_id, slug in paused - known:
                self._queries.open_pause(job_id=job_id, slug=slug, since=since)
            for job_id, slug in known - paused:
                if (job_id == EVERY) == of_all:
                    self._queries.end_pause(job_id=job_id, slug=slug, now=now)

    def pauses(self, start: datetime) -> list[Pause]:
        """Every pause that lasted at or after `start`."""
        return [Pause.model_validate(row) for row in self._queries.pauses_since(start=start)]

    def last_presence(self) -> Presence | None:
        """The newest sign of life of the installation."""
        row = self._queries.last_presence()
        return _presence(row) if row else None

    def beat(self, process: str, now: datetime, patience: timedelta) -> None:
        """Say that the installation runs; a silence longer than `patience` is a gap."""
        with self._queries.transaction():
            self._queries.lock_presence()
            row = self._queries.last_presence()
            if row and policy.continues(_presence(row), process, now, patience):
                self._queries.continue_presence(id=row["id"], now=now)
            else:
                self._queries.begin_presence(process=process, now=now)

    def stop(self, process: str, now: datetime) -> None:
        """Say that the installation is being stopped on purpose."""
        with self._queries.transaction():
            self._queries.lock_presence()
            row = self._queries.last_presence()
            if not row or row["process"] != process:
                self._queries.begin_presence(process=process, now=now)
                row = self._queries.last_presence()
            self._queries.stop_presence(id=row["id"], now=now)

    def presences(self, start: datetime) -> list[Presence]:
        """Signs of life at or after `start`, and the last ones before it."""
        return [_presence(row) for row in self._queries.presences_since(start=start)]

    def record(self, entries: Sequence[Entry], now: datetime) -> None:
        """Write down what became of ticks, all or none."""
        with self._queries.transaction():
            for entry in entries:
                self._queries.record_entry(
                    job_id=entry.job_id,
                    slug=entry.slug,
                    due_at=entry.due_at,
                    outcome=entry.outcome.value,
                    certainty=rank(entry.outcome),
                    flow_run_id=entry.flow_run_id,
                    now=now,
                    detail=storable_text(entry.detail),
                )

    def oldest_unsettled(self, start: datetime, missed_since: datetime) -> datetime | None:
        """The oldest tick after `start` that is pending, or is missed and due after `missed_since`."""
        found: datetime | None = self._queries.oldest_unsettled(start=start, missed_since=missed_since)
        return found

    def missed_with_run(self, start: datetime, limit: int = 200) -> list[Entry]:
        """Missed ticks after `start` that have a run; the newest first."""
        rows = self._queries.missed_with_run(start=start, limit=limit)
        return [Entry(**row, outcome=TickOutcome.MISSED) for row in rows]

    def missed(self, start: datetime, calm: timedelta) -> list[MissedTick]:
        """Missed ticks after `start`, each with the first tick that happened well after it."""
        return [MissedTick.model_validate(row) for row in self._queries.missed(start=start, calm=calm)]

    def lost(self, start: datetime) -> list[datetime]:
        """Due times after `start` that an outage took."""
        return [row["due_at"] for row in self._queries.lost(start=start)]

    def turned_away(self, start: datetime) -> list[TurnedAway]:
        """Jobs whose runs since the last that began, and after `start`, were all turned away."""
        rows = self._queries.turned_away(start=start, turned_away=sorted(TURNED_AWAY), ran=sorted(RAN))
        return [TurnedAway.model_validate(row) for row in rows]

    def tally(self, start: datetime, end: datetime, checked: datetime | None) -> Tally:
        """The account of every job over (start, end]."""
        counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for row in self._queries.counts(start=start, end=end):
            counts[row["job_id"]][row["outcome"]] = row["ticks"]
        return policy.tally(self.versions(start), counts, start, end, checked)

    def entries(
        self,
        start: datetime,
        end: datetime,
        outcomes: Sequence[TickOutcome],
        job_id: str | None = None,
        limit: int = 100,
    ) -> list[Entry]:
        """Ticks due in (start, end] with one of these outcomes, the newest first."""
        rows = self._queries.entries(
            start=start, end=end, outcomes=[o.value for o in outcomes], job_id=job_id, limit=limit
        )
        return [Entry.model_validate(row) for row in rows]

    def cases(self) -> list[Case]:
        """Problems of which not everything was said yet."""
        return [Case.model_validate(row) for row in self._queries.unfinished_cases()]

    def claim_opening(self, problem: Problem, now: datetime, lease: timedelta) -> bool:
        """Be the one to say that a problem began."""
        claimed = self._queries.claim_opening(
            **_known(problem),
            kind=problem.kind.value,
            job_id=problem.job_id,
            since=problem.since,
            now=now,
            abandoned_before=now - lease,
            over=problem.over,
        )
        return claimed is not None

    def claim_over(self, key: str, now: datetime, lease: timedelta) -> bool:
        """Be the one to say that it is over."""
        return self._queries.claim_over(key=key, now=now, abandoned_before=now - lease) is not None

    def renew(self, problem: Problem) -> None:
        """Keep what is known of an open problem current."""
        self._queries.renew_case(**_known(problem))

    def told(self, key: str, now: datetime, *, over: bool) -> None:
        """The first message is out; `over`: it also said that it is over."""
        self._queries.told(key=key, now=now, over=over)

    def over_told(self, key: str, now: datetime) -> None:
        """The last message is out."""
        self._queries.over_told(key=key, now=now)

    def release(self, key: str) -> None:
        """The message could not be delivered: the next pass may claim it at once."""
        self._queries.release(key=key)

    def forget(self, before: datetime) -> None:
        """Forget what is older."""
        self._queries.forget(before=before)


def _version(row: dict[str, Any]) -> ScheduleVersion:
    return ScheduleVersion.model_validate(row)


def _presence(row: dict[str, Any]) -> Presence:
    return Presence(**{name: row[name] for name in Presence.model_fields})


def _limits(planned: Planned) -> dict[str, Any]:
    windows = [window.model_dump(mode="json") for window in planned.maintenance_windows]
    limits = {name: getattr(planned, name) for name in _LIMITS}
    return {**limits, "maintenance_windows": json.dumps(windows)}


def _known(problem: Problem) -> dict[str, Any]:
    return {
        "key": problem.key,
        "last_at": problem.last,
        "ticks": problem.ticks,
        "detail": storable_text(problem.detail),
    }
