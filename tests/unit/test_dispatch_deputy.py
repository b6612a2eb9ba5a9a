"""When the stack delivers alerts itself: only where the job has not run for minutes, and nobody paused it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments import dispatch_deputy
from deployments.api import NotFound
from deployments.dispatch_deputy import LONGEST, PATIENCE, DispatchDeputy

START = datetime(2026, 1, 25, 6, 0, tzinfo=UTC)


class Server:
    """Answers what the deputy asks."""

    def __init__(self) -> None:
        self.runs, self.paused, self.pool_paused, self.deployed = 0, False, False, True
        self.asked: list[Any] = []

    def get(self, path: str) -> Any:
        if not self.deployed:
            raise NotFound(path, 404, "gone")
        return {"paused": self.paused} if "deployments" in path else {"is_paused": self.pool_paused}

    def post(self, path: str, body: Any) -> int:
        self.asked.append(body)
        return self.runs


class Process:
    """A child that does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.starts, self.alive = 0, False

    def is_alive(self) -> bool:
        return self.alive

    def start(self) -> None:
        self.starts += 1
        self.alive = True

    def stop(self) -> None:
        self.alive = False


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def deputy(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> DispatchDeputy:
    monkeypatch.setattr(dispatch_deputy, "ChildProcess", Process)
    return DispatchDeputy(server, {}, tmp_path, tmp_path, START)  # type: ignore[arg-type]


def test_it_waits_steps_in_and_steps_in_again_only_after_a_while(
    deputy: DispatchDeputy, server: Server
) -> None:
    process: Any = deputy._process
    assert not deputy.look(START + PATIENCE - timedelta(seconds=1))
    assert deputy.look(START + PATIENCE)
    process.alive = False
    assert not deputy.look(START + PATIENCE * 2 - timedelta(seconds=1))
    assert deputy.look(START + PATIENCE * 2)
    assert process.starts == 2


def test_it_leaves_a_job_alone_that_runs(deputy: DispatchDeputy, server: Server) -> None:
    server.runs = 1
    assert not deputy.look(START + PATIENCE)
    since = server.asked[0]["flow_runs"]["end_time"]["after_"]
    assert datetime.fromisoformat(since) == START


@pytest.mark.parametrize("what", ["paused", "pool_paused", "not deployed"])
def test_it_respects_what_a_person_stopped(what: str, deputy: DispatchDeputy, server: Server) -> None:
    if what == "not deployed":
        server.deployed = False
    else:
        setattr(server, what, True)
    assert not deputy.look(START + PATIENCE)


def test_it_ends_a_dispatch_that_hangs(deputy: DispatchDeputy) -> None:
    process: Any = deputy._process
    assert deputy.look(START + PATIENCE)
    assert not deputy.look(START + PATIENCE + LONGEST)
    assert process.alive
    assert not deputy.look(START + PATIENCE + LONGEST + timedelta(seconds=1))
    assert not process.alive
