"""Judges a series point by point as it arrives. Pure: no I/O, no clock, no chance; it never looks ahead.

A detector belongs to one series. What it remembers has a fixed size and goes into a JSON object and back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Self

from aegis_lib.anomaly.detection.model import USUAL, Parameters, Score
from aegis_lib.errors import PermanentFailure

VERSION = 1
"""Of the state. A state of another version cannot be restored: make a new detector."""


class Detector:
    """One series' detector. `update` each point in the order of time; keep `state()` between runs."""

    def __init__(self, parameters: Parameters = USUAL) -> None:
        self.parameters = parameters
        self._points = 0
        self._last: datetime | None = None
        self._mean = 0.0
        self._spread = 0.0

    @property
    def points(self) -> int:
        """How many points it has learned from since it was made or told to relearn."""
        return self._points

    @property
    def last_at(self) -> datetime | None:
        """When the last point was; None before the first."""
        return self._last

    def update(self, at: datetime, value: float) -> Score:
        """Judge the point by those before it, then learn from it.

        A hole between two points is no point: tell nothing for it. Raises ValueError for a moment without a
        time zone or not after the last one, and for a value that is no finite number.
        """
        if at.tzinfo is None or at.utcoffset() is None:
            raise ValueError(f"{at.isoformat()} has no time zone. Fix: give an aware datetime")
        if self._last is not None and at <= self._last:
            raise ValueError(
                f"{at.isoformat()} is not after the last point ({self._last.isoformat()}). "
                "Fix: give each point once, in the order of time"
            )
        if not math.isfinite(value):
            raise ValueError(f"{value} is no finite number. Fix: leave the point out")
        known, expected, spread = self._points > 0, self._mean, self._spread
        warming_up = self._points < self.parameters.warm_up_points
        distance = abs(value - expected)
        deviation = (value - expected) / spread if spread else 0.0
        unusual = 0.0 if warming_up or not spread else 1 - math.exp(-((deviation / 6) ** 2))
        weight = 1 / min(self._points + 1, 300)
        self._mean += (value - self._mean) * weight
        if known:
            self._spread += (min(distance, 5 * spread if spread else distance) - self._spread) * weight
        self._points += 1
        self._last = at
        return Score(
            score=unusual,
            unusual=unusual,
            alarm=unusual >= self.parameters.alarm_at,
            expected=expected if known else None,
            low=expected - 4 * spread if known else None,
            high=expected + 4 * spread if known else None,
            deviation=deviation,
            warming_up=warming_up,
        )

    def relearn(self, at: datetime) -> None:
        """What makes the series was changed at that moment (a deployment): its level and habits may be new.

        Nothing is judged before the warm-up is over again; the rhythm of the day and week is kept.
        """
        if self._last is None or at >= self._last - timedelta(days=1):
            self._points = min(self._points, 1)
            self._spread = 0.0

    def state(self) -> dict[str, Any]:
        """All it remembers, for JSON; `restored` makes an equal detector of it."""
        return {
            "version": VERSION,
            "points": self._points,
            "last": self._last.isoformat() if self._last else None,
            "mean": self._mean,
            "spread": self._spread,
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any], parameters: Parameters = USUAL) -> Self:
        """The detector that `state` was taken of.

        Raises:
            PermanentFailure: the state is damaged or of another version; start with a new detector.
        """
        try:
            if state["version"] != VERSION:
                raise ValueError(f"version {state['version']}, not {VERSION}")
            made = cls(parameters)
            made._points = int(state["points"])
            made._last = datetime.fromisoformat(state["last"]) if state["last"] else None
            made._mean, made._spread = float(state["mean"]), float(state["spread"])
        except (KeyError, TypeError, ValueError) as error:
            raise PermanentFailure(
                f"The state of a detector cannot be read: {error}. Fix: start with a new detector"
            ) from error
        return made
