"""What a run of the Docker pool is made of, and whether one that was claimed may still start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from aegis_lib.errors import DependencyUnavailable
from deployments.docker_pool.guard import judge
from deployments.docker_pool.guarded_run import asked_again, due_run, over
from deployments.docker_pool.work_pool import (
    COMMAND,
    RunContainer,
    job_template,
    job_variables,
    run_container,
)
from deployments.job_variables import ClaimRules
from deployments.worker.claim_policy import DueRun

NOON = datetime(2026, 1, 25, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
JOB = uuid4()

OWN_CONTAINER = {
    "Config": {
        "Image": "aegis-scheduler:7",
        "Env": [
            "PATH=/opt/aegis/bin",
            "DOCKER_HOST=tcp://pool-proxy:2375",
            "DISCORD_BOT_TOKEN=hush",
            "POSTGRES_PASSWORD=hush",
            "AEGIS_SECRETS_DIR=/run/aegis/secrets",
            "TELEGRAM_CHAT_ID=",
            "POSTGRES_HOST=postgres",
        ],
    },
    "NetworkSettings": {"Networks": {"here_pool-engine": {}, "here_outside": {}, "here_inside": {}}},
    "Mounts": [
        {"Type": "volume", "Name": "here_secrets", "Source": "/var/lib/docker/volumes/here_secrets/_data",
         "Destination": "/run/aegis/secrets", "RW": False},
        {"Type": "bind", "Source": "/srv/aegis/config", "Destination": "/etc/aegis", "RW": False},
        {"Type": "tmpfs", "Source": "", "Destination": "/tmp", "RW": True},
        {"Type": "volume", "Name": "here_data", "Source": "/x", "Destination": "/var/lib/aegis", "RW": True},
    ],
}  # fmt: skip
STOCK: dict[str, Any] = {
    "job_configuration": {"image": "{{ image }}"},
    "variables": {
        "properties": {
            name: {"title": name}
            for name in (
                "command", "image", "image_pull_policy", "networks", "volumes", "env", "auto_remove",
                "mem_limit", "memswap_limit", "container_create_kwargs",
            )
        }
    },
}  # fmt: skip


def test_a_run_is_made_of_what_its_worker_is_made_of_less_secrets_and_the_way_to_the_engine() -> None:
    assert run_container(OWN_CONTAINER, ("pool-engine",)) == RunContainer(
        image="aegis-scheduler:7",
        networks=("here_inside", "here_outside"),
        volumes=(
            "/srv/aegis/config:/etc/aegis:ro",
            "here_secrets:/run/aegis/secrets:ro",
            "here_data:/var/lib/aegis",
        ),
        environment={
            "PATH": "/opt/aegis/bin",
            "AEGIS_SECRETS_DIR": "/run/aegis/secrets",
            "POSTGRES_HOST": "postgres",
        },
        held_back=("DISCORD_BOT_TOKEN", "POSTGRES_PASSWORD"),
    )


def test_the_pool_starts_the_guard_in_a_closed_container_and_offers_the_rules_for_late_runs() -> None:
    template = job_template(STOCK, run_container(OWN_CONTAINER, ("pool-engine",)))
    offered = template["variables"]["properties"]
    assert offered["command"]["default"] == COMMAND
    assert offered["image_pull_policy"]["default"] == "IfNotPresent"
    assert offered["auto_remove"]["default"] is True
    assert offered["mem_limit"]["default"] == offered["memswap_limit"]["default"]
    assert offered["env"]["default"]["PREFECT_API_AUTH_STRING"] is None, "not handed on by Prefect's worker"
    assert offered["container_create_kwargs"]["default"]["cap_drop"] == ["ALL"]
    assert offered["misfire_grace_seconds"]["default"] == 300
    assert "default" not in STOCK["variables"]["properties"]["command"], "the argument stays as it was"


def test_a_jobs_limits_are_said_in_the_words_of_docker() -> None:
    said = {"memory_limit_mb": 700, "misfire_grace_seconds": None, "cpu_seconds": 5}
    assert job_variables(said) == {
        "mem_limit": "700m", "memswap_limit": "700m", "misfire_grace_seconds": None,
    }  # fmt: skip


def run(minutes: int, *, by_schedule: bool = True, deployment: UUID | None = JOB) -> DueRun:
    return DueRun(
        id=uuid4(), name=f"run-{minutes}", deployment_id=deployment,
        scheduled_at=NOON + minutes * MINUTE, by_schedule=by_schedule,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("own", "waiting", "turned_away", "now", "rules", "action"),
    [
        (0, [], [], 1, {}, "claim"),
        (0, [], [], 6, {}, "misfire"),
        (0, [], [], 600, {"misfire_grace_seconds": None}, "claim"),
        (0, [5, 10], [], 12, {}, "claim"),
        (0, [], [5, 10], 12, {}, "claim"),
        (0, [5], [], 12, {}, "misfire"),
        (0, [20], [], 12, {}, "misfire"),
        (0, [5, 10], [], 12, {"coalesce": "all"}, "misfire"),
        (0, [], [], 1, {"maintenance_windows": [{"start": "11:00", "end": "13:00"}]}, "maintenance"),
    ],
    ids=(
        "on-time", "late", "however-late", "stands-for-waiting", "stands-for-refused", "all-too-late",
        "what-is-not-due-does-not-count", "each-for-itself", "maintenance",
    ),
)  # fmt: skip
def test_a_run_is_as_late_as_the_newest_it_stands_for(
    own: int, waiting: list[int], turned_away: list[int], now: int, rules: dict[str, Any], action: str
) -> None:
    judged = judge(
        run(own),
        [run(minutes) for minutes in waiting],
        [NOON + minutes * MINUTE for minutes in turned_away],
        NOON + now * MINUTE,
        ClaimRules.model_validate(rules),
    )
    assert judged.own.action == action
    assert judged.own.run.scheduled_at == NOON + own * MINUTE
    if action == "misfire":
        assert judged.others == ()


def test_what_waits_is_coalesced_into_the_run_that_starts() -> None:
    own, older, newer, later = run(0), run(-5), run(5), run(20)
    judged = judge(own, [older, newer, later], [], NOON + 6 * MINUTE, ClaimRules())
    assert [decision.run for decision in judged.others] == [newer]
    assert judged.others[0].action == "coalesce"
    assert own.name in judged.others[0].message


@pytest.mark.parametrize("own", [run(0, by_schedule=False), run(0, deployment=None)])
def test_a_run_that_no_schedule_made_always_starts(own: DueRun) -> None:
    judged = judge(own, [run(5)], [], NOON + 600 * MINUTE, ClaimRules())
    assert judged.own.action == "claim"
    assert judged.others == ()


@pytest.mark.parametrize(
    ("name", "kind", "changed", "by_schedule"),
    [
        ("Scheduled", "SCHEDULED", {}, True),
        ("Late", "SCHEDULED", {}, True),
        ("Pending", "PENDING", {}, True),
        ("Submitting", "PENDING", {}, True),
        ("InfrastructurePending", "PENDING", {}, True),
        ("AwaitingRetry", "SCHEDULED", {}, False),
        ("Pending", "PENDING", {"start_time": "2026-01-25T12:00:01Z"}, False),
        ("Pending", "PENDING", {"auto_scheduled": False}, False),
    ],
)
def test_only_a_run_of_a_schedule_that_was_never_begun_can_be_too_late(
    name: str, kind: str, changed: dict[str, Any], by_schedule: bool
) -> None:
    row = {
        "id": str(uuid4()),
        "name": "one",
        "deployment_id": str(JOB),
        "expected_start_time": "2026-01-25T12:00:00Z",
        "auto_scheduled": True,
        "start_time": None,
        "state": {"name": name, "type": kind},
    }
    assert due_run({**row, **changed}).by_schedule is by_schedule


def test_a_busy_server_is_asked_again_before_a_run_starts_without_a_judgement() -> None:
    answers: list[bool | DependencyUnavailable] = [DependencyUnavailable("Prefect server", "busy."), False]
    slept: list[float] = []

    def question() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, DependencyUnavailable):
            raise answer
        return answer

    assert asked_again(question, slept.append) is False
    assert slept == [0.5]


def test_a_server_that_never_answers_is_given_up_after_a_minute() -> None:
    slept: list[float] = []

    def question() -> bool:
        raise DependencyUnavailable("Prefect server", "away.")

    with pytest.raises(DependencyUnavailable):
        asked_again(question, slept.append)
    assert 60 <= sum(slept) <= 90


@pytest.mark.parametrize(
    ("state", "ended"),
    [
        ({"type": "PENDING", "name": "Submitting"}, False),
        ({"type": "SCHEDULED", "name": "Late"}, False),
        ({"type": "RUNNING", "name": "Running"}, False),
        ({"type": "CANCELLED", "name": "Misfired"}, True),
        ({"type": "CRASHED", "name": "Crashed"}, True),
        ({"type": "COMPLETED", "name": "Completed"}, True),
        (None, False),
    ],
)
def test_a_run_that_has_ended_is_not_begun_again(state: dict[str, str] | None, ended: bool) -> None:
    assert over({"state": state}) is ended
