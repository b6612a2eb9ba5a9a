"""What services need from the outside: the counters of hosts and containers, and where samples are kept.

No implementation lives here, and no name of a vendor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aegis_lib.errors import AegisError
from aegis_lib.metrics.model import (
    ContainerCounters,
    ContainerSample,
    EngineReading,
    HostReading,
    HostSample,
    RunningContainer,
)


class HostMeter(Protocol):
    """Looks at the machine that this process runs on."""

    def reading(self) -> HostReading:
        """Its counters now.

        Raises:
            PermanentFailure: the system does not show them.
        """


class ContainerMeter(Protocol):
    """Looks at the containers of one engine. Every call is bounded in time.

    Every method raises DependencyUnavailable when the engine does not answer, and Misconfigured when it may
    not be asked.
    """

    @property
    def name(self) -> str:
        """How people call this engine."""

    def running(self) -> list[RunningContainer]:
        """The running containers, in one call, by name."""

    def counters(self, container_ids: Sequence[str]) -> dict[str, ContainerCounters | AegisError]:
        """What each has used so far, or why that cannot be told.

        Those that are gone or do not run any more are left out.
        """


class MetricStore(Protocol):
    """Samples, and the last reading of each source, from which the next rates are made.

    What keeps a reading answers False when another process kept one since `before` was read; then nothing was
    written. Every method raises DependencyUnavailable when the database is away.
    """

    def host_reading(self, host: str) -> HostReading | None:
        """The last reading of a host; None when there is none that can be understood."""

    def engine_reading(self, engine: str) -> EngineReading | None:
        """The last reading of an engine's containers; None when there is none that can be understood."""

    def keep_host(self, before: HostReading | None, now: HostReading, sample: HostSample) -> bool:
        """Keep the sample and the reading it was made of, together."""

    def keep_engine(
        self, before: EngineReading | None, now: EngineReading, samples: Sequence[ContainerSample]
    ) -> bool:
        """Keep the samples and the reading they were made of, together."""
