"""The first lines of a new job: area, flow, catalogue entry, test. Writes text, knows nothing of the job."""

from __future__ import annotations

import keyword
from pathlib import Path
from typing import NamedTuple

from aegis_lib.errors import PermanentFailure
from deployments import catalogue
from deployments.catalogue.model import IntervalSchedule
from deployments.custom import CustomJob
from deployments.project import CATALOGUE

_LONGEST_NAME = 30
_LONGEST_SUMMARY = 100

MODEL = '''\
"""What the job `{job}` works on, as values. Looks at nothing and decides nothing."""

from __future__ import annotations

from aegis_lib.outcome import Report


class {title}Report(Report):
    """What a run found. `items` is how many things it looked at."""

    items: int = 0
'''
SERVICE = '''\
"""Carries out the job `{job}`. Reaches the outside through ports only."""

from __future__ import annotations

from datetime import datetime

{service_imports}


def look(*, now: datetime) -> {title}Report:
    """Look, and say what was found. `now` is aware."""
    return {title}Report(outcome=Outcome.NO_INPUT, summary=f"There was nothing to read at {{iso(now)}}.")
'''
FLOW = '''\
"""The job `{job}`: opens what it needs and calls its service. Decides nothing."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State

from aegis_lib import clock
from aegis_lib.{area} import service
from aegis_lib.{area}.model import {title}Report
from flows._policy import job, outcome, step


@step
def look() -> {title}Report:
    """Look once."""
    return service.look(now=clock.utcnow())


@job()
def {job}() -> State[Any]:
    """{summary}

    Ends as `NoInput` when there was nothing to read.

    Raises:
        DependencyUnavailable: what it reads did not answer; retried.
    """
    return outcome(look())
'''
TEST = '''\
"""The job `{job}`: what it reports."""

from __future__ import annotations

from datetime import UTC, datetime

{test_imports}

NOON = datetime(2026, 1, 25, 12, tzinfo=UTC)


def test_it_says_that_there_was_nothing_to_read() -> None:
    report = service.look(now=NOON)
    assert report.outcome is Outcome.NO_INPUT
    assert "2026-01-25T12:00:00Z" in report.summary
'''
ENTRY = """
  - name: {name}
    entrypoint: flows/{job}.py:{job}
    tags: [aegis, {area}]
    work_pool: {{name: aegis}}
    concurrency_limit: {{limit: 1, collision_strategy: CANCEL_NEW, grace_period_seconds: 60}}
    schedules:
      - slug: regular
        interval: {interval}
        anchor_date: "{anchor}"
"""


class Scaffold(NamedTuple):
    """What was written, by path in the project, and what is left to be done by hand."""

    files: tuple[str, ...]
    next_steps: tuple[str, ...]


def write(root: Path, job: str, *, area: str, schedule: IntervalSchedule, summary: str) -> Scaffold:
    """Write area, flow, test and catalogue entry of a new job into the project at `root`; all or nothing.

    Raises:
        PermanentFailure: a name cannot be used, or something of that name is there already.
        CatalogueError: the catalogue has mistakes; nothing was written.
    """
    job_id, room = _checked(job), _checked(area)
    known = catalogue.read(root / CATALOGUE)
    if any(entry.id == job_id for entry in known.jobs):
        raise PermanentFailure(f"The catalogue has a job {job_id!r} already. Fix: choose another name.")
    title = "".join(part.capitalize() for part in job_id.split("_"))
    kinds = "from aegis_lib.outcome import Outcome"
    words = {
        "service_imports": _sorted(
            "from aegis_lib.clock import iso", f"from aegis_lib.{room}.model import {title}Report", kinds
        ),
        "test_imports": _sorted(f"from aegis_lib.{room} import service", kinds),
        "job": job_id,
        "area": room,
        "title": title,
        "name": job_id.replace("_", "-"),
        "summary": _sentence(summary),
        "interval": schedule.interval_seconds,
        "anchor": f"2025-01-01T00:00:{len(known.jobs) * 10 % 60:02}Z",
    }
    contents = {
        f"aegis_lib/{room}/__init__.py": "",
        f"aegis_lib/{room}/model.py": MODEL.format(**words),
        f"aegis_lib/{room}/service.py": SERVICE.format(**words),
        f"flows/{job_id}.py": FLOW.format(**words),
        f"tests/unit/test_{job_id}.py": TEST.format(**words),
    }
    taken = [path for path in (*contents, f"aegis_lib/{room}") if (root / path).exists()]
    if taken:
        raise PermanentFailure(
            f"{taken[0]} is there already. Fix: choose another name, or another --area; a second job of an "
            "area is written by hand, after the example of the first."
        )
    for path, text in contents.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    _append_entry(root, ENTRY.format(**words), tuple(contents))
    return Scaffold(
        files=(*contents, CATALOGUE),
        next_steps=(
            f"add {room!r} to AREAS in tests/architecture/test_imports.py",
            "run `make generate`, which renews the job table of the README",
            f"write the job: aegis_lib/{room}/service.py, and policy.py for its decisions",
            "run `aegis deploy`",
        ),
    )


def _append_entry(root: Path, entry: str, written: tuple[str, ...]) -> None:
    """Add to the catalogue, whose last key is the list of jobs; undo everything where that breaks it."""
    file = root / CATALOGUE
    before = file.read_text(encoding="utf-8")
    file.write_text(before.rstrip("\n") + "\n" + entry, encoding="utf-8")
    try:
        catalogue.read(file)
    except catalogue.CatalogueError:
        file.write_text(before, encoding="utf-8")
        for path in written:
            (root / path).unlink()
        (root / written[0]).parent.rmdir()
        raise


def _checked(name: str) -> str:
    plain = CustomJob.checked(name, target="", arguments={}, schedule=None).job_id
    if keyword.iskeyword(plain):
        raise PermanentFailure(f"{name!r} is a word of Python's own. Fix: choose another name.")
    if len(plain) > _LONGEST_NAME:
        raise PermanentFailure(f"{name!r} is long. Fix: use at most {_LONGEST_NAME} characters.")
    return plain


def _sentence(summary: str) -> str:
    plain = " ".join(summary.split()).rstrip(".") + "."
    if len(plain) > _LONGEST_SUMMARY or {'"', "\\"} & set(plain):
        raise PermanentFailure(
            f"The summary {summary!r} does not fit. Fix: one sentence of at most {_LONGEST_SUMMARY} letters "
            "without double quotes and backslashes."
        )
    return plain


def _sorted(*imports: str) -> str:
    return "\n".join(sorted(imports, key=lambda line: line.split()[1]))
