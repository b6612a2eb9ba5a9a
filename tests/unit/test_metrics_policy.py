"""Counters become rates: across restarts, boots, wraps, clocks that are set, and gaps."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from aegis_lib.metrics import policy
from aegis_lib.metrics.model import (
    ContainerCounters,
    ContainerSample,
    CpuTimes,
    DiskCounters,
    EngineReading,
    HostSample,
    NetworkCounters,
    RunningContainer,
)
from tests.fakes.metrics import NOON, container, counters, host_reading

MINUTE = timedelta(minutes=1)
GAP = 300.0
HOST_RATES = [
    name for name in HostSample.model_fields if name.endswith("_per_second") or name.startswith("cpu_")
]
CONTAINER_RATES = [
    name for name in ContainerSample.model_fields if name.endswith("_per_second") or name.startswith("cpu_")
]


def sampled(
    before: ContainerCounters | None,
    now: ContainerCounters,
    one: RunningContainer | None = None,
) -> ContainerSample:
    reading = EngineReading(engine="local", taken_at=now.at)
    return policy.container_sample(before, now, one or container(), reading, GAP)


# --- counters ---


@pytest.mark.parametrize(
    ("before", "after", "growth"),
    [
        (10, 25, 15),
        (10, 10, 0),
        (2**32 - 100, 50, 150),
        (2**32 * 3 // 4, 2**32 // 4 - 1, 2**31 - 1),
        (2**31, 100, None),
        (2**32 - 100, 2**31, None),
        (2**40, 5, None),
        (700, 5, None),
    ],
)
def test_growth_is_told_over_the_end_of_32_bits_and_not_over_a_reset(
    before: float, after: float, growth: float | None
) -> None:
    assert policy.grown(before, after) == growth


@given(before=some.integers(0, 2**64), after=some.integers(0, 2**64))
def test_nothing_ever_grew_by_less_than_nothing(before: int, after: int) -> None:
    growth = policy.grown(before, after)
    assert growth is None or growth >= 0


# --- hosts ---


def test_the_first_reading_of_a_host_has_gauges_and_no_rates() -> None:
    sample = policy.host_sample(None, host_reading(), GAP)
    assert sample.memory_used_ratio == 0.25
    assert sample.disk_used_ratio == 0.7
    assert sample.swap_used_ratio is None
    assert sample.interval_seconds is None
    assert [getattr(sample, name) for name in HOST_RATES if name != "cpu_count"] == [None] * (
        len(HOST_RATES) - 1
    )


def test_two_readings_make_rates_over_the_time_between() -> None:
    later = host_reading(
        NOON + MINUTE,
        cpu=CpuTimes(busy=1030, iowait=56, steal=13, total=4120),
        disks={"sda": DiskCounters(read_bytes=7000, written_bytes=2000 + 60_000, busy_ms=500 + 15_000)},
        networks={"eth0": NetworkCounters(received_bytes=10_000 + 600, sent_bytes=20_000, errors=30)},
    )
    sample = policy.host_sample(host_reading(), later, GAP)
    assert sample.interval_seconds == 60
    assert (sample.cpu_ratio, sample.cpu_iowait_ratio, sample.cpu_steal_ratio) == (0.25, 0.05, 0.025)
    assert sample.disk_read_bytes_per_second == 100
    assert sample.disk_written_bytes_per_second == 1000
    assert sample.disk_busy_ratio == 0.25
    assert sample.network_received_bytes_per_second == 10
    assert sample.network_sent_bytes_per_second == 0
    assert sample.network_errors_per_second == 0.5


def test_setting_the_wall_clock_spoils_no_rate() -> None:
    later = host_reading(
        NOON - timedelta(hours=5),
        uptime_seconds=host_reading().uptime_seconds + 60,
        cpu=CpuTimes(busy=1060, iowait=50, steal=10, total=4120),
    )
    sample = policy.host_sample(host_reading(), later, GAP)
    assert sample.interval_seconds == 60
    assert sample.cpu_ratio == 0.5


def test_a_gap_stays_a_gap() -> None:
    later = host_reading(
        NOON + timedelta(seconds=301), cpu=CpuTimes(busy=1300, iowait=0, steal=0, total=4600)
    )
    sample = policy.host_sample(host_reading(), later, GAP)
    assert sample.cpu_ratio is None
    assert sample.network_sent_bytes_per_second is None
    assert sample.memory_used_ratio is not None


def test_after_a_boot_the_counters_began_at_zero() -> None:
    booted = host_reading(
        NOON + MINUTE,
        boot_id="second",
        uptime_seconds=40,
        cpu=CpuTimes(busy=20, iowait=0, steal=0, total=80),
        disks={"sda": DiskCounters(read_bytes=4000, written_bytes=400, busy_ms=4000)},
        networks={"eth0": NetworkCounters(received_bytes=800, sent_bytes=80)},
    )
    sample = policy.host_sample(host_reading(), booted, GAP)
    assert sample.interval_seconds == 40
    assert sample.cpu_ratio == 0.25
    assert sample.disk_read_bytes_per_second == 100
    assert sample.disk_busy_ratio == 0.1
    assert sample.network_received_bytes_per_second == 20


def test_a_boot_long_ago_is_no_beginning_of_a_rate() -> None:
    booted = host_reading(NOON + timedelta(hours=2), boot_id="second", uptime_seconds=3600)
    assert policy.host_sample(host_reading(), booted, GAP).interval_seconds is None


def test_waiting_for_disks_may_fall_a_little_and_is_never_negative() -> None:
    later = host_reading(NOON + MINUTE, cpu=CpuTimes(busy=1030, iowait=49.9, steal=10, total=4120))
    assert policy.host_sample(host_reading(), later, GAP).cpu_iowait_ratio == 0


def test_networks_that_are_not_the_hosts_are_not_known() -> None:
    later = host_reading(NOON + MINUTE, networks=None, processes=None)
    sample = policy.host_sample(host_reading(networks=None), later, GAP)
    assert sample.network_received_bytes_per_second is None
    assert sample.processes is None
    assert sample.interval_seconds == 60


def test_an_interface_that_was_set_to_zero_leaves_a_gap_and_a_new_one_counts() -> None:
    was = host_reading(networks={"eth0": NetworkCounters(received_bytes=5000, sent_bytes=0)})
    reset = host_reading(NOON + MINUTE, networks={"eth0": NetworkCounters(received_bytes=60, sent_bytes=0)})
    assert policy.host_sample(was, reset, GAP).network_received_bytes_per_second is None
    both = {
        "eth0": NetworkCounters(received_bytes=5000, sent_bytes=0),
        "tun0": NetworkCounters(received_bytes=600, sent_bytes=0),
    }
    added = host_reading(NOON + MINUTE, networks=both)
    assert policy.host_sample(was, added, GAP).network_received_bytes_per_second == 10


def test_a_disk_that_was_plugged_in_counts_from_the_next_reading_on() -> None:
    later = host_reading(
        NOON + MINUTE,
        disks={
            "sda": DiskCounters(read_bytes=1600, written_bytes=2000, busy_ms=500),
            "sdb": DiskCounters(read_bytes=10**12, written_bytes=0, busy_ms=10**9),
        },
    )
    sample = policy.host_sample(host_reading(), later, GAP)
    assert sample.disk_read_bytes_per_second == 10
    assert sample.disk_busy_ratio == 0


# --- containers ---


def test_a_container_s_first_counters_make_no_rates() -> None:
    sample = sampled(None, counters())
    assert sample.memory_bytes == 100_000_000
    assert sample.memory_ratio == 0.25
    assert [getattr(sample, name) for name in CONTAINER_RATES] == [None] * len(CONTAINER_RATES)


def test_two_counts_make_rates_by_the_clock_of_the_engine() -> None:
    later = counters(NOON + MINUTE, cpu_seconds=100, sent_bytes=4000 + 6000, disk_read_bytes=1000)
    sample = sampled(counters(), later)
    assert sample.interval_seconds == 60
    assert sample.cpu_cores == 1.5
    assert sample.network_sent_bytes_per_second == 100
    assert sample.disk_read_bytes_per_second == 0
    assert sample.cpu_throttled_ratio is None


def test_a_container_that_was_restarted_counts_since_its_start() -> None:
    later = counters(NOON + MINUTE, cpu_seconds=5, sent_bytes=2000)
    sample = sampled(counters(), later, container(up_seconds=20))
    assert sample.interval_seconds == 20
    assert sample.cpu_cores == 0.25
    assert sample.network_sent_bytes_per_second == 100


def test_a_restart_is_seen_although_the_counters_are_higher_than_before() -> None:
    later = counters(NOON + MINUTE, cpu_seconds=30)
    sample = sampled(counters(), later, container(up_seconds=30))
    assert sample.cpu_cores == 1.0


def test_a_restart_of_which_the_time_is_not_known_leaves_a_gap() -> None:
    sample = sampled(counters(), counters(NOON + timedelta(minutes=4), cpu_seconds=5))
    assert sample.cpu_cores is None
    assert sample.memory_bytes is not None


def test_a_new_container_has_rates_at_once() -> None:
    assert sampled(None, counters(), container(up_seconds=40)).cpu_cores == 0.25


@pytest.mark.parametrize("up", [None, 1, 4])
def test_a_moment_is_too_short_for_a_rate(up: int | None) -> None:
    assert sampled(None, counters(), container(up_seconds=up)).cpu_cores is None


def test_what_the_engine_does_not_count_is_not_known() -> None:
    before = counters(received_bytes=None, sent_bytes=None)
    sample = sampled(before, counters(NOON + MINUTE, cpu_seconds=11, received_bytes=None, sent_bytes=None))
    assert sample.network_sent_bytes_per_second is None
    assert sample.cpu_cores is not None


def test_being_held_back_is_a_share_of_the_periods() -> None:
    before = counters(periods=100, throttled_periods=10)
    later = counters(NOON + MINUTE, periods=300, throttled_periods=60)
    assert sampled(before, later).cpu_throttled_ratio == 0.25


def test_a_container_without_an_answer_has_no_sample() -> None:
    web, db = container("web"), container("db")
    reading = EngineReading(engine="local", taken_at=NOON, containers={web.id: counters()})
    assert [one.name for one in policy.container_samples(None, reading, [db, web], GAP)] == ["web"]


@given(
    cpu=some.floats(0, 1e9), was=some.floats(0, 1e9), sent=some.integers(0, 2**60),
    sent_before=some.integers(0, 2**60), seconds=some.floats(0, 1000), up=some.none() | some.integers(1, 120),
)  # fmt: skip
def test_no_rate_is_ever_negative_or_endless(
    cpu: float, was: float, sent: int, sent_before: int, seconds: float, up: int | None
) -> None:
    before = counters(cpu_seconds=was, sent_bytes=sent_before)
    now = counters(NOON + timedelta(seconds=seconds), cpu_seconds=cpu, sent_bytes=sent)
    sample = sampled(before, now, container(up_seconds=up))
    found: list[Any] = [getattr(sample, name) for name in CONTAINER_RATES]
    assert all(value is None or 0 <= value < float("inf") for value in found)


def test_a_source_that_was_read_a_moment_ago_is_left_alone() -> None:
    assert policy.due(None, NOON)
    assert not policy.due(NOON - timedelta(seconds=29), NOON)
    assert policy.due(NOON - timedelta(seconds=30), NOON)
    assert policy.due(NOON + timedelta(hours=1), NOON), "a clock that was set back must not stop everything"
