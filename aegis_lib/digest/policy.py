"""What belongs into a digest and in which order. Pure decisions; reads no clock and no table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

from aegis_lib.digest.model import Arrivals, DigestConfig, Morning, TaskCounts, Window
from aegis_lib.tasks.model import Task


def yesterday(now: datetime) -> Window:
    """The UTC calendar day before the one of `now`, whatever zone `now` is written in."""
    midnight = datetime.combine(now.astimezone(UTC).date(), time(), UTC)
    return Window(start=midnight - timedelta(days=1), end=midnight)


def holds_nothing(arrivals: Arrivals, tasks: TaskCounts) -> bool:
    """Whether nothing but our own reports happened in a window."""
    return arrivals.events.others == 0 and tasks == TaskCounts()


def has_nothing_to_say(morning: Morning) -> bool:
    """Whether yesterday was empty and no task waits, runs or is blocked: nobody writes into the tables."""
    open_tasks = sum(number for status, number in morning.standing.items() if not status.final)
    return morning.events.others == 0 and morning.tasks == TaskCounts() and open_tasks == 0


def follows_now(taken_up: Window, now: datetime, config: DigestConfig) -> bool:
    """Whether the run that took up an older digest should also write the one after it."""
    return now - taken_up.end >= timedelta(minutes=config.least_window_minutes)


def rank_priorities(pending: Sequence[Task], now: datetime, most: int) -> tuple[Task, ...]:
    """The tasks to do first: overdue or due within a day before all others, then priority, due date, age."""
    soon = now + timedelta(days=1)
    never = datetime.max.replace(tzinfo=UTC)

    def rank(task: Task) -> tuple[bool, int, datetime, datetime, int]:
        due = task.due_at or never
        return due > soon, task.priority, due, task.created_at, task.id

    return tuple(sorted(pending, key=rank)[:most])
