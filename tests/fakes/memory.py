"""A fake of the agent's memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from aegis_lib.memory.model import EMBEDDING_DIMENSIONS, Deleted, Episode, Importance, NewEpisode


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
    if len(embedding) != EMBEDDING_DIMENSIONS or not all(map(math.isfinite, embedding)) or not any(embedding):
        raise ValueError("an embedding is 1536 finite numbers, not all zero")


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))
