"""Reads what the status page shows, and keeps the sums of closed days. It decides and draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from aegis_lib.alerts.model import Alert
from aegis_lib.db.alerts import Outbox
from aegis_lib.db.ledger import LedgerStore
from aegis_lib.db.sql import Queries
from aegis_lib.db.state import StateStore
from aegis_lib.db.strikes import StrikeStore
from aegis_lib.ledger.model import CHECKED_KEY, JobTicks
from aegis_lib.metrics.model import Kind
from aegis_lib.status_page.model import (
    DAY,
    Anomaly,
    Change,
    Containers,
    Incident,
    Latency,
    Picture,
    Point,
    Restart,
    SiteNow,
    Stretch,
    Use,
)

CLOSED_KEY = "status_page_closed_until"
"""In `state`: the last day that was summed up."""
LONGEST_DAYS = 90
MOST_DAYS_AT_ONCE = 7
CLOSED_AFTER = timedelta(minutes=30)
"""A check that began before midnight may be written after it."""


class StatusPageStore:
    """Implements the port `StatusPageStore`. See it for the exact meaning."""

    def __init__(
        self, queries: Queries, state: StateStore, strikes: StrikeStore, ledger: LedgerStore, alerts: Outbox
    ) -> None:
        self._queries, self._state = queries, state
        self._strikes, self._ledger, self._alerts = strikes, ledger, alerts

    def close_days(self, now: datetime) -> int:
        """Sum up days that are over, at most seven; how many that were."""
        last = (now - CLOSED_AFTER).astimezone(UTC).date() - DAY
        day = self._first_open_day(now)
        done = 0
        while day is not None and day <= last and done < MOST_DAYS_AT_ONCE:
            self._queries.close_day(day=day, start=_start(day), end=_start(day + DAY))
            self._state.set(CLOSED_KEY, day.isoformat())
            day, done = day + DAY, done + 1
        if done:
            self._queries.forget_days(before=last - (LONGEST_DAYS + 10) * DAY)
        return done

    def _first_open_day(self, now: datetime) -> date | None:
        """The first day not summed up yet, of those that a page goes back to; None without any check."""
        earliest = now.astimezone(UTC).date() - LONGEST_DAYS * DAY
        closed = _day(self._state.get(CLOSED_KEY))
        if closed is not None:
            return max(closed + DAY, earliest)
        first: datetime | None = self._queries.first_check(since=_start(earliest))
        return first.astimezone(UTC).date() if first else None

    def sites(self) -> list[SiteNow]:
        """Every site that was ever checked, by name."""
        return [SiteNow.model_validate(row) for row in self._queries.sites()]

    def days(self, since: datetime) -> list[Stretch]:
        """Closed days since then, of every site."""
        rows = self._queries.days(since=since.astimezone(UTC).date())
        return [Stretch.model_construct(**row) for row in rows]

    def hours(self, since: datetime) -> list[Stretch]:
        """Hours since then, and those of days that are not closed yet; of every site."""
        begun = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        closed = _day(self._state.get(CLOSED_KEY))
        if closed is not None:  # without one only the last hours are counted: older days are closed soon
            begun = min(begun, max(_start(closed + DAY), begun - DAY))
        return [Stretch.model_construct(**row) for row in self._queries.hours(since=begun)]

    def latencies(self, sites: Sequence[str], since: datetime) -> list[Latency]:
        """Checks of these sites since then."""
        rows = self._queries.latencies(sites=list(sites), since=since)
        return [Latency.model_construct(**row) for row in rows]

    def incidents(self, since: datetime, limit: int) -> list[Incident]:
        """Incidents that go on, and those that ended since then."""
        return [Incident.model_validate(row) for row in self._queries.incidents(since=since, limit=limit)]

    def pictures(self, limit: int) -> list[Picture]:
        """The newest picture of each site."""
        return [Picture.model_validate(row) for row in self._queries.pictures(limit=limit)]

    def changes(self, since: datetime, limit: int) -> list[Change]:
        """Changes of pages since then."""
        return [Change.model_validate(row) for row in self._queries.changes(since=since, limit=limit)]

    def containers(self, now: datetime, since: datetime, limit: int) -> Containers:
        """Open cases, and restarts since then."""
        restarts = self._queries.restarts(since=since, limit=limit)
        return Containers(
            cases=tuple(self._strikes.open_cases(now)),
            restarts=tuple(Restart.model_validate(row) for row in restarts),
        )

    def hosts(self, since: datetime) -> list[Use]:
        """What each host used since then, in steps of five minutes."""
        return [Use.model_construct(**row) for row in self._queries.hosts(since=since)]

    def anomalies(self, since: datetime, limit: int) -> list[Anomaly]:
        """Anomalies that go on, and those seen since then, without points."""
        return [Anomaly.model_validate(row) for row in self._queries.anomalies(since=since, limit=limit)]

    def points(self, anomaly: Anomaly, start: datetime, end: datetime) -> list[Point]:
        """The values of an anomaly's series, the means of five minutes, as its detector saw them."""
        query = {
            Kind.HOST.value: self._queries.host_points,
            Kind.CONTAINER.value: self._queries.container_points,
            Kind.SITE.value: self._queries.site_points,
        }.get(anomaly.series.partition("/")[0])
        if query is None:
            return []
        rows = query(host=anomaly.host, subject=anomaly.subject, metric=anomaly.metric, start=start, end=end)
        return [Point.model_construct(**row) for row in rows]

    def jobs(self, start: datetime, end: datetime) -> list[JobTicks]:
        """The ledger's account of every job over (start, end]."""
        return list(self._ledger.tally(start, end, _moment(self._state.get(CHECKED_KEY))).jobs)

    def alerts(self, limit: int) -> list[Alert]:
        """Open alerts, and the newest of the others."""
        found = self._alerts.newest(limit)
        known = {alert.id for alert in found}
        others = [alert for alert in self._alerts.newest(2 * limit, everything=True) if alert.id not in known]
        return [*found, *others[:limit]]


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
