"""What a detector is told and what it says of one point. Values only; nothing here decides."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parameters:
    """One set for all series. The defaults are the ones that `bench/anomaly_nab.py` measures."""

    alarm_at: float = 0.5
    """A score of this much or more is an alarm; 0 to 1."""
    warm_up_points: int = 150
    """So many points teach before one is judged."""


USUAL = Parameters()


@dataclass(frozen=True, slots=True)
class Score:
    """What is to be said of one point, judged only by the points before it.

    `expected`, `low` and `high` are in the unit of the series and None before the first point has been seen;
    `low` to `high` is where about 99 of 100 points were. `deviation` is the distance from `expected` in usual
    distances (1 = as far as an ordinary point is; negative = below).
    """

    score: float
    """0 to 1, with the rest after an alarm applied: what to compare with a threshold. 0 while warming up."""
    unusual: float
    """0 to 1, this point on its own, also while the detector rests."""
    alarm: bool
    """Whether `score` reaches the parameters' `alarm_at`."""
    expected: float | None
    low: float | None
    high: float | None
    deviation: float
    warming_up: bool
