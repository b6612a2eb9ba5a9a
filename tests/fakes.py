"""Recording fakes of the ports. Each is held to the real thing by a test in tests/contract.

No fake opens a socket or a file. Append yours at the end, under its own heading.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from aegis_lib.alerts.model import Message, Receipt
from aegis_lib.memory.model import EMBEDDING_DIMENSIONS, Deleted, Episode, Importance, NewEpisode
from aegis_lib.tasks.model import NewTask, Task, TaskStatus

# --- memory ---


class FakeMemory:
    """Events in a list. `recorded` are the new ones as given; set `broken` to make every call raise it."""

    def __init__(self, now: datetime | None = None) -> None:
        self.now = now
        self.recorded: list[NewEpisode] = []
        self.broken: Exception | None = None
        self.rows: dict[int, NewEpisode] = {}
        self.embeddings: dict[int, tuple[float, ...]] = {}
        self.synced: set[int] = set()

    def record(
        self,
        event_type: str,
        summary: str,
        details: Mapping[str, Any] | None = None,
        importance: Importance = Importance.MEDIUM,
        tags: Sequence[str] = (),
        *,
        context: Mapping[str, Any] | None = None,
        decision: str | None = None,
        timestamp: datetime | None = None,
        key: str | None = None,
    ) -> int | None:
        self._check()
        episode = NewEpisode(
            event_type=event_type,
            summary=summary,
            details=dict(details or {}),
            context=dict(context or {}),
            importance=Importance(importance),
            tags=tuple(tags),
            decision=decision,
            timestamp=timestamp or self.now or datetime.now(UTC),
            key=key,
        )
        for number, known in self.rows.items():
            if key is not None and known.key == key:
                return number
        self.recorded.append(episode)
        number = max(self.rows, default=0) + 1
        self.rows[number] = episode
        return number

    def recall_recent(self, limit: int = 10, event_type: str | None = None) -> list[Episode]:
        self._check()
        _check_limit(limit)
        found = [e for e in self._stored() if event_type is None or e.event_type == event_type]
        return sorted(found, key=lambda e: (e.timestamp, e.id), reverse=True)[:limit]

    def find_similar(self, embedding: Sequence[float], limit: int = 10) -> list[tuple[Episode, float]]:
        self._check()
        _check_limit(limit)
        _check_vector(embedding)
        scored = [
            (e, _cosine(embedding, self.embeddings[e.id])) for e in self._stored() if e.id in self.embeddings
        ]
        return sorted(scored, key=lambda pair: (-pair[1], pair[0].id))[:limit]

    def set_embedding(self, episode_id: int, embedding: Sequence[float]) -> bool:
        self._check()
        _check_vector(embedding)
        if episode_id not in self.rows:
            return False
        self.embeddings[episode_id] = tuple(embedding)
        return True

    def count_expired(self, before: datetime, spare_unsynced: bool = False) -> int:
        self._check()
        return len(self._expired(before, spare_unsynced))

    def delete_expired(self, before: datetime, limit: int, spare_unsynced: bool = False) -> Deleted:
        self._check()
        if limit < 1:
            raise ValueError("limit must be at least 1")
        expired = self._expired(before, spare_unsynced)
        batch = sorted(expired, key=lambda number: self.rows[number].timestamp)[:limit]
        times = [self.rows.pop(number).timestamp for number in batch]
        return Deleted(rows=len(times), oldest=min(times, default=None), newest=max(times, default=None))

    def of_type(self, event_type: str) -> list[NewEpisode]:
        """What was recorded under one event type, in order."""
        return [episode for episode in self.recorded if episode.event_type == event_type]

    def _expired(self, before: datetime, spare_unsynced: bool) -> list[int]:
        return [
            number
            for number, row in self.rows.items()
            if row.importance is Importance.LOW
            and row.timestamp < before
            and (number in self.synced or not spare_unsynced)
        ]

    def _stored(self) -> list[Episode]:
        return [
            Episode(id=number, **row.model_dump(exclude={"context", "key"}))
            for number, row in self.rows.items()
        ]

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= 1000:
        raise ValueError("limit must be 1 to 1000")


def _check_vector(embedding: Sequence[float]) -> None:
    if len(embedding) != EMBEDDING_DIMENSIONS or not all(map(math.isfinite, embedding)):
        raise ValueError("an embedding is 1536 finite numbers")


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))


# --- state ---


class FakeState:
    """The key-value table in a dict. `written` keeps every write in order."""

    def __init__(self, **values: str) -> None:
        self.values = dict(values)
        self.written: list[tuple[str, str]] = []
        self.broken: Exception | None = None

    def get(self, key: str) -> str | None:
        if self.broken is not None:
            raise self.broken
        return self.values.get(key)

    def set(self, key: str, value: str) -> None:
        if self.broken is not None:
            raise self.broken
        self.values[key] = value
        self.written.append((key, value))


# --- tasks ---


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


# --- notifier ---


class FakeNotifier:
    """Keeps what was sent; set `broken` to make every delivery raise it."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.broken: Exception | None = None

    def send(self, message: Message) -> tuple[Receipt, ...]:
        if self.broken is not None:
            raise self.broken
        self.sent.append(message)
        return (Receipt(channel="fake", delivered=True, reference=str(len(self.sent))),)
