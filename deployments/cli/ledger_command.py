"""`aegis ledger`: what became of every due time, job by job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from aegis_lib import clock
from deployments.cli import screen
from deployments.cli.exit_codes import FAILED, OK, NothingSuch
from deployments.cli.options import Json

if TYPE_CHECKING:
    from aegis_lib.ledger.model import JobTicks
    from deployments.ledger import Account

_LISTED = 20


def ledger(
    *,
    since: Annotated[str, Parameter(name="--since")] = "24h",
    job: str | None = None,
    json: Json = False,
) -> int:
    """Show for each job how many times it was due, and what became of each.

    Exit code 1 when a time was missed, or the ledger is not kept.
    Keys of --json: start, end, checked, jobs (job_id, due, outcomes,
    unaccounted), missed (job_id, slug, due_at, outcome, flow_run_id,
    detail), problem.

    For example:
        aegis ledger
        aegis ledger --since 7d --job health_check

    Args:
        since: How far to look back: 45m, 24h, 7d.
        job: Only this job.
        json: Print JSON for programs.
    """
    from deployments import ledger as accounts
    from deployments import triggers

    now = clock.utcnow()
    found = accounts.account(now - triggers.parse_every(since), now, job)
    if job is not None and not found.jobs:
        raise NothingSuch(f"The ledger knows no job {job!r}. Fix: `aegis ledger` lists those it knows.")
    if json:
        screen.as_json(found)
        return OK if found.good else FAILED
    columns = found.columns
    screen.table(
        ("JOB", "DUE", *(name.upper() for name in columns)),
        [
            (
                screen.plain(row.job_id, "bold red" if _red(row) else ""),
                str(row.due),
                *(screen.plain(str(_count(row, name) or "-"), _style(row, name)) for name in columns),
            )
            for row in found.jobs
        ],
        empty="No schedule was written down yet: run `aegis deploy`.",
    )
    _explain(found)
    return OK if found.good else FAILED


def _explain(found: Account) -> None:
    now = clock.utcnow()
    for entry in found.missed[:_LISTED]:
        when = screen.moment(entry.due_at, now)
        screen.say(screen.plain(f"{entry.job_id} missed {when}: {entry.detail or 'no run'}.", "bold red"))
    if len(found.missed) > _LISTED:
        screen.say(f"... and {len(found.missed) - _LISTED} more; --json lists up to {len(found.missed)}.")
    if found.problem:
        screen.note(found.problem)
    elif found.checked:
        screen.note(f"Brought up to date at {screen.moment(found.checked, now)}.")


def _red(row: JobTicks) -> bool:
    return bool(row.outcomes.get("Missed") or row.unaccounted)


def _count(row: JobTicks, name: str) -> int:
    return row.unaccounted if name == "Unaccounted" else row.outcomes.get(name, 0)


def _style(row: JobTicks, name: str) -> str:
    if not _count(row, name):
        return "dim"
    return {"Missed": "bold red", "Unaccounted": "bold red", "Outage": "magenta"}.get(name, "")
