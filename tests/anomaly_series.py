"""Series for the tests of the detector, and detectors that have seen them."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import cache

from aegis_lib.anomaly.detection.detector import Detector
from aegis_lib.anomaly.detection.model import USUAL, Parameters, Reason, Score

START = datetime(2025, 3, 3, tzinfo=UTC)  # a Monday
STEP = timedelta(minutes=5)
DAY = 288
Series = Callable[[datetime], float]


def feed(detector: Detector, values: Iterable[float]) -> list[Score]:
    """The values at five-minute steps, going on where the detector was."""
    begin = detector.last_at + STEP if detector.last_at else START
    return [detector.update(begin + n * STEP, value) for n, value in enumerate(values)]


def during(detector: Detector, points: int, series: Series) -> list[Score]:
    begin = detector.last_at + STEP if detector.last_at else START
    return feed(detector, [series(begin + n * STEP) for n in range(points)])


def alarms(scores: Iterable[Score]) -> list[Reason | None]:
    return [score.reason for score in scores if score.alarm]


def noise(seed: int = 1, mean: float = 20, spread: float = 5) -> Series:
    chance = random.Random(seed)
    return lambda _: chance.gauss(mean, spread)


def daily(seed: int = 1) -> Series:
    chance = random.Random(seed)

    def value(at: datetime) -> float:
        return 50 + 30 * math.sin(2 * math.pi * (at.hour + at.minute / 60) / 24) + chance.gauss(0, 2)

    return value


@cache
def _learned(kind: Callable[[], Series], days: int) -> str:
    return json.dumps(learned(kind(), days * DAY).state())


def of_noise(days: int) -> Detector:
    return Detector.restored(json.loads(_learned(noise, days)))


def of_days(days: int) -> Detector:
    return Detector.restored(json.loads(_learned(daily, days)))


def learned(series: Series, points: int, parameters: Parameters = USUAL) -> Detector:
    detector = Detector(parameters)
    during(detector, points, series)
    return detector
