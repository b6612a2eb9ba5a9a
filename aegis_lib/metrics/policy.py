"""Turns counters into rates, as pure functions: across restarts, boots, wraps and gaps. No I/O; no clock.

A rate is only given where it is known what the counter was at the beginning of the interval: at the reading
before, or zero at the start of the container or at boot. Everything else is None: a gap stays a gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from aegis_lib.metrics.model import (
    ContainerCounters,
    ContainerSample,
    DiskCounters,
    EngineReading,
    HostReading,
    HostSample,
    NetworkCounters,
    RunningContainer,
)

SHORTEST_INTERVAL_SECONDS = 5.0
"""A rate over less than this says little."""
LEAST_AGE = timedelta(seconds=30)
"""A source that was read this lately is left alone: two runs overlap, or a run is tried again."""
_WRAP = 2**32
"""Counters of 32 bits, which some systems still have, begin at zero again there."""


def due(before: datetime | None, now: datetime) -> bool:
    """Whether a source is to be read again; one from the future (a clock was set back) is."""
    return before is None or not timedelta(0) <= now - before < LEAST_AGE


def ignored(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of the shell wildcards fits."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def grown(before: float, after: float) -> float | None:
    """By how much a counter grew that has counted on meanwhile; None when it cannot be told.

    One that fell was 32 bits wide and went over its end, if it was near it and is near its beginning; else it
    was set to zero at a time that nobody knows.
    """
    if after >= before:
        return after - before
    if before < _WRAP and before >= _WRAP * 3 / 4 and after < _WRAP / 4:
        return after + _WRAP - before
    return None


# --- hosts ---


def host_sample(before: HostReading | None, now: HostReading, longest_gap_seconds: float) -> HostSample:
    """A reading as a sample. `before` is the last reading of the same host, if there is one."""
    gauges = HostSample(
        host=now.host,
        at=now.taken_at,
        cpu_count=now.cpu_count,
        load_1m=now.load_1m,
        memory_used_ratio=_share(now.memory_total_bytes - now.memory_available_bytes, now.memory_total_bytes),
        memory_available_bytes=now.memory_available_bytes,
        swap_used_ratio=_share(now.swap_used_bytes, now.swap_total_bytes),
        disk_used_ratio=max(now.filesystems.values(), default=None),
        filesystems=now.filesystems,
        processes=now.processes,
        booted_at=now.booted_at,
    )
    known = _since(before, now, longest_gap_seconds)
    if known is None:
        return gauges
    base, seconds = known
    rates = {
        "interval_seconds": seconds,
        **_cpu(base, now),
        **_disks(base.disks if base else None, now.disks, seconds),
        **_networks(base.networks if base else None, now.networks, seconds, booted=base is None),
    }
    return gauges.model_copy(update=rates)


def _since(
    before: HostReading | None, now: HostReading, longest_gap_seconds: float
) -> tuple[HostReading | None, float] | None:
    """What the counters are compared with (None: they began at zero at boot), and over how many seconds."""
    if before is not None and before.boot_id == now.boot_id:
        seconds = now.uptime_seconds - before.uptime_seconds
        return (before, seconds) if SHORTEST_INTERVAL_SECONDS <= seconds <= longest_gap_seconds else None
    fresh = SHORTEST_INTERVAL_SECONDS <= now.uptime_seconds <= longest_gap_seconds
    return (None, now.uptime_seconds) if fresh else None


def _cpu(base: HostReading | None, now: HostReading) -> dict[str, float | None]:
    zero = (0.0, 0.0, 0.0, 0.0)
    was = (base.cpu.busy, base.cpu.iowait, base.cpu.steal, base.cpu.total) if base else zero
    cpu = (now.cpu.busy, now.cpu.iowait, now.cpu.steal, now.cpu.total)
    # Linux lets the time of waiting fall a little now and then.
    busy, iowait, steal, total = (max(0.0, after - before) for before, after in zip(was, cpu, strict=True))
    return {
        "cpu_ratio": _share(busy, total),
        "cpu_iowait_ratio": _share(iowait, total),
        "cpu_steal_ratio": _share(steal, total),
    }


def _disks(
    before: Mapping[str, DiskCounters] | None, now: Mapping[str, DiskCounters], seconds: float
) -> dict[str, float | None]:
    zero = DiskCounters(read_bytes=0, written_bytes=0, busy_ms=0)
    was = {name: zero if before is None else before.get(name) for name in now}
    pairs = [(old, now[name]) for name, old in was.items() if old is not None]
    busy = [
        spent / 1000 / seconds
        for old, new in pairs
        if old.busy_ms is not None
        and new.busy_ms is not None
        and (spent := grown(old.busy_ms, new.busy_ms)) is not None
    ]
    return {
        "disk_read_bytes_per_second": _rate(((o.read_bytes, n.read_bytes) for o, n in pairs), seconds),
        "disk_written_bytes_per_second": _rate(
            ((o.written_bytes, n.written_bytes) for o, n in pairs), seconds
        ),
        "disk_busy_ratio": min(1.0, max(busy)) if busy else None,
    }


def _networks(
    before: Mapping[str, NetworkCounters] | None,
    now: Mapping[str, NetworkCounters] | None,
    seconds: float,
    *,
    booted: bool,
) -> dict[str, float | None]:
    if now is None or (before is None and not booted):
        return {}
    zero = NetworkCounters(received_bytes=0, sent_bytes=0)
    # An interface that was not there at the reading before counts from zero.
    pairs = [((before or {}).get(name, zero), counters) for name, counters in now.items()]
    return {
        "network_received_bytes_per_second": _rate(
            ((o.received_bytes, n.received_bytes) for o, n in pairs), seconds
        ),
        "network_sent_bytes_per_second": _rate(((o.sent_bytes, n.sent_bytes) for o, n in pairs), seconds),
        "network_errors_per_second": _rate(((o.errors, n.errors) for o, n in pairs), seconds),
    }


# --- containers ---


def container_samples(
    before: EngineReading | None,
    now: EngineReading,
    running: Iterable[RunningContainer],
    longest_gap_seconds: float,
) -> list[ContainerSample]:
    """The containers of one engine as samples; those without counters (gone, or no answer) have none."""
    earlier = before.containers if before else {}
    return [
        container_sample(earlier.get(one.id), counters, one, now, longest_gap_seconds)
        for one in running
        if (counters := now.containers.get(one.id)) is not None
    ]


def container_sample(
    before: ContainerCounters | None,
    now: ContainerCounters,
    container: RunningContainer,
    reading: EngineReading,
    longest_gap_seconds: float,
) -> ContainerSample:
    """One container's sample. `before` are the counters of the same container at the reading before."""
    gauges = ContainerSample(
        engine=reading.engine,
        name=container.name,
        at=reading.taken_at,
        container_id=container.id[:12],
        image=container.image,
        memory_bytes=now.memory_bytes,
        memory_ratio=_share(now.memory_bytes, now.memory_limit_bytes),
        processes=now.processes,
    )
    known = _since_start(before, now, container.up_seconds, longest_gap_seconds)
    if known is None:
        return gauges
    base, seconds = known
    # Beginning and end of each counter; None where it is not counted at one of the two.
    cpu = now.cpu_seconds - (base.cpu_seconds if base else 0)
    periods = now.periods - (base.periods if base else 0)
    throttled = now.throttled_periods - (base.throttled_periods if base else 0)
    rates: dict[str, float | None] = {
        "interval_seconds": seconds,
        "cpu_cores": max(0.0, cpu) / seconds,
        "cpu_throttled_ratio": _share(max(0, throttled), periods) if now.periods else None,
    }
    for column, name in (
        ("disk_read_bytes_per_second", "disk_read_bytes"),
        ("disk_written_bytes_per_second", "disk_written_bytes"),
        ("network_received_bytes_per_second", "received_bytes"),
        ("network_sent_bytes_per_second", "sent_bytes"),
    ):
        was = getattr(base, name) if base else 0
        rates[column] = _rate([(was, getattr(now, name))], seconds)
    return gauges.model_copy(update=rates)


def _since_start(
    before: ContainerCounters | None,
    now: ContainerCounters,
    up_seconds: int | None,
    longest_gap_seconds: float,
) -> tuple[ContainerCounters | None, float] | None:
    """As `_since`, by the engine's clock. A container that was restarted counts from zero since then."""
    seconds = (now.at - before.at).total_seconds() if before is not None else None
    if before is not None and seconds is not None and not _restarted(before, now, seconds, up_seconds):
        return (before, seconds) if SHORTEST_INTERVAL_SECONDS <= seconds <= longest_gap_seconds else None
    if up_seconds is not None and up_seconds >= SHORTEST_INTERVAL_SECONDS:
        return None, float(up_seconds)
    return None


def _restarted(
    before: ContainerCounters, now: ContainerCounters, seconds: float, up_seconds: int | None
) -> bool:
    fell = now.cpu_seconds < before.cpu_seconds
    return fell or (up_seconds is not None and up_seconds < seconds - SHORTEST_INTERVAL_SECONDS)


# --- arithmetic ---


def _share(part: float | None, whole: float | None) -> float | None:
    """0 to 1; None without a whole."""
    if part is None or not whole or whole < 0:
        return None
    return min(1.0, max(0.0, part / whole))


def _rate(pairs: Iterable[tuple[float | None, float | None]], seconds: float) -> float | None:
    """The growth of all counters together, a second; None when one of them cannot be told, or none is."""
    total, some = 0.0, False
    for before, after in pairs:
        growth = None if before is None or after is None else grown(before, after)
        if growth is None:
            return None
        total, some = total + growth, True
    return total / seconds if some else None
