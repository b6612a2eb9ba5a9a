"""Which keys `prefect.yaml` may have and of what type. What their values mean is not judged here.

Prefect itself drops unknown keys in silence, so that a misspelt limit is no limit; here each is an error.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from aegis_lib.maintenance import MaintenanceWindow
from deployments.catalogue.model import TAG, WORK_POOL
from deployments.catalogue.source import Path_, Problem, Source
from deployments.job_variables import JobVariables

Dashed = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")]


class Shape(BaseModel):
    """Base: no unknown key, no conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class LimitShape(Shape):
    """`concurrency_limit` of a deployment."""

    limit: Literal[1]
    collision_strategy: Literal["CANCEL_NEW"]
    grace_period_seconds: int = Field(ge=60, le=86400)


class WorkPoolShape(Shape):
    """`work_pool` of a deployment."""

    name: Literal["aegis"]
    job_variables: JobVariables = Field(default_factory=JobVariables)


class ScheduleShape(Shape):
    """One schedule of a deployment."""

    slug: Dashed
    cron: str | None = None
    timezone: str | None = None
    interval: int | None = None
    anchor_date: str | None = None


class DeploymentShape(Shape):
    """One job. `freshness_seconds` is ours: Prefect ignores it, the ledger of runs reads it."""

    name: Dashed
    entrypoint: str
    tags: list[str]
    work_pool: WorkPoolShape
    concurrency_limit: LimitShape
    freshness_seconds: int | None = Field(default=None, ge=60, le=31_622_400)
    parameters: dict[str, Any] = Field(default_factory=dict)
    schedules: list[ScheduleShape] = Field(default_factory=list)


class FileShape(Shape):
    """The whole file. `definitions` only holds YAML anchors for the deployments to refer to."""

    name: str | None = None
    prefect_version: str | None = Field(default=None, alias="prefect-version")
    definitions: Any = None
    deployments: list[DeploymentShape] = Field(min_length=1)


_LIMIT = "concurrency_limit: {limit: 1, collision_strategy: CANCEL_NEW, grace_period_seconds: 60}"
_DRIFT = "remove it: a deploy must not undo what an operator paused; use `aegis pause` and `aegis resume`."
_CODE_IS_HERE = "remove it: runs start in the project's own directory."
_REFUSED = {
    ("deployments", "description"): "remove it: the docstring of the flow's function is the description.",
    ("deployments", "flow_name"): "remove it: the flow's name is derived from its function.",
    (
        "deployments",
        "concurrency_options",
    ): "write concurrency_limit: {limit: 1, collision_strategy: CANCEL_NEW, "
    "grace_period_seconds: 60}; Prefect ignores this key.",
    ("deployments", "schedule"): "write it as an entry of schedules.",
    ("deployments", "paused"): _DRIFT,
    ("deployments", "active"): _DRIFT,
    ("schedules", "active"): _DRIFT,
    ("schedules", "rrule"): "use cron, or an interval with an anchor_date; recurrence rules load the server.",
    ("deployments", "sla"): "remove it: only Prefect Cloud knows it.",
    **{(level, step): _CODE_IS_HERE for level in ("", "deployments") for step in ("build", "push", "pull")},
}
_MENDS = {
    "slug": "give the schedule a name of its own that never changes, such as slug: every-5-minutes; without "
    "it a deploy makes the schedule anew and undoes a pause.",
    "concurrency_limit": f"add {_LIMIT}.",
    "limit": "write limit: 1; two runs of one job would work on the same things.",
    "collision_strategy": "write collision_strategy: CANCEL_NEW; waiting runs would pile up.",
    "grace_period_seconds": "write grace_period_seconds: 60, or up to 86400.",
    "work_pool": f"add work_pool: {{name: {WORK_POOL}}}.",
    "tags": f"add tags: [{TAG}] and the job's area.",
    "name": "write the job's id with dashes, such as health-check.",
    "entrypoint": "write flows/JOB_ID.py:JOB_ID.",
    "interval": "give whole seconds without quotes, for example 300 for five minutes.",
    "freshness_seconds": "give the greatest age of the job's newest output in whole seconds, 60 to 31622400.",
    "anchor_date": 'write it in quotes: "2025-01-01T00:00:10Z".',
    "deployments": "list at least one job.",
}
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "string_pattern_mismatch": "lower-case words joined by dashes",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "too_short": "a list with something in it",
}


def check(source: Source) -> Iterator[Problem]:
    """Every unknown key, missing key and wrong type."""
    try:
        FileShape.model_validate(source.content)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)
        misspelt = {
            (*error["loc"][:-1], _nearest(error["loc"]))
            for error in errors
            if error["type"] == "extra_forbidden"
        }
        for error in errors:
            path = tuple(error["loc"])
            if error["type"] == "missing" and path in misspelt:
                continue  # one mistake, said once
            what, fix = _explain(path, error)
            yield Problem(source.line(path), f"{label(source, path)}{what}", fix)


def label(source: Source, path: Path_) -> str:
    """`health-check: ` for a path inside that deployment, else nothing."""
    if len(path) < 2 or path[0] != "deployments":
        return ""
    try:
        name = source.content["deployments"][path[1]]["name"]
    except (KeyError, IndexError, TypeError):
        return ""
    return f"{name}: " if isinstance(name, str) else ""


def _level(path: Path_) -> tuple[str, type[BaseModel]]:
    """The name of the mapping that holds the last key of `path`, and its shape."""
    names = [step for step in path[:-1] if isinstance(step, str)]
    level = names[-1] if names else ""
    shapes: dict[str, type[BaseModel]] = {
        "deployments": DeploymentShape,
        "schedules": ScheduleShape,
        "work_pool": WorkPoolShape,
        "concurrency_limit": LimitShape,
        "job_variables": JobVariables,
        "maintenance_windows": MaintenanceWindow,
    }
    return level, shapes.get(level, FileShape)


def _keys(shape: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in shape.model_fields.items()]


def _nearest(path: Path_) -> str | None:
    """The valid key that an unknown one was probably meant to be."""
    level, shape = _level(path)
    if (level, path[-1]) in _REFUSED:
        return None
    return next(iter(difflib.get_close_matches(str(path[-1]), _keys(shape), n=1, cutoff=0.5)), None)


def _explain(path: Path_, error: ErrorDetails) -> tuple[str, str]:
    key = next((str(step) for step in reversed(path) if isinstance(step, str)), "")
    level, shape = _level(path)
    mend = _MENDS.get(key, "correct it.")
    if error["type"] == "extra_forbidden":
        if (level, key) in _REFUSED:
            return f"{key!r} has no place in the catalogue", _REFUSED[level, key]
        near = _nearest(path)
        if near:
            return f"unknown key {key!r}, the nearest valid one is {near!r}", "rename or remove it."
        return f"unknown key {key!r}", f"remove it; valid here: {', '.join(_keys(shape))}."
    if error["type"] == "missing":
        return f"{key!r} is missing{f' in {level}' if level and level != 'deployments' else ''}", mend
    if error["type"] == "literal_error":
        return f"{key} is {error['input']!r} instead of {error['ctx']['expected']}", mend
    if not path:
        return "the file is no mapping", "start it with `deployments:`."
    expected = error["msg"]
    if error["type"] in _EXPECTED:
        expected = _EXPECTED[error["type"]].format(**error.get("ctx", {}))
    return f"{key} is {_shown(error['input'])}, which is not {expected}", mend


def _shown(value: Any) -> str:
    if isinstance(value, date):
        return "a date without quotes"
    text = repr(value) if isinstance(value, str | int | float | bool | None) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."
