"""`.env.example` and the settings classes name the same variables, and the example changes nothing."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from aegis_lib import settings
from aegis_lib.setting_sources import Settings
from tests.architecture.source import ROOT

EXAMPLE = ROOT / ".env.example"
CLASSES = [
    found
    for _, found in inspect.getmembers(settings, inspect.isclass)
    if issubclass(found, Settings) and found is not Settings
]


def declared() -> set[str]:
    return {
        str(field.validation_alias or name).upper()
        for found in CLASSES
        for name, field in found.model_fields.items()
    }


def written() -> list[str]:
    return re.findall(r"(?m)^([A-Z][A-Z0-9_]*)=", EXAMPLE.read_text())


def test_there_is_something_to_compare() -> None:
    assert len(CLASSES) >= 10
    assert len(declared()) > 20


def test_every_variable_of_the_settings_is_in_the_example() -> None:
    assert declared() - set(written()) == set()


def test_every_variable_of_the_example_is_one_of_the_settings() -> None:
    assert set(written()) - declared() == set()


def test_no_variable_stands_there_twice() -> None:
    assert len(written()) == len(set(written()))


def test_every_variable_has_a_comment_line_of_its_own() -> None:
    lines = EXAMPLE.read_text().splitlines()
    bare = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if re.match(r"[A-Z]", line) and not re.match(r"# \w", before)
    ]
    assert bare == []


def test_every_line_is_one_that_compose_and_shells_read_alike() -> None:
    odd = [
        line
        for line in EXAMPLE.read_text().splitlines()
        if line and not line.startswith("#") and not re.fullmatch(r"[A-Z0-9_]+=[^\s\"'#]*", line)
    ]
    assert odd == []


@pytest.mark.parametrize("found", CLASSES)
def test_a_copy_of_the_example_changes_nothing(
    found: type[Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(found.model_config, "env_file", ".env")
    for variable in declared():
        monkeypatch.delenv(variable, raising=False)
    without = found()
    (tmp_path / ".env").write_text(EXAMPLE.read_text())
    differing = {
        name: getattr(found(), name)
        for name in found.model_fields
        if getattr(found(), name) != getattr(without, name) and name != "port"
    }
    assert differing == {}
    assert getattr(found(), "port", None) in {getattr(without, "port", None), 4200}
