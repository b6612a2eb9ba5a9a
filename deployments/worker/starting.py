"""Starts the process of a run: forked from a warm one, or by the command that its deployment asks for.

Decides neither whether a run is started nor what its end means.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse

from aegis_lib.errors import DependencyUnavailable
from aegis_lib.logs import get_logger
from deployments.worker import cold_start
from deployments.worker.configuration import AegisJobConfiguration
from deployments.worker.images import Child, Images
from deployments.worker.in_flight import RunInFlight
from deployments.worker.run_process import directory_of

log = get_logger(__name__)

_ATTRIBUTION = "PREFECT__"
_LIMITS_INSIDE = (
    "cpu_seconds",
    "open_files",
    "timeout_seconds",
)  # its own process sees to them
LogSink = Callable[[dict[str, Any]], None]


class Prepared:
    """A process that waits to be told which run it is, or to be let go."""

    def __init__(self, child: Child, ours: socket.socket) -> None:
        self.child, self._ours = child, ours

    def let_go(self) -> None:
        """It is not needed; it ends by itself."""
        self._ours.close()

    def take(self, configuration: AegisJobConfiguration, log: LogSink) -> RunInFlight:
        """Make it a run's."""
        return RunInFlight(self.child, self._ours, configuration, log)


class Starter:
    """Starts runs on this machine."""

    def __init__(self, images: Images) -> None:
        self._images = images
        self._own_environment = dict(os.environ)

    def know(self, deployment: DeploymentResponse) -> None:
        """Have the job's module imported before its runs come."""
        directory = directory_of(_code(deployment))
        if directory and deployment.entrypoint:
            self._images.know(directory, deployment.entrypoint)

    async def prepare(
        self, configuration: AegisJobConfiguration, deployment: DeploymentResponse | None
    ) -> Prepared:
        """A process for a run of that deployment: a warm one, or a fresh one where none can be had."""
        ours, theirs = socket.socketpair()
        with theirs:
            child = await self._child(self._directory(configuration, deployment), theirs)
        return Prepared(child, ours)

    async def _child(self, directory: str | None, channel: socket.socket) -> Child:
        if cold_start.FORKS:
            try:
                return await self._images.fork_run(directory, channel)
            except DependencyUnavailable as error:
                log.error("run_starts_cold", reason=str(error))
        return await cold_start.start_run(channel)

    async def command(
        self, configuration: AegisJobConfiguration, directory: str, log: LogSink
    ) -> RunInFlight:
        """A run started by the command of its configuration."""
        assert configuration.command is not None  # noqa: S101  the caller looked
        child = await cold_start.start_command(
            configuration.command,
            self.environment(configuration),
            directory,
            stream_output=configuration.stream_output,
        )
        ours, theirs = socket.socketpair()
        theirs.close()
        return RunInFlight(child, ours, configuration, log)

    def order(
        self,
        op: str,
        run: FlowRun,
        configuration: AegisJobConfiguration,
        deployment: DeploymentResponse | None,
        directory: str,
        infrastructure_pid: str,
        shared: Mapping[str, Any],
    ) -> dict[str, Any]:
        """What the process is told; see run_process.py."""
        return {
            "op": op,
            "flow_run": run.model_dump(mode="json"),
            "deployment": _code(deployment) if deployment else None,
            "state": run.state.model_dump(mode="json") if run.state else None,
            "environment": self.environment(configuration),
            "settings_differ": self._settings_differ(configuration),
            "directory": directory,
            "limits": {name: getattr(configuration, name) for name in _LIMITS_INSIDE},
            "stream_output": configuration.stream_output,
            "infrastructure_pid": infrastructure_pid,
            "shared": dict(shared),
        }

    def environment(self, configuration: AegisJobConfiguration) -> dict[str, str]:
        """The whole environment of the run: the worker's own, and what its configuration adds."""
        added = {name: value for name, value in configuration.env.items() if value is not None}
        return {**self._own_environment, **added}

    def _directory(
        self, configuration: AegisJobConfiguration, deployment: DeploymentResponse | None
    ) -> str | None:
        """Where the run's image is; none where its modules must be imported in an environment of its own."""
        if deployment is None or self._differing(configuration):
            return None
        return directory_of(_code(deployment))

    def _differing(self, configuration: AegisJobConfiguration) -> set[str]:
        """Variables that the worker has not, or not so; Prefect's own settings count as the worker's."""
        settings = configuration.settings_of_worker()  # the same setting may be spelt in two ways
        return {
            name
            for name, value in self.environment(configuration).items()
            if not name.startswith(_ATTRIBUTION)
            and value not in (self._own_environment.get(name), settings.get(name))
        }

    def _settings_differ(self, configuration: AegisJobConfiguration) -> bool:
        return any(name.startswith("PREFECT_") for name in self._differing(configuration))


class WorkingDirectory:
    """Where a run starts: the one its configuration names, else a temporary one that ends with it."""

    def __init__(self, configuration: AegisJobConfiguration, deployment: DeploymentResponse | None) -> None:
        self._temporary: str | None = None
        known = configuration.working_dir or (directory_of(_code(deployment)) if deployment else None)
        if known is None:
            self._temporary = tempfile.mkdtemp(prefix="aegis-run-")
        self.path = str(Path(known or self._temporary or "").resolve())

    def remove(self) -> None:
        """Remove it, if it was temporary."""
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)


def _code(deployment: DeploymentResponse) -> dict[str, Any]:
    return {"entrypoint": deployment.entrypoint, "pull_steps": deployment.pull_steps}
