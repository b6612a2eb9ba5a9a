"""Judges a series point by point as it arrives. Pure: no I/O, no clock, no chance; it never looks ahead.

A detector belongs to one series. What it remembers has a fixed size and goes into a JSON object and back.
Three questions are asked of each point (`Reason`), and the strongest answer counts. How that was measured
is in docs/anomaly-detection.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from aegis_lib.anomaly.detection.expectation import Expectation
from aegis_lib.anomaly.detection.level import Level
from aegis_lib.anomaly.detection.model import USUAL, Parameters, Reason, Score
from aegis_lib.anomaly.detection.novelty import Novelty
from aegis_lib.anomaly.detection.rhythm import Rhythm
from aegis_lib.errors import PermanentFailure

VERSION = 2
"""Of the state. A state of another version cannot be restored: make a new detector."""
_VALUE, _LEVEL, _RHYTHM = 0.012, 8.2, 0.109
"""Answers to the three questions that make a score of one half."""
_RHYTHM_AFTER = timedelta(days=5)
"""The rhythm is asked after so long: before, each hour of the day came too seldom."""
_CAUTION, _CAUTIOUS = 3.0, 10
"""After relearning, answers must be four times as strong, falling to once over ten times the settling."""
_LARGEST = 1e100
_DAMAGE = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, ZeroDivisionError)


class Detector:
    """One series' detector. `update` each point in the order of time; keep `state()` between runs."""

    def __init__(self, parameters: Parameters = USUAL) -> None:
        self.parameters = parameters
        self._points = 0
        self._judges_from = parameters.warm_up_points
        self._relearned_at: int | None = None
        self._first: datetime | None = None
        self._last: datetime | None = None
        self._values = Novelty(parameters.memory_points)
        self._surprises = Novelty(parameters.memory_points)
        self._surprised = 0
        self._level = Level()
        self._rhythm = Rhythm()
        self._expectation = Expectation()
        self._peaks: list[tuple[int, float]] = []

    @property
    def points(self) -> int:
        """How many points it has seen since it was made."""
        return self._points

    @property
    def last_at(self) -> datetime | None:
        """When the last point was; None before the first."""
        return self._last

    @property
    def warming_up(self) -> bool:
        """Whether the next point will only teach."""
        return self._points < self._judges_from

    def update(self, at: datetime, value: float) -> Score:
        """Judge the point by those before it, then learn from it.

        A hole between two points is no point: tell nothing for it. Raises ValueError for a moment without a
        time zone or not after the last one, and for a value that is no finite number or beyond 1e100.
        """
        at = self._checked(at, value)
        warming_up = self.warming_up
        nearest = self._values.nearest(value)
        rhythm = self._rhythm.judge(at, value)
        expected = self._expectation.judge(value, rhythm)
        answers = self._answers(at, value, rhythm)
        reason = max(answers, key=answers.__getitem__)
        strength = answers[reason] / self._caution
        unusual = 0.0 if warming_up else strength / (1 + strength)
        score = self._rested(unusual)
        self._points += 1
        self._last = at
        expectation, low, high, deviation = expected or (None, None, None, 0.0)
        return Score(
            score=score,
            unusual=unusual,
            alarm=score >= self.parameters.alarm_at,
            reason=reason if unusual else None,
            expected=expectation,
            low=low,
            high=high,
            deviation=deviation,
            nearest=nearest,
            level=self._level.now,
            level_before=self._level.before,
            warming_up=warming_up,
        )

    def relearn(self, at: datetime) -> None:
        """What makes the series was changed at that moment (a deployment): its level and habits may be new.

        For the next `settle_points` points it only learns. What was seen before stays known, the level starts
        anew, and the hours of the day follow what comes quickly. A moment a day or more before the last point
        comes too late to be learned from.
        """
        if self._last is None or at <= self._last - timedelta(days=1):
            return
        self._judges_from = max(self._judges_from, self._points + self.parameters.settle_points)
        self._relearned_at = self._points
        self._level.forget()
        self._rhythm.doubt()
        self._expectation.forget()

    @property
    def _caution(self) -> float:
        """How much stronger an answer must be for the same score: above 1 for a while after relearning."""
        if self._relearned_at is None:
            return 1.0
        over = (self._points - self._relearned_at) / (_CAUTIOUS * self.parameters.settle_points)
        return 1 + _CAUTION * max(0.0, 1 - over)

    def _checked(self, at: datetime, value: float) -> datetime:
        if at.tzinfo is None or at.utcoffset() is None:
            raise ValueError(f"{at.isoformat()} has no time zone. Fix: give an aware datetime")
        if self._last is not None and at <= self._last:
            raise ValueError(
                f"{at.isoformat()} is not after the last point ({self._last.isoformat()}). "
                "Fix: give each point once, in the order of time"
            )
        if not abs(value) <= _LARGEST:  # false for what is no number, too
            raise ValueError(f"{value} is no finite number below 1e100. Fix: leave the point out")
        return at.astimezone(UTC)

    def _answers(self, at: datetime, value: float, rhythm: float | None) -> dict[Reason, float]:
        """How strongly each question is answered; 1 makes a score of one half. Learns the value."""
        least = self.parameters.least_change
        self._first = self._first or at
        newness, share = self._values.judge(value, least)
        level = self._level.judge(value, self._values.span, least)
        self._values.learn(value, share)
        surprise = 0.0
        if rhythm is not None and at - self._first >= _RHYTHM_AFTER:
            off = value - rhythm
            surprise, share = self._surprises.judge(off, least)
            self._surprises.learn(off, share)
            self._surprised += 1
            if self._surprised <= self.parameters.warm_up_points or abs(off) <= least:
                surprise = 0.0
        return {
            Reason.VALUE: newness / _VALUE,
            Reason.LEVEL: level / _LEVEL,
            Reason.RHYTHM: surprise / _RHYTHM,
        }

    def _rested(self, unusual: float) -> float:
        """`unusual` where it is above all of the last points, else 0. Keeps what later ones must pass."""
        while self._peaks and self._peaks[0][0] < self._points - self.parameters.rest_points:
            self._peaks.pop(0)
        passes = unusual > 0 and (not self._peaks or unusual > self._peaks[0][1])
        while self._peaks and self._peaks[-1][1] <= unusual:
            self._peaks.pop()
        if unusual:
            self._peaks.append((self._points, unusual))
        return unusual if passes else 0.0

    def state(self) -> dict[str, Any]:
        """All it remembers, for JSON; `restored` makes an equal detector of it."""
        return {
            "version": VERSION,
            "points": self._points,
            "judges_from": self._judges_from,
            "relearned_at": self._relearned_at,
            "first": self._first.isoformat() if self._first else None,
            "last": self._last.isoformat() if self._last else None,
            "values": self._values.state(),
            "surprises": self._surprises.state(),
            "surprised": self._surprised,
            "level": self._level.state(),
            "rhythm": self._rhythm.state(),
            "expectation": self._expectation.state(),
            "peaks": [list(peak) for peak in self._peaks],
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any], parameters: Parameters = USUAL) -> Self:
        """The detector that `state` was taken of.

        Raises:
            PermanentFailure: the state is damaged or of another version; start with a new detector.
        """
        try:
            if state["version"] != VERSION:
                raise ValueError(f"it has version {state['version']}, not {VERSION}")
            made = cls(parameters)
            made._points, made._judges_from = int(state["points"]), int(state["judges_from"])
            relearned = state["relearned_at"]
            made._relearned_at = None if relearned is None else int(relearned)
            made._first, made._last = _moment(state["first"]), _moment(state["last"])
            made._values = Novelty.restored(state["values"], parameters.memory_points)
            made._surprises = Novelty.restored(state["surprises"], parameters.memory_points)
            made._surprised = int(state["surprised"])
            made._level = Level.restored(state["level"])
            made._rhythm = Rhythm.restored(state["rhythm"])
            made._expectation = Expectation.restored(state["expectation"])
            made._peaks = [(int(when), float(height)) for when, height in state["peaks"]]
        except _DAMAGE as error:
            raise PermanentFailure(
                f"The state of a detector cannot be read: {error}. Fix: start with a new detector"
            ) from error
        return made


def _moment(text: str | None) -> datetime | None:
    moment = datetime.fromisoformat(text) if text else None
    if moment is not None and moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment
