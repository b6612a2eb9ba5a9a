"""Runs something that may fail in any way, and gives back its failure as a value."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def attempted(work: Coroutine[Any, Any, T]) -> T | Exception:
    """What it returns, or the exception it raised."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        await asyncio.wait((task,))
    finally:
        task.cancel()
    error = task.exception()
    if error is None:
        return task.result()
    if isinstance(error, Exception):
        return error
    raise error
