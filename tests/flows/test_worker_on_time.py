"""When the worker starts the runs it knows of, with a server that answers as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Cancelled, Pending, Running, Scheduled

from deployments.worker import worker as module
from deployments.worker.executing import Execution
from deployments.worker.housekeeping import Housekeeper
from deployments.worker.server_side import Server, claim_message, due_time
from deployments.worker.waiting import Waiting
from deployments.worker.worker import AegisWorker


def run(seconds_ahead: float) -> FlowRun:
    due = datetime.now(UTC) + timedelta(seconds=seconds_ahead)
    state = Scheduled(scheduled_time=due)
    return FlowRun(
        id=uuid4(),
        name="brave-otter",
        flow_id=uuid4(),
        state=state,
        state_type=StateType.SCHEDULED,
        state_name="Scheduled",
        auto_scheduled=True,
        next_scheduled_start_time=due,
    )


class FakeServer:
    """Answers polls with what it is given; hangs while `silent`."""

    def __init__(self) -> None:
        self.runs: list[FlowRun] = []
        self.locked: list[FlowRun] = []
        self.silent = False
        self.asked = 0
        self.aside: list[Any] = []

    async def due_before(self, moment: datetime, queues: list[str]) -> list[FlowRun]:
        self.asked += 1
        if self.silent:
            await asyncio.Event().wait()
        return [found for found in self.runs if found.next_scheduled_start_time <= moment]  # type: ignore[operator]

    async def all_due_of(self, jobs: set[Any], moment: datetime) -> list[FlowRun]:
        return [found for found in (*self.runs, *self.locked) if found.deployment_id in jobs]

    async def set_aside(self, runs: list[Any], name: str, message: str) -> int:
        self.aside += runs
        return len(runs)

    async def deployments(self, ids: set[Any]) -> dict[Any, Any]:
        return {}


class LeftBehind:
    """A server that does not want to be asked about claimed runs."""

    async def claimed_runs(self) -> list[FlowRun]:
        raise httpx.HTTPStatusError(
            "no", request=httpx.Request("GET", "http://server"), response=httpx.Response(403)
        )


class FakeExecutor:
    def __init__(self) -> None:
        self.started: list[tuple[FlowRun, datetime]] = []
        self.last = asyncio.Event()

    async def execute(self, execution: Execution) -> None:
        self.started.append((execution.run, datetime.now(UTC)))
        await self.last.wait()


Scenario = Callable[[AegisWorker, FakeServer, FakeExecutor], Awaitable[None]]


def play(
    monkeypatch: pytest.MonkeyPatch, scenario: Scenario, limit: int | None = None, *, looked: bool = True
) -> None:
    """A worker that is set up, without a server to be set up with. `looked`: after what was left behind."""

    async def playing() -> None:
        worker = AegisWorker("pool", name="ours", limit=limit)
        server, executor = FakeServer(), FakeExecutor()
        housekeeper = Housekeeper(LeftBehind(), None, "pool", "ours", "host", ())  # type: ignore[arg-type]
        if looked:
            housekeeper.looked.set()
        worker.is_setup, worker._housekeeper = True, housekeeper
        monkeypatch.setattr(worker, "_listen", lambda: None)
        monkeypatch.setattr(
            AegisWorker, "work_pool", property(lambda _: SimpleNamespace(base_job_template={}))
        )
        worker._server, worker._executor = server, executor  # type: ignore[assignment]
        loop = asyncio.create_task(worker._look_on_time())
        await asyncio.sleep(0)
        try:
            await asyncio.wait_for(scenario(worker, server, executor), 10)
        finally:
            executor.last.set()
            loop.cancel()
            await asyncio.sleep(0)

    asyncio.run(playing())


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def test_a_run_that_a_quiet_poll_found_starts_when_it_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(worker: AegisWorker, server: FakeServer, executor: FakeExecutor) -> None:
        server.runs = [run(0.3)]
        await worker.get_and_submit_flow_runs()
        await until(lambda: executor.started)
        found, at = executor.started[0]
        assert found.next_scheduled_start_time is not None
        assert abs((at - found.next_scheduled_start_time).total_seconds()) < 0.25

    play(monkeypatch, scenario)


def test_a_run_that_the_server_is_writing_to_stands_for_the_older_ones_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(worker: AegisWorker, server: FakeServer, executor: FakeExecutor) -> None:
        older, newest = (run(late).model_copy(update={"deployment_id": job}) for late in (-100, -40))
        server.runs, server.locked = [older], [newest]  # the poll leaves it out
        executor.last.set()
        await worker.get_and_submit_flow_runs()
        await until(lambda: executor.started and server.aside)
        assert [found.id for found, _ in executor.started] == [newest.id]
        assert server.aside == [older.id]

    job = uuid4()
    play(monkeypatch, scenario)


def test_a_run_found_later_and_due_earlier_starts_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(worker: AegisWorker, server: FakeServer, executor: FakeExecutor) -> None:
        server.runs = [run(9)]
        await worker.get_and_submit_flow_runs()
        server.runs = [*server.runs, run(0.2)]
        await worker.get_and_submit_flow_runs()
        await until(lambda: executor.started)
        assert [found for found, _ in executor.started] == server.runs[1:]

    play(monkeypatch, scenario)


def test_a_poll_without_an_answer_is_given_up_and_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWER_SECONDS", 0.05)

    async def scenario(worker: AegisWorker, server: FakeServer, executor: FakeExecutor) -> None:
        server.runs, server.silent = [run(-1)], True
        assert await worker.get_and_submit_flow_runs() == []
        server.silent = False
        await worker.get_and_submit_flow_runs()
        await until(lambda: executor.started)
        assert server.asked == 2

    play(monkeypatch, scenario)


def test_what_was_known_before_a_long_silence_starts_only_after_a_new_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(worker: AegisWorker, server: FakeServer, executor: FakeExecutor) -> None:
        server.runs = [run(0.2)]
        await worker.get_and_submit_flow_runs()
        worker._last_answer -= 60
        await asyncio.sleep(0.4)
        assert executor.started == []
        await worker.get_and_submit_flow_runs()
        await until(lambda: executor.started)

    play(monkeypatch, scenario)


def test_a_worker_without_room_does_not_turn_in_circles(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(worker: AegisWorker, server: FakeServer, executor: FakeExecutor) -> None:
        server.runs = [run(-2), run(-1)]
        await worker.get_and_submit_flow_runs()
        await until(lambda: executor.started)
        asked: list[int] = []
        monkeypatch.setattr(Waiting, "seconds_to_next", lambda *_: asked.append(1) or 0)
        await asyncio.sleep(0.1)
        assert len(executor.started) == 1
        assert len(asked) <= 2

    play(monkeypatch, scenario, limit=1)


def test_nothing_is_claimed_before_what_was_left_behind_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(worker: AegisWorker, server: FakeServer, executor: FakeExecutor) -> None:
        server.runs = [run(-1)]
        await worker.get_and_submit_flow_runs()
        assert server.asked == 0
        with pytest.raises(httpx.HTTPStatusError):
            await worker._housekeeper.run()  # refused, which must not keep the jobs from running
        await worker.get_and_submit_flow_runs()
        await until(lambda: executor.started)

    play(monkeypatch, scenario, looked=False)


@pytest.mark.parametrize(
    ("state", "claim"),
    [
        (Pending(message=claim_message("ours")), "ours"),
        (Pending(message=claim_message("theirs")), "not ours"),
        (Running(), "not ours"),
        (Cancelled(), "not ours"),
    ],
)
def test_a_claim_without_an_answer_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, state: Any, claim: str
) -> None:
    async def unanswered(*_: Any, **__: Any) -> Any:
        raise httpx.ConnectError("gone")

    class Client:
        async def read_flow_run(self, run_id: Any) -> FlowRun:
            return waiting.model_copy(update={"state": state})

    waiting = run(0)
    monkeypatch.setattr("deployments.worker.server_side.propose_state", unanswered)
    assert asyncio.run(Server(Client(), "pool", "ours").claim(waiting)) == claim  # type: ignore[arg-type]


def test_a_claim_that_was_answered_after_a_long_silence_is_judged_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proposed: list[Any] = []

    async def lost_at_first(_: Any, state: Any, **__: Any) -> Any:
        proposed.append(state)
        if len(proposed) == 1:
            raise httpx.ConnectError("gone")
        return state

    class Client:
        async def read_flow_run(self, run_id: Any) -> FlowRun:
            return waiting.model_copy(update={"state": Pending(message=claim_message("ours"))})

    waiting = run(0)
    monkeypatch.setattr("deployments.worker.server_side.propose_state", lost_at_first)
    monkeypatch.setattr("deployments.worker.server_side._SILENCE_SECONDS", -1)
    assert asyncio.run(Server(Client(), "pool", "ours").claim(waiting)) == "not ours"  # type: ignore[arg-type]
    assert [state.type.value for state in proposed] == ["PENDING", "SCHEDULED"]
    assert proposed[1].state_details.scheduled_time == due_time(waiting)
