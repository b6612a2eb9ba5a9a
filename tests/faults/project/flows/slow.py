"""A job whose import takes its time, so that a fault finds it claimed and not yet running."""

from __future__ import annotations

from typing import Any

from fault_effects import act, import_slowly
from prefect.client.schemas.objects import State

from flows._policy import job, outcome

import_slowly()


@job(timeout_seconds=60)
def slow() -> State[Any]:
    """Act, and end."""
    return outcome(act("slow"))
