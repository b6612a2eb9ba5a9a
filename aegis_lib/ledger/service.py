"""One pass of the ledger: account for every tick since the last one, and tell people what is wrong, once.

Must not trust the server's own list of planned runs for what should have run: ticks come from the catalogue's
schedules, as a deploy wrote them down. Every step can be repeated: entries are upserts, messages are claimed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from aegis_lib.alerts.model import Message
from aegis_lib.clock import iso
from aegis_lib.errors import AegisError
from aegis_lib.ledger import messages, policy
from aegis_lib.ledger.model import (
    CHECKED_KEY,
    GREEN_KEY,
    PASS_PATIENCE,
    Case,
    Entry,
    Evidence,
    Gap,
    Kind,
    LedgerConfig,
    LedgerReport,
    Pause,
    Problem,
    ScheduledRun,
    ScheduleVersion,
    TickOutcome,
)
from aegis_lib.ledger.problems import (
    CALM,
    matched,
    missed_problems,
    outage_problems,
    stale_problems,
    stuck_problems,
)
from aegis_lib.logs import get_logger
from aegis_lib.memory.model import Importance
from aegis_lib.outcome import Outcome
from aegis_lib.ports.alerts import Notifier
from aegis_lib.ports.ledger import LedgerStore, ScheduledRunHistory
from aegis_lib.ports.memory import EpisodicMemory
from aegis_lib.ports.state import StateStore

PASSES = "missed_runs"
"""Under this name the passes themselves say that the installation runs, where nobody else does."""
LEASE = timedelta(minutes=10)
_LOOK_BACK = timedelta(hours=48)
_MISSED_AGAIN = timedelta(hours=1)
_INSTANT = timedelta(microseconds=1)

log = get_logger(__name__)


def take_stock(
    store: LedgerStore,
    history: ScheduledRunHistory,
    state: StateStore,
    memory: EpisodicMemory,
    notifier: Notifier,
    *,
    now: datetime,
    config: LedgerConfig,
) -> LedgerReport:
    """Bring the ledger up to `now` and tell about what changed.

    Raises:
        DependencyUnavailable: the server or the database does not answer; the next pass takes all up again.
    """
    return _Pass(store, history, state, memory, notifier, now, config).run()


def why_red(state: StateStore, now: datetime) -> str | None:
    """Why the dead-man's switch must not be pinged; None while the ledger is fresh and green."""
    return policy.why_red(state.get(CHECKED_KEY), state.get(GREEN_KEY), now)


class _Pass:
    """One pass: its ports and its moment."""

    def __init__(
        self,
        store: LedgerStore,
        history: ScheduledRunHistory,
        state: StateStore,
        memory: EpisodicMemory,
        notifier: Notifier,
        now: datetime,
        config: LedgerConfig,
    ) -> None:
        self.store, self.history, self.state = store, history, state
        self.memory, self.notifier = memory, notifier
        self.now, self.config = now, config
        self.oldest = self.horizon = now - timedelta(days=config.keep_days)
        self.undelivered: str | None = None

    def run(self) -> LedgerReport:
        now, store = self.now, self.store
        if policy.speaks_itself(store.last_presence(), PASSES, now):
            store.beat(PASSES, now, PASS_PATIENCE)
        versions = store.versions(self.horizon)
        if not versions:
            return LedgerReport(
                outcome=Outcome.NO_INPUT, summary="No schedule is known yet. Run `aegis deploy`.", green=False
            )
        self.horizon = max(self.horizon, min(version.since for version in versions))
        looked = max(min(_moment(self.state.get(CHECKED_KEY)) or self.horizon, now), self.horizon)
        start = self._start(looked)
        runs = self.history.runs(start, now)
        late = self._late_answers({run.id for run in runs})
        jobs = self.history.jobs()  # after the runs: a pause that deleted one is then seen
        store.observe(jobs, looked, now)
        pauses = store.pauses(self.horizon)
        gaps = policy.gaps(store.presences(self.horizon))
        evidence = Evidence(
            runs=tuple(runs),
            pauses=tuple(pauses),
            maintenance=self.config.maintenance,
            gaps=gaps,
            known_jobs=frozenset(job.job_id for job in jobs),
        )
        entries = policy.account(policy.due_ticks(versions, start, now), evidence, now)
        store.record([*entries, *late], now)
        cases = store.cases()
        problems = matched(self._problems(versions, cases, pauses, gaps), cases)
        opened, over = self._tell(problems, cases)
        still_open = tuple(problem for problem in problems if not problem.over)
        self.state.set(CHECKED_KEY, iso(now))
        self.state.set(GREEN_KEY, "false" if still_open else "true")
        store.forget(self.oldest)
        ticks = Counter(entry.outcome.value for entry in entries)
        log.info(
            "missed_runs_complete", green=not still_open, ticks=sum(ticks.values()),
            missed=ticks[TickOutcome.MISSED], opened=len(opened), over=len(over),
        )  # fmt: skip
        return LedgerReport(
            outcome=Outcome.DEGRADED if self.undelivered else Outcome.COMPLETED,
            summary=messages.summary(ticks, start, still_open, self.undelivered),
            ticks=dict(ticks),
            opened=tuple(opened),
            over=tuple(over),
            open=still_open,
            green=not still_open,
            undelivered=self.undelivered,
        )

    def _start(self, looked: datetime) -> datetime:
        """Where this pass begins: at the last one's end, or before the oldest tick it could not judge."""
        unsettled = self.store.oldest_unsettled(self.horizon, self.now - _MISSED_AGAIN)
        return looked if unsettled is None else max(self.horizon, min(looked, unsettled - _INSTANT))

    def _late_answers(self, seen: set[str]) -> list[Entry]:
        """Missed ticks of earlier whose run was taken after all."""
        waiting = [e for e in self.store.missed_with_run(self.horizon) if e.flow_run_id not in seen]
        if not waiting:
            return []
        found = {run.id: run for run in self.history.runs_by_id([e.flow_run_id or "" for e in waiting])}
        return [
            answered
            for entry in waiting
            if (run := found.get(entry.flow_run_id or "")) and (answered := _answered(entry, run))
        ]

    def _problems(
        self, versions: Sequence[ScheduleVersion], cases: Sequence[Case], pauses: Sequence[Pause],
        gaps: Sequence[Gap],
    ) -> list[Problem]:  # fmt: skip
        since = min([self.now - _LOOK_BACK, *(case.since for case in cases if case.kind is Kind.MISSED)])
        in_force = {version.job_id for version in versions if version.until is None}
        # A job that was taken out of the catalogue is missed no more.
        missed = [m for m in self.store.missed(since - _INSTANT, CALM) if m.job_id in in_force]
        fresh = {v.job_id for v in versions if v.until is None and v.freshness_seconds is not None}
        asked = fresh | {tick.job_id for tick in missed if tick.calm_at is None}
        outputs = {job: self.history.newest_output(job, self.now) for job in sorted(asked)}
        return [
            *missed_problems(missed, outputs),
            *outage_problems(gaps, self.store.lost(since - _INSTANT)),
            *stuck_problems(j for j in self.store.turned_away(since) if j.job_id in in_force),
            *stale_problems(versions, outputs, pauses, gaps, self.now, self.config.maintenance),
        ]

    def _tell(self, problems: Sequence[Problem], cases: Sequence[Case]) -> tuple[list[str], list[str]]:
        now, store = self.now, self.store
        by_key = {problem.key: problem for problem in problems}
        told = {case.key for case in cases if case.told}
        for problem in problems:
            if problem.key in told:
                store.renew(problem)
        begun = [p for p in problems if p.key not in told and store.claim_opening(p, now, LEASE)]
        ended = [
            _of(case)
            for case in cases
            if case.told and (case.key not in by_key or by_key[case.key].over)
            if store.claim_over(case.key, now, LEASE)
        ]
        for case in cases:
            if not case.told and case.key not in by_key:
                store.told(case.key, now, over=True)  # it ended before anybody could be told
        if begun and not self._send(begun, messages.opened(begun), self._record_opening):
            begun = []
        for problem in begun:
            store.told(problem.key, now, over=problem.over)
        ended = [p for p in ended if self._send([p], messages.over(p), self._record_end)]
        for problem in ended:
            store.over_told(problem.key, now)
        return [p.key for p in begun], [p.key for p in ended]

    def _send(self, problems: Sequence[Problem], message: Message, record: Callable[[Problem], None]) -> bool:
        for problem in problems:
            record(problem)
        try:
            self.notifier.send(message)
        except AegisError as error:
            log.error("missed_runs_message_not_delivered", error=str(error))
            self.undelivered = str(error)
            for problem in problems:
                self.store.release(problem.key)
            return False
        return True

    def _record_opening(self, problem: Problem) -> None:
        self.memory.record(
            f"ledger_{problem.kind}", messages.sentence(problem), _details(problem), Importance.HIGH,
            _tags(problem), timestamp=self.now, key=f"ledger:{problem.key}",
        )  # fmt: skip

    def _record_end(self, problem: Problem) -> None:
        self.memory.record(
            "ledger_over", messages.over_sentence(problem), _details(problem), Importance.MEDIUM,
            _tags(problem), timestamp=self.now, key=f"ledger_over:{problem.key}",
        )  # fmt: skip


def _answered(entry: Entry, run: ScheduledRun) -> Entry | None:
    outcome = policy.outcome_of(run)
    if outcome is None:
        return None
    return entry.model_copy(update={"outcome": outcome, "detail": run.message[:300]})


def _of(case: Case) -> Problem:
    return Problem(**case.model_dump(exclude={"told"}), over=True)


def _details(problem: Problem) -> dict[str, object]:
    return {**problem.model_dump(mode="json", exclude={"over"})}


def _tags(problem: Problem) -> tuple[str, ...]:
    return ("ledger", *([problem.job_id] if problem.job_id else []))


def _moment(stored: str | None) -> datetime | None:
    """A time that was stored; None where there is none, or somebody wrote something else there."""
    try:
        moment = datetime.fromisoformat(stored) if stored else None
    except ValueError:
        moment = None
    return moment if moment is not None and moment.tzinfo is not None else None
