"""The migrations of `aegis up`, in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from aegis_lib.db import migrate as migrations
from aegis_lib.errors import PermanentFailure
from aegis_lib.settings import DatabaseSettings, InstallationSettings
from deployments.migrating import migrate
from tests.postgres import environment_of

PROJECT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def installation(
    empty_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> InstallationSettings:
    for name, value in environment_of(empty_settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AEGIS_DATA_DIR", str(tmp_path))
    return InstallationSettings()


def test_they_are_applied_and_named_and_the_next_time_there_is_nothing_to_do(
    installation: InstallationSettings, empty_settings: DatabaseSettings
) -> None:
    assert migrate(installation, PROJECT).split(", ") == migrations.available()
    assert migrations.current(empty_settings) == migrations.head()
    assert migrate(installation, PROJECT) == "nothing to do"


def test_what_is_wrong_is_told_in_its_own_words(
    installation: InstallationSettings, empty_settings: DatabaseSettings
) -> None:
    migrate(installation, PROJECT)
    with psycopg.connect(**empty_settings.connection()) as connection:
        connection.execute("UPDATE aegis_alembic_version SET version_num = '9999_of_the_future'")
    with pytest.raises(PermanentFailure, match=r"^Migrations: .*9999_of_the_future"):
        migrate(installation, PROJECT)


def test_whoever_runs_for_months_does_not_keep_what_migrations_need() -> None:
    heavy = {"sqlalchemy", "alembic", "prefect"}
    code = f"import sys, deployments.stack; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT).returncode == 0
