"""Reads `prefect.yaml` into a Catalogue, or reports all its mistakes at once. Never talks to a server."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from aegis_lib.errors import Misconfigured
from deployments.catalogue import rules, shape
from deployments.catalogue.flow_source import read_signature
from deployments.catalogue.model import (
    Catalogue,
    ConcurrencyLimit,
    CronSchedule,
    IntervalSchedule,
    Job,
    Schedule,
)
from deployments.catalogue.shape import DeploymentShape, FileShape, ScheduleShape
from deployments.catalogue.source import Problem, Source, load
from deployments.project import project_root

FILE_NAME = "prefect.yaml"


class CatalogueError(Misconfigured):
    """The catalogue is wrong. The message has one line per mistake: `prefect.yaml:LINE: what. Fix: how`."""

    def __init__(self, file: Path, problems: tuple[Problem, ...]) -> None:
        self.file, self.problems = file, problems
        count = f"{len(problems)} mistake{'s' if len(problems) > 1 else ''}"
        super().__init__(file.name, f"has {count}.", "correct every line listed.")

    def __str__(self) -> str:
        return "\n".join(f"{self.file.name}:{problem}" for problem in self.problems)


def read(file: Path | None = None) -> Catalogue:
    """Read the catalogue; the directory of `file` is the project whose flows it names.

    Args:
        file: default `prefect.yaml` of the project.

    Raises:
        CatalogueError: the file cannot be read or breaks a rule; all mistakes are in it.
    """
    path = (file or project_root() / FILE_NAME).resolve()
    source = load(path)
    if isinstance(source, Problem):
        raise CatalogueError(path, (source,))
    problems = {*shape.check(source), *rules.check(source, path.parent)}
    if problems:
        raise CatalogueError(path, tuple(sorted(problems)))
    entries = FileShape.model_validate(source.content).deployments
    return Catalogue(
        jobs=tuple(_job(entry, number, source, path.parent) for number, entry in enumerate(entries))
    )


def _job(entry: DeploymentShape, number: int, source: Source, root: Path) -> Job:
    job = entry.name.replace("-", "_")
    signature = read_signature(root / "flows" / f"{job}.py", job)
    return Job(
        id=job,
        deployment_name=entry.name,
        entrypoint=entry.entrypoint,
        description=signature.description or "",
        schedules=tuple(_schedule(schedule) for schedule in entry.schedules),
        parameters=entry.parameters,
        tags=tuple(entry.tags),
        concurrency_limit=ConcurrencyLimit(**entry.concurrency_limit.model_dump()),
        work_pool=entry.work_pool.name,
        job_variables=entry.work_pool.job_variables.written(),
        line=source.line(("deployments", number)),
        freshness_seconds=entry.freshness_seconds,
    )


def _schedule(entry: ScheduleShape) -> Schedule:
    if entry.cron is not None:
        return CronSchedule(slug=entry.slug, cron=" ".join(entry.cron.split()), timezone=entry.timezone)
    return IntervalSchedule(
        slug=entry.slug,
        interval_seconds=entry.interval or 0,
        anchor_date=datetime.fromisoformat(entry.anchor_date or ""),
    )
