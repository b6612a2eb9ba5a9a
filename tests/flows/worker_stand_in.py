"""Takes runs as a worker does, without starting a process for each: the server cannot tell the difference."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aegis_lib import clock
from deployments.api import NotFound, PrefectApi

Act = Callable[[PrefectApi, dict[str, Any]], dict[str, Any]]


def set_state(api: PrefectApi, run_id: str, state: str, **fields: Any) -> str:
    """Propose a state by the ordinary rules; the type of the state that the run then has."""
    answer = api.post(f"/flow_runs/{run_id}/set_state", {"state": {"type": state, **fields}})
    return str((answer["state"] or {}).get("type"))


def write_line(api: PrefectApi, run_id: str, message: str, level: int = 20) -> None:
    line = {
        "name": "prefect.flow_runs",
        "level": level,
        "message": message,
        "timestamp": clock.utcnow().isoformat(),
        "flow_run_id": run_id,
    }
    api.post("/logs/", [line])


def completes(api: PrefectApi, run: dict[str, Any]) -> dict[str, Any]:
    """Two lines, then Completed."""
    write_line(api, run["id"], f"working with {run['parameters']}")
    write_line(api, run["id"], "Finished in state Completed()")
    return {"state": "COMPLETED", "name": "NoInput", "message": "There was nothing to read."}


def fails(api: PrefectApi, run: dict[str, Any]) -> dict[str, Any]:
    """An error line, then Failed."""
    write_line(api, run["id"], "Finished in state Failed()", level=40)
    return {"state": "FAILED", "name": "Failed", "message": "the disk is on fire"}


@contextmanager
def working(url: str, act: Act = completes) -> Iterator[None]:
    """Take every run that is due, one after the other, until the block ends."""
    done = threading.Event()

    def work() -> None:
        with PrefectApi(url) as api:
            while not done.wait(0.05):
                due = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}, "expected_start_time": {
                    "before_": clock.utcnow().isoformat()}}}  # fmt: skip
                for run in list(api.filter("/flow_runs/filter", due)):
                    take(api, run, act)

    thread = threading.Thread(target=work, name="worker stand-in")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def take(api: PrefectApi, run: dict[str, Any], act: Act) -> None:
    try:
        if set_state(api, run["id"], "PENDING") == "PENDING":
            set_state(api, run["id"], "RUNNING")
            final = act(api, run)
            set_state(api, run["id"], final.pop("state"), **final)
    except NotFound:
        return  # the test removed the job meanwhile
