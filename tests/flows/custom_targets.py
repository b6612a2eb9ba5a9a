"""Functions that tests add as custom jobs."""

from __future__ import annotations

from pathlib import Path

from aegis_lib.outcome import Outcome, Report


def greet(name: str, times: int = 1) -> str:
    return ", ".join([f"hello {name}"] * times)


async def greet_later(name: str) -> str:
    return f"hello later {name}"


def look() -> Report:
    return Report(outcome=Outcome.NO_INPUT, summary="There was nothing to read.")


def break_down() -> None:
    raise ValueError("the disk is on fire")


def leave_a_mark(path: str) -> None:
    Path(path).write_text("done")
