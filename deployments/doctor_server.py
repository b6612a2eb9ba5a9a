"""The doctor's questions to the Prefect server, over plain HTTP: quick, and without any effect."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from aegis_lib import clock
from aegis_lib.clock import iso
from aegis_lib.errors import AegisError
from aegis_lib.settings import PrefectApiSettings
from deployments import automations, catalogue, run_watch, sync_plan
from deployments.api import NotFound, PrefectApi
from deployments.catalogue import Catalogue
from deployments.check import Check, failed, guarded, start_command
from deployments.flow_facts import FlowFacts
from deployments.pools import POOLS, WORK_POOL
from deployments.project import CATALOGUE, project_root

_PATIENCE_SECONDS = 2.0
_LATE = timedelta(minutes=2)
_SEE_LOG = "see the log of the server (docs/operations.md says where), and the versions above."


def server_checks() -> list[Check]:
    """Server, its database, worker, schedules, late runs, deployments; only the first when it is away."""
    try:
        settings = PrefectApiSettings()
        brief = settings.model_copy(update={"timeout_seconds": _PATIENCE_SECONDS})
        with PrefectApi.from_settings(brief) as api:
            first = server_check(api)
            now = clock.utcnow()
            return [
                first,
                guarded("server's database", lambda: database_check(api)),
                guarded("worker", lambda: worker_check(api)),
                guarded("schedules", lambda: schedules_check(api, now)),
                guarded("late runs", lambda: late_check(api, now)),
                guarded("deployments", lambda: deployments_check(api)),
            ]
    except AegisError as error:
        return [failed("Prefect server", error)]


def server_check(api: PrefectApi) -> Check:
    """Whether it answers, with the version that is installed here.

    Raises:
        DependencyUnavailable: it does not answer.
        Misconfigured: something else answers, or it wants other credentials.
    """
    api.get("/health")
    theirs, ours = str(api.get("/admin/version")), importlib.metadata.version("prefect")
    same = theirs == ours
    return Check(
        name="Prefect server",
        ok=same,
        detail=f"{api.url}, version {theirs}" + ("" if same else f", here is {ours}"),
        fix="" if same else "install the same version on both sides.",
    )


def database_check(api: PrefectApi) -> Check:
    """Whether the server reaches its own database."""
    api.get("/ready")
    return Check(name="server's database", ok=True, detail="answers")


def worker_check(api: PrefectApi) -> Check:
    """Whether a worker is online and the pool is open."""
    try:
        pool = api.get(f"/work_pools/{WORK_POOL}")
        rows = list(api.filter(f"/work_pools/{WORK_POOL}/workers/filter"))
    except NotFound:
        return Check(
            name="worker",
            ok=False,
            detail=f"the server has no work pool {WORK_POOL}",
            fix=f"run `aegis deploy`, or `{start_command()}`.",
        )
    online = [row["name"] for row in rows if row["status"] == "ONLINE"]
    if not online:
        known = f"; offline: {', '.join(row['name'] for row in rows)}" if rows else ""
        return Check(
            name="worker",
            ok=False,
            detail=f"none is online, so that no job starts{known}",
            fix=f"run `{start_command()}`, or `prefect worker start --pool {WORK_POOL}`.",
        )
    if pool["is_paused"]:
        return Check(
            name="worker",
            ok=None,
            detail=f"{', '.join(online)} online, scheduling is stopped",
            fix="`aegis resume --all` starts it again.",
        )
    return Check(name="worker", ok=True, detail=f"{', '.join(online)} online")


def schedules_check(api: PrefectApi, now: datetime) -> Check:
    """Whether every active schedule has a future run. Only this proves that the server's scheduler works."""
    scheduled = run_watch.scheduled_deployments(api)
    if missing := run_watch.without_future_run(api, now):
        return Check(
            name="schedules",
            ok=False,
            detail=f"the server plans no run of {', '.join(missing)}, although their schedules are active",
            fix=f"if they were resumed or deployed just now, half a minute; else {_SEE_LOG}",
        )
    return Check(name="schedules", ok=True, detail=f"{len(scheduled)} alive, each with a next run")


def late_check(api: PrefectApi, now: datetime) -> Check:
    """Whether runs should have started and did not."""
    wanted = {
        "state": {"type": {"any_": ["SCHEDULED"]}, "name": {"not_any_": ["AwaitingRetry"]}},
        "next_scheduled_start_time": {"before_": iso(now - _LATE)},
    }
    count = int(
        api.post("/flow_runs/count", {"flow_runs": wanted, "work_pools": {"name": {"any_": list(POOLS)}}})
    )
    if count:
        return Check(
            name="late runs",
            ok=False,
            detail=f"{count} runs should have started more than {_LATE.seconds // 60} minutes ago",
            fix="see whether the worker is online, and its log (docs/operations.md says where).",
        )
    return Check(name="late runs", ok=True, detail="none")


def deployments_check(api: PrefectApi) -> Check:
    """Whether the server has the catalogue's jobs, as far as the catalogue alone can tell."""
    root = project_root()
    jobs = catalogue.read(root / CATALOGUE)
    flows = {flow["id"]: flow["name"] for flow in api.filter("/flows/filter", {"sort": "NAME_ASC"})}
    rows = [
        {**row, "flow_name": flows.get(row["flow_id"], "")}
        for row in api.filter("/deployments/filter", {"sort": "NAME_ASC"})
    ]
    difference = judge_deployments(jobs, rows, str(root))
    wanted = automations.declared(job.full_name for job in jobs.jobs)
    if planned := automations.compare(wanted, automations.read(api)):
        difference.append(f"automations differ: {', '.join(change.name for change in planned)}")
    return Check(
        name="deployments",
        ok=not difference,
        detail="; ".join(difference) or f"{len(jobs.jobs)} as {CATALOGUE} says",
        fix="run `aegis deploy`; `aegis plan` shows what it would change." if difference else "",
    )


def judge_deployments(jobs: Catalogue, rows: list[dict[str, Any]], root: str) -> list[str]:
    """What differs between the catalogue and the server's deployments, in words.

    What only an imported flow knows (its description and the schema of its parameters) is taken as right.
    """
    by_name = {row["name"]: row for row in rows}
    facts = {job.id: _facts(job.flow_name, by_name.get(job.deployment_name)) for job in jobs.jobs}
    found = sync_plan.compare(jobs.jobs, facts, rows, root)
    parts = (
        ("missing", [creation.name for creation in found.created]),
        ("different", [change.name for change in found.changed]),
        ("not in the catalogue any more", [pruning.name for pruning in found.pruned]),
    )
    return [f"{what}: {', '.join(names)}" for what, names in parts if names]


def _facts(flow_name: str, row: Mapping[str, Any] | None) -> FlowFacts:
    held = row or {}
    return FlowFacts(
        flow_name=flow_name,
        description=held.get("description"),
        parameter_schema=held.get("parameter_openapi_schema") or {},
        version=held.get("version"),
    )
