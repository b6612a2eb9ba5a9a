"""The databases on a server that is somebody else's: two are made where we may, nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg import sql

from aegis_lib.errors import DependencyUnavailable, Misconfigured
from aegis_lib.settings import DatabaseSettings, InstallationSettings
from deployments import stack_database
from tests.postgres import PostgresForTests


@pytest.fixture
def installation(tmp_path: Path) -> InstallationSettings:
    return InstallationSettings(aegis_data_dir=tmp_path)


def test_missing_databases_are_made_once(
    postgres: PostgresForTests, installation: InstallationSettings
) -> None:
    here, missing = postgres.create(), postgres.create()
    postgres.drop(missing)
    settings = postgres.settings(here, prefect_name=missing)
    stack_database.ensure_databases(settings, installation)
    stack_database.ensure_databases(settings, installation)
    postgres.administer(sql.SQL("DROP DATABASE {}").format(sql.Identifier(missing)))
    postgres.drop(here)


def test_a_database_that_does_not_keep_unicode_is_refused_by_its_name(
    postgres: PostgresForTests, installation: InstallationSettings
) -> None:
    here, ascii_only = postgres.create(), "aegis_test_ascii"
    made = "CREATE DATABASE {} ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'"
    postgres.administer(sql.SQL(made).format(sql.Identifier(ascii_only)))
    try:
        with pytest.raises(Misconfigured, match=r"aegis_test_ascii at .* keeps its text as SQL_ASCII"):
            stack_database.ensure_databases(postgres.settings(here, prefect_name=ascii_only), installation)
    finally:
        postgres.administer(sql.SQL("DROP DATABASE {}").format(sql.Identifier(ascii_only)))
        postgres.drop(here)


def test_who_may_not_create_is_told_what_an_administrator_must_run(
    postgres: PostgresForTests, installation: InstallationSettings
) -> None:
    postgres.administer(sql.SQL("CREATE ROLE aegis_test_guest LOGIN PASSWORD 'guest'"))
    try:
        settings = postgres.settings(
            "aegis_test_absent", prefect_name="aegis_test_absent_2", user="aegis_test_guest", password="guest"
        )
        with pytest.raises(Misconfigured) as refused:
            stack_database.ensure_databases(settings, installation)
    finally:
        postgres.administer(sql.SQL("DROP ROLE aegis_test_guest"))
    assert 'CREATE DATABASE "aegis_test_absent" OWNER "aegis_test_guest" ENCODING' in refused.value.mend
    assert "guest'" not in str(refused.value)


def test_a_wrong_password_names_the_setting(
    postgres: PostgresForTests, installation: InstallationSettings
) -> None:
    settings = postgres.settings("aegis_test_absent", prefect_name="aegis_test_other", password="wrong-one")
    with pytest.raises(Misconfigured, match="POSTGRES_PASSWORD") as refused:
        stack_database.ensure_databases(settings, installation)
    assert "wrong-one" not in str(refused.value)


def test_a_server_that_is_not_there_is_a_clear_error(
    installation: InstallationSettings, tmp_path: Path
) -> None:
    settings = DatabaseSettings(host=str(tmp_path), name="a", prefect_name="b")
    with pytest.raises(DependencyUnavailable, match=r"POSTGRES_HOST.*Fix: start it"):
        stack_database.ensure_databases(settings, installation)


def test_one_database_for_both_is_refused(installation: InstallationSettings) -> None:
    settings = DatabaseSettings(host="db.example", name="same", prefect_name="same")
    with pytest.raises(Misconfigured, match="POSTGRES_PREFECT_DB"):
        stack_database.ensure_databases(settings, installation)
