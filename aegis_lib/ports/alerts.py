"""What services need from the outside: the outbox of alerts, their channels, the server's history.

No implementation lives here, and no name of a vendor.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol

from aegis_lib.alerts.model import (
    Alert,
    Attempt,
    Delivery,
    FailedAction,
    LateRun,
    Message,
    NoticeKind,
    Problem,
    Receipt,
    Recovered,
    RunEnd,
    WorkerSeen,
)


class Notifier(Protocol):
    """Delivers messages to people, or keeps them durably until they are delivered."""

    def send(self, message: Message) -> tuple[Receipt, ...]:
        """Deliver to every channel of the message's audience, each on its own, or keep it for them.

        A message that returns is not to be sent again. Its `problem` and `phase` say what it is about.

        Raises:
            DependencyUnavailable: every channel failed and at least one failure was transient.
            PermanentFailure: every channel refused for good.
        """


class AlertChannel(Protocol):
    """One way to reach people about alerts. It tries once; when to try again is decided elsewhere."""

    @property
    def name(self) -> str:
        """What receipts call it."""

    def send(self, message: Message, parts_sent: int = 0) -> Attempt:
        """Send the message, or what is left of it after `parts_sent` parts. A failure is a value."""


class Outbox(Protocol):
    """Alerts, what is to be told about them, and each channel's receipts.

    What changes an alert or claims a delivery answers False or None when another process was first.
    Every method raises DependencyUnavailable when the database is away.
    """

    def transaction(self) -> AbstractContextManager[None]:
        """What happens inside is kept together, or not at all."""

    def raise_problem(self, problem: Problem) -> int | None:
        """Open an alert or count one more; its id, or None when that occurrence was counted before."""

    def recover(self, recovered: Recovered) -> bool:
        """Mark as over what was not seen since; False when there was nothing, or it was reported before.

        A flapping alert stays open and is calm from then on, unless it is over for good.
        """

    def to_decide(self, ended_after: datetime) -> list[Alert]:
        """Alerts that are not closed, and lasting ones that ended after that; oldest first."""

    def open_keys(self, prefix: str) -> list[str]:
        """Keys of open alerts that begin so."""

    def watermark(self) -> datetime | None:
        """Up to when the history of runs has been read."""

    def set_watermark(self, moment: datetime) -> None:
        """The history has been read up to then."""

    def suppress(self, alert: Alert, cause: int) -> bool:
        """Note that it follows from a root cause; False when the alert has changed meanwhile."""

    def close(self, alert: Alert, now: datetime) -> bool:
        """Close it without a word; False when the alert has changed meanwhile."""

    def add_notice(
        self, alert: Alert, kind: NoticeKind, message: Message, channels: Sequence[str], now: datetime
    ) -> bool:
        """Have the message told on these channels; False when the alert has changed meanwhile.

        A recovery closes the alert and overtakes what was still to be told of it; what is flapping keeps the
        `openings`, `count` and `first_seen_at` that it was given.
        """

    def due(self, now: datetime, lease: timedelta) -> list[Delivery]:
        """Deliveries to be made, on channels that are not left alone; the most urgent first."""

    def claim(self, delivery: Delivery, now: datetime, lease: timedelta) -> int | None:
        """Claim one delivery: how many of its parts are out already; None when it is not ours.

        A claim older than `lease` counts as abandoned.
        """

    def delivered(self, delivery: Delivery, attempt: Attempt, now: datetime) -> None:
        """The channel has it all: its receipt."""

    def not_delivered(self, delivery: Delivery, attempt: Attempt, now: datetime, *, give_up: bool) -> int:
        """The channel does not have it; with `give_up` it is not tried again. Its failures in a row."""

    def hold_channel(self, channel: str, until: datetime) -> None:
        """Leave the channel alone until then."""

    def forget(self, alerts_before: datetime, occurrences_before: datetime) -> None:
        """Delete what was closed, and sightings that were counted, before these times."""


class RunHistory(Protocol):
    """What the Prefect server knows of runs, workers and automations.

    Every method raises DependencyUnavailable when the server does not answer, Misconfigured when it wants
    other credentials.
    """

    def ended(self, start: datetime, end: datetime, jobs: Collection[str]) -> list[RunEnd]:
        """Runs that ended in [start, end), in the order in which they did.

        All bad ones, and the good ones of `jobs` and of every job that has a bad one among them.
        """

    def jobs(self) -> frozenset[str]:
        """The ids of all jobs that it has, of the catalogue or added."""

    def late(self, before: datetime) -> list[LateRun]:
        """Runs that should have started before that and have not."""

    def workers(self) -> list[WorkerSeen]:
        """The workers that the server knows."""

    def failed_actions(self, start: datetime, end: datetime) -> list[FailedAction]:
        """Actions of automations that failed in [start, end)."""
