"""`aegis report` against a real database."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path

import pytest

from aegis_lib import clock
from aegis_lib.db.database import Database
from aegis_lib.settings import DatabaseSettings
from deployments.cli import exit_codes
from deployments.cli.app import run
from tests import postgres as servers


@pytest.fixture(autouse=True)
def installation(
    database_settings: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {**servers.environment_of(database_settings), "AEGIS_DATA_DIR": str(tmp_path / "data")}
    for name, value in {**values, "AEGIS_CONFIG": str(tmp_path / "aegis.yaml")}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "aegis.yaml").write_text(
        "status_page: {title: Ours}\nsites:\n  sites:\n    - {name: shop, url: https://shop.example.org/?key=abc}\n"
    )


def test_the_page_is_written_to_its_place_or_to_a_file_and_shown(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database.connection.execute(
        "INSERT INTO site_states (name, target, state, since, checked_at) VALUES ('shop', %s, 'up', %s, %s)",
        ["https://shop.example.org/?key=abc", clock.utcnow(), clock.utcnow()],
    )
    assert run(["report"]) == exit_codes.OK
    usual = tmp_path / "data" / "report" / "index.html"
    assert f"The one site is up; no alert is open. Written to {usual}" in capsys.readouterr().out.replace(
        "\n", " "
    )
    page = usual.read_text()
    assert "<h1>Ours</h1>" in page
    assert "key=abc" not in page

    shown: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: bool(shown.append(address)))
    other = tmp_path / "status.html"
    assert run(["report", "--output", str(other), "--open", "--json"]) == exit_codes.OK
    out, note = capsys.readouterr()
    found = json.loads(out)
    assert list(found) == ["outcome", "summary", "path", "size_bytes", "verdict", "unread"]
    assert found["size_bytes"] == other.stat().st_size
    assert shown == [other.as_uri()]
    assert "No browser was found" in note


def test_a_part_that_cannot_be_read_fails_the_command(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database.connection.execute("DROP TABLE site_pictures")
    assert run(["report", "-o", str(tmp_path / "x.html")]) == exit_codes.FAILED
    assert "Could not be read: pictures." in capsys.readouterr().out.replace("\n", " ")
    assert (tmp_path / "x.html").exists()


def test_a_place_that_cannot_be_written_is_a_mistake_of_the_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", "--output", str(tmp_path)]) == exit_codes.SETTINGS
    assert capsys.readouterr().err.startswith("error: --output: the page")
