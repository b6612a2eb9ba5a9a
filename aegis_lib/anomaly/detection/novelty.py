"""How far a value is from every value seen before. It knows nothing of time but the order of the points.

The values seen lie in at most 128 equal bins over their range, each with its last value and when that was.
The distance to the nearest of them, as a share of the range, is weighed by how rare such a distance is in
this series. What was new once is known afterwards, and forgotten when it was not seen for long.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

from aegis_lib.anomaly.detection.rarity import Rarity

_BINS = 128
_TIDY_EVERY = 50
_FINEST = 1e-12
"""Bins are no finer than this share of the values, so that the number of a bin is exact."""
_LEAST_WIDTH = 1e-200
_COMMON = 6.0
"""The surprise at which a distance counts as it is; rarer ones count more, others less."""


class Novelty:
    """The values of one series, or of what is left of one."""

    def __init__(self, memory_points: int) -> None:
        self._memory = memory_points
        self._points = 0
        self._width = 0.0
        self._bins: dict[int, tuple[float, int]] = {}
        self._low = self._high = 0
        self._rarity = Rarity()

    @property
    def span(self) -> float:
        """The range of the values that are remembered, at least 0."""
        return self._bins[self._high][0] - self._bins[self._low][0] if self._bins else 0.0

    def nearest(self, value: float) -> float | None:
        """The nearest value that is remembered, to the precision of a bin; None when there is none."""
        if not self._bins:
            return None
        place = self._place(value) if self._width else 0
        start = min(max(place, self._low), self._high)
        best = math.inf
        found = value
        for step, end in ((-1, self._low - 1), (1, self._high + 1)):
            for at in range(start, end, step):
                seen = self._bins.get(at)
                if seen is not None:
                    distance = abs(value - seen[0])
                    if distance < best:
                        best, found = distance, seen[0]
                    if (place - at) * step < 0:
                        break
        return found

    def judge(self, value: float, least_change: float = 0.0) -> tuple[float, float]:
        """How new the value is, and the distance that `learn` is to be told with it.

        The first is 0 or more: the distance to the nearest value as a share of the range, times the square of
        how rare that is.
        """
        nearest = self.nearest(value)
        if nearest is None:
            return 0.0, 0.0
        distance = abs(value - nearest)
        if not distance:
            return 0.0, 0.0
        share = distance / max(self.span or distance, self._width)
        if distance <= least_change:
            return 0.0, share
        return share * (self._rarity.surprise(share) / _COMMON) ** 2, share

    def learn(self, value: float, share: float) -> None:
        self._rarity.learn(share)
        self._points += 1
        if not self._bins:
            self._bins[0] = (value, self._points)
            return
        if not self._width:
            only = self._bins[0][0]
            if value == only:
                self._bins[0] = (value, self._points)
                return
            self._rebin(max(abs(value - only) / 64, abs(only) * _FINEST, _LEAST_WIDTH))
        self._make_room(value)
        place = self._place(value)
        self._bins[place] = (value, self._points)
        self._low, self._high = min(self._low, place), max(self._high, place)
        if self._points % _TIDY_EVERY == 0:
            self._tidy()

    def _place(self, value: float) -> int:
        return math.floor(value / self._width)

    def _make_room(self, value: float) -> None:
        low = min(value, self._bins[self._low][0])
        high = max(value, self._bins[self._high][0])
        width = max(self._width, max(abs(low), abs(high)) * _FINEST)
        while math.floor(high / width) - math.floor(low / width) >= _BINS:
            width *= 2
        if width != self._width:
            self._rebin(width)

    def _rebin(self, width: float) -> None:
        """Put the values into bins of that width; of two in one bin the later stays."""
        self._width = width
        old, self._bins = self._bins, {}
        for value, seen in sorted(old.values(), key=lambda pair: pair[1]):
            self._bins[self._place(value)] = (value, seen)
        self._low, self._high = min(self._bins), max(self._bins)

    def _tidy(self) -> None:
        """Forget what was not seen for long; make the bins finer when the range has become small."""
        oldest = self._points - self._memory
        self._bins = {place: seen for place, seen in self._bins.items() if seen[1] >= oldest}
        self._low, self._high = min(self._bins), max(self._bins)
        finest = max(abs(self._bins[self._low][0]), abs(self._bins[self._high][0])) * _FINEST
        if 0 < self._high - self._low < _BINS // 4 and self._width / 2 > finest:
            self._rebin(self._width / 2)

    def state(self) -> dict[str, Any]:
        return {
            "points": self._points,
            "width": self._width,
            "seen": [number for pair in self._bins.values() for number in pair],
            "rarity": self._rarity.state(),
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any], memory_points: int) -> Self:
        made = cls(memory_points)
        made._points, made._width = int(state["points"]), float(state["width"])
        seen = state["seen"]
        pairs = [(float(value), int(when)) for value, when in zip(seen[::2], seen[1::2], strict=True)]
        if not all(math.isfinite(value) for value, _ in pairs) or not 0 <= made._width < math.inf:
            raise ValueError("a value that is no finite number")
        if len(pairs) > 2 * _BINS or (len(pairs) > 1 and not made._width) or (made._width and not pairs):
            raise ValueError(f"{len(pairs)} values in bins {made._width} wide")
        made._bins = {made._place(pair[0]) if made._width else 0: pair for pair in pairs}
        if made._bins:
            made._low, made._high = min(made._bins), max(made._bins)
        made._rarity = Rarity.restored(state["rarity"])
        return made
