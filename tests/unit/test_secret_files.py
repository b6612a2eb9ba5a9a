"""The secrets of a stack of containers: what is given is taken over, what is missing is made, once."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from aegis_lib.errors import Misconfigured
from deployments.compose import secret_files
from deployments.compose.secret_files import MADE_HERE

OWNER = os.getuid()


@pytest.fixture
def given(tmp_path: Path) -> Path:
    place = tmp_path / "given"
    place.mkdir()
    return place


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept"


def contents(kept: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in kept.iterdir() if path.name[0] != "."}


def test_what_only_has_to_be_secret_is_made_once(given: Path, kept: Path) -> None:
    secret_files.renew(given, kept, OWNER)
    first = contents(kept)
    assert first.keys() == MADE_HERE.keys()
    assert all(len(value) > 30 for value in first.values())
    assert first["PREFECT_API_AUTH_STRING"].startswith("aegis:")
    assert secret_files.renew(given, kept, OWNER) == []
    assert contents(kept) == first


def test_two_stacks_have_different_secrets(given: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        secret_files.renew(given, tmp_path / name, OWNER)
    assert not set(contents(tmp_path / "one").values()) & set(contents(tmp_path / "two").values())


def test_every_file_is_closed_to_others(given: Path, kept: Path) -> None:
    (given / "DISCORD_BOT_TOKEN").write_text("abc")
    secret_files.renew(given, kept, OWNER)
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept.iterdir()} == {0o600}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700


def test_a_given_secret_replaces_a_made_one_and_stays_when_its_file_is_gone(given: Path, kept: Path) -> None:
    secret_files.renew(given, kept, OWNER)
    (given / "POSTGRES_PASSWORD").write_text("mine\n")
    assert secret_files.renew(given, kept, OWNER) == ["POSTGRES_PASSWORD: taken over"]
    (given / "POSTGRES_PASSWORD").unlink()
    assert secret_files.renew(given, kept, OWNER) == []
    assert contents(kept)["POSTGRES_PASSWORD"] == "mine"


def test_a_secret_follows_its_file(given: Path, kept: Path) -> None:
    file = given / "DISCORD_BOT_TOKEN"
    for value in ("one", "two"):
        file.write_text(f" {value}\n")
        assert "DISCORD_BOT_TOKEN: taken over" in secret_files.renew(given, kept, OWNER)
        assert contents(kept)["DISCORD_BOT_TOKEN"] == value
    file.unlink()
    assert secret_files.renew(given, kept, OWNER) == ["DISCORD_BOT_TOKEN: removed, as its file is gone"]
    assert contents(kept).keys() == MADE_HERE.keys()


def test_a_secret_of_the_environment_is_taken_over_and_a_file_goes_before_it(given: Path, kept: Path) -> None:
    named = {"POSTGRES_PASSWORD": "of .env"}
    assert "POSTGRES_PASSWORD: taken over" in secret_files.renew(given, kept, OWNER, named)
    assert contents(kept)["POSTGRES_PASSWORD"] == "of .env"
    (given / "POSTGRES_PASSWORD").write_text("of the file")
    secret_files.renew(given, kept, OWNER, named)
    assert contents(kept)["POSTGRES_PASSWORD"] == "of the file"


def test_files_that_are_no_variables_are_left_alone(given: Path, kept: Path) -> None:
    for name in ("README.md", ".gitkeep", "token", "DISCORD_BOT_TOKEN~"):
        (given / name).write_text("x")
    secret_files.renew(given, kept, OWNER)
    assert contents(kept).keys() == MADE_HERE.keys()


@pytest.mark.parametrize(
    ("content", "said"),
    [(b" \n", "is empty"), (b"\xff\xfe", "is not UTF-8 text"), (b"x" * 100_001, "is too large")],
)
def test_a_file_that_cannot_be_a_secret_is_named_and_nothing_is_written(
    given: Path, kept: Path, content: bytes, said: str
) -> None:
    (given / "ALERT_URLS").write_bytes(content)
    with pytest.raises(Misconfigured, match=f"ALERT_URLS: its file .*{said}"):
        secret_files.renew(given, kept, OWNER)
    assert not kept.exists()


def test_a_directory_in_place_of_a_file_is_named(given: Path, kept: Path) -> None:
    (given / "HEARTBEAT_URL").mkdir()  # what Docker makes of a file that was not there to be mounted
    with pytest.raises(Misconfigured, match=r"HEARTBEAT_URL: .*directory"):
        secret_files.renew(given, kept, OWNER)
