"""The parts of the detector against plain reckoning: nearest values, rarity, levels, rhythms."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_lib.anomaly.detection.level import Level
from aegis_lib.anomaly.detection.novelty import Novelty
from aegis_lib.anomaly.detection.rarity import Rarity
from aegis_lib.anomaly.detection.rhythm import Rhythm

MONDAY = datetime(2025, 3, 3, tzinfo=UTC)


def told(novelty: Novelty, value: float) -> float:
    newness, share = novelty.judge(value)
    novelty.learn(value, share)
    return newness


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1000, 1000) | st.floats(-1e6, 1e6), min_size=2, max_size=150),
    st.floats(-1e6, 1e6),
)
def test_the_nearest_value_is_right_to_the_width_of_a_bin(values: list[float], sought: float) -> None:
    novelty = Novelty(6000)
    for value in values:
        told(novelty, value)
    found = novelty.nearest(sought)
    assert found in values
    nearest = min(abs(sought - value) for value in values)
    bin_width = max((max(values) - min(values)) / 63, max(map(abs, values)) * 1e-11)
    assert nearest <= abs(sought - found) <= nearest + bin_width


def test_a_glitch_makes_bins_coarse_only_while_it_is_remembered() -> None:
    chance = random.Random(1)
    novelty = Novelty(500)
    for _ in range(200):
        told(novelty, chance.uniform(0, 1))
    told(novelty, 1e6)
    assert novelty.span > 9e5
    for _ in range(1500):
        told(novelty, chance.uniform(0, 1))
    assert novelty.span <= 1
    assert told(novelty, 1.5) > told(novelty, 0.5)


def test_a_value_is_new_by_its_share_of_the_range_and_by_how_rare_that_is() -> None:
    seldom, often = Novelty(6000), Novelty(6000)
    for n in range(1000):
        told(seldom, n % 100)
        told(often, n % 100 if n % 10 else 100 + n)
    assert seldom.judge(150)[0] > 0
    assert often.judge(often.span + 50 * often.span)[0] < seldom.judge(100 + 50 * 100)[0]


def test_the_largest_of_n_numbers_has_a_surprise_of_about_ln_2n() -> None:
    rarity = Rarity()
    for n in range(1, 1001):
        rarity.learn(n / 1000)
    assert rarity.surprise(50) == pytest.approx(math.log(2002))
    assert rarity.surprise(0.5) == pytest.approx(math.log(2), abs=0.2)
    assert rarity.surprise(0) == pytest.approx(0, abs=0.001)


def test_rarity_forgets_slowly() -> None:
    rarity = Rarity()
    for _ in range(100):
        rarity.learn(5.0)
    for _ in range(100_000):
        rarity.learn(1.0)
    assert rarity.surprise(5.0) > math.log(2 * 10_000) - 1
    assert sum(rarity.state().values()) < 20_001


@pytest.mark.parametrize("damage", [{"-1": 1}, {"400": 1}, {"x": 1}, {"3": 0}, {"3": -1}, {"3": math.inf}])
def test_counts_that_cannot_be_are_refused(damage: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Rarity.restored(damage)


def test_the_level_before_is_the_mean_of_the_points_before_the_last_fifty() -> None:
    level = Level()
    for n in range(109):
        level.judge(float(n), 100)
    assert level.before is None
    assert level.now == pytest.approx(83.5)
    level.judge(109.0, 100)
    assert level.before == pytest.approx(29.5)
    assert level.now == pytest.approx(84.5)


def test_a_level_that_never_moves_is_no_surprise() -> None:
    level = Level()
    assert {level.judge(0.1 + 0.2, 0.0) for _ in range(500)} == {0.0}


def test_hours_of_the_day_of_the_week_and_parts_of_the_hour_are_learned() -> None:
    rhythm = Rhythm()
    expected = {}
    for n in range(288 * 7 * 8):
        at = MONDAY + n * timedelta(minutes=5)
        value = at.hour * 10 + (0 if at.weekday() < 5 else -5) + (3 if at.minute == 30 else 0)
        expected[at] = (rhythm.judge(at, value), value)
    assert expected[MONDAY + timedelta(days=1)][0] is None, "this hour was there once only"
    last = [pair for at, pair in expected.items() if at >= MONDAY + timedelta(days=49)]
    wrong = [abs(usual - value) for usual, value in last if usual is not None]
    assert len(wrong) == len(last)
    assert sum(wrong) / len(wrong) < 1


def test_an_hour_with_few_points_weighs_as_much_as_a_full_one() -> None:
    full, sparse = Rhythm(), Rhythm()
    for n in range(12 * 24 * 6):
        at = MONDAY + n * timedelta(minutes=5)
        full.judge(at, at.hour)
        if n % 12 == 0 or at.day % 2:
            sparse.judge(at, at.hour)
    later = MONDAY + timedelta(days=6, hours=4)
    assert sparse.judge(later, 4.0) == pytest.approx(full.judge(later, 4.0), abs=0.01)


def test_what_shifts_by_an_hour_is_expected() -> None:
    rhythm = Rhythm()
    for n in range(24 * 10):
        at = MONDAY + n * timedelta(hours=1)
        rhythm.judge(at, 90.0 if at.hour == 8 else 10.0)
    at = MONDAY + timedelta(days=10, hours=7)
    assert rhythm.judge(at, 90.0) == pytest.approx(90)
    assert rhythm.judge(at + timedelta(hours=5), 90.0) == pytest.approx(10)
