"""One cycle of the container check over 100 containers, against a loop of one inspection per container.

    python bench/docker_cycle.py [--containers 100] [--rounds 15]

Makes the containers itself (busybox, one in twenty unhealthy), runs both ways in turn, connecting included,
and removes what it made. Both ways are checked to find the same sick containers. Calls are counted where the
Docker SDK sends them; the database is left out of both. The last line is one JSON object. About a minute.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import docker
from docker.types import Healthcheck

from aegis_lib.adapters.docker_engine import engines
from aegis_lib.containers import examination, service
from aegis_lib.containers.model import Condition, ContainersConfig
from aegis_lib.settings import DockerSettings

IMAGE = "busybox:latest"
SECOND_NS = 1_000_000_000
LONGEST_SECONDS = 540


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--containers", type=int, default=100)
    options.add_argument("--rounds", type=int, default=15)
    chosen = options.parse_args()
    began = time.monotonic()
    label = f"aegis-bench={uuid4().hex[:12]}"
    with containers(chosen.containers, label) as sick:
        ours, naive = Side("one list call"), Side("one inspection each")
        for _ in range(chosen.rounds):
            if time.monotonic() - began > LONGEST_SECONDS:
                break
            ours.measure(lambda: cycle(label), sick)
            naive.measure(lambda: naive_loop(label), sick)
    report(chosen.containers, sick, ours, naive)


class Side:
    """One of the two ways: what each of its rounds took."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seconds: list[float] = []
        self.calls: list[int] = []

    def measure(self, act: Callable[[], int], expected: int) -> None:
        with counted() as count:
            began = time.perf_counter()
            found = act()
            self.seconds.append(time.perf_counter() - began)
        self.calls.append(len(count))
        if found != expected:
            sys.exit(
                f"{self.name} found {found} sick containers, {expected} are: the measurement is worthless"
            )

    @property
    def median_seconds(self) -> float:
        return statistics.median(self.seconds)

    @property
    def median_calls(self) -> float:
        return statistics.median(self.calls)


class NothingOpen:
    """A strike store without cases; a dry run writes nothing."""

    def open_cases(self, now: datetime, engine: str | None = None, name: str | None = None) -> list[Any]:
        return []


def cycle(label: str) -> int:
    """A whole cycle as the job runs it, but for the database."""
    nothing: Any = NothingOpen()
    with engines.connect(DockerSettings()) as found:
        return service.run_cycle(
            found, nothing, nothing, nothing, ContainersConfig(), datetime.now(UTC), True, only_label=label
        ).unhealthy


def naive_loop(label: str) -> int:
    """What scripts usually do: list, then ask for each container."""
    client = docker.DockerClient.from_env()
    try:
        listed = client.api.containers(all=True, filters={"label": [label]})
        states = [client.api.inspect_container(item["Id"])["State"] for item in listed]
        return sum(state.get("Health", {}).get("Status") == "unhealthy" for state in states)
    finally:
        client.close()


@contextmanager
def counted() -> Iterator[list[str]]:
    """Every request that the Docker SDK sends meanwhile."""
    sent: list[str] = []
    plain = docker.APIClient.send

    def send(self: Any, request: Any, **options: Any) -> Any:
        sent.append(request.path_url)
        return plain(self, request, **options)

    docker.APIClient.send = send  # type: ignore[method-assign]
    try:
        yield sent
    finally:
        docker.APIClient.send = plain  # type: ignore[method-assign]


@contextmanager
def containers(count: int, label: str) -> Iterator[int]:
    """`count` running containers, one in twenty of them unhealthy; yields how many are."""
    client = docker.APIClient(version="auto", timeout=60)
    made: list[str] = []
    key, _, value = label.partition("=")

    def make(number: int) -> None:
        sick = number % 20 == 0
        check = Healthcheck(
            test=["CMD", "false" if sick else "true"],
            interval=2 * SECOND_NS,
            timeout=10 * SECOND_NS,
            retries=1,
        )
        container = client.create_container(
            IMAGE, ["sleep", "3600"], name=f"aegis-bench-{value}-{number}", labels={key: value},
            healthcheck=check if sick else None, stop_timeout=0,
            host_config=client.create_host_config(network_mode="none"),
        )["Id"]  # fmt: skip
        made.append(container)
        client.start(container)

    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(make, range(count)))
        expected = len(range(0, count, 20))
        deadline = time.monotonic() + 60
        with engines.connect(DockerSettings()) as (engine,):
            while True:
                seen = examination.examine(engine, ContainersConfig(), datetime.now(UTC), label).patients
                if sum(p.verdict.condition is Condition.SICK for p in seen) == expected:
                    break
                if time.monotonic() > deadline:
                    sys.exit("the containers did not reach their states within 60 s")
                time.sleep(0.5)
        yield expected
    finally:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda c: client.remove_container(c, force=True), made))
        client.close()


def report(count: int, sick: int, ours: Side, naive: Side) -> None:
    print(f"{count} containers, {sick} of them unhealthy; medians of {len(ours.seconds)} rounds in turn")
    print(f"{'':24}{'API calls':>12}{'seconds':>12}{'fastest':>12}{'slowest':>12}")
    for side in (ours, naive):
        times = f"{side.median_seconds:>12.4f}{min(side.seconds):>12.4f}{max(side.seconds):>12.4f}"
        print(f"{side.name:24}{side.median_calls:>12.0f}{times}")
    figures = {
        "containers": count,
        "unhealthy": sick,
        "rounds": len(ours.seconds),
        "calls": ours.median_calls,
        "naive_calls": naive.median_calls,
        "seconds": round(ours.median_seconds, 4),
        "naive_seconds": round(naive.median_seconds, 4),
        "calls_ratio": round(naive.median_calls / ours.median_calls, 1),
        "seconds_ratio": round(naive.median_seconds / ours.median_seconds, 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
