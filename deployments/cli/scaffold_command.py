"""`aegis new-job`: the first lines of a job in this project."""

from __future__ import annotations

from deployments.cli import screen
from deployments.cli.exit_codes import OK


def new_job(name: str, /, *, area: str | None = None, every: str = "1h", summary: str | None = None) -> int:
    """Write the first lines of a new job: area, flow, catalogue entry, test.

    What is written runs, passes the linter and says NoInput. Nothing that is
    there already is overwritten.

    For example:
        aegis new-job site_check --area sites --every 5m

    Args:
        name: The job's id, such as site_check.
        area: The package in aegis_lib that holds what the job knows; default: the name.
        every: How often it runs, such as 5m, 1h or 1d; see prefect.yaml for more.
        summary: One sentence that says what the job is for.
    """
    from deployments import scaffold, triggers
    from deployments.project import project_root

    told = (summary or f"Look at what {name.replace('_', ' ').replace('-', ' ')} is about.").strip()
    schedule = triggers.interval_schedule(triggers.parse_every(every))
    made = scaffold.write(project_root(), name, area=area or name, schedule=schedule, summary=told)
    for path in made.files:
        screen.say(f"  {path}")
    screen.say("Next:")
    for number, step in enumerate(made.next_steps, start=1):
        screen.say(f"  {number}. {step}")
    return OK
