"""What the streaming detector remembers: whole, small, refused when damaged, whatever the numbers were."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable
from dataclasses import fields
from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_lib.anomaly.detection.detector import Detector
from aegis_lib.anomaly.detection.model import Parameters
from aegis_lib.errors import PermanentFailure
from tests.anomaly_series import (
    DAY,
    START,
    STEP,
    daily,
    during,
    feed,
    learned,
    of_days,
    of_noise,
)


@settings(max_examples=15, deadline=None)
@given(cut=st.integers(0, 6 * DAY), seed=st.integers(0, 5))
def test_a_restored_detector_goes_on_as_if_nothing_had_been(cut: int, seed: int) -> None:
    series = daily(seed)
    kept = learned(series, cut)
    text = json.dumps(kept.state(), allow_nan=False)
    restored = Detector.restored(json.loads(text))
    assert json.dumps(restored.state()) == text
    assert (restored.points, restored.last_at) == (kept.points, kept.last_at)
    begin = (kept.last_at or START) + STEP
    for n, value in enumerate([20.0, 500.0, 20.0, *range(0, 1000, 7)]):
        assert kept.update(begin + n * STEP, value) == restored.update(begin + n * STEP, value)


def test_other_parameters_hold_for_a_restored_detector() -> None:
    kept = of_noise(3)
    sharp = Detector.restored(kept.state(), Parameters(alarm_at=0.999))
    found = feed(sharp, [60.0])[0]
    assert found.score > 0.5
    assert not found.alarm


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.floats(-1e100, 1e100)
        | st.sampled_from([0.0, -0.0, 5e-324, 1e100, -1e100, 1e-200])
        | st.floats(-1, 1),
        max_size=120,
    )
)
def test_any_numbers_give_scores_from_zero_to_one_and_a_state_that_holds(values: list[float]) -> None:
    detector = Detector(Parameters(warm_up_points=2))
    for score in feed(detector, values):
        assert 0 <= score.score <= score.unusual <= 1
        numbers = [getattr(score, field.name) for field in fields(score)]
        assert all(math.isfinite(number) for number in numbers if isinstance(number, float))
        assert score.low is None or score.low <= score.expected <= score.high  # type: ignore[operator]
    assert (
        Detector.restored(json.loads(json.dumps(detector.state(), allow_nan=False))).state()
        == detector.state()
    )


def test_what_it_remembers_stays_small() -> None:
    chance = random.Random(1)
    detector = learned(lambda _: chance.choice((-1, 1)) * 10 ** chance.uniform(-9, 9), 30 * DAY)
    assert len(json.dumps(detector.state())) < 20_000


def test_the_unit_of_a_series_does_not_matter() -> None:
    series, same = daily(), daily()
    one = during(Detector(), 8 * DAY, series)
    other = during(Detector(), 8 * DAY, lambda at: same(at) * 1024)
    assert [score.score for score in one] == [score.score for score in other]


def test_the_time_zone_of_a_moment_does_not_matter() -> None:
    there = timezone(timedelta(hours=9))
    one, other = Detector(), Detector()
    series = daily()
    for n in range(7 * DAY):
        at = START + n * STEP
        value = series(at)
        assert one.update(at, value) == other.update(at.astimezone(there), value)
    assert one.state() == other.state() | {"last": one.state()["last"]}


def _places(state: Any, path: tuple[Any, ...] = ()) -> Iterable[tuple[Any, ...]]:
    yield path
    inside = (
        state.items() if isinstance(state, dict) else enumerate(state[:2]) if isinstance(state, list) else ()
    )
    for key, value in inside:
        yield from _places(value, (*path, key))


PLACES = [path for path in _places(of_days(6).state()) if path]


@settings(max_examples=100, deadline=None)
@given(
    place=st.sampled_from(PLACES), damage=st.sampled_from([None, "x", [], {}, "nan", -1e999, [1], {"a": 1}])
)
def test_a_damaged_state_is_refused_or_harmless(place: tuple[Any, ...], damage: Any) -> None:
    state = json.loads(json.dumps(of_days(6).state()))
    inside = state
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = damage
    try:
        detector = Detector.restored(state)
    except PermanentFailure as refused:
        assert "Fix: start with a new detector" in str(refused)  # noqa: PT017 - or it is harmless
        return
    begin = max(detector.last_at or START, START + 6 * DAY * STEP) + STEP
    for n in range(5):
        assert 0 <= detector.update(begin + n * STEP, 50.0 + n).score <= 1


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(PermanentFailure, match="version 1, not 2"):
        Detector.restored(Detector().state() | {"version": 1})
