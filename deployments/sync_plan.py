"""What a deploy would change: the catalogue and the server's deployments, compared as values. Sends nothing.

An operator's pause is no difference: `paused` of a deployment and `active` of a schedule are never looked at
here and never sent. Neither is `version`, which only says who deployed last. A job that was put on the Docker
pool stays there until it is put back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from aegis_lib import schedule_words
from aegis_lib.outcome import Frozen
from deployments.automations import AutomationChange
from deployments.catalogue.model import CUSTOM_TAG, TAG, WORK_POOL, Job
from deployments.docker_pool.work_pool import IMAGE_PROJECT, job_variables
from deployments.flow_facts import FlowFacts
from deployments.pools import DOCKER_POOL
from deployments.work_pool import PoolChange

DEFAULT_QUEUE = "default"


class FieldChange(Frozen):
    """One field, as it is and as it will be; None where it is not or will not be."""

    field: str
    before: Any
    after: Any


class ScheduleChange(Frozen):
    """What must happen to one schedule of a deployment; sent by its id, so that others stay as they are."""

    action: Literal["create", "update", "delete"]
    slug: str | None
    id: str | None = None
    payload: dict[str, Any] | None = None


class Creation(Frozen):
    """A deployment that the server has not got. `payload` still lacks the id of the flow."""

    name: str
    flow_name: str
    payload: dict[str, Any]


class Change(Frozen):
    """A deployment that differs: every field with its two values, and what must be sent."""

    name: str
    id: str
    fields: tuple[FieldChange, ...]
    patch: dict[str, Any]
    schedules: tuple[ScheduleChange, ...]


class Pruning(Frozen):
    """A deployment of ours that the catalogue no longer has. `active_runs` are left to finish."""

    name: str
    id: str
    active_runs: int = 0


class SyncPlan(Frozen):
    """Everything that a deploy would do, and what it would leave alone."""

    work_pool: PoolChange | None = None
    created: tuple[Creation, ...] = ()
    changed: tuple[Change, ...] = ()
    unchanged: tuple[str, ...] = ()
    pruned: tuple[Pruning, ...] = ()
    kept_custom: tuple[str, ...] = ()
    paused: tuple[str, ...] = ()
    automations: tuple[AutomationChange, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.work_pool or self.created or self.changed or self.pruned or self.automations)

    def lines(self) -> tuple[str, ...]:
        """The plan for a terminal, one change a line: `+` created, `~` changed, `-` removed."""
        lines = []
        if self.work_pool:
            before = self.work_pool.before or "nothing"
            lines.append(f"~ work pool {WORK_POOL}: {before} -> {self.work_pool.after}")
        lines += [f"+ {creation.name}" for creation in self.created]
        lines += [f"~ {change.name}: {_arrow(field)}" for change in self.changed for field in change.fields]
        lines += [f"- {pruning.name}{_left_running(pruning)}" for pruning in self.pruned]
        signs = {"create": "+", "update": "~", "delete": "-"}
        lines += [f"{signs[change.action]} automation {change.name}" for change in self.automations]
        return tuple(lines)


def _left_running(pruning: Pruning) -> str:
    if not pruning.active_runs:
        return ""
    runs = "1 run" if pruning.active_runs == 1 else f"{pruning.active_runs} runs"
    return f" ({runs} still active, left to finish)"


def _arrow(change: FieldChange) -> str:
    return f"{change.field}: {_short(change.before)} -> {_short(change.after)}"


def _short(value: Any) -> str:
    text = "nothing" if value is None else " ".join(str(value).split())
    return text if len(text) <= 70 else f"{text[:67]}..."


def wanted_fields(job: Job, facts: FlowFacts, root: str, pool: str | None = None) -> dict[str, Any]:
    """A job as the server should have it, in the names of the API; equal to what `prefect deploy` writes.

    Args:
        job: the entry of the catalogue.
        facts: what its imported flow says.
        root: directory in which runs start; on the Docker pool it is the image's.
        pool: where its runs are to go; default: as the catalogue says.
    """
    limit, docker = job.concurrency_limit, pool == DOCKER_POOL
    directory = IMAGE_PROJECT if docker else root
    return {
        "description": facts.description,
        "parameters": job.parameters,
        "parameter_openapi_schema": facts.parameter_schema,
        "enforce_parameter_schema": True,
        "tags": list(job.tags),
        "entrypoint": job.entrypoint,
        "path": None,
        "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": directory}}],
        "work_pool_name": pool or job.work_pool,
        "work_queue_name": DEFAULT_QUEUE,
        "job_variables": job_variables(job.job_variables) if docker else job.job_variables,
        "concurrency_limit": limit.limit,
        "concurrency_options": {
            "collision_strategy": limit.collision_strategy,
            "grace_period_seconds": limit.grace_period_seconds,
        },
    }


def compare(
    jobs: Iterable[Job],
    facts: Mapping[str, FlowFacts],
    existing: Iterable[Mapping[str, Any]],
    root: str,
    pools: Mapping[str, str] | None = None,
) -> SyncPlan:
    """The part of the plan about deployments.

    Args:
        jobs: the catalogue.
        facts: what the imported flows say, by job id.
        existing: the server's deployments as it answers them, each with `flow_name` added.
        root: directory in which runs start.
        pools: work pools to put jobs on, by job id; the others stay where they are.
    """
    by_name = {f"{found['flow_name']}/{found['name']}": found for found in existing}
    created, changed, unchanged, paused = [], [], [], []
    for job in jobs:
        found = by_name.pop(job.full_name, None)
        wanted = wanted_fields(job, facts[job.id], root, (pools or {}).get(job.id) or _kept_pool(found))
        if found is None:
            created.append(_creation(job, wanted, facts[job.id]))
            continue
        if found.get("paused") or any(not schedule["active"] for schedule in found["schedules"]):
            paused.append(job.full_name)
        change = _compare_one(job, wanted, found, facts[job.id])
        if change:
            changed.append(change)
        else:
            unchanged.append(job.full_name)
    ours = {name: found for name, found in by_name.items() if CUSTOM_TAG not in found["tags"]}
    return SyncPlan(
        created=tuple(created),
        changed=tuple(changed),
        unchanged=tuple(unchanged),
        paused=tuple(paused),
        pruned=tuple(
            Pruning(name=name, id=found["id"]) for name, found in ours.items() if TAG in found["tags"]
        ),
        kept_custom=tuple(name for name, found in by_name.items() if CUSTOM_TAG in found["tags"]),
    )


def _kept_pool(found: Mapping[str, Any] | None) -> str | None:
    return DOCKER_POOL if found and found.get("work_pool_name") == DOCKER_POOL else None


def _creation(job: Job, wanted: dict[str, Any], facts: FlowFacts) -> Creation:
    schedules = [
        {"slug": schedule.slug, "schedule": schedule.payload(), "parameters": {}}
        for schedule in job.schedules
    ]
    payload = {**wanted, "name": job.deployment_name, "version": facts.version, "schedules": schedules}
    return Creation(name=job.full_name, flow_name=job.flow_name, payload=payload)


def _compare_one(
    job: Job, wanted: dict[str, Any], found: Mapping[str, Any], facts: FlowFacts
) -> Change | None:
    is_now = _existing_fields(found, wanted)
    fields = [
        FieldChange(field=name, before=is_now[name], after=value)
        for name, value in wanted.items()
        if _canonical(name, is_now[name]) != _canonical(name, value)
    ]
    patch = {change.field: change.after for change in fields}
    if "work_queue_name" in patch or "work_pool_name" in patch:
        patch |= {name: wanted[name] for name in ("work_pool_name", "work_queue_name")}
    if patch:
        patch["version"] = facts.version
    schedules, schedule_fields = _compare_schedules(job, found["schedules"])
    if not patch and not schedules:
        return None
    return Change(
        name=job.full_name,
        id=found["id"],
        fields=(*fields, *schedule_fields),
        patch=patch,
        schedules=tuple(schedules),
    )


def _existing_fields(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    limit = found.get("global_concurrency_limit") or {}
    return {**{name: found.get(name) for name in wanted}, "concurrency_limit": limit.get("limit")}


def _canonical(name: str, value: Any) -> Any:
    return sorted(value) if name == "tags" and value is not None else value


def _compare_schedules(
    job: Job, found: Iterable[Mapping[str, Any]]
) -> tuple[list[ScheduleChange], list[FieldChange]]:
    changes: list[ScheduleChange] = []
    fields: list[FieldChange] = []
    wanted = {schedule.slug: schedule.payload() for schedule in job.schedules}
    for existing in found:
        slug, before = existing.get("slug"), existing["schedule"]
        after = wanted.pop(slug, None) if slug else None
        label = f"schedule {slug or 'without a slug'}"
        if after is None:
            changes.append(ScheduleChange(action="delete", slug=slug, id=existing["id"]))
            fields.append(FieldChange(field=label, before=schedule_words.words(before), after=None))
            continue
        differences = [
            FieldChange(field=f"{label}: {key}", before=before.get(key), after=after.get(key))
            for key in sorted({*before, *after})
            if _moment(key, before.get(key)) != _moment(key, after.get(key))
        ]
        if existing.get("parameters"):
            differences.append(
                FieldChange(field=f"{label}: parameters", before=existing["parameters"], after={})
            )
        if differences:
            payload = {"schedule": after, "parameters": {}}
            changes.append(ScheduleChange(action="update", slug=slug, id=existing["id"], payload=payload))
            fields += differences
    for slug, after in wanted.items():
        changes.append(
            ScheduleChange(
                action="create", slug=slug, payload={"slug": slug, "schedule": after, "parameters": {}}
            )
        )
        fields.append(FieldChange(field=f"schedule {slug}", before=None, after=schedule_words.words(after)))
    return changes, fields


def _moment(key: str, value: Any) -> Any:
    if key == "anchor_date" and isinstance(value, str):
        return datetime.fromisoformat(value).astimezone(UTC)
    return value
