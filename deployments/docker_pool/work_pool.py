"""The work pool `aegis-docker` of Prefect's type `docker`: what the container of a run is made of.

Made from what the container of its worker is made of, so that image, networks, volumes and secrets of both
are the same. Sends nothing and asks no engine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from aegis_lib.outcome import Frozen
from deployments.work_pool import TEMPLATE_FILE

DOCKER_POOL_TYPE = "docker"
IMAGE_PROJECT = "/app"
"""Where the project lies in the image."""
COMMAND = "python -m deployments.docker_pool.guarded_run"
"""Decides whether the run may still start, then becomes Prefect's engine."""

_MEMORY_LIMIT = "512m"
_HELD_BACK = ("PREFECT_API_AUTH_STRING",)
"""Settings that Prefect's worker would hand on, where everyone sees them who may inspect a container."""
_CLAIM_RULES = ("misfire_grace_seconds", "coalesce", "maintenance_windows")
_CLOSED = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "tmpfs": {"/tmp": "mode=1777,size=256m"},  # noqa: S108  within the container
}
_OF_THE_WORKER = {"DOCKER_HOST"}
_SECRET = ("PASSWORD", "TOKEN", "AUTH_STRING", "SECRET", "WEBHOOK", "API_KEY", "ALERT_URLS", "HEARTBEAT_URL")
_PLACES = ("_FILE", "_DIR")

Template = dict[str, Any]


class RunContainer(Frozen):
    """What a run's container has in common with its worker's. `volumes`: `source:target[:ro]`."""

    image: str
    networks: tuple[str, ...]
    volumes: tuple[str, ...]
    environment: dict[str, str]
    held_back: tuple[str, ...] = ()
    """Variables of the worker that a run does not get, since they hold secrets."""


def run_container(own: Mapping[str, Any], without_networks: tuple[str, ...] = ()) -> RunContainer:
    """From what the engine says about the worker's own container (`docker inspect`).

    Args:
        own: the answer of the engine.
        without_networks: endings of names of networks that a run must not be in, such as the one of the
            worker's way to the engine.

    A variable whose name says that it is secret is left out: everyone who may inspect containers would see
    it. Runs read secrets from files.
    """
    pairs = (line.partition("=") for line in own["Config"]["Env"] or ())
    given = {name: value for name, _, value in pairs if value and name not in _OF_THE_WORKER}
    secret = sorted(name for name in given if _holds_a_secret(name))
    return RunContainer(
        image=own["Config"]["Image"],
        networks=tuple(
            sorted(name for name in own["NetworkSettings"]["Networks"] if not name.endswith(without_networks))
        ),
        volumes=tuple(
            f"{mount['Name'] if mount['Type'] == 'volume' else mount['Source']}:{mount['Destination']}"
            + ("" if mount["RW"] else ":ro")
            for mount in sorted(own["Mounts"], key=lambda mount: str(mount["Destination"]))
            if mount["Type"] in {"volume", "bind"}
        ),
        environment={name: value for name, value in given.items() if name not in secret},
        held_back=tuple(secret),
    )


def _holds_a_secret(variable: str) -> bool:
    """By its name; where a secret is to be found is none."""
    return not variable.endswith(_PLACES) and any(word in variable for word in _SECRET)


def job_template(stock: Template, wanted: RunContainer) -> Template:
    """The pool's template: that of Prefect's own worker, with our defaults and the rules for late runs."""
    template = deepcopy(stock)
    offered = template["variables"]["properties"]
    defaults: dict[str, Any] = {
        "command": COMMAND,
        "image": wanted.image,
        "image_pull_policy": "IfNotPresent",
        "networks": list(wanted.networks),
        "volumes": list(wanted.volumes),
        "env": {**wanted.environment, **dict.fromkeys(_HELD_BACK)},
        "auto_remove": True,
        "mem_limit": _MEMORY_LIMIT,
        "memswap_limit": _MEMORY_LIMIT,  # no swap beyond it
        "container_create_kwargs": _CLOSED,
    }
    for name, value in defaults.items():
        offered[name]["default"] = value
    ours = json.loads(TEMPLATE_FILE.read_text(encoding="utf-8"))["variables"]
    offered |= {name: ours["properties"][name] for name in _CLAIM_RULES}
    template["variables"].setdefault("$defs", {}).update(ours.get("$defs", ours.get("definitions", {})))
    return template


def job_variables(of_job: Mapping[str, Any]) -> dict[str, Any]:
    """A job's variables for this pool: its memory limit in the words of Docker, and what both pools know."""
    found = {name: of_job[name] for name in (*_CLAIM_RULES, "env") if name in of_job}
    if limit := of_job.get("memory_limit_mb"):
        found["mem_limit"] = found["memswap_limit"] = f"{limit}m"
    return found
