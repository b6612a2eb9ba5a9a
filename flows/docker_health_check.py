"""The job `docker_health_check`: opens engines, database, memory and channels. Decides nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State

from aegis_lib import clock
from aegis_lib.adapters.docker_engine import engines
from aegis_lib.containers import service
from aegis_lib.containers.model import HealingReport
from aegis_lib.db import database
from aegis_lib.settings import DatabaseSettings, DockerSettings
from flows import _open
from flows._policy import job, outcome, step


@step
def heal(dry_run: bool, strike_interval_seconds: float, only_label: str | None) -> HealingReport:
    """Look at every container and do what its strikes ask for."""
    settings = DatabaseSettings()
    with (
        engines.connect(DockerSettings()) as found,
        database.connect(settings) as db,
        _open.memory() as memory,
        _open.notifier() as notifier,
    ):
        return service.run_cycle(
            found, db.strikes, memory, notifier, _open.config().containers,
            now=clock.utcnow(), dry_run=dry_run,
            strike_interval=timedelta(seconds=strike_interval_seconds),
            only_label=only_label, own_names={settings.host} if settings.host else (),
        )  # fmt: skip


@job()
def docker_health_check(
    dry_run: bool = True,
    strike_interval_seconds: float = 240,
    only_label: str | None = None,
) -> State[Any]:
    """Check every container's health; restart on the second strike, call a human on the third.

    With `dry_run` everything is decided and said, nothing is done. A strike counts only when the last one is
    older than `strike_interval_seconds` (0 or more). `only_label` (`name` or `name=value`) restricts it.
    The rules, labels and settings are explained in docs/containers.md.

    Raises:
        DependencyUnavailable: no Docker engine answered, or PostgreSQL did not; retried.
        Misconfigured: the Docker socket may not be used, or aegis.yaml or a channel is wrong.
    """
    report = heal(dry_run, strike_interval_seconds, only_label)
    table = [row.model_dump() for row in report.containers]
    create_table_artifact(table, key="containers", description=report.summary)
    return outcome(report)
