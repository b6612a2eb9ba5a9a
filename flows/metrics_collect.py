"""The job `metrics_collect`: opens the machine's counters, engines and database. Decides nothing."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from prefect.client.schemas.objects import State

from aegis_lib import clock
from aegis_lib.adapters.docker_engine import engines
from aegis_lib.adapters.host_metrics import HostMeter
from aegis_lib.db import database
from aegis_lib.errors import NotConfigured
from aegis_lib.metrics import service
from aegis_lib.metrics.model import CollectionReport
from aegis_lib.settings import DatabaseSettings, DockerSettings
from flows import _open
from flows._policy import job, outcome, step


@step
def measure() -> CollectionReport:
    """Read the counters of the machine and of every running container, and keep what they say."""
    config = _open.config().metrics
    contained = engines.own_container_id() is not None
    host = HostMeter(config.host, config.ignore_filesystems, contained=contained)
    with ExitStack() as stack:
        try:
            found = stack.enter_context(engines.connect(DockerSettings()))
        except NotConfigured:  # a machine without containers is measured all the same
            found = ()
        db = stack.enter_context(database.connect(DatabaseSettings()))
        return service.collect(host, found, db.metrics, config, now=clock.utcnow())


@job(timeout_seconds=50, retries=0)
def metrics_collect() -> State[Any]:
    """Measure the host and every running container, each minute: processor, memory, disks, networks.

    Counters become rates, also across restarts; what could not be measured stays a gap. A second run within
    half a minute changes nothing. The metrics, their units and settings are explained in docs/metrics.md.

    Raises:
        DependencyUnavailable: neither the machine nor an engine could be read, or PostgreSQL is away.
        Misconfigured: the Docker socket may not be used, or aegis.yaml is wrong.
    """
    return outcome(measure())
