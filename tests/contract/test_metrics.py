"""The same promises from the fakes and from a real PostgreSQL and a real Docker engine."""

from __future__ import annotations

import threading
from datetime import timedelta

import psycopg
import pytest

from aegis_lib.adapters.docker_engine.engines import DockerEngine
from aegis_lib.db import database as db
from aegis_lib.db.database import Database
from aegis_lib.errors import DependencyUnavailable
from aegis_lib.metrics.model import ContainerCounters, ContainerSample, EngineReading, HostSample
from aegis_lib.ports.metrics import MetricStore
from aegis_lib.settings import DatabaseSettings, DockerSettings
from tests.docker_boxes import Boxes
from tests.fakes.metrics import (
    NOON,
    FakeContainerMeter,
    FakeMetricStore,
    container,
    counters,
    host_reading,
)
from tests.waiting import wait_until

MINUTE = timedelta(minutes=1)


@pytest.fixture(params=["fake", "real"])
def store(request: pytest.FixtureRequest) -> MetricStore:
    if request.param == "fake":
        return FakeMetricStore()
    return request.getfixturevalue("database").metrics  # type: ignore[no-any-return]


def engine_reading(minutes: int = 0) -> EngineReading:
    at = NOON + minutes * MINUTE
    return EngineReading(engine="nas", taken_at=at, containers={"web-id": counters(at)})


def container_sample(minutes: int = 0, **changes: object) -> ContainerSample:
    fields = {"engine": "nas", "name": "web", "at": NOON + minutes * MINUTE, "container_id": "web-id"}
    return ContainerSample(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_reading_comes_back_as_it_was(store: MetricStore) -> None:
    assert store.host_reading("local") is None
    assert store.engine_reading("nas") is None
    reading = host_reading(networks=None)
    assert store.keep_host(None, reading, HostSample(host="local", at=NOON))
    assert store.keep_engine(None, engine_reading(), [container_sample()])
    assert store.host_reading("local") == reading
    assert store.engine_reading("nas") == engine_reading()
    assert store.host_reading("other") is None


def test_only_one_of_two_keeps_a_first_reading(store: MetricStore) -> None:
    assert store.keep_host(None, host_reading(), HostSample(host="local", at=NOON))
    late = host_reading(NOON + MINUTE)
    assert not store.keep_host(None, late, HostSample(host="local", at=late.taken_at))
    assert store.host_reading("local") == host_reading()


def test_only_one_of_two_keeps_the_next_reading(store: MetricStore) -> None:
    store.keep_engine(None, engine_reading(), [])
    assert store.keep_engine(engine_reading(), engine_reading(1), [container_sample(1)])
    assert not store.keep_engine(engine_reading(), engine_reading(2), [container_sample(2)])
    assert store.engine_reading("nas") == engine_reading(1)


# --- only the database ---


def test_samples_are_read_as_they_were_written(database: Database) -> None:
    sample = HostSample(
        host="local", at=NOON, interval_seconds=60, cpu_ratio=0.1, memory_available_bytes=2**40,
        filesystems={"/": 0.5, "/d\u00e4ta": 0.25}, booted_at=NOON - MINUTE, processes=7,
    )  # fmt: skip
    database.metrics.keep_host(None, host_reading(), sample)
    one = container_sample(image="nginx:1@aaaa", memory_bytes=2**40, cpu_cores=1.25, processes=3)
    database.metrics.keep_engine(None, engine_reading(), [one, container_sample(name="d\0b")])
    assert database.metrics.of_host("local", NOON - MINUTE, NOON) == [sample]
    assert database.metrics.of_container("nas", "web", NOON - MINUTE, NOON) == [one]
    assert [found.name for found in database.metrics.newest_containers(NOON - MINUTE)] == ["d\ufffdb", "web"]
    assert database.metrics.newest_hosts(NOON - MINUTE) == [sample]


def test_a_reading_of_another_version_is_replaced(database: Database) -> None:
    database.connection.execute(
        "INSERT INTO metric_readings VALUES ('host:local', %s, '{\"version\": 7}')", [NOON]
    )
    assert database.metrics.host_reading("local") is None
    assert database.metrics.keep_host(None, host_reading(), HostSample(host="local", at=NOON))
    assert database.metrics.host_reading("local") == host_reading()


def test_samples_of_years_apart_find_their_day(database: Database) -> None:
    before = None
    for days in (0, 1, 400):
        reading = host_reading(NOON + timedelta(days=days))
        sample = HostSample(host="local", at=reading.taken_at)
        assert database.metrics.keep_host(before, reading, sample)
        before = reading
    assert len(database.metrics.of_host("local", NOON - MINUTE, NOON + timedelta(days=500))) == 3


def test_of_many_runs_at_once_exactly_one_writes(
    database: Database, database_settings: DatabaseSettings
) -> None:
    database.metrics.keep_engine(None, engine_reading(), [])
    ready, wins = threading.Barrier(4), []

    def collect(number: int) -> None:
        with db.connect(database_settings) as mine:
            before = mine.metrics.engine_reading("nas")
            ready.wait(30)
            if mine.metrics.keep_engine(before, engine_reading(number), [container_sample(number)]):
                wins.append(number)

    threads = [threading.Thread(target=collect, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(wins) == 1
    assert len(database.metrics.of_container("nas", "web", NOON - MINUTE, NOON + timedelta(hours=1))) == 1


def test_a_sample_that_is_refused_leaves_the_reading_as_it_was(database: Database) -> None:
    database.connection.execute("ALTER TABLE container_metrics ADD CHECK (processes < 100)")
    with pytest.raises(Exception, match="refused a statement"):
        database.metrics.keep_engine(None, engine_reading(), [container_sample(processes=100)])
    assert database.metrics.engine_reading("nas") is None
    assert isinstance(database.connection, psycopg.Connection)


# --- the engine ---


def test_a_real_engine_shows_what_its_containers_use(boxes: Boxes) -> None:
    busy = boxes.make("busy", "while true; do :; done", mem_limit="64m")
    idle = boxes.make("idle")
    ended = boxes.make("ended", "exit 3")
    wait_until(lambda: boxes.state(ended)["Status"] == "exited", description="the container to end")
    engine = DockerEngine("local", "unix:///var/run/docker.sock", DockerSettings())
    try:
        running = {one.id: one for one in engine.running()}
        assert {busy, idle} <= set(running)
        assert ended not in running
        assert running[busy].name == boxes.name("busy")
        assert running[busy].image.startswith("busybox:latest@")
        found = engine.counters([busy, idle, ended, "0" * 64])
        assert set(found) == {busy, idle}
        first, other = found[busy], found[idle]
        assert isinstance(first, ContainerCounters)
        assert isinstance(other, ContainerCounters)
        assert first.cpu_seconds > other.cpu_seconds
        assert first.memory_limit_bytes == 64 * 1024 * 1024
        assert (other.memory_limit_bytes or 0) > 64 * 1024 * 1024
        assert first.processes == 1
        again = engine.counters([busy])[busy]
        assert isinstance(again, ContainerCounters)
        assert again.at > first.at
        assert again.cpu_seconds > first.cpu_seconds
        assert engine.counters([]) == {}
    finally:
        engine.close()


def test_an_engine_that_is_away_says_so() -> None:
    engine = DockerEngine("away", "unix:///nowhere/docker.sock", DockerSettings())
    with pytest.raises(DependencyUnavailable):
        engine.counters(["0" * 64])
    fake = FakeContainerMeter()
    fake.broken = DependencyUnavailable("Docker engine local", "away.")
    with pytest.raises(DependencyUnavailable):
        fake.counters(["web-id"])


def test_the_fake_engine_leaves_out_what_is_gone() -> None:
    fake = FakeContainerMeter()
    fake.put(container("web"), counters())
    fake.put(container("gone"), None)
    assert set(fake.counters(["web-id", "gone-id", "never-id"])) == {"web-id"}
