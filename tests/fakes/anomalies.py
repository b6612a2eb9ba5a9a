"""A fake of the port of anomalies. It keeps what it is told as the real one does, and nothing more."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from aegis_lib.anomaly.model import (
    STEP,
    Group,
    Held,
    Lesson,
    NewGroup,
    Point,
    Series,
    SeriesState,
    Unusual,
)
from aegis_lib.errors import AegisError
from aegis_lib.metrics.model import Kind

NOON = datetime(2026, 1, 25, 12, tzinfo=UTC)
WEB_MEMORY = Series(kind=Kind.CONTAINER, host="local", subject="web", metric="memory_bytes")
WEB_CPU = Series(kind=Kind.CONTAINER, host="local", subject="web", metric="cpu_cores")
HOST_CPU = Series(kind=Kind.HOST, host="local", metric="cpu_ratio")
SHOP = Series(kind=Kind.SITE, host="sites", subject="shop", metric="latency_ms")


def unusual(series: Series = WEB_MEMORY, at: datetime = NOON, **changes: Any) -> Unusual:
    fields: dict[str, Any] = {
        "series": series, "at": at, "score": 0.9, "value": 800e6, "expected": 300e6, "low": 280e6,
        "high": 320e6, "deviation": 25.0,
    }  # fmt: skip
    return Unusual(**{**fields, **changes})


def new_group(*points: Unusual, **changes: Any) -> NewGroup:
    fields: dict[str, Any] = {
        "host": points[0].series.host,
        "cause": points[0].series.measures.family.value,
        "title": "web on local: memory in use, more than usual",
        "subjects": tuple(sorted({point.series.subject for point in points})),
        "families": tuple(sorted({point.series.measures.family for point in points})),
    }
    return NewGroup(**{**fields, **changes})


class FakeAnomalies:
    """Series, states, groups and lessons in dictionaries; `broken` makes every call raise it."""

    def __init__(self) -> None:
        self.series: dict[Series, list[Point]] = {}
        self.kept: dict[str, SeriesState] = {}
        self.groups: dict[int, Group] = {}
        self.found: dict[int, list[Unusual]] = {}
        self.taught: list[Lesson] = []
        self.broken: AegisError | None = None

    def measure(
        self, series: Series, start: datetime, values: Sequence[float | None], deployment: str = ""
    ) -> None:
        """Put values into a series, one for each five minutes; None is a gap."""
        points = self.series.setdefault(series, [])
        for number, value in enumerate(values):
            if value is not None:
                points.append(Point(start + number * STEP, value, deployment))

    def earliest(self, since: datetime) -> datetime | None:
        self._check()
        moments = [p.at for points in self.series.values() for p in points if p.at >= since]
        return min(moments, default=None)

    def points(self, since: datetime, until: datetime) -> Mapping[Series, Sequence[Point]]:
        self._check()
        cut = {s: self.history(s, since, until) for s in self.series}
        return {series: points for series, points in cut.items() if points}

    def history(self, series: Series, since: datetime, until: datetime) -> Sequence[Point]:
        self._check()
        return [point for point in self.series.get(series, []) if since <= point.at < until]

    def states(self, series: Collection[Series]) -> Mapping[str, SeriesState]:
        self._check()
        return {one.name: self.kept[one.name] for one in series if one.name in self.kept}

    def save(self, states: Iterable[tuple[SeriesState, datetime | None]]) -> frozenset[str]:
        self._check()
        saved = set()
        for state, before in states:
            json.dumps(state.state, allow_nan=False)
            known = self.kept.get(state.series.name)
            if (known.seen_until if known else None) == before:
                self.kept[state.series.name] = state
                saved.add(state.series.name)
        return frozenset(saved)

    def forget_series(self, before: datetime) -> int:
        self._check()
        old = [name for name, state in self.kept.items() if state.seen_until < before]
        for name in old:
            del self.kept[name]
        return len(old)

    def warming_up(self) -> int:
        self._check()
        return sum(state.warming_up for state in self.kept.values())

    def lessons(self, series: Collection[str], now: datetime) -> Sequence[Lesson]:
        self._check()
        return [one for one in self.taught if one.series in series and one.expires_at > now]

    def open_groups(self) -> Sequence[Group]:
        self._check()
        return [group for group in self.groups.values() if group.closed_at is None]

    def open_points(self) -> Sequence[Unusual]:
        self._check()
        first: dict[str, Unusual] = {}
        for group in self.open_groups():
            for point in self.found[group.id]:
                known = first.get(point.series.name)
                if known is None or point.at < known.at:
                    first[point.series.name] = point
        return [first[name] for name in sorted(first)]

    def open_group(self, group: NewGroup, points: Sequence[Unusual]) -> int:
        self._check()
        same = [g.id for g in self.open_groups() if (g.host, g.cause) == (group.host, group.cause)]
        number = same[0] if same else len(self.groups) + 1
        if not same:
            self.groups[number] = Group(
                **group.model_dump(),
                id=number,
                score=max(point.score for point in points),
                opened_at=min(point.at for point in points),
                last_at=max(point.at for point in points),
                held=Held.LESSON if all(point.known for point in points) else None,
            )
            self.found[number] = []
        self.extend_group(number, points)
        return number

    def extend_group(self, group: int, points: Sequence[Unusual]) -> None:
        self._check()
        was = self.groups[group]
        if was.closed_at is None:
            news = any(not point.known for point in points)
            self._change(
                group,
                last_at=max(was.last_at, *(point.at for point in points)),
                score=max(was.score, *(point.score for point in points)),
                subjects=tuple(sorted({*was.subjects, *(point.series.subject for point in points)})),
                families=tuple(sorted({*was.families, *(point.series.measures.family for point in points)})),
                held=None if news and was.held is Held.LESSON else was.held,
            )
        taken = {(p.series.name, p.at) for points in self.found.values() for p in points}
        fresh = [p.model_copy(update={"opens": True}) for p in points]
        self.found[group] += [point for point in fresh if (point.series.name, point.at) not in taken]
        self.found[group].sort(key=lambda point: (point.at, point.series.name))

    def close_group(self, group: Group, at: datetime) -> bool:
        self._check()
        now = self.groups[group.id]
        if now.closed_at is not None or now.last_at != group.last_at:
            return False
        self._change(group.id, closed_at=at)
        return True

    def alerts_since(self, since: datetime) -> int:
        self._check()
        return len(self._told_since(since))

    def claim_alert(
        self, group: Group, now: datetime, budget: int, budget_since: datetime, lease: timedelta
    ) -> bool:
        self._check()
        was = self.groups[group.id]
        others = [one for one in self._told_since(budget_since) if one.id != group.id]
        if was.closed_at is not None or was.alerted_at is not None or self._claimed(was, now, lease):
            return False
        if len(others) >= budget:
            return False
        self._change(group.id, claimed_at=now, held=None)
        return True

    def alerted(self, group: Group, now: datetime) -> None:
        self._check()
        self._change(group.id, alerted_at=now, claimed_at=None)

    def hold(self, group: Group, why: Held) -> bool:
        self._check()
        was = self.groups[group.id]
        if was.alerted_at is not None or was.claimed_at is not None or was.held is why:
            return False
        self._change(group.id, held=why)
        return True

    def ended_untold(self) -> Sequence[Group]:
        self._check()
        return [g for g in self.groups.values() if g.closed_at and g.alerted_at and not g.end_told_at]

    def claim_end(self, group: Group, now: datetime, lease: timedelta) -> bool:
        self._check()
        was = self.groups[group.id]
        if was.end_told_at is not None or self._claimed(was, now, lease):
            return False
        self._change(group.id, claimed_at=now)
        return True

    def end_told(self, group: Group, now: datetime) -> None:
        self._check()
        self._change(group.id, end_told_at=now, claimed_at=None)

    def release(self, group: Group) -> None:
        self._check()
        self._change(group.id, claimed_at=None)

    def points_of(self, group: int) -> Sequence[Unusual]:
        self._check()
        return list(self.found.get(group, []))

    def dismiss(self, number: int, now: datetime, expires_at: datetime) -> None:
        """A person dismisses a group: closed, and a lesson for each of its series and sides."""
        self._change(number, dismissed_at=now, dismissed_by="ada", closed_at=now)
        farthest: dict[tuple[str, bool], float] = {}
        for point in self.found[number]:
            key = (point.series.name, point.above)
            pick = max if point.above else min
            farthest[key] = pick(farthest.get(key, point.value), point.value)
        self.taught += [
            Lesson(series=series, above=above, value=value, expires_at=expires_at)
            for (series, above), value in farthest.items()
        ]

    def _told_since(self, since: datetime) -> list[Group]:
        told = [(group, group.alerted_at or group.claimed_at) for group in self.groups.values()]
        return [group for group, at in told if at is not None and at > since]

    @staticmethod
    def _claimed(group: Group, now: datetime, lease: timedelta) -> bool:
        return group.claimed_at is not None and group.claimed_at > now - lease

    def _change(self, number: int, **changes: Any) -> None:
        self.groups[number] = self.groups[number].model_copy(update=changes)

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken
