"""The rules of the three-strike protocol, as pure functions. No I/O; the time is an argument."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from aegis_lib.containers.model import (
    Condition,
    ContainerRule,
    ContainersConfig,
    HealthCheck,
    Inspected,
    Listed,
    Plan,
    RestartOutcome,
    RestartRule,
    Step,
    StrikeRecord,
    Treatment,
    Verdict,
)

FRESH_SECONDS = 120
"""A container up for less than this, after restarts by the engine, is restart-looping."""
LOOPING_RESTARTS = 3
SETTLE_SECONDS = 10.0
"""A container without a health check counts as healed when it has run this long since the restart."""
CLOCK_TOLERANCE_SECONDS = 30
ATTEMPTS_PER_CASE = 2
"""One restart a case, and one more when the process died during the first."""
STOPPED_BY_SIGNAL = frozenset({128 + 1, 128 + 2, 128 + 3, 128 + 9, 128 + 15})
"""Exit codes after HUP, INT, QUIT, KILL and TERM: what `docker stop` and `docker kill` leave behind."""

SERVICE_LABEL = "com.docker.compose.service"
PROJECT_LABEL = "com.docker.compose.project"
DEPENDS_LABEL = "com.docker.compose.depends_on"
OWN_DEPENDS_LABEL = "aegis.depends-on"


def needs_inspection(listed: Listed, now: datetime) -> bool:
    """Whether the list alone does not tell how the container is.

    The list lacks the restart policy, the out-of-memory flag, the number of restarts and the health log.
    """
    if listed.state in {"paused", "created", "removing"}:
        return False
    if listed.state == "exited":
        return listed.exit_code != 0
    if listed.state == "running":
        return listed.health in {"unhealthy", "starting"} or (
            listed.up_seconds is not None
            and listed.created_at < now - timedelta(seconds=listed.up_seconds + CLOCK_TOLERANCE_SECONDS)
        )
    return True


def judge(listed: Listed, inspected: Inspected | None, now: datetime) -> Verdict:
    """How a container is. `inspected` is None where the list was enough."""
    state = inspected.state if inspected else listed.state
    if state == "paused":
        return Verdict(condition=Condition.PAUSED, reason="paused")
    if inspected is None:
        if state == "running":
            return Verdict(condition=Condition.WELL, reason=listed.health or "running")
        return Verdict(condition=Condition.RESTING, reason="finished" if state == "exited" else state)
    if state == "dead":
        return _sick("dead: the engine could not remove it")
    if state == "restarting":
        return _sick(
            f"restart-looping: restarted {_times(inspected.restarts)} by the engine{_ending(inspected)}"
        )
    if state == "running":
        return _judge_running(inspected, now)
    return _judge_stopped(inspected)


def _judge_running(found: Inspected, now: datetime) -> Verdict:
    if found.health == "unhealthy":
        return _sick("its health check fails")
    recent = found.started_at is not None and found.started_at > now - timedelta(seconds=FRESH_SECONDS)
    if recent and found.restarts >= LOOPING_RESTARTS:
        return _sick(
            f"restart-looping: restarted {_times(found.restarts)} by the engine, now up for a moment"
        )
    if found.health == "starting":
        allowed = start_seconds(found.check or HealthCheck()) + CLOCK_TOLERANCE_SECONDS
        if found.started_at is not None and now > found.started_at + timedelta(seconds=allowed):
            return _sick(f"still starting after {allowed:.0f} s, longer than its own health check allows")
        return Verdict(condition=Condition.STARTING, reason="starting")
    return Verdict(condition=Condition.WELL, reason=found.health or "running")


def _judge_stopped(found: Inspected) -> Verdict:
    """A stopped container is sick only if the engine gave up on it; docs/containers.md says why."""
    if found.exit_code == 0 and not found.error:
        return Verdict(condition=Condition.RESTING, reason="finished")
    if found.restart_policy == "no":
        return Verdict(condition=Condition.RESTING, reason=f"ended{_ending(found)}, not to be restarted")
    if found.error:
        return _sick("the engine could not start it")
    gave_up = 0 < found.max_retries <= found.restarts
    by_hand = found.exit_code in STOPPED_BY_SIGNAL and not found.oom_killed
    if found.restart_policy == "on-failure" and gave_up and not by_hand:
        return _sick(f"the engine gave up after {_times(found.restarts)}{_ending(found)}")
    return Verdict(condition=Condition.RESTING, reason="stopped on purpose")


def _sick(reason: str) -> Verdict:
    return Verdict(condition=Condition.SICK, reason=reason)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _ending(found: Inspected) -> str:
    return f", exit code {found.exit_code}" + (" (out of memory)" if found.oom_killed else "")


def treatment(listed: Listed, config: ContainersConfig, own_names: Collection[str] = ()) -> Treatment:
    """What may be done to a container: its labels first, then the first rule that fits, then the section.

    `own_names` are host names of the parts of this installation, such as the database's.
    """
    rule = next(
        (r for r in config.rules if _fits(listed, r.name) and fnmatchcase(listed.engine, r.engine)), None
    )
    notes: list[str] = []
    restart, told = _restart_rule(listed, rule, config, notes)
    strikes = (rule.strikes if rule else None) or config.strikes
    if (label := listed.labels.get("aegis.strikes")) is not None:
        if label.strip().isdecimal() and 1 <= int(label) <= 20:
            strikes = int(label)
        else:
            notes.append(f"label aegis.strikes={label!r} is not a number from 1 to 20 and is not used")
    per_day = config.restarts_per_day
    if rule is not None and rule.restarts_per_day is not None:
        per_day = rule.restarts_per_day
    return Treatment(
        restart=restart,
        strikes=strikes,
        restarts_per_day=per_day,
        protected=None if told else _protection(listed, config, own_names),
        ignored=_true(listed.labels.get("aegis.ignore")) or any(_fits(listed, p) for p in config.ignore),
        notes=tuple(notes),
    )


def _restart_rule(
    listed: Listed, rule: ContainerRule | None, config: ContainersConfig, notes: list[str]
) -> tuple[RestartRule, bool]:
    """The rule, and whether somebody said about this very container that it may be restarted."""
    label = listed.labels.get("aegis.restart")
    if label is not None:
        if label.strip().lower() in set(RestartRule):
            chosen = RestartRule(label.strip().lower())
            return chosen, chosen is RestartRule.ALLOW
        notes.append(f"label aegis.restart={label!r} is none of allow, never, alert-only; taken as never")
        return RestartRule.NEVER, False
    if (autoheal := listed.labels.get("autoheal")) is not None:
        return (RestartRule.ALLOW if _true(autoheal) else RestartRule.NEVER), False
    if rule is not None and rule.restart is not None:
        return rule.restart, rule.restart is RestartRule.ALLOW and rule.name == listed.name
    return config.restart, False


def _protection(listed: Listed, config: ContainersConfig, own_names: Collection[str]) -> str | None:
    if listed.itself:
        return "this job runs in it"
    if role := listed.labels.get("aegis.role"):
        return f"part of Aegis ({role})"
    if {listed.name, listed.labels.get(SERVICE_LABEL)} & set(own_names):
        return "Aegis depends on it"
    pattern = next((p for p in config.protected if _fits(listed, p)), None)
    return f"its name fits {pattern}" if pattern else None


def _fits(listed: Listed, pattern: str) -> bool:
    names = (listed.name, listed.labels.get(SERVICE_LABEL) or listed.name)
    return any(fnmatchcase(name, pattern) for name in names)


def _true(label: str | None) -> bool:
    return label is not None and label.strip().lower() in {"true", "1", "yes", "on"}


def shadows(found: Sequence[tuple[Listed, Verdict]]) -> dict[str, tuple[str, ...]]:
    """Sick containers that depend on a sick one: container id -> names of the sick ones behind it.

    Dependencies come from Compose's labels and from `aegis.depends-on`, within one engine. A dependency with
    several replicas counts as sick when all of them are. Containers that depend on each other shadow nobody.
    """
    sick = {c.id: c for c, verdict in found if verdict.condition is Condition.SICK}
    behind = {c.id: _sick_dependencies(c, found, sick) for c in sick.values()}
    reach = {start: _reachable(start, behind) for start in sick}
    result: dict[str, tuple[str, ...]] = {}
    for start, reached in reach.items():
        causes = [other for other in reached if start not in reach[other]]
        if causes:
            result[start] = tuple(sorted(sick[cause].name for cause in causes))
    return result


def _sick_dependencies(
    container: Listed, found: Sequence[tuple[Listed, Verdict]], sick: Mapping[str, Listed]
) -> set[str]:
    needed: list[list[Listed]] = []
    project = container.labels.get(PROJECT_LABEL)
    if project:
        for service in _names(container.labels.get(DEPENDS_LABEL, "")):
            needed.append([c for c, _ in found if _is_service(c, project, service)])
    for name in _names(container.labels.get(OWN_DEPENDS_LABEL, "")):
        same = [c for c, _ in found if c.name == name]
        needed.append(same or [c for c, _ in found if project and _is_service(c, project, name)])
    return {
        replica.id
        for replicas in needed
        if replicas and all(replica.id in sick for replica in replicas)
        for replica in replicas
        if replica.id != container.id
    }


def _is_service(container: Listed, project: str, service: str) -> bool:
    return container.labels.get(PROJECT_LABEL) == project and container.labels.get(SERVICE_LABEL) == service


def _names(label: str) -> list[str]:
    """`db:service_healthy:false,cache` -> db, cache."""
    return [name for part in label.split(",") if (name := part.split(":")[0].strip())]


def _reachable(start: str, edges: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(edges[start])
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += edges[node]
    return seen


def plan_sick(
    listed: Listed,
    record: StrikeRecord | None,
    rule: Treatment,
    config: ContainersConfig,
    now: datetime,
    *,
    strike_interval: timedelta,
    lease: timedelta,
) -> Plan:
    """The next step for a sick container.

    `strike_interval` is the age that the last strike must have before another counts; `lease` is the time
    after which a claimed but unfinished action counts as abandoned.
    """
    if record is None or record.container_id != listed.id or record.recovered_at is not None:
        return Plan(step=Step.STRIKE)
    if record.quarantined_at is not None or record.strikes >= rule.escalate_at:
        return _plan_waiting(record, config, now)
    unfinished = record.last_restart_outcome in {None, RestartOutcome.RESTARTED}
    if record.attempts and record.last_restart_at and unfinished and record.last_restart_at > now - lease:
        return Plan(step=Step.WAIT, words="a restart is under way")
    if rule.may_restart and record.strikes >= rule.escalate_at - 1 and _restart_owed(record):
        if record.restarts_today >= rule.restarts_per_day:
            return Plan(
                step=Step.QUARANTINE, words=f"restarted {record.restarts_today}x in 24 h: quarantined"
            )
        return Plan(step=Step.RESTART)
    if record.last_strike_at <= now - strike_interval:
        return Plan(step=Step.STRIKE)
    return Plan(step=Step.WAIT, words="strike already counted")


def _restart_owed(record: StrikeRecord) -> bool:
    """Not restarted in this case yet, or the process that was about to has died."""
    abandoned = record.last_restart_outcome in {None, RestartOutcome.INTERRUPTED}
    return record.attempts == 0 or (abandoned and record.attempts < ATTEMPTS_PER_CASE)


def _plan_waiting(record: StrikeRecord, config: ContainersConfig, now: datetime) -> Plan:
    if record.escalated_at is None:
        return Plan(step=Step.ESCALATE)
    told = record.reminded_at or record.escalated_at
    if config.reminder_hours and told <= now - timedelta(hours=config.reminder_hours):
        return Plan(step=Step.REMIND)
    return Plan(step=Step.WAIT, words="waiting for a human")


def plan_well(
    listed: Listed,
    record: StrikeRecord | None,
    config: ContainersConfig,
    now: datetime,
    strike_interval: timedelta,
) -> Plan:
    """The next step for a container that is well or rightly stopped."""
    if record is None:
        return Plan(step=Step.NOTHING)
    if record.container_id != listed.id:
        return Plan(step=Step.CLEAR, words="recreated: strikes forgotten")
    if record.recovered_at is not None:
        return Plan(step=Step.CLEAR, words="recovered")
    if record.last_healthy_at is not None and record.last_healthy_at > now - strike_interval:
        return Plan(step=Step.WAIT, words="healthy cycle already counted")
    return Plan(step=Step.COUNT_HEALTHY)


def start_seconds(check: HealthCheck) -> float:
    """The longest time after which a health check of its own has come to a result."""
    return check.start_period_seconds + check.retries * (check.interval_seconds + check.timeout_seconds)


def verification_seconds(before: Inspected, config: ContainersConfig) -> float:
    """How long to wait for health after a restart: its own limits, at most `verify_max_seconds`."""
    own = start_seconds(before.check) if before.check else SETTLE_SECONDS
    return min(own, config.verify_max_seconds)


def verified(
    before: Inspected, found: Inspected | None, waited_seconds: float, allowed_seconds: float
) -> RestartOutcome | None:
    """What a look at a restarted container says; None: look again.

    `before` is the inspection before the restart, `found` the present one, None when the container is gone.
    """
    if found is None:
        return RestartOutcome.GONE
    over = waited_seconds >= allowed_seconds
    if found.started_at == before.started_at:
        return RestartOutcome.STILL_SICK if over else None
    if found.state != "running" or found.restarts or found.health == "unhealthy":
        return RestartOutcome.STILL_SICK
    if found.health == "healthy" or (found.health is None and over):
        return RestartOutcome.VERIFIED
    return RestartOutcome.UNVERIFIED if over else None
