"""The container that looks after the others from outside the worker: who else would tell that no worker runs.

Must not start or stop a container; the engine does that.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from aegis_lib import clock
from aegis_lib.logs import get_logger
from aegis_lib.settings import DatabaseSettings, InstallationSettings
from deployments import signals
from deployments.api import PrefectApi
from deployments.compose.parts import api_secret
from deployments.dispatch_deputy import DispatchDeputy
from deployments.ledger import Presence
from deployments.project import project_root
from deployments.watch import Watch

PASS_SECONDS = 60.0
ALIVE = Path("/tmp/aegis-steward")  # noqa: S108  the container's own, in memory
"""Touched after each look; the container's health check asks how old it is."""
log = get_logger(__name__)


def steward() -> int:
    """Look once a minute until told to stop, which is noted as a stop on purpose.

    Raises:
        Misconfigured: a setting or secret is missing.
    """
    os.chdir(project_root())
    installation, database = InstallationSettings(), DatabaseSettings()
    environment = {**os.environ, "PREFECT_API_AUTH_STRING": api_secret()}
    presence = Presence(database, "docker-compose")
    with PrefectApi.from_settings() as api, signals.as_interrupts():
        deputy = DispatchDeputy(api, environment, project_root(), installation.root / "logs", clock.utcnow())
        watch = Watch(api, installation, database, presence, deputy, _say)
        try:
            while True:
                watch.look(clock.utcnow())
                ALIVE.touch()
                time.sleep(PASS_SECONDS)
        except KeyboardInterrupt:
            return 0
        finally:
            with signals.ignored():
                deputy.stop()
                presence.stop(clock.utcnow())


def _say(line: str) -> None:
    log.warning("steward_noticed", said=line)
    sys.stdout.flush()
