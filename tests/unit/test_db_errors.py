"""What each error of the driver is called, where a real server cannot be brought to raise it."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from aegis_lib.db.migrate import vector_problem
from aegis_lib.db.translation import place, refused, translated
from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.settings import DatabaseSettings

EMBEDDED = DatabaseSettings()
SERVER = DatabaseSettings(host="db.example", port=5433, user="u", password="hidden", name="n")


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (errors.QueryCanceled("slow"), DependencyUnavailable, "a statement was stopped (slow)"),
        (errors.DeadlockDetected("d"), DependencyUnavailable, "locked by somebody else"),
        (errors.DiskFull("d"), DependencyUnavailable, "the server's disk is full"),
        (errors.ReadOnlySqlTransaction("d"), DependencyUnavailable, "the server only reads now"),
        (errors.AdminShutdown("d"), DependencyUnavailable, "the connection was lost"),
        (errors.TooManyConnections("d"), DependencyUnavailable, "the connection was lost"),
        (psycopg.InterfaceError("closed"), DependencyUnavailable, "the connection was lost (closed)"),
        (errors.UndefinedTable("no such"), Misconfigured, "run `aegis up`"),
        (errors.InsufficientPrivilege("d"), Misconfigured, "POSTGRES_USER: lacks a right (d)"),
        (errors.CheckViolation("d"), PermanentFailure, "refused a statement: d (23514)"),
        (psycopg.ProgrammingError("d"), PermanentFailure, "refused a statement: d (ProgrammingError)"),
    ],
)
def test_an_error_in_use_has_its_kind(error: psycopg.Error, kind: type[AegisError], text: str) -> None:
    with pytest.raises(kind) as caught, translated():
        raise error
    assert type(caught.value) is kind
    assert text in str(caught.value)
    assert "Fix: " in str(caught.value)


@pytest.mark.parametrize(
    ("said", "setting"),
    [
        ("fe_sendauth: no password supplied", "POSTGRES_PASSWORD"),
        ('FATAL:  password authentication failed for user "u"', "POSTGRES_PASSWORD"),
        ('FATAL:  database "n" does not exist', "POSTGRES_DB"),
        ('FATAL:  permission denied for database "n"', "POSTGRES_DB"),
        ('FATAL:  role "u" does not exist', "POSTGRES_USER"),
        ('FATAL:  role "u" is not permitted to log in', "POSTGRES_USER"),
        ('FATAL:  Peer authentication failed for user "u"', "POSTGRES_USER"),
        ('FATAL:  no pg_hba.conf entry for host "::1", user "u", database "n"', "POSTGRES_HOST"),
    ],
)
def test_a_refusal_names_the_setting(said: str, setting: str) -> None:
    error = refused(psycopg.OperationalError(f"connection failed: {said}"), SERVER)
    assert isinstance(error, Misconfigured)
    assert error.setting == setting
    assert "db.example:5433" in str(error)
    assert "hidden" not in str(error)


def test_no_answer_is_transient_and_says_where_to_look() -> None:
    there = refused(psycopg.OperationalError("connection refused"), SERVER)
    assert isinstance(there, DependencyUnavailable)
    assert "db.example:5433 (connection refused)" in str(there)
    assert "POSTGRES_HOST" in str(there)
    here = refused(psycopg.OperationalError("no such file"), EMBEDDED)
    assert isinstance(here, DependencyUnavailable)
    assert "the embedded PostgreSQL" in str(here)
    assert "`aegis up`" in str(here)
    late = refused(errors.ConnectionTimeout("late"), SERVER)
    assert "did not answer within 5 s" in str(late)


def test_a_socket_is_named_by_its_directory() -> None:
    assert place(DatabaseSettings(host="/run/postgresql")) == "/run/postgresql"


@pytest.mark.parametrize(
    ("version", "problem"),
    [
        (None, "apt-get install postgresql-16-pgvector"),
        ("0.4.4", "has pgvector 0.4.4"),
        ("0.5.0", None),
        ("0.10.1", None),
        ("1.0", None),
    ],
)
def test_a_pgvector_that_cannot_serve_is_named(version: str | None, problem: str | None) -> None:
    found = vector_problem(version, 16)
    if problem is None:
        assert found is None
    else:
        assert problem in (found or "")
