"""`aegis plan`, `deploy`, `simulate`: the catalogue against the server, and against the clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from aegis_lib import clock
from deployments.cli import screen
from deployments.cli.exit_codes import OK, UsageMistake
from deployments.cli.options import Json


def plan(*, json: Json = False) -> int:
    """Show what `aegis deploy` would change. Changes nothing.

    Keys of --json: work_pool, created, changed, unchanged, pruned,
    kept_custom, paused, automations.

    For example:
        aegis plan
    """
    from deployments import sync
    from deployments.api import PrefectApi

    with PrefectApi.from_settings() as api:
        found = sync.plan(api)
    if json:
        screen.as_json(found)
        return OK
    if found.is_empty:
        screen.say(f"Nothing to change: {len(found.unchanged)} deployments are as prefect.yaml says.")
        return OK
    for line in found.lines():
        screen.say(line)
    screen.say("Carry it out: aegis deploy")
    return OK


def deploy(*jobs: str, pool: Literal["aegis", "docker"] | None = None, json: Json = False) -> int:
    """Make the server agree with prefect.yaml, removing what it no longer has.

    All is checked before anything is sent. What you paused stays paused;
    custom jobs are left alone. The ledger of runs counts by the new
    schedules from now on. With --pool, the named jobs (or all) are put on
    that work pool and stay there: `docker` runs each in a container of its
    own, `aegis` is the way back.
    Keys of --json: outcome, summary, created, changed, unchanged, pruned,
    left_running, kept_custom, paused, automations, work_pool_changed.

    For example:
        aegis plan
        aegis deploy
        aegis deploy --pool docker site_check

    Args:
        jobs: With --pool: which jobs; default all.
        pool: Where runs go from now on.
        json: Print JSON for programs.
    """
    from aegis_lib.settings import DatabaseSettings
    from deployments import catalogue, ledger, sync
    from deployments.api import PrefectApi
    from deployments.docker_pool import choosing
    from deployments.flow_facts import read_flow_facts
    from deployments.project import project_root

    if jobs and pool is None:
        raise UsageMistake("Jobs are named only with --pool. Fix: `aegis deploy` deploys all of them.")
    listed = catalogue.read()
    named = [listed.find(job) for job in jobs] or listed.jobs
    facts = read_flow_facts(listed.jobs, project_root())
    with PrefectApi.from_settings() as api:
        pools = choosing.pools(api, pool, named) if pool else {}
        planned = sync.plan(api, listed, facts=facts, pools=pools)
        if not json:
            for line in planned.lines():
                screen.say(line)
        began = clock.utcnow()
        report = sync.apply(api, planned)
        ledger.write_plan(listed.jobs, facts, DatabaseSettings(), began, ledger.on_server(api))
    if json:
        screen.as_json(report)
    else:
        screen.say(report.summary)
    return OK


def simulate(
    *,
    hours: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=744))] = 24,
    json: Json = False,
) -> int:
    """Show what will start in the next hours, and what starts together.

    Reads prefect.yaml only, so that it works without a server; pauses and
    custom jobs are not in it.
    Keys of --json: start, until, jobs (id, schedule, runs, first, last),
    together (at, jobs), clock_changes.

    For example:
        aegis simulate --hours 48

    Args:
        hours: How far to look ahead, 1 to 744.
        json: Print JSON for programs.
    """
    from deployments import catalogue, simulation

    start = clock.utcnow()
    seen = simulation.simulate(catalogue.read(), start, timedelta(hours=hours))
    if json:
        screen.as_json(seen)
        return OK
    screen.table(
        ("JOB", "SCHEDULE", "RUNS", "FIRST (UTC)", "LAST (UTC)"),
        [
            (
                job.id,
                job.schedule,
                str(job.runs),
                screen.moment(job.first, start),
                screen.moment(job.last, start),
            )
            for job in seen.jobs
        ],
        empty="The catalogue has no jobs.",
    )
    if seen.together:
        screen.say(f"\nStarting in the same second, {len(seen.together)} times; the first of them:")
        for tick in seen.together[:5]:
            screen.say(f"  {screen.moment(tick.at, start)}: {', '.join(tick.jobs)}")
    for change in seen.clock_changes:
        screen.note(f"The clock of {change.timezone} changes at {screen.moment(change.at, start)}.")
    return OK
