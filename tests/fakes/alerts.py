"""Fakes of alerts: the notifier, the outbox, its channels, and the server's history."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aegis_lib.alerts import policy
from aegis_lib.alerts.model import (
    Alert,
    AlertState,
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
    Severity,
    WorkerSeen,
)


class FakeNotifier:
    """Keeps what was sent; set `broken` to make every delivery raise it."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.broken: Exception | None = None

    def send(self, message: Message) -> tuple[Receipt, ...]:
        if self.broken is not None:
            raise self.broken
        self.sent.append(message)
        return (Receipt(channel="fake", delivered=True, reference=str(len(self.sent))),)


@dataclass
class FakeDelivery:
    """A row of `alert_deliveries` with its notice."""

    delivery: Delivery
    claimed_at: datetime | None = None
    overtaken: bool = False

    @property
    def open(self) -> bool:
        return not self.overtaken and not self.delivery.delivered_at and not self.delivery.refused_at


class FakeOutbox:
    """Alerts in a dict. `fake.alerts` are as stored; set `broken` to make every call raise it."""

    def __init__(self) -> None:
        self.alerts: dict[int, Alert] = {}
        self.deliveries: list[FakeDelivery] = []
        self.occurrences: set[str] = set()
        self.holds: dict[str, datetime] = {}
        self.failures: dict[str, int] = {}
        self.mark: datetime | None = None
        self.broken: Exception | None = None
        self._notices = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        yield

    def raise_problem(self, problem: Problem) -> int | None:
        self._check()
        if problem.occurrence in self.occurrences:
            return None
        self.occurrences.add(problem.occurrence)
        known = next((a for a in self.alerts.values() if a.key == problem.key and not a.resolved_at), None)
        if known is None:
            number = len(self.alerts) + 1
            fields = problem.model_dump(exclude={"occurrence", "seen_at", "again", "told"})
            known = Alert(**fields, id=number, first_seen_at=problem.seen_at, last_seen_at=problem.seen_at)
            self.alerts[number] = known
        else:
            newer = problem.seen_at >= known.last_seen_at
            text = {"title": problem.title, "body": problem.body, "reason": problem.reason} if newer else {}
            known = self._change(
                known,
                **text,
                count=known.count + 1,
                first_seen_at=min(known.first_seen_at, problem.seen_at),
                last_seen_at=max(known.last_seen_at, problem.seen_at),
                again_at=problem.seen_at if problem.again else known.again_at,
                **self._opened_again(known, problem.seen_at),
                severity=policy.graver(known.severity, problem.severity),
            )
        if any(receipt.delivered for receipt in problem.told) and known.notified_at is None:
            message = Message(title=problem.title, body=problem.body, severity=problem.severity)
            channels = [receipt.channel for receipt in problem.told]
            self.add_notice(known, NoticeKind.PROBLEM, message, channels, problem.seen_at)
            for receipt in problem.told:
                row = next(r for r in self.deliveries[::-1] if r.delivery.channel == receipt.channel)
                attempt = Attempt(delivered=receipt.delivered, problem=receipt.problem)
                if receipt.delivered:
                    self.delivered(row.delivery, attempt, problem.seen_at)
                else:
                    self.not_delivered(row.delivery, attempt, problem.seen_at, give_up=True)
        return known.id

    def recover(self, recovered: Recovered) -> bool:
        self._check()
        if recovered.occurrence is not None:
            if recovered.occurrence in self.occurrences:
                return False
            self.occurrences.add(recovered.occurrence)
        for alert in self.alerts.values():
            if alert.key == recovered.key and not alert.resolved_at and alert.last_seen_at <= recovered.at:
                over: dict[str, Any] = {"state": AlertState.RESOLVED, "resolved_at": recovered.at}
                if alert.flapping_at and not recovered.for_good:
                    over = {"calm_since": alert.calm_since or recovered.at}
                self._change(alert, **over, recovery_title=recovered.title, recovery_body=recovered.body)
                return True
        if recovered.occurrence is not None and recovered.title is not None:
            self.raise_problem(
                Problem(
                    key=recovered.occurrence,
                    occurrence=f"{recovered.occurrence}:told",
                    title=recovered.title,
                    body=recovered.body or "",
                    severity=Severity.INFO,
                    seen_at=recovered.at,
                    lasting=False,
                )
            )
        return False

    def to_decide(self, ended_after: datetime) -> list[Alert]:
        self._check()
        return [
            self._standing(a)
            for a in self.alerts.values()
            if a.closed_at is None
            or (a.lasting and a.closed_at > ended_after and (a.resolved_at or a.closed_at) > ended_after)
        ]

    def open_keys(self, prefix: str) -> list[str]:
        self._check()
        return sorted(a.key for a in self.alerts.values() if not a.resolved_at and a.key.startswith(prefix))

    def watermark(self) -> datetime | None:
        self._check()
        return self.mark

    def set_watermark(self, moment: datetime) -> None:
        self.mark = moment

    def suppress(self, alert: Alert, cause: int) -> bool:
        return self._if_current(alert) and bool(self._change(alert, suppressed_by=cause))

    def close(self, alert: Alert, now: datetime) -> bool:
        changes = {"closed_at": now, "resolved_at": alert.resolved_at or now, "state": AlertState.RESOLVED}
        return self._if_current(alert) and bool(self._change(alert, **changes))

    def add_notice(
        self, alert: Alert, kind: NoticeKind, message: Message, channels: Sequence[str], now: datetime
    ) -> bool:
        if not self._if_current(alert):
            return False
        changes: dict[str, Any] = {"notified_at": alert.notified_at or now, "suppressed_by": None}
        if kind is NoticeKind.REMINDER:
            changes |= {"reminded_at": now, "reminders": alert.reminders + 1}
        if kind is NoticeKind.ESCALATION:
            changes["escalated_at"] = now
        if kind is NoticeKind.FLAPPING:
            kept = ("openings", "count", "first_seen_at")
            changes |= {"flapping_at": now, **{name: getattr(alert, name) for name in kept}}
        if kind is NoticeKind.RECOVERY:
            changes |= {"closed_at": now, "resolved_at": alert.ended_at, "state": AlertState.RESOLVED}
            for row in self.deliveries:
                row.overtaken = row.overtaken or (row.delivery.alert_id == alert.id and row.open)
        if not alert.lasting:
            changes |= {"closed_at": now, "resolved_at": now, "state": AlertState.RESOLVED}
        self._change(alert, **changes)
        self._notices += 1
        of_kind = {r.delivery.notice_id for r in self.deliveries
                   if (r.delivery.alert_id, r.delivery.kind) == (alert.id, kind)}  # fmt: skip
        for channel in channels:
            delivery = Delivery(
                notice_id=self._notices,
                alert_id=alert.id,
                channel=channel,
                kind=kind,
                number=len(of_kind),
                severity=message.severity,
                alert_severity=alert.severity,
                title=message.title,
                body=message.body,
                created_at=now,
            )
            self.deliveries.append(FakeDelivery(delivery))
        return True

    def due(self, now: datetime, lease: timedelta) -> list[Delivery]:
        self._check()
        found = [row.delivery for row in self.deliveries if self._is_due(row, now, lease)]
        return sorted(
            found,
            key=lambda d: (
                self.alerts[d.alert_id].severity is not Severity.CRITICAL,
                d.attempts,
                d.created_at,
                d.notice_id,
                d.channel,
            ),
        )

    def claim(self, delivery: Delivery, now: datetime, lease: timedelta) -> int | None:
        row = self._row(delivery)
        if not self._is_due(row, now, lease):
            return None
        row.claimed_at = now
        row.delivery = row.delivery.model_copy(update={"attempts": row.delivery.attempts + 1})
        return row.delivery.parts_sent

    def delivered(self, delivery: Delivery, attempt: Attempt, now: datetime) -> None:
        self._settle(delivery, delivered_at=now, reference=attempt.reference, parts_sent=attempt.parts_sent)
        alert = self.alerts[delivery.alert_id]
        if alert.state is AlertState.PENDING:
            self._change(alert, state=AlertState.SENT)
        self.failures[delivery.channel] = 0
        self.holds.pop(delivery.channel, None)

    def not_delivered(self, delivery: Delivery, attempt: Attempt, now: datetime, *, give_up: bool) -> int:
        self._settle(
            delivery,
            refused_at=now if give_up else None,
            problem=attempt.problem,
            parts_sent=max(attempt.parts_sent, delivery.parts_sent),
        )
        self.failures[delivery.channel] = self.failures.get(delivery.channel, 0) + 1
        return self.failures[delivery.channel]

    def hold_channel(self, channel: str, until: datetime) -> None:
        self.holds[channel] = until

    def forget(self, alerts_before: datetime, occurrences_before: datetime) -> None:
        self._check()
        self.alerts = {
            n: a for n, a in self.alerts.items() if not a.closed_at or a.closed_at >= alerts_before
        }

    def acknowledge(self, alert: int | str, by: str, now: datetime) -> list[int]:
        found = [
            a
            for a in self.alerts.values()
            if not a.resolved_at and a.state is not AlertState.ACKNOWLEDGED
            if alert in (a.id, a.key)
        ]
        for a in found:
            self._change(a, state=AlertState.ACKNOWLEDGED, acknowledged_at=now, acknowledged_by=by)
        return [a.id for a in found]

    def _is_due(self, row: FakeDelivery, now: datetime, lease: timedelta) -> bool:
        claimed = row.claimed_at is not None and row.claimed_at > now - lease
        held = self.holds.get(row.delivery.channel)
        return row.open and not claimed and (held is None or held <= now)

    def _row(self, delivery: Delivery) -> FakeDelivery:
        wanted = (delivery.notice_id, delivery.channel)
        return next(r for r in self.deliveries if (r.delivery.notice_id, r.delivery.channel) == wanted)

    def _settle(self, delivery: Delivery, **changes: Any) -> None:
        row = self._row(delivery)
        row.claimed_at = None
        row.delivery = row.delivery.model_copy(update=changes)

    def _if_current(self, alert: Alert) -> bool:
        self._check()
        held = self.alerts[alert.id]
        return held.revision == alert.revision and held.closed_at is None

    def _change(self, alert: Alert, **changes: Any) -> Alert:
        held = self.alerts[alert.id]
        self.alerts[alert.id] = held.model_copy(update={**changes, "revision": held.revision + 1})
        return self.alerts[alert.id]

    def _standing(self, alert: Alert) -> Alert:
        rows = [row for row in self.deliveries if row.delivery.alert_id == alert.id]
        return alert.model_copy(
            update={
                "suppressed": tuple(a.title for a in self.alerts.values() if a.suppressed_by == alert.id),
                "told": tuple(sorted({r.delivery.channel for r in rows if r.delivery.delivered_at})),
                "undelivered": sum(
                    row.open or row.delivery.refused_at is not None
                    for row in rows
                    if not row.delivery.delivered_at
                ),
            }
        )

    def _opened_again(self, known: Alert, seen_at: datetime) -> dict[str, Any]:
        if known.calm_since is None or seen_at <= known.calm_since:
            return {}
        return {"openings": known.openings + 1, "calm_since": None}

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken


class FakeChannel:
    """Keeps what was sent; answers with the queued attempts first. One part per message."""

    def __init__(self, name: str, *answers: Attempt) -> None:
        self._name, self.answers = name, list(answers)
        self.sent: list[Message] = []
        self.asked: list[tuple[Message, int]] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def titles(self) -> list[str]:
        return [message.title for message in self.sent]

    def send(self, message: Message, parts_sent: int = 0) -> Attempt:
        self.asked.append((message, parts_sent))
        if self.answers:
            answer = self.answers.pop(0)
        else:
            answer = Attempt(delivered=True, parts_sent=1, reference=f"{self._name}-{len(self.asked)}")
        if answer.delivered:
            self.sent.append(message)
        return answer


class FakeHistory:
    """What a server would know, in lists; set `broken` to make every question raise it."""

    def __init__(self) -> None:
        self.runs: list[RunEnd] = []
        self.removed: set[str] = set()
        self.late_runs: list[LateRun] = []
        self.seen: list[WorkerSeen] = []
        self.actions: list[FailedAction] = []
        self.asked: list[tuple[datetime, datetime]] = []
        self.broken: Exception | None = None

    def add(self, job: str, at: datetime, *, good: bool = False, message: str = "no", **fields: Any) -> None:
        number = len(self.runs) + 1
        usual = {"outcome": "Completed" if good else "Failed", "run_name": f"run-{number}"}
        run = RunEnd(
            run_id=str(number), job_id=job, ended_at=at, good=good, message=message, **{**usual, **fields}
        )
        self.runs.append(run)

    def ended(self, start: datetime, end: datetime, jobs: Collection[str]) -> list[RunEnd]:
        self._check()
        self.asked.append((start, end))
        found = [run for run in self.runs if start <= run.ended_at < end]
        wanted = {*jobs, *(run.job_id for run in found if not run.good)}
        chosen = [run for run in found if not run.good or run.job_id in wanted]
        return sorted(chosen, key=lambda run: (run.ended_at, run.run_id))

    def jobs(self) -> frozenset[str]:
        self._check()
        seen = {run.job_id for run in (*self.runs, *self.late_runs)}
        return frozenset(seen - self.removed)

    def late(self, before: datetime) -> list[LateRun]:
        self._check()
        return [run for run in self.late_runs if run.due_at < before]

    def workers(self) -> list[WorkerSeen]:
        self._check()
        return self.seen

    def failed_actions(self, start: datetime, end: datetime) -> list[FailedAction]:
        self._check()
        return [action for action in self.actions if start <= action.at < end]

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken
