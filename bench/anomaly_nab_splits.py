"""What a NAB score owes to a threshold that was fitted on the data it scores. Run by anomaly_nab.py.

    cd COPY && PYTHONPATH=COPY PYTHON anomaly_nab_splits.py ALARM_AT

COPY is a copy of NAB with results/aegis in it, PYTHON one that NAB's scorer runs on. Everything is counted by
NAB's `Sweeper`, standard profile, in NAB's units: 0 for never saying anything, 100 for a perfect detector.
Prints one JSON object.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas
from nab.sweeper import Sweeper

NAME = "aegis"
TIMER_ROWS = (100, 150, 200, 250, 300, 350, 400, 500, 600)


class Series:
    def __init__(self, name: str, windows: list[list[str]]) -> None:
        self.name = name
        folder, file = name.split("/")
        rows = pandas.read_csv(Path("results") / NAME / folder / f"{NAME}_{file}", parse_dates=["timestamp"])
        self.times = list(rows["timestamp"])
        self.scores = list(rows["anomaly_score"])
        self.windows = [tuple(pandas.Timestamp(moment) for moment in window) for window in windows]

    def points(self, sweeper: Sweeper, scores: list[float]) -> list[Any]:
        return sweeper.calcSweepScore(self.times, scores, self.windows, self.name)


def at_threshold(table: list[Any], threshold: float) -> Any:
    """The row of NAB's table that holds when each score of `threshold` or more is an alarm."""
    return [row for row in table if row.threshold >= threshold][-1]


def in_units(table: list[Any], row: Any, windows: int) -> float:
    silent = table[0].score
    return 100 * (row.score - silent) / (windows - silent)


def main() -> None:
    shipped = float(sys.argv[1])
    costs = json.loads(Path("config/profiles.json").read_text())["standard"]["CostMatrix"]
    sweeper = Sweeper(probationPercent=0.15, costMatrix=costs)
    labels = json.loads(Path("labels/combined_windows.json").read_text())
    corpus = [Series(name, windows) for name, windows in sorted(labels.items())]
    points = {series.name: series.points(sweeper, series.scores) for series in corpus}

    def table(chosen: list[Series]) -> list[Any]:
        return sweeper.calcScoreByThreshold([point for series in chosen for point in points[series.name]])

    def held_out(fitted_on: list[Series], scored_on: list[Series]) -> tuple[float, float, int]:
        """Points above silence and windows of `scored_on`, by the best threshold of `fitted_on`."""
        best = max(table(fitted_on), key=lambda row: row.score)
        found = table(scored_on)
        windows = sum(len(series.windows) for series in scored_on)
        return at_threshold(found, best.threshold).score, found[0].score, windows

    whole = table(corpus)
    count = sum(len(series.windows) for series in corpus)
    as_shipped = at_threshold(whole, shipped)

    halves = [held_out(corpus[1::2], corpus[::2]), held_out(corpus[::2], corpus[1::2])]
    gained, silent = sum(half[0] for half in halves), sum(half[1] for half in halves)
    categories = {}
    for category in sorted({series.name.split("/")[0] for series in corpus}):
        inside = [series for series in corpus if series.name.startswith(category + "/")]
        if any(series.windows for series in inside):
            score, zero, windows = held_out([s for s in corpus if s not in inside], inside)
            categories[category] = round(100 * (score - zero) / (windows - zero), 2)

    alarms = {
        series.name: [
            p for p in points[series.name] if p.anomalyScore >= shipped and p.windowName != "probationary"
        ]
        for series in corpus
    }
    outside = sum(point.windowName is None for found in alarms.values() for point in found)
    counted = sum(p.windowName != "probationary" for found in points.values() for p in found)
    timer = 0.0
    for rows in TIMER_ROWS:
        rung = [
            point
            for series in corpus
            for point in series.points(
                sweeper, [float(n % rows == rows - 1) for n in range(len(series.scores))]
            )
        ]
        ringing = sweeper.calcScoreByThreshold(rung)
        timer = max(timer, in_units(ringing, at_threshold(ringing, 1.0), count))
    print(
        json.dumps(
            {
                "as_shipped": round(in_units(whole, as_shipped, count), 2),
                "halves": round(100 * (gained - silent) / (count - silent), 2),
                "categories": categories,
                "windows": count,
                "windows_found": len(
                    {p.windowName for found in alarms.values() for p in found if p.windowName}
                ),
                "outside": outside,
                "points_per_outside": counted // max(outside, 1),
                "timer": round(timer, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
