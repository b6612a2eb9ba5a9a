"""The value of a diagnosis: what was looked at, whether it is well, and how to mend it."""

from __future__ import annotations

import os
from collections.abc import Callable

from aegis_lib.errors import AegisError
from aegis_lib.outcome import Frozen


class Check(Frozen):
    """One thing looked at. `ok` is None where it is not in use or could not be judged: no failure.

    `fix` says what to do; it is empty only when `ok` is true.
    """

    name: str
    ok: bool | None
    detail: str
    fix: str = ""


def start_command() -> str:
    """What people type here to start what does not run; containers are told by who made them."""
    return os.environ.get("AEGIS_STARTED_BY") or "aegis up"


def failed(name: str, error: AegisError) -> Check:
    """A check that an error of ours decided; the message's `Fix:` becomes the fix."""
    said, _, fix = str(error).partition(" Fix: ")
    return Check(name=name, ok=False, detail=said, fix=fix or "see the message.")


def guarded(name: str, look: Callable[[], Check]) -> Check:
    """What `look` finds; an error of ours on the way is a finding too."""
    try:
        return look()
    except AegisError as error:
        return failed(name, error)
