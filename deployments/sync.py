"""Makes the Prefect server agree with the catalogue: first all is checked, then only what differs is sent.

Owns the deployments tagged `aegis`, the work pool `aegis` and the automations named `aegis: ...`; touches
nothing else on the server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aegis_lib.logs import get_logger
from aegis_lib.outcome import Report
from deployments import automations, catalogue, sync_plan, work_pool
from deployments.api import PrefectApi
from deployments.catalogue import Catalogue
from deployments.flow_facts import FlowFacts, read_flow_facts
from deployments.project import project_root
from deployments.sync_plan import Change, Pruning, SyncPlan

log = get_logger(__name__)
_ACTIVE = ("RUNNING", "PENDING", "CANCELLING", "PAUSED")


class SyncReport(Report):
    """What a deploy did. Names are `flow/deployment`; `left_running` were removed while a run goes on."""

    created: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    pruned: tuple[str, ...]
    left_running: tuple[str, ...]
    kept_custom: tuple[str, ...]
    paused: tuple[str, ...]
    automations: tuple[str, ...]
    work_pool_changed: bool


def plan(
    api: PrefectApi,
    jobs: Catalogue | None = None,
    *,
    root: Path | None = None,
    facts: Mapping[str, FlowFacts] | None = None,
    pools: Mapping[str, str] | None = None,
) -> SyncPlan:
    """What a deploy would change. Writes nothing; takes seconds, as it imports the flows.

    Args:
        api: the server.
        jobs: default: the catalogue in `root`.
        root: the project's directory, in which runs start; default: this project.
        facts: what `read_flow_facts` found for `jobs`, where it was asked already.
        pools: work pools to put jobs on, by job id; the others stay where they are.

    Raises:
        CatalogueError: the catalogue is wrong.
        FlowsUnusable: a flow cannot be imported or does not accept its parameters.
        DependencyUnavailable: the server does not answer.
    """
    directory = (root or project_root()).resolve()
    known = jobs or catalogue.read(directory / "prefect.yaml")
    seen = dict(read_flow_facts(known.jobs, directory) if facts is None else facts)
    found = sync_plan.compare(known.jobs, seen, _read_deployments(api), str(directory), pools)
    return found.model_copy(
        update={
            "work_pool": work_pool.compare(api),
            "pruned": tuple(_with_active_runs(api, found.pruned)),
            "automations": automations.compare(
                automations.declared(job.full_name for job in known.jobs), automations.read(api)
            ),
        }
    )


def apply(api: PrefectApi, planned: SyncPlan) -> SyncReport:
    """Carry out a plan; an empty one sends nothing. Interrupted half way, a new plan holds what is left.

    Raises:
        Refused: the server refused something; what came before it is done.
        DependencyUnavailable: the server does not answer.
    """
    if planned.work_pool:
        work_pool.write(api, planned.work_pool)
    for creation in planned.created:
        flow = api.post("/flows/", {"name": creation.flow_name})
        api.post("/deployments/", {**creation.payload, "flow_id": flow["id"]})
        log.info("deployment_created", deployment=creation.name)
    for change in planned.changed:
        _write_change(api, change)
        log.info("deployment_changed", deployment=change.name, fields=[c.field for c in change.fields])
    for pruning in planned.pruned:
        api.delete(f"/deployments/{pruning.id}")
        log.info("deployment_removed", deployment=pruning.name, runs_left_to_finish=pruning.active_runs)
    automations.carry_out(api, planned.automations)
    return SyncReport(
        summary=_summary(planned),
        created=tuple(creation.name for creation in planned.created),
        changed=tuple(change.name for change in planned.changed),
        unchanged=planned.unchanged,
        pruned=tuple(pruning.name for pruning in planned.pruned),
        left_running=tuple(pruning.name for pruning in planned.pruned if pruning.active_runs),
        kept_custom=planned.kept_custom,
        paused=planned.paused,
        automations=tuple(change.name for change in planned.automations),
        work_pool_changed=planned.work_pool is not None,
    )


def deploy(
    api: PrefectApi,
    jobs: Catalogue | None = None,
    *,
    root: Path | None = None,
    facts: Mapping[str, FlowFacts] | None = None,
) -> SyncReport:
    """`apply` what `plan` finds; see both."""
    return apply(api, plan(api, jobs, root=root, facts=facts))


def _summary(planned: SyncPlan) -> str:
    if planned.is_empty:
        return f"Nothing to change: {len(planned.unchanged)} deployments are as the catalogue says."
    counts = (
        (len(planned.created), "created"),
        (len(planned.changed), "changed"),
        (len(planned.unchanged), "unchanged"),
        (len(planned.pruned), "removed"),
    )
    said = [f"{count} {what}" for count, what in counts if count]
    sentence = f"Deployments: {', '.join(said) or 'none'}."
    running = [pruning.name for pruning in planned.pruned if pruning.active_runs]
    if running:
        sentence += f" Runs of {', '.join(running)} are still active and are left to finish."
    return sentence


def _read_deployments(api: PrefectApi) -> list[dict[str, Any]]:
    found = list(api.filter("/deployments/filter", {"sort": "NAME_ASC"}))
    names = {flow["id"]: flow["name"] for flow in api.filter("/flows/filter", {"sort": "NAME_ASC"})}
    return [{**deployment, "flow_name": names.get(deployment["flow_id"], "")} for deployment in found]


def _with_active_runs(api: PrefectApi, prunings: Iterable[Pruning]) -> Iterable[Pruning]:
    for pruning in prunings:
        active = api.post(
            "/flow_runs/count",
            {
                "deployments": {"id": {"any_": [pruning.id]}},
                "flow_runs": {"state": {"type": {"any_": list(_ACTIVE)}}},
            },
        )
        yield pruning.model_copy(update={"active_runs": int(active)})


def _write_change(api: PrefectApi, change: Change) -> None:
    address = f"/deployments/{change.id}"
    if change.patch:
        api.patch(address, change.patch)
    for schedule in change.schedules:
        if schedule.action == "update":
            api.patch(f"{address}/schedules/{schedule.id}", schedule.payload)
        elif schedule.action == "delete":
            api.delete(f"{address}/schedules/{schedule.id}")
    if created := [schedule.payload for schedule in change.schedules if schedule.action == "create"]:
        api.post(f"{address}/schedules", created)
