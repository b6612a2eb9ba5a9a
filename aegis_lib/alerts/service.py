"""One dispatch: finds what is wrong in the history of runs, decides what to tell, and delivers it.

Each part survives the failure of the others: a Prefect server that does not answer keeps no alert from going
out, and a channel that is down keeps none from the other channels. It never sends without a claim.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from aegis_lib import isolation
from aegis_lib.alerts import messages, policy
from aegis_lib.alerts.model import Alert, AlertsConfig, Attempt, Delivery, DispatchReport, NoticeKind
from aegis_lib.alerts.policy import Action
from aegis_lib.errors import AegisError
from aegis_lib.logs import get_logger
from aegis_lib.outcome import Outcome
from aegis_lib.ports.alerts import AlertChannel, Outbox, RunHistory

log = get_logger(__name__)
Answer = TypeVar("Answer")

FIRST_LOOK = timedelta(hours=2)
"""How far back the very first dispatch looks."""
OVERLAP = timedelta(minutes=10)
"""How late a run's end may become known to the server and still be seen."""
LONGEST_HISTORY = timedelta(days=14)
"""What the server keeps; older runs are gone anyway."""
SLICE = timedelta(hours=6)
OCCURRENCES_KEPT = LONGEST_HISTORY * 2
LEASE = timedelta(seconds=120)
"""Above the job's time-out: what was claimed longer ago, nobody is sending any more."""
BUDGET_SECONDS = 30.0
"""No delivery and no slice of history begins later than this; one that has begun may take 10 s more."""
FORGOTTEN_WORKER = timedelta(hours=24)


def dispatch(
    outbox: Outbox,
    history: RunHistory,
    channels: Sequence[AlertChannel],
    config: AlertsConfig,
    now: datetime,
    *,
    lease: timedelta = LEASE,
    budget_seconds: float = BUDGET_SECONDS,
    monotonic: Callable[[], float] = time.monotonic,
    jitter: Callable[[], float] = random.random,
) -> DispatchReport:
    """Bring the outbox up to date with the history of runs, and deliver what is due.

    Any number of dispatches may run at once: each decision and each delivery is one of theirs.

    Raises:
        DependencyUnavailable: the database is away.
    """
    run = _Dispatch(outbox, history, channels, config, now, lease, budget_seconds, monotonic, jitter)
    for look in (run.read_runs, run.read_jobs, run.read_late_runs, run.read_workers, run.read_failed_actions):
        run.guarded(look)
    run.find_causes()
    run.decide()
    run.deliver()
    outbox.forget(now - timedelta(days=config.keep_days), now - OCCURRENCES_KEPT)
    return run.report()


@dataclass
class _Dispatch:
    outbox: Outbox
    history: RunHistory
    channels: Sequence[AlertChannel]
    config: AlertsConfig
    started_at: datetime
    lease: timedelta
    budget_seconds: float
    monotonic: Callable[[], float]
    jitter: Callable[[], float]
    began: float = 0.0
    raised: list[str] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    waiting: Counter[str] = field(default_factory=Counter)
    delivered: int = 0
    failed: int = 0
    resting: set[str] = field(default_factory=set)
    read_from: datetime | None = None

    def __post_init__(self) -> None:
        self.began = self.monotonic()
        self.read_from = self.outbox.watermark()

    def elapsed(self) -> float:
        return self.monotonic() - self.began

    def now(self) -> datetime:
        return self.started_at + timedelta(seconds=self.elapsed())

    def guarded(self, look: Callable[[], None]) -> None:
        """Do it; what it cannot see, the next dispatch sees. A database that is away is not its affair."""
        try:
            look()
        except _HistoryAway as away:
            if away.said not in self.problems:
                self.problems.append(away.said)

    # --- detection ---

    def read_runs(self) -> None:
        """Every run that ended since the last look, in the order in which they ended, slice by slice."""
        start = self._since()
        while start < self.started_at and self.elapsed() < self.budget_seconds:
            end = min(start + SLICE, self.started_at)
            failing = [key.partition(":")[2] for key in self.outbox.open_keys("job:")]
            runs = _asked(lambda: self.history.ended(start, end, failing))  # noqa: B023
            with self.outbox.transaction():
                for run in runs:
                    if run.good:
                        if self.outbox.recover(messages.good_run(run)):
                            self.recovered.append(messages.job_key(run.job_id))
                    else:
                        severity = policy.severity_of_job(run.job_id, self.config)
                        if self.outbox.raise_problem(messages.failed_run(run, severity)) is not None:
                            self.raised.append(messages.job_key(run.job_id))
                self.outbox.set_watermark(end)
            start = end

    def _since(self) -> datetime:
        known = self.read_from
        start = self.started_at - FIRST_LOOK if known is None else min(known, self.started_at) - OVERLAP
        return max(start, self.started_at - LONGEST_HISTORY)

    def read_jobs(self) -> None:
        """Jobs that were removed: what was wrong with them is over."""
        keys = [key for prefix in ("job:", "late:") for key in self.outbox.open_keys(prefix)]
        if not keys:
            return
        known = _asked(self.history.jobs)
        for key in keys:
            gone = key.partition(":")[2] not in known
            if gone and self.outbox.recover(messages.removed_job(key, self.started_at)):
                self.recovered.append(key)

    def read_late_runs(self) -> None:
        """Jobs that do not start; over when none of a job's runs waits any more."""
        before = self.started_at - timedelta(minutes=self.config.late_minutes)
        runs = _asked(lambda: self.history.late(before))
        late = set()
        for run in runs:
            problem = messages.late_job(run, self.started_at)
            late.add(problem.key)
            if self.outbox.raise_problem(problem) is not None:
                self.raised.append(problem.key)
        for key in self.outbox.open_keys("late:"):
            if key not in late and self.outbox.recover(messages.no_longer_late(key, self.started_at)):
                self.recovered.append(key)

    def read_workers(self) -> None:
        """Workers that fell silent in the last day; over when they are back, or were removed."""
        workers = _asked(self.history.workers)
        alone = not any(worker.online for worker in workers)
        missing = set()
        for worker in workers:
            known = worker.seen_at is not None and self.started_at - worker.seen_at < FORGOTTEN_WORKER
            if worker.online:
                continue
            problem = messages.silent_worker(worker, alone, self.started_at)
            missing.add(problem.key)
            if known and self.outbox.raise_problem(problem) is not None:
                self.raised.append(problem.key)
        for key in self.outbox.open_keys("worker:"):
            if key not in missing and self.outbox.recover(messages.worker_back(key, self.started_at)):
                self.recovered.append(key)

    def read_failed_actions(self) -> None:
        """Automations that could not do what they should."""
        for action in _asked(lambda: self.history.failed_actions(self._since(), self.started_at)):
            problem = messages.failed_action(action)
            if self.outbox.raise_problem(problem) is not None:
                self.raised.append(problem.key)

    # --- decision ---

    def _alerts(self) -> list[Alert]:
        minutes = max(self.config.cause_minutes, self.config.flapping_minutes)
        hours = max(24.0, self.config.reminder_hours + 1, minutes / 60 + 1)
        return self.outbox.to_decide(self.started_at - timedelta(hours=hours))

    def find_causes(self) -> None:
        """Make a root cause that several alerts point to an alert, and end one that none points to."""
        alerts = self._alerts()
        for cause, followers in policy.inferred(alerts, self.config).items():
            key = policy.cause_key(cause)
            problem = messages.root_cause(cause, key, followers, self.started_at)
            if self.outbox.raise_problem(problem) is not None:
                self.raised.append(key)
        for alert in policy.outlived(alerts, self.config):
            if alert.suppressed and self.outbox.recover(messages.root_cause_over(alert, self.started_at)):
                self.recovered.append(alert.key)

    def decide(self) -> None:
        """First what may follow from something, then the root causes, which say what follows from them."""
        causes = self.config.root_causes
        for roots in (False, True):
            alerts = self._alerts()
            for alert in alerts:
                is_root = policy.declared_by(alert, causes) is not None
                if is_root is roots and alert.closed_at is None:
                    self._carry_out(alert, alerts)

    def _carry_out(self, alert: Alert, alerts: list[Alert]) -> None:
        names = [channel.name for channel in self.channels]
        second = bool(policy.second_channels(names, self.config))
        decision = policy.decide(alert, alerts, self.started_at, self.config, second=second)
        match decision.action:
            case Action.WAIT:
                self.waiting[decision.why] += 1
            case Action.SUPPRESS:
                if decision.cause is not None and self.outbox.suppress(alert, decision.cause):
                    log.info("alert_suppressed", key=alert.key, cause=decision.cause)
                self.waiting[decision.why] += 1
            case Action.CLOSE:
                self.outbox.close(alert, self.started_at)
                log.info("alert_closed", key=alert.key, why=decision.why)
            case _:
                kind = policy.NOTICES[decision.action]
                if kind is NoticeKind.FLAPPING:
                    alert = policy.as_flapping(alert, alerts, self.config)
                to = policy.route(kind, alert, names, self.config)
                text = messages.notice(kind, alert, self.started_at, self.config.calm_minutes)
                if to and self.outbox.add_notice(alert, kind, text, to, self.started_at):
                    self.told.append(alert.key)
                    log.info("alert_notice", key=alert.key, kind=kind.value, channels=",".join(to))

    # --- delivery ---

    def deliver(self) -> None:
        """Everything due, each by its own claim; what fails or finds no time is due again."""
        isolation.each(self.outbox.due(self.started_at, self.lease), self._deliver)

    def _deliver(self, delivery: Delivery) -> None:
        by_name = {channel.name: channel for channel in self.channels}
        if delivery.channel in self.resting or self.elapsed() > self.budget_seconds:
            return
        if not policy.may_be_sent(delivery.alert_severity, self.now(), self.config):
            self.waiting["quiet hours"] += 1
            return
        parts_sent = self.outbox.claim(delivery, self.now(), self.lease)
        if parts_sent is None:
            return
        channel = by_name.get(delivery.channel)
        if channel is None:
            gone = Attempt(delivered=False, problem="The channel is no longer configured.")
            self.outbox.not_delivered(delivery, gone, self.now(), give_up=True)
            return
        attempt = channel.send(delivery.message, parts_sent)
        if attempt.delivered:
            self.outbox.delivered(delivery, attempt, self.now())
            self.delivered += 1
            return
        give_up = not attempt.again or delivery.attempts + 1 >= self.config.attempts
        failures = self.outbox.not_delivered(delivery, attempt, self.now(), give_up=give_up)
        wait = policy.hold_seconds(failures, attempt.retry_after_seconds, self.jitter())
        if attempt.again:
            self.outbox.hold_channel(delivery.channel, self.now() + timedelta(seconds=wait))
            self.resting.add(delivery.channel)
        self.failed += 1
        self.problems.append(f"{delivery.channel}: {attempt.problem}")
        log.warning(
            "alert_not_delivered",
            channel=delivery.channel,
            title=delivery.title,
            given_up=give_up,
            error=attempt.problem,
        )

    # --- reporting ---

    def report(self) -> DispatchReport:
        names = [channel.name for channel in self.channels]
        for unknown in policy.unknown_channels(names, self.config):
            self.problems.append(f"aegis.yaml names the channel {unknown!r}, which is not configured.")
        held = self.waiting["quiet hours"] + self.waiting["may follow from a root cause"]
        said = [
            (len(self.raised), "seen"),
            (len(self.recovered), "over"),
            (self.delivered, "delivered"),
            (self.failed, "not delivered"),
            (held, "held"),
            (self.waiting["follows from a root cause"], "suppressed"),
        ]
        summary = ", ".join(f"{number} {what}" for number, what in said if number) or "Nothing to tell"
        return DispatchReport(
            outcome=Outcome.DEGRADED if self.problems else Outcome.COMPLETED,
            summary=f"{summary}." + "".join(f" Problem: {problem}" for problem in self.problems),
            raised=tuple(self.raised),
            recovered=tuple(self.recovered),
            told=tuple(self.told),
            held=held,
            suppressed=self.waiting["follows from a root cause"],
            delivered=self.delivered,
            failed=self.failed,
            problems=tuple(self.problems),
        )


class _HistoryAway(AegisError):
    """The history of runs could not be read; what it shows waits for the next dispatch."""

    def __init__(self, error: AegisError) -> None:
        self.said = f"The history of runs cannot be read: {error}"
        super().__init__(self.said)


def _asked(question: Callable[[], Answer]) -> Answer:
    try:
        return question()
    except AegisError as error:
        raise _HistoryAway(error) from error
