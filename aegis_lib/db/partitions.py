"""The partitions, one for each UTC day, of tables that are divided by time. It never deletes a single row.

    db.partitions.ensure("site_checks", now)             before writing; one small query when all are there
    db.partitions.drop_before("site_checks", moment)     whole days that ended before; nobody waits for it

A partition is made apart and then attached, and leaves by DETACH CONCURRENTLY before it is dropped: neither
takes a lock on the divided table that a reader or a writer would wait for. There is no default partition: a
row for a day that nobody made is refused, and not put where it would be in the way of that day for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from psycopg import sql as statements

from aegis_lib.db.sql import Connection, Queries, transaction
from aegis_lib.db.translation import translated
from aegis_lib.errors import DependencyUnavailable, Misconfigured
from aegis_lib.logs import get_logger

_DAY = timedelta(days=1)
_LOCK_SECONDS = 3
_STATEMENT_SECONDS = 30
log = get_logger(__name__)


@dataclass(frozen=True)
class Partition:
    """One partition: rows with `starts_at <= time < ends_at`. `rows` is the server's estimate, or unknown."""

    name: str
    starts_at: datetime | None
    ends_at: datetime
    rows: int | None
    size_bytes: int
    leaving: bool = False


@dataclass(frozen=True)
class Dropped:
    """What `drop_before` did: the partitions that are gone, and those that somebody still holds."""

    names: tuple[str, ...] = ()
    size_bytes: int = 0
    held: tuple[str, ...] = ()


class Partitions:
    """The partitions of any of our divided tables, on one connection (autocommit, outside a transaction)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._queries = Queries(connection, "partitions")

    def ensure(self, table: str, now: datetime, days_ahead: int = 2) -> Sequence[str]:
        """Make what is missing from the day before `now` to `days_ahead` days after it; return their names.

        Any number of processes may do this at once: one makes them, the others wait and find nothing to do.

        Raises:
            ValueError: `now` is naive, or `days_ahead` is not 0 to 60.
            Misconfigured: there is no such divided table: the database was not migrated.
            DependencyUnavailable: the database is away, or the table stays locked by others.
        """
        if not 0 <= days_ahead <= 60:
            raise ValueError(f"days_ahead is 0 to 60, not {days_ahead}")
        today = _utc_day(now)
        wanted = {_name(table, day): day for day in (today + n * _DAY for n in range(-1, days_ahead + 1))}
        if not self._missing(table, wanted):
            return []
        with transaction(self._connection):
            self._queries.take_turn(table=table)
            missing = self._missing(table, wanted)  # another process may have made them meanwhile
            if missing and not self._queries.is_divided(table=table):
                raise Misconfigured(
                    "POSTGRES_DB",
                    f"the database has no table {table} that is divided by day.",
                    "run `aegis up`, or `python -m aegis_lib.db.migrate upgrade`.",
                )
            for name in missing:
                self._make(table, name, wanted[name])
        if missing:
            log.info("partitions_made", table=table, names=",".join(missing))
        return missing

    def list(self, table: str) -> Sequence[Partition]:
        """Every partition of a table that ends at some time, the oldest first. No such table: none."""
        return [Partition(**row) for row in self._queries.partitions(table=table)]

    def drop_before(self, table: str, moment: datetime) -> Dropped:
        """Drop every partition whose last row is from before `moment`, the oldest first.

        A partition that somebody's long transaction still needs stays, is named in `held` and goes the next
        time: nothing is waited for longer than a few seconds. What an interrupted run took out and did not
        drop is dropped first. Only one process drops from a table at a time; a second one finds nothing to
        do.

        Raises:
            ValueError: `moment` is naive.
            DependencyUnavailable: the database is away.
        """
        if moment.tzinfo is None:
            raise ValueError("moment is a time with a zone")
        if not self._queries.try_dropping(table=table):
            return Dropped()
        try:
            with self._patience():
                return self._drop(table, moment)
        finally:
            self._queries.end_dropping(table=table)

    def _drop(self, table: str, moment: datetime) -> Dropped:
        names: list[str] = []
        held: list[str] = []
        size_bytes = 0
        for row in self._queries.left_over(mark=_mark(table)):
            if self._tried(
                row["name"], statements.SQL("DROP TABLE IF EXISTS {}").format(_known(row["name"]))
            ):
                names.append(row["name"])
                size_bytes += row["size_bytes"]
        for partition in self.list(table):
            if partition.ends_at > moment:
                continue
            # One at a time may be on its way out: behind one that is held, the others wait for the next run.
            if held or not all(self._tried(partition.name, step) for step in _leaving(table, partition)):
                held.append(partition.name)
                continue
            names.append(partition.name)
            size_bytes += partition.size_bytes
        if names or held:
            log.info("partitions_dropped", table=table, names=",".join(names), held=",".join(held))
        return Dropped(tuple(names), size_bytes, tuple(held))

    def _missing(self, table: str, wanted: dict[str, date]) -> Sequence[str]:
        return [row["name"] for row in self._queries.missing(table=table, names=list(wanted))]

    def _make(self, table: str, name: str, day: date) -> None:
        starts_at = datetime.combine(day, time(), UTC)
        parts = {"table": statements.Identifier(table), "name": statements.Identifier(name)}
        with translated():
            self._connection.execute(
                statements.SQL(
                    "CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS "
                    "INCLUDING GENERATED INCLUDING STORAGE)"
                ).format(**parts)
            )
            self._connection.execute(
                statements.SQL(
                    "ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({a}) TO ({b})"
                ).format(**parts, a=statements.Literal(starts_at), b=statements.Literal(starts_at + _DAY))
            )

    def _tried(self, name: str, statement: statements.Composed) -> bool:
        """Whether a statement could be run without waiting long for others."""
        try:
            with translated():
                self._connection.execute(statement)
        except DependencyUnavailable as error:
            if self._connection.broken:
                raise
            log.info("partition_is_held", name=name, problem=error.problem)
            return False
        return True

    @contextmanager
    def _patience(self) -> Iterator[None]:
        """Wait only a little for locks, and then as long as before."""
        before = self._queries.patience()
        self._set(f"{_LOCK_SECONDS}s", f"{_STATEMENT_SECONDS}s")
        try:
            yield
        finally:
            if not self._connection.broken:
                self._set(before["lock_timeout"], before["statement_timeout"])

    def _set(self, lock_timeout: str, statement_timeout: str) -> None:
        self._queries.set_patience(lock_timeout=lock_timeout, statement_timeout=statement_timeout)


def _leaving(table: str, partition: Partition) -> Iterator[statements.Composed]:
    """The statements after which a partition is gone. After each of them another run can go on."""
    parts = {"table": statements.Identifier(table), "name": _known(partition.name)}
    yield statements.SQL("COMMENT ON TABLE {name} IS {mark}").format(
        **parts, mark=statements.Literal(_mark(table))
    )
    how = statements.SQL("FINALIZE" if partition.leaving else "CONCURRENTLY")
    yield statements.SQL("ALTER TABLE {table} DETACH PARTITION {name} {how}").format(**parts, how=how)
    yield statements.SQL("DROP TABLE {name}").format(**parts)


def _known(name: str) -> statements.SQL:
    """A name as PostgreSQL wrote it (`regclass`): quoted, and with its schema, where that is needed."""
    return statements.SQL(name)


def _mark(table: str) -> str:
    return f"Aegis: was a partition of {table} and is to be dropped."


def _name(table: str, day: date) -> str:
    return f"{table}_p{day:%Y%m%d}"


def _utc_day(moment: datetime) -> date:
    if moment.tzinfo is None:
        raise ValueError("now is a time with a zone")
    return moment.astimezone(UTC).date()
