"""What is not in the catalogue does not exist, and the reverse; what is derived from it is current."""

from __future__ import annotations

import tomllib

from deployments import automations
from deployments.catalogue import CronSchedule, job_table_markdown, read
from deployments.catalogue.table import table_in
from tests.architecture.source import ROOT

CATALOGUE = read(ROOT / "prefect.yaml")
PREFECT = tomllib.loads((ROOT / "prefect.toml").read_text())


def test_the_catalogue_and_the_flows_agree_in_both_directions() -> None:
    files = {path.stem for path in (ROOT / "flows").glob("*.py") if not path.stem.startswith("_")}
    listed = {job.id for job in CATALOGUE.jobs}

    assert listed, "the catalogue is empty: the test would prove nothing"
    assert files - listed == set(), "give these flows an entry in prefect.yaml"
    assert listed - files == set()


def test_the_core_jobs_are_there() -> None:
    core = {"health_check", "docker_health_check", "morning_status", "evening_summary", "memory_cleanup"}

    assert core <= {job.id for job in CATALOGUE.jobs}


def test_every_job_runs_once_at_a_time_and_has_named_schedules() -> None:
    for job in CATALOGUE.jobs:
        assert (job.concurrency_limit.limit, job.concurrency_limit.collision_strategy) == (1, "CANCEL_NEW")
        assert all(schedule.slug for schedule in job.schedules), job.id


def test_jobs_do_not_all_start_in_the_same_second() -> None:
    anchors = [
        (schedule.interval_seconds, schedule.anchor_date)
        for job in CATALOGUE.jobs
        for schedule in job.schedules
        if not isinstance(schedule, CronSchedule)
    ]

    assert anchors
    seconds = [anchor.second for _, anchor in anchors]
    assert 0 not in seconds, "second 0 belongs to the daily jobs"
    assert len(set(anchors)) == len(anchors), "give each interval an anchor of its own"


def test_destructive_jobs_are_switched_on_in_the_catalogue_only() -> None:
    assert CATALOGUE.find("memory_cleanup").parameters == {"dry_run": False}
    assert CATALOGUE.find("docker_health_check").parameters == {"dry_run": False}
    assert CATALOGUE.find("send_approved").parameters == {"dry_run": False}


def test_the_job_table_of_the_readme_is_current() -> None:
    table = table_in((ROOT / "README.md").read_text())

    assert table == job_table_markdown(CATALOGUE), "run `make generate`"


def test_the_lost_heartbeat_is_judged_by_the_heartbeat_that_runs_send() -> None:
    assert PREFECT["flows"]["heartbeat_frequency"] == automations.HEARTBEAT_SECONDS


def test_prefect_deploy_asks_no_questions() -> None:
    assert PREFECT["cli"]["prompt"] is False
