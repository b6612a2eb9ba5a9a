"""What became of every tick. Pure decisions; knows no clock.

Every tick gets exactly one entry: the number of entries is the number of ticks, whatever the evidence.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise, takewhile

from aegis_lib.ledger.model import (
    BEAT_PATIENCE,
    EVERY,
    PASS_PATIENCE,
    RAN,
    Entry,
    Evidence,
    Gap,
    JobTicks,
    Pause,
    Presence,
    ScheduledRun,
    ScheduleVersion,
    Span,
    Tally,
    Tick,
    TickOutcome,
)

SETTLING = timedelta(seconds=60)
"""After a deploy, a resume or a start the server needs this long to plan; ticks in it are not expected."""
ABSENT = timedelta(seconds=120)
"""A tick without any run is judged at this age: runs are planned ahead, so one will not appear any more."""
SLACK = timedelta(seconds=60)
"""Added to what a run may take until its end is known."""
LONGEST_PATIENCE = timedelta(days=1)
"""So long a run may wait that may start however late; then its tick is missed, until it has run."""

_FINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
_COMPLETED = {
    name.value: name for name in (TickOutcome.NO_INPUT, TickOutcome.NOT_CONFIGURED, TickOutcome.DEGRADED)
}
_CANCELLED = {
    name.value: name
    for name in (TickOutcome.COALESCED, TickOutcome.MISFIRED, TickOutcome.PAUSED, TickOutcome.MAINTENANCE)
}
_REFUSAL = "concurrency limit reached"  # what Prefect 3.8 writes: "Deployment concurrency limit reached."


def due_ticks(versions: Iterable[ScheduleVersion], start: datetime, end: datetime) -> list[Tick]:
    """Every tick due after `start` and not after `end`, by the schedule that held then, in order."""
    ticks = []
    for version in versions:
        first = max(start, version.since + SETTLING)
        last = end if version.until is None else min(end, version.until)
        ticks += [
            Tick(
                job_id=version.job_id,
                slug=version.slug,
                due_at=due,
                grace_seconds=version.grace_seconds,
                longest_run_seconds=version.longest_run_seconds,
                in_maintenance=any(window.contains(due) for window in version.maintenance_windows),
            )
            for due in takewhile(lambda due, last=last: due <= last, version.schedule.after(first))  # type: ignore[misc]
        ]
    return sorted(ticks, key=lambda tick: (tick.due_at, tick.job_id, tick.slug))


def gaps(presences: Sequence[Presence]) -> tuple[Gap, ...]:
    """The times between presences, oldest first, and why nobody was there."""
    found = []
    ordered = sorted(presences, key=lambda presence: presence.since)
    for before, after in pairwise(ordered):
        if after.since <= before.last_seen:
            continue
        if before.stopped:
            why = "stopped on purpose"
        elif before.process == after.process:
            why = "the machine slept, or the database did not answer"
        else:
            why = "it ended unexpectedly: killed, crashed, or the machine went off"
        found.append(Gap(since=before.last_seen, until=after.since, stopped=before.stopped, why=why))
    return tuple(found)


def continues(presence: Presence | None, process: str, now: datetime, patience: timedelta) -> bool:
    """Whether a sign of life belongs to the last presence; else it begins a new one."""
    return (
        presence is not None
        and presence.process == process
        and not presence.stopped
        and now - presence.last_seen <= patience
    )


def outcome_of(run: ScheduledRun) -> TickOutcome | None:
    """How a run ended; None while it has not."""
    match run.state:
        case "COMPLETED":
            return _COMPLETED.get(run.name, TickOutcome.COMPLETED)
        case "FAILED":
            return TickOutcome.FAILED
        case "CRASHED":
            return TickOutcome.CRASHED
        case "CANCELLED":
            if run.name in _CANCELLED:
                return _CANCELLED[run.name]
            refused = run.started_at is None and _REFUSAL in run.message.lower()
            return TickOutcome.REFUSED if refused else TickOutcome.CANCELLED
        case _:
            return None


def account(ticks: Iterable[Tick], evidence: Evidence, now: datetime) -> tuple[Entry, ...]:
    """One entry for each tick, in the order of the ticks."""
    judged = list(ticks)
    slugs: defaultdict[tuple[str, datetime], set[str]] = defaultdict(set)
    for tick in judged:
        slugs[tick.job_id, tick.due_at].add(tick.slug)
    runs: defaultdict[tuple[str, datetime], list[ScheduledRun]] = defaultdict(list)
    for run in evidence.runs:
        if run.automatic:
            runs[run.job_id, run.due_at].append(run)
    entries = []
    for tick in judged:
        here = tick.job_id, tick.due_at
        others = slugs[here] - {tick.slug}  # two schedules of a job may meet; each has a run of its own
        best = max((run for run in runs[here] if run.slug not in others), key=_weight, default=None)
        if best is None:
            entries.append(_without_run(tick, evidence, now))
        else:
            entries.append(_with_run(tick, best, evidence, now))
    return tuple(entries)


def _weight(run: ScheduledRun) -> tuple[int, str]:
    """Of several runs of one tick the one that did most counts; by its id where two did the same."""
    if run.state not in _FINAL:
        return 1, run.id
    return (2 if outcome_of(run) in RAN else 0), run.id


def _with_run(tick: Tick, run: ScheduledRun, evidence: Evidence, now: datetime) -> Entry:
    outcome = outcome_of(run)
    if outcome is not None:
        return _entry(tick, outcome, run.message if outcome is not TickOutcome.COMPLETED else "", run)
    silent = [*evidence.gaps, *_pauses_of(tick, evidence.pauses)]
    if run.started_at is not None:
        took = length_without(run.started_at, now, silent)
        if took <= timedelta(seconds=tick.longest_run_seconds) + SLACK:
            return _entry(tick, TickOutcome.PENDING, f"its run is {run.name}", run)
        why = f"its run began long ago and is still {run.name}; it may take {tick.longest_run_seconds} s"
        return _entry(tick, TickOutcome.MISSED, why, run)
    waited = length_without(tick.due_at, now, silent)
    if waited <= _grace(tick) + SLACK:
        return _entry(tick, TickOutcome.PENDING, f"its run is {run.name}", run)
    outcome = TickOutcome.MAINTENANCE if _in_maintenance(tick, evidence) else TickOutcome.MISSED
    return _entry(tick, outcome, f"no worker took its run, which is still {run.name}", run)


def _without_run(tick: Tick, evidence: Evidence, now: datetime) -> Entry:
    grace_ends = tick.due_at + _grace(tick)
    for pause in _pauses_of(tick, evidence.pauses):
        # Pausing deletes the runs that wait, so a tick may fall victim to a pause within its time of grace.
        if pause.since <= grace_ends and (pause.until is None or tick.due_at <= pause.until + SETTLING):
            return _entry(tick, TickOutcome.PAUSED)
    if _in_maintenance(tick, evidence):
        return _entry(tick, TickOutcome.MAINTENANCE)
    for gap in evidence.gaps:
        if gap.since <= tick.due_at and (gap.until is None or tick.due_at <= gap.until + SETTLING):
            return _entry(tick, TickOutcome.STOPPED if gap.stopped else TickOutcome.OUTAGE, gap.why)
    if now - tick.due_at <= ABSENT:
        return _entry(tick, TickOutcome.PENDING, "no run of it is known yet")
    if evidence.known_jobs is not None and tick.job_id not in evidence.known_jobs:
        return _entry(tick, TickOutcome.MISSED, "the server does not know the job: run `aegis deploy`")
    return _entry(tick, TickOutcome.MISSED, "the server planned no run for it")


def _grace(tick: Tick) -> timedelta:
    return LONGEST_PATIENCE if tick.grace_seconds is None else timedelta(seconds=tick.grace_seconds)


def _in_maintenance(tick: Tick, evidence: Evidence) -> bool:
    return tick.in_maintenance or any(
        window.start <= tick.due_at < window.end and window.covers(tick.job_id)
        for window in evidence.maintenance
    )


def _entry(tick: Tick, outcome: TickOutcome, detail: str = "", run: ScheduledRun | None = None) -> Entry:
    return Entry(
        job_id=tick.job_id,
        slug=tick.slug,
        due_at=tick.due_at,
        outcome=outcome,
        flow_run_id=run.id if run else None,
        detail=" ".join(detail.split())[:300],
    )


def _pauses_of(tick: Tick, pauses: Iterable[Pause]) -> list[Pause]:
    return [p for p in pauses if p.job_id in {tick.job_id, EVERY} and p.slug in {tick.slug, EVERY}]


def length_without(start: datetime, end: datetime, left_out: Iterable[Span]) -> timedelta:
    """How long it is from `start` to `end`, not counting what lies in `left_out`; never negative."""
    cuts = sorted((max(start, s.since), min(end, s.until + SETTLING if s.until else end)) for s in left_out)
    total, reached = max(end - start, timedelta()), start
    for begin, finish in cuts:
        begin = max(begin, reached)
        if finish > begin:
            total -= finish - begin
            reached = finish
    return max(total, timedelta())


def speaks_itself(last: Presence | None, own: str, now: datetime) -> bool:
    """Whether the ledger's own passes must say that the installation runs, because nobody else does."""
    if last is None or last.process == own or last.stopped:
        return True
    return now - last.last_seen > BEAT_PATIENCE


def tally(
    versions: Iterable[ScheduleVersion],
    counts: Mapping[str, Mapping[str, int]],
    start: datetime,
    end: datetime,
    checked: datetime | None,
) -> Tally:
    """The account over (start, end]: ticks that the schedules make due, and the outcomes that are known."""
    held = [version for version in versions if version.since < end]
    known: Counter[str] = Counter({version.job_id: 0 for version in held})
    young: Counter[str] = Counter()
    for tick in due_ticks(held, start, end):
        (known if checked and tick.due_at <= checked else young)[tick.job_id] += 1
    jobs = []
    for job_id in sorted({*known, *young, *counts}):
        outcomes = dict(counts.get(job_id, {}))
        recorded = sum(outcomes.values())
        due = max(known[job_id] + young[job_id], recorded)
        fresh = max(0, min(young[job_id], due - recorded))
        if fresh:
            outcomes[TickOutcome.PENDING] = outcomes.get(TickOutcome.PENDING, 0) + fresh
        jobs.append(
            JobTicks(job_id=job_id, due=due, outcomes=outcomes, unaccounted=due - sum(outcomes.values()))
        )
    return Tally(start=start, end=end, checked=checked, jobs=tuple(jobs))


def why_red(checked: str | None, green: str | None, now: datetime) -> str | None:
    """Why the dead-man's switch must not hear from us, by what `state` holds; None while all is well."""
    try:
        moment = datetime.fromisoformat(checked) if checked else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        return "the ledger of runs has not been made yet"
    if now - moment > PASS_PATIENCE:
        return f"the ledger of runs was last made at {checked}: missed_runs does not run"
    return None if green == "true" else "the ledger of runs is red: see `aegis ledger`"
