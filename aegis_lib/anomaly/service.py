"""One scan: new points are judged, what belongs together is grouped, and people are told of few of them.

It tells nobody without a claim. Judging the same points twice changes nothing: a detector's state is only
kept by the one that judged from the state before, and an unusual point is kept once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from aegis_lib import clock, isolation
from aegis_lib.anomaly import messages, policy
from aegis_lib.anomaly.detection.detector import Detector
from aegis_lib.anomaly.detection.model import USUAL, Parameters, Score
from aegis_lib.anomaly.model import (
    EVENT_TYPE,
    STEP,
    AnomalyConfig,
    Group,
    Held,
    Placement,
    Point,
    ScanReport,
    Series,
    SeriesState,
    Unusual,
)
from aegis_lib.errors import AegisError, DependencyUnavailable, PermanentFailure
from aegis_lib.logs import get_logger
from aegis_lib.memory.model import Importance
from aegis_lib.outcome import Outcome
from aegis_lib.ports.alerts import Notifier
from aegis_lib.ports.anomaly import AnomalyStore
from aegis_lib.ports.memory import EpisodicMemory
from aegis_lib.ports.state import StateStore

SEEN_KEY = "anomaly_seen_until"
"""State: up to when all series were judged."""
WINDOW = timedelta(hours=1)
"""So much is read at once when there is something to catch up with."""
AT_ONCE = 200
"""So many series' states are held at once."""
LEASE = timedelta(seconds=240)
BUDGET_WINDOW = timedelta(hours=24)
FORGET_AFTER = timedelta(days=30)
TIME_LIMIT_SECONDS = 150.0
MOST_PROBLEMS = 20
log = get_logger(__name__)


@dataclass
class _Scan:
    store: AnomalyStore
    state: StateStore
    memory: EpisodicMemory
    notifier: Notifier
    config: AnomalyConfig
    now: datetime
    parameters: Parameters
    series: set[str] = field(default_factory=set)
    points: int = 0
    unusual: int = 0
    opened: list[str] = field(default_factory=list)
    alerted: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    held: int = 0
    begun: dict[str, Unusual] = field(default_factory=dict)
    """The first unusual point of each series in an open group."""
    broken: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    @property
    def calm(self) -> timedelta:
        return timedelta(minutes=self.config.calm_minutes)

    # --- judging ---

    def start(self) -> datetime:
        """Where the scan before this one ended; the oldest sample for the first."""
        first = self.now - policy.FIRST_LOOK
        kept = self.state.get(SEEN_KEY)
        if kept is not None:
            return max(policy.floor(datetime.fromisoformat(kept)), policy.floor(first))
        return policy.floor(self.store.earliest(first) or self.now)

    def window(self, since: datetime, until: datetime) -> None:
        """Judge every point of a stretch of time."""
        found = {
            series: points
            for series, points in self.store.points(since, until).items()
            if policy.watched(series, self.config)
        }
        self.begun = {point.series.name: point for point in self.store.open_points()}
        listed = list(found)
        unusual: list[Unusual] = []
        for start in range(0, len(listed), AT_ONCE):
            unusual += self._judged({series: found[series] for series in listed[start : start + AT_ONCE]})
        self._place(unusual)
        self._close(until)

    def _judged(self, found: Mapping[Series, Sequence[Point]]) -> list[Unusual]:
        states = self.store.states(list(found))
        learned: list[tuple[SeriesState, datetime | None]] = []
        unusual: dict[str, list[Unusual]] = {}
        for series, points in found.items():
            known = states.get(series.name)
            self.series.add(series.name)
            fresh = [point for point in points if known is None or point.at > known.seen_until]
            if not fresh:
                continue
            judged = isolation.attempt(partial(self._judge, series, known, fresh))
            if isinstance(judged, Exception):
                self._broken(series, judged)
                continue
            state, unusual[series.name] = judged
            learned.append((state, known.seen_until if known else None))
            self.points += len(fresh)
        saved = self.store.save(learned)
        return [point for name in unusual if name in saved for point in unusual[name]]

    def _broken(self, series: Series, error: Exception) -> None:
        """A series that cannot be judged; said once a scan, and it does not stop the others."""
        if series.name not in self.broken:
            log.error("series_not_judged", series=series.name, error=str(error), kind=type(error).__name__)
            self.broken.add(series.name)
            self.problems.append(f"{series.name}: {error}")

    def _judge(
        self, series: Series, known: SeriesState | None, points: Sequence[Point]
    ) -> tuple[SeriesState, list[Unusual]]:
        detector = self._detector(series, known)
        deployment = known.deployment if known else points[0].deployment
        unusual: list[Unusual] = []
        warming_up = known.warming_up if known else True
        for point in points:
            if point.deployment != deployment:
                deployment = point.deployment
                detector.relearn(point.at)
                self.begun.pop(series.name, None)
            score = detector.update(point.at, point.value)
            warming_up = score.warming_up
            judged = self._unusual(series, point, score)
            if judged is not None:
                unusual.append(judged)
        state = SeriesState(
            series=series,
            deployment=deployment,
            state=detector.state(),
            seen_until=points[-1].at,
            points=(known.points if known else 0) + len(points),
            warming_up=warming_up,
        )
        return state, unusual

    def _unusual(self, series: Series, point: Point, score: Score) -> Unusual | None:
        """The point, if it is an alarm or goes on with one, and matters."""
        enough = score.alarm or score.unusual >= self.parameters.alarm_at
        if enough and policy.matters(series, point.value, score.expected, self.config):
            return Unusual(
                series=series,
                at=point.at,
                score=max(score.score, score.unusual),
                value=point.value,
                expected=score.expected,
                low=score.low,
                high=score.high,
                deviation=score.deviation,
                opens=score.alarm,
            )
        first = self.begun.get(series.name)
        return policy.still(first, point, self.config) if first is not None else None

    def _detector(self, series: Series, known: SeriesState | None) -> Detector:
        parameters = replace(self.parameters, least_change=policy.smallest_change(series, self.config))
        if known is None:
            return Detector(parameters)
        try:
            return Detector.restored(known.state, parameters)
        except PermanentFailure as error:  # of another version: it learns anew
            log.warning("detector_begins_anew", series=series.name, reason=str(error))
            return Detector(parameters)

    # --- grouping ---

    def _place(self, unusual: Sequence[Unusual]) -> None:
        if not unusual:
            return
        lessons = self.store.lessons({point.series.name for point in unusual}, self.now)
        points = [
            point.model_copy(update={"known": policy.covered(point, lessons, self.now)}) for point in unusual
        ]
        for placement in policy.placed(points, self.store.open_groups(), self.calm):
            self._keep(placement)

    def _keep(self, placement: Placement) -> None:
        self.unusual += len(placement.points)
        if placement.group is not None:
            self.store.extend_group(placement.group, placement.points)
        elif placement.new is not None:
            number = self.store.open_group(placement.new, placement.points)
            self.opened.append(placement.new.title)
            log.info("anomaly_found", id=number, title=placement.new.title, points=len(placement.points))

    def _close(self, until: datetime) -> None:
        for group in self.store.open_groups():
            if policy.is_calm(group, until, self.calm):
                self._end(group, group.last_at + STEP + self.calm)

    def _end(self, group: Group, at: datetime) -> None:
        if not self.store.close_group(group, at):
            return
        self.closed.append(group.title)
        if group.alerted_at is not None:
            lasted = clock.duration(group.last_at + STEP - group.opened_at)
            self._remember(group, "over", f"Over after {lasted}: {group.title}", Importance.LOW)

    # --- telling people ---

    def tell(self) -> None:
        """Tell people of what is new, within the budget, and of what is over."""
        for group in self.store.ended_untold():
            self._attempt(group, partial(self._tell_end, group))
        waiting = [
            group
            for group in self.store.open_groups()
            if group.alerted_at is None and group.dismissed_at is None
        ]
        for group in sorted(waiting, key=lambda g: (-g.score, g.id)):
            if group.held is Held.LESSON:
                self.held += 1
                continue
            self._attempt(group, partial(self._tell, group))

    def _attempt(self, group: Group, act: Callable[[], None]) -> None:
        """Tell of one group; when nobody can be reached, the next scan tries again."""
        try:
            act()
        except DependencyUnavailable as error:
            if error.system == "PostgreSQL":
                raise
            self._untold(group, error)
        except PermanentFailure as error:
            self._untold(group, error)

    def _untold(self, group: Group, error: AegisError) -> None:
        self.store.release(group)
        self.problems.append(f"anomaly {group.id} could not be told: {error}")

    def _tell(self, group: Group) -> None:
        budget, since = self.config.alerts_per_day, self.now - BUDGET_WINDOW
        if not self.store.claim_alert(group, self.now, budget, since, LEASE):
            self.held += 1
            if self.store.alerts_since(since) >= budget:
                self.store.hold(group, Held.BUDGET)
            return
        points = self.store.points_of(group.id)
        spent = self.store.alerts_since(since) >= budget
        message = messages.found(
            group, points, self._histories(points), last_of_budget=budget if spent else 0
        )
        self.notifier.send(message)
        self.store.alerted(group, self.now)
        self.alerted.append(group.title)
        details = {"series": sorted({point.series.name for point in points}), "score": round(group.score, 3)}
        self._remember(group, "found", message.title, Importance.MEDIUM, details)

    def _tell_end(self, group: Group) -> None:
        if self.store.claim_end(group, self.now, LEASE):
            self.notifier.send(messages.over(group))
            self.store.end_told(group, self.now)

    def _histories(self, points: Sequence[Unusual]) -> dict[str, Sequence[Point]]:
        """How the series went up to now, and around the same time a day and a week ago."""
        found: dict[str, Sequence[Point]] = {}
        worst = policy.ranked(points)
        for point in worst:
            if point.series.name in found or len(found) >= messages.MOST_SERIES:
                continue
            history = list(self.store.history(point.series, self.now - messages.PLOTTED - WINDOW, self.now))
            mine = [other.at for other in points if other.series == point.series]
            for _, away in messages.EARLIER:
                history += self.store.history(point.series, min(mine) - away, max(mine) - away + STEP)
            found[point.series.name] = history
        return found

    def _remember(
        self,
        group: Group,
        what: str,
        summary: str,
        importance: Importance,
        details: Mapping[str, object] | None = None,
    ) -> None:
        self.memory.record(
            EVENT_TYPE,
            summary,
            {"id": group.id, "host": group.host, "cause": group.cause, **(details or {})},
            importance,
            ("anomaly", what),
            timestamp=self.now,
            key=f"{group.key}:{what}",
        )


def scan(
    store: AnomalyStore,
    state: StateStore,
    memory: EpisodicMemory,
    notifier: Notifier,
    config: AnomalyConfig,
    now: datetime,
    *,
    time_limit_seconds: float = TIME_LIMIT_SECONDS,
    monotonic: Callable[[], float] = time.monotonic,
) -> ScanReport:
    """Judge what was measured since the last scan, group it, tell people of some, and end what is calm.

    After a break it catches up hour by hour, for at most `time_limit_seconds`; people are only told of what
    lasts to this day. Without any new sample for a while the outcome is `NoInput`.

    Raises:
        DependencyUnavailable: the database is away.
    """
    parameters = replace(USUAL, alarm_at=config.alarm_at)
    found = _Scan(store, state, memory, notifier, config, now, parameters)
    began, until = monotonic(), policy.complete_until(now)
    start = since = found.start()
    while since < until and monotonic() - began < time_limit_seconds:
        end = min(since + WINDOW, until)
        found.window(since, end)
        state.set(SEEN_KEY, end.isoformat())
        since = end
    if since >= until:
        found.tell()
    store.forget_series(now - FORGET_AFTER)
    return _report(found, looked=since - start, caught_up=since >= until)


def _report(found: _Scan, looked: timedelta, *, caught_up: bool) -> ScanReport:
    warming_up = found.store.warming_up()
    outcome = Outcome.COMPLETED
    if found.problems:
        outcome = Outcome.DEGRADED
    elif looked > timedelta(0) and not found.points:
        outcome = Outcome.NO_INPUT
    report = ScanReport(
        outcome=outcome,
        summary=_summary(found, warming_up, looked, caught_up=caught_up),
        series=len(found.series),
        points=found.points,
        unusual=found.unusual,
        opened=tuple(found.opened),
        alerted=tuple(found.alerted),
        closed=tuple(found.closed),
        held=found.held,
        warming_up=warming_up,
        caught_up=caught_up,
        problems=tuple(found.problems[:MOST_PROBLEMS]),
    )
    log.info(
        "anomaly_scan_complete",
        series=report.series,
        points=report.points,
        unusual=report.unusual,
        alerted=len(report.alerted),
    )
    return report


def _summary(found: _Scan, warming_up: int, looked: timedelta, *, caught_up: bool) -> str:
    if not looked:
        return "Nothing new since the last scan."
    if not found.points and not found.problems:
        return (
            f"Nothing was measured in {clock.duration(looked)}. Fix: see that metrics_collect runs "
            "(`aegis history metrics_collect`)."
        )
    text = f"{found.points} points of {len(found.series)} series judged, {found.unusual} unusual"
    text += f"; people told of {len(found.alerted)}." if found.alerted else "."
    if found.held:
        text += f" Not told: {found.held} (budget of the day, or a lesson)."
    if warming_up:
        text += f" {warming_up} series are still being learned."
    if not caught_up:
        text += " Older points took all the time; the next run goes on."
    if found.problems:
        text += f" {len(found.problems)} problems; the first: {found.problems[0]}"
    return text
