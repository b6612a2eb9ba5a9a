"""What the agent remembers: rows of `episodic_memory`. Values only."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self

from pydantic import Field, model_validator

from aegis_lib.outcome import AwareDatetime, Frozen, Report

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


class Deleted(Frozen):
    """One batch of forgotten events: how many, and the times of the oldest and the newest."""

    rows: int = Field(default=0, ge=0)
    oldest: AwareDatetime | None = None
    newest: AwareDatetime | None = None


class MemoryConfig(Frozen):
    """The section `memory` of aegis.yaml.

    Low-importance events older than `retention_days` (1 to 36500) are forgotten. `spare_unsynced` keeps those
    that the knowledge graph has not read; it is always on when a graph is configured.

    The pace protects whoever reads meanwhile: batches of `least_batch_rows` to `most_batch_rows` are sized to
    take about `batch_ms` each, and deleting takes at most `busy_share` (0.01 to 1) of the time. After
    `time_limit_seconds` (1 to 1100) the rest is left to the next run.
    """

    retention_days: int = Field(default=30, ge=1, le=36_500)
    spare_unsynced: bool = False
    least_batch_rows: int = Field(default=100, ge=1, le=100_000)
    most_batch_rows: int = Field(default=2_000, ge=1, le=100_000)
    batch_ms: int = Field(default=10, ge=1, le=10_000)
    busy_share: float = Field(default=0.4, ge=0.01, le=1)
    time_limit_seconds: int = Field(default=900, ge=1, le=1100)  # three tries fit into the job

    @model_validator(mode="after")
    def _batches_have_a_size(self) -> Self:
        if self.least_batch_rows > self.most_batch_rows:
            raise ValueError("least_batch_rows is more than most_batch_rows")
        return self


class CleanupReport(Report):
    """What a cleanup did. In a dry run `deleted` is 0 and `remaining` what would have been deleted.

    `before` is the age limit as a time; `oldest` and `newest` are the times of what was deleted.
    """

    dry_run: bool
    before: AwareDatetime
    deleted: int = 0
    remaining: int = 0
    oldest: AwareDatetime | None = None
    newest: AwareDatetime | None = None
    batches: int = 0
    seconds: float = 0
    stopped_early: bool = False
