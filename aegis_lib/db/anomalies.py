"""The store of series, what detectors remember of them, unusual points and lessons. It never judges.

A claim that answers False was lost to another process, which then acts instead.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from aegis_lib.anomaly.model import (
    SITES,
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
from aegis_lib.anomaly.policy import deployment
from aegis_lib.db.sql import Queries
from aegis_lib.db.storable import storable_text
from aegis_lib.metrics.model import Kind
from aegis_lib.outcome import AwareDatetime, Frozen


class LessonKept(Frozen):
    """A lesson as it is kept: its number, and the anomaly it came from."""

    id: int
    group_id: int | None
    series: str
    above: bool
    value: float
    learned_at: AwareDatetime
    expires_at: AwareDatetime


class AnomalyStore:
    """Implements the port `AnomalyStore`, and what people say. See the port for the exact meaning."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    # --- series ---

    def earliest(self, since: datetime) -> datetime | None:
        """When the oldest sample since then was taken."""
        moment: datetime | None = self._queries.earliest_sample(since=since)
        return moment

    def points(self, since: datetime, until: datetime) -> dict[Series, list[Point]]:
        """Every series in [since, until), one point for each five minutes that have a sample, in order."""
        return {
            series: points
            for kind in Kind
            for series, points in self._points(kind, since, until, None, None).items()
        }

    def history(self, series: Series, since: datetime, until: datetime) -> list[Point]:
        """One series in [since, until), as `points`."""
        subject = series.subject or None
        return self._points(series.kind, since, until, series.host, subject).get(series, [])

    def _points(
        self, kind: Kind, since: datetime, until: datetime, host: str | None, subject: str | None
    ) -> dict[Series, list[Point]]:
        """The series of one kind, of one host and one container or site where given."""
        asked = {"since": since, "until": until, "step": STEP, "host": host, "subject": subject}
        rows: Iterable[tuple[tuple[str, str, str], Point]]
        match kind:
            case Kind.HOST:
                rows = (
                    ((row["host"], "", row["metric"]), Point(row["at"], row["value"]))
                    for row in self._queries.host_points(**asked)
                )
            case Kind.CONTAINER:
                rows = (
                    (
                        (row["engine"], row["name"], row["metric"]),
                        Point(row["at"], row["value"], deployment(row["image"])),
                    )
                    for row in self._queries.container_points(**asked)
                )
            case Kind.SITE:
                rows = (
                    ((SITES, row["site"], "latency_ms"), Point(row["at"], row["value"]))
                    for row in self._queries.site_points(**asked)
                )
        by_identity: dict[tuple[str, str, str], list[Point]] = {}
        for identity, point in rows:
            by_identity.setdefault(identity, []).append(point)
        return {
            Series(kind=kind, host=host, subject=subject, metric=metric): points
            for (host, subject, metric), points in by_identity.items()
        }

    def states(self, series: Collection[Series]) -> dict[str, SeriesState]:
        """What is remembered of some series, by name."""
        by_name = {one.name: one for one in series}
        return {
            row["series"]: SeriesState(
                series=by_name[row["series"]],
                deployment=row["deployment"],
                state=_unpacked(row["state"]),
                seen_until=row["seen_until"],
                points=row["points"],
                warming_up=row["warming_up"],
            )
            for row in self._queries.series(names=list(by_name))
        }

    def save(self, states: Iterable[tuple[SeriesState, datetime | None]]) -> frozenset[str]:
        """Remember states; the names of those that were saved."""
        given = [
            {
                "series": one.series.name,
                "host": one.series.host,
                "subject": one.series.subject,
                "metric": one.series.metric,
                "deployment": one.deployment,
                "state": _packed(one.state),
                "seen_until": one.seen_until.isoformat(),
                "points": one.points,
                "warming_up": one.warming_up,
                "before": before.isoformat() if before else None,
            }
            for one, before in states
        ]
        if not given:
            return frozenset()
        rows = self._queries.save_series(given=storable_text(json.dumps(given, allow_nan=False)))
        return frozenset(row["series"] for row in rows)

    def forget_series(self, before: datetime) -> int:
        """Forget the detectors of series of which nothing was measured since, and old lessons; how many."""
        self._queries.forget_lessons(before=before)
        return int(self._queries.forget_series(before=before))

    def warming_up(self) -> int:
        """How many series are still being learned."""
        return int(self._queries.warming_up())

    # --- unusual points in groups ---

    def lessons(self, series: Collection[str], now: datetime) -> list[Lesson]:
        """What people said of some series and that still holds."""
        return [Lesson.model_validate(row) for row in self._queries.lessons(names=list(series), now=now)]

    def open_groups(self) -> list[Group]:
        """Groups that are not closed, the oldest first."""
        return [_group(row) for row in self._queries.open_groups()]

    def open_points(self) -> list[Unusual]:
        """The first unusual point of each series in an open group."""
        return [_unusual(row) for row in self._queries.open_points()]

    def open_group(self, group: NewGroup, points: Sequence[Unusual]) -> int:
        """Open a group with its points; the number of the one that is open for that host and cause."""
        with self._queries.transaction():
            number = self._queries.open_group(
                host=group.host,
                cause=group.cause,
                title=storable_text(group.title),
                subjects=list(group.subjects),
                families=[family.value for family in group.families],
                score=max(point.score for point in points),
                opened_at=min(point.at for point in points),
                last_at=max(point.at for point in points),
                held=Held.LESSON.value if all(point.known for point in points) else None,
            )
            self.extend_group(int(number), points)
        return int(number)

    def extend_group(self, group: int, points: Sequence[Unusual]) -> None:
        """Add points to an open group; those that it has already change nothing."""
        with self._queries.transaction():
            self._queries.extend_group(
                id=group,
                last_at=max(point.at for point in points),
                score=max(point.score for point in points),
                subjects=sorted({point.series.subject for point in points}),
                families=sorted({point.series.measures.family.value for point in points}),
                news=any(not point.known for point in points),
            )
            for point in points:
                self._queries.add_point(
                    group_id=group,
                    series=point.series.name,
                    host=point.series.host,
                    subject=point.series.subject,
                    metric=point.series.metric,
                    **point.model_dump(exclude={"series", "opens"}),
                )

    def close_group(self, group: Group, at: datetime) -> bool:
        """Nothing more was unusual; False when something was meanwhile, or somebody else closed it."""
        return bool(self._queries.close_group(id=group.id, last_at=group.last_at, closed_at=at))

    # --- telling people ---

    def alerts_since(self, since: datetime) -> int:
        """How many groups people were told of since then."""
        return int(self._queries.alerts_since(since=since))

    def claim_alert(
        self, group: Group, now: datetime, budget: int, budget_since: datetime, lease: timedelta
    ) -> bool:
        """Claim telling people of a group, while fewer than `budget` were told since then."""
        return bool(
            self._queries.claim_alert(
                id=group.id,
                now=now,
                budget=budget,
                budget_since=budget_since,
                abandoned_before=now - lease,
            )
        )

    def alerted(self, group: Group, now: datetime) -> None:
        """People were told."""
        self._queries.alerted(id=group.id, now=now)

    def hold(self, group: Group, why: Held) -> bool:
        """People are not told, and why; False when that is known or they were."""
        return bool(self._queries.hold(id=group.id, held=why.value))

    def ended_untold(self) -> list[Group]:
        """Groups that are over, of which people were told, and not of the end."""
        return [_group(row) for row in self._queries.ended_untold()]

    def claim_end(self, group: Group, now: datetime, lease: timedelta) -> bool:
        """Claim telling people that it is over."""
        return bool(self._queries.claim_end(id=group.id, now=now, abandoned_before=now - lease))

    def end_told(self, group: Group, now: datetime) -> None:
        """People know that it is over."""
        self._queries.end_told(id=group.id, now=now)

    def release(self, group: Group) -> None:
        """The message could not be delivered: the next scan may claim it at once."""
        self._queries.release(id=group.id)

    def points_of(self, group: int) -> list[Unusual]:
        """The unusual points of a group, the oldest first."""
        return [_unusual(row) for row in self._queries.points_of_group(id=group)]

    # --- what people ask and say ---

    def groups(self, since: datetime, *, held: bool, limit: int = 100) -> list[Group]:
        """Groups that are open or were unusual since then; with `held`, those that a lesson covers, too."""
        return [_group(row) for row in self._queries.groups(since=since, held=held, limit=limit)]

    def group(self, number: int) -> Group | None:
        """One group; None when there is none of that number."""
        row = self._queries.group(id=number)
        return _group(row) if row else None

    def dismiss(self, number: int, *, by: str, note: str, now: datetime, expires_at: datetime) -> int | None:
        """A person says that it is no news: closed, and a lesson for each of its series.

        How many lessons there are until `expires_at`; None when that was said before, or there is no such
        group.
        """
        with self._queries.transaction():
            if not self._queries.dismiss(id=number, by=storable_text(by), note=storable_text(note), now=now):
                return None
            return int(self._queries.learn(id=number, now=now, expires_at=expires_at))

    def kept_lessons(self, now: datetime) -> list[LessonKept]:
        """What people said and that still holds, the newest first."""
        return [LessonKept.model_validate(row) for row in self._queries.lessons_for_people(now=now)]

    def unlearn(self, lesson: int) -> bool:
        """Forget one lesson; False when there is none of that number."""
        return bool(self._queries.unlearn(id=lesson))


_POINT = ("at", "score", "value", "expected", "low", "high", "deviation", "known")


def _unusual(row: Mapping[str, Any]) -> Unusual:
    kind = Kind(row["series"].partition("/")[0])
    return Unusual(
        series=Series(kind=kind, host=row["host"], subject=row["subject"], metric=row["metric"]),
        **{name: row[name] for name in _POINT},
    )


def _packed(state: Mapping[str, Any]) -> str:
    """As compressed JSON, in base64: a state has some ten thousand characters and changes with each scan."""
    return b64encode(zlib.compress(json.dumps(state, allow_nan=False).encode(), 1)).decode("ascii")


def _unpacked(state: bytes) -> dict[str, Any]:
    """What was packed; damaged, it is an empty state, from which no detector is restored."""
    try:
        found = json.loads(zlib.decompress(state))
    except (zlib.error, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _group(row: Mapping[str, Any]) -> Group:
    return Group.model_validate(row)
