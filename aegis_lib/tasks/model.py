"""Things to do: rows of `tasks`. Values only; who does them is decided elsewhere."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from aegis_lib.outcome import AwareDatetime, Frozen

DEFAULT_PRIORITY = 2
"""The middle of 0 (highest) to 4 (lowest)."""


class TaskStatus(StrEnum):
    """Where a task stands. COMPLETED and FAILED are final."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    BLOCKED = "blocked"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Whether a task in this status is over."""
        return self in (TaskStatus.COMPLETED, TaskStatus.FAILED)


class NewTask(Frozen):
    """A task to add. `source_key`, when given, makes adding the same thing twice a no-op."""

    title: str = Field(min_length=1, max_length=500)
    details: str = ""
    priority: int = Field(default=DEFAULT_PRIORITY, ge=0, le=4)
    source: str = Field(default="aegis", min_length=1, max_length=100)
    source_key: str | None = Field(default=None, min_length=1, max_length=200)
    due_at: AwareDatetime | None = None


class Task(NewTask):
    """A task, as stored. `completed_at` is when it reached a final status, completed or failed."""

    id: int
    status: TaskStatus = TaskStatus.PENDING
    created_at: AwareDatetime
    started_at: AwareDatetime | None = None
    completed_at: AwareDatetime | None = None
