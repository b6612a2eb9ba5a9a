"""What the values of `prefect.yaml` must fulfil beyond their type. Changes nothing and imports no flow.

Judges whatever is there, also beside mistakes of shape, so that one reading shows all mistakes at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from deployments.catalogue.flow_source import FlowFileError, FlowSignature, read_signature
from deployments.catalogue.model import CUSTOM_TAG, TAG
from deployments.catalogue.schedule_rules import (
    Objection,
    check_anchor,
    check_cron,
    check_interval,
    check_timezone,
)
from deployments.catalogue.shape import label
from deployments.catalogue.source import Path_, Problem, Source

_ENTRYPOINT = re.compile(r"flows/(?P<file>[a-z][a-z0-9_]*)\.py:(?P<function>[A-Za-z_][A-Za-z0-9_]*)")


class _Found(NamedTuple):
    path: Path_
    what: str
    fix: str


def check(source: Source, root: Path) -> Iterator[Problem]:
    """Every broken rule; `root` is the directory of the project."""
    for path, what, fix in _find(source.content, root):
        yield Problem(source.line(path), f"{label(source, path)}{what}", fix)


def job_id(entrypoint: Any) -> str | None:
    """The id of the job of an entrypoint, None where it is not of the form `flows/JOB_ID.py:JOB_ID`."""
    match = _ENTRYPOINT.fullmatch(entrypoint) if isinstance(entrypoint, str) else None
    return match["file"] if match and match["file"] == match["function"] else None


def _find(content: Any, root: Path) -> Iterator[_Found]:
    seen: dict[str, int] = {}
    for number, deployment in enumerate(_list(content, "deployments")):
        if not isinstance(deployment, dict):
            continue
        path: Path_ = ("deployments", number)
        yield from _identity(deployment, path, seen)
        yield from _flow(deployment, path, root)
        yield from _tags(deployment, path)
        yield from _schedules(deployment, path)
        yield from _freshness(deployment, path)


def _list(content: Any, key: str) -> list[Any]:
    found = content.get(key) if isinstance(content, dict) else None
    return found if isinstance(found, list) else []


def _identity(deployment: dict[str, Any], path: Path_, seen: dict[str, int]) -> Iterator[_Found]:
    name, job = deployment.get("name"), job_id(deployment.get("entrypoint"))
    if isinstance(name, str):
        if name in seen:
            yield _Found(
                (*path, "name"),
                f"the job is listed twice, first as number {seen[name] + 1}",
                "remove one of the two, or give one job several schedules.",
            )
        seen.setdefault(name, int(path[1]))
        if job and name != job.replace("_", "-"):
            yield _Found(
                (*path, "name"),
                f"the name does not follow from the entrypoint {job}",
                f"write name: {job.replace('_', '-')}.",
            )


def _flow(deployment: dict[str, Any], path: Path_, root: Path) -> Iterator[_Found]:
    entrypoint = deployment.get("entrypoint")
    if not isinstance(entrypoint, str):
        return
    here: Path_ = (*path, "entrypoint")
    job = job_id(entrypoint)
    if job is None:
        yield _Found(
            here,
            f"entrypoint {entrypoint!r} is not of the form flows/JOB_ID.py:JOB_ID",
            "give file and function the job's id.",
        )
        return
    try:
        signature = read_signature(root / "flows" / f"{job}.py", job)
    except FlowFileError as error:
        yield _Found(here, f"entrypoint {entrypoint!r}: {error}", error.fix)
        return
    if not signature.description:
        yield _Found(
            here,
            f"the function {job!r} has no docstring, so the job has no description",
            f"say in flows/{job}.py what the job is for.",
        )
    yield from _parameters(deployment, path, job, signature)


def _parameters(
    deployment: dict[str, Any], path: Path_, job: str, signature: FlowSignature
) -> Iterator[_Found]:
    given = deployment.get("parameters", {})
    if not isinstance(given, dict):
        return
    taken = ", ".join(sorted(signature.parameters)) or "none"
    for name in given:
        if name not in signature.parameters and not signature.takes_any:
            yield _Found(
                (*path, "parameters", name),
                f"the flow takes no parameter {name!r}",
                f"remove or rename it; flows/{job}.py takes: {taken}.",
            )
    if not _list(deployment, "schedules"):
        return  # whoever starts a run gives the rest; the Prefect UI asks for it with a form
    for name in sorted(signature.required - set(given)):
        yield _Found(
            (*path, "parameters"),
            f"the flow needs the parameter {name!r}, without which every scheduled run fails",
            f"give it under parameters, or a default in flows/{job}.py.",
        )


def _tags(deployment: dict[str, Any], path: Path_) -> Iterator[_Found]:
    tags = deployment.get("tags")
    if not isinstance(tags, list):
        return
    if TAG not in tags:
        yield _Found(
            (*path, "tags"),
            f"the tag {TAG!r} is missing, by which a deploy knows its own",
            f"add {TAG} to tags.",
        )
    if CUSTOM_TAG in tags:
        yield _Found(
            (*path, "tags"),
            f"the tag {CUSTOM_TAG!r} belongs to jobs that `aegis add` made",
            "remove it.",
        )


def _schedules(deployment: dict[str, Any], path: Path_) -> Iterator[_Found]:
    slugs: set[str] = set()
    for number, schedule in enumerate(_list(deployment, "schedules")):
        if not isinstance(schedule, dict):
            continue
        here: Path_ = (*path, "schedules", number)
        slug = schedule.get("slug")
        if isinstance(slug, str):
            if slug in slugs:
                yield _Found(
                    (*here, "slug"), f"the slug {slug!r} is used twice", "give each schedule its own."
                )
            slugs.add(slug)
        yield from _schedule(schedule, here)


def _schedule(schedule: dict[str, Any], here: Path_) -> Iterator[_Found]:
    kinds = [kind for kind in ("cron", "interval", "rrule") if schedule.get(kind) is not None]
    if not kinds:
        yield _Found(here, "the schedule has neither cron nor interval", "give one of the two.")
    elif len(kinds) > 1:
        yield _Found(
            here, f"the schedule has {' and '.join(kinds)}", "keep one; write two schedules for both."
        )
    cron, zone = schedule.get("cron"), schedule.get("timezone")
    interval, anchor = schedule.get("interval"), schedule.get("anchor_date")
    if isinstance(zone, str):
        yield from _objection(check_timezone(zone), (*here, "timezone"))
    if isinstance(cron, str):
        yield from _objection(check_cron(cron, zone if isinstance(zone, str) else None), (*here, "cron"))
    if isinstance(interval, int) and not isinstance(interval, bool):
        yield from _objection(check_interval(interval), (*here, "interval"))
    if isinstance(anchor, str):
        yield from _objection(check_anchor(anchor), (*here, "anchor_date"))
    if interval is not None and anchor is None:
        yield _Found(
            (*here, "interval"),
            "the interval has no anchor_date, so that every deploy moves its runs",
            'add a fixed one, such as anchor_date: "2025-01-01T00:00:10Z".',
        )
    if interval is not None and zone is not None:
        yield _Found(
            (*here, "timezone"),
            "an interval needs no timezone: it counts from its anchor_date, which is UTC",
            "remove timezone, or use cron for a time of day.",
        )
    if cron is not None and interval is None and anchor is not None:
        yield _Found((*here, "anchor_date"), "cron has no use for an anchor_date", "remove it.")


def _freshness(deployment: dict[str, Any], path: Path_) -> Iterator[_Found]:
    freshness = deployment.get("freshness_seconds")
    if not isinstance(freshness, int):
        return
    here: Path_ = (*path, "freshness_seconds")
    schedules = [held for held in _list(deployment, "schedules") if isinstance(held, dict)]
    if not schedules:
        yield _Found(here, "freshness_seconds without a schedule would always be exceeded", "remove it.")
        return
    intervals = [held.get("interval") for held in schedules]
    longest = min((one for one in intervals if isinstance(one, int)), default=0)
    if None not in intervals and freshness < longest:
        yield _Found(
            here,
            f"freshness_seconds is {freshness}, less than the {longest} seconds between two runs",
            "give the job the time of at least one run more than its interval.",
        )


def _objection(objection: Objection | None, path: Path_) -> Iterator[_Found]:
    if objection:
        yield _Found(path, objection.what, objection.fix)
