"""What services need from the outside: the list of tasks.

No implementation lives here, and no name of a vendor.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from aegis_lib.tasks.model import Task, TaskStatus


class TaskList(Protocol):
    """The list of things to do, the table `tasks`."""

    def add(
        self,
        title: str,
        *,
        details: str = "",
        priority: int = 2,
        source: str = "aegis",
        source_key: str | None = None,
        due_at: datetime | None = None,
        created_at: datetime | None = None,
    ) -> int:
        """Add a pending task and return its id; `priority` is 0 (highest) to 4.

        With a `source_key` that is already stored nothing is written and the stored task's id returned.
        """

    def set_status(self, task_id: int, status: TaskStatus, at: datetime) -> bool:
        """Move a task that is not over yet to another status; False when there is no such task."""

    def counts(self) -> dict[TaskStatus, int]:
        """How many tasks stand in each status, every status named."""

    def completed(self, start: datetime, end: datetime, limit: int = 100) -> list[Task]:
        """Tasks completed in [start, end), oldest first, at most `limit` (1 to 1000)."""

    def failed(self, start: datetime, end: datetime, limit: int = 100) -> list[Task]:
        """Tasks failed in [start, end), oldest first, at most `limit` (1 to 1000)."""

    def pending(self, limit: int = 100) -> list[Task]:
        """Pending tasks by priority, then due date (none last), then age; at most `limit` (1 to 1000)."""
