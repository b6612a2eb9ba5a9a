"""What may be forgotten and how fast; how a vector fits the table. Pure decisions; forgets nothing itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from aegis_lib.errors import PermanentFailure
from aegis_lib.memory.model import EMBEDDING_DIMENSIONS, MemoryConfig


def age_limit(now: datetime, config: MemoryConfig) -> datetime:
    """Events of importance `low` from before this time may be forgotten."""
    return now - timedelta(days=config.retention_days)


def next_batch_rows(rows: int, took_seconds: float, config: MemoryConfig) -> int:
    """The size of the next batch after one of `rows` took so long: nearer to `batch_ms`, at most doubled."""
    wanted = config.batch_ms / 1000
    factor = 2.0 if took_seconds <= 0 else min(2.0, max(0.25, wanted / took_seconds))
    return min(config.most_batch_rows, max(config.least_batch_rows, round(rows * factor)))


def pause_seconds(took_seconds: float, config: MemoryConfig) -> float:
    """How long to leave the database to others after a batch, so that `busy_share` is kept."""
    return max(0.0, took_seconds) * (1 - config.busy_share) / config.busy_share


def fitted(vector: Sequence[float]) -> list[float]:
    """The vector at the table's length. Zeros at the end change no cosine similarity among such vectors.

    Raises:
        PermanentFailure: it is empty, all zero, not finite, or longer than the table's vectors.
    """
    if not vector or len(vector) > EMBEDDING_DIMENSIONS:
        raise PermanentFailure(
            f"The embedding model's vectors have {len(vector)} numbers; 1 to {EMBEDDING_DIMENSIONS} fit "
            "episodic_memory.embedding. Fix: set OLLAMA_EMBEDDING_MODEL to a model with shorter vectors."
        )
    if not all(map(math.isfinite, vector)) or not any(vector):
        raise PermanentFailure(
            "The embedding model answered a vector without direction (zeros, infinity or NaN). "
            "Fix: try another text, or set OLLAMA_EMBEDDING_MODEL to another model."
        )
    return [*vector, *[0.0] * (EMBEDDING_DIMENSIONS - len(vector))]
