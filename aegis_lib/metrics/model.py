"""What is measured of hosts and containers: raw readings, and the samples made of them. Values only.

A reading holds counters as the system shows them; a sample holds what people and detectors look at. None
means "not known", and never zero. Nothing here looks at a machine or a clock.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from aegis_lib.outcome import AwareDatetime, Frozen, Report

LOCAL_HOST = "local"
"""How the machine that the jobs run on is called unless aegis.yaml says otherwise; as the local engine is."""


class Unit(StrEnum):
    """What a number of a series means."""

    RATIO = "ratio"
    """0 to 1."""
    CORES = "cores"
    """CPU cores in use: 1.5 is one and a half."""
    BYTES = "bytes"
    BYTES_PER_SECOND = "bytes/s"
    PER_SECOND = "1/s"
    COUNT = "count"
    MILLISECONDS = "ms"


class Family(StrEnum):
    """The resource that a metric is about."""

    CPU = "cpu"
    MEMORY = "memory"
    DISK = "disk"
    NETWORK = "network"
    LATENCY = "latency"
    PROCESSES = "processes"


class Kind(StrEnum):
    """What a series is of; the first part of its name."""

    HOST = "host"
    CONTAINER = "container"
    SITE = "site"


class Metric(Frozen):
    """One thing that is measured. `name` is the column it stands in; `title` is for people."""

    name: str
    unit: Unit
    family: Family
    title: str


def _metric(name: str, unit: Unit, family: Family, title: str) -> tuple[str, Metric]:
    return name, Metric(name=name, unit=unit, family=family, title=title)


_TRAFFIC = (
    _metric("disk_read_bytes_per_second", Unit.BYTES_PER_SECOND, Family.DISK, "read from disk"),
    _metric("disk_written_bytes_per_second", Unit.BYTES_PER_SECOND, Family.DISK, "written to disk"),
    _metric("network_received_bytes_per_second", Unit.BYTES_PER_SECOND, Family.NETWORK, "received"),
    _metric("network_sent_bytes_per_second", Unit.BYTES_PER_SECOND, Family.NETWORK, "sent"),
    _metric("processes", Unit.COUNT, Family.PROCESSES, "processes"),
)
HOST_METRICS: dict[str, Metric] = dict(
    (
        _metric("cpu_ratio", Unit.RATIO, Family.CPU, "CPU in use"),
        _metric("cpu_iowait_ratio", Unit.RATIO, Family.DISK, "CPU waiting for disks"),
        _metric("cpu_steal_ratio", Unit.RATIO, Family.CPU, "CPU taken by the hypervisor"),
        _metric("load_1m", Unit.COUNT, Family.CPU, "load of one minute"),
        _metric("memory_used_ratio", Unit.RATIO, Family.MEMORY, "memory in use"),
        _metric("memory_available_bytes", Unit.BYTES, Family.MEMORY, "memory available"),
        _metric("swap_used_ratio", Unit.RATIO, Family.MEMORY, "swap in use"),
        _metric("disk_used_ratio", Unit.RATIO, Family.DISK, "fullest filesystem"),
        _metric("disk_busy_ratio", Unit.RATIO, Family.DISK, "busiest disk"),
        _metric("network_errors_per_second", Unit.PER_SECOND, Family.NETWORK, "network errors"),
        *_TRAFFIC,
    )
)
CONTAINER_METRICS: dict[str, Metric] = dict(
    (
        _metric("cpu_cores", Unit.CORES, Family.CPU, "CPU in use"),
        _metric("cpu_throttled_ratio", Unit.RATIO, Family.CPU, "CPU held back by the limit"),
        _metric("memory_bytes", Unit.BYTES, Family.MEMORY, "memory in use"),
        _metric("memory_ratio", Unit.RATIO, Family.MEMORY, "memory of the limit"),
        *_TRAFFIC,
    )
)
SITE_METRICS: dict[str, Metric] = dict((_metric("latency_ms", Unit.MILLISECONDS, Family.LATENCY, "latency"),))
METRICS: dict[Kind, dict[str, Metric]] = {
    Kind.HOST: HOST_METRICS,
    Kind.CONTAINER: CONTAINER_METRICS,
    Kind.SITE: SITE_METRICS,
}


# --- raw readings ---


class CpuTimes(Frozen):
    """Seconds since boot, summed over all cores. `busy` is what was neither idle nor waiting for disks."""

    busy: float
    iowait: float
    steal: float
    total: float


class DiskCounters(Frozen):
    """Since boot. `busy_ms` is None where the system does not count it."""

    read_bytes: int
    written_bytes: int
    busy_ms: int | None = None


class NetworkCounters(Frozen):
    """Since the interface came up."""

    received_bytes: int
    sent_bytes: int
    errors: int = 0


class HostReading(Frozen):
    """A machine's counters at one moment.

    `boot_id` changes with every boot; `uptime_seconds` runs evenly also when the wall clock is set. Networks
    and processes are None where the process that looks has its own instead of the machine's (in a container).
    """

    host: str
    taken_at: AwareDatetime
    boot_id: str
    booted_at: AwareDatetime
    uptime_seconds: float = Field(ge=0)
    cpu: CpuTimes
    cpu_count: int = Field(ge=1)
    load_1m: float
    memory_total_bytes: int
    memory_available_bytes: int
    swap_total_bytes: int = 0
    swap_used_bytes: int = 0
    filesystems: dict[str, float] = Field(default_factory=dict)
    disks: dict[str, DiskCounters] = Field(default_factory=dict)
    networks: dict[str, NetworkCounters] | None = None
    processes: int | None = None


class RunningContainer(Frozen):
    """A running container in the engine's list.

    `image` is the image's name and the start of its id, `nginx:1.27@a1b2c3d4e5f6`. `up_seconds` is how long
    it has been up, rounded up, when that is less than two minutes; else None.
    """

    id: str
    name: str
    image: str
    up_seconds: int | None = None


class ContainerCounters(Frozen):
    """A container's counters at one moment of the engine's clock, since the container was started.

    `memory_limit_bytes` is the host's memory where the container has no limit of its own. What an engine does
    not count (disks or networks of some set-ups) is None.
    """

    at: AwareDatetime
    cpu_seconds: float
    periods: int = 0
    throttled_periods: int = 0
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    disk_read_bytes: int | None = None
    disk_written_bytes: int | None = None
    received_bytes: int | None = None
    sent_bytes: int | None = None
    processes: int | None = None


class EngineReading(Frozen):
    """The counters of all containers of one engine, by container id."""

    engine: str
    taken_at: AwareDatetime
    containers: dict[str, ContainerCounters] = Field(default_factory=dict)


# --- samples ---


class HostSample(Frozen):
    """A row of `host_metrics`. Rates are over `interval_seconds`; None where there is no earlier reading."""

    host: str
    at: AwareDatetime
    interval_seconds: float | None = None
    cpu_ratio: float | None = None
    cpu_iowait_ratio: float | None = None
    cpu_steal_ratio: float | None = None
    cpu_count: int | None = None
    load_1m: float | None = None
    memory_used_ratio: float | None = None
    memory_available_bytes: int | None = None
    swap_used_ratio: float | None = None
    disk_used_ratio: float | None = None
    filesystems: dict[str, float] = Field(default_factory=dict)
    disk_read_bytes_per_second: float | None = None
    disk_written_bytes_per_second: float | None = None
    disk_busy_ratio: float | None = None
    network_received_bytes_per_second: float | None = None
    network_sent_bytes_per_second: float | None = None
    network_errors_per_second: float | None = None
    processes: int | None = None
    booted_at: AwareDatetime | None = None


class ContainerSample(Frozen):
    """A row of `container_metrics`. Rates are over `interval_seconds`; None without an earlier reading."""

    engine: str
    name: str
    at: AwareDatetime
    container_id: str
    image: str = ""
    interval_seconds: float | None = None
    cpu_cores: float | None = None
    cpu_throttled_ratio: float | None = None
    memory_bytes: int | None = None
    memory_ratio: float | None = None
    disk_read_bytes_per_second: float | None = None
    disk_written_bytes_per_second: float | None = None
    network_received_bytes_per_second: float | None = None
    network_sent_bytes_per_second: float | None = None
    processes: int | None = None


# --- configuration and report ---


class MetricsConfig(Frozen):
    """The section `metrics` of aegis.yaml; names of containers and mount points are shell wildcards.

    `host` is how the machine that the jobs run on is called. `ignore_containers` are not measured, nor are
    the filesystems in `ignore_filesystems`. A reading older than `longest_gap_seconds` (60 to 3600) is no
    base for a rate: the time between stays a gap.
    """

    host: str = Field(
        default=LOCAL_HOST, min_length=1, max_length=63, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
    )
    ignore_containers: tuple[str, ...] = ()
    ignore_filesystems: tuple[str, ...] = ("/boot*", "/snap/*", "/var/snap/*", "/run/*")
    longest_gap_seconds: float = Field(default=300, ge=60, le=3600)


class CollectionReport(Report):
    """What one collection wrote. `gaps` are containers of which no reading could be had."""

    hosts: int = 0
    containers: int = 0
    gaps: int = 0
    skipped: tuple[str, ...] = ()
    """Sources that another run had read a moment before."""
    problems: tuple[str, ...] = ()
