"""What a detector is told and what it says of one point. Values only; nothing here decides."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Parameters:
    """One set for all series. The defaults are the ones that `bench/anomaly_nab.py` measures."""

    alarm_at: float = 0.5
    """A score of this much or more is an alarm; above 0, at most 1."""
    least_change: float = 0.0
    """In the unit of the series: a point that is no further off than this is never unusual."""
    warm_up_points: int = 150
    """So many points teach before one is judged."""
    settle_points: int = 30
    """So many points teach before one is judged again, after the detector was told to relearn. For ten times
    so many an alarm takes clearer answers than usual."""
    rest_points: int = 80
    """A score counts only when it is higher than those of so many points before it."""
    memory_points: int = 6000
    """A value that was not seen for so many points is forgotten."""

    def __post_init__(self) -> None:
        if not 0 < self.alarm_at <= 1:
            raise ValueError(f"alarm_at is {self.alarm_at}. Fix: give a number above 0, at most 1")
        if not 0 <= self.least_change < float("inf"):
            raise ValueError(f"least_change is {self.least_change}. Fix: give a number of 0 or more")
        for name, least in (("warm_up_points", 2), ("settle_points", 1), ("rest_points", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}. Fix: give {least} or more")
        if self.memory_points < self.warm_up_points:
            raise ValueError("memory_points is less than warm_up_points. Fix: remember at least the warm-up")


USUAL = Parameters()


class Reason(StrEnum):
    """What is most unusual about a point. `words` says it to people."""

    VALUE = "value"
    """Nothing near it was seen before."""
    LEVEL = "level"
    """The mean of the last points is further from where it was than ever before."""
    RHYTHM = "rhythm"
    """Such a value was seen, but not so far from what this hour of the day and week brings."""

    @property
    def words(self) -> str:
        """To stand after a semicolon."""
        return _WORDS[self]


_WORDS = {
    Reason.VALUE: "no value near it was seen before",
    Reason.LEVEL: "the level of the last hours is further from the one before than ever",
    Reason.RHYTHM: "it is never so far from what this hour of the day and week brings",
}


@dataclass(frozen=True, slots=True)
class Score:
    """What is to be said of one point, judged only by the points before it.

    `expected`, `low`, `high`, `nearest` and `level` are in the unit of the series and None before there was a
    point to know them by. `low` to `high` is where about 99 of 100 points were, as seen from `expected`.
    """

    score: float
    """0 to 1, after the rest: what to compare with a threshold. 0 while warming up and while resting."""
    unusual: float
    """0 to 1, this point on its own, also while the detector rests. 0 while warming up."""
    alarm: bool
    """Whether `score` reaches the parameters' `alarm_at`."""
    reason: Reason | None
    """What is most unusual, None when nothing is."""
    expected: float | None
    low: float | None
    high: float | None
    deviation: float
    """Distance from `expected` in usual distances: 1 is as far as points mostly are; negative is below."""
    nearest: float | None
    """The nearest value that was seen before."""
    level: float | None
    """The mean of the last points, this one too."""
    level_before: float | None
    """The mean of the many points before those."""
    warming_up: bool
