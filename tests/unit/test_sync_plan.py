"""The comparison behind a deploy, as values: what would be sent, and what is left alone."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from deployments import automations
from deployments.catalogue import ConcurrencyLimit, CronSchedule, IntervalSchedule, Job
from deployments.flow_facts import FlowFacts
from deployments.pools import DOCKER_POOL, WORK_POOL
from deployments.sync_plan import FieldChange, Pruning, SyncPlan, compare, wanted_fields
from deployments.work_pool import PoolChange

ROOT = "/srv/aegis"
NAME = "site-check/site-check"
FACTS = FlowFacts(
    flow_name="site-check",
    description="Look.",
    parameter_schema={"type": "object", "properties": {"dry_run": {"type": "boolean", "default": True}}},
    version="abc",
)
JOB = Job(
    id="site_check",
    deployment_name="site-check",
    entrypoint="flows/site_check.py:site_check",
    description="Look.",
    schedules=(
        IntervalSchedule(
            slug="often", interval_seconds=300, anchor_date=datetime(2025, 1, 1, 0, 0, 10, tzinfo=UTC)
        ),
        CronSchedule(slug="nightly", cron="15 3 * * *"),
    ),
    parameters={"dry_run": False},
    tags=("aegis", "sites"),
    concurrency_limit=ConcurrencyLimit(limit=1, collision_strategy="CANCEL_NEW", grace_period_seconds=60),
    work_pool="aegis",
    line=1,
)


def on_server(**changes: Any) -> dict[str, Any]:
    """The job as a server answers it after a deploy."""
    fields = wanted_fields(JOB, FACTS, ROOT)
    fields["concurrency_limit"] = None
    schedules: list[dict[str, Any]] = [
        {"id": f"schedule-{schedule.slug}", "slug": schedule.slug, "active": True, "parameters": {},
         "max_scheduled_runs": None, "schedule": schedule.payload()}
        for schedule in JOB.schedules
    ]  # fmt: skip
    return {
        **fields,
        "id": "one",
        "name": "site-check",
        "flow_name": "site-check",
        "version": "of somebody else",
        "paused": False,
        "global_concurrency_limit": {"limit": 1, "active_slots": 1},
        "schedules": schedules,
        **changes,
    }


def plan_for(*existing: dict[str, Any], jobs: tuple[Job, ...] = (JOB,)) -> SyncPlan:
    return compare(jobs, {"site_check": FACTS}, existing, ROOT)


def with_schedule(index: int, **changes: Any) -> dict[str, Any]:
    row = on_server()
    row["schedules"][index] = {**row["schedules"][index], **changes}
    return row


def test_a_deployed_job_is_unchanged() -> None:
    planned = plan_for(on_server())

    assert planned.unchanged == (NAME,)
    assert planned.is_empty
    assert planned.lines() == ()


def test_a_new_job_is_created_with_all_it_needs() -> None:
    (creation,) = plan_for().created

    assert (creation.name, creation.flow_name) == (NAME, "site-check")
    assert creation.payload["name"] == "site-check"
    assert creation.payload["concurrency_limit"] == 1
    assert creation.payload["concurrency_options"] == {
        "collision_strategy": "CANCEL_NEW",
        "grace_period_seconds": 60,
    }
    assert creation.payload["pull_steps"] == [
        {"prefect.deployments.steps.set_working_directory": {"directory": ROOT}}
    ]
    assert [schedule["slug"] for schedule in creation.payload["schedules"]] == ["often", "nightly"]
    assert not {"paused", "active"} & set(creation.payload)
    assert all("active" not in schedule for schedule in creation.payload["schedules"])


def test_a_job_on_the_docker_pool_stays_there_until_it_is_put_back() -> None:
    limited = JOB.model_copy(update={"job_variables": {"memory_limit_mb": 300, "cpu_seconds": 5}})

    def planned(row: dict[str, Any], pool: str | None = None) -> SyncPlan:
        pools = {JOB.id: pool} if pool else None
        return compare((limited,), {JOB.id: FACTS}, [row], ROOT, pools)

    at_home = on_server(job_variables=limited.job_variables)
    (change,) = planned(at_home, DOCKER_POOL).changed
    assert change.patch["work_pool_name"] == DOCKER_POOL
    assert change.patch["work_queue_name"] == "default"
    assert change.patch["job_variables"] == {"mem_limit": "300m", "memswap_limit": "300m"}
    assert change.patch["pull_steps"] == [
        {"prefect.deployments.steps.set_working_directory": {"directory": "/app"}}
    ]

    moved = {**at_home, **change.patch}
    assert planned(moved).is_empty
    (back,) = planned(moved, WORK_POOL).changed
    assert {**moved, **back.patch, "version": at_home["version"]} == at_home


@pytest.mark.parametrize(
    ("field", "before"),
    [
        ("description", "Old."),
        ("parameters", {}),
        ("parameter_openapi_schema", {"type": "object", "properties": {}}),
        ("enforce_parameter_schema", False),
        ("tags", ["aegis"]),
        ("entrypoint", "flows/old.py:old"),
        ("path", "/somewhere"),
        ("pull_steps", None),
        ("job_variables", {"env": {"A": "b"}}),
        ("concurrency_options", None),
    ],
)
def test_each_field_that_differs_is_shown_and_sent_alone(field: str, before: Any) -> None:
    (change,) = plan_for(on_server(**{field: before})).changed

    assert [(found.field, found.before) for found in change.fields] == [(field, before)]
    assert set(change.patch) == {field, "version"}
    assert change.patch[field] == wanted_fields(JOB, FACTS, ROOT)[field]
    assert change.schedules == ()


def test_a_missing_concurrency_limit_is_seen_where_the_server_keeps_it() -> None:
    (change,) = plan_for(on_server(global_concurrency_limit=None)).changed

    assert change.fields == (FieldChange(field="concurrency_limit", before=None, after=1),)


def test_a_deployment_in_another_queue_is_moved_back_to_the_pool_and_its_queue() -> None:
    (change,) = plan_for(on_server(work_queue_name="elsewhere")).changed

    assert change.patch == {"work_pool_name": "aegis", "work_queue_name": "default", "version": "abc"}


def test_the_order_of_tags_and_another_version_are_no_difference() -> None:
    assert plan_for(on_server(tags=["sites", "aegis"], version=None)).is_empty


def test_an_anchor_written_another_way_is_no_difference() -> None:
    row = on_server()
    row["schedules"][0]["schedule"]["anchor_date"] = "2025-01-01T02:00:10+02:00"

    assert plan_for(row).is_empty


def test_pauses_are_listed_and_are_no_difference() -> None:
    for paused in (on_server(paused=True), with_schedule(1, active=False)):
        planned = plan_for(paused)
        assert planned.is_empty
        assert planned.paused == (NAME,)


def test_a_changed_schedule_is_sent_by_its_id_without_its_activity() -> None:
    row = with_schedule(0, active=False)
    row["schedules"][0]["schedule"]["interval"] = 60.0

    (change,) = plan_for(row).changed
    (schedule,) = change.schedules

    assert change.patch == {}
    assert (schedule.action, schedule.id) == ("update", "schedule-often")
    assert schedule.payload == {"schedule": JOB.schedules[0].payload(), "parameters": {}}
    assert change.fields == (FieldChange(field="schedule often: interval", before=60.0, after=300.0),)


def test_a_schedule_of_another_kind_under_the_same_slug_is_changed() -> None:
    row = with_schedule(0, schedule={"cron": "* * * * *", "timezone": None, "day_or": True})

    (change,) = plan_for(row).changed

    assert [schedule.action for schedule in change.schedules] == ["update"]


def test_parameters_that_somebody_gave_a_schedule_are_taken_back() -> None:
    (change,) = plan_for(with_schedule(0, parameters={"dry_run": True})).changed

    assert change.fields == (
        FieldChange(field="schedule often: parameters", before={"dry_run": True}, after={}),
    )


def test_missing_schedules_are_created_and_superfluous_ones_deleted() -> None:
    row = on_server()
    row["schedules"][1] = {**row["schedules"][1], "slug": "old", "id": "schedule-old"}
    row["schedules"].append({**deepcopy(row["schedules"][1]), "slug": None, "id": "no-slug"})

    planned = plan_for(row)
    (change,) = planned.changed

    assert [(found.action, found.slug, found.id) for found in change.schedules] == [
        ("delete", "old", "schedule-old"),
        ("delete", None, "no-slug"),
        ("create", "nightly", None),
    ]
    assert planned.lines() == (
        f"~ {NAME}: schedule old: daily 03:15 -> nothing",
        f"~ {NAME}: schedule without a slug: daily 03:15 -> nothing",
        f"~ {NAME}: schedule nightly: nothing -> daily 03:15",
    )


def test_only_what_carries_our_tag_is_pruned_and_what_people_added_is_kept() -> None:
    planned = plan_for(
        on_server(),
        on_server(id="two", name="gone", tags=["aegis"]),
        on_server(id="three", name="custom", tags=["aegis", "aegis-custom"]),
        on_server(id="four", name="foreign", tags=["prod"]),
    )

    assert planned.pruned == (Pruning(name="site-check/gone", id="two"),)
    assert planned.kept_custom == ("site-check/custom",)
    assert planned.changed == ()


def test_the_same_deployment_name_under_another_flow_is_another_deployment() -> None:
    planned = plan_for(on_server(flow_name="older"))

    assert [creation.name for creation in planned.created] == [NAME]
    assert [pruning.name for pruning in planned.pruned] == ["older/site-check"]


def test_a_plan_says_what_it_does_to_pool_runs_and_automations() -> None:
    planned = SyncPlan(
        work_pool=PoolChange(before=None, after="type aegis", template={}),
        pruned=(Pruning(name="a/a", id="1", active_runs=2),),
        automations=(automations.AutomationChange(action="delete", name="aegis: old", id="x"),),
    )

    assert planned.lines() == (
        "~ work pool aegis: nothing -> type aegis",
        "- a/a (2 runs still active, left to finish)",
        "- automation aegis: old",
    )


def existing_automation(**changes: Any) -> dict[str, Any]:
    """As a server answers it: ids added, sets in any order."""
    automation = automations.lost_heartbeat()
    trigger = automation["trigger"]
    answered = {**trigger, "id": "t", "expect": list(reversed(trigger["expect"]))}
    return {**automation, "id": "one", "enabled": True, "trigger": answered, **changes}


def test_an_automation_as_declared_needs_nothing() -> None:
    assert automations.compare(automations.declared(), [existing_automation()]) == ()


def test_a_double_of_an_automation_and_one_no_longer_declared_are_deleted_others_kept() -> None:
    found = [
        existing_automation(),
        existing_automation(id="double"),
        existing_automation(id="old", name="aegis: old"),
        existing_automation(id="foreign", name="mine"),
    ]

    changes = automations.compare(automations.declared(), found)

    assert {(change.action, change.id) for change in changes} == {("delete", "double"), ("delete", "old")}


def test_every_name_a_run_can_end_with_is_expected_after_a_heartbeat() -> None:
    expected = set(automations.lost_heartbeat()["trigger"]["expect"])

    for name in ("heartbeat", "Completed", "NoInput", "NotConfigured", "Degraded", "Failed", "TimedOut",
                 "Cancelled", "Crashed", "AwaitingRetry", "Suspended"):  # fmt: skip
        assert f"prefect.flow-run.{name}" in expected
