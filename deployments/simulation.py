"""What the catalogue will start in a stretch of time. Pure: knows no server, so pauses are not in it."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime

from aegis_lib.outcome import Frozen
from aegis_lib.schedule_words import words
from deployments.catalogue.model import Catalogue, CronSchedule, Job


class JobRuns(Frozen):
    """How often one job is due, and when for the first and the last time."""

    id: str
    schedule: str
    runs: int
    first: AwareDatetime | None
    last: AwareDatetime | None


class Together(Frozen):
    """Jobs that are due in the same second."""

    at: AwareDatetime
    jobs: tuple[str, ...]


class ClockShift(Frozen):
    """A change of the clock in a zone that a schedule uses."""

    timezone: str
    at: AwareDatetime


class Simulation(Frozen):
    """All of it, by job and by the clock."""

    start: AwareDatetime
    until: AwareDatetime
    jobs: tuple[JobRuns, ...]
    together: tuple[Together, ...]
    clock_changes: tuple[ClockShift, ...]


def simulate(catalogue: Catalogue, start: datetime, span: timedelta) -> Simulation:
    """Every run due after `start` (aware) and not after `start + span`."""
    until = start + span
    due: defaultdict[datetime, list[str]] = defaultdict(list)
    jobs = []
    for job in catalogue.jobs:
        times = list(takewhile(lambda moment: moment <= until, job.runs_after(start)))
        for moment in times:
            due[moment].append(job.id)
        jobs.append(
            JobRuns(
                id=job.id,
                schedule=", ".join(words(schedule.payload()) for schedule in job.schedules) or "on demand",
                runs=len(times),
                first=times[0] if times else None,
                last=times[-1] if times else None,
            )
        )
    return Simulation(
        start=start,
        until=until,
        jobs=tuple(jobs),
        together=tuple(
            Together(at=moment, jobs=tuple(names)) for moment, names in sorted(due.items()) if len(names) > 1
        ),
        clock_changes=tuple(
            ClockShift(timezone=zone, at=shift)
            for zone in sorted({zone for job in catalogue.jobs for zone in _zones(job)})
            if (shift := _clock_change(zone, start, until))
        ),
    )


def _zones(job: Job) -> set[str]:
    return {held.timezone for held in job.schedules if isinstance(held, CronSchedule) and held.timezone}


def _clock_change(zone: str, start: datetime, until: datetime) -> datetime | None:
    """The first minute of the new time, where the zone's offset differs between the two ends."""

    def offset(moment: datetime) -> timedelta | None:
        return moment.astimezone(ZoneInfo(zone)).utcoffset()

    first: datetime = start.astimezone(UTC)
    last: datetime = until.astimezone(UTC)
    if offset(first) == offset(last):
        return None
    before = offset(first)
    while last - first > timedelta(seconds=1):
        middle = first + (last - first) / 2
        if offset(middle) == before:
            first = middle
        else:
            last = middle
    return (last + timedelta(seconds=30)).replace(second=0, microsecond=0)
