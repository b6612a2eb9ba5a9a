"""What may be forgotten and how fast; how a vector fits the table."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from aegis_lib.errors import PermanentFailure
from aegis_lib.memory import policy
from aegis_lib.memory.model import EMBEDDING_DIMENSIONS, MemoryConfig

NOW = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)


def test_the_age_limit_is_the_retention_before_now() -> None:
    assert policy.age_limit(NOW, MemoryConfig()) == NOW - timedelta(days=30)
    assert policy.age_limit(NOW, MemoryConfig(retention_days=1)) == NOW - timedelta(days=1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"retention_days": 0},
        {"retention_days": -1},
        {"busy_share": 0},
        {"time_limit_seconds": 3600},
        {"least_batch_rows": 500, "most_batch_rows": 100},
        {"keep": "all"},
    ],
)
def test_a_retention_or_pace_that_could_do_harm_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MemoryConfig(**wrong)


PACE = MemoryConfig(batch_ms=10, least_batch_rows=100, most_batch_rows=2000, busy_share=0.25)


@pytest.mark.parametrize(
    ("rows", "took", "following"),
    [
        (400, 0.010, 400),  # just right
        (400, 0.005, 800),
        (400, 0.001, 800),  # at most doubled
        (400, 0.0, 800),
        (1500, 0.005, 2000),  # never above the most
        (400, 0.020, 200),
        (400, 5.0, 100),  # at most quartered
        (100, 5.0, 100),  # never below the least
    ],
)
def test_batches_grow_and_shrink_towards_their_time(rows: int, took: float, following: int) -> None:
    assert policy.next_batch_rows(rows, took, PACE) == following


@given(st.integers(100, 2000), st.floats(-1, 1e6))
def test_a_batch_is_always_within_its_bounds(rows: int, took: float) -> None:
    assert 100 <= policy.next_batch_rows(rows, took, PACE) <= 2000
    assert policy.pause_seconds(took, PACE) >= 0


@pytest.mark.parametrize(("share", "pause"), [(1, 0), (0.5, 2), (0.25, 6), (0.01, 198)])
def test_the_pause_keeps_the_share(share: float, pause: float) -> None:
    assert policy.pause_seconds(2, MemoryConfig(busy_share=share)) == pytest.approx(pause)


NUMBERS = st.integers(-1000, 1000).map(lambda number: number + 0.5)
VECTORS = st.lists(NUMBERS, min_size=8, max_size=8)


@given(VECTORS, VECTORS)
def test_filling_up_changes_no_similarity(one: list[float], other: list[float]) -> None:
    def cosine(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))

    assert len(policy.fitted(one)) == EMBEDDING_DIMENSIONS
    assert cosine(policy.fitted(one), policy.fitted(other)) == pytest.approx(cosine(one, other))


def test_a_vector_of_the_tables_length_stays_as_it_is() -> None:
    vector = [1.0] * EMBEDDING_DIMENSIONS
    assert policy.fitted(vector) == vector


@pytest.mark.parametrize(
    ("vector", "said"),
    [
        ([], "have 0 numbers"),
        ([1.0] * 1537, "have 1537 numbers"),
        ([0.0, 0.0], "without direction"),
        ([1.0, math.nan], "without direction"),
        ([1.0, math.inf], "without direction"),
    ],
)
def test_a_vector_that_does_not_fit_is_an_error_that_names_the_setting(
    vector: list[float], said: str
) -> None:
    with pytest.raises(PermanentFailure, match=f"{said}.*OLLAMA_EMBEDDING_MODEL"):
        policy.fitted(vector)
