"""What services need from the outside: series of numbers, what is remembered of them, and what was unusual.

No implementation lives here, and no name of a vendor.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from aegis_lib.anomaly.model import Group, Held, Lesson, NewGroup, Point, Series, SeriesState, Unusual


class AnomalyStore(Protocol):
    """Series, detectors' states, unusual points in groups, lessons. A claim that answers False was lost.

    Every method raises DependencyUnavailable when the database is away.
    """

    def earliest(self, since: datetime) -> datetime | None:
        """When the oldest sample since then was taken."""

    def points(self, since: datetime, until: datetime) -> Mapping[Series, Sequence[Point]]:
        """Every series in [since, until), one point for each five minutes that have a sample, in order."""

    def states(self, series: Collection[Series]) -> Mapping[str, SeriesState]:
        """What is remembered of some series, by the series' name."""

    def save(self, states: Iterable[tuple[SeriesState, datetime | None]]) -> frozenset[str]:
        """Remember states; beside each, up to when the series was judged before. The names that were saved.

        A series that another process has judged meanwhile is left alone.
        """

    def forget_series(self, before: datetime) -> int:
        """Forget the detectors of series of which nothing was measured since, and old lessons; how many."""

    def warming_up(self) -> int:
        """How many series are still being learned."""

    def lessons(self, series: Collection[str], now: datetime) -> Sequence[Lesson]:
        """What people said of some series and that still holds."""

    def open_groups(self) -> Sequence[Group]:
        """Groups that are not closed, the oldest first."""

    def open_points(self) -> Sequence[Unusual]:
        """The first unusual point of each series in an open group."""

    def open_group(self, group: NewGroup, points: Sequence[Unusual]) -> int:
        """Open a group with its points; the number of the one that is open for that host and cause."""

    def extend_group(self, group: int, points: Sequence[Unusual]) -> None:
        """Add points to an open group; those that it has already change nothing."""

    def close_group(self, group: Group, at: datetime) -> bool:
        """Nothing more was unusual; False when something was meanwhile, or somebody else closed it."""

    def alerts_since(self, since: datetime) -> int:
        """How many groups people were told of since then."""

    def claim_alert(
        self, group: Group, now: datetime, budget: int, budget_since: datetime, lease: timedelta
    ) -> bool:
        """Claim telling people of a group, while fewer than `budget` were told since then.

        A claim older than `lease` counts as abandoned.
        """

    def alerted(self, group: Group, now: datetime) -> None:
        """People were told."""

    def hold(self, group: Group, why: Held) -> bool:
        """People are not told, and why; False when that is known or they were."""

    def ended_untold(self) -> Sequence[Group]:
        """Groups that are over, of which people were told, and not of the end."""

    def claim_end(self, group: Group, now: datetime, lease: timedelta) -> bool:
        """Claim telling people that it is over."""

    def end_told(self, group: Group, now: datetime) -> None:
        """People know that it is over."""

    def release(self, group: Group) -> None:
        """The message could not be delivered: the next scan may claim it at once."""

    def points_of(self, group: int) -> Sequence[Unusual]:
        """The unusual points of a group, the oldest first."""

    def history(self, series: Series, since: datetime, until: datetime) -> Sequence[Point]:
        """One series in [since, until), as `points`."""
