"""How every job runs: retries, time-outs, failure hook, outcome names. Stated once; no business in here.

A *step* is a Prefect task: its transient failures are retried, its permanent ones are not. A *job* is a
Prefect flow made of steps: limit 1 is the catalogue's, the second attempt of the whole run is here. What a
job found is a value (`Report`); `outcome` gives the finished run its name in the Prefect UI.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, cast

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State, TaskRun
from prefect.context import FlowRunContext
from prefect.flows import Flow
from prefect.states import Completed
from prefect.tasks import Task, exponential_backoff

from aegis_lib.errors import DependencyUnavailable, NotConfigured, PermanentFailure
from aegis_lib.logs import get_logger, set_level
from aegis_lib.memory import job_error
from aegis_lib.outcome import Outcome, Report
from aegis_lib.settings import LogSettings

P = ParamSpec("P")
R = TypeVar("R")
log = get_logger("aegis_lib.jobs")


@dataclass(frozen=True)
class _Missing:
    error: NotConfigured


def is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a step's failure is worth another try: only when another system did not answer."""
    return isinstance(state.result(raise_on_failure=False), DependencyUnavailable)


STEP: dict[str, Any] = {
    "retries": 2,
    "retry_delay_seconds": exponential_backoff(backoff_factor=2),  # 2 s, then 4 s
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": is_transient,
    "cache_policy": NO_CACHE,
    "persist_result": False,
}


def step(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function a task under our policy. A `NotConfigured` in it ends the job, in no alarm's colour."""

    @functools.wraps(function)
    def attempt(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return function(*args, **kwargs)
        except NotConfigured as missing:
            return Completed(name=Outcome.NOT_CONFIGURED, message=str(missing), data=_Missing(missing))

    as_task = task(**STEP)(attempt)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        found: Any = as_task(*args, **kwargs)
        if isinstance(found, State):  # only `attempt` returns one, to name the task run
            raise found.result().error
        return cast(R, found)

    return call


def record_failure(run_of: Flow[..., Any], run: FlowRun, state: State[Any]) -> None:
    """Remember a failed or crashed run as `job_error`, once per run, also while the database is away."""
    from flows import _open

    job_id = job_error.job_id_of(run_of.name, run.parameters)
    log.error("job_failed", job_id=job_id, error=state.message or state.name)
    with _open.memory() as memory:
        job_error.record(
            memory,
            job_id=job_id,
            run_id=str(run.id),
            run_name=run.name,
            state=state.name or state.type.value,
            message=state.message,
            at=state.timestamp,
        )


JOB: dict[str, Any] = {
    "retries": 1,
    "retry_delay_seconds": 30,
    "timeout_seconds": 240,  # below the shortest five-minute interval
    "on_failure": [record_failure],
    "on_crashed": [record_failure],
    "persist_result": False,
    "validate_parameters": True,
}


def job(**exceptions: Any) -> Callable[[Callable[P, State[Any]]], Flow[P, Any]]:
    """Make a function a flow under our policy; name what differs, e.g. `@job(timeout_seconds=3600)`."""

    def decorate(function: Callable[P, State[Any]]) -> Flow[P, Any]:
        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
            try:
                set_level(LogSettings().level)
                return function(*args, **kwargs)
            except NotConfigured as missing:
                return outcome(Report(outcome=Outcome.NOT_CONFIGURED, summary=str(missing)))
            except PermanentFailure:
                _forgo_retry()
                raise

        # Prefect would look up the names of annotations here, not where the job's function stands.
        run.__signature__ = inspect.signature(function, eval_str=True)  # type: ignore[attr-defined]
        return flow(**{**JOB, **exceptions})(run)

    return decorate


def _forgo_retry() -> None:
    """Tell the server that this run must not be attempted again; the decision to retry is the server's."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    policy = context.flow_run.empirical_policy.model_copy(update={"retries": 0})
    with get_client(sync_client=True) as client:
        client.update_flow_run(context.flow_run.id, empirical_policy=policy)


def outcome(report: Report) -> State[Any]:
    """The final state of a run: Completed, under the name that says what it found."""
    return Completed(name=report.outcome.value, message=report.summary, data=report)
