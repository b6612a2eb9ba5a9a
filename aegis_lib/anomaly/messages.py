"""The texts about anomalies that people read. Decides nothing.

Names of containers, images and sites come from outside and are made harmless before they stand in a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from aegis_lib.alerts.model import Message, Phase, Severity
from aegis_lib.anomaly import policy
from aegis_lib.anomaly.model import STEP, Group, Point, Unusual
from aegis_lib.clock import duration, iso
from aegis_lib.markdown import inline, plain
from aegis_lib.metrics.words import shown
from aegis_lib.plot import sparkline

PLOTTED = timedelta(hours=12)
"""What a sparkline shows."""
EARLIER = (("a day ago", timedelta(days=1)), ("a week ago", timedelta(days=7)))
"""The same time of day, to compare with."""
MOST_SERIES = 5
_SPARKS = 48


def found(
    group: Group,
    points: Sequence[Unusual],
    histories: Mapping[str, Sequence[Point]],
    *,
    last_of_budget: int = 0,
) -> Message:
    """What is unusual, with its numbers and how the series went.

    `histories` are the series by name, up to now. `last_of_budget`: this is the last alert of so many.
    """
    leading = _leading(points)
    title = plain(f"Unusual: {group.title}", 200)
    sections = [_said(point, histories.get(point.series.name, ())) for point in leading[:MOST_SERIES]]
    if len(leading) > MOST_SERIES:
        sections.append(f"And {len(leading) - MOST_SERIES} more series.")
    sections.append(
        f"Why: `aegis anomalies show {group.id}`. If this is no news: `aegis anomalies dismiss {group.id}`, "
        "and as much of it is not told again."
    )
    if last_of_budget:
        sections.append(
            f"This is the last of {last_of_budget} alerts about anomalies in 24 hours "
            "(anomaly.alerts_per_day); `aegis anomalies` shows what else is found."
        )
    return Message(
        title=title,
        body="\n\n".join(sections),
        severity=Severity.WARNING,
        key=f"{group.key}:found",
        problem=group.key,
    )


def over(group: Group) -> Message:
    """Those who were told hear that it has ended, and how."""
    lasted = duration(group.last_at + STEP - group.opened_at)
    if group.dismissed_at is not None:
        by = f" by {inline(group.dismissed_by, 100)}" if group.dismissed_by else ""
        text = f"Dismissed{by} after {lasted}: as much of it is no news."
    elif group.last_at + STEP - group.opened_at >= policy.NEW_USUAL:
        text = f"It has stayed so for {lasted} (since {iso(group.opened_at)}): this is the new usual."
    else:
        text = f"As usual again after {lasted} (since {iso(group.opened_at)})."
    return Message(
        title=plain(f"Over: {group.title}", 200),
        body=text,
        severity=Severity.INFO,
        key=f"{group.key}:over",
        problem=group.key,
        phase=Phase.OVER,
    )


def sentence(point: Unusual) -> str:
    """`memory in use: 812 MB, expected 300 MB (usually 280 MB to 320 MB), 14 times the usual distance`."""
    unit = point.series.measures.unit
    text = f"{point.series.measures.title}: {shown(point.value, unit)}"
    if point.expected is not None:
        text += f", expected {shown(point.expected, unit)}"
    if point.low is not None and point.high is not None:
        # No series of ours goes below zero.
        text += f" (usually {shown(max(0.0, point.low), unit)} to {shown(point.high, unit)})"
    if point.deviation:
        side = "above" if point.above else "below"
        text += f", {min(abs(point.deviation), 999):.0f} times the usual distance {side}"
    return text


def plotted(points: Sequence[Point], until: datetime) -> str:
    """The last twelve hours as block characters with lowest and highest value; empty without a value."""
    values = policy.regular({point.at: point.value for point in points}, until - PLOTTED, until)
    return sparkline(values, _SPARKS)


def _leading(points: Sequence[Unusual]) -> list[Unusual]:
    """For each series its most unusual point, the likeliest cause first."""
    worst: dict[str, Unusual] = {}
    for point in points:
        before = worst.get(point.series.name)
        if before is None or abs(point.deviation) > abs(before.deviation):
            worst[point.series.name] = point
    return policy.ranked(worst.values())


def _said(point: Unusual, history: Sequence[Point]) -> str:
    unit = point.series.measures.unit
    lines = [f"**{inline(point.series.owner, 100)}**, {sentence(point)} ({iso(point.at)})."]
    values = {one.at: one.value for one in history}
    before = [
        f"{words} {shown(values[point.at - away], unit)}"
        for words, away in EARLIER
        if point.at - away in values
    ]
    if before:
        lines.append(f"At the same time {', '.join(before)}.")
    until = point.at + STEP
    spark = plotted(history, until)
    if spark:
        known = [one.value for one in history if until - PLOTTED <= one.at < until]
        lines.append(
            f"`{spark}` 12 h to {until:%H:%M} UTC, {shown(min(known), unit)} to {shown(max(known), unit)}"
        )
    return "\n".join(lines)
