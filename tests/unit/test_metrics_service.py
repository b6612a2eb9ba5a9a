"""One collection, against fakes: what is written, and what is not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aegis_lib.errors import DependencyUnavailable, PermanentFailure
from aegis_lib.metrics import service
from aegis_lib.metrics.model import CollectionReport, CpuTimes, MetricsConfig
from aegis_lib.outcome import Outcome
from tests.fakes.metrics import (
    NOON,
    FakeContainerMeter,
    FakeHostMeter,
    FakeMetricStore,
    container,
    counters,
    host_reading,
)

MINUTE = timedelta(minutes=1)
AWAY = DependencyUnavailable("Docker engine local", "no answer within 10 s.")


@pytest.fixture
def store() -> FakeMetricStore:
    return FakeMetricStore()


@pytest.fixture
def host() -> FakeHostMeter:
    return FakeHostMeter()


@pytest.fixture
def engine() -> FakeContainerMeter:
    made = FakeContainerMeter()
    made.put(container("web"), counters())
    made.put(container("db"), counters())
    return made


def test_host_and_containers_are_kept_with_their_rates(
    store: FakeMetricStore, host: FakeHostMeter, engine: FakeContainerMeter
) -> None:
    first = service.collect(host, [engine], store, MetricsConfig(), NOON)
    assert (first.outcome, first.hosts, first.containers) == (Outcome.COMPLETED, 1, 2)
    assert first.summary == "1 host and 2 containers measured."

    later = NOON + MINUTE
    host.now = host_reading(later, cpu=CpuTimes(busy=1060, iowait=50, steal=10, total=4120))
    engine.put(container("web"), counters(later, cpu_seconds=40))
    service.collect(host, [engine], store, MetricsConfig(), later)
    assert [one.cpu_ratio for one in store.host_samples] == [None, 0.5]
    assert [(one.name, one.cpu_cores) for one in store.container_samples if one.at == later] == [
        ("db", None), ("web", 0.5)
    ]  # fmt: skip


def test_a_run_that_is_tried_again_within_half_a_minute_writes_nothing(
    store: FakeMetricStore, host: FakeHostMeter, engine: FakeContainerMeter
) -> None:
    service.collect(host, [engine], store, MetricsConfig(), NOON)
    again = service.collect(host, [engine], store, MetricsConfig(), NOON + timedelta(seconds=10))
    assert again.skipped == ("host local", "engine local")
    assert len(store.host_samples) == 1
    assert len(store.container_samples) == 2


def test_of_two_runs_at_once_one_writes(host: FakeHostMeter, engine: FakeContainerMeter) -> None:
    class Overtaken(FakeMetricStore):
        """Another run keeps its readings right after this one has looked."""

        def keep_host(self, before: object, now: object, sample: object) -> bool:
            self.hosts["local"] = host_reading(NOON + timedelta(seconds=1))
            return super().keep_host(before, now, sample)  # type: ignore[arg-type]

    store = Overtaken()
    report = service.collect(host, [engine], store, MetricsConfig(), NOON)
    assert report.skipped == ("host local",)
    assert store.host_samples == []


def test_an_engine_that_is_away_does_not_spoil_the_host(
    store: FakeMetricStore, host: FakeHostMeter, engine: FakeContainerMeter
) -> None:
    engine.broken = AWAY
    report = service.collect(host, [engine], store, MetricsConfig(), NOON)
    assert report.outcome is Outcome.DEGRADED
    assert "no answer within 10 s" in report.summary
    assert len(store.host_samples) == 1


def test_a_host_that_cannot_be_read_does_not_spoil_the_containers(
    store: FakeMetricStore, host: FakeHostMeter, engine: FakeContainerMeter
) -> None:
    host.broken = PermanentFailure("no /proc")
    report = service.collect(host, [engine], store, MetricsConfig(), NOON)
    assert (report.outcome, report.containers) == (Outcome.DEGRADED, 2)


def test_when_nothing_can_be_read_the_run_fails(
    store: FakeMetricStore, host: FakeHostMeter, engine: FakeContainerMeter
) -> None:
    store.broken = DependencyUnavailable("PostgreSQL", "away.")
    with pytest.raises(DependencyUnavailable, match="PostgreSQL"):
        service.collect(host, [engine], store, MetricsConfig(), NOON)


def test_a_container_without_an_answer_is_a_gap_and_one_that_is_gone_is_none(
    store: FakeMetricStore, host: FakeHostMeter, engine: FakeContainerMeter
) -> None:
    engine.put(container("mute"), AWAY)
    engine.put(container("gone"), None)
    report = service.collect(host, [engine], store, MetricsConfig(), NOON)
    assert (report.outcome, report.containers, report.gaps) == (Outcome.DEGRADED, 2, 1)
    assert [one.name for one in store.container_samples] == ["db", "web"]


def test_many_containers_without_an_answer_are_an_engine_in_trouble(
    store: FakeMetricStore, host: FakeHostMeter, engine: FakeContainerMeter
) -> None:
    for name in ("a", "b", "c"):
        engine.put(container(name), AWAY)
    report = service.collect(host, [engine], store, MetricsConfig(), NOON)
    assert report.containers == 0
    assert store.container_samples == []
    assert store.engines == {}, "a reading without its samples would swallow the next rates"


def test_containers_that_are_ignored_are_not_asked(
    store: FakeMetricStore, host: FakeHostMeter, engine: FakeContainerMeter
) -> None:
    engine.put(container("job-17"), AWAY)
    report = service.collect(host, [engine], store, MetricsConfig(ignore_containers=("job-*",)), NOON)
    assert (report.outcome, report.containers) == (Outcome.COMPLETED, 2)


def test_a_machine_without_an_engine_is_measured(store: FakeMetricStore, host: FakeHostMeter) -> None:
    report: CollectionReport = service.collect(host, [], store, MetricsConfig(), NOON)
    assert (report.outcome, report.hosts, report.containers) == (Outcome.COMPLETED, 1, 0)


def test_a_clock_that_was_set_back_does_not_stop_the_collection(
    store: FakeMetricStore, host: FakeHostMeter
) -> None:
    service.collect(host, [], store, MetricsConfig(), NOON)
    back = NOON - timedelta(hours=1)
    host.now = host_reading(back, uptime_seconds=host_reading().uptime_seconds + 60)
    assert service.collect(host, [], store, MetricsConfig(), back).hosts == 1
