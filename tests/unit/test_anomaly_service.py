"""Scans against fakes: what is learned, opened, told, held and ended, and what is not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from aegis_lib.alerts.model import Phase
from aegis_lib.anomaly import service
from aegis_lib.anomaly.detection.model import USUAL
from aegis_lib.anomaly.model import STEP, AnomalyConfig, Held, ScanReport, Series
from aegis_lib.errors import DependencyUnavailable, PermanentFailure
from aegis_lib.metrics.model import Kind
from aegis_lib.outcome import Outcome
from tests.fakes.alerts import FakeNotifier
from tests.fakes.anomalies import NOON, WEB_CPU, WEB_MEMORY, FakeAnomalies, new_group, unusual
from tests.fakes.memory import FakeMemory
from tests.fakes.state import FakeState

LEARNED = USUAL.warm_up_points + 60
"""So many quiet points before the first that may be told of."""
JUST_AFTER = timedelta(seconds=92)


def quiet(points: int = LEARNED, level: float = 300e6) -> list[float | None]:
    """A series that goes up and down a little, never twice the same."""
    return [level * (1 + 0.01 * math.sin(n * 1.7) + 0.004 * math.sin(n * 0.37)) for n in range(points)]


class Room:
    """Everything a scan touches."""

    def __init__(self) -> None:
        self.store, self.state = FakeAnomalies(), FakeState()
        self.memory, self.notifier = FakeMemory(), FakeNotifier()
        self.config = AnomalyConfig()

    def scan(self, now: datetime, **changes: Any) -> ScanReport:
        return service.scan(self.store, self.state, self.memory, self.notifier, self.config, now, **changes)

    def live(self, series: Series, before: Sequence[float | None], then: Sequence[float | None],
             deployment: str = "aaaa") -> list[ScanReport]:  # fmt: skip
        """Learn `before`, which ends at noon, in one scan; then a scan for each five minutes of `then`."""
        self.store.measure(series, NOON - len(before) * STEP, before, "aaaa")
        self.scan(NOON + JUST_AFTER)
        reports = []
        for number, value in enumerate(then):
            self.store.measure(series, NOON + number * STEP, [value], deployment)
            reports.append(self.scan(NOON + (number + 1) * STEP + JUST_AFTER))
        return reports

    def titles(self) -> list[str]:
        return [message.title for message in self.notifier.sent]


@pytest.fixture
def room() -> Room:
    return Room()


def test_a_jump_is_told_once_with_its_numbers_and_its_end(room: Room) -> None:
    reports = room.live(WEB_MEMORY, quiet(), [800e6, 810e6, *quiet(8)])
    assert reports[0].alerted == ("web on local: memory in use, more than usual",)
    assert [len(report.alerted) for report in reports[1:]] == [0] * 9
    assert room.titles() == [
        "Unusual: web on local: memory in use, more than usual",
        "Over: web on local: memory in use, more than usual",
    ]
    first, last = room.notifier.sent
    assert "800 MB, expected 30" in first.body
    assert (first.problem, last.problem, last.phase) == ("anomaly:1", "anomaly:1", Phase.OVER)
    (group,) = room.store.groups.values()
    assert group.closed_at == NOON + 2 * STEP + timedelta(minutes=30)
    assert [(e.event_type, e.importance.value, e.tags[1]) for e in room.memory.of_type("anomaly")] == [
        ("anomaly", "medium", "found"), ("anomaly", "low", "over"),
    ]  # fmt: skip


def test_a_quiet_series_is_never_told_of(room: Room) -> None:
    reports = room.live(WEB_MEMORY, quiet(), quiet(LEARNED + 100)[LEARNED:])
    assert sum(report.unusual for report in reports) == 0
    assert room.notifier.sent == []
    assert room.memory.of_type("anomaly") == []


def test_nothing_is_said_while_a_series_is_still_learned(room: Room) -> None:
    (report,) = room.live(WEB_MEMORY, quiet(20), [800e6])
    assert (report.unusual, report.warming_up) == (0, 1)
    assert "1 series are still being learned" in report.summary


def test_what_lasts_stays_one_anomaly_until_it_is_the_new_usual(room: Room) -> None:
    reports = room.live(WEB_MEMORY, quiet(), quiet(90, level=800e6))
    assert len(room.store.groups) == 1
    assert sum(len(report.alerted) for report in reports) == 1
    assert "this is the new usual" in room.notifier.sent[-1].body


def test_a_deployment_is_no_anomaly(room: Room) -> None:
    reports = room.live(WEB_MEMORY, quiet(), quiet(40, level=500e6), deployment="bbbb")
    assert sum(report.unusual for report in reports) == 0
    assert room.store.kept[WEB_MEMORY.name].deployment == "bbbb"


def test_a_gap_is_no_value_and_no_anomaly(room: Room) -> None:
    reports = room.live(WEB_MEMORY, quiet(), [None] * 30 + quiet(5))
    assert reports[0].outcome is Outcome.NO_INPUT
    assert "metrics_collect" in reports[0].summary
    assert sum(report.unusual for report in reports) == 0


def test_a_second_scan_of_the_same_time_changes_nothing(room: Room) -> None:
    room.live(WEB_MEMORY, quiet(), [800e6])
    before = (dict(room.store.kept), dict(room.store.groups), len(room.notifier.sent))
    again = room.scan(NOON + STEP + JUST_AFTER)
    assert again.summary == "Nothing new since the last scan."
    room.state.set(service.SEEN_KEY, (NOON - timedelta(hours=3)).isoformat())
    room.scan(NOON + STEP + JUST_AFTER)
    assert (dict(room.store.kept), dict(room.store.groups), len(room.notifier.sent)) == before


def test_of_two_scans_at_once_one_tells(room: Room) -> None:
    room.live(WEB_MEMORY, quiet(), [])
    room.store.measure(WEB_MEMORY, NOON, [800e6], "aaaa")
    saved = room.store.save

    def overtaken(states: Any) -> frozenset[str]:
        """Another scan does all of it right before this one keeps anything."""
        room.store.save = saved  # type: ignore[method-assign]
        room.scan(NOON + STEP + JUST_AFTER)
        return saved(states)

    room.store.save = overtaken  # type: ignore[method-assign]
    report = room.scan(NOON + STEP + JUST_AFTER)
    assert (report.unusual, report.alerted) == (0, ())
    assert len(room.notifier.sent) == 1
    assert len(room.store.found[1]) == 1


def container(number: int, metric: str = "memory_bytes") -> Series:
    return Series(kind=Kind.CONTAINER, host=f"h{number}", subject=f"c{number}", metric=metric)


def wait_for_alert(room: Room, hosts: int) -> ScanReport:
    """Quiet on every host, then a jump on each."""
    for number in range(hosts):
        room.store.measure(container(number), NOON - LEARNED * STEP, quiet(), "aaaa")
    room.scan(NOON + JUST_AFTER)
    for number in range(hosts):
        room.store.measure(container(number), NOON, [(800 + 10 * number) * 1e6], "aaaa")
    return room.scan(NOON + STEP + JUST_AFTER)


def test_people_are_told_of_no_more_than_the_budget(room: Room) -> None:
    room.config = AnomalyConfig(alerts_per_day=2)
    report = wait_for_alert(room, 5)
    assert (len(report.opened), len(report.alerted), report.held) == (5, 2, 3)
    assert sum(group.held is Held.BUDGET for group in room.store.groups.values()) == 3
    assert ["last of 2 alerts" in message.body for message in room.notifier.sent] == [False, True]


def test_a_budget_of_nothing_finds_and_does_not_tell(room: Room) -> None:
    room.config = AnomalyConfig(alerts_per_day=0)
    report = wait_for_alert(room, 2)
    assert (len(report.opened), len(report.alerted)) == (2, 0)
    assert room.notifier.sent == []


def test_after_a_day_there_is_a_new_budget(room: Room) -> None:
    room.config = AnomalyConfig(alerts_per_day=1)
    assert len(wait_for_alert(room, 2).alerted) == 1
    calm = quiet(26 * 12)
    room.store.measure(container(0), NOON + STEP, calm, "aaaa")
    next_day = NOON + (len(calm) + 1) * STEP
    room.store.measure(container(0), next_day, [2000e6], "aaaa")
    assert len(room.scan(next_day + STEP + JUST_AFTER).alerted) == 1


def test_what_was_dismissed_is_no_news_again_and_more_of_it_is(room: Room) -> None:
    room.live(WEB_MEMORY, quiet(), [800e6])
    room.store.dismiss(1, NOON + STEP, NOON + timedelta(days=30))

    def again(hours: float, value: float) -> ScanReport:
        """Learn on quietly, then a jump."""
        start, at = max(p.at for p in room.store.series[WEB_MEMORY]) + STEP, NOON + timedelta(hours=hours)
        room.store.measure(WEB_MEMORY, start, quiet(int((at - start) / STEP)), "aaaa")
        room.store.measure(WEB_MEMORY, at, [value], "aaaa")
        return room.scan(at + STEP + JUST_AFTER)

    known = again(40, 860e6)
    assert (len(known.opened), len(known.alerted), known.held) == (1, 0, 1)
    assert room.store.groups[2].held is Held.LESSON
    more = again(80, 1300e6)
    assert len(more.alerted) == 1
    assert room.titles()[1] == "Over: web on local: memory in use, more than usual"
    assert "Dismissed by ada" in room.notifier.sent[1].body


def test_after_a_break_it_catches_up_and_tells_only_what_is_still_so(room: Room) -> None:
    values = [*quiet(), 800e6, *quiet(60)]
    room.store.measure(WEB_MEMORY, NOON - len(values) * STEP, values, "aaaa")
    report = room.scan(NOON + JUST_AFTER)
    assert (len(report.opened), len(report.alerted), len(report.closed)) == (1, 0, 1)
    assert room.notifier.sent == []


def test_what_takes_too_long_goes_on_in_the_next_scan(room: Room) -> None:
    room.store.measure(WEB_MEMORY, NOON - LEARNED * STEP, quiet(), "aaaa")
    ticks = iter(range(0, 1000, 60))
    first = room.scan(NOON + JUST_AFTER, time_limit_seconds=150, monotonic=lambda: float(next(ticks)))
    assert not first.caught_up
    assert "the next run goes on" in first.summary
    second = room.scan(NOON + JUST_AFTER)
    assert second.caught_up
    assert first.points + second.points == LEARNED


def test_a_series_that_cannot_be_judged_does_not_spoil_the_others(room: Room) -> None:
    room.store.measure(WEB_MEMORY, NOON - 5 * STEP, quiet(5), "aaaa")
    room.store.measure(WEB_CPU, NOON - 5 * STEP, [0.5, math.inf, 0.5], "aaaa")
    report = room.scan(NOON + JUST_AFTER)
    assert report.outcome is Outcome.DEGRADED
    assert [problem.partition(":")[0] for problem in report.problems] == [WEB_CPU.name]
    assert set(room.store.kept) == {WEB_MEMORY.name}


def test_a_state_of_another_version_is_learned_anew(room: Room) -> None:
    room.live(WEB_MEMORY, quiet(), [])
    kept = room.store.kept[WEB_MEMORY.name]
    room.store.kept[WEB_MEMORY.name] = kept.model_copy(update={"state": {"version": -1}})
    room.store.measure(WEB_MEMORY, NOON, [800e6], "aaaa")
    report = room.scan(NOON + STEP + JUST_AFTER)
    assert (report.outcome, report.unusual, report.warming_up) == (Outcome.COMPLETED, 0, 1)


@pytest.mark.parametrize("error", [DependencyUnavailable("Discord", "away."), PermanentFailure("refused")])
def test_whoever_cannot_be_told_now_is_told_by_the_next_scan(room: Room, error: Exception) -> None:
    room.live(WEB_MEMORY, quiet(), [])
    room.notifier.broken = error
    room.store.measure(WEB_MEMORY, NOON, [800e6], "aaaa")
    report = room.scan(NOON + STEP + JUST_AFTER)
    assert (report.outcome, report.alerted) == (Outcome.DEGRADED, ())
    room.notifier.broken = None
    assert len(room.scan(NOON + STEP + 2 * JUST_AFTER).alerted) == 1
    assert len(room.notifier.sent) == 1


def test_a_process_that_died_while_telling_is_replaced(room: Room) -> None:
    number = room.store.open_group(new_group(unusual()), [unusual()])
    (group,) = room.store.open_groups()
    assert room.store.claim_alert(group, NOON, 4, NOON - timedelta(days=1), service.LEASE)
    assert room.scan(NOON + timedelta(minutes=2)).alerted == ()
    assert len(room.scan(NOON + timedelta(minutes=5)).alerted) == 1
    assert room.store.groups[number].alerted_at is not None


def test_without_any_series_there_is_no_input(room: Room) -> None:
    first = room.scan(NOON + JUST_AFTER)
    assert first.summary == "Nothing new since the last scan."
    assert room.scan(NOON + STEP + JUST_AFTER).outcome in {Outcome.COMPLETED, Outcome.NO_INPUT}


def test_series_that_nobody_watches_are_not_learned(room: Room) -> None:
    room.config = AnomalyConfig(ignore=("container/*/web/*",))
    room.live(WEB_MEMORY, quiet(), [800e6])
    assert room.store.kept == {}


def test_when_the_database_is_away_the_scan_fails(room: Room) -> None:
    room.store.broken = DependencyUnavailable("PostgreSQL", "away.")
    with pytest.raises(DependencyUnavailable, match="PostgreSQL"):
        room.scan(NOON)


def test_detectors_of_series_that_ended_are_forgotten(room: Room) -> None:
    room.live(WEB_MEMORY, quiet(10), [])
    room.scan(NOON + timedelta(days=31))
    assert room.store.kept == {}


def test_the_sensitivity_can_be_set(room: Room) -> None:
    room.config = AnomalyConfig(alarm_at=1.0)
    made: Callable[[float], list[ScanReport]] = lambda jump: room.live(WEB_MEMORY, quiet(), [jump])  # noqa: E731
    assert sum(report.unusual for report in made(340e6)) == 0
