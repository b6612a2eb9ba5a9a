"""A job that is over at once."""

from __future__ import annotations

from typing import Any

from fault_effects import act
from prefect.client.schemas.objects import State

from flows._policy import job, outcome


@job(timeout_seconds=60)
def beat() -> State[Any]:
    """Act, and end."""
    return outcome(act("beat"))
