"""How a failed run is remembered: the event `job_error`, once per run whoever notices it. Sends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aegis_lib.memory.model import Importance
from aegis_lib.ports.memory import EpisodicMemory

EVENT = "job_error"
CUSTOM_FLOW = "custom-job"
"""One flow stands behind every job that a person added; its parameter `job_id` says which."""
_LONGEST = 2000


def job_id_of(flow_name: str, parameters: Mapping[str, Any] | None) -> str:
    """The job of a run: `docker_health_check` for Prefect's `docker-health-check`."""
    named = (parameters or {}).get("job_id") if flow_name == CUSTOM_FLOW else None
    return str(named or flow_name.replace("-", "_"))


def record(
    memory: EpisodicMemory,
    *,
    job_id: str,
    run_id: str,
    run_name: str,
    state: str,
    message: str | None,
    at: datetime,
) -> None:
    """Store the failure of one run; a second call for the same run writes nothing.

    `state` is the name of the final state and `at` its time.
    """
    memory.record(
        EVENT,
        f"{job_id}: {message or state}"[:_LONGEST],
        {"job_id": job_id, "flow_run_id": run_id, "flow_run_name": run_name, "state": state},
        importance=Importance.HIGH,
        tags=(EVENT, job_id),
        timestamp=at,
        key=f"{EVENT}:{run_id}",
    )
