"""Opens what several jobs need. A composition room for flows: it decides nothing and calls no service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache

from aegis_lib import config as config_file
from aegis_lib.adapters.language_model import providers
from aegis_lib.adapters.notify import fanout
from aegis_lib.adapters.prefect_server import job_control, scheduled_runs
from aegis_lib.config import AegisConfig
from aegis_lib.db import database, spooled_memory
from aegis_lib.db.spool import Spool
from aegis_lib.db.spooled_alerts import OutboxNotifier
from aegis_lib.db.spooled_memory import SpooledMemory
from aegis_lib.errors import Misconfigured
from aegis_lib.llm.service import Models, Surroundings
from aegis_lib.ports.alerts import Notifier, Outbox
from aegis_lib.ports.commands import JobControl
from aegis_lib.ports.ledger import ScheduledRunHistory
from aegis_lib.ports.llm import LanguageModel
from aegis_lib.ports.memory import EpisodicMemory
from aegis_lib.settings import DatabaseSettings, InstallationSettings, PrefectApiSettings, secrets_in_use


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
    return scheduled_runs.connect(_own_server())


def jobs() -> AbstractContextManager[JobControl]:
    """The jobs of that server."""
    return job_control.connect(_own_server())


def _own_server() -> PrefectApiSettings:
    from prefect.settings import get_current_settings

    mine = get_current_settings().api
    known = {"url": mine.url, "auth_string": mine.auth_string}
    return PrefectApiSettings().model_copy(update={name: held for name, held in known.items() if held})


@contextmanager
def language_model(job_id: str) -> Iterator[LanguageModel]:
    """The language model for a job, within that job's budget. A job that asks nothing opens no connection.

    Raises:
        Misconfigured: a setting of a provider has a value that cannot work.
    """
    with ExitStack() as stack:
        found = stack.enter_context(providers.connect())
        opened = cache(lambda: stack.enter_context(database.connect(DatabaseSettings())))
        around = Surroundings(
            ledger=lambda: opened().language_models, memory=lambda: opened().memory, secrets=secrets_in_use
        )
        yield Models(job_id, found, config().llm, around)
