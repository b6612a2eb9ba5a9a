"""Both kinds of Compose read the files of the stack, alone and together."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests import compose_stack, requirement

FILES = ("docker-compose.yml", "docker-compose.host-database.yml")


@pytest.mark.parametrize("version", ["v2", "1.29"])
@pytest.mark.parametrize("files", [FILES[:1], FILES], ids=["own-database", "host-database"])
def test_both_kinds_of_compose_read_the_files(version: str, files: tuple[str, ...]) -> None:
    found = compose_stack.commands()
    if version not in found:
        requirement.missing("compose-v2" if version == "v2" else "compose", compose_stack.HOW)
    named = [word for file in files for word in ("-f", file)]
    said = subprocess.run(
        [*found[version], *named, *compose_stack.PROFILES, "config", "--quiet"],
        cwd=compose_stack.PROJECT,
        capture_output=True,
        text=True,
    )
    assert (said.returncode, said.stderr) == (0, "")


def test_the_older_kind_sees_the_services_of_the_newer() -> None:
    found = compose_stack.commands()
    if len(found) < 2:
        requirement.missing("compose-v2", compose_stack.HOW)
    seen = {
        version: sorted(
            subprocess.run(
                [*words, *compose_stack.PROFILES, "config", "--services"],
                cwd=compose_stack.PROJECT,
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split()
        )
        for version, words in found.items()
    }
    assert seen["v2"] == seen["1.29"]
    assert len(seen["v2"]) > 5, json.dumps(seen)
