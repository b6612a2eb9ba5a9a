"""Job management in Python: list, run, pause, resume, add, remove, history, logs, by the original's names.

    from deployments.jobs import scheduler
    scheduler.list_jobs()
    scheduler.add_job("backup:run", trigger="cron", job_id="nightly_backup", hour=2)

Everything happens on the Prefect server, so that it holds for every process and survives them; nothing is
scheduled in here. Never imports prefect: a call takes milliseconds, not seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from aegis_lib import clock
from aegis_lib.adapters.prefect_server.jobs import Jobs, NoSuchJob, no_pool
from aegis_lib.errors import PermanentFailure
from deployments import catalogue, custom, triggers
from deployments.api import NotFound, PrefectApi
from deployments.catalogue.model import CUSTOM_TAG
from deployments.job_model import JobView, LogLine, RunView, job_id_of
from deployments.pools import DOCKER_POOL, WORK_POOL
from deployments.project import project_root
from deployments.runs import NoSuchRun

__all__ = ["JobView", "LogLine", "NoSuchJob", "NoSuchRun", "RunView", "Scheduler", "scheduler"]


NoteJob = Callable[[str, Mapping[str, Any] | None, datetime], None]


class Scheduler(Jobs):
    """The jobs of one Prefect server, with one's own. A job is named `health_check` or `health-check`."""

    def __init__(
        self,
        api: PrefectApi | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        note_job: NoteJob | None = None,
    ) -> None:
        """Connects with the first call: to `api`, else to the server that the settings name.

        `note_job` is told which custom job was added or removed, and when; by default the ledger of runs is.
        """
        super().__init__(api, sleep=sleep)
        self._note_job = note_job or _note_in_ledger

    def start(self) -> None:
        """Let jobs start, after `stop`. Runs missed meanwhile are not made up for one by one.

        This changes the installation, not this process: the server and its worker are started by `aegis up`
        or by compose, and they hand out runs as long as the work pool is not paused. Starting processes from
        here would tie the jobs' life to whoever called.
        """
        self._pause_pool(False)

    def stop(self) -> None:
        """Let no further run start; active runs end in peace. Kept until `start`, across restarts.

        The server stays up, so that what happened can be looked at. `aegis down` ends the processes.
        """
        self._pause_pool(True)

    @property
    def running(self) -> bool:
        """Whether runs may start (see `stop`)."""
        return self.availability().running

    def add_job(
        self,
        func: Callable[..., Any] | str,
        trigger: str = "cron",
        job_id: str = "",
        *,
        kwargs: Mapping[str, Any] | None = None,
        timezone: str | None = None,
        replace_existing: bool = False,
        timeout_seconds: int | None = None,
        **fields: Any,
    ) -> JobView:
        """Run a function of yours as a job of its own, under the same policy as every job.

        Args:
            func: `"package.module:function"`, or a function that can be imported under its name.
            trigger: `cron`, `interval` or `date`.
            job_id: its id; refused when a job has it, unless that is a custom one and `replace_existing`.
            kwargs: the function's arguments. They are stored and shown: no secrets.
            timezone: of a cron trigger, an IANA name; UTC without one.
            replace_existing: change the custom job of that id instead of refusing.
            timeout_seconds: how long an attempt may take, less than the time between two runs; by default an
                hour, or four fifths of the shortest time between two runs.
            fields: `cron` takes minute, hour, day, month, day_of_week, or `expression="0 2 * * *"`;
                `interval` takes weeks, days, hours, minutes, seconds, start_date; `date` takes run_date.

        Raises:
            PermanentFailure: the function, the id or the schedule cannot work. Nothing was created.
        """
        schedule, run_at = _schedule_of(trigger, fields, timezone)
        chosen = custom.CustomJob.checked(
            job_id,
            target=custom.name_of(func),
            arguments=kwargs or {},
            schedule=schedule,
            timeout_seconds=timeout_seconds,
        )
        in_catalogue = _in_catalogue(chosen.job_id)
        existing = self._find(chosen.deployment_name)
        if in_catalogue or (existing is not None and CUSTOM_TAG not in existing["tags"]):
            raise PermanentFailure(
                f"{chosen.job_id!r} is a job of the catalogue. Fix: choose another id; "
                "the catalogue's jobs are changed in prefect.yaml."
            )
        if existing is not None and not replace_existing:
            raise PermanentFailure(
                f"There is a custom job {chosen.job_id!r} already. Fix: replace it "
                f"(`aegis add --replace ...`), `aegis remove {chosen.job_id}`, or choose another id."
            )
        custom.check_target(chosen.target, chosen.arguments)
        began = clock.utcnow()
        flow = self.api.post("/flows/", {"name": custom.FLOW_NAME})
        try:
            row = self.api.post("/deployments/", chosen.payload(flow["id"], str(project_root())))
        except NotFound as error:
            raise no_pool() from error
        self._note_job(chosen.job_id, row, began)
        if run_at is not None:
            state = {"type": "SCHEDULED", "state_details": {"scheduled_time": clock.iso(run_at)}}
            self.api.post(f"/deployments/{row['id']}/create_flow_run", {"state": state})
        return self.job(chosen.job_id)

    def remove_job(self, job_id: str) -> None:
        """Delete a custom job; what it did stays in the history.

        Raises:
            NoSuchJob: there is none of that name.
            PermanentFailure: it is one of the catalogue's.
        """
        row = self._deployment(job_id, prefer_custom=True)
        if CUSTOM_TAG not in row["tags"]:
            raise PermanentFailure(
                f"{job_id_of(row)!r} is a job of the catalogue and would be back with the next deploy. "
                "Fix: pause it, or take it out of prefect.yaml and run `aegis deploy`."
            )
        self.api.delete(f"/deployments/{row['id']}")
        self._note_job(job_id_of(row), None, clock.utcnow())

    def history(self, job_id: str, limit: int = 20) -> list[RunView]:
        """The job's latest runs, newest first, without those that are still to come."""
        row = self._deployment(job_id)
        chosen = {
            "deployment_id": {"any_": [row["id"]]},
            "expected_start_time": {"before_": clock.utcnow().isoformat()},
        }
        return [RunView.of(run, job_id_of(row)) for run in self.runs.select(chosen, "START_TIME_DESC", limit)]

    def logs(self, run: str, *, limit: int | None = None) -> list[LogLine]:
        """The lines that a run wrote, oldest first; `run` is its id, its name, or a job for its newest run.

        Raises:
            NoSuchRun: there is none.
        """
        return self.runs.logs(run, limit=limit)

    def _pause_pool(self, paused: bool) -> None:
        try:
            self.api.patch(f"/work_pools/{WORK_POOL}", {"is_paused": paused})
        except NotFound as error:
            raise no_pool() from error
        with suppress(NotFound):  # where nobody asked for it
            self.api.patch(f"/work_pools/{DOCKER_POOL}", {"is_paused": paused})


def _note_in_ledger(job_id: str, row: Mapping[str, Any] | None, now: datetime) -> None:
    from deployments import ledger  # opens the database, which no other call needs

    ledger.note_job(job_id, row, now)


def _in_catalogue(job_id: str) -> bool:
    """Whether the project's catalogue claims the id, deployed or not; one with mistakes claims nothing."""
    try:
        return any(job.id == job_id for job in catalogue.read().jobs)
    except catalogue.CatalogueError:
        return False


def _schedule_of(
    trigger: str, fields: Mapping[str, Any], timezone: str | None
) -> tuple[triggers.Schedule | None, datetime | None]:
    """The schedule of a recurring trigger, or the moment of a single one."""
    if trigger == "cron" and set(fields) == {"expression"}:
        return triggers.cron_schedule(str(fields["expression"]), timezone), None
    if trigger == "cron":
        return triggers.cron_from_fields(fields, timezone), None
    if timezone not in {None, "UTC"}:
        raise PermanentFailure(f"A trigger {trigger!r} has no time zone. Fix: leave timezone out.")
    if trigger == "interval":
        return triggers.interval_from_fields(fields), None
    if trigger == "date" and set(fields) == {"run_date"}:
        moment = fields["run_date"]
        if not isinstance(moment, datetime) or moment.tzinfo is None:
            raise PermanentFailure(
                "run_date is no time with a zone. Fix: for example datetime(..., tzinfo=UTC)."
            )
        if moment <= clock.utcnow():
            raise PermanentFailure(f"run_date {clock.iso(moment)} is over. Fix: choose a time to come.")
        return None, moment
    raise PermanentFailure(
        f"Trigger {trigger!r} with {sorted(fields)} is not understood. "
        "Fix: use 'cron', 'interval', or 'date' with run_date."
    )


scheduler = Scheduler()
"""The server that the settings name; connects with the first call."""
