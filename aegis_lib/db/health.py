"""The database as the health check uses it once it has answered. Never decides whether it is healthy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from aegis_lib.db import database
from aegis_lib.db.memory import EpisodicMemory
from aegis_lib.db.spool import Spool
from aegis_lib.db.spooled_memory import flush_into
from aegis_lib.db.state import StateStore
from aegis_lib.health.model import Flushed
from aegis_lib.settings import DatabaseSettings


class AnsweringDatabase:
    """Implements the port of the same name on an open database and this host's spool."""

    def __init__(self, opened: database.Database, spool: Spool) -> None:
        self._opened, self._spool = opened, spool

    @property
    def state(self) -> StateStore:
        return self._opened.state

    @property
    def memory(self) -> EpisodicMemory:
        return self._opened.memory

    def flush(self) -> Flushed:
        """Store the spooled events and alerts, each once and at its own time; see the port."""
        report = flush_into(self._spool, self._opened.memory, self._opened.alerts)
        return Flushed(stored=report.applied, rejected=report.rejected, stopped_by=report.stopped_by)


def connector(
    settings: DatabaseSettings, spool: Spool
) -> Callable[[], AbstractContextManager[AnsweringDatabase]]:
    """What opens it, to be called once the probe has said that the database answers.

    It raises DependencyUnavailable when the database went away, Misconfigured when it refuses us.
    """

    @contextmanager
    def connect() -> Iterator[AnsweringDatabase]:
        with database.connect(settings) as opened:
            yield AnsweringDatabase(opened, spool)

    return connect
