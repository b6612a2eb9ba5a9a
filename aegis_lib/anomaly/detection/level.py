"""Whether the mean of the last points has left the mean before. Of time it knows the order of the points."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

from aegis_lib.anomaly.detection.rarity import Rarity

_RECENT = 50
"""The last points, whose mean is compared."""
_SLOW = 2000.0
"""The mean before them forgets like one of so many points: each new one weighs two of so many."""
_LEAST_BEFORE = 60
"""So many points must have been before those for a comparison."""
_FLOOR = 0.01
"""Of the series' range, added to the standard deviation: a nearly constant series has hardly any."""


class Level:
    """The level of one series now and before."""

    def __init__(self) -> None:
        self._recent: list[float] = []
        self._before = 0
        self._mean = 0.0
        self._variance = 0.0
        self._rarity = Rarity()

    @property
    def before(self) -> float | None:
        """The mean before the last points; None when there are too few."""
        return self._mean if self._before >= _LEAST_BEFORE else None

    @property
    def now(self) -> float | None:
        """The mean of the last points; None when there are too few."""
        return sum(self._recent) / _RECENT if len(self._recent) == _RECENT else None

    def judge(self, value: float, span: float, least_change: float = 0.0) -> float:
        """Learn the value, then say how rare such a distance of the levels is: its surprise, 0 or more.

        `span` is the range of the series.
        """
        self._recent.append(value)
        if len(self._recent) > _RECENT:
            self._learn(self._recent.pop(0))
        distance = deviations = 0.0
        if self._before >= _LEAST_BEFORE:
            distance = abs(sum(self._recent) / _RECENT - self._mean)
            scale = math.sqrt(max(0.0, self._variance)) + _FLOOR * span
            # Below, the mean of equal numbers differs from them by rounding.
            if scale > 1e-12 * max(1.0, abs(self._mean)):
                deviations = distance / scale
        surprise = self._rarity.surprise(deviations) if deviations and distance > least_change else 0.0
        self._rarity.learn(deviations)
        return surprise

    def _learn(self, value: float) -> None:
        self._before += 1
        weight = max(2 / _SLOW, 1 / self._before)
        distance = value - self._mean
        self._mean += weight * distance
        self._variance = (1 - weight) * (self._variance + weight * distance * distance)

    def forget(self) -> None:
        """The level may be another from now on; how much it usually moves stays known."""
        self._recent, self._before, self._mean, self._variance = [], 0, 0.0, 0.0

    def state(self) -> dict[str, Any]:
        return {
            "recent": list(self._recent),
            "before": self._before,
            "mean": self._mean,
            "variance": self._variance,
            "rarity": self._rarity.state(),
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Self:
        made = cls()
        made._recent = [float(value) for value in state["recent"]]
        made._before = int(state["before"])
        made._mean, made._variance = float(state["mean"]), float(state["variance"])
        if (
            not all(map(math.isfinite, (*made._recent, made._mean, made._variance)))
            or len(made._recent) > _RECENT
        ):
            raise ValueError("the last values of the level")
        made._rarity = Rarity.restored(state["rarity"])
        return made
