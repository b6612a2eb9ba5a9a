"""An existing Aegis database before this program takes it over: what would be made, what would run twice.

Changes nothing: the migrations are tried out in a transaction that is taken back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from aegis_lib.clock import iso
from aegis_lib.db import migrate
from aegis_lib.db.database import open_connection
from aegis_lib.db.translation import translated
from aegis_lib.outcome import AwareDatetime, Frozen
from aegis_lib.settings import DatabaseSettings
from deployments.catalogue import Catalogue

STORE = "apscheduler_jobs"
"""APScheduler's own name for its table of jobs, where it keeps them in a database."""
ALIVE_FOR = timedelta(minutes=15)
"""Three health checks: state that is newer was written by a scheduler that still runs."""
_EVENTS = {"morning_status": timedelta(hours=25), "evening_summary": timedelta(hours=25)}
"""Jobs that leave an event each day, and how old the newest may be while the old scheduler runs."""


class OldJob(Frozen):
    """A job of the old scheduler. `known` says that the catalogue has one with this id."""

    id: str
    known: bool
    next_run: AwareDatetime | None
    signs: tuple[str, ...]


class CutOver(Frozen):
    """What taking over would mean. `adopted` maps tables that stay as they are to their number of rows.

    `renamed` are tables that keep every row under another name: by their name now, the new name and the rows.
    """

    at: str | None
    adopted: Mapping[str, int]
    renamed: Mapping[str, tuple[str, int]]
    made: tuple[str, ...]
    old_jobs: tuple[OldJob, ...]

    @property
    def doubled(self) -> tuple[OldJob, ...]:
        """Jobs that would run twice if both ran: the old scheduler has them, or shows that it lives."""
        return tuple(job for job in self.old_jobs if job.known)

    @property
    def left_behind(self) -> tuple[OldJob, ...]:
        """Jobs that only the old scheduler has."""
        return tuple(job for job in self.old_jobs if not job.known)


def examine(jobs: Catalogue, settings: DatabaseSettings, now: datetime) -> CutOver:
    """Look at the database of `settings`.

    Raises:
        DependencyUnavailable: it does not answer, or a table is held by others.
        Misconfigured: it refuses us, or holds a table under our name that is another's.
        PermanentFailure: it is newer than this program, or lacks pgvector.
    """
    made = migrate.rehearse(settings)
    with translated(), open_connection(settings) as connection:
        tables = _tables(connection)
        lives = _beats_of_ours(connection, tables, now)
        stored = _stored(connection, tables)
        signs = {} if lives else _signs(connection, tables, now)
        adopted = {
            name: _count(connection, name) for name in sorted(tables & {*_ADOPTABLE}) if name not in made
        }
        renamed = {
            name: (new, _count(connection, name))
            for name in sorted(tables & {*_RENAMED})
            for new in _new_name(name, made)
        }
    ids = {job.id for job in jobs.jobs}
    return CutOver(
        at=migrate.current(settings),
        adopted=adopted,
        renamed=renamed,
        made=tuple(line for line in made if not _is_of(line, {new for new, _ in renamed.values()})),
        old_jobs=tuple(_old_jobs(ids, stored, signs)),
    )


_ADOPTABLE = ("episodic_memory", "state", "config", "tasks")
_RENAMED = ("host_metrics", "container_metrics")
"""Divided by day here; an ordinary table of that name is put aside."""


def _new_name(table: str, made: Iterable[str]) -> list[str]:
    """The name that a table would get, if it would get one."""
    return [line.removeprefix("table ") for line in made if line.startswith(f"table {table}_original")][:1]


def _is_of(line: str, tables: Collection[str]) -> bool:
    """Whether a line of what would be made is about a table that only gets another name."""
    what, name, *rest = line.split()
    if what == "index":
        return rest[-1] in tables
    return name.partition(".")[0] in tables


def _old_jobs(
    ids: set[str], stored: Mapping[str, datetime | None], signs: Mapping[str, str]
) -> Iterable[OldJob]:
    for id in sorted({*stored, *signs}):
        said = [f"in {STORE}"] if id in stored else []
        said += [signs[id]] if id in signs else []
        yield OldJob(id=id, known=id in ids, next_run=stored.get(id), signs=tuple(said))


def _tables(connection: psycopg.Connection[Any]) -> set[str]:
    rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    return {row["tablename"] for row in rows}


def _count(connection: psycopg.Connection[Any], table: str) -> int:
    query = psycopg.sql.SQL("SELECT count(*) AS rows FROM {}").format(psycopg.sql.Identifier(table))
    row = connection.execute(query).fetchone()
    return int(row["rows"]) if row else 0


def _stored(connection: psycopg.Connection[Any], tables: set[str]) -> dict[str, datetime | None]:
    """Ids and next runs; the pickled job beside them is never read."""
    if STORE not in tables:
        return {}
    rows = connection.execute(f"SELECT id, next_run_time FROM {STORE} ORDER BY id")  # noqa: S608  a constant
    return {
        str(row["id"]): None
        if row["next_run_time"] is None
        else datetime.fromtimestamp(row["next_run_time"], UTC)
        for row in rows
    }


def _beats_of_ours(connection: psycopg.Connection[Any], tables: set[str], now: datetime) -> bool:
    """Whether this program itself ran lately: what it wrote then is no sign of another scheduler."""
    if "installation_presence" not in tables:
        return False
    row = connection.execute("SELECT max(last_seen) AS seen FROM installation_presence").fetchone()
    return bool(row and row["seen"] and now - row["seen"] < max(_EVENTS.values()))


def _signs(connection: psycopg.Connection[Any], tables: set[str], now: datetime) -> dict[str, str]:
    """What a scheduler that is not ours wrote lately, by job."""
    found = {}
    if "state" in tables:
        row = connection.execute("SELECT updated_at FROM state WHERE key = 'last_health_check'").fetchone()
        if row and row["updated_at"] and now - row["updated_at"] < ALIVE_FOR:
            found["health_check"] = f"wrote its state at {iso(row['updated_at'])}"
    if "episodic_memory" in tables:
        rows = connection.execute(
            "SELECT event_type, max(timestamp) AS newest FROM episodic_memory"
            " WHERE event_type = ANY(%s) GROUP BY event_type",
            [list(_EVENTS)],
        )
        for row in rows:
            if row["newest"] and now - row["newest"] < _EVENTS[row["event_type"]]:
                found[row["event_type"]] = f"left an event at {iso(row['newest'])}"
    return found
