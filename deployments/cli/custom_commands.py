"""`aegis add` and `aegis remove`: a function of your own as a job."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from cyclopts import Parameter

from aegis_lib import clock
from deployments.cli import screen
from deployments.cli.exit_codes import OK, UsageMistake
from deployments.cli.options import Json, Pairs, parameters


def add(
    job: str,
    target: str,
    /,
    *,
    cron: str | None = None,
    every: str | None = None,
    at: datetime | None = None,
    timezone: str | None = None,
    timeout: str | None = None,
    parameter: Pairs = (),
    replace: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    json: Json = False,
) -> int:
    """Run a function of your own as a job, under the policy of every job.

    The function is imported once to see that it takes the arguments; it is
    not called before its time.
    Keys of --json as in `aegis jobs`.

    For example:
        aegis add nightly_backup backup:run --cron "30 2 * * *"
        aegis add poll_scales scales.reader:poll --every 15m -p room=kitchen
        aegis add new_year greetings:send --at 2027-01-01T00:00:00Z

    Args:
        job: The id it shall have.
        target: package.module:function, importable by the worker (installed, or in the project's directory).
        cron: Minute, hour, day, month, weekday; UTC.
        every: A length of time such as 45s, 15m, 1h30m or 2d.
        at: Once, at this time (UTC where it says no zone).
        timezone: Another zone for --cron, such as Europe/Berlin; for jobs that run daily or more rarely.
        timeout: How long an attempt may take, such as 90s or 2h; less than the time between two runs.
            Without it an hour, or four fifths of the shortest time between two runs.
        parameter: An argument of the function. It is stored and shown: no secrets.
        replace: Change the custom job of that id.
        json: Print JSON for programs.
    """
    from deployments import triggers
    from deployments.jobs import scheduler

    if sum(chosen is not None for chosen in (cron, every, at)) != 1:
        raise UsageMistake('Say when, once. Fix: give --cron "30 2 * * *", --every 15m, or --at TIME.')
    fields: dict[str, Any]
    if every is not None:
        trigger, fields = "interval", {"seconds": triggers.parse_every(every).total_seconds()}
    elif at is not None:
        moment = at if at.tzinfo else at.replace(tzinfo=clock.utcnow().tzinfo)
        trigger, fields = "date", {"run_date": moment}
    else:
        trigger, fields = "cron", {"expression": cron}
    added = scheduler.add_job(
        target,
        trigger,
        job,
        kwargs=parameters(parameter),
        timezone=timezone,
        replace_existing=replace,
        timeout_seconds=None if timeout is None else int(triggers.parse_every(timeout).total_seconds()),
        **fields,
    )
    if json:
        screen.as_json(added)
        return OK
    when = added.schedule or f"once, at {screen.moment(added.next_run, clock.utcnow())}"
    screen.say(f"{added.id} is added: {added.target}, {when}. Try it: aegis run {added.id} --watch")
    return OK


def remove(job: str, /) -> int:
    """Remove a job that was added with `aegis add`. Its history stays.

    For example:
        aegis remove nightly_backup

    Args:
        job: Its id. The catalogue's jobs are removed from prefect.yaml instead.
    """
    from deployments.jobs import scheduler

    scheduler.remove_job(job)
    screen.say(f"{job} is removed.")
    return OK
