"""Functions that tests add as custom jobs."""

from __future__ import annotations

from aegis_lib.errors import PermanentFailure
from aegis_lib.outcome import Outcome, Report


def greet(name: str, times: int = 1) -> str:
    return ", ".join([f"hello {name}"] * times)


async def greet_later(name: str) -> str:
    return f"hello later {name}"


def look() -> Report:
    return Report(outcome=Outcome.NO_INPUT, summary="There was nothing to read.")


def refuse() -> None:
    raise PermanentFailure("retrying cannot help")
