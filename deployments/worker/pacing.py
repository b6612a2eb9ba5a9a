"""How many runs may start at once: a herd that is due in one second is started at the machine's pace.

Counts and waits; knows nothing of runs.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import anyio

PLACES = 8 * (os.cpu_count() or 1)
HOLD_SECONDS = 4.0
"""After this long a run counts as started, however long it goes on."""
_LOOK_SECONDS = 0.05


class Pace:
    """A number of places; whoever starts takes one until it has ended or had its time to start."""

    def __init__(self, places: int = PLACES, hold_seconds: float = HOLD_SECONDS) -> None:
        self._places, self._hold_seconds = asyncio.Semaphore(places), hold_seconds
        self._waiting = 0

    async def place(self) -> Callable[[], None]:
        """Wait for a place; call what is returned when the run has ended. More than once does no harm."""
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        timer: asyncio.TimerHandle | None = None

        def leave() -> None:
            nonlocal timer
            if timer is not None:
                timer.cancel()
                timer = None
                self._places.release()

        timer = asyncio.get_running_loop().call_later(self._hold_seconds, leave)
        return leave

    async def ease(self, patience_seconds: float) -> None:
        """Wait until nobody waits for a place, so long at most."""
        with anyio.move_on_after(patience_seconds):
            while self._waiting:
                await asyncio.sleep(_LOOK_SECONDS)

    def open(self) -> None:
        """Let in all who wait now."""
        for _ in range(self._waiting):
            self._places.release()
