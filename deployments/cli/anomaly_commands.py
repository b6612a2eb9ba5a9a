"""`aegis anomalies`: what was unusual and why, and saying that it is no news. Works on the database only."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter, validators

from aegis_lib import clock
from deployments.cli import screen
from deployments.cli.exit_codes import OK, NothingSuch
from deployments.cli.options import INSIGHT, Json

if TYPE_CHECKING:
    from aegis_lib.anomaly.model import Group, Unusual
    from aegis_lib.db.database import Database

anomalies = App(name="anomalies", group=INSIGHT, help="Show unusual behaviour, and say what is no news.")
Number = Annotated[int, Parameter(validator=validators.Number(gte=1))]
_PLOTTED = timedelta(hours=24)
_WIDTH = 60


@anomalies.default
@anomalies.command(name="list")
def list_anomalies(
    *,
    days: Annotated[float, Parameter(name=["--days", "-d"], validator=validators.Number(gt=0, lte=366))] = 7,
    every: Annotated[bool, Parameter(name=["--all", "-a"], negative="", show_default=False)] = False,
    limit: Annotated[
        int, Parameter(name=["--limit", "-n"], validator=validators.Number(gte=1, lte=1000))
    ] = 50,
    json: Json = False,
) -> int:
    """List what is or was unusual, the newest first.

    Keys of --json, per anomaly: id, host, cause, title, subjects, families,
    score, opened_at, last_at, closed_at, held, claimed_at, alerted_at,
    end_told_at, dismissed_at, dismissed_by, note.

    For example:
        aegis anomalies
        aegis anomalies list --days 30 --all

    Args:
        days: Open ones, and what was unusual in so many days.
        every: Also what a lesson covers.
        limit: At most so many, 1 to 1000.
        json: Print JSON for programs.
    """
    from aegis_lib.db import database

    now = clock.utcnow()
    with database.connect() as db:
        found = db.anomalies.groups(now - timedelta(days=days), held=every, limit=limit)
        warming_up = db.anomalies.warming_up()
    if json:
        screen.as_json(found)
        return OK
    screen.table(
        ("NO", "STATE", "SCORE", "SINCE (UTC)", "LASTED", "WHAT"),
        [
            (
                str(one.id),
                screen.plain(*_standing(one)),
                f"{one.score:.2f}",
                screen.moment(one.opened_at, now),
                _lasted(one),
                one.title,
            )
            for one in found
        ],
        empty="Nothing unusual.",
    )
    if warming_up:
        screen.note(f"{warming_up} series are still being learned; nothing is said of them until then.")
    if found:
        screen.note("Why? aegis anomalies show NO   No news? aegis anomalies dismiss NO")
    return OK


@anomalies.command
def show(number: Number, /, *, json: Json = False) -> int:
    """Show the numbers and the course of what was unusual.

    Keys of --json: as in `aegis anomalies list`, and points: series (kind,
    host, subject, metric), at, score, value, expected, low, high, deviation,
    opens, known.

    For example:
        aegis anomalies show 12

    Args:
        number: The number that the alert and the list show.
        json: Print JSON for programs.
    """
    from aegis_lib.db import database

    now = clock.utcnow()
    with database.connect() as db:
        group = _found(db, number)
        points = db.anomalies.points_of(number)
        if json:
            screen.as_json({**group.model_dump(), "points": points})
            return OK
        lines = _told(db, group, points, now)
    for line in lines:
        screen.say(screen.plain(line))
    return OK


@anomalies.command
def dismiss(
    number: Number,
    /,
    *,
    note: Annotated[str, Parameter(name=["--note", "-m"])] = "",
    by: Annotated[str | None, Parameter()] = None,
) -> int:
    """Say that it is no news: as much of it, in the same series, is not told again.

    For each series of the anomaly it is remembered how far it went, for
    `anomaly.lesson_days` (30). What goes no farther, plus a tenth, opens no
    alert; what goes farther does. `aegis anomalies lessons` lists what holds.

    For example:
        aegis anomalies dismiss 12
        aegis anomalies dismiss 12 --note "the weekly backup"

    Args:
        number: The number that the alert and the list show.
        note: Why, for whoever reads it later.
        by: Who says so; you by default.
    """
    from aegis_lib import config
    from aegis_lib.db import database

    now = clock.utcnow()
    days = config.load().anomaly.lesson_days
    with database.connect() as db:
        group = _found(db, number)
        learned = db.anomalies.dismiss(
            number,
            by=by or getpass.getuser(),
            note=note[:500],
            now=now,
            expires_at=now + timedelta(days=days),
        )
    if learned is None:
        screen.say(f"Anomaly {number} was dismissed before, {screen.moment(group.dismissed_at, now)}.")
        return OK
    series = "1 series" if learned == 1 else f"{learned} series"
    screen.say(f"Dismissed. As much of it is no news for {days:g} days ({series}).")
    return OK


@anomalies.command
def lessons(*, json: Json = False) -> int:
    """List what dismissals taught: up to which value a series is no news.

    Keys of --json, per lesson: id, group_id, series, above, value,
    learned_at, expires_at.

    For example:
        aegis anomalies lessons
        aegis anomalies unlearn 3
    """
    from aegis_lib.db import database
    from aegis_lib.metrics.words import of_series

    now = clock.utcnow()
    with database.connect() as db:
        found = db.anomalies.kept_lessons(now)
    if json:
        screen.as_json(found)
        return OK
    screen.table(
        ("NO", "ANOMALY", "SERIES", "NO NEWS", "UNTIL (UTC)"),
        [
            (
                str(one.id),
                str(one.group_id or "-"),
                one.series,
                f"{'up' if one.above else 'down'} to {of_series(one.value, one.series)}",
                screen.moment(one.expires_at, now),
            )
            for one in found
        ],
        empty="No lesson holds.",
    )
    return OK


@anomalies.command
def unlearn(number: Number, /) -> int:
    """Forget one lesson: the series is told of again as any other.

    For example:
        aegis anomalies unlearn 3

    Args:
        number: Its number in `aegis anomalies lessons`.
    """
    from aegis_lib.db import database

    with database.connect() as db:
        if not db.anomalies.unlearn(number):
            raise NothingSuch(f"There is no lesson {number}. Fix: `aegis anomalies lessons` lists them.")
    screen.say("Forgotten.")
    return OK


def _found(db: Database, number: int) -> Group:
    group = db.anomalies.group(number)
    if group is None:
        raise NothingSuch(f"There is no anomaly {number}. Fix: `aegis anomalies list --all` shows them.")
    return group


def _standing(one: Group) -> tuple[str, str]:
    if one.dismissed_at is not None:
        return "dismissed", "dim"
    state, colour = ("over", "dim") if one.closed_at is not None else ("open", "bold yellow")
    if one.alerted_at is not None:
        return f"{state}, told", colour
    why = {"budget": "budget spent", "lesson": "no news"}.get(one.held.value if one.held else "", "")
    return f"{state}, {why}" if why else state, colour


def _lasted(one: Group) -> str:
    from aegis_lib.anomaly.model import STEP

    return clock.duration(one.last_at + STEP - one.opened_at)


def _told(db: Database, group: Group, points: Sequence[Unusual], now: datetime) -> list[str]:
    """A group as lines: how it stands, then each series with its most unusual point and its course."""
    from aegis_lib.anomaly.model import STEP
    from aegis_lib.markdown import plain
    from aegis_lib.metrics.words import shown
    from aegis_lib.plot import sparkline

    lines = [
        f"what       {plain(group.title, 300)}",
        f"state      {_standing(group)[0]}",
        f"since      {screen.moment(group.opened_at, now)}, lasted {_lasted(group)}",
    ]
    if group.dismissed_at is not None:
        note = f": {plain(group.note, 300)}" if group.note else ""
        lines.append(f"dismissed  by {plain(group.dismissed_by or '-', 100)}{note}")
    worst: dict[str, Unusual] = {}
    for point in points:
        before = worst.get(point.series.name)
        if before is None or abs(point.deviation) > abs(before.deviation):
            worst[point.series.name] = point
    for name, point in sorted(worst.items(), key=lambda pair: -pair[1].score):
        unit, end = point.series.measures.unit, group.last_at + STEP
        course = {one.at: one.value for one in db.anomalies.history(point.series, end - _PLOTTED, end)}
        values = [course.get(end - _PLOTTED + STEP * n) for n in range(_PLOTTED // STEP)]
        usual = (
            f", usually {shown(max(0.0, point.low), unit)} to {shown(point.high, unit)}"
            if point.low is not None and point.high is not None
            else ""
        )
        lines += [
            "",
            plain(name, 300),
            f"  {shown(point.value, unit)} at {screen.moment(point.at, now)}, expected "
            f"{shown(point.expected, unit)}{usual}; score {point.score:.2f}, {point.deviation:+.1f} usual "
            f"distances{', no news by a lesson' if point.known else ''}",
        ]
        if course:
            lines.append(
                f"  {sparkline(values, _WIDTH)}  24 h to {end:%m-%d %H:%M}, "
                f"{shown(min(course.values()), unit)} to {shown(max(course.values()), unit)}"
            )
    return lines
