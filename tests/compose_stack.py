"""The stack of docker-compose.yml as an operator runs it, under a project name and on a port of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import docker

from deployments.api import PrefectApi
from deployments.jobs import Scheduler
from tests import requirement
from tests.loopback import free_port
from tests.waiting import wait_until

PROJECT = Path(__file__).resolve().parent.parent
IMAGE = "aegis-scheduler:test"
BROWSER_IMAGE = "aegis-browser:test"
PROFILES = ("--profile", "docker-pool", "--profile", "browser")
RUNNING = ("postgres", "docker-proxy", "server", "worker", "steward", "status")
CORE = ("health_check", "docker_health_check", "morning_status", "evening_summary", "memory_cleanup")
SOMETHING_TO_READ = (
    "INSERT INTO tasks (title) VALUES ('water the plants');"
    "INSERT INTO episodic_memory (timestamp, event_type, summary)"
    " SELECT now() - age, 'decision', 'to go on' FROM unnest(ARRAY['1 day', '1 hour']::interval[]) age"
)
"""For the jobs' database, so that the digests have something to tell."""
HOW = "Install docker-compose or the plugin of Docker; where no image can be pulled, run tests/images/make."


def commands() -> dict[str, list[str]]:
    """Every compose that is installed: of Docker itself (v2), and the older program (1.29)."""
    plugin = ["docker", "compose"]
    there = subprocess.run([*plugin, "version"], capture_output=True, check=False).returncode == 0
    found = {"v2": plugin} if there else {}
    return {**found, "1.29": ["docker-compose"]} if shutil.which("docker-compose") else found


def command(*, older: bool = False) -> list[str]:
    """The one of Docker itself if it is installed, or if `older` the other one first."""
    found = commands()
    if not found:
        requirement.missing("compose", HOW)
    return found[sorted(found, reverse=not older)[0]]


def base_images() -> list[str]:
    """The public images that our files start from."""
    dockerfile, compose = (PROJECT / "Dockerfile").read_text(), (PROJECT / "docker-compose.yml").read_text()
    found = re.findall(r"(?m)^ARG PYTHON_IMAGE=(\S+)", dockerfile)
    return found + re.findall(r"image: \$\{(?:POSTGRES|HAPROXY|NGINX)_IMAGE:-([^}]+)\}", compose)


def require_base_images() -> None:
    """Skip where an image is neither here nor can be pulled."""
    for image in base_images():
        for words in (["image", "inspect", image], ["pull", "--quiet", image]):
            if subprocess.run(["docker", *words], capture_output=True, timeout=600).returncode == 0:
                break
        else:
            requirement.missing("compose", f"The image {image} cannot be pulled. {HOW}")


def build_image(name: str = IMAGE, target: str = "aegis") -> None:
    """An image as the Dockerfile says; quick when nothing changed."""
    built = subprocess.run(
        ["nice", "docker", "build", "--quiet", "--tag", name, "--target", target, str(PROJECT)],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert built.returncode == 0, built.stderr[-3000:]


def build_next_image() -> str:
    """The same program as another image, as a new version is one."""
    name = f"{IMAGE}-next"
    text = f"FROM {IMAGE}\nLABEL aegis-test=next\n"
    built = subprocess.run(
        ["docker", "build", "--quiet", "--tag", name, "-"],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert built.returncode == 0, built.stderr
    return name


class ComposeStack:
    """One installation. `directory` holds its secrets and its aegis.yaml; `older`: by docker-compose 1.29."""

    def __init__(
        self, client: docker.APIClient, directory: Path, *, older: bool = False, **variables: str
    ) -> None:
        self.client, self.directory = client, directory
        self.name, self.port, self.status_port = f"aegis-test-{uuid4().hex[:8]}", free_port(), free_port()
        self.secrets, self.config = directory / "secrets", directory / "config"
        self._compose = command(older=older)
        self._api: PrefectApi | None = None
        for place in (self.secrets, self.config):
            place.mkdir(parents=True, exist_ok=True)
        ours = ("AEGIS_", "POSTGRES_", "PREFECT_", "DISCORD_", "DOCKER_", "COMPOSE_")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
            "COMPOSE_PROJECT_NAME": self.name,
            "AEGIS_PORT": str(self.port),
            "AEGIS_STATUS_PORT": str(self.status_port),
            "AEGIS_IMAGE": IMAGE,
            "BROWSER_IMAGE": BROWSER_IMAGE,
            "AEGIS_SECRETS": str(self.secrets),
            "AEGIS_CONFIG_DIR": str(self.config),
            **variables,
        }

    # --- commands ---------------------------------------------------------------------------------

    def run(self, words: list[str], *, timeout_seconds: float = 240) -> subprocess.CompletedProcess[str]:
        """A command in the project's directory, with this stack's environment."""
        return subprocess.run(
            words,
            cwd=PROJECT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
        )

    def compose(self, *arguments: str, timeout_seconds: float = 240) -> subprocess.CompletedProcess[str]:
        return self.run([*self._compose, *arguments], timeout_seconds=timeout_seconds)

    def up(self) -> None:
        """`docker-compose up -d`, until every part is healthy."""
        started = self.compose("up", "-d")
        assert started.returncode == 0, f"{started.stdout}\n{started.stderr}\n{self.logs()}"
        self.wait_healthy()

    def wait_healthy(self, timeout_seconds: float = 120) -> None:
        wait_until(
            lambda: self.unhealthy() == [],
            description=f"every part of {self.name} to be healthy",
            timeout_seconds=timeout_seconds,
            every_seconds=0.5,
        )

    def inside(self, service: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """A command in a running container."""
        options = [part for name, value in variables.items() for part in ("-e", f"{name}={value}")]
        return self.compose("exec", "-T", *options, service, *words, timeout_seconds=90)

    def aegis(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`aegis` as the operations guide has it typed."""
        return self.inside("worker", "aegis", *arguments)

    def answer(self, *arguments: str) -> Any:
        """What `aegis ... --json` says."""
        said = self.aegis(*arguments, "--json")
        assert said.stdout, said.stderr
        return json.loads(said.stdout)

    def logs(self) -> str:
        return self.compose("logs", "--tail", "40").stdout[-8000:]

    def down(self) -> None:
        """Remove everything of this stack, with its data."""
        if self._api is not None:
            self._api.close()
        self.compose(*PROFILES, "down", "--volumes", "--remove-orphans", "--timeout", "5")

    # --- containers -------------------------------------------------------------------------------

    def containers(self) -> dict[str, dict[str, Any]]:
        """Service -> what the engine knows of its container."""
        label = f"com.docker.compose.project={self.name}"
        found = self.client.containers(all=True, filters={"label": [label]})
        return {
            item["Labels"]["com.docker.compose.service"]: self.client.inspect_container(item["Id"])
            for item in found
        }

    def unhealthy(self) -> list[str]:
        """Services that should run and do not, or whose health check does not say that they are well."""
        seen: Mapping[str, Any] = self.containers()
        return [
            service
            for service in RUNNING
            if service not in seen
            or seen[service]["State"]["Status"] != "running"
            or seen[service]["State"].get("Health", {}).get("Status") != "healthy"
        ]

    def crash(self, service: str) -> None:
        """Kill its main process behind the engine's back, as the kernel does for want of memory."""
        before = self.containers()[service]
        os.kill(before["State"]["Pid"], signal.SIGKILL)
        wait_until(
            lambda: self.containers()[service]["State"]["StartedAt"] != before["State"]["StartedAt"],
            description=f"{service} to be started again",
            timeout_seconds=60,
            every_seconds=0.2,
        )

    # --- the server -------------------------------------------------------------------------------

    @property
    def api(self) -> PrefectApi:
        """The server as seen from the host, with the secret that was made."""
        if self._api is None:
            secret = self.inside("server", "cat", "/run/aegis/secrets/PREFECT_API_AUTH_STRING").stdout.strip()
            assert secret
            self._api = PrefectApi(f"http://127.0.0.1:{self.port}/api", auth_string=secret)
        return self._api

    @property
    def scheduler(self) -> Scheduler:
        return Scheduler(self.api)

    def outcome_of(self, job: str, parameters: dict[str, Any] | None = None) -> str:
        """Run a job now; asks again while a run of its schedule holds the job's only place."""

        def ended() -> str | None:
            run = self.scheduler.run_job(job, parameters)
            found = wait_until(
                lambda: (seen := self.scheduler.runs.find(run.id)).final and seen,
                description=f"{job} to end",
                timeout_seconds=90,
                every_seconds=0.3,
            )
            return None if found.outcome == "Cancelled" else f"{found.outcome}"

        return str(wait_until(ended, description=f"a place for {job}", timeout_seconds=60, every_seconds=1))

    def sql(self, database: str, statement: str) -> list[str]:
        """Rows of one statement, as psql prints them."""
        said = self.inside("postgres", "psql", "-qAt", "-U", "aegis", "-d", database, "-c", statement)
        assert said.returncode == 0, said.stderr
        return said.stdout.splitlines()
