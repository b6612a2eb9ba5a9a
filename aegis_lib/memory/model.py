"""What the agent remembers: rows of `episodic_memory`. Values only."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from aegis_lib.outcome import AwareDatetime, Frozen

EMBEDDING_DIMENSIONS = 1536
"""Length of `episodic_memory.embedding`, fixed by the table."""


class Importance(StrEnum):
    """The database enum `memory_importance`. Only LOW is ever deleted automatically."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class NewEpisode(Frozen):
    """An event to remember. `key`, when given, makes a second recording of the same event a no-op."""

    event_type: str = Field(min_length=1, max_length=100)
    summary: str = Field(min_length=1)
    details: dict[str, Any] = Field(default_factory=dict)
    context: dict[str, Any] = Field(default_factory=dict)
    importance: Importance = Importance.MEDIUM
    tags: tuple[str, ...] = ()
    decision: str | None = None
    timestamp: AwareDatetime
    key: str | None = Field(default=None, min_length=1, max_length=200)


class Episode(Frozen):
    """A remembered event, as stored."""

    id: int
    timestamp: AwareDatetime
    event_type: str
    summary: str
    details: dict[str, Any] = Field(default_factory=dict)
    importance: Importance
    tags: tuple[str, ...] = ()
    decision: str | None = None
