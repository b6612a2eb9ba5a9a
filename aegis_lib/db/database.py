"""One connection to the database of the jobs, and the stores on it. No SQL of any area stands here.

    with database.connect(DatabaseSettings()) as db:
        db.memory.record("task_complete", "Backups verified")

A store is added by one property of `Database`.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import timedelta
from functools import cached_property

import psycopg
from psycopg import pq
from psycopg.rows import dict_row

from aegis_lib.db import sql
from aegis_lib.db.alerts import Outbox
from aegis_lib.db.anomalies import AnomalyStore
from aegis_lib.db.approvals import ApprovalStore
from aegis_lib.db.commands import CommandStore
from aegis_lib.db.container_cases import ContainerCases
from aegis_lib.db.digests import DigestStore
from aegis_lib.db.language_models import ModelLedger
from aegis_lib.db.ledger import LedgerStore
from aegis_lib.db.mail import MailStore
from aegis_lib.db.memory import EpisodicMemory
from aegis_lib.db.metrics import MetricStore
from aegis_lib.db.partitions import Partitions
from aegis_lib.db.pictures import PictureStore
from aegis_lib.db.retention import RetentionStore
from aegis_lib.db.sites import SiteStore
from aegis_lib.db.sql import Connection, Queries
from aegis_lib.db.state import StateStore
from aegis_lib.db.status_page import StatusPageStore
from aegis_lib.db.strikes import StrikeStore
from aegis_lib.db.tasks import TaskList
from aegis_lib.db.translation import SYSTEM, place, refused, translated
from aegis_lib.errors import DependencyUnavailable
from aegis_lib.settings import DatabaseSettings

STATEMENT_TIMEOUT_SECONDS = 60.0
LOCK_TIMEOUT_SECONDS = 10.0


class Database:
    """An open connection (autocommit) and its stores, each made when first asked for."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def transaction(self) -> AbstractContextManager[None]:
        """What the stores do inside is committed together, or undone when an exception leaves."""
        return sql.transaction(self.connection)

    @cached_property
    def memory(self) -> EpisodicMemory:
        return EpisodicMemory(Queries(self.connection, "memory"))

    @cached_property
    def state(self) -> StateStore:
        return StateStore(Queries(self.connection, "state"))

    @cached_property
    def tasks(self) -> TaskList:
        return TaskList(Queries(self.connection, "tasks"))

    @cached_property
    def digests(self) -> DigestStore:
        return DigestStore(Queries(self.connection, "digest"))

    @cached_property
    def alerts(self) -> Outbox:
        return Outbox(Queries(self.connection, "alerts"), self.state)

    @cached_property
    def anomalies(self) -> AnomalyStore:
        return AnomalyStore(Queries(self.connection, "anomalies"))

    @cached_property
    def approvals(self) -> ApprovalStore:
        return ApprovalStore(Queries(self.connection, "approvals"))

    @cached_property
    def ledger(self) -> LedgerStore:
        return LedgerStore(Queries(self.connection, "ledger"))

    @cached_property
    def language_models(self) -> ModelLedger:
        return ModelLedger(Queries(self.connection, "language_models"))

    @cached_property
    def commands(self) -> CommandStore:
        return CommandStore(Queries(self.connection, "commands"))

    @cached_property
    def container_cases(self) -> ContainerCases:
        return ContainerCases(self.strikes, self.alerts)

    @cached_property
    def mail(self) -> MailStore:
        return MailStore(Queries(self.connection, "mail"))

    @cached_property
    def partitions(self) -> Partitions:
        return Partitions(self.connection)

    @cached_property
    def metrics(self) -> MetricStore:
        return MetricStore(Queries(self.connection, "metrics"), self.partitions)

    @cached_property
    def status_page(self) -> StatusPageStore:
        queries = Queries(self.connection, "status_page")
        return StatusPageStore(queries, self.state, self.strikes, self.ledger, self.alerts)

    @cached_property
    def pictures(self) -> PictureStore:
        return PictureStore(Queries(self.connection, "pictures"))

    @cached_property
    def sites(self) -> SiteStore:
        return SiteStore(Queries(self.connection, "sites"), self.partitions.ensure)

    @cached_property
    def retention(self) -> RetentionStore:
        return RetentionStore(Queries(self.connection, "retention"), self.partitions)

    @cached_property
    def strikes(self) -> StrikeStore:
        return StrikeStore(Queries(self.connection, "containers"))


@contextmanager
def connect(
    settings: DatabaseSettings | None = None,
    *,
    statement_timeout_seconds: float = STATEMENT_TIMEOUT_SECONDS,
    lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
) -> Iterator[Database]:
    """Open the database; it is closed at the end. Errors of the driver inside leave as ours.

    Raises:
        DependencyUnavailable: the server does not answer, or went away in the middle.
        Misconfigured: it refused the user, the password or the database name.
    """
    with translated(), closing(open_connection(settings or DatabaseSettings())) as connection:
        connection.execute(
            "SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false)",
            [f"{statement_timeout_seconds * 1000:.0f}", f"{lock_timeout_seconds * 1000:.0f}"],
        )
        yield Database(connection)


def open_connection(settings: DatabaseSettings) -> Connection:
    """A bare connection: autocommit, rows as dicts, dead peers noticed within about 30 s.

    Raises:
        DependencyUnavailable: the server does not answer.
        Misconfigured: it refused the user, the password or the database name.
    """
    access = settings.connection()
    try:
        return psycopg.connect(
            **access,  # type: ignore[arg-type]
            autocommit=True,
            row_factory=dict_row,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=30_000,
        )
    except psycopg.Error as error:
        refusal = refused(error, settings)
    raise refusal  # out here, because the driver's error holds the password


class Prober:
    """Asks for a sign of life, each time on a fresh connection, and never waits longer than it is told."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings

    def ping(self) -> timedelta:
        """Connect, run `SELECT 1`, and return the time both took; waits `connect_timeout_seconds` for each.

        Raises:
            DependencyUnavailable: no answer within the time-out.
            Misconfigured: the server refused the user, the password or the database name.
        """
        began = time.monotonic()
        with translated(), closing(open_connection(self._settings)) as connection:
            self._ask(connection.pgconn)
        return timedelta(seconds=time.monotonic() - began)

    def _ask(self, connection: pq.abc.PGconn) -> None:
        # Not `execute`: a server that is stopped, not dead, would hold it for ever.
        deadline = time.monotonic() + self._settings.connect_timeout_seconds
        connection.send_query(b"SELECT 1")
        with selectors.DefaultSelector() as answers:
            answers.register(connection.socket, selectors.EVENT_READ)
            while connection.is_busy():
                if not answers.select(max(deadline - time.monotonic(), 0)):
                    raise DependencyUnavailable(
                        SYSTEM,
                        f"{place(self._settings)} accepted a connection but did not answer SELECT 1 within "
                        f"{self._settings.connect_timeout_seconds} s.",
                        "see the load and the disk of the database server, and its log.",
                    )
                connection.consume_input()
        result = connection.get_result()
        if result is None or result.status != pq.ExecStatus.TUPLES_OK:
            raise DependencyUnavailable(
                SYSTEM, f"{place(self._settings)} did not run SELECT 1.", "see its log."
            )


def prober(settings: DatabaseSettings | None = None) -> Prober:
    """The `DatabaseProbe` of these settings."""
    return Prober(settings or DatabaseSettings())
