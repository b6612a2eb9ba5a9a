"""The adapters of metrics without an engine: what this machine shows, and what an engine's answers mean."""

from __future__ import annotations

from collections import namedtuple
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from aegis_lib.adapters import host_metrics
from aegis_lib.adapters.docker_engine.usage_reply import RunningItem, Usage
from aegis_lib.adapters.host_metrics import HostMeter
from aegis_lib.errors import PermanentFailure
from aegis_lib.metrics import policy
from aegis_lib.metrics.model import DiskCounters
from tests.fakes.metrics import NOON

Part = namedtuple("Part", "device mountpoint fstype opts")
Disk = namedtuple("Disk", "read_bytes write_bytes busy_time")
Net = namedtuple("Net", "bytes_sent bytes_recv errin errout")
Used = namedtuple("Used", "total percent")


def test_this_machine_can_be_read() -> None:
    found = HostMeter("local", now=lambda: NOON).reading()
    assert found.taken_at == NOON
    assert found.cpu.total > found.cpu.busy > 0
    assert found.memory_total_bytes > found.memory_available_bytes > 0
    assert 0 < found.filesystems["/"] <= 1
    assert found.uptime_seconds > 0
    assert found.processes


def test_two_readings_of_this_machine_make_a_sample() -> None:
    meter = HostMeter("local", now=lambda: NOON)
    first = meter.reading()
    again = meter.reading().model_copy(update={"uptime_seconds": first.uptime_seconds + 60})
    sample = policy.host_sample(first, again, 300)
    assert sample.interval_seconds == pytest.approx(60)
    assert sample.network_received_bytes_per_second is not None


def test_in_a_container_networks_and_processes_are_not_taken_for_the_hosts() -> None:
    found = HostMeter("local", contained=True).reading()
    assert found.networks is None
    assert found.processes is None
    assert found.disks is not None


def test_what_cannot_be_read_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied() -> None:
        raise PermissionError("/proc/meminfo")

    monkeypatch.setattr(psutil, "virtual_memory", denied)
    with pytest.raises(PermanentFailure, match="Fix: see that /proc is mounted"):
        HostMeter("local").reading()


def test_each_filesystem_counts_once_under_its_shortest_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("data", "data/deep", "boot", "cd"):
        (tmp_path / name).mkdir()
    (tmp_path / "hosts").touch()
    listed = [
        Part("/dev/sdb", str(tmp_path / "data/deep"), "ext4", ""),
        Part("/dev/sdb", str(tmp_path / "data"), "ext4", ""),
        Part("/dev/sdc", str(tmp_path / "hosts"), "ext4", ""),
        Part("/dev/sr0", str(tmp_path / "cd"), "iso9660", ""),
        Part("/dev/sdd", str(tmp_path / "boot"), "ext4", ""),
        Part("/dev/sde", str(tmp_path / "gone"), "ext4", ""),
    ]
    devices = iter(range(1, 10))
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: listed)
    monkeypatch.setattr(psutil, "disk_usage", lambda point: Used(100, 50.0))
    monkeypatch.setattr(host_metrics, "_device", lambda point: next(devices))
    found = HostMeter("local", (str(tmp_path / "bo*"),))._filesystems()
    assert found == {"/": 0.5, str(tmp_path / "data"): 0.5}


def test_only_whole_disks_and_real_interfaces_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("sda", "nvme0n1", "dm-0", "loop3"):
        (tmp_path / "block" / name).mkdir(parents=True)
    (tmp_path / "class/net/enp3s0/device").mkdir(parents=True)
    disks = {name: Disk(1, 2, 3) for name in ("sda", "sda1", "nvme0n1", "nvme0n1p1", "dm-0", "loop3")}
    nets = {name: Net(1, 2, 3, 4) for name in ("lo", "enp3s0", "veth1", "docker0")}
    monkeypatch.setattr(psutil, "disk_io_counters", lambda perdisk: disks)
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic: nets)
    meter = HostMeter("local", system=tmp_path)
    assert set(meter._disks()) == {"sda", "nvme0n1"}
    assert meter._disks()["sda"] == DiskCounters(read_bytes=1, written_bytes=2, busy_ms=3)
    assert set(meter._networks()) == {"enp3s0"}

    without_hardware = HostMeter("local", system=tmp_path / "none")
    nets["wg0"] = Net(1, 2, 3, 4)
    assert set(without_hardware._networks()) == {"enp3s0", "wg0"}


# --- what an engine says ---

STATS: dict[str, Any] = {
    "read": "2026-01-25T12:00:00.123456789Z",
    "pids_stats": {"current": 4},
    "cpu_stats": {
        "cpu_usage": {"total_usage": 2_500_000_000},
        "throttling_data": {"periods": 10, "throttled_periods": 2, "throttled_time": 5},
    },
    "memory_stats": {"usage": 300, "limit": 1000, "stats": {"inactive_file": 100}},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"major": 8, "op": "Read", "value": 10},
            {"major": 8, "op": "Write", "value": 20},
            {"major": 9, "op": "read", "value": 1},
        ]
    },
    "networks": {"eth0": {"rx_bytes": 5, "tx_bytes": 6}, "eth1": {"rx_bytes": 50, "tx_bytes": 60}},
}


def test_the_numbers_of_a_container_are_understood() -> None:
    found = Usage.model_validate(STATS).counters()
    assert found is not None
    assert found.cpu_seconds == 2.5
    assert (found.periods, found.throttled_periods) == (10, 2)
    assert (found.memory_bytes, found.memory_limit_bytes) == (200, 1000)
    assert (found.disk_read_bytes, found.disk_written_bytes) == (11, 20)
    assert (found.received_bytes, found.sent_bytes, found.processes) == (55, 66, 4)
    assert found.at - NOON < timedelta(seconds=1)


def test_control_groups_of_the_first_version_are_understood() -> None:
    memory = {"usage": 300, "limit": 2**63 - 4096, "stats": {"total_inactive_file": 50, "inactive_file": 1}}
    found = Usage.model_validate({**STATS, "memory_stats": memory}).counters()
    assert found is not None
    assert (found.memory_bytes, found.memory_limit_bytes) == (250, None)


def test_what_is_missing_is_not_known_and_not_zero() -> None:
    found = Usage.model_validate({"read": STATS["read"], "blkio_stats": {"io_service_bytes_recursive": None}})
    said = found.counters()
    assert said is not None
    assert (said.memory_bytes, said.received_bytes, said.processes) == (None, None, None)


def test_a_container_that_does_not_run_has_no_counters() -> None:
    assert Usage.model_validate({**STATS, "read": "0001-01-01T00:00:00Z"}).counters() is None


@pytest.mark.parametrize(
    ("image", "image_id", "shown"),
    [
        ("nginx:1.27", "sha256:a1b2c3d4e5f6a7", "nginx:1.27@a1b2c3d4e5f6"),
        ("sha256:a1b2c3d4e5f6a7", "sha256:a1b2c3d4e5f6a7", "@a1b2c3d4e5f6"),
        ("nginx", "", "nginx"),
    ],
)
def test_an_image_is_named_with_the_start_of_its_id(image: str, image_id: str, shown: str) -> None:
    listed = {"Id": "f" * 64, "Names": ["/other/web", "/web"], "Image": image, "ImageID": image_id,
              "State": "running", "Status": "Up 7 seconds"}  # fmt: skip
    found = RunningItem.model_validate(listed).running()
    assert (found.name, found.image, found.up_seconds) == ("web", shown, 7)
