"""When is a database slow, and when no longer. Pure decisions; never measures anything itself."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from aegis_lib.health.model import HealthConfig, Slowness


class Turn(StrEnum):
    """What one more reading changed."""

    NONE = "none"
    STARTED = "started"
    ENDED = "ended"


def is_slow(latency_ms: float, config: HealthConfig) -> bool:
    """Whether one reading exceeds the limit."""
    return latency_ms > config.max_latency_ms


def judge_latency(
    before: Slowness, latency_ms: float, now: datetime, config: HealthConfig
) -> tuple[Slowness, Turn]:
    """What is remembered after one more reading, and whether an episode began or ended with it.

    An episode begins with the `slow_checks`-th slow reading in a row and ends with as many quick ones in a
    row, so that a single hiccup neither starts nor splits one.
    """
    slow = is_slow(latency_ms, config)
    if before.since is None:
        slow_in_a_row = before.slow_in_a_row + 1 if slow else 0
        if slow_in_a_row >= config.slow_checks:
            return Slowness(since=now), Turn.STARTED
        return Slowness(slow_in_a_row=slow_in_a_row), Turn.NONE
    quick_in_a_row = 0 if slow else before.quick_in_a_row + 1
    if quick_in_a_row >= config.slow_checks:
        return Slowness(), Turn.ENDED
    return before.model_copy(update={"quick_in_a_row": quick_in_a_row}), Turn.NONE
