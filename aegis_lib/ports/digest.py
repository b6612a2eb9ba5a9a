"""What services need from the outside: digests and the journal.

No implementation lives here, and no name of a vendor.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import Protocol

from aegis_lib.digest.model import Arrivals, Claim, EventCounts, TaskCounts, Window


class DigestStore(Protocol):
    """Which windows have been digested, and what happened in a window."""

    def exclusive(self) -> AbstractContextManager[bool]:
        """Be the one run that writes digests; False when another one is. Freed when the holder dies."""

    def unfinished(self) -> Claim | None:
        """The digest that a run claimed and did not finish."""

    def claim(self, now: datetime, first_start: datetime) -> Claim | None:
        """Claim the time from the last digest's end (at first: `first_start`) to `now`.

        None when the last digest ends now or later.
        """

    def claim_post(self, digest_id: int, at: datetime) -> bool:
        """Claim the one posting of a digest; False when that was done before."""

    def release_post(self, digest_id: int) -> None:
        """Give that claim back: it is known that nothing was posted."""

    def finish(self, digest_id: int, at: datetime, journal_path: str | None) -> None:
        """The digest is done; `journal_path` is None for one that held nothing."""

    def arrivals(self, window: Window, listed: int) -> Arrivals:
        """The events that arrived in a window, at most `listed` lines of each kind.

        An event arrives at the later of when it happened and when it was stored, so each is in one window.
        """

    def events_between(self, window: Window) -> EventCounts:
        """The events that happened in a window, whenever they were stored."""

    def tasks_between(self, window: Window) -> TaskCounts:
        """What happened to tasks in a window."""


class Journal(Protocol):
    """The journal that people and this product write into, one page a day."""

    def write(self, day: date, section: str, text: str) -> str:
        """Put a section on the day's page, or replace our own text of it, and return where it stands.

        Raises:
            DependencyUnavailable: there is no room for it.
            Misconfigured: the journal cannot be written.
        """
