"""How rare a number is among those before it. It knows no series and no time.

Numbers of 0 and more are counted in classes, eight to each factor of e. A number's surprise is the negative
logarithm of the share of earlier numbers that were as large, with half a number added: the largest of n
numbers has a surprise of about ln(2n).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

_CLASSES = 400
_LEAST = 30.0
"""Numbers below e to minus this share one class with 0's neighbours."""
_MOST = 20_000.0
"""When so many were counted, all count half: what was long ago says less."""


class Rarity:
    """Counts of the numbers so far."""

    def __init__(self) -> None:
        self._counts = [0.0] * _CLASSES
        self._total = 0.0

    @staticmethod
    def _class(number: float) -> int:
        if number <= 0:
            return 0
        return min(_CLASSES - 1, max(1, int((math.log(number) + _LEAST) * 8)))

    def surprise(self, number: float) -> float:
        """0 or more; about 4.6 for one in a hundred, 6.9 for one in a thousand."""
        place = self._class(number)
        as_large = self._counts[place] / 2 + sum(self._counts[place + 1 :])
        return -math.log((as_large + 0.5) / (self._total + 1))

    def learn(self, number: float) -> None:
        self._counts[self._class(number)] += 1
        self._total += 1
        if self._total >= _MOST:
            self._counts = [count / 2 for count in self._counts]
            self._total = sum(self._counts)

    def state(self) -> dict[str, float]:
        return {str(place): count for place, count in enumerate(self._counts) if count}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Self:
        made = cls()
        for place, count in state.items():
            if not 0 <= int(place) < _CLASSES or not 0 < float(count) <= 2 * _MOST:
                raise ValueError(f"{count} numbers in class {place}")
            made._counts[int(place)] = float(count)
        made._total = sum(made._counts)
        return made
