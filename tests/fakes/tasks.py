"""A fake of the task list."""

from __future__ import annotations

from datetime import UTC, datetime

from aegis_lib.tasks.model import NewTask, Task, TaskStatus
from tests.fakes.memory import _check_limit


class FakeTasks:
    """The task list in a dict; set `broken` to make every call raise it."""

    def __init__(self, now: datetime | None = None) -> None:
        self.now = now
        self.rows: dict[int, Task] = {}
        self.broken: Exception | None = None

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
        self._check()
        new = NewTask(
            title=title,
            details=details,
            priority=priority,
            source=source,
            source_key=source_key,
            due_at=due_at,
        )
        for row in self.rows.values():
            if source_key is not None and row.source_key == source_key:
                return row.id
        number = max(self.rows, default=0) + 1
        self.rows[number] = Task(
            **new.model_dump(), id=number, created_at=created_at or self.now or datetime.now(UTC)
        )
        return number

    def set_status(self, task_id: int, status: TaskStatus, at: datetime) -> bool:
        self._check()
        row = self.rows.get(task_id)
        if row is None or row.status.final:
            return False
        started = row.started_at or (at if status is TaskStatus.IN_PROGRESS else None)
        self.rows[task_id] = row.model_copy(
            update={"status": status, "started_at": started, "completed_at": at if status.final else None}
        )
        return True

    def counts(self) -> dict[TaskStatus, int]:
        self._check()
        return {status: sum(r.status is status for r in self.rows.values()) for status in TaskStatus}

    def completed(self, start: datetime, end: datetime, limit: int = 100) -> list[Task]:
        return self._finished(TaskStatus.COMPLETED, start, end, limit)

    def failed(self, start: datetime, end: datetime, limit: int = 100) -> list[Task]:
        return self._finished(TaskStatus.FAILED, start, end, limit)

    def pending(self, limit: int = 100) -> list[Task]:
        self._check()
        _check_limit(limit)
        never = datetime.max.replace(tzinfo=UTC)
        waiting = [r for r in self.rows.values() if r.status is TaskStatus.PENDING]
        return sorted(waiting, key=lambda r: (r.priority, r.due_at or never, r.created_at, r.id))[:limit]

    def _finished(self, status: TaskStatus, start: datetime, end: datetime, limit: int) -> list[Task]:
        self._check()
        _check_limit(limit)
        found = [
            r
            for r in self.rows.values()
            if r.status is status and r.completed_at is not None and start <= r.completed_at < end
        ]
        return sorted(found, key=lambda r: (r.completed_at or r.created_at, r.id))[:limit]

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken
