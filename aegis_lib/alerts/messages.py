"""What people read about alerts, and what is raised for runs, workers and automations. Decides nothing.

What a run says of its failure is data from outside: escaped and bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from aegis_lib.alerts.model import (
    Alert,
    FailedAction,
    LateRun,
    Message,
    NoticeKind,
    Problem,
    Recovered,
    RootCause,
    RunEnd,
    Severity,
    WorkerSeen,
)
from aegis_lib.clock import duration, iso
from aegis_lib.markdown import inline

LONGEST_REASON_CHARACTERS = 1000
LISTED = 10
_VERBS = {"Crashed": "crashed", "TimedOut": "timed out"}


def notice(kind: NoticeKind, alert: Alert, now: datetime, calm_minutes: float = 60) -> Message:
    """The text of one notice about an alert; one that flaps is over when it was calm for `calm_minutes`."""
    if kind is NoticeKind.RECOVERY:
        return _recovery(alert)
    titles = {
        NoticeKind.PROBLEM: alert.title,
        NoticeKind.FLAPPING: f"Again and again: {alert.title}",
        NoticeKind.REMINDER: alert.title if alert.own_reminders else f"Still: {alert.title}",
        NoticeKind.ESCALATION: f"Nobody has reacted: {alert.title}",
    }
    parts = [alert.body] if alert.body else []
    if kind is not NoticeKind.PROBLEM or alert.count > 1:
        parts.append(f"Seen {_times(alert.count)} since {iso(alert.first_seen_at)}, last {_last(alert)}.")
    if kind is NoticeKind.FLAPPING:
        calm = duration(timedelta(minutes=calm_minutes))
        parts.append(
            f"It comes and goes: it began {alert.openings} times. Each further time is counted, and you hear "
            f"that it is over when it has stayed away for {calm}."
        )
    elif alert.flapping_at is not None:
        parts.append(f"It comes and goes: it began {alert.openings} times.")
    if alert.suppressed:
        parts.append(_followers(alert))
    if alert.lasting:
        parts.append(f"Take it in hand: `aegis ack {alert.id}`")
    return Message(title=titles[kind][:200], body="\n\n".join(parts), severity=alert.severity)


def _recovery(alert: Alert) -> Message:
    until = alert.ended_at or alert.last_seen_at
    parts = [alert.recovery_body] if alert.recovery_body else []
    if not alert.told:
        parts.append(f"Nobody could be told before: {inline(alert.title)}.")
    parts.append(
        f"Lasted {duration(until - alert.first_seen_at)}, from {iso(alert.first_seen_at)} to {iso(until)}; "
        f"seen {_times(alert.count)}."
    )
    if alert.flapping_at is not None:
        parts.append(f"It came and went: it began {alert.openings} times and is calm since {iso(until)}.")
    if alert.suppressed:
        parts.append(_followers(alert))
    return Message(
        title=(alert.recovery_title or f"Over: {alert.title}")[:200],
        body="\n\n".join(parts),
        severity=Severity.INFO,
    )


def _followers(alert: Alert) -> str:
    number = len(alert.suppressed)
    shown = "\n".join(f"- {inline(title)}" for title in alert.suppressed[:LISTED])
    more = f"\n- and {number - LISTED} more" if number > LISTED else ""
    return (
        f"{number} alert{'s' if number > 1 else ''} followed from it and "
        f"{'were' if number > 1 else 'was'} not sent:\n\n{shown}{more}"
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _last(alert: Alert) -> str:
    return iso(alert.last_seen_at)


# --- what the history of runs is raised as ---


def job_key(job_id: str) -> str:
    """The key of the alert that a job fails: one per job, however many runs."""
    return f"job:{job_id}"[:200]


def failed_run(run: RunEnd, severity: Severity) -> Problem:
    """A run that failed, crashed or took too long."""
    said = inline(run.message, LONGEST_REASON_CHARACTERS) or "it gave no reason"
    return Problem(
        key=job_key(run.job_id),
        occurrence=f"run:{run.run_id}",
        title=f"{run.job_id} {_VERBS.get(run.outcome, 'failed')}"[:200],
        body=f"Run {inline(run.run_name)} at {iso(run.ended_at)}:\n\n> {said}\n\n"
        f"What it wrote: `aegis logs {run.run_name}`",
        severity=severity,
        source=run.job_id,
        reason=run.message[:LONGEST_REASON_CHARACTERS],
        seen_at=run.ended_at,
    )


def good_run(run: RunEnd) -> Recovered:
    """A run that did its work: whatever was wrong with the job is over."""
    return Recovered(
        key=job_key(run.job_id),
        at=run.ended_at,
        title=f"{run.job_id} works again"[:200],
        body=f"Run {inline(run.run_name)} ended as {inline(run.outcome)}.",
    )


def removed_job(key: str, now: datetime) -> Recovered:
    """The job is not on the server any more: nothing of it can be wrong."""
    name = key.partition(":")[2]
    return Recovered(
        key=key,
        at=now,
        title=f"{name}: job removed"[:200],
        body="It is no longer in the catalogue, so that this alert is over.",
        for_good=True,
    )


def late_job(run: LateRun, now: datetime) -> Problem:
    """A job that does not start."""
    return Problem(
        key=f"late:{run.job_id}"[:200],
        occurrence=f"late:{run.run_id}",
        title=f"{run.job_id} does not start"[:200],
        body=f"It was due at {iso(run.due_at)}, {duration(now - run.due_at)} ago. "
        "`aegis doctor` tells whether a worker is there.",
        source=run.job_id,
        reason=f"late run of {run.job_id}",
        seen_at=now,
    )


def no_longer_late(key: str, now: datetime) -> Recovered:
    """No run of the job waits any more."""
    return Recovered(key=key, at=now, title=f"{key.partition(':')[2]} starts again"[:200])


def silent_worker(worker: WorkerSeen, alone: bool, now: datetime) -> Problem:
    """A worker that says nothing; `alone`: there is no other one."""
    seen = f"since {iso(worker.seen_at)}" if worker.seen_at else "and was never heard of"
    return Problem(
        key=f"worker:{worker.name}"[:200],
        occurrence=f"worker:{worker.name[:100]}:{worker.seen_at.isoformat() if worker.seen_at else ''}",
        title=f"Worker {worker.name} is offline"[:200],
        body=f"The server has heard nothing of it {seen}."
        + (" There is no other one: no job runs." if alone else " Others take its runs."),
        severity=Severity.CRITICAL if alone else Severity.WARNING,
        seen_at=now,
    )


def worker_back(key: str, now: datetime) -> Recovered:
    """The worker is online again, or was removed."""
    name = key.partition(":")[2]
    return Recovered(key=key, at=now, title=f"Worker {name} is no longer missing"[:200])


def failed_action(action: FailedAction) -> Problem:
    """An automation could not do what it should; told once a day."""
    name = action.automation[:100]
    return Problem(
        key=f"automation:{name}",
        occurrence=f"automation:{name}:{action.at:%Y-%m-%d}",
        title=f"Automation failed: {name}",
        body=f"At {iso(action.at)} its action failed: "
        f"{inline(action.reason, LONGEST_REASON_CHARACTERS) or 'no reason given'}. "
        "What it should have detected is found by `alert_dispatch` within a minute all the same.",
        seen_at=action.at,
        lasting=False,
    )


def root_cause(cause: RootCause, key: str, followers: Sequence[Alert], now: datetime) -> Problem:
    """Something on which much depends is down, as what follows from it shows."""
    last = followers[-1]
    return Problem(
        key=key,
        occurrence=f"{key}:{last.id}:{last.revision}",
        title=cause.title,
        body=f"Found from what follows from it. {inline(last.title)} says:\n\n"
        f"> {inline(last.reason, LONGEST_REASON_CHARACTERS)}",
        severity=Severity.CRITICAL,
        seen_at=now,
    )


def root_cause_over(alert: Alert, now: datetime) -> Recovered:
    """Nothing follows from it any more."""
    return Recovered(key=alert.key, at=now, title=f"Over: {alert.title}"[:200])
