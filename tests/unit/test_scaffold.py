"""`aegis new-job`: what it writes is clean, runs, and is in the catalogue; nothing is overwritten."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from aegis_lib.errors import PermanentFailure
from deployments import catalogue, scaffold, triggers
from deployments.catalogue import CatalogueError
from deployments.cli.app import run

ROOT = Path(__file__).resolve().parents[2]
HOURLY = triggers.interval_schedule(timedelta(hours=1))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("aegis_lib", "flows"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("prefect.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def write(project: Path, job: str = "tide_watch", area: str = "tides") -> scaffold.Scaffold:
    return scaffold.write(project, job, area=area, schedule=HOURLY, summary="Watch the tide.")


def listing(project: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(project)): path.read_bytes() for path in project.rglob("*") if path.is_file()
    }


def test_the_catalogue_has_the_new_job_and_the_old_ones(project: Path) -> None:
    before = catalogue.read(project / "prefect.yaml").jobs
    write(project)
    *old, new = catalogue.read(project / "prefect.yaml").jobs
    assert tuple(old) == before
    assert (new.id, new.tags, new.summary) == ("tide_watch", ("aegis", "tides"), "Watch the tide.")


@pytest.mark.parametrize("area", ["tides", "beaches", "moon_phases"])
def test_what_is_written_passes_the_linter_and_the_formatter(project: Path, area: str) -> None:
    made = [path for path in write(project, area=area).files if path.endswith(".py")]
    assert len(made) == 5
    for action in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *action, "--no-cache", *made],
            cwd=project,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_test_that_is_written_passes(project: Path) -> None:
    write(project)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/test_tide_watch.py"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("job", "area", "problem"),
    [
        ("health_check", "tides", "has a job 'health_check' already"),
        ("health-check", "tides", "has a job 'health_check' already"),
        ("tide_watch", "memory", "aegis_lib/memory.* is there already"),
        ("Tide Watch", "tides", "cannot be a job's id"),
        ("tide_watch", "../tides", "cannot be a job's id"),
        ("class", "tides", "word of Python's own"),
        ("tide_watch_" * 3 + "x", "tides", "at most 30 characters"),
    ],
)
def test_a_name_that_cannot_be_used_leaves_everything_as_it_was(
    project: Path, job: str, area: str, problem: str
) -> None:
    before = listing(project)
    with pytest.raises(PermanentFailure, match=problem):
        write(project, job, area)
    assert listing(project) == before


def test_a_catalogue_that_would_become_invalid_is_put_back(project: Path) -> None:
    file = project / "prefect.yaml"
    file.write_text(file.read_text() + "\nname: aegis\n")
    before = listing(project)
    with pytest.raises(CatalogueError):
        write(project)
    assert listing(project) == before


def test_the_command_says_what_is_left_to_do(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AEGIS_PROJECT_DIR", str(project))
    assert run(["new-job", "tide-watch", "--area", "tides", "--every", "5m"]) == 0
    shown = capsys.readouterr().out
    assert "flows/tide_watch.py" in shown
    assert "make generate" in shown
    assert (
        catalogue.read(project / "prefect.yaml").find("tide_watch").schedules[0].payload()["interval"] == 300
    )
