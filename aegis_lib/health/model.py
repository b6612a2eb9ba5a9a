"""What the health check knows and says about the database. Values only; nothing here looks at a database."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from aegis_lib.outcome import AwareDatetime, Frozen, Report

OUTAGE_EVENT = "db_outage"
RECOVERY_EVENT = "db_recovery"
SLOW_EVENT = "db_slow"
SLOW_END_EVENT = "db_slow_end"


class HealthConfig(Frozen):
    """The section `health` of aegis.yaml.

    `max_latency_ms` (1 to 600000) is the longest time that connecting and `SELECT 1` may take;
    `slow_checks` (1 to 100) is how many checks in a row must exceed it before a human is told, and how many
    must keep it before the slowness counts as over.
    """

    max_latency_ms: int = Field(default=1000, ge=1, le=600_000)
    slow_checks: int = Field(default=3, ge=1, le=100)


class Stage(StrEnum):
    """How far an outage has come; it only ever moves forward."""

    OPEN = "open"
    """The database is away and no channel has taken the alert yet."""
    ALERTED = "alerted"
    """The alert is out."""
    RECOVERED = "recovered"
    """The database is back and the message saying so is not out yet."""


class Outage(Frozen):
    """One time without a database. `since` is when a check first saw it; `until` when a check saw it end."""

    since: AwareDatetime
    error: str = ""
    stage: Stage = Stage.OPEN
    until: AwareDatetime | None = None

    @property
    def key(self) -> str:
        """Identity of the outage, the same in every process and after every crash."""
        return f"{OUTAGE_EVENT}:{self.since.isoformat()}"


class Slowness(Frozen):
    """What is remembered of slow checks. `since` is set while a slow episode is on.

    `slow_in_a_row` counts checks over the limit before an episode, `quick_in_a_row` those within it during
    one. `told` says that a channel has taken the warning of this episode.
    """

    slow_in_a_row: int = Field(default=0, ge=0)
    quick_in_a_row: int = Field(default=0, ge=0)
    since: AwareDatetime | None = None
    told: bool = False

    @property
    def key(self) -> str:
        """Identity of the episode."""
        return f"{SLOW_EVENT}:{self.since.isoformat() if self.since else 'none'}"


class Heartbeat(StrEnum):
    """What became of the ping to the dead-man's switch."""

    NOT_CONFIGURED = "not configured"
    WITHHELD = "withheld"
    """The check was not green, or something else that must be green was not."""
    SENT = "sent"
    FAILED = "failed"


class Flushed(Frozen):
    """What became of the events that waited on this host. `stopped_by`: why the rest had to stay."""

    stored: int = Field(default=0, ge=0)
    rejected: int = Field(default=0, ge=0)
    stopped_by: str | None = None


class HealthReport(Report):
    """What one check found. `latency_ms` is None when the database did not answer.

    `outage` is the outage that is on or that this run ended; `alerted` says whether this run's message about
    it reached a channel (None: there was none to send). `flushed` is the number of kept records that this run
    stored. `problems` are what could not be done besides.
    """

    db_healthy: bool
    latency_ms: float | None = None
    slow: bool = False
    outage: Outage | None = None
    alerted: bool | None = None
    flushed: int = 0
    heartbeat: Heartbeat = Heartbeat.NOT_CONFIGURED
    problems: tuple[str, ...] = ()
