"""Messages to people, and alerts: what is wrong, who was told, and what became of it. Values only.

Nothing here is known of channels, of the database or of Prefect.
"""

from __future__ import annotations

from datetime import time
from enum import StrEnum
from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from aegis_lib.outcome import AwareDatetime, Frozen, Report

LONGEST_KEY_CHARACTERS = 200


class Severity(StrEnum):
    """How urgent a message is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Phase(StrEnum):
    """Where in a problem's life a message stands."""

    BEGIN = "begin"
    AGAIN = "again"
    """Whoever watches the problem reminds of it."""
    OVER = "over"


class Message(Frozen):
    """One message. `title` is plain text on one line; `body` is CommonMark text.

    `audience` chooses the room: `alerts` goes to every alert channel, `journal` only to the journal's.
    `key` identifies the message; channels that can de-duplicate pass it on. `problem` identifies what the
    message is about where that lasts and a later message of phase OVER ends it; without it the message is
    said once and nothing follows.
    """

    title: str = Field(min_length=1, max_length=200)
    body: str = ""
    severity: Severity = Severity.INFO
    audience: Literal["alerts", "journal"] = "alerts"
    key: str | None = None
    problem: str | None = Field(default=None, min_length=1, max_length=LONGEST_KEY_CHARACTERS)
    phase: Phase = Phase.BEGIN


class Receipt(Frozen):
    """What one channel answered. `reference` is the channel's own message id where it gives one."""

    channel: str
    delivered: bool
    reference: str | None = None
    problem: str | None = None


# --- what is raised ---


class Problem(Frozen):
    """Something is wrong. While an alert of that `key` is open, one more is counted and not sent again.

    `occurrence` identifies this one sighting: raising it again changes nothing. `source` is the job it is
    about; `reason` the error it gave, on which root causes are judged. A problem that is not `lasting` is
    told once and over with that. `own_reminders`: whoever raised it reminds by itself. `told` are the
    receipts of channels that have the message already.
    """

    key: str = Field(min_length=1, max_length=LONGEST_KEY_CHARACTERS)
    occurrence: str = Field(min_length=1, max_length=LONGEST_KEY_CHARACTERS)
    title: str = Field(min_length=1, max_length=200)
    body: str = ""
    severity: Severity = Severity.WARNING
    source: str | None = None
    reason: str = ""
    seen_at: AwareDatetime
    lasting: bool = True
    own_reminders: bool = False
    again: bool = False
    """Ask that people are told once more, unless one of them has acknowledged."""
    told: tuple[Receipt, ...] = ()


class Recovered(Frozen):
    """The problem of that key is over since `at`; an alert that was seen later stays open.

    With `occurrence`, reporting it again changes nothing, and where no alert was open the text is told all
    the same, once: somebody was told of the problem by another way. `for_good`: it cannot come back, so that
    an alert that comes and goes need not stay calm first.
    """

    key: str = Field(min_length=1, max_length=LONGEST_KEY_CHARACTERS)
    at: AwareDatetime
    title: str | None = Field(default=None, max_length=200)
    body: str | None = None
    occurrence: str | None = Field(default=None, max_length=LONGEST_KEY_CHARACTERS)
    for_good: bool = False


# --- what is kept ---


class AlertState(StrEnum):
    """How far an alert has come."""

    PENDING = "pending"
    """Nobody has been told yet."""
    SENT = "sent"
    """A channel has taken it."""
    ACKNOWLEDGED = "acknowledged"
    """A person has it in hand: no reminder, no escalation."""
    RESOLVED = "resolved"
    """Over."""


class NoticeKind(StrEnum):
    """Why people are told about an alert."""

    PROBLEM = "problem"
    FLAPPING = "flapping"
    """It comes and goes: the last word until it has been calm for a while."""
    REMINDER = "reminder"
    ESCALATION = "escalation"
    RECOVERY = "recovery"


class Alert(Frozen):
    """One alert as it stands. `revision` grows with every change, so that only one decision is carried out.

    `notified_at`: when it was decided to tell people; `closed_at`: nothing is to be told any more.
    `suppressed_by` is the alert of the root cause that it follows from; `suppressed` how many follow from
    this one. `told` are the channels that have taken a message about it; `undelivered` counts deliveries
    that are still to be made or were given up. An alert that comes and goes is flapping since `flapping_at`
    and stays open until it has been calm; it is over for now since `calm_since`, and came back so often that
    it was opened `openings` times.
    """

    id: int
    key: str
    severity: Severity
    title: str
    body: str = ""
    audience: str = "alerts"
    source: str | None = None
    reason: str = ""
    lasting: bool = True
    own_reminders: bool = False
    state: AlertState = AlertState.PENDING
    count: int = Field(default=1, ge=1)
    first_seen_at: AwareDatetime
    last_seen_at: AwareDatetime
    notified_at: AwareDatetime | None = None
    again_at: AwareDatetime | None = None
    reminded_at: AwareDatetime | None = None
    reminders: int = 0
    escalated_at: AwareDatetime | None = None
    acknowledged_at: AwareDatetime | None = None
    acknowledged_by: str | None = None
    suppressed_by: int | None = None
    resolved_at: AwareDatetime | None = None
    recovery_title: str | None = None
    recovery_body: str | None = None
    closed_at: AwareDatetime | None = None
    flapping_at: AwareDatetime | None = None
    calm_since: AwareDatetime | None = None
    openings: int = Field(default=1, ge=1)
    revision: int = 0
    suppressed: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    undelivered: int = 0

    @property
    def ended_at(self) -> AwareDatetime | None:
        """When it was over, if only for now."""
        return self.resolved_at or self.calm_since

    @property
    def last_told_at(self) -> AwareDatetime | None:
        """When people were last to be told, other than by a service's own reminder."""
        moments = [at for at in (self.notified_at, self.reminded_at, self.escalated_at) if at is not None]
        return max(moments, default=None)


class Delivery(Frozen):
    """One notice for one channel. `parts_sent` of its parts are out; the others follow, those do not."""

    notice_id: int
    alert_id: int
    channel: str
    kind: NoticeKind
    number: int
    severity: Severity
    """How the message looks."""
    alert_severity: Severity
    """How urgent the alert is: quiet hours are judged by it."""
    title: str
    body: str = ""
    created_at: AwareDatetime
    attempts: int = 0
    parts_sent: int = 0
    delivered_at: AwareDatetime | None = None
    refused_at: AwareDatetime | None = None
    reference: str | None = None
    problem: str | None = None

    def __str__(self) -> str:
        return f"{self.kind.value} of alert {self.alert_id} by {self.channel}"

    @property
    def message(self) -> Message:
        """What the channel is to send; the same at every attempt, so that a channel can know it again."""
        return Message(
            title=self.title,
            body=self.body,
            severity=self.severity,
            key=f"alert:{self.alert_id}:{self.kind.value}:{self.number}",
        )


class Attempt(Frozen):
    """What came of one attempt at a channel. `again` says whether another may succeed."""

    delivered: bool
    parts_sent: int = 0
    reference: str | None = None
    problem: str | None = None
    again: bool = False
    retry_after_seconds: float | None = None


class ChannelStanding(Frozen):
    """How a channel does: failures in a row, its last problem, and until when it is left alone."""

    channel: str
    failures: int = 0
    problem: str | None = None
    hold_until: AwareDatetime | None = None
    delivered_at: AwareDatetime | None = None


class Backlog(Frozen):
    """What waits in the outbox. `oldest` is the time of the oldest message that no channel has taken."""

    open: int
    undelivered: int
    given_up: int
    oldest: AwareDatetime | None = None


# --- what the history of runs shows ---


class RunEnd(Frozen):
    """A run that came to its end; `good` when it did its work, whatever it found."""

    run_id: str
    run_name: str
    job_id: str
    ended_at: AwareDatetime
    good: bool
    outcome: str
    message: str = ""


class LateRun(Frozen):
    """A run that should have started at `due_at` and has not."""

    run_id: str
    job_id: str
    due_at: AwareDatetime


class WorkerSeen(Frozen):
    """A worker that the server knows, and when it last heard from it."""

    name: str
    online: bool
    seen_at: AwareDatetime | None = None


class FailedAction(Frozen):
    """An automation fired and could not do what it should."""

    event_id: str
    automation: str
    at: AwareDatetime
    reason: str = ""


# --- configuration ---


class QuietHours(Frozen):
    """Every day from `start` to `end` (HH:MM, local time of `timezone`) only critical alerts are sent."""

    start: str = Field(default="22:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    end: str = Field(default="07:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("is no IANA time zone such as Europe/Berlin") from None
        return name

    @model_validator(mode="after")
    def _have_a_length(self) -> Self:
        if self.start == self.end:
            raise ValueError("start and end are the same; leave quiet_hours out to have none")
        return self

    @property
    def bounds(self) -> tuple[time, time]:
        """Start and end as local times; the end may be on the next day."""
        return time.fromisoformat(self.start), time.fromisoformat(self.end)


class RootCause(Frozen):
    """Something on which much depends. Patterns are shell wildcards, letters of either case.

    An alert whose key fits one of `keys` says that it is down; an alert whose reason fits one of `explains`
    follows from it.
    """

    name: str = Field(min_length=1, max_length=50, pattern=r"^[a-z][a-z0-9_-]*$")
    title: str = Field(min_length=1, max_length=200)
    keys: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()


ROOT_CAUSES = (
    RootCause(
        name="database", title="The database is down", keys=("db_outage:*",), explains=("*PostgreSQL: *",)
    ),
    RootCause(name="engine", title="A Docker engine does not answer", explains=("*Docker*: *",)),
    RootCause(
        name="network",
        title="The network is down",
        explains=(
            "*Name or service not known*",
            "*Temporary failure in name resolution*",
            "*Network is unreachable*",
            "*No route to host*",
        ),
    ),
    RootCause(name="worker", title="No worker takes runs", keys=("worker:*",), explains=("late run*",)),
)


class AlertsConfig(Frozen):
    """The section `alerts` of aegis.yaml; channels are named as receipts name them, with wildcards.

    `first_channels` get every alert, `second_channels` only what nobody acknowledged within
    `escalate_after_minutes` (0: never). `reminder_hours` (0: none) is the time between reminders of an alert
    that stays open and unacknowledged. What follows from a root cause waits `settle_minutes` for it, and is
    explained by it until `cause_minutes` after its end; `cause_threshold` alerts that follow from a cause of
    which nothing says that it is down make it an alert of its own. What opens for the `flapping_openings`-th
    time within `flapping_minutes` (0: never) is told as flapping, and then not again before it was calm for
    `calm_minutes`. A message is tried at most `attempts` times on a channel. Closed alerts are kept
    `keep_days`.
    """

    quiet_hours: QuietHours | None = None
    reminder_hours: float = Field(default=12, ge=0, le=720)
    escalate_after_minutes: float = Field(default=15, ge=0, le=10_080)
    first_channels: tuple[str, ...] = ("*",)
    second_channels: tuple[str, ...] = ()
    critical_jobs: tuple[str, ...] = ()
    late_minutes: float = Field(default=10, ge=1, le=1440)
    settle_minutes: float = Field(default=2, ge=0, le=60)
    cause_minutes: float = Field(default=10, ge=0, le=1440)
    cause_threshold: int = Field(default=2, ge=2, le=100)
    flapping_openings: int = Field(default=3, ge=2, le=100)
    flapping_minutes: float = Field(default=60, ge=0, le=1440)
    calm_minutes: float = Field(default=60, ge=1, le=1440)
    attempts: int = Field(default=30, ge=1, le=1000)
    keep_days: int = Field(default=90, ge=30, le=3650)
    root_causes: tuple[RootCause, ...] = ROOT_CAUSES

    @model_validator(mode="after")
    def _causes_have_names_of_their_own(self) -> Self:
        names = [cause.name for cause in self.root_causes]
        if len(set(names)) < len(names):
            raise ValueError("root_causes: two have the same name")
        return self


class DispatchReport(Report):
    """What one dispatch did. `raised` and `recovered` are keys found in the history of runs.

    `held` are alerts that wait for the end of the quiet hours or for their root cause; `suppressed` those
    that follow from one. `delivered` and `failed` count messages per channel.
    """

    raised: tuple[str, ...] = ()
    recovered: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    held: int = 0
    suppressed: int = 0
    delivered: int = 0
    failed: int = 0
    problems: tuple[str, ...] = ()
