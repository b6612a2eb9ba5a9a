"""Fakes of the ports of metrics. They keep what they are told as the real ones do, and nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from aegis_lib.errors import AegisError
from aegis_lib.metrics.model import (
    ContainerCounters,
    ContainerSample,
    CpuTimes,
    DiskCounters,
    EngineReading,
    HostReading,
    HostSample,
    NetworkCounters,
    RunningContainer,
)

NOON = datetime(2026, 1, 25, 12, tzinfo=UTC)
BOOTED = NOON - timedelta(days=3)


def host_reading(at: datetime = NOON, **changes: Any) -> HostReading:
    """A host that has been up for three days: two cores, a disk, a network."""
    fields: dict[str, Any] = {
        "host": "local",
        "taken_at": at,
        "boot_id": "first",
        "booted_at": BOOTED,
        "uptime_seconds": (at - BOOTED).total_seconds(),
        "cpu": CpuTimes(busy=1000, iowait=50, steal=10, total=4000),
        "cpu_count": 2,
        "load_1m": 0.5,
        "memory_total_bytes": 8_000_000_000,
        "memory_available_bytes": 6_000_000_000,
        "filesystems": {"/": 0.4, "/data": 0.7},
        "disks": {"sda": DiskCounters(read_bytes=1000, written_bytes=2000, busy_ms=500)},
        "networks": {"eth0": NetworkCounters(received_bytes=10_000, sent_bytes=20_000)},
        "processes": 80,
    }
    return HostReading(**{**fields, **changes})


def counters(at: datetime = NOON, **changes: Any) -> ContainerCounters:
    """A container that has used ten seconds of CPU."""
    fields: dict[str, Any] = {
        "at": at,
        "cpu_seconds": 10.0,
        "memory_bytes": 100_000_000,
        "memory_limit_bytes": 400_000_000,
        "disk_read_bytes": 1000,
        "disk_written_bytes": 2000,
        "received_bytes": 3000,
        "sent_bytes": 4000,
        "processes": 3,
    }
    return ContainerCounters(**{**fields, **changes})


def container(name: str = "web", **changes: Any) -> RunningContainer:
    return RunningContainer(**{"id": f"{name}-id", "name": name, "image": "nginx:1@aaaa", **changes})


class FakeHostMeter:
    """Shows the reading it was given last; set `broken` to make it raise."""

    def __init__(self, reading: HostReading | None = None) -> None:
        self.now = reading or host_reading()
        self.broken: AegisError | None = None

    def __str__(self) -> str:
        return self.now.host

    def reading(self) -> HostReading:
        if self.broken is not None:
            raise self.broken
        return self.now


class FakeContainerMeter:
    """An engine with containers and their counters; an error in place of counters is an answer, too."""

    def __init__(self, name: str = "local") -> None:
        self._name = name
        self.containers: dict[str, tuple[RunningContainer, ContainerCounters | AegisError | None]] = {}
        self.broken: AegisError | None = None

    def __str__(self) -> str:
        return self._name

    @property
    def name(self) -> str:
        return self._name

    def put(self, one: RunningContainer, said: ContainerCounters | AegisError | None) -> None:
        self.containers[one.id] = (one, said)

    def running(self) -> list[RunningContainer]:
        self._check()
        return sorted((one for one, _ in self.containers.values()), key=lambda c: c.name)

    def counters(self, container_ids: Sequence[str]) -> dict[str, ContainerCounters | AegisError]:
        self._check()
        answers = {id: self.containers[id][1] for id in container_ids if id in self.containers}
        return {id: said for id, said in answers.items() if said is not None}

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken


class FakeMetricStore:
    """Samples in lists, and the last readings; `broken` makes every call raise it."""

    def __init__(self) -> None:
        self.hosts: dict[str, HostReading] = {}
        self.engines: dict[str, EngineReading] = {}
        self.host_samples: list[HostSample] = []
        self.container_samples: list[ContainerSample] = []
        self.broken: AegisError | None = None

    def host_reading(self, host: str) -> HostReading | None:
        self._check()
        return self.hosts.get(host)

    def engine_reading(self, engine: str) -> EngineReading | None:
        self._check()
        return self.engines.get(engine)

    def keep_host(self, before: HostReading | None, now: HostReading, sample: HostSample) -> bool:
        self._check()
        if self._taken(self.hosts.get(now.host)) != self._taken(before):
            return False
        self.hosts[now.host] = now
        self.host_samples.append(sample)
        return True

    def keep_engine(
        self, before: EngineReading | None, now: EngineReading, samples: Sequence[ContainerSample]
    ) -> bool:
        self._check()
        if self._taken(self.engines.get(now.engine)) != self._taken(before):
            return False
        self.engines[now.engine] = now
        self.container_samples += samples
        return True

    @staticmethod
    def _taken(reading: HostReading | EngineReading | None) -> datetime | None:
        return reading.taken_at if reading else None

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken
