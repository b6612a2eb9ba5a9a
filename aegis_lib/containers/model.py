"""What is known about containers, their strikes and what is to be done with them. Values only.

Nothing here looks at an engine or a clock, and nothing here decides.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from aegis_lib.outcome import AwareDatetime, Frozen, Report

EVENT_TYPE = "docker_health_check"
"""Event type of everything this area records in the episodic memory."""

LOCAL_ENGINE = "local"
"""Name of the engine behind the default local socket."""

Health = Literal["starting", "healthy", "unhealthy"]
EngineRestartPolicy = Literal["no", "always", "unless-stopped", "on-failure"]


class Listed(Frozen):
    """A container as the engine's list shows it.

    `up_seconds` is how long it has been up, rounded up, when that is less than two minutes; else None.
    `exit_code` stands only where the list shows one. `itself`: this process runs in it.
    """

    engine: str
    id: str
    name: str
    state: str
    health: Health | None = None
    exit_code: int | None = None
    up_seconds: int | None = None
    created_at: AwareDatetime
    labels: dict[str, str] = Field(default_factory=dict)
    itself: bool = False

    @property
    def title(self) -> str:
        """`name`, or `engine/name` for another engine than the local one."""
        return title(self.engine, self.name)


class HealthCheck(Frozen):
    """A container's own health check, with the engine's defaults filled in. Times in seconds."""

    interval_seconds: float = 30
    timeout_seconds: float = 30
    retries: int = 3
    start_period_seconds: float = 0


class Inspected(Frozen):
    """A container as its inspection shows it.

    `error` is the engine's own message when the container could not be started. `restarts` counts restarts by
    the engine since the last start by hand; `max_retries` is 0 for "no limit". Times are the engine's.
    """

    id: str
    state: str
    health: Health | None = None
    health_output: str = ""
    check: HealthCheck | None = None
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    started_at: AwareDatetime | None = None
    restarts: int = 0
    restart_policy: EngineRestartPolicy = "no"
    max_retries: int = 0
    stop_timeout_seconds: int = 10


class Condition(StrEnum):
    """What a container's state means for the protocol."""

    WELL = "well"
    SICK = "sick"
    STARTING = "starting"
    """Within its start period: neither a strike nor a sign of health."""
    RESTING = "resting"
    """Not running, and rightly so: finished, never started, or stopped by a human."""
    PAUSED = "paused"
    SHADOWED = "shadowed"
    """Sick, but so is something it depends on; only that one is counted."""
    UNKNOWN = "unknown"
    """The engine gave no answer about this one container."""


class Verdict(Frozen):
    """A condition and the sentence that explains it. `reason` may hold text from the container: untrusted."""

    condition: Condition
    reason: str = ""


class RestartRule(StrEnum):
    """What may be done to a sick container, by label `aegis.restart` or a rule in aegis.yaml."""

    ALLOW = "allow"
    NEVER = "never"
    """Never restarted; a human is called at the last strike."""
    ALERT_ONLY = "alert-only"
    """Never restarted; a human is called at the strike at which it would have been."""


class ContainerRule(Frozen):
    """One rule of `containers.rules`; the first whose patterns fit applies. Patterns are shell wildcards.

    `name` is matched with the container's name and its Compose service. What is left out comes from the
    section.
    """

    name: str = Field(min_length=1)
    engine: str = "*"
    restart: RestartRule | None = None
    strikes: int | None = Field(default=None, ge=1, le=20)
    restarts_per_day: int | None = Field(default=None, ge=0, le=100)


class ContainersConfig(Frozen):
    """The section `containers` of aegis.yaml. A container's own labels go before it.

    `strikes` (1 to 20) is the strike at which a human is called; the restart is one strike before.
    `restarts_per_day` (0 to 100) counts any 24 hours. `restarts_per_cycle` (1 to 50) bounds how many
    containers one run restarts. `healthy_cycles_to_clear` (1 to 100) healthy checks in a row end a case.
    `reminder_hours` (0 to 720; 0 = never) is the pause between messages while nobody reacts.
    `verify_max_seconds` (1 to 170) bounds the wait for health after a restart. `log_lines` (0 to 500) go into
    the message. `only_label` restricts the check to containers with that label (`name` or `name=value`).
    """

    restart: RestartRule = RestartRule.ALLOW
    strikes: int = Field(default=3, ge=1, le=20)
    restarts_per_day: int = Field(default=3, ge=0, le=100)
    restarts_per_cycle: int = Field(default=5, ge=1, le=50)
    healthy_cycles_to_clear: int = Field(default=3, ge=1, le=100)
    reminder_hours: float = Field(default=12, ge=0, le=720)
    verify_max_seconds: float = Field(default=120, ge=1, le=170)
    log_lines: int = Field(default=50, ge=0, le=500)
    only_label: str | None = Field(default=None, min_length=1)
    protected: tuple[str, ...] = (
        "aegis-scheduler*",
        "aegis-server*",
        "aegis-worker*",
        "aegis-postgres*",
        "aegis-database*",
        "aegis[-_]prefect*",
        "prefect-server*",
        "prefect-worker*",
    )
    ignore: tuple[str, ...] = ()
    rules: tuple[ContainerRule, ...] = ()


class Treatment(Frozen):
    """What the labels and the configuration say about one container.

    `protected` says why it is not restarted although the rule would allow it. `notes` tell an operator about
    labels that could not be read.
    """

    restart: RestartRule
    strikes: int
    restarts_per_day: int
    protected: str | None = None
    ignored: bool = False
    notes: tuple[str, ...] = ()

    @property
    def may_restart(self) -> bool:
        """Whether the second-to-last strike is a restart."""
        return self.restart is RestartRule.ALLOW and self.protected is None

    @property
    def escalate_at(self) -> int:
        """The strike at which a human is called."""
        return max(1, self.strikes - 1) if self.restart is RestartRule.ALERT_ONLY else self.strikes

    @property
    def withheld(self) -> str:
        """Why no restart is done, for people."""
        return f"protected: {self.protected}" if self.protected else f"policy {self.restart.value}"


class RestartOutcome(StrEnum):
    """What came of a claimed restart. None in the database: claimed and not finished."""

    RESTARTED = "restarted"
    """Done, not verified yet."""
    VERIFIED = "verified"
    STILL_SICK = "still_sick"
    UNVERIFIED = "unverified"
    """Neither healthy nor sick within the time allowed."""
    REFUSED = "refused"
    GONE = "gone"
    UNKNOWN = "unknown"
    """The engine did not answer in time; it may or may not have been done."""
    INTERRUPTED = "interrupted"
    """The process that claimed it died; it may or may not have been done."""


class RestartAnswer(Frozen):
    """What the engine answered to a restart: RESTARTED, REFUSED, GONE or UNKNOWN, and its own words."""

    outcome: RestartOutcome
    detail: str = ""


class StrikeRecord(Frozen):
    """A container's open case, a row of `container_strikes`, with what is known of its restarts.

    `first_strike_at` identifies the case. `attempts` counts restarts claimed in it, `restarts_today` those of
    the last 24 hours under this name, whatever the case. `notice_claimed_at`: someone is sending a message.
    """

    engine: str
    name: str
    container_id: str
    strikes: int
    reason: str
    first_strike_at: AwareDatetime
    last_strike_at: AwareDatetime
    healthy_cycles: int = 0
    last_healthy_at: AwareDatetime | None = None
    quarantined_at: AwareDatetime | None = None
    notice_claimed_at: AwareDatetime | None = None
    escalated_at: AwareDatetime | None = None
    reminded_at: AwareDatetime | None = None
    recovered_at: AwareDatetime | None = None
    attempts: int = 0
    restarts_today: int = 0
    last_restart_at: AwareDatetime | None = None
    last_restart_outcome: RestartOutcome | None = None

    @property
    def title(self) -> str:
        """`name`, or `engine/name` for another engine than the local one."""
        return title(self.engine, self.name)

    @property
    def key(self) -> str:
        """Identity of the case, the same in every process."""
        return f"docker:{self.engine}:{self.name}:{self.first_strike_at.isoformat()}"


class Notice(StrEnum):
    """A message to people about one case."""

    ESCALATION = "escalation"
    REMINDER = "reminder"
    RECOVERY = "recovery"


class Step(StrEnum):
    """What the protocol does next with one container."""

    NOTHING = "nothing"
    WAIT = "wait"
    STRIKE = "strike"
    RESTART = "restart"
    QUARANTINE = "quarantine"
    ESCALATE = "escalate"
    REMIND = "remind"
    COUNT_HEALTHY = "count healthy"
    CLEAR = "clear"


class Plan(Frozen):
    """A step and the words for the table that people read."""

    step: Step
    words: str = ""


class ContainerRow(Frozen):
    """One line of the table that people look at."""

    container: str
    health: str
    strikes: str = ""
    action: str = ""


class HealingReport(Report):
    """What one cycle found and did.

    `healthy` and `unhealthy` are counts, `actions_taken` the number of restart attempts, `escalations` the
    containers for which a human was called in this cycle. `problems` are what could not be done.
    """

    healthy: int = 0
    unhealthy: int = 0
    actions_taken: int = 0
    escalations: tuple[str, ...] = ()
    containers: tuple[ContainerRow, ...] = ()
    problems: tuple[str, ...] = ()
    dry_run: bool = False


def title(engine: str, name: str) -> str:
    """How people write a container: `name`, or `engine/name` for another engine than the local one."""
    return name if engine == LOCAL_ENGINE else f"{engine}/{name}"
