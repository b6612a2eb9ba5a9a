"""What is deployed for a custom job, and what is refused before anything is sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aegis_lib.errors import PermanentFailure
from deployments import custom, triggers
from tests.flows import custom_targets


def checked(job_id: str = "nightly_backup", **arguments: Any) -> custom.CustomJob:
    schedule = triggers.cron_schedule("30 2 * * *")
    return custom.CustomJob.checked(job_id, target="backup:run", arguments=arguments, schedule=schedule)


@pytest.mark.parametrize("job_id", ["nightly_backup", "nightly-backup", " Nightly-Backup "])
def test_an_id_may_be_spelt_both_ways(job_id: str) -> None:
    assert (checked(job_id).job_id, checked(job_id).deployment_name) == ("nightly_backup", "nightly-backup")


@pytest.mark.parametrize("job_id", ["", "9lives", "a b", "a__b", "_a", "a_", "größe", "a/b", "a" * 81, "a;b"])
def test_what_is_no_id_is_refused(job_id: str) -> None:
    with pytest.raises(PermanentFailure, match="cannot be a job's id"):
        checked(job_id)


@pytest.mark.parametrize("value", [object(), {1, 2}, float("nan")])
def test_arguments_that_cannot_be_stored_are_refused(value: object) -> None:
    with pytest.raises(PermanentFailure, match="cannot be stored"):
        checked(odd=value)


def test_it_is_deployed_under_the_policy_of_every_job() -> None:
    payload = checked(path="/srv").payload("flow-id", "/project")
    assert payload["concurrency_limit"] == 1
    assert payload["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert payload["tags"] == ["aegis-custom"]
    assert payload["parameters"] == {
        "job_id": "nightly_backup",
        "target": "backup:run",
        "arguments": {"path": "/srv"},
    }
    assert [held["slug"] for held in payload["schedules"]] == ["custom"]
    assert payload["entrypoint"] == "flows/_custom_job.py:custom_job"


@pytest.mark.parametrize(
    ("schedule", "asked_seconds", "timeout_seconds"),
    [
        (triggers.parse_every("10s"), None, 8),
        (triggers.parse_every("1m"), None, 48),
        (triggers.parse_every("15m"), None, 720),
        (triggers.parse_every("1d"), None, 3600),
        (triggers.parse_every("1d"), 7200, 7200),
        (triggers.parse_every("1m"), 59, 59),
        ("*/10 * * * *", None, 480),
        ("0,5 * * * *", None, 240),
        ("30 2 * * *", None, 3600),
        (None, None, 3600),
        (None, 86_400, 86_400),
    ],
)
def test_an_attempt_may_take_less_than_lies_between_two_runs(
    schedule: Any, asked_seconds: int | None, timeout_seconds: int
) -> None:
    made = deployed(schedule, asked_seconds)
    assert made.timeout_seconds == timeout_seconds
    assert made.payload("flow-id", "/project")["job_variables"] == {"timeout_seconds": timeout_seconds}


@pytest.mark.parametrize(
    ("schedule", "asked_seconds", "said"),
    [
        (triggers.parse_every("1m"), 60, "not shorter than the 60 s between two runs"),
        ("*/10 * * * *", 601, "not shorter than the 600 s"),
        (None, 0, "not possible"),
        (None, 86_401, "not possible"),
    ],
)
def test_a_time_out_that_cannot_be_meant_is_refused(schedule: Any, asked_seconds: int, said: str) -> None:
    with pytest.raises(PermanentFailure, match=said):
        deployed(schedule, asked_seconds)


def deployed(schedule: Any, timeout_seconds: int | None) -> custom.CustomJob:
    when = schedule
    if isinstance(schedule, timedelta):
        when = triggers.interval_schedule(schedule)
    elif schedule is not None:
        when = triggers.cron_schedule(schedule)
    return custom.CustomJob.checked(
        "backup", target="backup:run", arguments={}, schedule=when, timeout_seconds=timeout_seconds
    )


def test_no_run_may_change_which_function_is_called() -> None:
    schema = checked().payload("flow-id", "/project")["parameter_openapi_schema"]
    assert schema["properties"]["target"]["enum"] == ["backup:run"]
    assert schema["properties"]["job_id"]["enum"] == ["nightly_backup"]


def test_a_function_is_named_by_its_module() -> None:
    assert custom.name_of(custom_targets.greet) == "tests.flows.custom_targets:greet"
    assert custom.name_of(" backup:run ") == "backup:run"


def test_a_function_of_this_process_only_is_refused() -> None:
    def inner() -> None:
        """Nothing."""

    for function in (inner, lambda: None):
        with pytest.raises(PermanentFailure, match="cannot be imported by the worker"):
            custom.name_of(function)


def test_a_function_is_checked_where_runs_start() -> None:
    custom.check_target("tests.flows.custom_targets:greet", {"name": "you"})
    with pytest.raises(PermanentFailure, match="missing a required argument"):
        custom.check_target("tests.flows.custom_targets:greet", {})


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import os; os._exit(9)", "exit code 9"),
        ("def run(:", "SyntaxError"),
    ],
)
def test_a_module_that_fails_while_it_is_imported_is_told_in_one_line(
    source: str, problem: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_target.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(PermanentFailure, match=problem) as caught:
        custom.check_target("broken_target:run", {})
    assert "\n" not in str(caught.value)
