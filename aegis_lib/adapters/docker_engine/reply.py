"""What a Docker engine says, parsed into our own types. No call is made here, and nothing is decided.

Fields: https://docs.docker.com/reference/api/engine/version/v1.41/ (ContainerList, ContainerInspect). Unknown
fields are left alone: engines add some with every version.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field

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


class ListedItem(BaseModel):
    """One element of `GET /containers/json`."""

    Id: str
    Names: list[str] = Field(default_factory=list)
    State: str
    Status: str
    Created: float
    Labels: _Labels = Field(default_factory=dict)

    def listed(self, engine: str, itself: str | None) -> Listed:
        # A container has one name of its own; others, with a second slash, are links of other containers.
        own = next((name for name in self.Names if name.count("/") == 1), None)
        health, exit_code, up_seconds = parse_status(self.Status)
        return Listed(
            engine=engine,
            id=self.Id,
            name=(own or self.Id[:12]).lstrip("/"),
            state=self.State.lower(),
            health=health,
            exit_code=exit_code,
            up_seconds=up_seconds,
            created_at=datetime.fromtimestamp(self.Created, UTC),
            labels=self.Labels,
            itself=self.Id == itself,
        )


class _Probe(BaseModel):
    Output: str = ""


class _Health(BaseModel):
    Status: Annotated[
        HealthStatus | None, BeforeValidator(lambda status: None if status == "none" else status)
    ]
    Log: list[_Probe] | None = None


class _State(BaseModel):
    Status: str
    ExitCode: int = 0
    OOMKilled: bool = False
    Error: str = ""
    StartedAt: _Moment = None
    Health: _Health | None = None


class _Check(BaseModel):
    """Durations in nanoseconds; 0 means the engine's default."""

    Interval: int = 0
    Timeout: int = 0
    StartPeriod: int = 0
    Retries: int = 0

    def check(self) -> HealthCheck:
        return HealthCheck(
            interval_seconds=self.Interval / 1e9 or 30,
            timeout_seconds=self.Timeout / 1e9 or 30,
            retries=self.Retries or 3,
            start_period_seconds=self.StartPeriod / 1e9,
        )


class _Config(BaseModel):
    Healthcheck: _Check | None = None
    StopTimeout: int | None = None


class _Policy(BaseModel):
    Name: Annotated[EngineRestartPolicy, BeforeValidator(lambda name: name or "no")] = "no"
    MaximumRetryCount: int = 0


class _HostConfig(BaseModel):
    RestartPolicy: _Policy = _Policy()


class Details(BaseModel):
    """`GET /containers/{id}/json`."""

    Id: str
    State: _State
    RestartCount: int = 0
    HostConfig: _HostConfig = _HostConfig()
    Config: _Config = _Config()

    def inspected(self) -> Inspected:
        health = self.State.Health
        log_of_health = health.Log or [] if health else []
        return Inspected(
            id=self.Id,
            state=self.State.Status.lower(),
            health=health.Status if health else None,
            health_output=log_of_health[-1].Output[-_OUTPUT_KEPT_CHARACTERS:] if log_of_health else "",
            check=self.Config.Healthcheck.check() if health and self.Config.Healthcheck else None,
            exit_code=self.State.ExitCode,
            oom_killed=self.State.OOMKilled,
            error=self.State.Error[:_OUTPUT_KEPT_CHARACTERS],
            started_at=self.State.StartedAt,
            restarts=self.RestartCount,
            restart_policy=self.HostConfig.RestartPolicy.Name,
            max_retries=self.HostConfig.RestartPolicy.MaximumRetryCount,
            stop_timeout_seconds=10 if self.Config.StopTimeout is None else max(0, self.Config.StopTimeout),
        )
