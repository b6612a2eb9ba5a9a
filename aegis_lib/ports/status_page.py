"""What services need from the outside: what the status page shows, its small pictures, and where it goes.

No implementation lives here, and no name of a vendor.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from aegis_lib.alerts.model import Alert
from aegis_lib.ledger.model import JobTicks
from aegis_lib.status_page.model import (
    Anomaly,
    Change,
    Containers,
    Incident,
    Latency,
    Picture,
    Point,
    SiteNow,
    Stretch,
    Use,
)


class StatusPageStore(Protocol):
    """Everything that the page is made of. It only reads, but for the days that it closes."""

    def close_days(self, now: datetime) -> int:
        """Sum up the checks of UTC days that are over, a few at a time; how many days. Twice is once."""

    def sites(self) -> list[SiteNow]:
        """Every watched site, by name."""

    def days(self, since: datetime) -> list[Stretch]:
        """Closed days that began at or after `since`, of every site."""

    def hours(self, since: datetime) -> list[Stretch]:
        """Hours that began at or after `since`, of every site, ordered by time.

        They go back further where days before `since` are not closed yet: no day is without its checks.
        """

    def latencies(self, sites: Sequence[str], since: datetime) -> list[Latency]:
        """Checks of these sites since then, ordered by site and time."""

    def incidents(self, since: datetime, limit: int) -> list[Incident]:
        """Incidents that go on, and those that ended at or after `since`; the newest first."""

    def pictures(self, limit: int) -> list[Picture]:
        """The newest picture of each site that has one, by site."""

    def changes(self, since: datetime, limit: int) -> list[Change]:
        """Changes of pages since then; the newest first."""

    def containers(self, now: datetime, since: datetime, limit: int) -> Containers:
        """Open cases, and restarts since then; the newest first."""

    def hosts(self, since: datetime) -> list[Use]:
        """What each host used since then, in steps of some minutes, ordered by host and time."""

    def anomalies(self, since: datetime, limit: int) -> list[Anomaly]:
        """Anomalies that go on, and those last seen at or after `since`, without points; the newest first."""

    def points(self, anomaly: Anomaly, start: datetime, end: datetime) -> list[Point]:
        """The values of an anomaly's series in [start, end], ordered by time; none where it has none."""

    def jobs(self, start: datetime, end: datetime) -> list[JobTicks]:
        """The ledger's account of every job over (start, end]."""

    def alerts(self, limit: int) -> list[Alert]:
        """Open alerts, at most `limit`, and then the newest of the others, at most `limit` again."""


class Images(Protocol):
    """Where images of websites lie."""

    def read(self, digest: str) -> bytes | None:
        """The image of that digest, or None where there is none."""


class PagePlace(Protocol):
    """Where the page goes."""

    def write(self, page: bytes) -> str:
        """Put the page there in one step, in place of the last one; returns where it is.

        Raises:
            Misconfigured: it cannot be written there.
            DependencyUnavailable: the disk is full.
        """
