"""The store of `tasks`. It decides nothing about who does a task, and a task that is over stays over."""

from __future__ import annotations

from datetime import datetime

from aegis_lib import clock
from aegis_lib.db.sql import Queries
from aegis_lib.db.storable import limited, storable_text
from aegis_lib.errors import DependencyUnavailable
from aegis_lib.tasks.model import DEFAULT_PRIORITY, NewTask, Task, TaskStatus

_ATTEMPTS = 3


class TaskList:
    """Implements the port `TaskList`. See it for the exact meaning."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def add(
        self,
        title: str,
        *,
        details: str = "",
        priority: int = DEFAULT_PRIORITY,
        source: str = "aegis",
        source_key: str | None = None,
        due_at: datetime | None = None,
        created_at: datetime | None = None,
    ) -> int:
        """Add a pending task, once per `source_key`, and return its id; `priority` is 0 (highest) to 4.

        Raises:
            ValueError: a field is out of its range (`aegis_lib.tasks.model.NewTask`).
        """
        task = NewTask(
            title=storable_text(title),
            details=storable_text(details),
            priority=priority,
            source=storable_text(source),
            source_key=storable_text(source_key) if source_key is not None else None,
            due_at=due_at,
        )
        for _ in range(_ATTEMPTS):  # the row of the key may be deleted between the two statements
            number = self._queries.add_task(**task.model_dump(), created_at=created_at or clock.utcnow())
            if number is None:
                number = self._queries.find_task_by_source_key(source_key=task.source_key)
            if number is not None:
                return int(number)
        raise DependencyUnavailable(
            "PostgreSQL", f"the task {task.source_key} is written and deleted at the same time.", "try again."
        )

    def set_status(self, task_id: int, status: TaskStatus, at: datetime) -> bool:
        """Move a task that is not over yet to another status; False when there is no such task."""
        changed = self._queries.set_task_status(id=task_id, status=status.value, final=status.final, at=at)
        return bool(changed)

    def counts(self) -> dict[TaskStatus, int]:
        """How many tasks stand in each status, every status named."""
        found = {row["status"]: row["number"] for row in self._queries.count_tasks()}
        return {status: found.get(status.value, 0) for status in TaskStatus}

    def completed(self, start: datetime, end: datetime, limit: int = 100) -> list[Task]:
        """Tasks completed in [start, end), oldest first, at most `limit` (1 to 1000)."""
        return self._finished(TaskStatus.COMPLETED, start, end, limit)

    def failed(self, start: datetime, end: datetime, limit: int = 100) -> list[Task]:
        """Tasks failed in [start, end), oldest first, at most `limit` (1 to 1000)."""
        return self._finished(TaskStatus.FAILED, start, end, limit)

    def pending(self, limit: int = 100) -> list[Task]:
        """Pending tasks by priority, then due date (none last), then age; at most `limit` (1 to 1000)."""
        limited(limit)
        return [Task.model_validate(row) for row in self._queries.pending_tasks(limit=limit)]

    def _finished(self, status: TaskStatus, start: datetime, end: datetime, limit: int) -> list[Task]:
        limited(limit)
        rows = self._queries.finished_tasks(status=status.value, start=start, end=end, limit=limit)
        return [Task.model_validate(row) for row in rows]
