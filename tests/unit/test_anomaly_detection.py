"""What the streaming detector finds, and what it lets pass."""

from __future__ import annotations

import math
import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from aegis_lib.anomaly.detection.detector import Detector
from aegis_lib.anomaly.detection.model import USUAL, Parameters, Reason, Score
from tests.anomaly_series import (
    DAY,
    START,
    STEP,
    Series,
    alarms,
    daily,
    during,
    feed,
    learned,
    noise,
    of_days,
    of_noise,
)


def test_nothing_is_judged_while_it_warms_up() -> None:
    detector = Detector()
    first, second, *rest = feed(detector, [1.0, 50.0, *([2.0, 3.0] * 60), 900.0])
    assert (first.expected, first.low, first.nearest, first.deviation) == (None, None, None, 0.0)
    assert second.expected == 1.0
    assert second.nearest == 1.0
    assert all(score.warming_up and score.score == score.unusual == 0 for score in (first, second, *rest))
    assert detector.warming_up
    assert detector.points == 123


def test_a_value_far_from_all_before_is_an_alarm_and_says_why() -> None:
    detector = of_noise(3)
    found = feed(detector, [140.0])[0]
    assert found.alarm
    assert found.reason is Reason.VALUE
    assert found.score == found.unusual > 0.9
    assert found.expected == pytest.approx(20, abs=5)
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < found.expected < found.high < 50
    assert found.deviation > 10
    assert found.nearest == pytest.approx(36, abs=6)


def test_a_value_in_a_hole_between_those_before_is_an_alarm_too() -> None:
    chance = random.Random(1)
    detector = learned(lambda _: chance.choice((10, 90)) + chance.gauss(0, 1), 3 * DAY)
    assert alarms(feed(detector, [50.0])) == [Reason.VALUE]


def test_what_was_seen_once_is_known_afterwards() -> None:
    detector = of_noise(3)
    assert alarms(feed(detector, [140.0])) == [Reason.VALUE]
    assert alarms(during(detector, 200, noise(2))) == []
    again = feed(detector, [140.0])[0]
    assert again.unusual < USUAL.alarm_at
    assert again.nearest == 140


def test_what_was_not_seen_for_long_is_forgotten() -> None:
    detector = learned(noise(), 2 * DAY, Parameters(memory_points=1000))
    feed(detector, [140.0])
    during(detector, 1100, noise(2))
    assert alarms(feed(detector, [140.0])) == [Reason.VALUE]


def test_after_an_alarm_it_rests_unless_a_point_is_more_unusual_still() -> None:
    detector = of_noise(3)
    first, smaller, larger = feed(detector, [60.0, 50.0, 400.0])
    assert first.alarm
    assert smaller.score == 0
    assert not smaller.alarm
    assert smaller.unusual > 0.3, "the point on its own is unusual all the same"
    assert larger.alarm


def test_the_rest_ends() -> None:
    detector = of_noise(3)
    feed(detector, [400.0])
    during(detector, USUAL.rest_points + 1, noise(2))
    assert alarms(feed(detector, [200.0])) == [Reason.VALUE]


def test_a_level_that_moves_among_known_values_is_an_alarm() -> None:
    chance = random.Random(3)
    detector = learned(lambda _: chance.uniform(0, 100), 10 * DAY)
    found = [score for score in during(detector, 100, lambda _: chance.uniform(0, 25)) if score.alarm]
    assert found
    assert {score.reason for score in found} == {Reason.LEVEL}
    assert found[-1].level is not None
    assert found[-1].level_before is not None
    assert found[-1].level < 40 < found[-1].level_before


def test_a_known_value_at_the_wrong_hour_is_an_alarm() -> None:
    detector = of_days(10)  # ends at midnight
    during(detector, 6 * 12, daily(2))
    dip = during(detector, 3, lambda _: 21.0)  # what the evening brings, at six in the morning
    assert alarms(dip) == [Reason.RHYTHM]
    assert dip[0].expected == pytest.approx(80, abs=6)


def test_a_job_of_each_hour_that_stays_away_is_an_alarm() -> None:
    chance = random.Random(5)

    def hourly(at: datetime) -> float:
        return chance.gauss(10, 1) + (60 if at.minute < 5 else 0)

    detector = learned(hourly, 10 * DAY)
    assert detector.last_at is not None
    assert (detector.last_at + STEP).minute == 0
    assert alarms(feed(detector, [10.0])) == [Reason.RHYTHM]


def test_weekends_are_expected_once_they_were_seen() -> None:
    chance = random.Random(7)

    def weekly(at: datetime) -> float:
        return (20 if at.weekday() >= 5 else 80) + chance.gauss(0, 2)

    detector = learned(weekly, 26 * DAY)  # up to Saturday
    assert detector.last_at is not None
    assert (detector.last_at + STEP).weekday() == 5
    weekend = during(detector, 2 * DAY, weekly)
    assert alarms(weekend) == []
    assert weekend[DAY].expected == pytest.approx(20, abs=15)


@pytest.mark.parametrize("value", [0.0, 17.3, -4e9])
def test_a_constant_series_is_silent_until_it_changes(value: float) -> None:
    detector = Detector()
    assert alarms(feed(detector, [value] * 3000)) == []
    changed = feed(detector, [value + 1])[0]
    assert changed.alarm
    assert changed.reason is Reason.VALUE
    assert changed.expected == value
    assert changed.deviation == 0, "no distance is usual where there never was one"


def test_a_series_that_only_grows_is_silent() -> None:
    chance = random.Random(1)
    at = 0.0

    def disk(_: datetime) -> float:
        nonlocal at
        at += 0.001
        return 40 + at + chance.gauss(0, 0.002)

    assert len(alarms(during(Detector(), 20 * DAY, disk))) <= 2


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_noise_gives_few_alarms(seed: int) -> None:
    chance = random.Random(seed)
    detector = learned(lambda _: chance.lognormvariate(4, 0.3), 10 * DAY)
    assert len(alarms(during(detector, 10 * DAY, lambda _: chance.lognormvariate(4, 0.3)))) <= 6


@pytest.mark.parametrize(
    "series", [noise(4), daily(4), lambda at: random.Random(at.timestamp()).lognormvariate(4, 0.6)]
)
def test_about_99_of_100_points_are_within_the_bounds_that_are_told(series: Series) -> None:
    detector = Detector()
    shown: list[tuple[float, Score]] = []
    for n in range(15 * DAY):
        value = series(START + n * STEP)
        shown.append((value, feed(detector, [value])[0]))
    within = [score.low <= value <= score.high for value, score in shown[3 * DAY :]]  # type: ignore[operator]
    assert 0.98 < sum(within) / len(within) < 0.997


def test_bounds_narrow_again_when_what_widened_them_has_a_rhythm() -> None:
    chance = random.Random(5)
    detector = learned(lambda at: chance.gauss(10, 1) + (60 if at.minute < 5 else 0), 14 * DAY)
    high = feed(detector, [70.0, 10.0])[1].high
    assert high is not None
    assert 10 < high < 30


def test_a_hole_in_the_points_is_no_point() -> None:
    detector = of_days(10)
    assert detector.last_at is not None
    begin = detector.last_at + timedelta(days=3, hours=7)
    series = daily(2)
    after = [detector.update(begin + n * STEP, series(begin + n * STEP)) for n in range(DAY)]
    assert alarms(after) == []


def test_after_a_deployment_it_learns_the_new_level_without_an_alarm() -> None:
    told, untold = of_noise(5), of_noise(5)
    assert told.last_at is not None
    told.relearn(told.last_at + STEP)
    assert told.warming_up
    after = during(told, 2 * DAY, noise(2, mean=70))
    assert [score.warming_up for score in after[:31]] == [True] * 30 + [False]
    assert alarms(after) == []
    assert after[60].expected == pytest.approx(70, abs=6)
    assert alarms(during(untold, 2 * DAY, noise(2, mean=70)))


def test_after_a_deployment_what_is_new_to_both_is_an_alarm() -> None:
    detector = of_noise(5)
    assert detector.last_at is not None
    detector.relearn(detector.last_at)
    during(detector, 100, noise(2, mean=70))
    assert alarms(feed(detector, [300.0])) == [Reason.VALUE]


def test_the_daily_rhythm_follows_a_deployment_within_days() -> None:
    detector = of_days(10)
    assert detector.last_at is not None
    detector.relearn(detector.last_at)
    series = daily(2)
    assert alarms(during(detector, 3 * DAY, lambda at: series(at) / 4)) == []
    expected = during(detector, 1, lambda at: series(at) / 4)[0].expected
    assert expected == pytest.approx(12.5, abs=6)


def test_a_deployment_of_long_ago_or_before_the_first_point_changes_nothing() -> None:
    detector = Detector()
    detector.relearn(START)
    assert detector.state() == Detector().state()
    during(detector, 2 * DAY, noise())
    before = detector.state()
    detector.relearn(START)
    assert detector.state() == before


def test_a_change_below_the_least_one_is_never_unusual() -> None:
    careless = Parameters(least_change=2.0)
    detector = learned(lambda _: 3.0, 3 * DAY, careless)
    assert feed(detector, [4.5])[0].unusual == 0
    assert alarms(feed(detector, [30.0])) == [Reason.VALUE]
    chance = random.Random(3)
    small = learned(lambda _: chance.uniform(0, 2), 10 * DAY, careless)
    assert alarms(during(small, DAY, lambda _: chance.uniform(0, 0.4))) == []
    wave, later = daily(), daily(2)
    rhythmic = learned(wave, 10 * DAY, Parameters(least_change=100.0))
    during(rhythmic, 6 * 12, later)
    assert alarms(feed(rhythmic, [21.0])) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.1e100])
def test_what_is_no_finite_number_is_refused_and_not_learned(value: float) -> None:
    detector = learned(noise(), 10)
    before = detector.state()
    with pytest.raises(ValueError, match=r"no finite number.*Fix: leave the point out"):
        feed(detector, [value])
    assert detector.state() == before


@pytest.mark.parametrize("back", [timedelta(0), timedelta(seconds=1)])
def test_points_out_of_order_are_refused_and_not_learned(back: timedelta) -> None:
    detector = learned(noise(), 10)
    before = detector.state()
    assert detector.last_at is not None
    with pytest.raises(ValueError, match="is not after the last point"):
        detector.update(detector.last_at - back, 1.0)
    assert detector.state() == before


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        Detector().update(datetime(2025, 3, 3), 1.0)  # noqa: DTZ001 - that is the point


@pytest.mark.parametrize(
    "wrong",
    [
        {"alarm_at": 0},
        {"alarm_at": 1.01},
        {"alarm_at": math.nan},
        {"least_change": -1},
        {"least_change": math.inf},
        {"warm_up_points": 1},
        {"settle_points": 0},
        {"rest_points": -1},
        {"memory_points": 149},
    ],
)
def test_parameters_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Fix: "):
        Parameters(**wrong)


def test_each_reason_has_words() -> None:
    assert len({reason.words for reason in Reason}) == len(Reason)
