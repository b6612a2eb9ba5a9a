"""What a deploy and a running stack write into the ledger of runs, and what they read of it.

A deploy says which schedules hold from now on; the stack says that it lives, that it was stopped on purpose,
and whether all scheduling is paused. What became of any tick is not judged here: the job `missed_runs` does.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import Field

from aegis_lib.clock import iso
from aegis_lib.db import database
from aegis_lib.db.database import Database
from aegis_lib.errors import AegisError
from aegis_lib.ledger.model import (
    BEAT_PATIENCE,
    CHECKED_KEY,
    GREEN_KEY,
    PASS_PATIENCE,
    Entry,
    JobTicks,
    Planned,
    TickOutcome,
)
from aegis_lib.logs import get_logger
from aegis_lib.outcome import AwareDatetime, Frozen
from aegis_lib.settings import DatabaseSettings
from deployments import custom
from deployments.api import PrefectApi
from deployments.catalogue import CUSTOM_TAG, WORK_POOL, Job
from deployments.check import Check
from deployments.flow_facts import FlowFacts
from deployments.job_model import job_id_of
from deployments.job_variables import rules_of

LONGEST_RUN_SECONDS = 3600
"""How long a run may take whose flow has no time-out."""
JOB = "missed_runs"
log = get_logger(__name__)
_MEND = f"see `aegis history {JOB}`; `aegis doctor` tells whether a worker is online."


class OnServer(Frozen):
    """What only the server knows of the plan: the jobs that people added, and the work pool's defaults."""

    custom: tuple[dict[str, Any], ...] = ()
    template: dict[str, Any] = Field(default_factory=dict)


def on_server(api: PrefectApi) -> OnServer:
    """Ask the server.

    Raises:
        DependencyUnavailable: it does not answer.
    """
    chosen = {"deployments": {"tags": {"all_": [CUSTOM_TAG]}}, "sort": "NAME_ASC"}
    pool = api.get(f"/work_pools/{WORK_POOL}")
    return OnServer(
        custom=tuple(api.filter("/deployments/filter", chosen)), template=pool.get("base_job_template") or {}
    )


def planned(
    jobs: Iterable[Job], facts: Mapping[str, FlowFacts], template: Mapping[str, Any] | None = None
) -> list[Planned]:
    """Every schedule of the catalogue with the rules of its job: its job variables, else the pool's."""
    found = []
    for job in jobs:
        rules = rules_of(template or {}, job.job_variables)
        longest = facts[job.id].longest_with(job.job_variables.get("timeout_seconds"))
        found += [
            Planned(
                job_id=job.id,
                slug=schedule.slug,
                schedule=schedule,
                grace_seconds=rules.misfire_grace_seconds,
                longest_run_seconds=longest or LONGEST_RUN_SECONDS,
                freshness_seconds=job.freshness_seconds,
                maintenance_windows=rules.maintenance_windows,
            )
            for schedule in job.schedules
        ]
    return found


def planned_custom(row: Mapping[str, Any], template: Mapping[str, Any] | None = None) -> list[Planned]:
    """The schedules of a job that a person added, as the server holds it."""
    variables = row.get("job_variables") or {}
    rules = rules_of(template or {}, variables)
    return [
        Planned(
            job_id=job_id_of(row),
            slug=schedule.slug,
            schedule=schedule,
            grace_seconds=rules.misfire_grace_seconds,
            longest_run_seconds=custom.longest_run_seconds(variables),
            maintenance_windows=rules.maintenance_windows,
        )
        for schedule in custom.schedules_of(row)
    ]


def write_plan(
    jobs: Iterable[Job],
    facts: Mapping[str, FlowFacts],
    settings: DatabaseSettings,
    now: datetime,
    server: OnServer | None = None,
) -> int:
    """From `now` the ledger counts by these schedules and no others; how many are new, other or gone.

    Raises:
        DependencyUnavailable: the database does not answer. The next deploy writes them.
        Misconfigured: it refuses us, or is not set up.
    """
    known = server or OnServer()
    wanted = planned(jobs, facts, known.template)
    for row in known.custom:
        wanted += planned_custom(row, known.template)
    with database.connect(settings) as db:
        return db.ledger.plan(wanted, now)


def note_job(job_id: str, row: Mapping[str, Any] | None, now: datetime) -> None:
    """A person added a job, or removed it (`row` is None). Raises nothing: the next deploy writes it too."""
    try:
        with database.connect(DatabaseSettings()) as db:
            db.ledger.plan_job(job_id, planned_custom(row) if row else [], now)
    except AegisError as error:
        log.warning("job_not_in_ledger", job_id=job_id, error=str(error), fix="run `aegis deploy` later")


class Presence:
    """Says for one process that the installation runs. A database that is away raises nothing here."""

    def __init__(self, settings: DatabaseSettings, program: str = "aegis up") -> None:
        """Nothing is said yet."""
        self._settings = settings
        self._process = f"{program} on {socket.gethostname()}, process {os.getpid()}, {uuid.uuid4().hex[:8]}"
        self._looked: datetime | None = None
        self._noted = False
        self._told: str | None = None

    def beat(self, api: PrefectApi, now: datetime) -> str | None:
        """Say that all parts run; returns what people should know of the ledger itself, each thing once."""
        try:
            with database.connect(self._settings) as db:
                db.ledger.beat(self._process, now, BEAT_PATIENCE)
                self._noted = True
                paused = bool(api.get(f"/work_pools/{WORK_POOL}")["is_paused"])
                db.ledger.observe_all(paused, self._looked or now, now)
                self._looked = now
                problem = None if paused else neglected(db, now)
        except AegisError as error:
            log.warning("presence_not_noted", error=str(error))
            return None
        fresh, self._told = problem != self._told, problem
        return problem if fresh else None

    def stop(self, now: datetime) -> None:
        """Say that the installation is being stopped on purpose, if it ever ran."""
        if not self._noted:
            return
        try:
            with database.connect(self._settings) as db:
                db.ledger.stop(self._process, now)
        except AegisError as error:
            log.warning("stop_not_noted", error=str(error))


def neglected(db: Database, now: datetime) -> str | None:
    """What is wrong when nobody keeps the ledger; None while somebody does, or may be about to begin."""
    checked = _moment(db.state.get(CHECKED_KEY))
    if checked is not None and now - checked <= PASS_PATIENCE:
        return None
    presence, versions = db.ledger.last_presence(), db.ledger.versions(now)
    begun = [presence.since] if presence is not None and not presence.stopped else []
    begun += [min(version.since for version in versions)] if versions else []
    if any(now - moment <= PASS_PATIENCE for moment in begun):
        return None
    when = f"was last kept at {iso(checked)}" if checked else "has never been kept"
    return f"The ledger of runs {when}: {JOB} does not run, so nobody would notice missed runs."


class Account(Frozen):
    """The ledger over a stretch of time: the tally, the missed ticks, and what is wrong with the ledger."""

    start: AwareDatetime
    end: AwareDatetime
    checked: AwareDatetime | None
    jobs: tuple[JobTicks, ...]
    missed: tuple[Entry, ...]
    problem: str | None

    @property
    def columns(self) -> tuple[str, ...]:
        """The outcomes that occur, in their usual order."""
        seen = {name for job in self.jobs for name in job.outcomes}
        found = [outcome.value for outcome in TickOutcome if outcome.value in seen]
        return (*found, *(["Unaccounted"] if any(job.unaccounted for job in self.jobs) else []))

    @property
    def good(self) -> bool:
        """Whether nothing was missed and the ledger is kept."""
        return not self.missed and not self.problem and not any(job.unaccounted for job in self.jobs)


def account(
    start: datetime, end: datetime, job: str | None = None, settings: DatabaseSettings | None = None
) -> Account:
    """What the ledger says about (start, end], of one job where given.

    Raises:
        DependencyUnavailable: the database does not answer.
        Misconfigured: it refuses us, or is not set up.
    """
    wanted = None if job is None else job.strip().rpartition("/")[2].replace("-", "_")
    with database.connect(settings or DatabaseSettings()) as db:
        checked = _moment(db.state.get(CHECKED_KEY))
        found = db.ledger.tally(start, end, checked)
        missed = db.ledger.entries(start, end, (TickOutcome.MISSED,), wanted, limit=1000)
        problem = neglected(db, end) if db.ledger.versions(end) else None
    return Account(
        start=start,
        end=end,
        checked=checked,
        jobs=tuple(row for row in found.jobs if wanted in {None, row.job_id}),
        missed=tuple(missed),
        problem=problem,
    )


def check(settings: DatabaseSettings, now: datetime) -> Check:
    """The doctor's look at the ledger: whether it is kept, and green."""
    name = "ledger of runs"
    with database.connect(settings) as db:
        if not db.ledger.versions(now):
            return Check(
                name=name, ok=None, detail="no schedule was written down yet", fix="run `aegis deploy`."
            )
        if problem := neglected(db, now):
            return Check(name=name, ok=False, detail=problem.rstrip("."), fix=_MEND)
        if db.state.get(CHECKED_KEY) is None:
            return Check(name=name, ok=None, detail="not kept yet", fix=f"{JOB} begins within five minutes.")
        open_cases = [case for case in db.ledger.cases() if case.told]
        green = db.state.get(GREEN_KEY) == "true"
    jobs = ", ".join(sorted({f"{case.job_id} {case.kind}" for case in open_cases if case.job_id}))
    return Check(
        name=name,
        ok=green,
        detail="every tick is accounted for" if green else f"red: {jobs or 'a run was missed'}",
        fix="" if green else "`aegis ledger` shows what was missed.",
    )


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        moment = None
    return moment if moment is not None and moment.tzinfo is not None else None
