"""What of the ledger is worth waking somebody for. Pure decisions; knows no clock.

A problem keeps its key for as long as it lasts: whoever is told of it is told once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from aegis_lib.ledger.model import (
    EVERY,
    Case,
    Gap,
    Kind,
    Maintenance,
    MissedTick,
    Pause,
    Problem,
    ScheduleVersion,
    Span,
    TurnedAway,
)
from aegis_lib.ledger.policy import SETTLING, length_without

CALM = timedelta(minutes=15)
"""A job is well again when a tick this long after the last missed one has happened."""
STUCK_TICKS = 6
"""A job whose newest ticks, this many of them, were all turned away is stuck."""


def missed_problems(
    missed: Iterable[MissedTick], outputs: Mapping[str, datetime | None] | None = None
) -> list[Problem]:
    """Missed ticks as problems: a job's misses belong together until it was well again.

    It is well again when a tick a while later happened, or when its newest useful run, which anybody may have
    asked for, ended after the miss; `outputs` has the ends of those runs.
    """
    by_job: defaultdict[str, list[MissedTick]] = defaultdict(list)
    for tick in sorted(missed, key=lambda tick: tick.due_at):
        newest = (outputs or {}).get(tick.job_id)
        ends = [end for end in (tick.calm_at, newest) if end is not None and end > tick.due_at]
        by_job[tick.job_id].append(tick.model_copy(update={"calm_at": min(ends, default=None)}))
    problems = []
    for job_id, ticks in sorted(by_job.items()):
        group: list[MissedTick] = []
        for tick in ticks:
            calm = group[-1].calm_at if group else None
            if calm is not None and calm < tick.due_at:
                problems.append(_missed(job_id, group))
                group = []
            group.append(tick)
        problems.append(_missed(job_id, group))
    return problems


def _missed(job_id: str, group: Sequence[MissedTick]) -> Problem:
    return Problem(
        key=f"{Kind.MISSED}:{job_id}:{group[0].due_at.isoformat()}",
        kind=Kind.MISSED,
        job_id=job_id,
        since=group[0].due_at,
        last=group[-1].due_at,
        ticks=len(group),
        detail=group[-1].detail,
        over=group[-1].calm_at is not None,
    )


def outage_problems(found: Iterable[Gap], lost: Sequence[datetime]) -> list[Problem]:
    """One problem for each unexpected gap in which ticks were lost, however many. It is over by then.

    `lost` are the due times of ticks with the outcome Outage.
    """
    problems = []
    for gap in found:
        until = gap.until or gap.since
        ticks = sum(gap.since <= due <= until + SETTLING for due in lost)
        if ticks and not gap.stopped:
            problems.append(
                Problem(
                    key=f"{Kind.OUTAGE}:{gap.since.isoformat()}",
                    kind=Kind.OUTAGE,
                    job_id=None,
                    since=gap.since,
                    last=until,
                    ticks=ticks,
                    detail=gap.why,
                    over=True,
                )
            )
    return problems


def stuck_problems(turned_away: Iterable[TurnedAway]) -> list[Problem]:
    """Jobs whose ticks are all accounted for and which nevertheless never run."""
    return [
        Problem(
            key=f"{Kind.STUCK}:{job.job_id}:{job.first.isoformat()}",
            kind=Kind.STUCK,
            job_id=job.job_id,
            since=job.first,
            last=job.last,
            ticks=job.ticks,
            detail=job.outcome,
        )
        for job in turned_away
        if job.ticks >= STUCK_TICKS
    ]


def stale_problems(
    versions: Iterable[ScheduleVersion],
    outputs: Mapping[str, datetime | None],
    pauses: Sequence[Pause],
    found: Sequence[Gap],
    now: datetime,
    maintenance: Iterable[Maintenance] = (),
) -> list[Problem]:
    """Jobs whose newest output is too old. Time in which the job was paused or nothing ran does not count.

    Neither do maintenance windows, of the job itself or of aegis.yaml.

    `outputs` has the end of each job's newest useful run, None where there was none: then the age counts from
    the moment at which its schedule was first seen.
    """
    held: defaultdict[str, list[ScheduleVersion]] = defaultdict(list)
    for version in sorted(versions, key=lambda version: version.since):
        if version.until is None:
            held[version.job_id].append(version)
    problems = []
    for job_id, schedules in sorted(held.items()):
        if (allowed := schedules[0].freshness_seconds) is None:
            continue
        newest = outputs.get(job_id)
        since = newest or schedules[0].since
        slugs = {EVERY, schedules[0].slug} if len(schedules) == 1 else {EVERY}
        idle = [p for p in pauses if p.job_id in {job_id, EVERY} and p.slug in slugs]
        closed = [
            Span(since=begun, until=over)
            for window in schedules[0].maintenance_windows
            for begun, over in window.times(since, now)
        ] + [Span(since=window.start, until=window.end) for window in maintenance if window.covers(job_id)]
        if length_without(since, now, [*found, *idle, *closed]) > timedelta(seconds=allowed):
            problems.append(
                Problem(
                    key=f"{Kind.STALE}:{job_id}:{since.isoformat()}",
                    kind=Kind.STALE,
                    job_id=job_id,
                    since=since,
                    last=now,
                    detail=f"{'newest' if newest else 'no'} output; {allowed} s are allowed",
                )
            )
    return problems


def matched(problems: Sequence[Problem], cases: Iterable[Case]) -> list[Problem]:
    """The problems under the keys of the cases they belong to.

    A late answer may take away a problem's first tick, and with it the key: while a job has an open case of a
    kind, what else of that kind goes on with the job belongs to it.
    """
    known = {problem.key for problem in problems}
    free = {(case.kind, case.job_id): case for case in cases if case.told and case.key not in known}
    found = []
    for problem in problems:
        case = None if problem.over else free.pop((problem.kind, problem.job_id), None)
        same = {"key": case.key, "since": case.since} if case else {}
        found.append(problem.model_copy(update=same))
    return found
