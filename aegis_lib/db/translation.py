"""The one place where errors of the PostgreSQL driver become ours.

It must never quote a statement, a parameter or the DETAIL of an error: they may hold what a row holds.

    no answer, server going away, time-outs, locks, disk of the server full -> DependencyUnavailable
    wrong user, password, database name; no right to do it; schema missing  -> Misconfigured
    the statement or its data are refused                                   -> PermanentFailure
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.settings import DatabaseSettings

SYSTEM = "PostgreSQL"
_EMBEDDED_MEND = "start it with `aegis up`; `aegis doctor` says what is wrong."
_SERVER_MEND = "see that the server runs and that POSTGRES_HOST and POSTGRES_PORT lead to it."
_RUNNING_MEND = "the next run tries again; if it lasts, see the server's log and `aegis doctor`."

# A refused connection carries no SQLSTATE (libpq keeps it to itself), so its message has to do.
_REFUSALS: tuple[tuple[re.Pattern[str], str, str, str], ...] = (
    (
        re.compile(r"no password supplied"),
        "POSTGRES_PASSWORD",
        "is not set, and {place} asks for a password",
        "set POSTGRES_PASSWORD (or POSTGRES_PASSWORD_FILE) to the password of {user}.",
    ),
    (
        re.compile(r"password authentication failed"),
        "POSTGRES_PASSWORD",
        "{place} refused the password of user {user}, or does not know the user",
        "correct POSTGRES_PASSWORD (or POSTGRES_PASSWORD_FILE) or POSTGRES_USER.",
    ),
    (
        re.compile(r'database ".*" does not exist'),
        "POSTGRES_DB",
        "{place} has no database {name}",
        "create it (`createdb {name}`) or correct POSTGRES_DB.",
    ),
    (
        re.compile(r"permission denied for database|does not have CONNECT privilege"),
        "POSTGRES_DB",
        "{place} does not let user {user} into database {name}",
        "grant CONNECT on the database, or correct POSTGRES_USER or POSTGRES_DB.",
    ),
    (
        re.compile(r'role ".*" (does not exist|is not permitted to log in)|authentication failed'),
        "POSTGRES_USER",
        "{place} does not let user {user} log in",
        "create the role with LOGIN, or correct POSTGRES_USER.",
    ),
    (
        re.compile(r"no pg_hba.conf entry"),
        "POSTGRES_HOST",
        "{place} has no rule in pg_hba.conf that lets user {user} into database {name} from here",
        "add one on the server, or correct POSTGRES_USER, POSTGRES_DB or POSTGRES_HOST.",
    ),
)


def refused(error: psycopg.Error, settings: DatabaseSettings) -> AegisError:
    """What a failed attempt to connect means. The message names the server, never the password."""
    known = {
        "place": place(settings),
        "user": "aegis" if settings.embedded else settings.user,
        "name": settings.name,
    }
    text = str(error)
    for pattern, setting, problem, mend in _REFUSALS:
        if pattern.search(text):
            return Misconfigured(setting, problem.format(**known) + ".", mend.format(**known))
    mend = _EMBEDDED_MEND if settings.embedded else _SERVER_MEND
    if isinstance(error, errors.ConnectionTimeout):
        return _away(f"{known['place']} did not answer within {settings.connect_timeout_seconds} s", mend)
    return _away(f"no connection to {known['place']} ({_short(text)})", mend)


def place(settings: DatabaseSettings) -> str:
    """The server, for a message: `db.example:5432`, or what the embedded one is called."""
    if settings.embedded:
        return "the embedded PostgreSQL"
    return str(settings.host) if str(settings.host).startswith("/") else f"{settings.host}:{settings.port}"


def failed(error: psycopg.Error) -> AegisError:
    """What an error in the middle of use means."""
    said = _short(error.diag.message_primary or str(error))
    match error:
        case errors.QueryCanceled():
            return _away(f"a statement was stopped ({said})", _RUNNING_MEND)
        case errors.LockNotAvailable() | errors.DeadlockDetected():
            return _away(f"rows are locked by somebody else ({said})", _RUNNING_MEND)
        case errors.DiskFull():
            return _away(f"the server's disk is full ({said})", "make room on the database server.")
        case errors.ReadOnlySqlTransaction():
            return _away(f"the server only reads now ({said})", "point POSTGRES_HOST at the primary server.")
        case errors.UndefinedTable() | errors.UndefinedColumn() | errors.UndefinedObject():
            return Misconfigured(
                "POSTGRES_DB",
                f"the database is not set up for this version ({said}).",
                "run `aegis up`, or `python -m aegis_lib.db.migrate upgrade`.",
            )
        case errors.InsufficientPrivilege():
            return Misconfigured(
                "POSTGRES_USER", f"lacks a right ({said}).", "grant it, or let the user own the database."
            )
        case psycopg.OperationalError() | psycopg.InterfaceError():
            return _away(f"the connection was lost ({said})", _RUNNING_MEND)
        case _:
            code = error.sqlstate or type(error).__name__
            return PermanentFailure(
                f"{SYSTEM} refused a statement: {said} ({code}). Fix: this is a defect; please report it."
            )


@contextmanager
def translated() -> Iterator[None]:
    """Let no error of the driver out; see the table above."""
    try:
        yield
    except psycopg.Error as error:
        raise failed(error) from error


def _away(problem: str, mend: str) -> DependencyUnavailable:
    return DependencyUnavailable(SYSTEM, problem + ".", mend)


def _short(text: str) -> str:
    return " ".join(text.split()).rstrip(".")[:300]
