"""What a point is expected to be, and what points mostly lie between. For people: no alarm comes of it.

Two guesses are followed, the level of the last points and the rhythm of hours and weekdays; the one that was
nearer lately is told.
"""

from __future__ import annotations

import math
from typing import Any, Self

_FOLLOW = 0.1
"""Weight of a new point in the level."""
_ERROR = 0.01
"""Weight of a new point in what a guess is usually wrong by."""
_RATE = 0.2
_OUTSIDE = 0.005
"""Share of the points beyond each bound, which is found step by step (Robbins, Monro 1951)."""


class Expectation:
    """Both guesses and the bounds around the one that is told."""

    def __init__(self) -> None:
        self._points = 0
        self._level = 0.0
        self._level_error = self._rhythm_error = 0.0
        self._rhythms = 0
        self._error = 0.0
        self._up = self._down = 0.0

    def judge(self, value: float, rhythm: float | None) -> tuple[float, float, float, float] | None:
        """What was expected, the bounds, and the value's distance in usual distances; then learn the value.

        None for the first point. `rhythm` is what the hour usually brings, where that is known.
        """
        if not self._points:
            self._points, self._level = 1, value
            return None
        by_rhythm = rhythm is not None and self._rhythms > _WORTH and self._rhythm_error < self._level_error
        expected = rhythm if by_rhythm and rhythm is not None else self._level
        off = value - expected
        distances = off / self._error if self._error else 0.0
        bounded = max(-_FARTHEST, min(_FARTHEST, distances))
        told = (expected, expected - self._down, expected + self._up, bounded)
        self._learn(value, rhythm, off)
        return told

    def _learn(self, value: float, rhythm: float | None, off: float) -> None:
        self._points += 1
        weight = max(_ERROR, 1 / self._points)
        self._level_error += (abs(value - self._level) - self._level_error) * weight
        if rhythm is not None:
            self._rhythms += 1
            rate = max(_ERROR, 1 / self._rhythms)
            self._rhythm_error += (abs(value - rhythm) - self._rhythm_error) * rate
        self._level += (value - self._level) * max(_FOLLOW, 1 / self._points)
        # One point far off must not widen what is usual for days.
        usual = min(abs(off), 10 * self._error) if self._error else abs(off)
        self._error += (usual - self._error) * weight
        if self._points < 50:
            self._up = self._down = 4 * self._error
            return
        self._up = self._moved(self._up, off)
        self._down = self._moved(self._down, -off)

    def _moved(self, bound: float, off: float) -> float:
        step = _RATE * max(self._error, bound / 2)
        return max(0.0, bound + step * ((1 - _OUTSIDE) if off > bound else -_OUTSIDE))

    def forget(self) -> None:
        """The level may be another from now on."""
        self._points = min(self._points, 5)

    def state(self) -> list[float]:
        return [getattr(self, name) for name in _NAMES]

    @classmethod
    def restored(cls, state: list[Any]) -> Self:
        made = cls()
        for name, number in zip(_NAMES, state, strict=True):
            if not math.isfinite(number):
                raise ValueError(f"{name} is {number}")
            setattr(made, name, number)
        return made


_FARTHEST = 1e6
"""Of the distances that are told."""
_WORTH = 100
"""The rhythm's error is compared after so many points."""
_NAMES = ("_points", "_level", "_level_error", "_rhythm_error", "_rhythms", "_error", "_up", "_down")
