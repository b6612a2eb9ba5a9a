"""What every job inherits: which failures are retried, how outcomes are named, what is remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from aegis_lib.errors import DependencyUnavailable, Misconfigured, NotConfigured
from aegis_lib.outcome import Outcome, Report
from tests.fakes.memory import FakeMemory

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> FakeMemory:
    from flows import _open

    fake = FakeMemory()

    @contextmanager
    def opened() -> Iterator[FakeMemory]:
        yield fake

    monkeypatch.setattr(_open, "memory", opened)
    return fake


def job_that(act: Callable[[], Any]) -> tuple[Any, list[int]]:
    """A job of one step around `act`, without waiting between attempts, and the list of its attempts."""
    from flows import _policy

    attempts: list[int] = []
    quick = {**_policy.STEP, "retry_delay_seconds": 0}

    def look() -> Any:
        attempts.append(1)
        return act()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_policy, "STEP", quick)
        attempt = _policy.step(look)

    @_policy.job(retry_delay_seconds=0)
    def sample_job() -> Any:
        return _policy.outcome(attempt())

    return sample_job, attempts


def raising(error: Exception) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


def test_a_transient_failure_is_retried_in_the_step_and_then_by_the_job(memory: FakeMemory) -> None:
    job, attempts = job_that(raising(DependencyUnavailable("PostgreSQL", "no answer")))
    state = job(return_state=True)
    assert state.is_failed()
    assert len(attempts) == 6, "three tries of the step in each of two attempts of the job"


def test_a_failure_that_passes_leaves_a_completed_run(memory: FakeMemory) -> None:
    answers = iter([DependencyUnavailable("PostgreSQL", "no answer"), None])

    def act() -> Report:
        if error := next(answers):
            raise error
        return Report(summary="all well")

    job, attempts = job_that(act)
    state = job(return_state=True)
    assert (state.name, state.message, len(attempts)) == ("Completed", "all well", 2)
    assert memory.recorded == []


def test_a_permanent_failure_is_not_retried_at_all(memory: FakeMemory) -> None:
    job, attempts = job_that(raising(Misconfigured("POSTGRES_PASSWORD", "was refused.")))
    state = job(return_state=True)
    assert state.is_failed()
    assert len(attempts) == 1


def test_a_failed_run_is_remembered_once_with_its_reason(memory: FakeMemory) -> None:
    job, _ = job_that(raising(Misconfigured("POSTGRES_PASSWORD", "was refused.")))
    state = job(return_state=True)
    (event,) = memory.recorded
    assert event.event_type == "job_error"
    assert event.importance == "high"
    assert "sample_job" in event.summary
    assert "POSTGRES_PASSWORD" in event.summary
    assert event.key == f"job_error:{state.state_details.flow_run_id}"


def test_a_missing_setting_ends_the_run_as_not_configured_and_is_no_error(memory: FakeMemory) -> None:
    job, attempts = job_that(raising(NotConfigured("DOCKER_HOSTS", purpose="watch containers")))
    state = job(return_state=True)
    assert (state.type.value, state.name) == ("COMPLETED", "NotConfigured")
    assert "DOCKER_HOSTS" in state.message
    assert len(attempts) == 1
    assert memory.recorded == []


@pytest.mark.parametrize("name", list(Outcome))
def test_every_outcome_is_a_completed_run_under_its_own_name(name: Outcome, memory: FakeMemory) -> None:
    job, _ = job_that(lambda: Report(outcome=name, summary="found"))
    state = job(return_state=True)
    assert (state.type.value, state.name, state.message) == ("COMPLETED", name.value, "found")


def test_a_job_called_directly_returns_its_report(memory: FakeMemory) -> None:
    job, _ = job_that(lambda: Report(summary="found"))
    assert job() == Report(summary="found")
