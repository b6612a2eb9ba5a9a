"""Waiting for something to become true, without sleeping blindly."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    predicate: Callable[[], T], *, description: str, timeout_seconds: float = 30, every_seconds: float = 0.05
) -> T:
    """Return the first truthy answer of `predicate`; fail with `description` when none comes in time."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_seconds:g} s in vain for {description}; last: {answer!r}")
        time.sleep(every_seconds)
