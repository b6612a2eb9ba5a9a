"""`aegis history` and `aegis logs`: what ran, and what it wrote."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter, validators

from aegis_lib import clock
from deployments.cli import screen
from deployments.cli.exit_codes import OK
from deployments.cli.options import Json


def history(
    job: str,
    /,
    *,
    limit: Annotated[
        int, Parameter(name=["--limit", "-n"], validator=validators.Number(gte=1, lte=1000))
    ] = 20,
    json: Json = False,
) -> int:
    """List a job's latest runs, newest first.

    Keys of --json, per run: id, name, job_id, state, outcome, message,
    scheduled_for, started, finished, duration_seconds, automatic.

    For example:
        aegis history health_check
        aegis history health_check --limit 100 --json

    Args:
        job: Its id.
        limit: At most so many, 1 to 1000.
        json: Print JSON for programs.
    """
    from deployments.jobs import scheduler

    runs = scheduler.history(job, limit=limit)
    if json:
        screen.as_json(runs)
        return OK
    now = clock.utcnow()
    screen.table(
        ("RUN", "OUTCOME", "STARTED (UTC)", "TOOK", "BY", "MESSAGE"),
        [
            (
                run.name,
                screen.named(run.outcome),
                screen.moment(run.started or run.scheduled_for, now),
                "-" if run.duration_seconds is None else f"{run.duration_seconds:.1f} s",
                "schedule" if run.automatic else "hand",
                (run.message or "").partition("\n")[0],
            )
            for run in runs
        ],
        empty=f"{job} has not run yet, or its runs were deleted (they are kept for two weeks).",
    )
    return OK


def logs(
    run: str,
    /,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative="", show_default=False)] = False,
    json: Json = False,
) -> int:
    """Show what a run wrote.

    With --follow, wait for more until the run is over; the exit code is that
    of `aegis run --watch`. Tracebacks are shown without the frames of Prefect
    itself; --json has them whole.
    Keys of --json, per line: timestamp, level, message, task; with --follow
    one document a line.

    For example:
        aegis logs brave-otter
        aegis logs health_check --follow

    Args:
        run: The run's name or id (`aegis history JOB` lists them), or a job for its newest run.
        follow: Go on until the run is over.
        json: Print JSON for programs.
    """
    from deployments.cli import following
    from deployments.jobs import scheduler

    if follow:
        return following.follow(scheduler, run, json="lines" if json else "no")
    lines = scheduler.logs(run)
    if json:
        screen.as_json(lines)
        return OK
    if not lines:
        found = scheduler.runs.find(run)
        screen.say(f"Run {found.name} wrote nothing; it is {found.outcome}.")
    for line in lines:
        following.print_line(line)
    return OK
