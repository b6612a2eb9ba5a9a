"""The rules of the three-strike protocol, as tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aegis_lib.containers import policy
from aegis_lib.containers.model import (
    Condition,
    ContainerRule,
    ContainersConfig,
    HealthCheck,
    Inspected,
    Listed,
    RestartOutcome,
    RestartRule,
    Step,
    StrikeRecord,
    Treatment,
    Verdict,
)

NOW = datetime(2026, 1, 25, 6, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=3)
INTERVAL = timedelta(seconds=240)
LEASE = timedelta(seconds=240)
QUICK = HealthCheck(interval_seconds=1, timeout_seconds=1, retries=3, start_period_seconds=10)


def listed(**changes: Any) -> Listed:
    usual = {"engine": "local", "id": "abc", "name": "web", "state": "running", "created_at": LONG_AGO}
    return Listed(**{**usual, **changes})


def seen(**changes: Any) -> Inspected:
    return Inspected(**{"id": "abc", "state": "running", "started_at": LONG_AGO, **changes})


def case(**changes: Any) -> StrikeRecord:
    usual = {
        "engine": "local", "name": "web", "container_id": "abc", "strikes": 1, "reason": "sick",
        "first_strike_at": NOW - timedelta(seconds=300), "last_strike_at": NOW - timedelta(seconds=300),
    }  # fmt: skip
    return StrikeRecord(**{**usual, **changes})


def tried(outcome: str, at: datetime, **changes: Any) -> StrikeRecord:
    """A case at its second strike, restarted once."""
    return case(strikes=2, attempts=1, last_restart_at=at, last_restart_outcome=outcome, **changes)


@pytest.mark.parametrize(
    ("entry", "needed"),
    [
        ({"health": "healthy"}, False),
        ({}, False),
        ({"health": "unhealthy"}, True),
        ({"health": "starting"}, True),
        ({"up_seconds": 20}, True),  # made days ago, up for seconds: has restarted
        ({"up_seconds": 20, "health": "healthy"}, True),
        ({"up_seconds": 20, "created_at": NOW - timedelta(seconds=21)}, False),  # its first start
        ({"state": "paused"}, False),
        ({"state": "created"}, False),
        ({"state": "removing"}, False),
        ({"state": "exited", "exit_code": 0}, False),
        ({"state": "exited", "exit_code": 1}, True),
        ({"state": "exited"}, True),
        ({"state": "restarting"}, True),
        ({"state": "dead"}, True),
        ({"state": "a state of the future"}, True),
    ],
)
def test_only_a_list_entry_that_does_not_tell_enough_is_inspected(
    entry: dict[str, Any], needed: bool
) -> None:
    assert policy.needs_inspection(listed(**entry), NOW) is needed


@pytest.mark.parametrize(
    ("found", "condition", "words"),
    [
        ({"health": "unhealthy"}, Condition.SICK, "its health check fails"),
        ({"health": "healthy"}, Condition.WELL, "healthy"),
        ({}, Condition.WELL, "running"),
        ({"state": "paused"}, Condition.PAUSED, "paused"),
        ({"state": "dead"}, Condition.SICK, "dead"),
        (
            {"state": "restarting", "restarts": 7, "exit_code": 3},
            Condition.SICK,
            "7 times by the engine, exit code 3",
        ),
        ({"state": "restarting", "exit_code": 137, "oom_killed": True}, Condition.SICK, "out of memory"),
        ({"restarts": 3, "started_at": NOW - timedelta(seconds=5)}, Condition.SICK, "restart-looping"),
        ({"restarts": 2, "started_at": NOW - timedelta(seconds=5)}, Condition.WELL, "running"),
        ({"restarts": 50, "started_at": NOW - timedelta(seconds=121)}, Condition.WELL, "running"),
        (
            {"restarts": 3, "started_at": NOW, "health": "starting", "check": QUICK},
            Condition.SICK,
            "restart-looping",
        ),
        (
            {"health": "starting", "check": QUICK, "started_at": NOW - timedelta(seconds=9)},
            Condition.STARTING,
            "",
        ),
        # 10 s start period + 3 x (1 s + 1 s) + 30 s tolerance
        (
            {"health": "starting", "check": QUICK, "started_at": NOW - timedelta(seconds=46)},
            Condition.STARTING,
            "",
        ),
        (
            {"health": "starting", "check": QUICK, "started_at": NOW - timedelta(seconds=47)},
            Condition.SICK,
            "46 s",
        ),
    ],
)
def test_a_running_container_is_judged(found: dict[str, Any], condition: Condition, words: str) -> None:
    verdict = policy.judge(listed(health="unhealthy"), seen(**found), NOW)
    assert verdict.condition is condition
    assert words in verdict.reason


@pytest.mark.parametrize(
    ("found", "condition", "words"),
    [
        ({"exit_code": 0, "restart_policy": "always"}, Condition.RESTING, "finished"),
        ({"exit_code": 3, "restart_policy": "no"}, Condition.RESTING, "not to be restarted"),
        ({"exit_code": 137, "oom_killed": True, "restart_policy": "no"}, Condition.RESTING, "out of memory"),
        # The engine restarts these by itself, whatever the exit code: found stopped, somebody stopped them.
        ({"exit_code": 137, "restart_policy": "unless-stopped"}, Condition.RESTING, "stopped on purpose"),
        ({"exit_code": 143, "restart_policy": "always"}, Condition.RESTING, "stopped on purpose"),
        ({"exit_code": 1, "restart_policy": "always"}, Condition.RESTING, "stopped on purpose"),
        (
            {"exit_code": 128, "restart_policy": "always", "error": "port taken"},
            Condition.SICK,
            "could not start it",
        ),
        (
            {"exit_code": 0, "restart_policy": "always", "error": "port taken"},
            Condition.SICK,
            "could not start it",
        ),
        ({"exit_code": 3, "restart_policy": "on-failure"}, Condition.RESTING, "stopped on purpose"),
        (
            {"exit_code": 3, "restart_policy": "on-failure", "max_retries": 2, "restarts": 1},
            Condition.RESTING,
            "",
        ),
        (
            {"exit_code": 3, "restart_policy": "on-failure", "max_retries": 2, "restarts": 2},
            Condition.SICK,
            "gave up",
        ),
        (
            {"exit_code": 143, "restart_policy": "on-failure", "max_retries": 2, "restarts": 2},
            Condition.RESTING,
            "",
        ),
        (
            {"exit_code": 137, "restart_policy": "on-failure", "max_retries": 2, "restarts": 2},
            Condition.RESTING,
            "",
        ),
        (
            {
                "exit_code": 137,
                "restart_policy": "on-failure",
                "max_retries": 2,
                "restarts": 2,
                "oom_killed": True,
            },
            Condition.SICK,
            "out of memory",
        ),
    ],
)
def test_a_stopped_container_is_judged(found: dict[str, Any], condition: Condition, words: str) -> None:
    verdict = policy.judge(listed(state="exited", exit_code=1), seen(state="exited", **found), NOW)
    assert verdict.condition is condition
    assert words in verdict.reason


@pytest.mark.parametrize(
    ("entry", "condition"),
    [
        ({"health": "healthy"}, Condition.WELL),
        ({}, Condition.WELL),
        ({"state": "paused"}, Condition.PAUSED),
        ({"state": "created"}, Condition.RESTING),
        ({"state": "exited", "exit_code": 0}, Condition.RESTING),
    ],
)
def test_the_list_alone_is_enough_for_a_plain_case(entry: dict[str, Any], condition: Condition) -> None:
    assert policy.judge(listed(**entry), None, NOW).condition is condition


RULES = ContainersConfig(
    rules=(
        ContainerRule(name="web-*", restart=RestartRule.NEVER),
        ContainerRule(name="db", engine="nas", restart=RestartRule.ALERT_ONLY, strikes=5),
        ContainerRule(name="aegis-worker", restart=RestartRule.ALLOW, restarts_per_day=1),
        ContainerRule(name="aegis-*", restart=RestartRule.ALLOW),
    ),
    ignore=("ci-*",),
)


@pytest.mark.parametrize(
    ("changes", "restart", "may_restart", "escalate_at"),
    [
        ({}, RestartRule.ALLOW, True, 3),
        ({"labels": {"aegis.restart": "never"}}, RestartRule.NEVER, False, 3),
        ({"labels": {"aegis.restart": "alert-only"}}, RestartRule.ALERT_ONLY, False, 2),
        ({"labels": {"aegis.restart": "alert-only", "aegis.strikes": "1"}}, RestartRule.ALERT_ONLY, False, 1),
        ({"labels": {"aegis.restart": " Allow "}, "name": "web-1"}, RestartRule.ALLOW, True, 3),
        ({"labels": {"aegis.restart": "yes please"}}, RestartRule.NEVER, False, 3),
        ({"labels": {"aegis.strikes": "5"}}, RestartRule.ALLOW, True, 5),
        ({"labels": {"aegis.strikes": "0"}}, RestartRule.ALLOW, True, 3),
        ({"labels": {"aegis.strikes": "many"}}, RestartRule.ALLOW, True, 3),
        ({"labels": {"autoheal": "true"}, "name": "web-1"}, RestartRule.ALLOW, True, 3),
        ({"labels": {"autoheal": "false"}}, RestartRule.NEVER, False, 3),
        ({"labels": {"autoheal": "true", "aegis.restart": "never"}}, RestartRule.NEVER, False, 3),
        ({"name": "web-1"}, RestartRule.NEVER, False, 3),
        ({"name": "x-web-1-1", "labels": {policy.SERVICE_LABEL: "web-1"}}, RestartRule.NEVER, False, 3),
        ({"name": "db"}, RestartRule.ALLOW, True, 3),
        ({"name": "db", "engine": "nas"}, RestartRule.ALERT_ONLY, False, 4),
    ],
)
def test_labels_go_before_rules_and_rules_before_the_section(
    changes: dict[str, Any], restart: RestartRule, may_restart: bool, escalate_at: int
) -> None:
    rule = policy.treatment(listed(**changes), RULES)
    assert (rule.restart, rule.may_restart, rule.escalate_at) == (restart, may_restart, escalate_at)


@pytest.mark.parametrize(
    ("changes", "protected"),
    [
        ({"itself": True}, True),
        ({"labels": {"aegis.role": "database"}}, True),
        ({"name": "aegis-server"}, True),
        ({"name": "stack-server-1", "labels": {policy.SERVICE_LABEL: "prefect-server"}}, True),
        ({"name": "pg.internal"}, True),
        ({"name": "web"}, False),
        ({"name": "postgres"}, False),
        # told to: by its own label, or by a rule with its exact name
        ({"itself": True, "labels": {"aegis.restart": "allow"}}, False),
        ({"name": "aegis-worker"}, False),
        # not told to: a wildcard rule, another tool's label
        ({"name": "aegis-server", "labels": {"autoheal": "true"}}, True),
    ],
)
def test_parts_of_aegis_are_restarted_only_when_told_to(changes: dict[str, Any], protected: bool) -> None:
    rule = policy.treatment(listed(**changes), RULES, own_names={"pg.internal"})
    assert rule.may_restart is not protected
    assert (rule.protected is not None) is protected


def test_a_label_that_cannot_be_read_is_said() -> None:
    labels = {"aegis.restart": "perhaps", "aegis.strikes": "²"}
    notes = policy.treatment(listed(labels=labels), ContainersConfig()).notes
    assert ["aegis.strikes" in note or "aegis.restart" in note for note in notes] == [True, True]


@pytest.mark.parametrize(
    ("changes", "ignored"),
    [
        ({}, False),
        ({"name": "ci-7"}, True),
        ({"labels": {"aegis.ignore": "true"}}, True),
        ({"labels": {"aegis.ignore": "no"}}, False),
    ],
)
def test_containers_can_be_ignored(changes: dict[str, Any], ignored: bool) -> None:
    assert policy.treatment(listed(**changes), RULES).ignored is ignored


def compose(service: str, needs: str = "", project: str = "shop", number: int = 1) -> Listed:
    labels = {policy.PROJECT_LABEL: project, policy.SERVICE_LABEL: service, policy.DEPENDS_LABEL: needs}
    name = f"{project}-{service}-{number}"
    return listed(id=name, name=name, labels=labels)


def shadows(*found: tuple[Listed, bool]) -> dict[str, tuple[str, ...]]:
    states = {True: Verdict(condition=Condition.SICK), False: Verdict(condition=Condition.WELL)}
    return policy.shadows([(container, states[sick]) for container, sick in found])


DB, CACHE = compose("db"), compose("cache", "db:service_started:false")
APP = compose("app", "cache:service_healthy:true,db:service_healthy:false")


def test_dependents_of_a_sick_container_are_not_counted_through_any_number_of_steps() -> None:
    assert shadows((APP, True), (CACHE, True), (DB, True)) == {
        CACHE.id: (DB.name,),
        APP.id: (CACHE.name, DB.name),
    }


def test_a_sick_container_whose_dependencies_are_well_is_counted() -> None:
    assert shadows((APP, True), (CACHE, False), (DB, False)) == {}


def test_the_same_service_of_another_project_shadows_nobody() -> None:
    assert shadows((APP, True), (compose("db", project="blog"), True)) == {}


def test_a_dependency_is_sick_only_when_all_its_replicas_are() -> None:
    second = compose("db", number=2)
    assert shadows((CACHE, True), (DB, True), (second, False)) == {}
    assert shadows((CACHE, True), (DB, True), (second, True)) == {CACHE.id: (DB.name, second.name)}


def test_containers_that_depend_on_each_other_are_both_counted() -> None:
    one = listed(id="1", name="one", labels={policy.OWN_DEPENDS_LABEL: "two"})
    two = listed(id="2", name="two", labels={policy.OWN_DEPENDS_LABEL: "one"})
    assert shadows((one, True), (two, True)) == {}
    three = listed(id="3", name="three", labels={policy.OWN_DEPENDS_LABEL: " one , nobody"})
    assert shadows((one, True), (two, True), (three, True)) == {"3": ("one", "two")}


def test_a_container_that_names_itself_is_counted() -> None:
    one = listed(id="1", name="one", labels={policy.OWN_DEPENDS_LABEL: "one"})
    assert shadows((one, True)) == {}


ALLOWED = Treatment(restart=RestartRule.ALLOW, strikes=3, restarts_per_day=3)
AGES_AGO = NOW - timedelta(hours=30)
RECENT = NOW - timedelta(seconds=100)


@pytest.mark.parametrize(
    ("record", "rule", "step"),
    [
        (None, {}, Step.STRIKE),
        (case(container_id="recreated"), {}, Step.STRIKE),
        (case(recovered_at=RECENT, strikes=3), {}, Step.STRIKE),
        (case(), {}, Step.STRIKE),
        (case(last_strike_at=RECENT), {}, Step.WAIT),
        (case(strikes=2, last_strike_at=RECENT), {}, Step.RESTART),
        (case(strikes=2), {}, Step.RESTART),  # the process died between strike and claim
        (case(strikes=2), {"restart": RestartRule.NEVER}, Step.STRIKE),
        (case(strikes=2), {"restart": RestartRule.ALERT_ONLY}, Step.ESCALATE),
        (case(strikes=2), {"protected": "it is the database"}, Step.STRIKE),
        (case(strikes=2), {"strikes": 5}, Step.STRIKE),
        (case(strikes=4), {"strikes": 5}, Step.RESTART),
        (case(strikes=1), {"strikes": 1}, Step.ESCALATE),
        (case(strikes=1), {"strikes": 2}, Step.RESTART),
        (case(strikes=2, restarts_today=3), {}, Step.QUARANTINE),
        (case(strikes=2, restarts_today=2), {}, Step.RESTART),
        (case(strikes=2), {"restarts_per_day": 0}, Step.QUARANTINE),
        (case(strikes=2, quarantined_at=RECENT), {}, Step.ESCALATE),
        # a restart claimed by somebody who is still at it, or who died
        (case(strikes=2, attempts=1, last_restart_at=RECENT), {}, Step.WAIT),
        (tried("restarted", RECENT), {}, Step.WAIT),
        (case(strikes=2, attempts=1, last_restart_at=AGES_AGO), {}, Step.RESTART),
        (tried("interrupted", RECENT), {}, Step.RESTART),
        (case(strikes=2, attempts=2, last_restart_at=AGES_AGO), {}, Step.STRIKE),
        # restarted already: the third strike is the human's
        (tried("still_sick", RECENT), {}, Step.STRIKE),
        (tried("restarted", AGES_AGO), {}, Step.STRIKE),
        (tried("verified", RECENT, last_strike_at=RECENT), {}, Step.WAIT),
        (case(strikes=3), {}, Step.ESCALATE),
        (case(strikes=3, escalated_at=RECENT), {}, Step.WAIT),
        (case(strikes=3, escalated_at=AGES_AGO), {}, Step.REMIND),
        (case(strikes=3, escalated_at=AGES_AGO, reminded_at=RECENT), {}, Step.WAIT),
        (case(strikes=3, escalated_at=AGES_AGO, reminded_at=AGES_AGO), {}, Step.REMIND),
    ],
)  # fmt: skip
def test_the_next_step_for_a_sick_container(
    record: StrikeRecord | None, rule: dict[str, Any], step: Step
) -> None:
    plan = policy.plan_sick(
        listed(), record, ALLOWED.model_copy(update=rule), ContainersConfig(), NOW,
        strike_interval=INTERVAL, lease=LEASE,
    )  # fmt: skip
    assert plan.step is step


def test_no_reminder_is_sent_where_none_is_wanted() -> None:
    plan = policy.plan_sick(
        listed(), case(strikes=3, escalated_at=AGES_AGO), ALLOWED, ContainersConfig(reminder_hours=0), NOW,
        strike_interval=INTERVAL, lease=LEASE,
    )  # fmt: skip
    assert plan.step is Step.WAIT


@pytest.mark.parametrize(
    ("record", "step"),
    [
        (None, Step.NOTHING),
        (case(), Step.COUNT_HEALTHY),
        (case(last_healthy_at=RECENT), Step.WAIT),
        (case(last_healthy_at=AGES_AGO), Step.COUNT_HEALTHY),
        (case(container_id="earlier"), Step.CLEAR),
        (case(recovered_at=RECENT), Step.CLEAR),
    ],
)
def test_the_next_step_for_a_well_container(record: StrikeRecord | None, step: Step) -> None:
    assert policy.plan_well(listed(), record, ContainersConfig(), NOW, INTERVAL).step is step


@pytest.mark.parametrize(
    ("check", "longest", "seconds"),
    [(None, 120, 10), (None, 2, 2), (QUICK, 120, 16), (QUICK, 5, 5), (HealthCheck(), 120, 120)],
)
def test_a_restart_is_verified_within_the_containers_own_limits(
    check: HealthCheck | None, longest: float, seconds: float
) -> None:
    config = ContainersConfig(verify_max_seconds=longest)
    assert policy.verification_seconds(seen(check=check), config) == seconds


@pytest.mark.parametrize(
    ("found", "waited", "outcome"),
    [
        (None, 1, RestartOutcome.GONE),
        (seen(), 1, None),  # not restarted yet
        (seen(), 10, RestartOutcome.STILL_SICK),
        (seen(started_at=NOW, health="starting"), 9, None),
        (seen(started_at=NOW, health="starting"), 10, RestartOutcome.UNVERIFIED),
        (seen(started_at=NOW, health="healthy"), 1, RestartOutcome.VERIFIED),
        (seen(started_at=NOW, health="unhealthy"), 1, RestartOutcome.STILL_SICK),
        (seen(started_at=NOW), 9, None),
        (seen(started_at=NOW), 10, RestartOutcome.VERIFIED),
        (seen(started_at=NOW, restarts=1), 1, RestartOutcome.STILL_SICK),
        (seen(started_at=NOW, state="restarting"), 1, RestartOutcome.STILL_SICK),
        (seen(started_at=NOW, state="exited", exit_code=1), 1, RestartOutcome.STILL_SICK),
    ],
)
def test_a_look_at_a_restarted_container(
    found: Inspected | None, waited: float, outcome: RestartOutcome | None
) -> None:
    assert policy.verified(seen(), found, waited, 10) is outcome
