"""A real Docker engine for tests, and small containers made for one test and removed after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import docker
import pytest
import requests
from docker.types import Healthcheck

from tests import requirement

IMAGE = "busybox:latest"
HALF_SECOND_NS = 500_000_000


class Boxes:
    """Makes small containers, all with the label `only_label`, and removes them at the end."""

    def __init__(self, client: docker.APIClient) -> None:
        self.client = client
        self.mark = uuid4().hex[:12]
        self.ids: list[str] = []

    @property
    def only_label(self) -> str:
        return f"aegis-run={self.mark}"

    def name(self, name: str) -> str:
        return f"aegis-test-{self.mark}-{name}"

    def make(
        self,
        name: str,
        script: str = "sleep 600",
        *,
        health: str | None = None,
        start_period_seconds: float = 0,
        retries: int = 1,
        labels: dict[str, str] | None = None,
        start: bool = True,
        stop_timeout: int = 0,
        **host: Any,
    ) -> str:
        """A container running a shell script; `health` is a shell command run every half second."""
        check = None
        if health is not None:
            check = Healthcheck(
                test=["CMD-SHELL", health], interval=HALF_SECOND_NS, timeout=HALF_SECOND_NS * 4,
                retries=retries, start_period=int(start_period_seconds * 1e9),
            )  # fmt: skip
        made = self.client.create_container(
            IMAGE, ["sh", "-c", script], name=self.name(name), healthcheck=check, stop_timeout=stop_timeout,
            labels={"aegis-test": "containers", "aegis-run": self.mark, **(labels or {})},
            host_config=self.client.create_host_config(**host),
        )["Id"]  # fmt: skip
        self.ids.append(made)
        if start:
            self.client.start(made)
        return str(made)

    def state(self, container: str) -> dict[str, Any]:
        return dict(self.client.inspect_container(container)["State"])

    def health(self, container: str) -> str:
        return str(self.state(container)["Health"]["Status"])

    def run(self, container: str, command: str) -> None:
        made = self.client.exec_create(container, ["sh", "-c", command])
        self.client.exec_start(made["Id"])

    def remove(self, container: str) -> None:
        self.client.remove_container(container, force=True)

    def clear(self) -> None:
        for container in self.ids:
            try:
                self.remove(container)
            except docker.errors.NotFound:
                continue


@pytest.fixture(scope="session")
def docker_client() -> Iterator[docker.APIClient]:
    how = "Install docker.io, start dockerd, make an image of busybox-static with `docker import - busybox`."
    try:
        client = docker.APIClient(version="auto", timeout=30)
        found = client.images(IMAGE)
    except (docker.errors.DockerException, requests.RequestException) as error:
        requirement.missing("docker", f"{how} ({error})")
    if not found:
        requirement.missing("docker", f"There is no image {IMAGE}. {how}")
    yield client
    client.close()


@pytest.fixture
def boxes(docker_client: docker.APIClient) -> Iterator[Boxes]:
    made = Boxes(docker_client)
    yield made
    made.clear()
