"""The one flow behind every job added with `aegis add`: calls a function by name, and knows nothing of it."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State

from aegis_lib import target as named
from aegis_lib.outcome import Report
from flows._policy import job, outcome, step


@step
def call(target: str, arguments: dict[str, Any]) -> Report:
    """Call the function under the retry policy of every step."""
    return named.call(target, arguments)


@job(timeout_seconds=3600)
def custom_job(job_id: str, target: str, arguments: dict[str, Any] | None = None) -> State[Any]:
    """Run a function of yours as a job: one run at a time, retried when something did not answer, recorded.

    A `Report` that it returns names the outcome; an exception that it raises fails the run.

    Args:
        job_id: the id under which the job was added; fixed by the deployment.
        target: the function, as `package.module:function`; fixed by the deployment.
        arguments: its keyword arguments.

    Raises:
        PermanentFailure: the function is gone, or does not take the arguments.
        DependencyUnavailable: raised by the function; retried.
    """
    return outcome(call(target, arguments or {}))
