"""What services need from the outside: signs of life of the database, and what is kept while it is away.

No implementation lives here, and no name of a vendor.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol

from aegis_lib.health.model import Flushed, Outage, Stage
from aegis_lib.ports.memory import EpisodicMemory
from aegis_lib.ports.state import StateStore


class DatabaseProbe(Protocol):
    """Asks the database for a sign of life."""

    def ping(self) -> timedelta:
        """Run `SELECT 1` on a fresh connection and return the time it took.

        Raises:
            DependencyUnavailable: no answer within the time-out.
            Misconfigured: the server refused the user, the password or the database name.
        """


class OutageMemory(Protocol):
    """Remembers on this host that the database is away. What changes something is called under `hold`."""

    def hold(self) -> AbstractContextManager[bool]:
        """Be the one check that acts now; False when another process is. Freed when the holder dies.

        Raises:
            PermanentFailure: the place cannot be used.
        """

    def current(self) -> Outage | None:
        """The outage that is not closed yet, or None."""

    def open(self, outage: Outage) -> None:
        """Remember a new outage. Raises `PermanentFailure` when it cannot."""

    def advance(self, outage: Outage, stage: Stage, until: datetime | None = None) -> Outage:
        """Remember that the outage has come further. Raises `PermanentFailure` when it cannot."""

    def close(self, outage: Outage) -> None:
        """Forget the outage. Raises `PermanentFailure` when it cannot."""


class Heart(Protocol):
    """A dead-man's switch that raises an alarm elsewhere when it hears nothing."""

    def ping(self) -> None:
        """Say that all is well.

        Raises:
            DependencyUnavailable: it did not answer.
            Misconfigured: it does not know us.
        """


class AnsweringDatabase(Protocol):
    """What the health check writes once the database has answered."""

    @property
    def state(self) -> StateStore:
        """The state table."""

    @property
    def memory(self) -> EpisodicMemory:
        """The event memory itself: it never spools."""

    def flush(self) -> Flushed:
        """Store the events that wait on this host, each exactly once; says when it had to stop.

        Raises:
            AegisError: the disk of this host does not let us; what was not stored still waits.
        """
