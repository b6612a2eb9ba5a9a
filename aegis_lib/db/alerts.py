"""The store of the outbox. It never decides; each claim is one conditional statement.

A claim that answers None or False was lost to another dispatcher, which then acts instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from aegis_lib.alerts.model import (
    Alert,
    Attempt,
    Backlog,
    ChannelStanding,
    Delivery,
    Message,
    NoticeKind,
    Problem,
    Receipt,
    Recovered,
    Severity,
)
from aegis_lib.db.sql import Queries
from aegis_lib.db.state import StateStore
from aegis_lib.db.storable import storable_text

WATERMARK_KEY = "alerts_watermark"
MOST_DUE = 500
_LONGEST_PROBLEM_CHARACTERS = 2000


class Outbox:
    """Implements the port `Outbox`. See it for the exact meaning."""

    def __init__(self, queries: Queries, state: StateStore) -> None:
        self._queries, self._state = queries, state

    def transaction(self) -> AbstractContextManager[None]:
        """What happens inside is kept together, or not at all."""
        return self._queries.transaction()

    # --- raising ---

    def raise_problem(self, problem: Problem) -> int | None:
        """Open an alert or count one more; its id, or None when that occurrence was counted before."""
        with self._queries.transaction():
            if not self._queries.count_occurrence(occurrence=problem.occurrence, seen_at=problem.seen_at):
                return None
            row = self._queries.raise_alert(
                key=storable_text(problem.key),
                severity=problem.severity.value,
                title=storable_text(problem.title),
                body=storable_text(problem.body),
                source=problem.source,
                reason=storable_text(problem.reason),
                lasting=problem.lasting,
                own_reminders=problem.own_reminders,
                seen_at=problem.seen_at,
                again=problem.again,
            )
            alert_id = int(row["id"])
            if any(receipt.delivered for receipt in problem.told):
                self._already_told(alert_id, problem)
            return alert_id

    def _already_told(self, alert_id: int, problem: Problem) -> None:
        (alert,) = self.newest(1, everything=True, alert_id=alert_id)
        if alert.notified_at is not None:
            return
        channels = [receipt.channel for receipt in problem.told]
        message = Message(title=problem.title, body=problem.body, severity=problem.severity)
        if not self.add_notice(alert, NoticeKind.PROBLEM, message, channels, problem.seen_at):
            return
        for delivery in self.receipts(alert_id):
            self._settle(delivery, _receipt_of(problem.told, delivery.channel), problem.seen_at)

    def _settle(self, delivery: Delivery, receipt: Receipt, now: datetime) -> None:
        if receipt.delivered:
            self.delivered(delivery, Attempt(delivered=True, reference=receipt.reference), now)
        else:
            self.not_delivered(delivery, Attempt(delivered=False, problem=receipt.problem), now, give_up=True)

    def recover(self, recovered: Recovered) -> bool:
        """Mark as over what was not seen since; False when there was nothing, or it was reported before."""
        with self._queries.transaction():
            if recovered.occurrence is not None and not self._queries.count_occurrence(
                occurrence=recovered.occurrence, seen_at=recovered.at
            ):
                return False
            row = self._queries.resolve_alert(
                key=storable_text(recovered.key),
                at=recovered.at,
                title=None if recovered.title is None else storable_text(recovered.title),
                body=None if recovered.body is None else storable_text(recovered.body),
                for_good=recovered.for_good,
            )
            if row is None and recovered.occurrence is not None and recovered.title is not None:
                self.raise_problem(
                    Problem(
                        key=recovered.occurrence,
                        occurrence=f"{recovered.occurrence[:190]}:told",
                        title=recovered.title,
                        body=recovered.body or "",
                        severity=Severity.INFO,
                        seen_at=recovered.at,
                        lasting=False,
                    )
                )
            return row is not None

    # --- reading ---

    def to_decide(self, ended_after: datetime) -> list[Alert]:
        """Alerts that are not closed, and lasting ones that ended after that; oldest first."""
        return [Alert.model_validate(row) for row in self._queries.to_decide(ended_after=ended_after)]

    def newest(
        self, limit: int = 100, *, everything: bool = False, alert_id: int | None = None
    ) -> list[Alert]:
        """Alerts that are open or not delivered yet, or all; last seen first."""
        rows = self._queries.newest(limit=limit, all=everything, id=alert_id)
        return [Alert.model_validate(row) for row in rows]

    def receipts(self, alert_id: int) -> list[Delivery]:
        """Every delivery of an alert."""
        return [Delivery.model_validate(row) for row in self._queries.receipts(alert_id=alert_id)]

    def open_keys(self, prefix: str) -> list[str]:
        """Keys of open alerts that begin so."""
        return [str(row["key"]) for row in self._queries.open_keys(prefix=prefix)]

    def backlog(self, now: datetime) -> Backlog:
        """What waits, and what was given up within a day."""
        return Backlog.model_validate(self._queries.backlog(since=now - timedelta(days=1)))

    def channels(self) -> list[ChannelStanding]:
        """How each channel does."""
        return [ChannelStanding.model_validate(row) for row in self._queries.channels()]

    def watermark(self) -> datetime | None:
        """Up to when the history of runs has been read."""
        try:
            moment = datetime.fromisoformat(self._state.get(WATERMARK_KEY) or "")
        except ValueError:
            return None
        return moment if moment.tzinfo else None

    def set_watermark(self, moment: datetime) -> None:
        """The history has been read up to then."""
        self._state.set(WATERMARK_KEY, moment.isoformat())

    # --- deciding ---

    def suppress(self, alert: Alert, cause: int) -> bool:
        """Note that it follows from a root cause; False when the alert has changed meanwhile."""
        return bool(self._queries.suppress(id=alert.id, revision=alert.revision, cause=cause))

    def close(self, alert: Alert, now: datetime) -> bool:
        """Close it without a word; False when the alert has changed meanwhile."""
        return bool(self._queries.close_alert(id=alert.id, revision=alert.revision, now=now))

    def add_notice(
        self, alert: Alert, kind: NoticeKind, message: Message, channels: Sequence[str], now: datetime
    ) -> bool:
        """Have the message told on these channels; False when the alert has changed meanwhile."""
        with self._queries.transaction():
            if not self._queries.claim_notice(
                id=alert.id,
                revision=alert.revision,
                kind=kind.value,
                now=now,
                openings=alert.openings,
                count=alert.count,
                first_seen_at=alert.first_seen_at,
            ):
                return False
            if kind is NoticeKind.RECOVERY:
                self._queries.overtake(alert_id=alert.id, now=now)
            notice_id = self._queries.add_notice(
                alert_id=alert.id,
                kind=kind.value,
                severity=message.severity.value,
                title=storable_text(message.title),
                body=storable_text(message.body),
                now=now,
            )
            self._queries.add_deliveries(notice_id=notice_id, channels=list(channels))
            return True

    # --- delivering ---

    def due(self, now: datetime, lease: timedelta) -> list[Delivery]:
        """Deliveries to be made, the most urgent first."""
        rows = self._queries.due(now=now, abandoned_before=now - lease, limit=MOST_DUE)
        return [Delivery.model_validate(row) for row in rows]

    def claim(self, delivery: Delivery, now: datetime, lease: timedelta) -> int | None:
        """Claim one delivery: how many of its parts are out already; None when it is not ours."""
        parts = self._queries.claim_delivery(
            notice_id=delivery.notice_id, channel=delivery.channel, now=now, abandoned_before=now - lease
        )
        return None if parts is None else int(parts)

    def delivered(self, delivery: Delivery, attempt: Attempt, now: datetime) -> None:
        """The channel has it all: its receipt."""
        with self._queries.transaction():
            self._queries.delivered(
                **_identity(delivery), now=now, parts_sent=attempt.parts_sent, reference=attempt.reference
            )
            self._queries.mark_sent(id=delivery.alert_id)
            self._queries.finish_notice(notice_id=delivery.notice_id, now=now)
            self._queries.channel_delivered(channel=delivery.channel, now=now)

    def not_delivered(self, delivery: Delivery, attempt: Attempt, now: datetime, *, give_up: bool) -> int:
        """The channel does not have it; with `give_up` it is not tried again. Its failures in a row."""
        problem = storable_text(attempt.problem or "")[:_LONGEST_PROBLEM_CHARACTERS]
        with self._queries.transaction():
            self._queries.not_delivered(
                **_identity(delivery),
                parts_sent=max(attempt.parts_sent, delivery.parts_sent),
                problem=problem,
                refused_at=now if give_up else None,
            )
            self._queries.finish_notice(notice_id=delivery.notice_id, now=now)
            return int(self._queries.channel_failed(channel=delivery.channel, problem=problem))

    def hold_channel(self, channel: str, until: datetime) -> None:
        """Leave the channel alone until then."""
        self._queries.hold_channel(channel=channel, until=until)

    # --- by people, and by time ---

    def acknowledge(self, alert: int | str, by: str, now: datetime) -> list[int]:
        """A person has it in hand: by number or key. The ids that changed."""
        number, key = (alert, None) if isinstance(alert, int) else (None, alert)
        rows = self._queries.acknowledge(id=number, key=key, by=storable_text(by), now=now)
        return [int(row["id"]) for row in rows]

    def dismiss(self, prefix: str, now: datetime) -> int:
        """A person has dealt with it: close the open alerts whose key begins so, without a word."""
        return int(self._queries.dismiss(prefix=prefix, now=now))

    def forget(self, alerts_before: datetime, occurrences_before: datetime) -> None:
        """Delete what was closed, and sightings that were counted, before these times."""
        self._queries.forget_alerts(before=alerts_before)
        self._queries.forget_occurrences(before=occurrences_before)


def _identity(delivery: Delivery) -> dict[str, object]:
    return {"notice_id": delivery.notice_id, "channel": delivery.channel}


def _receipt_of(receipts: Sequence[Receipt], channel: str) -> Receipt:
    return next(receipt for receipt in receipts if receipt.channel == channel)
