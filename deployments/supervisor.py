"""Keeps the parts of the stack running: notices a dead one, restarts it with growing pauses, and says so.

Knows nothing of what the parts are. Time is passed in, so that every decision can be tested without waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aegis_lib.errors import AegisError

LONGEST_PAUSE_SECONDS = 60.0
HEALTHY_AFTER_SECONDS = 60.0


class Part(Protocol):
    """Something that runs until it is stopped."""

    @property
    def name(self) -> str:
        """What people call it."""

    def start(self) -> None:
        """Start it.

        Raises:
            AegisError: it did not start; the supervisor tries again later.
        """

    def is_alive(self) -> bool:
        """Whether it runs."""

    def why_ended(self) -> str:
        """One clause about its end, such as `exit code 1`."""

    def stop(self) -> None:
        """Stop it; no-op where it does not run."""


def pause_seconds(failures_in_a_row: int) -> float:
    """How long to wait before the next start: 1, 2, 4 ... 60 s after 1, 2, 3 ... failures."""
    return min(LONGEST_PAUSE_SECONDS, 2.0 ** min(failures_in_a_row - 1, 10))


def failures_after(failures_in_a_row: int, ran_seconds: float) -> int:
    """The count after another end; a part that ran for a minute starts anew."""
    return 1 if ran_seconds >= HEALTHY_AFTER_SECONDS else failures_in_a_row + 1


@dataclass
class _Watched:
    part: Part
    started_at: float
    failures: int = 0
    retry_at: float | None = None


class Supervisor:
    """Watches parts in the order in which they were added; stops them in reverse."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._watched: list[_Watched] = []

    @property
    def busy(self) -> bool:
        """Whether any part was given to it and not stopped yet."""
        return bool(self._watched)

    def run(self, part: Part, now: float) -> None:
        """Start a part for the first time and watch it from now on.

        Raises:
            AegisError: it did not start. It is watched all the same, so that `stop` cleans it up.
        """
        self._watched.append(_Watched(part, started_at=now))
        part.start()

    def tick(self, now: float) -> None:
        """Look at every part once; `now` is in seconds of a clock that only goes forward."""
        for watched in self._watched:
            if watched.retry_at is not None:
                if now >= watched.retry_at:
                    self._restart(watched, now)
            elif not watched.part.is_alive():
                self._schedule(watched, f"has ended ({watched.part.why_ended()})", now)

    def _restart(self, watched: _Watched, now: float) -> None:
        watched.retry_at = None
        watched.started_at = now
        try:
            watched.part.start()
        except AegisError as error:
            self._schedule(watched, f"did not start: {error}", now)
        else:
            self._say(f"{watched.part.name}: restarted.")

    def _schedule(self, watched: _Watched, what: str, now: float) -> None:
        watched.failures = failures_after(watched.failures, now - watched.started_at)
        pause = pause_seconds(watched.failures)
        watched.retry_at = now + pause
        self._say(f"{watched.part.name}: {what}; starting it again in {pause:g} s.")

    def stop(self) -> None:
        """Stop every part, the last started first."""
        while self._watched:
            part = self._watched[-1].part
            part.stop()
            self._watched.pop()
