"""What an hour of the day and of the week, and a part of the hour, usually brings. It judges nothing.

Three profiles in UTC, each learning what the one before leaves: 24 hours of the day, 168 hours of the week,
12 parts of the hour. An hour's points count as one, their mean, so that hours with gaps weigh the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

_DAY, _WEEK, _HOUR = 24, 168, 12
_DAY_WEIGHT, _WEEK_WEIGHT, _HOUR_WEIGHT = 0.1, 0.25, 0.02
"""The least weight of the latest hour, week or part of an hour: small ones follow changes slowly."""
_WEEK_DOUBT, _HOUR_DOUBT = 4.0, 10.0
"""A correction known from so few counts half."""
_KNOWN, _HOUR_KNOWN = 2, 10


class _Profile:
    """Means of places that come round, and how often each came."""

    def __init__(self, places: int) -> None:
        self.means = [0.0] * places
        self.counts = [0] * places

    def learn(self, place: int, value: float, least_weight: float) -> None:
        self.counts[place] += 1
        self.means[place] += (value - self.means[place]) * max(least_weight, 1 / self.counts[place])

    def doubted(self, place: int, doubt: float) -> float:
        return self.means[place] * self.counts[place] / (self.counts[place] + doubt)


class _Running:
    """The mean of the points of the hour, or part of it, that is not over yet."""

    def __init__(self) -> None:
        self.place = -1
        self.total = 0.0
        self.count = 0

    def enter(self, place: int) -> tuple[int, float] | None:
        """Go to a place; the place that was left and its mean, when one was."""
        if place == self.place:
            return None
        left = (self.place, self.total / self.count) if self.count else None
        self.place, self.total, self.count = place, 0.0, 0
        return left

    def add(self, value: float) -> None:
        self.total += value
        self.count += 1


class Rhythm:
    """The profiles of one series."""

    def __init__(self) -> None:
        self._day, self._week, self._hour = _Profile(_DAY), _Profile(_WEEK), _Profile(_HOUR)
        self._this_hour, self._this_part = _Running(), _Running()

    def judge(self, at: datetime, value: float) -> float | None:
        """What was expected, then learn the value. None for an hour that came less than twice.

        Of this hour, the one before and the one after, the nearest to the value counts: what shifts by an
        hour, as with summer time, is nothing unusual.
        """
        week_hour = at.weekday() * 24 + at.hour
        part = at.minute // (60 // _HOUR)
        self._close(week_hour, part)
        self._this_hour.add(value)
        hour = at.hour
        if self._day.counts[hour] < _KNOWN:
            return None
        usual = self._day.means[hour]
        for other in ((hour - 1) % _DAY, (hour + 1) % _DAY):
            if self._day.counts[other] and abs(value - self._day.means[other]) < abs(value - usual):
                usual = self._day.means[other]
        if self._week.counts[week_hour] >= _KNOWN:
            usual += self._week.doubted(week_hour, _WEEK_DOUBT)
        self._this_part.add(value - usual)
        if self._hour.counts[part] >= _HOUR_KNOWN:
            usual += self._hour.doubted(part, _HOUR_DOUBT)
        return usual

    def _close(self, week_hour: int, part: int) -> None:
        over = self._this_hour.enter(week_hour)
        if over is not None:
            place, mean = over
            hour = place % _DAY
            if self._day.counts[hour] > _KNOWN:
                self._week.learn(place, mean - self._day.means[hour], _WEEK_WEIGHT)
            self._day.learn(hour, mean, _DAY_WEIGHT)
        over = self._this_part.enter(part)
        if over is not None:
            self._hour.learn(*over, _HOUR_WEIGHT)

    def doubt(self) -> None:
        """The levels may be others now: an hour's next mean weighs a third, then a quarter and so on."""
        self._day.counts = [min(count, _KNOWN) for count in self._day.counts]

    def state(self) -> dict[str, Any]:
        return {
            name: {"means": profile.means, "counts": profile.counts}
            for name, profile in (("day", self._day), ("week", self._week), ("hour", self._hour))
        } | {
            name: [running.place, running.total, running.count]
            for name, running in (("this_hour", self._this_hour), ("this_part", self._this_part))
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Self:
        made = cls()
        for name, profile in (("day", made._day), ("week", made._week), ("hour", made._hour)):
            means = [float(mean) for mean in state[name]["means"]]
            counts = [int(count) for count in state[name]["counts"]]
            if not len(means) == len(counts) == len(profile.means) or not all(map(math.isfinite, means)):
                raise ValueError(f"the profile of the {name}")
            profile.means, profile.counts = means, counts
        for name, running in (("this_hour", made._this_hour), ("this_part", made._this_part)):
            place, total, count = state[name]
            running.place, running.total, running.count = int(place), float(total), int(count)
        return made
