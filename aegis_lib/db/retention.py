"""What is old in our tables: rows that go in batches, days that go as a whole. Decides no age."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from aegis_lib.db.partitions import Partitions
from aegis_lib.db.sql import Queries
from aegis_lib.retention.model import Kind, Removed

BY_DAY = {
    Kind.SITE_CHECKS: "site_checks",
    Kind.HOST_METRICS: "host_metrics",
    Kind.CONTAINER_METRICS: "container_metrics",
}
"""Kinds whose table has a partition for each day."""

BY_ROW = {
    Kind.SITE_INCIDENTS: "rows",
    Kind.SITE_CHANGES: "rows",
    Kind.ANOMALIES: "rows",
    Kind.MAIL_TEXTS: "texts",
    Kind.COMMANDS: "rows",
    Kind.APPROVAL_TEXTS: "texts",
    Kind.CONTAINER_RESTARTS: "rows",
    Kind.LANGUAGE_MODEL: "rows",
}
"""Kinds that go row by row, and what is counted. `MAIL_TEXTS` and `APPROVAL_TEXTS` empty rows that stay."""


class ExpiringRows:
    """Rows of one kind, by the queries `count_<kind>` and `forget_<kind>`."""

    def __init__(self, queries: Queries, kind: Kind) -> None:
        self._queries = queries
        self.kind = kind
        self.unit = BY_ROW[kind]

    def __str__(self) -> str:
        return self.kind.value

    def expired(self, before: datetime) -> Removed:
        """How many would go."""
        return Removed(count=int(getattr(self._queries, f"count_{self.kind.value}")(before=before)))

    def forget(self, before: datetime, limit: int, go_on: Callable[[], bool]) -> Removed:
        """Remove one batch, in a transaction of its own."""
        gone = int(getattr(self._queries, f"forget_{self.kind.value}")(before=before, limit=limit))
        return Removed(count=gone, more=gone == limit)


class ExpiringDays:
    """Whole days of a divided table."""

    unit = "days"

    def __init__(self, partitions: Partitions, kind: Kind) -> None:
        self._partitions = partitions
        self.kind = kind

    def __str__(self) -> str:
        return self.kind.value

    def expired(self, before: datetime) -> Removed:
        """How many days would go, and how much room they take."""
        old = [one for one in self._partitions.list(BY_DAY[self.kind]) if one.ends_at <= before]
        return Removed(count=len(old), size_bytes=sum(one.size_bytes for one in old))

    def forget(self, before: datetime, limit: int, go_on: Callable[[], bool]) -> Removed:
        """Drop every day that is over by then; what somebody still reads stays."""
        dropped = self._partitions.drop_before(BY_DAY[self.kind], before)
        return Removed(count=len(dropped.names), size_bytes=dropped.size_bytes, held=dropped.held)


class RetentionStore:
    """Everything in the database that may be forgotten once it is old."""

    def __init__(self, queries: Queries, partitions: Partitions) -> None:
        self._queries = queries
        self._partitions = partitions

    def kinds(self) -> Sequence[ExpiringDays | ExpiringRows]:
        """Each kind, the largest first."""
        return [
            *(ExpiringDays(self._partitions, kind) for kind in BY_DAY),
            *(ExpiringRows(self._queries, kind) for kind in BY_ROW),
        ]

    def old_pictures(self, before: datetime, keep_last_per_site: int) -> int:
        """How many pictures of sites would go; the newest so many of each site stay."""
        return int(self._queries.count_pictures(before=before, keep=keep_last_per_site))
