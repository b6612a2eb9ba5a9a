"""`aegis jobs`, `run`, `pause`, `resume`: what runs when, and starting or stopping it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from aegis_lib import clock
from aegis_lib.errors import PermanentFailure
from deployments.cli import screen
from deployments.cli.exit_codes import FAILED, OK, UsageMistake
from deployments.cli.options import Json, Pairs, parameters

if TYPE_CHECKING:
    from deployments.job_model import JobView
    from deployments.jobs import Scheduler

_DECISION_SECONDS = 10.0


All = Annotated[bool, Parameter(name="--all", negative="", show_default=False)]


def jobs(*, json: Json = False) -> int:
    """List every job: when it runs, its next run, how the last one went.

    Keys of --json, per job: id, name, schedule, next_run, paused, running,
    last_outcome, last_run, last_message, custom, target, summary,
    deployment_id.

    For example:
        aegis jobs
        aegis jobs --json | jq -r '.[] | select(.last_outcome == "Failed") | .id'
    """
    from deployments.jobs import scheduler

    listed = scheduler.list_jobs()
    if json:
        screen.as_json(listed)
        return OK
    now = clock.utcnow()
    screen.table(
        ("JOB", "SCHEDULE", "NEXT RUN (UTC)", "LAST OUTCOME", "LAST RUN (UTC)"),
        [
            (
                job.id,
                job.schedule or "on demand",
                _next(job),
                screen.named("Running" if job.running else job.last_outcome),
                "now" if job.running else screen.moment(job.last_run, now),
            )
            for job in listed
        ],
        empty="There are no jobs on the server yet: run `aegis deploy`.",
    )
    _warn(scheduler, listed)
    return OK


def _next(job: JobView) -> str:
    if job.paused:
        return "paused"
    if job.next_run is None:
        return "-" if job.schedule is None else "not scheduled yet"
    return screen.moment(job.next_run, clock.utcnow())


def _warn(scheduler: Scheduler, listed: list[JobView]) -> None:
    """Say why nothing runs, where that is so."""
    now, found = clock.utcnow(), scheduler.availability()
    if not found.running:
        screen.note("Scheduling is stopped: no run starts until `aegis resume --all`.")
    elif listed and not found.worker_online:
        screen.note("No worker is online: no run starts until there is one (`aegis up`).")
    late = [job.id for job in listed if job.next_run and (now - job.next_run).total_seconds() > 60]
    if late:
        screen.note(f"Late: {', '.join(late)}. `aegis doctor` tells why.")


def run(
    job: str,
    /,
    *,
    parameter: Pairs = (),
    watch: Annotated[bool, Parameter(name=["--watch", "-w"], negative="", show_default=False)] = False,
    json: Json = False,
) -> int:
    """Run a job now, besides its schedule.

    With --watch, follow it to its end: exit code 0 for Completed, NoInput,
    NotConfigured, Degraded, else 1. While another run of the job is active,
    the limit of one run at a time refuses a second one (exit code 1).
    Keys of --json: id, name, job_id, state, outcome, message, scheduled_for,
    started, finished, duration_seconds, automatic.

    For example:
        aegis run health_check
        aegis run docker_health_check --watch -p dry_run=true

    Args:
        job: Its id, such as health_check.
        parameter: A parameter of the job's flow.
        watch: Show its log until it is over.
        json: Print JSON for programs.
    """
    from deployments.cli import following
    from deployments.jobs import scheduler

    given = parameters(parameter)
    asked = scheduler.run_job(job, given)
    if watch:
        return following.follow(scheduler, asked.id, json="end" if json else "no")
    active = scheduler.runs.beside(asked)
    if active is not None:
        asked = scheduler.runs.settle(asked.id, within_seconds=_DECISION_SECONDS)
    if json:
        screen.as_json(asked)
        return FAILED if asked.refused else OK
    if asked.refused:
        other = active.name if active else str(asked.job_id)
        raise PermanentFailure(
            f"{asked.job_id}: {following.REFUSED} (Cancelled). "
            f"Fix: wait for the other one (`aegis logs {other} --follow`), then run it again."
        )
    screen.say(f"{asked.job_id}: run {asked.name} is asked for. Watch it: aegis logs {asked.name} --follow")
    found = scheduler.availability()
    if not found.running:
        screen.note("Scheduling is stopped: it waits until `aegis resume --all`.")
    elif not found.worker_online:
        screen.note("No worker is online: it waits until there is one (`aegis up`).")
    return OK


def pause(
    job: str | None = None,
    /,
    *,
    everything: All = False,
) -> int:
    """Start no further scheduled run of a job, or of any job (--all).

    Kept across restarts and deploys.

    For example:
        aegis pause evening_summary
        aegis pause --all

    Args:
        job: Its id. `aegis run` still works while it is paused.
        everything: All scheduling: no run starts at all, active ones end in peace.
    """
    from deployments.jobs import scheduler

    _one_or_all(job, everything)
    if job is None:
        scheduler.stop()
        screen.say("Scheduling is stopped: no run starts. Undo: aegis resume --all")
        return OK
    paused = scheduler.pause_job(job)
    screen.say(f"{paused.id} is paused. Undo: aegis resume {paused.id}")
    return OK


def resume(
    job: str | None = None,
    /,
    *,
    everything: All = False,
) -> int:
    """Undo `aegis pause`.

    For example:
        aegis resume evening_summary
        aegis resume --all

    Args:
        job: Its id.
        everything: All scheduling. A job that was paused by itself stays paused.
    """
    from deployments.jobs import scheduler

    _one_or_all(job, everything)
    if job is None:
        scheduler.start()
        screen.say("Scheduling goes on.")
        return OK
    resumed = scheduler.resume_job(job)
    screen.say(f"{resumed.id} goes on: {resumed.schedule or 'on demand'}.")
    return OK


def _one_or_all(job: str | None, everything: bool) -> None:
    if (job is None) != everything:
        raise UsageMistake("Name one job, or give --all. Fix: for example `aegis pause health_check`.")
