"""Opens what several jobs need. A composition room for flows: it decides nothing and calls no service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from aegis_lib import config as config_file
from aegis_lib.adapters.notify import fanout
from aegis_lib.adapters.prefect_server import scheduled_runs
from aegis_lib.config import AegisConfig
from aegis_lib.db import database, spooled_memory
from aegis_lib.db.spool import Spool
from aegis_lib.db.spooled_alerts import OutboxNotifier
from aegis_lib.db.spooled_memory import SpooledMemory
from aegis_lib.errors import Misconfigured
from aegis_lib.ports import EpisodicMemory, Notifier, Outbox, ScheduledRunHistory
from aegis_lib.settings import DatabaseSettings, InstallationSettings, PrefectApiSettings


def config() -> AegisConfig:
    """What `aegis.yaml` says; all defaults where there is none."""
    return config_file.load()


def spool() -> Spool:
    """Where records wait while the database is away."""
    return Spool(InstallationSettings().spool_dir)


@contextmanager
def memory() -> Iterator[EpisodicMemory]:
    """The agent's memory; while the database is away or refuses us, what is recorded goes to the spool."""
    with ExitStack() as stack:
        opened: EpisodicMemory
        try:
            opened = stack.enter_context(spooled_memory.opened(DatabaseSettings(), spool()))
        except Misconfigured:
            opened = SpooledMemory(None, spool())
        yield opened


@contextmanager
def notifier() -> Iterator[Notifier]:
    """Alerts go into the outbox, from which `alert_dispatch` delivers them; the journal to its channel.

    While the database is away, critical alerts go straight to the channels and the others to the spool.
    """
    with fanout.connect() as direct:
        yield OutboxNotifier(outbox, direct, spool())


@contextmanager
def outbox() -> Iterator[Outbox]:
    """The outbox of alerts. Raises DependencyUnavailable or Misconfigured without its database."""
    with database.connect(DatabaseSettings()) as db:
        yield db.alerts


def run_history() -> AbstractContextManager[ScheduledRunHistory]:
    """The history of the server that this run reports to, whatever set its address."""
    from prefect.settings import get_current_settings

    mine = get_current_settings().api
    known = {"url": mine.url, "auth_string": mine.auth_string}
    settings = PrefectApiSettings().model_copy(update={name: held for name, held in known.items() if held})
    return scheduled_runs.connect(settings)
