"""The stack on a PostgreSQL that the host has already: docker-compose.host-database.yml."""

from __future__ import annotations

import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import psycopg
import pytest

from tests import compose_stack
from tests.compose_stack import PROJECT, ComposeStack
from tests.docker_boxes import docker_client
from tests.loopback import free_port
from tests.waiting import wait_until

__all__ = ["docker_client"]  # a fixture

pytestmark = pytest.mark.timeout(600)

FILES = f"{PROJECT / 'docker-compose.yml'}:{PROJECT / 'docker-compose.host-database.yml'}"
EXTENSIONS = "SELECT extname FROM pg_extension WHERE extname IN ('vector', 'pg_trgm')"


@pytest.fixture
def server_of_the_host() -> Iterator[dict[str, str]]:
    """A PostgreSQL that is no part of the stack and listens where containers reach the host."""
    compose_stack.command()
    compose_stack.require_base_images()
    name, port, password = f"aegis-test-{secrets.token_hex(4)}", free_port(), secrets.token_urlsafe(16)
    image = next(image for image in compose_stack.base_images() if "pgvector" in image)
    published = ["--publish", f"{port}:5432", "--tmpfs", "/var/lib/postgresql"]
    given = ["--env", f"POSTGRES_PASSWORD={password}", "--env", "POSTGRES_USER=people"]
    command = ["docker", "run", "--detach", "--rm", "--name", name, *published, *given, image]
    made = subprocess.run(command, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    try:
        yield {"port": str(port), "password": password}
    finally:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=True)


def test_the_stack_runs_on_a_database_of_the_host(
    server_of_the_host: dict[str, str], docker_client: docker.APIClient
) -> None:
    port, password = server_of_the_host["port"], server_of_the_host["password"]

    def rows(statement: str, database: str = "people") -> list[str]:
        with psycopg.connect(
            host="127.0.0.1",
            port=port,
            user="people",
            password=password,
            dbname=database,
            connect_timeout=2,
            client_encoding="utf8",
        ) as connection:
            return sorted(str(row[0]) for row in connection.execute(statement.encode()).fetchall())

    def answers() -> bool:
        try:
            return rows("SELECT 1") == ["1"]
        except psycopg.OperationalError:
            return False

    wait_until(answers, description="the host's PostgreSQL", timeout_seconds=60, every_seconds=0.5)
    compose_stack.build_image()
    with tempfile.TemporaryDirectory(prefix="aegis-test-", dir="/var/tmp") as place:
        stack = ComposeStack(
            docker_client, Path(place), COMPOSE_FILE=FILES,
            POSTGRES_HOST="host.docker.internal", POSTGRES_PORT=port, POSTGRES_USER="people",
        )  # fmt: skip
        (stack.secrets / "POSTGRES_PASSWORD").write_text(f"{password}\n")
        try:
            stack.up()
            assert stack.outcome_of("health_check") == "Completed"
            red = [check for check in stack.answer("doctor") if check["ok"] is False]
            assert red == []
            assert rows("SELECT datname FROM pg_database WHERE datname IN ('aegis', 'prefect')") == [
                "aegis",
                "prefect",
            ]
            assert rows(EXTENSIONS, "aegis") == ["vector"]
            assert rows(EXTENSIONS, "prefect") == ["pg_trgm"]
            assert stack.inside("postgres", "sh", "-c", "ls /var/lib/postgresql").stdout == ""
        finally:
            stack.down()
