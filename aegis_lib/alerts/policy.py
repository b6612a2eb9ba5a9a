"""What happens next with an alert, and with a channel that failed. Pure: no clock, no channel, no database.

    pending --> sent --> acknowledged
       |          |            |
       +----------+------------+--> resolved

What opens again and again is told as flapping and stays open until it has been calm for a while. `decide`
looks at one alert and says the one thing to do now. Carrying it out changes the alert, so that the same
question then has another answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import NamedTuple
from zoneinfo import ZoneInfo

from aegis_lib.alerts.model import (
    Alert,
    AlertsConfig,
    AlertState,
    NoticeKind,
    QuietHours,
    RootCause,
    Severity,
)

FORGET_AFTER = timedelta(days=7)
"""An alert whose watcher reminds by itself and has been silent for so long is about nothing any more."""
FIRST_HOLD_SECONDS = 30.0
LONGEST_HOLD_SECONDS = 900.0
_DAY = timedelta(days=1)
_RANKS = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


class Action(StrEnum):
    """The one thing to do with an alert now."""

    WAIT = "wait"
    TELL = "tell"
    FLAP = "flap"
    """Say that it comes and goes, and nothing more until it has been calm."""
    REMIND = "remind"
    ESCALATE = "escalate"
    RECOVER = "recover"
    """Say that it is over, and close it."""
    CLOSE = "close"
    """Close it without a word: nobody was told of it."""
    SUPPRESS = "suppress"
    """Say nothing: it follows from a root cause, which says so itself."""


class Decision(NamedTuple):
    """What to do and why; `cause` is the id of the root cause's alert where there is one."""

    action: Action
    why: str
    cause: int | None = None


NOTICES = {
    Action.TELL: NoticeKind.PROBLEM,
    Action.FLAP: NoticeKind.FLAPPING,
    Action.REMIND: NoticeKind.REMINDER,
    Action.ESCALATE: NoticeKind.ESCALATION,
    Action.RECOVER: NoticeKind.RECOVERY,
}


def graver(one: Severity, other: Severity) -> Severity:
    """The more urgent of two severities."""
    return max(one, other, key=_RANKS.__getitem__)


# --- quiet hours ---


def is_quiet(quiet: QuietHours | None, now: datetime) -> bool:
    """Whether `now` lies in the quiet hours of its local day; the end itself does not."""
    if quiet is None:
        return False
    start, end = quiet.bounds
    local = now.astimezone(ZoneInfo(quiet.timezone)).time().replace(tzinfo=None)
    return start <= local < end if start < end else local >= start or local < end


def may_be_sent(severity: Severity, now: datetime, config: AlertsConfig) -> bool:
    """Whether a message about an alert of that severity may go out now."""
    return severity is Severity.CRITICAL or not is_quiet(config.quiet_hours, now)


# --- root causes ---


def fits(text: str, patterns: Iterable[str]) -> bool:
    """Whether a text fits one of the wildcard patterns, letters of either case."""
    return any(fnmatchcase(text.lower(), pattern.lower()) for pattern in patterns)


def cause_key(cause: RootCause) -> str:
    """The key of the alert that says that a root cause was found from what follows from it."""
    return f"cause:{cause.name}"


def declared_by(alert: Alert, causes: Iterable[RootCause]) -> RootCause | None:
    """The root cause that this alert says is down."""
    return next((c for c in causes if alert.key == cause_key(c) or fits(alert.key, c.keys)), None)


def followed_by(alert: Alert, causes: Sequence[RootCause]) -> RootCause | None:
    """The root cause that this alert would follow from; None for what is a root cause itself."""
    if not alert.reason or declared_by(alert, causes) is not None:
        return None
    return next((cause for cause in causes if fits(alert.reason, cause.explains)), None)


def explained_by(alert: Alert, alerts: Iterable[Alert], config: AlertsConfig) -> Alert | None:
    """The root cause's alert that explains this one: of its cause, and of the same time."""
    cause = followed_by(alert, config.root_causes)
    if cause is None:
        return None
    around = timedelta(minutes=config.cause_minutes)
    found = [
        root
        for root in alerts
        if root.id != alert.id
        and declared_by(root, config.root_causes) == cause
        and alert.first_seen_at >= root.first_seen_at - around
        and (root.ended_at is None or alert.last_seen_at <= root.ended_at + around)
    ]
    return max(found, key=lambda root: root.first_seen_at, default=None)


def inferred(alerts: Sequence[Alert], config: AlertsConfig) -> dict[RootCause, list[Alert]]:
    """Root causes of which nothing says that they are down, but enough untold alerts follow from."""
    found: dict[RootCause, list[Alert]] = {}
    for alert in alerts:
        cause = followed_by(alert, config.root_causes)
        if cause is None or alert.resolved_at or alert.notified_at or alert.suppressed_by is not None:
            continue
        if explained_by(alert, alerts, config) is None:
            found.setdefault(cause, []).append(alert)
    return {cause: list_ for cause, list_ in found.items() if len(list_) >= config.cause_threshold}


def outlived(alerts: Sequence[Alert], config: AlertsConfig) -> list[Alert]:
    """Alerts of inferred root causes from which no open alert follows any more."""
    held = {alert.suppressed_by for alert in alerts if alert.resolved_at is None}
    keys = {cause_key(cause) for cause in config.root_causes}
    return [a for a in alerts if a.key in keys and a.resolved_at is None and a.id not in held]


# --- flapping ---


def openings(alert: Alert, alerts: Iterable[Alert], config: AlertsConfig) -> list[Alert]:
    """The alerts of the same key that opened within `flapping_minutes` before this one, and itself."""
    since = alert.first_seen_at - timedelta(minutes=config.flapping_minutes)
    before = [
        other
        for other in alerts
        if other.key == alert.key
        and other.id != alert.id
        and since <= other.first_seen_at <= alert.first_seen_at
        and other.suppressed_by is None
    ]
    return [*before, alert]


def as_flapping(alert: Alert, alerts: Iterable[Alert], config: AlertsConfig) -> Alert:
    """The alert with all that its openings saw, as it goes on when it is told that it flaps."""
    found = openings(alert, alerts, config)
    return alert.model_copy(
        update={
            "openings": len(found),
            "count": sum(other.count for other in found),
            "first_seen_at": min(other.first_seen_at for other in found),
        }
    )


def _is_flapping(alert: Alert, alerts: Iterable[Alert], config: AlertsConfig) -> bool:
    if not config.flapping_minutes or not alert.lasting:
        return False
    return len(openings(alert, alerts, config)) >= config.flapping_openings


# --- one alert ---


def decide(
    alert: Alert, alerts: Collection[Alert], now: datetime, config: AlertsConfig, *, second: bool
) -> Decision:
    """The one thing to do with an alert now.

    Args:
        alert: one that is not closed.
        alerts: all that are not closed, and root causes that ended a while ago; itself may be among them.
        now: the moment of all decisions of one dispatch.
        config: the section `alerts`.
        second: whether there is a second channel to escalate to.
    """
    if alert.closed_at is not None:
        return Decision(Action.WAIT, "closed")
    if alert.resolved_at is not None:
        return _over(alert, now, config)
    if alert.calm_since is not None:
        if now - alert.calm_since < timedelta(minutes=config.calm_minutes):
            return Decision(Action.WAIT, "not calm for long enough")
        return _over(alert, now, config)
    if alert.notified_at is None:
        return _untold(alert, alerts, now, config)
    return _told(alert, alerts, now, config, second)


def _over(alert: Alert, now: datetime, config: AlertsConfig) -> Decision:
    if alert.notified_at is None:
        return Decision(Action.CLOSE, "over before anybody was told")
    if not may_be_sent(alert.severity, now, config):
        return Decision(Action.WAIT, "quiet hours")
    return Decision(Action.RECOVER, "over")


def _untold(alert: Alert, alerts: Collection[Alert], now: datetime, config: AlertsConfig) -> Decision:
    root = explained_by(alert, alerts, config)
    if root is not None:
        over_for = now - root.ended_at if root.ended_at else timedelta(0)
        if config.reminder_hours and over_for >= timedelta(hours=config.reminder_hours):
            pass  # the cause is long gone and this is still open: somebody should know
        elif alert.suppressed_by == root.id:
            return Decision(Action.WAIT, "follows from a root cause", root.id)
        else:
            return Decision(Action.SUPPRESS, "follows from a root cause", root.id)
    elif _may_still_be_explained(alert, now, config):
        return Decision(Action.WAIT, "may follow from a root cause")
    if not may_be_sent(alert.severity, now, config):
        return Decision(Action.WAIT, "quiet hours")
    if _is_flapping(alert, alerts, config):
        return Decision(Action.FLAP, "it comes and goes")
    return Decision(Action.TELL, "new")


def _may_still_be_explained(alert: Alert, now: datetime, config: AlertsConfig) -> bool:
    young = now - alert.first_seen_at < timedelta(minutes=config.settle_minutes)
    return young and followed_by(alert, config.root_causes) is not None


def _told(
    alert: Alert, alerts: Collection[Alert], now: datetime, config: AlertsConfig, second: bool
) -> Decision:
    if alert.own_reminders and now - alert.last_seen_at >= FORGET_AFTER:
        return Decision(Action.CLOSE, "its watcher has fallen silent")
    if alert.state is AlertState.ACKNOWLEDGED:
        return Decision(Action.WAIT, "acknowledged")
    if _escalation_due(alert, now, config) and second:
        return Decision(Action.ESCALATE, "nobody acknowledged it")
    if _reminder_due(alert, now, config):
        if explained_by(alert, alerts, config) is not None:
            return Decision(Action.WAIT, "follows from a root cause")
        if not may_be_sent(alert.severity, now, config):
            return Decision(Action.WAIT, "quiet hours")
        return Decision(Action.REMIND, "still so")
    return Decision(Action.WAIT, "told")


def _escalation_due(alert: Alert, now: datetime, config: AlertsConfig) -> bool:
    after = timedelta(minutes=config.escalate_after_minutes)
    return (
        alert.severity is Severity.CRITICAL
        and bool(after)
        and alert.escalated_at is None
        and alert.notified_at is not None
        and now - alert.notified_at >= after
    )


def _reminder_due(alert: Alert, now: datetime, config: AlertsConfig) -> bool:
    last = alert.last_told_at
    if last is None:
        return False
    if alert.own_reminders:
        return alert.again_at is not None and alert.again_at > (alert.reminded_at or last)
    return bool(config.reminder_hours) and now - last >= timedelta(hours=config.reminder_hours)


# --- channels ---


def second_channels(channels: Collection[str], config: AlertsConfig) -> tuple[str, ...]:
    """The channels that are kept for what nobody acknowledges."""
    return tuple(name for name in channels if fits(name, config.second_channels))


def route(kind: NoticeKind, alert: Alert, channels: Collection[str], config: AlertsConfig) -> tuple[str, ...]:
    """Which of the channels get a notice. Never none while there is one.

    First: all that `first_channels` names and that are no second channel. Escalation: the second ones. A
    recovery goes where the problem was heard of; where nobody heard, as the problem would have gone.
    """
    second = second_channels(channels, config)
    first = tuple(n for n in channels if fits(n, config.first_channels) and n not in second)
    first = first or tuple(channels)
    if kind is NoticeKind.ESCALATION:
        return second or first
    if kind is NoticeKind.RECOVERY:
        return tuple(name for name in channels if name in alert.told) or first
    if kind is NoticeKind.REMINDER and alert.escalated_at is not None:
        return tuple(dict.fromkeys((*first, *second)))
    return first


def unknown_channels(channels: Collection[str], config: AlertsConfig) -> tuple[str, ...]:
    """Patterns of the configuration that fit no channel there is."""
    named = (*config.first_channels, *config.second_channels)
    return tuple(name for name in named if not any(fits(channel, (name,)) for channel in channels))


def hold_seconds(failures: int, asked_seconds: float | None, jitter: float) -> float:
    """How long a channel is left alone after its `failures`-th failure in a row.

    As long as the service asked for; else half to all of 30 s, 60 s, 120 s and so on, up to 15 minutes.
    `jitter` is in 0 to 1, so that channels do not all come back in the same second.
    """
    grown = min(LONGEST_HOLD_SECONDS, FIRST_HOLD_SECONDS * 2.0 ** min(max(failures, 1) - 1, 20))
    grown *= 0.5 + jitter / 2
    if asked_seconds is None:
        return grown
    return min(asked_seconds, _DAY.total_seconds()) + jitter


def severity_of_job(job_id: str, config: AlertsConfig) -> Severity:
    """How urgent it is that a job fails."""
    return Severity.CRITICAL if fits(job_id, config.critical_jobs) else Severity.WARNING
