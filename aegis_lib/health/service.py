"""One look at the database, and what follows from it. Must not depend on the database it looks at.

While the database is away its outage is remembered on local disk (`OutageMemory`), people are told once, and
events wait in the spool. On recovery what is spooled, the outage's start and its end reach `episodic_memory`;
all of it carries keys, so that a crash between two steps repeats nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime

from pydantic import ValidationError

from aegis_lib.alerts.model import Message
from aegis_lib.clock import iso
from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.health import messages, policy
from aegis_lib.health.model import (
    OUTAGE_EVENT,
    RECOVERY_EVENT,
    SLOW_END_EVENT,
    SLOW_EVENT,
    HealthConfig,
    HealthReport,
    Heartbeat,
    Outage,
    Slowness,
    Stage,
)
from aegis_lib.logs import get_logger
from aegis_lib.memory.model import Importance
from aegis_lib.outcome import Outcome
from aegis_lib.ports.alerts import Notifier
from aegis_lib.ports.health import AnsweringDatabase, DatabaseProbe, Heart, OutageMemory
from aegis_lib.ports.memory import EpisodicMemory
from aegis_lib.ports.state import StateStore

LAST_CHECK_KEY = "last_health_check"
HEALTHY_KEY = "db_healthy"
SLOWNESS_KEY = "db_slowness"

log = get_logger(__name__)


class _Check:
    """One run: its ports, its moment, and the problems met on the way."""

    def __init__(
        self,
        spooled: EpisodicMemory,
        outages: OutageMemory,
        notifier: Notifier,
        now: datetime,
        config: HealthConfig,
    ) -> None:
        self.spooled, self.outages, self.notifier = spooled, outages, notifier
        self.now, self.config = now, config
        self.problems: list[str] = []

    def down(self, error: AegisError) -> HealthReport:
        """The database is away: remember it, keep the event, tell people once."""
        log.error("health_check_db_failed", error=str(error))
        outage = Outage(since=self.now, error=str(error))
        alerted: bool | None = None
        try:
            with self.outages.hold() as held:
                outage = self._remembered(outage) if held else self.outages.current() or outage
                if held and outage.stage is Stage.OPEN:
                    alerted = self._alert(outage)
                    if alerted:
                        self.outages.advance(outage, Stage.ALERTED)
        except PermanentFailure as unremembered:
            self._problem("outage_not_remembered", str(unremembered))
            alerted = self._alert(outage, remembered=False) if alerted is None else alerted
        told = {
            None: "",
            True: " Alert sent.",
            False: " The alert could not be delivered; the next check tries again.",
        }
        return HealthReport(
            outcome=Outcome.DEGRADED,
            summary=messages.outage_summary(outage) + told[alerted] + self._said(),
            db_healthy=False,
            outage=outage,
            alerted=alerted,
            heartbeat=Heartbeat.WITHHELD,
            problems=tuple(self.problems),
        )

    def _remembered(self, new: Outage) -> Outage:
        known = self.outages.current()
        if known is not None and known.stage is Stage.RECOVERED:
            log.warning("recovery_message_dropped", since=known.since, until=known.until)
            self.outages.close(known)
            known = None
        if known is None:
            self.outages.open(new)
        return known or new

    def _alert(self, outage: Outage, *, remembered: bool = True) -> bool:
        try:
            _record_start(self.spooled, outage)
        except AegisError as error:
            self._problem("outage_event_not_kept", str(error))
        return self._deliver(messages.outage_alert(outage, self.problems, remembered=remembered))

    def up(self, database: AnsweringDatabase, latency_ms: float) -> HealthReport:
        """The database answered: end what outage there was, and judge how quick it is."""
        database.state.set(LAST_CHECK_KEY, iso(self.now))
        database.state.set(HEALTHY_KEY, "true")
        outage: Outage | None = None
        alerted: bool | None = None
        flushed = 0
        try:
            with self.outages.hold() as held:
                if held:
                    flushed = self._flush(database)
                    outage = self.outages.current()
                    alerted = self._end(database.memory, outage, flushed) if outage else None
                    self._judge(database, latency_ms)
        except Misconfigured:
            raise  # the database refuses us: no healthy database
        except PermanentFailure as error:
            self._problem("outage_memory_unusable", str(error))
        slow = policy.is_slow(latency_ms, self.config)
        summary = f"Database answered in {latency_ms:.0f} ms."
        if slow:
            summary = f"{messages.slow_summary(latency_ms, self.config)}."
        if outage:
            summary += f" {messages.recovery_summary(outage, outage.until or self.now)}."
        if flushed:
            summary += f" {flushed} kept events stored."
        return HealthReport(
            summary=summary + self._said(),
            db_healthy=True,
            latency_ms=latency_ms,
            slow=slow,
            outage=outage,
            alerted=alerted,
            flushed=flushed,
            problems=tuple(self.problems),
        )

    def _flush(self, database: AnsweringDatabase) -> int:
        try:
            flushed = database.flush()
        except AegisError as error:  # of this host's disk, not of the database
            self._problem("spool_not_stored", str(error))
            return 0
        if flushed.stopped_by is not None:
            raise DependencyUnavailable("PostgreSQL", f"went away again: {flushed.stopped_by}")
        if flushed.rejected:
            self._problem(
                "spool_records_rejected",
                f"{flushed.rejected} kept records can never be stored; see rejected.jsonl in the spool.",
            )
        return flushed.stored

    def _end(self, memory: EpisodicMemory, outage: Outage, flushed: int) -> bool:
        until = outage.until or self.now
        if outage.stage is not Stage.RECOVERED:
            _record_start(memory, outage)
            _record_end(memory, outage, until)
            outage = self.outages.advance(outage, Stage.RECOVERED, until)
        log.info("health_check_db_recovered", since=outage.since, until=until, flushed=flushed)
        told = self._deliver(messages.recovery_notice(outage, until, flushed))
        if told:
            self.outages.close(outage)
        return told

    def _judge(self, database: AnsweringDatabase, latency_ms: float) -> None:
        before = _slowness(database.state.get(SLOWNESS_KEY))
        after, turn = policy.judge_latency(before, latency_ms, self.now, self.config)
        if turn is policy.Turn.STARTED:
            database.memory.record(
                SLOW_EVENT,
                messages.slow_summary(latency_ms, self.config),
                {"latency_ms": round(latency_ms, 1), "max_latency_ms": self.config.max_latency_ms},
                Importance.MEDIUM,
                ("health", "database"),
                timestamp=self.now,
                key=after.key,
            )
        if turn is policy.Turn.ENDED and before.since:
            database.memory.record(
                SLOW_END_EVENT,
                messages.slow_end_summary(before.since, self.now),
                {"since": iso(before.since)},
                Importance.MEDIUM,
                ("health", "database"),
                timestamp=self.now,
                key=f"{SLOW_END_EVENT}:{before.since.isoformat()}",
            )
        if after.since and not after.told:
            told = self._deliver(messages.slow_warning(after, latency_ms, self.config))
            after = after.model_copy(update={"told": told})
        if after != before:
            database.state.set(SLOWNESS_KEY, after.model_dump_json())

    def _deliver(self, message: Message) -> bool:
        try:
            self.notifier.send(message)
        except AegisError as error:
            self._problem("health_message_not_delivered", str(error))
            return False
        return True

    def _problem(self, event: str, problem: str) -> None:
        log.error(event, error=problem)
        self.problems.append(problem)

    def _said(self) -> str:
        return "".join(f" Problem: {problem}" for problem in self.problems)


def _record_start(memory: EpisodicMemory, outage: Outage) -> None:
    memory.record(
        OUTAGE_EVENT,
        messages.outage_summary(outage),
        {"since": iso(outage.since), "error": outage.error},
        Importance.CRITICAL,
        ("health", "database"),
        timestamp=outage.since,
        key=outage.key,
    )


def _record_end(memory: EpisodicMemory, outage: Outage, until: datetime) -> None:
    memory.record(
        RECOVERY_EVENT,
        messages.recovery_summary(outage, until),
        {
            "since": iso(outage.since),
            "until": iso(until),
            "seconds": max(0.0, (until - outage.since).total_seconds()),
        },
        Importance.HIGH,
        ("health", "database"),
        timestamp=until,
        key=f"{RECOVERY_EVENT}:{outage.since.isoformat()}",
    )


def _slowness(stored: str | None) -> Slowness:
    """What is remembered; an unreadable value (a person wrote there) counts as nothing."""
    try:
        return Slowness.model_validate_json(stored) if stored else Slowness()
    except ValidationError:
        log.warning("state_unreadable", key=SLOWNESS_KEY, kept=json.dumps(stored))
        return Slowness()


def check(
    probe: DatabaseProbe,
    connect: Callable[[], AbstractContextManager[AnsweringDatabase]],
    spooled: EpisodicMemory,
    outages: OutageMemory,
    notifier: Notifier,
    heart: Heart | None,
    *,
    now: datetime,
    config: HealthConfig,
    withheld_by: Callable[[StateStore, datetime], str | None] | None = None,
) -> HealthReport:
    """Ask the database for a sign of life, remember the answer, and tell people about changes only.

    `connect` is called once the database has answered; `spooled` takes the event of an outage meanwhile.
    `heart` is pinged only when the check is green: the database answered within the limit and its state could
    be written. `withheld_by` may know another reason not to ping it, from the state. A database that is away,
    or refuses us, is a finding, not a failure; nothing is raised for it.
    """
    reason: str | None = None
    run = _Check(spooled, outages, notifier, now, config)
    try:
        latency_ms = probe.ping().total_seconds() * 1000
        with connect() as database:
            report = run.up(database, latency_ms)
            reason = withheld_by(database.state, now) if withheld_by and heart else None
    except (DependencyUnavailable, Misconfigured) as error:
        report = run.down(error)
    report = _beat(report, heart, reason)
    log.info(
        "health_check_complete",
        db_healthy=report.db_healthy,
        latency_ms=None if report.latency_ms is None else round(report.latency_ms, 1),
        heartbeat=report.heartbeat.value,
    )
    return report


def tell_if_away(
    probe: DatabaseProbe,
    spooled: EpisodicMemory,
    outages: OutageMemory,
    notifier: Notifier,
    *,
    now: datetime,
    config: HealthConfig,
) -> HealthReport | None:
    """What `check` does about a database that is away, for another job that found it so; None if it answers.

    Both share the outage's memory: whoever sees an outage first tells people, and its end is for `check`.
    """
    try:
        probe.ping()
    except (DependencyUnavailable, Misconfigured) as error:
        return _Check(spooled, outages, notifier, now, config).down(error)
    return None


def _beat(report: HealthReport, heart: Heart | None, reason: str | None) -> HealthReport:
    if heart is None:
        return report.model_copy(update={"heartbeat": Heartbeat.NOT_CONFIGURED})
    if not report.db_healthy or report.slow:
        return report.model_copy(update={"heartbeat": Heartbeat.WITHHELD})
    if reason:
        log.warning("heartbeat_withheld", reason=reason)
        said = f"{report.summary} The heartbeat is withheld: {reason}."
        return report.model_copy(update={"heartbeat": Heartbeat.WITHHELD, "summary": said})
    try:
        heart.ping()
    except AegisError as error:
        log.warning("heartbeat_failed", error=str(error))
        return report.model_copy(
            update={
                "heartbeat": Heartbeat.FAILED,
                "summary": f"{report.summary} The heartbeat could not be delivered: {error}",
                "problems": (*report.problems, str(error)),
            }
        )
    return report.model_copy(update={"heartbeat": Heartbeat.SENT})
