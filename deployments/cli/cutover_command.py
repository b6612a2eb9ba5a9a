"""`aegis migrate-check`: what taking over an existing Aegis installation would mean."""

from __future__ import annotations

from aegis_lib import clock
from deployments.cli import screen
from deployments.cli.exit_codes import FAILED, OK
from deployments.cli.options import Json


def migrate_check(*, json: Json = False) -> int:
    """Look at an existing Aegis database before this program takes it over.

    Says which tables stay as they are, what would be made, and which jobs of
    the old scheduler (APScheduler) would run twice if both ran. Changes nothing.
    Exit code 1 while the old scheduler still has jobs of the same id.
    Keys of --json: at, adopted, renamed (its new name and rows), made, old_jobs
    (id, known, next_run, signs).

    For example:
        POSTGRES_HOST=db.lan aegis migrate-check
    """
    from aegis_lib.settings import DatabaseSettings
    from deployments import catalogue, cutover

    now = clock.utcnow()
    seen = cutover.examine(catalogue.read(), DatabaseSettings(), now)
    code = FAILED if seen.doubled else OK
    if json:
        screen.as_json(seen)
        return code
    screen.table(
        ("TABLE", "ROWS", "WHAT HAPPENS"),
        [
            *((name, str(rows), "stays as it is") for name, rows in seen.adopted.items()),
            *((name, str(rows), f"is renamed to {new}") for name, (new, rows) in seen.renamed.items()),
        ],
        empty="No table of Aegis is there yet.",
    )
    made = [line for line in seen.made if not line.startswith("column")]
    adding = [line for line in seen.made if line.startswith("column") and _table_of(line) in seen.adopted]
    screen.say(f"\nWould be made: {', '.join((*made, *adding)) or 'nothing'}.")
    if seen.old_jobs:
        screen.say("")
        screen.table(
            ("JOB", "NEXT RUN (UTC)", "SIGNS OF THE OLD SCHEDULER", "IF BOTH RAN"),
            [
                (
                    job.id,
                    screen.moment(job.next_run, now),
                    "; ".join(job.signs),
                    "runs twice" if job.known else "not in prefect.yaml",
                )
                for job in seen.old_jobs
            ],
            empty="",
        )
    if seen.doubled:
        screen.note("stop the old scheduler before you start this one; docs/cut-over.md says how.")
    else:
        screen.say("\nNo job would run twice.")
    return code


def _table_of(column: str) -> str:
    return column.split()[1].partition(".")[0]
