"""Series that are watched, the unusual points in them, and what belongs together. Values only.

Nothing here looks at a database or a clock, and nothing here decides. The detectors of single series are in
`aegis_lib.anomaly.detection`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic import Field

from aegis_lib.anomaly.detection.model import USUAL
from aegis_lib.metrics.model import METRICS, Family, Kind, Metric
from aegis_lib.outcome import AwareDatetime, Frozen, Report

EVENT_TYPE = "anomaly"
"""Event type of everything this area records in the episodic memory."""

STEP = timedelta(minutes=5)
"""Each point of a series is the mean of so long."""

SITES = "sites"
"""Where sites stand: no host of ours."""

WATCHED = (
    "host/*/cpu_ratio",
    "host/*/cpu_iowait_ratio",
    "host/*/memory_used_ratio",
    "host/*/swap_used_ratio",
    "host/*/disk_used_ratio",
    "host/*/disk_busy_ratio",
    "host/*/network_*_bytes_per_second",
    "host/*/processes",
    "container/*/cpu_cores",
    "container/*/memory_bytes",
    "container/*/disk_written_bytes_per_second",
    "container/*/network_*_bytes_per_second",
    "site/*/latency_ms",
)


class Series(Frozen):
    """Which numbers: `subject` is the container or site, empty for the host itself."""

    kind: Kind
    host: str
    subject: str = ""
    metric: str

    @property
    def name(self) -> str:
        """`host/local/cpu_ratio`, `container/local/web/memory_bytes`, `site/shop/latency_ms`."""
        host = "" if self.kind is Kind.SITE else self.host
        return "/".join(part for part in (self.kind.value, host, self.subject, self.metric) if part)

    @property
    def measures(self) -> Metric:
        """The metric: its unit, family and title."""
        return METRICS[self.kind][self.metric]

    @property
    def owner(self) -> str:
        """Who it is about, for people: the container, the site, or the host."""
        return self.subject or f"host {self.host}"


@dataclass(frozen=True, slots=True)
class Point:
    """The mean of a series over `STEP`, from `at` on. Another `deployment`: the container was replaced."""

    at: AwareDatetime
    value: float
    deployment: str = ""


class SeriesState(Frozen):
    """What is remembered of a series: its detector's state, and the newest point that it has judged."""

    series: Series
    deployment: str = ""
    state: Mapping[str, Any]
    seen_until: AwareDatetime
    points: int = 0
    warming_up: bool = True


class Unusual(Frozen):
    """One unusual point. `deviation` is in usual distances.

    `opens` when it is an alarm, not just more of one. `known`: a lesson says that it is no news.
    """

    series: Series
    at: AwareDatetime
    score: float = Field(ge=0, le=1)
    value: float
    expected: float | None = None
    low: float | None = None
    high: float | None = None
    deviation: float
    opens: bool = True
    known: bool = False

    @property
    def above(self) -> bool:
        """Whether it is more than expected."""
        return self.expected is None or self.value >= self.expected


class Lesson(Frozen):
    """A person said that this is no news: in that series, on that side, up to that value."""

    series: str
    above: bool
    value: float
    expires_at: AwareDatetime


class Held(StrEnum):
    """Why people are not told of a group."""

    BUDGET = "budget"
    LESSON = "lesson"


class Group(Frozen):
    """Unusual points of one host that belong together: what people see as one anomaly.

    `cause` is the resource it began with, or `host` for many things at once. `claimed_at`: someone is sending
    a message. `end_told_at`: those who were alerted know that it is over.
    """

    id: int
    host: str
    cause: str
    title: str
    subjects: tuple[str, ...] = ()
    families: tuple[Family, ...] = ()
    score: float
    opened_at: AwareDatetime
    last_at: AwareDatetime
    closed_at: AwareDatetime | None = None
    held: Held | None = None
    claimed_at: AwareDatetime | None = None
    alerted_at: AwareDatetime | None = None
    end_told_at: AwareDatetime | None = None
    dismissed_at: AwareDatetime | None = None
    dismissed_by: str | None = None
    note: str = ""

    @property
    def key(self) -> str:
        """Identity of the anomaly among alerts."""
        return f"anomaly:{self.id}"


class NewGroup(Frozen):
    """A group that is to be opened."""

    host: str
    cause: str
    title: str
    subjects: tuple[str, ...]
    families: tuple[Family, ...]


class Placement(Frozen):
    """Points and where they belong: an open group, or a new one."""

    group: int | None = None
    new: NewGroup | None = None
    points: tuple[Unusual, ...]


class AnomalyConfig(Frozen):
    """The section `anomaly` of aegis.yaml. Series are named as `aegis metrics` shows them, with wildcards.

    `alerts_per_day` (0 to 100; 0 = none) bounds how many anomalies people are told of in any 24 hours.
    `alarm_at` (above 0, to 1) is the score that makes a point unusual. An
    anomaly is over when nothing was unusual for `calm_minutes` (10 to 1440). A dismissal holds for
    `lesson_days` (1 to 365). `smallest_changes` says by metric which change matters at all, in its unit.
    """

    alerts_per_day: int = Field(default=4, ge=0, le=100)
    alarm_at: float = Field(default=USUAL.alarm_at, gt=0, le=1)
    calm_minutes: float = Field(default=30, ge=10, le=1440)
    lesson_days: float = Field(default=30, ge=1, le=365)
    watch: tuple[str, ...] = WATCHED
    ignore: tuple[str, ...] = ()
    smallest_changes: dict[str, float] = Field(default_factory=dict)


class ScanReport(Report):
    """What one scan saw and said. `held` are anomalies that people were not told of, and why not.

    `caught_up` is False when time ended before the newest points were judged; the next scan goes on.
    """

    series: int = 0
    points: int = 0
    unusual: int = 0
    opened: tuple[str, ...] = ()
    alerted: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    held: int = 0
    warming_up: int = 0
    caught_up: bool = True
    problems: tuple[str, ...] = ()
