"""A job that takes its time, so that a fault finds it running."""

from __future__ import annotations

import time
from typing import Any

from fault_effects import act
from prefect.client.schemas.objects import State

from flows._policy import job, outcome


@job(timeout_seconds=60)
def toil(seconds: float = 6) -> State[Any]:
    """Act, then go on for a while."""
    report = act("toil")
    time.sleep(seconds)
    return outcome(report)
