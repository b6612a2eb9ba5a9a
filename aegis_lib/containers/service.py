"""One cycle of the three-strike protocol over container engines. It never restarts or tells without a claim.

First every engine is looked at, each on its own; then cases are opened, strikes counted, restarts done and
people called; last, restarted containers are watched together until they are healthy or their time is over.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aegis_lib import isolation
from aegis_lib.containers import messages, policy
from aegis_lib.containers.examination import Examination, Patient, examine
from aegis_lib.containers.model import (
    EVENT_TYPE,
    Condition,
    ContainersConfig,
    HealingReport,
    Inspected,
    Notice,
    RestartOutcome,
    Step,
    StrikeRecord,
)
from aegis_lib.errors import AegisError
from aegis_lib.logs import get_logger
from aegis_lib.memory.model import Importance
from aegis_lib.outcome import Outcome
from aegis_lib.ports.alerts import Notifier
from aegis_lib.ports.containers import ContainerEngine, StrikeStore
from aegis_lib.ports.memory import EpisodicMemory

log = get_logger(__name__)

STRIKE_INTERVAL = timedelta(seconds=240)
"""Below the job's interval, so that each run counts, and above a retry, so that a retry does not."""
LEASE = timedelta(seconds=240)
"""The job's time-out: what was claimed longer ago and is not finished, nobody is doing any more."""
CYCLE_SECONDS = 200.0
LONGEST_STOP_SECONDS = 60
POLL_SECONDS = 1.0


@dataclass
class _Watched:
    """A restarted container whose health is awaited."""

    patient: Patient
    restart_id: int
    before: Inspected
    since_seconds: float
    allowed_seconds: float


def run_cycle(
    engines: Sequence[ContainerEngine],
    strikes: StrikeStore,
    memory: EpisodicMemory,
    notifier: Notifier,
    config: ContainersConfig,
    now: datetime,
    dry_run: bool = True,
    *,
    strike_interval: timedelta = STRIKE_INTERVAL,
    only_label: str | None = None,
    own_names: Collection[str] = (),
    lease: timedelta = LEASE,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> HealingReport:
    """Look at every container; count strikes, restart, call a human, forget what healed.

    With `dry_run` everything is decided and said and nothing is done or written. `strike_interval` is the age
    that the last strike (or healthy cycle) must have before another counts; `own_names` are host names of
    parts of this installation; `lease` is when a claimed, unfinished action counts as abandoned.

    Raises:
        DependencyUnavailable: no engine answered, or the database did not.
        Misconfigured: the engines may not be asked.
    """
    cycle = _Cycle(
        strikes, memory, notifier, config, now, dry_run, strike_interval, lease, sleep, monotonic, monotonic()
    )

    def look(engine: ContainerEngine) -> Examination:
        return examine(engine, config, now, only_label or config.only_label, own_names)

    looked = isolation.each(engines, look)
    cycle.problems += [f"{engine.name}: {error}" for engine, error in looked.failures]
    for examination in looked.results:
        cycle.problems += examination.problems
        cycle.treat(examination)
    cycle.watch()
    return cycle.report([patient for examination in looked.results for patient in examination.patients])


@dataclass
class _Cycle:
    strikes: StrikeStore
    memory: EpisodicMemory
    notifier: Notifier
    config: ContainersConfig
    started_at: datetime
    dry_run: bool
    interval: timedelta
    lease: timedelta
    sleep: Callable[[float], None]
    monotonic: Callable[[], float]
    began: float
    watched: list[_Watched] = field(default_factory=list)
    restarts: int = 0
    escalations: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def elapsed(self) -> float:
        return self.monotonic() - self.began

    def now(self) -> datetime:
        return self.started_at + timedelta(seconds=self.elapsed())

    # --- acting ---

    def treat(self, examination: Examination) -> None:
        """Everything but the waiting for health, for the containers of one engine."""
        engine = examination.engine
        cases = {case.name: case for case in self.strikes.open_cases(self.started_at, engine.name)}
        for patient in examination.patients:
            patient.case = cases.pop(patient.listed.name, None)
            match patient.verdict.condition:
                case Condition.SICK:
                    self._treat_sick(patient)
                case Condition.WELL | Condition.RESTING:
                    self._treat_well(patient)
        for orphan in cases.values():
            self._look_for(engine, orphan, listed=orphan.name in examination.names)

    def _treat_sick(self, patient: Patient) -> None:
        case = patient.case
        if case and case.healthy_cycles and case.container_id == patient.listed.id and not self.dry_run:
            self.strikes.sick_again(case)
        struck = False
        while True:
            plan = policy.plan_sick(
                patient.listed, patient.case, patient.rule, self.config, self.now(),
                strike_interval=self.interval, lease=self.lease,
            )  # fmt: skip
            if plan.step is Step.WAIT or (plan.step is Step.STRIKE and struck):
                patient.action = patient.action or plan.words
                return
            if self.dry_run:
                patient.action = f"would {_intention(plan.step, patient)}"
                return
            if plan.step is Step.STRIKE:
                struck = True
                if not self._strike(patient):
                    return
            elif plan.step is Step.QUARANTINE and patient.case is not None:
                self.strikes.quarantine(patient.case, self.now())
                patient.case = patient.case.model_copy(update={"quarantined_at": self.now()})
                patient.action = plan.words
                self._changed(patient, "quarantined", plan.words)
            else:
                self._last_step(patient, plan.step)
                return

    def _last_step(self, patient: Patient, step: Step) -> None:
        if patient.case is None:
            return
        if step is Step.RESTART:
            self._restart(patient, patient.case)
        elif step is Step.ESCALATE:
            self._tell(patient, patient.case, Notice.ESCALATION)
        elif step is Step.REMIND:
            self._tell(patient, patient.case, Notice.REMINDER)

    def _strike(self, patient: Patient) -> bool:
        case = self.strikes.claim_strike(patient.listed, patient.verdict.reason, self.now(), self.interval)
        if case is None:
            patient.action = "strike counted by another run"
            return False
        patient.case = case
        withheld = case.strikes == patient.rule.strikes - 1 and not patient.rule.may_restart
        patient.action = f"strike {case.strikes}: " + (
            f"no restart ({patient.rule.withheld})" if withheld else "logged"
        )
        self._changed(patient, "strike", f"strike {case.strikes}, {patient.verdict.reason}")
        return True

    def _restart(self, patient: Patient, case: StrikeRecord) -> None:
        before = patient.inspected
        stop_seconds = min(before.stop_timeout_seconds if before else 10, LONGEST_STOP_SECONDS)
        if self.restarts >= self.config.restarts_per_cycle or self.elapsed() + stop_seconds > CYCLE_SECONDS:
            patient.action = "restart put off to the next run: enough restarts in this one"
            return
        restart_id = self.strikes.claim_restart(case, self.now(), patient.rule.restarts_per_day, self.lease)
        if restart_id is None or before is None:
            patient.action = "restart claimed by another run"
            return
        self.restarts += 1
        try:
            answer = patient.engine.restart(patient.listed.id, stop_seconds)
        except AegisError as error:
            self.strikes.finish_restart(restart_id, RestartOutcome.INTERRUPTED, self.now())
            self.problems.append(f"{patient.listed.title}: not restarted: {error}")
            patient.action = "restart failed, the engine does not answer"
            return
        self.strikes.finish_restart(restart_id, answer.outcome, self.now())
        said = f": {messages.clean(answer.detail, 300)}" if answer.detail else ""
        patient.action = f"restart {answer.outcome.value}{said}"
        self._changed(patient, "restart", f"restart at strike {case.strikes} {answer.outcome.value}{said}")
        if answer.outcome is RestartOutcome.GONE:
            self.strikes.close(case)
        elif answer.outcome is not RestartOutcome.REFUSED:
            left = max(0.0, CYCLE_SECONDS - self.elapsed())
            allowed = min(policy.verification_seconds(before, self.config), left)
            self.watched.append(_Watched(patient, restart_id, before, self.elapsed(), allowed))

    def _treat_well(self, patient: Patient) -> None:
        plan = policy.plan_well(patient.listed, patient.case, self.config, self.now(), self.interval)
        case = patient.case
        if case is None or plan.step is Step.NOTHING:
            return
        if self.dry_run:
            patient.action = (
                "" if plan.step is Step.WAIT else f"would {plan.words or 'count a healthy cycle'}"
            )
            return
        if plan.step is Step.COUNT_HEALTHY:
            count = self.strikes.count_healthy(case, self.now(), self.interval)
            needed = self.config.healthy_cycles_to_clear
            patient.action = f"healthy cycle {count or case.healthy_cycles} of {needed}"
            if count is None or count < needed:
                return
            self._changed(patient, "recovered", "well again")
        patient.action = plan.words or patient.action
        if plan.step is not Step.WAIT:
            self._end(patient, case)

    def _end(self, patient: Patient, case: StrikeRecord) -> None:
        if case.escalated_at is None:
            self.strikes.close(case)
            patient.action = f"{patient.verdict.reason}: strikes forgotten"
        elif case.recovered_at is not None or self.strikes.mark_recovered(case, self.now()):
            self._tell(patient, case, Notice.RECOVERY)

    def _look_for(self, engine: ContainerEngine, case: StrikeRecord, *, listed: bool) -> None:
        """A case whose container was not examined: closed when it is gone or no longer to be watched."""
        try:
            gone = not listed and engine.inspect(case.container_id) is None
        except AegisError as error:
            self.problems.append(f"{case.title}: {error}")
            return
        if (gone or listed) and not self.dry_run and self.strikes.close(case):
            words = "is gone" if gone else "is no longer watched"
            log.info("container_case_closed", container=case.title, reason=words)
            self.changes.append(f"{case.title} {words}")
            if case.escalated_at is not None:
                self._say_ended(case, words)

    def _say_ended(self, case: StrikeRecord, words: str) -> None:
        try:
            self.notifier.send(messages.ended(case, words, self.now()))
        except AegisError as error:
            self.problems.append(f"{case.title}: that it {words} was not delivered: {error}")

    # --- telling ---

    def _tell(self, patient: Patient, case: StrikeRecord, notice: Notice) -> None:
        if not self.strikes.claim_notice(case, notice, self.now(), self.lease):
            patient.action = f"{notice.value} is being sent by another run"
            return
        if notice is Notice.ESCALATION:
            logs = patient.engine.logs(patient.listed.id, self.config.log_lines, messages.LARGEST_LOG_BYTES)
            message = messages.escalation(case, patient.rule, patient.inspected, logs, patient.affected)
            self._record(message.title, Importance.CRITICAL, message.key, _details(patient, case))
        elif notice is Notice.REMINDER:
            message = messages.reminder(case, self.now())
        else:
            message = messages.recovery(case, self.now())
        try:
            self.notifier.send(message)
        except AegisError as error:
            self.strikes.release_notice(case)
            self.problems.append(f"{case.title}: the {notice.value} was not delivered: {error}")
            patient.action = f"{notice.value} not delivered, tried again in the next run"
            return
        self.strikes.notice_delivered(case, notice, self.now())
        patient.action = {
            Notice.ESCALATION: "called a human",
            Notice.REMINDER: "reminded the humans",
            Notice.RECOVERY: "well again, said so",
        }[notice]
        if notice is Notice.ESCALATION:
            self.escalations.append(case.title)
            self._changed(patient, "escalation", "called a human")

    def _record(
        self, summary: str, importance: Importance, key: str | None, details: dict[str, object]
    ) -> None:
        try:
            self.memory.record(
                EVENT_TYPE, summary, details, importance, tags=("docker",), timestamp=self.now(), key=key
            )
        except AegisError as error:
            self.problems.append(f"not recorded in the episodic memory: {error}")

    def _changed(self, patient: Patient, event: str, words: str) -> None:
        log.warning(f"container_{event}", container=patient.listed.title, what=words)
        self.changes.append(f"{patient.listed.title}: {words}")

    # --- waiting for health ---

    def watch(self) -> None:
        """Look at all restarted containers until each is healthy, sick, or out of time."""
        while self.watched:
            self.watched = [watched for watched in self.watched if not self._settled(watched)]
            if self.watched:
                self.sleep(POLL_SECONDS)

    def _settled(self, watched: _Watched) -> bool:
        patient = watched.patient
        waited = self.elapsed() - watched.since_seconds
        try:
            found = patient.engine.inspect(patient.listed.id)
        except AegisError as error:
            if waited < watched.allowed_seconds:
                return False
            self.problems.append(f"{patient.listed.title}: not verified: {error}")
            outcome: RestartOutcome | None = RestartOutcome.UNVERIFIED
        else:
            outcome = policy.verified(watched.before, found, waited, watched.allowed_seconds)
        if outcome is None:
            return False
        self.strikes.finish_restart(watched.restart_id, outcome, self.now())
        words = {
            RestartOutcome.VERIFIED: "restarted, well again",
            RestartOutcome.STILL_SICK: "restarted, still sick",
            RestartOutcome.GONE: "restarted, then removed by somebody",
        }.get(outcome, f"restarted, not healthy within {waited:.0f} s")
        patient.action = words
        self._changed(patient, "restart_verified", words)
        return True

    # --- reporting ---

    def report(self, patients: list[Patient]) -> HealingReport:
        """The report; what changed is recorded as one event."""
        healthy = sum(p.verdict.condition is Condition.WELL for p in patients)
        unhealthy = sum(p.verdict.condition in {Condition.SICK, Condition.SHADOWED} for p in patients)
        parts = [f"{healthy} healthy, {unhealthy} unhealthy"]
        parts += [f"{self.restarts} restarted"] if self.restarts else []
        parts += [f"called a human for {', '.join(self.escalations)}"] if self.escalations else []
        parts += [f"not done: {'; '.join(self.problems)}"] if self.problems else []
        summary = ("Dry run, nothing done: " if self.dry_run else "") + "; ".join(parts) + "."
        counts = {"healthy": healthy, "unhealthy": unhealthy, "actions_taken": self.restarts}
        log.info("docker_health_check_complete", **counts, escalations=len(self.escalations))
        if self.changes:
            fingerprint = hashlib.sha256("\n".join(self.changes).encode()).hexdigest()[:12]
            self._record(
                "; ".join(self.changes)[:2000],
                Importance.HIGH if self.restarts else Importance.MEDIUM,
                f"{EVENT_TYPE}:{self.started_at.isoformat()}:{fingerprint}",
                {**counts, "escalations": self.escalations, "changes": self.changes},
            )
        order = sorted(patients, key=lambda p: (p.verdict.condition is not Condition.SICK, p.listed.title))
        empty = Outcome.NO_INPUT if not patients else Outcome.COMPLETED
        return HealingReport(
            outcome=Outcome.DEGRADED if self.problems else empty,
            summary=summary if patients or self.problems else "No container there.",
            **counts,
            escalations=tuple(self.escalations),
            containers=tuple(patient.row() for patient in order),
            problems=tuple(self.problems),
            dry_run=self.dry_run,
        )


def _intention(step: Step, patient: Patient) -> str:
    strikes = patient.case.strikes if patient.case and patient.case.container_id == patient.listed.id else 0
    return {
        Step.STRIKE: f"count strike {strikes + 1} of {patient.rule.strikes}",
        Step.RESTART: "restart it",
        Step.QUARANTINE: "quarantine it and call a human",
        Step.ESCALATE: "call a human",
    }.get(step, "remind the humans")


def _details(patient: Patient, case: StrikeRecord) -> dict[str, object]:
    found = patient.inspected
    return {
        "container": case.title,
        "container_id": case.container_id,
        "reason": case.reason,
        "strikes": case.strikes,
        "first_strike_at": case.first_strike_at.isoformat(),
        "tried": messages.tried(case, patient.rule),
        "exit_code": found.exit_code if found else None,
        "oom_killed": found.oom_killed if found else None,
    }
