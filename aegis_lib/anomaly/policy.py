"""What of all that is unusual matters, what belongs together, and what lessons say. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from aegis_lib.anomaly.model import (
    STEP,
    AnomalyConfig,
    Group,
    Lesson,
    NewGroup,
    Placement,
    Point,
    Series,
    Unusual,
)
from aegis_lib.metrics.model import Family, Kind, Unit

SETTLE = timedelta(seconds=30)
"""A stretch of five minutes is looked at so long after its end: its last minute may still be written."""
FIRST_LOOK = timedelta(days=14)
"""How far back the first scan begins."""
MANY = 4
"""So many containers or sites at once on one host have one cause: the host itself."""
EVERYTHING = "host"
NEW_USUAL = timedelta(hours=6)
"""What lasts so long is how it is now."""
LESSON_MARGIN = 0.1
"""A lesson covers values so much beyond the one that was dismissed."""

_MIB = 1024.0**2
SMALLEST_CHANGES: Mapping[str, float] = {
    "cpu_ratio": 0.15,
    "cpu_iowait_ratio": 0.1,
    "cpu_steal_ratio": 0.1,
    "cpu_cores": 0.15,
    "memory_used_ratio": 0.05,
    "memory_bytes": 32 * _MIB,
    "swap_used_ratio": 0.05,
    "disk_used_ratio": 0.02,
    "disk_busy_ratio": 0.25,
    "load_1m": 1.0,
    "processes": 20,
    "latency_ms": 50,
}
_BY_UNIT: Mapping[Unit, float] = {
    Unit.RATIO: 0.1,
    Unit.CORES: 0.15,
    Unit.BYTES: 32 * _MIB,
    Unit.BYTES_PER_SECOND: 128 * 1024,
    Unit.PER_SECOND: 1,
    Unit.COUNT: 5,
    Unit.MILLISECONDS: 50,
}
SMALLEST_FACTOR: Mapping[Unit, float] = {Unit.RATIO: 1.0, Unit.BYTES_PER_SECOND: 2.0}
"""And traffic must be twice or half of what was expected: it comes in bursts. Ratios have a scale ..."""
USUAL_SMALLEST_FACTOR = 1.1
"""... and the rest must be a tenth away."""
_WEIGHT = {Kind.CONTAINER: 2, Kind.SITE: 1, Kind.HOST: 0}
"""Of two that are unusual together, the container is the likelier cause."""


def complete_until(now: datetime) -> datetime:
    """The end of the last stretch of five minutes that is complete."""
    return floor(now - SETTLE)


def floor(moment: datetime) -> datetime:
    """The beginning of the stretch of five minutes that a moment is in."""
    seconds = int(moment.astimezone(UTC).timestamp())
    return datetime.fromtimestamp(seconds - seconds % int(STEP.total_seconds()), UTC)


def watched(series: Series, config: AnomalyConfig) -> bool:
    """Whether the series is to be judged at all."""
    name = series.name
    return _fits(name, config.watch) and not _fits(name, config.ignore)


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def deployment(image: str | None) -> str:
    """What changes when a container is deployed anew: the start of its image's id, else the image's name."""
    return (image or "").rpartition("@")[2]


def matters(series: Series, value: float, expected: float | None, config: AnomalyConfig) -> bool:
    """Whether the change is large enough to be of interest, however unusual it is."""
    if expected is None:
        return False
    factor = SMALLEST_FACTOR.get(series.measures.unit, USUAL_SMALLEST_FACTOR)
    apart = value >= expected * factor or value <= expected / factor
    return apart and abs(value - expected) >= smallest_change(series, config)


def smallest_change(series: Series, config: AnomalyConfig) -> float:
    """The smallest change of interest, in the unit of the series."""
    usual = SMALLEST_CHANGES.get(series.metric, _BY_UNIT[series.measures.unit])
    return config.smallest_changes.get(series.metric, usual)


def still(first: Unusual, point: Point, config: AnomalyConfig) -> Unusual | None:
    """The point as more of what began with `first`: not back yet where it was usual then.

    A detector soon knows what it sees again and again; people want to know when it is over. What lasts longer
    than `NEW_USUAL` is no anomaly any more. None when the point is back, or that is so.
    """
    if first.expected is None or first.low is None or first.high is None:
        return None
    if not first.at < point.at < first.at + NEW_USUAL:
        return None
    outside = point.value > first.high if first.above else point.value < first.low
    if not outside or not matters(first.series, point.value, first.expected, config):
        return None
    away = (point.value - first.expected) / ((first.value - first.expected) or 1.0)
    return first.model_copy(
        update={
            "at": point.at,
            "value": point.value,
            "score": 0.0,
            "deviation": first.deviation * away,
            "opens": False,
        }
    )


def covered(point: Unusual, lessons: Iterable[Lesson], now: datetime) -> bool:
    """Whether a person said of as much, in this series and on this side, that it is no news."""
    for lesson in lessons:
        if lesson.series != point.series.name or lesson.above != point.above or lesson.expires_at <= now:
            continue
        margin = LESSON_MARGIN * abs(lesson.value)
        if point.value <= lesson.value + margin if point.above else point.value >= lesson.value - margin:
            return True
    return False


def placed(found: Sequence[Unusual], groups: Sequence[Group], calm: timedelta) -> list[Placement]:
    """Where points belong, the time of one scan at once.

    A point joins the open group of its host that has its container or site, else the one that has its
    resource, else it opens one if it is an alarm. Many containers of one host that open at once are one
    group.
    """
    placements: list[Placement] = []
    for host in sorted({point.series.host for point in found}):
        mine = [point for point in found if point.series.host == host]
        placements += _placed_on(host, mine, [group for group in groups if group.host == host], calm)
    return placements


def _placed_on(
    host: str, found: Sequence[Unusual], groups: Sequence[Group], calm: timedelta
) -> list[Placement]:
    joined: dict[int, list[Unusual]] = {}
    loose: list[Unusual] = []
    for point in ranked(found):
        home = _home(point, groups, calm)
        if home is not None:
            joined.setdefault(home.id, []).append(point)
        elif point.opens:
            loose.append(point)
    placements = [Placement(group=id, points=tuple(points)) for id, points in joined.items()]
    clusters = _clusters(loose)
    if len({point.series.subject for point in loose} - {""}) >= MANY:
        clusters = [loose]
    for cluster in clusters:
        new = _opened(host, cluster, everything=len(_subjects(cluster)) >= MANY)
        placements.append(Placement(new=new, points=tuple(cluster)))
    return placements


def _home(point: Unusual, groups: Sequence[Group], calm: timedelta) -> Group | None:
    """The open group that the point belongs to. One that goes on belongs only where its series may be."""
    near = [group for group in groups if abs(point.at - group.last_at) <= calm + STEP]
    for group in near:
        if point.series.subject in group.subjects or (group.cause == EVERYTHING and point.opens):
            return group
    if not point.opens:
        return None
    return next((group for group in near if point.series.measures.family in group.families), None)


def _clusters(loose: Sequence[Unusual]) -> list[list[Unusual]]:
    """Points that share a container, a site or a resource, directly or by others."""
    clusters: list[list[Unusual]] = []
    for point in loose:
        touching = [
            cluster
            for cluster in clusters
            if any(
                other.series.subject == point.series.subject
                or other.series.measures.family is point.series.measures.family
                for other in cluster
            )
        ]
        merged = [other for cluster in touching for other in cluster] + [point]
        clusters = [cluster for cluster in clusters if cluster not in touching] + [merged]
    return clusters


def _opened(host: str, points: Sequence[Unusual], *, everything: bool) -> NewGroup:
    first = ranked(points)[0]
    families = tuple(sorted({point.series.measures.family for point in points}))
    return NewGroup(
        host=host,
        cause=EVERYTHING if everything else first.series.measures.family.value,
        title=title(host, points, everything=everything),
        subjects=_subjects(points),
        families=families,
    )


def _subjects(points: Iterable[Unusual]) -> tuple[str, ...]:
    return tuple(sorted({point.series.subject for point in points}))


def title(host: str, points: Sequence[Unusual], *, everything: bool) -> str:
    """What is unusual, in a few words, without numbers."""
    if everything:
        return f"{len(_subjects(points))} things at once on {host}"
    first = ranked(points)[0]
    side = "more than usual" if first.above else "less than usual"
    where = "" if first.series.kind is Kind.SITE or not first.series.subject else f" on {host}"
    return f"{first.series.owner}{where}: {first.series.measures.title}, {side}"


def ranked(points: Iterable[Unusual]) -> list[Unusual]:
    """The likeliest cause first: what is new before what goes on, containers before their host, by score."""
    return sorted(
        points,
        key=lambda p: (
            not p.opens,
            p.known,
            -_WEIGHT[p.series.kind],
            -p.score,
            -abs(p.deviation),
            p.series.name,
        ),
    )


def families(points: Iterable[Unusual]) -> set[Family]:
    """The resources that the points are about."""
    return {point.series.measures.family for point in points}


def is_calm(group: Group, until: datetime, calm: timedelta) -> bool:
    """Whether nothing was unusual for long enough. `until`: all points before it were judged."""
    return until - (group.last_at + STEP) >= calm


def regular(points: Mapping[datetime, float], since: datetime, until: datetime) -> list[float | None]:
    """A value for each five minutes in [since, until); None where there is none."""
    values: list[float | None] = []
    moment = floor(since)
    while moment < until:
        values.append(points.get(moment))
        moment += STEP
    return values
