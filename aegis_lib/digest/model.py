"""The day in numbers and lines: what a digest and a morning status are made of. Values only."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from aegis_lib.outcome import AwareDatetime, Frozen, Report
from aegis_lib.tasks.model import Task, TaskStatus

MORNING_EVENT = "morning_status"
EVENING_EVENT = "evening_summary"
OWN_EVENTS = (MORNING_EVENT, EVENING_EVENT)
"""Recorded by these jobs themselves: counted, but no sign that anything else happened."""


class DigestConfig(Frozen):
    """The section `digest` of aegis.yaml.

    `listed` (1 to 100) is how many lines a section shows before it says how many more there are;
    `priorities` (1 to 100) how many of tomorrow's; `first_window_hours` (1 to 744) how far back the very
    first digest looks; `least_window_minutes` (0 to 1440) how much time must have passed since a digest that
    had to be taken up again for the same run to write the following one too.
    """

    listed: int = Field(default=20, ge=1, le=100)
    priorities: int = Field(default=5, ge=1, le=100)
    first_window_hours: int = Field(default=24, ge=1, le=744)
    least_window_minutes: int = Field(default=60, ge=0, le=1440)


class Window(Frozen):
    """The time from `start` on, up to but without `end`."""

    start: AwareDatetime
    end: AwareDatetime

    @model_validator(mode="after")
    def _has_length(self) -> Self:
        if self.end <= self.start:
            raise ValueError("a window ends after it starts")
        return self


class Claim(Frozen):
    """A digest that this run has claimed. `post_claimed_at`: when a run set out to post it, if one did."""

    id: int
    window: Window
    post_claimed_at: AwareDatetime | None = None


class Line(Frozen):
    """An event as one line of a digest. All of its text is untrusted."""

    timestamp: AwareDatetime
    event_type: str
    summary: str
    decision: str | None = None


class Lines(Frozen):
    """The newest lines of a kind, newest first, and how many there are in all."""

    shown: tuple[Line, ...] = ()
    total: int = Field(default=0, ge=0)


class EventCounts(Frozen):
    """`others` are the events that these jobs did not record themselves."""

    total: int = Field(default=0, ge=0)
    critical: int = Field(default=0, ge=0)
    others: int = Field(default=0, ge=0)


class TaskCounts(Frozen):
    """What happened to tasks in a window."""

    created: int = Field(default=0, ge=0)
    completed: int = Field(default=0, ge=0)
    failed: int = Field(default=0, ge=0)


class Arrivals(Frozen):
    """What the event memory received in a window."""

    events: EventCounts = EventCounts()
    critical: Lines = Lines()
    decisions: Lines = Lines()
    errors: Lines = Lines()


class Digest(Frozen):
    """One window, complete. `standing` is how many tasks are in each status at the end of it."""

    window: Window
    arrivals: Arrivals = Arrivals()
    tasks: TaskCounts = TaskCounts()
    standing: dict[TaskStatus, int] = Field(default_factory=dict)
    completed: tuple[Task, ...] = ()
    failed: tuple[Task, ...] = ()
    priorities: tuple[Task, ...] = ()

    @property
    def pending(self) -> int:
        """How many tasks wait."""
        return self.standing.get(TaskStatus.PENDING, 0)


class Morning(Frozen):
    """Yesterday, and what is on the table today."""

    yesterday: Window
    events: EventCounts = EventCounts()
    tasks: TaskCounts = TaskCounts()
    standing: dict[TaskStatus, int] = Field(default_factory=dict)
    next_up: tuple[Task, ...] = ()

    @property
    def pending(self) -> int:
        """How many tasks wait."""
        return self.standing.get(TaskStatus.PENDING, 0)


class MorningReport(Report):
    """`markdown` is the status for people, empty when there was nothing to read."""

    morning: Morning
    markdown: str = ""


class EveningReport(Report):
    """The digests that this run wrote, oldest first: usually one, after a failed run two, or none.

    `markdown` is the newest one for people; `journal` the files written; `posted` how many were posted.
    """

    digests: tuple[Digest, ...] = ()
    markdown: str = ""
    journal: tuple[str, ...] = ()
    posted: int = 0
    problems: tuple[str, ...] = ()
