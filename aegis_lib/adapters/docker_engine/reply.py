"""What a Docker engine says, parsed into our own types. No call is made here, and nothing is decided.

Fields: https://docs.docker.com/reference/api/engine/version/v1.41/ (ContainerList, ContainerInspect). Unknown
fields are left alone: engines add some with every version.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_pascal

from aegis_lib.containers.model import EngineRestartPolicy, HealthCheck, Inspected, Listed
from aegis_lib.containers.model import Health as HealthStatus

_OUTPUT_KEPT_CHARACTERS = 1000

_UP = re.compile(
    r"^Up (?:(?P<less>Less than a second)|(?P<seconds>\d+) seconds?|(?P<minute>About a minute))\b"
)
_HEALTH = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)$")
_EXIT = re.compile(r"^(?:Exited|Restarting) \((-?\d+)\)")


def parse_status(status: str) -> tuple[HealthStatus | None, int | None, int | None]:
    """Health, exit code and seconds up (None from two minutes on) of the list's text.

    `Up 3 hours (healthy)`, `Up Less than a second (health: starting)`, `Exited (137) 2 days ago`.
    """
    health = match[1] if (match := _HEALTH.search(status)) else None
    code = int(match[1]) if (match := _EXIT.search(status)) else None
    up = None
    if match := _UP.search(status):
        up = int(match["seconds"]) if match["seconds"] else 1 if match["less"] else 120
    return health, code, up  # type: ignore[return-value]


def _missing_is_none(value: Any) -> Any:
    return None if not value or str(value).startswith("0001-") else value


_Moment = Annotated[AwareDatetime | None, BeforeValidator(_missing_is_none)]
_Status = Annotated[HealthStatus | None, BeforeValidator(lambda said: None if said == "none" else said)]
_Labels = Annotated[dict[str, str], BeforeValidator(lambda value: value or {})]


class _Reply(BaseModel):
    """The engine writes `RestartCount` where we write `restart_count`."""

    model_config = ConfigDict(alias_generator=to_pascal)


class ListedItem(_Reply):
    """One element of `GET /containers/json`."""

    id: str
    names: list[str] = Field(default_factory=list)
    state: str
    status: str
    created: float
    labels: _Labels = Field(default_factory=dict)

    def listed(self, engine: str, itself: str | None) -> Listed:
        """Our own type; `itself` is the id of the container that this process runs in."""
        # A container has one name of its own; others, with a second slash, are links of other containers.
        own = next((name for name in self.names if name.count("/") == 1), None)
        health, exit_code, up_seconds = parse_status(self.status)
        return Listed(
            engine=engine,
            id=self.id,
            name=(own or self.id[:12]).lstrip("/"),
            state=self.state.lower(),
            health=health,
            exit_code=exit_code,
            up_seconds=up_seconds,
            created_at=datetime.fromtimestamp(self.created, UTC),
            labels=self.labels,
            itself=self.id == itself,
        )


class _Probe(_Reply):
    output: str = ""


class _Health(_Reply):
    status: _Status
    log: list[_Probe] | None = None


class _State(_Reply):
    status: str
    exit_code: int = 0
    oom_killed: bool = Field(default=False, alias="OOMKilled")
    error: str = ""
    started_at: _Moment = None
    health: _Health | None = None


class _Check(_Reply):
    """Durations in nanoseconds; 0 means the engine's default."""

    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    retries: int = 0

    def check(self) -> HealthCheck:
        return HealthCheck(
            interval_seconds=self.interval / 1e9 or 30,
            timeout_seconds=self.timeout / 1e9 or 30,
            retries=self.retries or 3,
            start_period_seconds=self.start_period / 1e9,
        )


class _Config(_Reply):
    healthcheck: _Check | None = None
    stop_timeout: int | None = None


class _Policy(_Reply):
    name: Annotated[EngineRestartPolicy, BeforeValidator(lambda name: name or "no")] = "no"
    maximum_retry_count: int = 0


class _HostConfig(_Reply):
    restart_policy: _Policy = _Policy()


class Details(_Reply):
    """`GET /containers/{id}/json`."""

    id: str
    state: _State
    restart_count: int = 0
    host_config: _HostConfig = _HostConfig()
    config: _Config = _Config()

    def inspected(self) -> Inspected:
        """Our own type, with texts cut to what people read."""
        state, health = self.state, self.state.health
        probes = health.log or [] if health else []
        check = self.config.healthcheck
        stop_seconds = self.config.stop_timeout
        return Inspected(
            id=self.id,
            state=state.status.lower(),
            health=health.status if health else None,
            health_output=probes[-1].output[-_OUTPUT_KEPT_CHARACTERS:] if probes else "",
            check=check.check() if check and health and health.status else None,
            exit_code=state.exit_code,
            oom_killed=state.oom_killed,
            error=state.error[:_OUTPUT_KEPT_CHARACTERS],
            started_at=state.started_at,
            restarts=self.restart_count,
            restart_policy=self.host_config.restart_policy.name,
            max_retries=self.host_config.restart_policy.maximum_retry_count,
            stop_timeout_seconds=10 if stop_seconds is None else max(0, stop_seconds),
        )
