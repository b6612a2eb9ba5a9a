"""Opens what several jobs need. A composition room for flows: it decides nothing and calls no service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from aegis_lib.db.spool import Spool, SpooledMemory

from aegis_lib.db import database
from aegis_lib.errors import DependencyUnavailable, Misconfigured
from aegis_lib.ports import EpisodicMemory
from aegis_lib.settings import DatabaseSettings, InstallationSettings


def spool() -> Spool:
    """Where records wait while the database is away."""
    return Spool(InstallationSettings().spool_dir)


@contextmanager
def memory() -> Iterator[EpisodicMemory]:
    """The agent's memory; while the database is away, what is recorded goes to the spool."""
    with ExitStack() as stack:
        try:
            store = stack.enter_context(database.connect(DatabaseSettings())).memory
        except (DependencyUnavailable, Misconfigured):
            store = None
        yield SpooledMemory(store, spool())
