"""The databases of the stack: the embedded server's, or two on a server that is somebody else's.

On an external server nothing is created but the two databases, and nothing that exists is altered here.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import errors, sql

from aegis_lib.errors import DependencyUnavailable, Misconfigured
from aegis_lib.settings import DatabaseSettings, InstallationSettings
from deployments.embedded_postgres import EmbeddedPostgres

_ENCODING = "UTF8"
_UNICODE = f"ENCODING '{_ENCODING}' TEMPLATE template0 LOCALE 'C'"
"""For a server whose databases are of another encoding; sorts by code point, as no other locale may fit."""


class EmbeddedPart:
    """The embedded server as a supervised `Part`."""

    name = "PostgreSQL"

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server

    def start(self) -> None:
        """Start or adopt it."""
        self._server.start()

    def is_alive(self) -> bool:
        """Whether its main process lives."""
        return self._server.is_running()

    def why_ended(self) -> str:
        """Where it is written."""
        return f"see {self._server.log_file}"

    def stop(self) -> None:
        """Stop it, with its data written out."""
        self._server.stop()


def ensure_databases(settings: DatabaseSettings, installation: InstallationSettings) -> None:
    """Make sure that both databases are there.

    Raises:
        Misconfigured: the server refuses us, a database is missing and we may not create it, or does not keep
            its text as UTF-8.
        DependencyUnavailable: the server does not answer.
    """
    if settings.embedded:
        server = EmbeddedPostgres(installation.root)
        for name in (settings.name, settings.prefect_name):
            server.ensure_database(name)
        return
    if settings.name == settings.prefect_name:
        raise Misconfigured(
            "POSTGRES_PREFECT_DB",
            f"is {settings.name}, like POSTGRES_DB.",
            "name two databases: the Prefect server keeps its own tables.",
        )
    access = settings.connection(installation)
    for name in (settings.name, settings.prefect_name):
        if not _exists(access, name):
            _create(access, name)


def prefect_url(settings: DatabaseSettings, installation: InstallationSettings) -> str:
    """Where the Prefect server keeps its data, as SQLAlchemy writes it. Contains the password."""
    if settings.embedded:
        return EmbeddedPostgres(installation.root).sqlalchemy_url(settings.prefect_name)
    user, database = quote(settings.user, safe=""), quote(settings.prefect_name, safe="")
    if settings.password is not None:
        user += f":{quote(settings.password.get_secret_value(), safe='')}"
    host = settings.host or ""
    if host.startswith("/"):
        return f"postgresql+asyncpg://{user}@/{database}?host={quote(host, safe='/')}&port={settings.port}"
    place = f"[{host}]" if ":" in host else host
    return f"postgresql+asyncpg://{user}@{place}:{settings.port}/{database}"


def _exists(access: dict[str, str | int], name: str) -> bool:
    parameters: dict[str, Any] = {**access, "dbname": name}
    try:
        with psycopg.connect(**parameters) as connection:
            encoding = connection.info.parameter_status("server_encoding")
    except psycopg.OperationalError as error:
        if isinstance(error, errors.InvalidCatalogName) or f'database "{name}" does not exist' in str(error):
            return False
        raise _unreachable(access, error) from error
    if encoding != _ENCODING:
        raise Misconfigured(
            "POSTGRES_DB",
            f"the database {name} at {access['host']} keeps its text as {encoding}, not as {_ENCODING}.",
            f"have a new one made, and move what is in this one: CREATE DATABASE ... {_UNICODE};",
        )
    return True


def _create(access: dict[str, str | int], name: str) -> None:
    parameters: dict[str, Any] = {**access, "dbname": "postgres"}
    command = f'CREATE DATABASE "{name}" OWNER "{access["user"]}" {_UNICODE};'
    try:
        with psycopg.connect(**parameters, autocommit=True) as connection:
            usual = connection.info.parameter_status("server_encoding") == _ENCODING
            statement = sql.SQL("CREATE DATABASE {} " + ("" if usual else _UNICODE))
            connection.execute(statement.format(sql.Identifier(name)))
    except errors.DuplicateDatabase:
        return
    except psycopg.Error as error:
        raise Misconfigured(
            "POSTGRES_HOST",
            f"the server at {access['host']} has no database {name}, and {access['user']} may not create it "
            f"({str(error).strip()}).",
            f"let an administrator run: {command}",
        ) from error


def _unreachable(access: dict[str, str | int], error: psycopg.Error) -> DependencyUnavailable | Misconfigured:
    said = " ".join(str(error).split())
    if "authentication failed" in said or ("role" in said and "does not exist" in said):
        return Misconfigured(
            "POSTGRES_PASSWORD",
            f"the server at {access['host']} refuses user {access['user']}: {said}.",
            "correct POSTGRES_USER and POSTGRES_PASSWORD.",
        )
    return DependencyUnavailable(
        "PostgreSQL",
        f"{access['host']} (POSTGRES_HOST) does not answer: {said}.",
        "start it, or correct POSTGRES_HOST and POSTGRES_PORT; without them aegis runs its own server.",
    )
