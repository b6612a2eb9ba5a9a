"""The counters of this machine, by psutil. It makes no rates and decides nothing.

Reference: https://psutil.readthedocs.io/ ; what the numbers mean: proc(5). In a container the machine's
processors, memory, disks and load are seen, but networks and processes only of the container: those are left
out. Network filesystems are left out too, since one whose server is gone would hold the look for ever.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

import psutil

from aegis_lib import clock
from aegis_lib.errors import PermanentFailure
from aegis_lib.metrics.model import CpuTimes, DiskCounters, HostReading, NetworkCounters

MOST_FILESYSTEMS = 32
_READ_ONLY_BY_NATURE = {"squashfs", "iso9660", "udf", "erofs", "cramfs", "romfs"}
_VIRTUAL_DISKS = ("loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd")
"""Not counted: they are no disks, or what is read from them is read from the disks behind them, too."""
_VIRTUAL_INTERFACES = ("lo", "veth", "docker", "br-", "virbr", "vnet", "cni", "flannel", "cali", "tap", "ifb")


class HostMeter:
    """Implements the port `HostMeter` for the machine under `host`.

    `contained`: this process runs in a container. `ignore_filesystems` are shell wildcards of mount points.
    """

    def __init__(
        self,
        host: str,
        ignore_filesystems: tuple[str, ...] = (),
        *,
        contained: bool = False,
        now: Callable[[], datetime] = clock.utcnow,
        system: Path = Path("/sys"),
    ) -> None:
        self._host = host
        self._ignored = ignore_filesystems
        self._contained = contained
        self._now = now
        self._system = system

    def __str__(self) -> str:
        return self._host

    def reading(self) -> HostReading:
        """The machine's counters now.

        Raises:
            PermanentFailure: the system does not show them.
        """
        try:
            return self._reading()
        except (psutil.Error, OSError, NotImplementedError) as error:
            raise PermanentFailure(
                f"The counters of host {self._host} cannot be read ({error}). "
                "Fix: see that /proc is mounted and readable for the user of the jobs."
            ) from error

    def _reading(self) -> HostReading:
        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        booted_at = datetime.fromtimestamp(psutil.boot_time(), UTC)
        taken_at = self._now()
        return HostReading(
            host=self._host,
            taken_at=taken_at,
            boot_id=_boot_id(booted_at),
            booted_at=booted_at,
            uptime_seconds=_uptime_seconds(taken_at - booted_at),
            cpu=_cpu(),
            cpu_count=psutil.cpu_count() or 1,
            load_1m=psutil.getloadavg()[0],
            memory_total_bytes=memory.total,
            memory_available_bytes=memory.available,
            swap_total_bytes=swap.total,
            swap_used_bytes=swap.used,
            filesystems=self._filesystems(),
            disks=self._disks(),
            networks=None if self._contained else self._networks(),
            processes=None if self._contained else len(psutil.pids()),
        )

    def _filesystems(self) -> dict[str, float]:
        """Mount point -> used (0 to 1); each device once, under its shortest mount point."""
        shortest: dict[str, str] = {}
        for part in psutil.disk_partitions(all=False):
            point = part.mountpoint
            if part.fstype in _READ_ONLY_BY_NATURE or not os.path.isdir(point):
                continue
            if any(fnmatchcase(point, pattern) for pattern in self._ignored):
                continue
            if part.device not in shortest or len(point) < len(shortest[part.device]):
                shortest[part.device] = point
        found: dict[str, float] = {}
        seen: set[int] = set()
        # In a container the machine's own filesystem shows as `/`, which belongs to no device.
        for point in ("/", *sorted(shortest.values(), key=len)):
            try:
                device, usage = _device(point), psutil.disk_usage(point)
            except OSError:  # unmounted since it was listed, or not for us
                continue
            if usage.total and device not in seen and len(found) < MOST_FILESYSTEMS:
                seen.add(device)
                found[point] = round(usage.percent / 100, 4)
        return found

    def _disks(self) -> dict[str, DiskCounters]:
        """Whole disks; the parts of one, and what is made of others, would be counted twice."""
        listed = psutil.disk_io_counters(perdisk=True) or {}
        whole = self._system / "block"
        return {
            name: DiskCounters(
                read_bytes=counted.read_bytes,
                written_bytes=counted.write_bytes,
                busy_ms=getattr(counted, "busy_time", None),
            )
            for name, counted in listed.items()
            if not name.startswith(_VIRTUAL_DISKS) and (not whole.is_dir() or (whole / name).exists())
        }

    def _networks(self) -> dict[str, NetworkCounters]:
        """Interfaces to the outside; without one of hardware, all that are not virtual."""
        listed = psutil.net_io_counters(pernic=True)
        hardware = {name for name in listed if (self._system / "class/net" / name / "device").exists()}
        chosen = hardware or {name for name in listed if not name.startswith(_VIRTUAL_INTERFACES)}
        return {
            name: NetworkCounters(
                received_bytes=listed[name].bytes_recv,
                sent_bytes=listed[name].bytes_sent,
                errors=listed[name].errin + listed[name].errout,
            )
            for name in sorted(chosen)
        }


def _device(point: str) -> int:
    return os.stat(point).st_dev


def _cpu() -> CpuTimes:
    times = psutil.cpu_times()
    # The time of guests is part of `user` and `nice` already.
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    iowait, steal = getattr(times, "iowait", 0.0), getattr(times, "steal", 0.0)
    return CpuTimes(busy=total - times.idle - iowait, iowait=iowait, steal=steal, total=total)


def _boot_id(booted_at: datetime) -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return booted_at.isoformat(timespec="minutes")


def _uptime_seconds(by_the_wall_clock: timedelta) -> float:
    """Since boot, by a clock that is never set; it also runs while the machine sleeps."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return max(0.0, by_the_wall_clock.total_seconds())
