"""A store of the status page that gives what it was given, or fails where it was told to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from aegis_lib.alerts.model import Alert
from aegis_lib.ledger.model import JobTicks
from aegis_lib.status_page.model import (
    Anomaly,
    Change,
    Containers,
    Facts,
    Incident,
    Latency,
    Picture,
    Point,
    SiteNow,
    Stretch,
    Use,
)


class FakeStatusPageStore:
    """Implements the port `StatusPageStore`. `broken` maps a method's name to what it raises."""

    def __init__(self, facts: Facts, **broken: Exception) -> None:
        self._facts, self._broken = facts, broken
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def _called(self, name: str, *arguments: Any) -> None:
        self.calls.append((name, arguments))
        if name in self._broken:
            raise self._broken[name]

    def close_days(self, now: datetime) -> int:
        self._called("close_days", now)
        return 0

    def sites(self) -> list[SiteNow]:
        self._called("sites")
        return list(self._facts.sites.now)

    def days(self, since: datetime) -> list[Stretch]:
        self._called("days", since)
        return [one for one in self._facts.sites.days if one.start >= since]

    def hours(self, since: datetime) -> list[Stretch]:
        self._called("hours", since)
        return list(self._facts.sites.hours)

    def latencies(self, sites: Sequence[str], since: datetime) -> list[Latency]:
        self._called("latencies", tuple(sites), since)
        return [one for one in self._facts.sites.latencies if one.site in sites]

    def incidents(self, since: datetime, limit: int) -> list[Incident]:
        self._called("incidents", since, limit)
        return list(self._facts.incidents)[:limit]

    def pictures(self, limit: int) -> list[Picture]:
        self._called("pictures", limit)
        return list(self._facts.pictures)[:limit]

    def changes(self, since: datetime, limit: int) -> list[Change]:
        self._called("changes", since, limit)
        return list(self._facts.changes)[:limit]

    def containers(self, now: datetime, since: datetime, limit: int) -> Containers:
        self._called("containers", now, since, limit)
        return self._facts.containers

    def hosts(self, since: datetime) -> list[Use]:
        self._called("hosts", since)
        return list(self._facts.hosts)

    def anomalies(self, since: datetime, limit: int) -> list[Anomaly]:
        self._called("anomalies", since, limit)
        return list(self._facts.anomalies)[:limit]

    def points(self, anomaly: Anomaly, start: datetime, end: datetime) -> list[Point]:
        self._called("points", anomaly.id, start, end)
        return list(anomaly.points)

    def jobs(self, start: datetime, end: datetime) -> list[JobTicks]:
        self._called("jobs", start, end)
        return list(self._facts.jobs)

    def alerts(self, limit: int) -> list[Alert]:
        self._called("alerts", limit)
        return list(self._facts.alerts)[:limit]


class FakePlace:
    """Implements the port `PagePlace`; keeps what was written."""

    def __init__(self) -> None:
        self.pages: list[bytes] = []

    def write(self, page: bytes) -> str:
        self.pages.append(page)
        return "/srv/report/index.html"
