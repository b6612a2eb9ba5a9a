"""A flow of somebody's own that a test adds as a custom job."""

from __future__ import annotations

from prefect import flow


@flow
def count_up(to: int) -> int:
    return sum(range(to + 1))
