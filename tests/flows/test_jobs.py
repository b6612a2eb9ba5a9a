"""Job management against a real server: the Python API and the command, by their results on the server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aegis_lib.errors import PermanentFailure
from deployments import custom, triggers, work_pool
from deployments import jobs as job_api
from deployments.api import NotFound, PrefectApi
from deployments.catalogue import WORK_POOL
from deployments.cli import exit_codes
from deployments.cli.app import run as aegis
from deployments.custom import CustomJob
from deployments.job_model import LogLine, RunView
from deployments.jobs import NoSuchJob, Scheduler
from deployments.runs import NoSuchRun
from tests.flows import custom_targets, worker_stand_in
from tests.flows.worker_stand_in import set_state, working

GREET = "tests.flows.custom_targets:greet"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def api(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrefectApi]:
    with PrefectApi(prefect_server) as connected:
        for row in list(connected.filter("/deployments/filter")):
            connected.delete(f"/deployments/{row['id']}")
        with suppress(NotFound):
            connected.delete(f"/work_pools/{WORK_POOL}")
        work_pool.ensure(connected)
        monkeypatch.setattr(job_api, "scheduler", Scheduler(connected))
        yield connected


@pytest.fixture
def scheduler(api: PrefectApi) -> Scheduler:
    """The jobs `greeter` (custom) and `site_check` (as the catalogue deploys one)."""
    found = job_api.scheduler
    flow = api.post("/flows/", {"name": "site-check"})
    api.post(
        "/deployments/",
        {
            "name": "site-check",
            "flow_id": flow["id"],
            "entrypoint": "flows/site_check.py:site_check",
            "work_pool_name": WORK_POOL,
            "tags": ["aegis", "sites"],
            "description": "Look at every site.\n\nAnd more.",
            "parameter_openapi_schema": {
                "title": "Parameters", "type": "object", "properties": {"dry_run": {"type": "boolean"}},
            },
            "enforce_parameter_schema": True,
            "concurrency_limit": 1,
            "concurrency_options": {"collision_strategy": "CANCEL_NEW", "grace_period_seconds": 60},
            "schedules": [{"slug": "often", "schedule": {"interval": 300}}],
        },
    )  # fmt: skip
    hourly = triggers.interval_from_fields({"hours": 1})
    greeter = CustomJob.checked("greeter", target=GREET, arguments={"name": "you"}, schedule=hourly)
    flow = api.post("/flows/", {"name": custom.FLOW_NAME})
    api.post("/deployments/", greeter.payload(flow["id"], str(ROOT)))
    return found


def deployment(api: PrefectApi, name: str) -> dict[str, Any]:
    (row,) = api.filter("/deployments/filter", {"deployments": {"name": {"any_": [name]}}})
    return row


def occupy(api: PrefectApi, scheduler: Scheduler, job: str) -> RunView:
    """A run that holds the job's only slot."""
    run = scheduler.run_job(job)
    assert set_state(api, run.id, "PENDING") == "PENDING"
    assert set_state(api, run.id, "RUNNING") == "RUNNING"
    return run


def output(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert aegis(arguments) == code, capsys.readouterr().err
    out, error = capsys.readouterr()
    assert "Traceback" not in error
    return out, error


def test_jobs_are_listed_by_the_ids_of_the_original(scheduler: Scheduler) -> None:
    greeter, site_check = scheduler.list_jobs()
    assert (greeter.id, greeter.name, greeter.schedule) == ("greeter", "greeter", "every 1 h")
    assert (greeter.custom, greeter.target) == (True, GREET)
    assert (site_check.id, site_check.name, site_check.schedule) == (
        "site_check",
        "site-check",
        "every 5 min",
    )
    assert (site_check.custom, site_check.target) == (False, None)
    assert site_check.summary == "Look at every site."


def plan(api: PrefectApi, name: str, moment: datetime) -> None:
    """What the server's own scheduler does, which rests in a test server."""
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": moment.isoformat()}}
    api.post(f"/deployments/{deployment(api, name)['id']}/create_flow_run", {"state": state})


def test_the_next_run_is_the_first_of_those_planned(api: PrefectApi, scheduler: Scheduler) -> None:
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    for hours in (2, 1, 3):
        plan(api, "site-check", soon + timedelta(hours=hours - 1))
    assert {job.id: job.next_run for job in scheduler.list_jobs()} == {"site_check": soon, "greeter": None}
    assert scheduler.job("site_check").next_run == soon


def test_a_run_that_is_overdue_is_said_to_be_late(
    api: PrefectApi, scheduler: Scheduler, capsys: pytest.CaptureFixture[str]
) -> None:
    plan(api, "site-check", datetime.now(UTC) - timedelta(minutes=7))
    out, error = output(capsys, "jobs")
    assert "(7 min ago)" in out
    assert "Late: site_check" in error


@pytest.mark.parametrize("spelling", ["site_check", "site-check", "Site-Check", "site-check/site-check"])
def test_both_spellings_of_a_job_are_understood(scheduler: Scheduler, spelling: str) -> None:
    assert scheduler.job(spelling).id == "site_check"


def test_a_misspelt_job_is_answered_with_the_nearest(scheduler: Scheduler) -> None:
    with pytest.raises(NoSuchJob, match="did you mean site_check") as caught:
        scheduler.pause_job("site_chekc")
    assert caught.value.suggestions == ["site_check"]


def test_pausing_and_resuming_twice_is_the_same_as_once(api: PrefectApi, scheduler: Scheduler) -> None:
    for _ in range(2):
        assert scheduler.pause_job("site_check").paused
    assert deployment(api, "site-check")["paused"] is True
    for _ in range(2):
        assert not scheduler.resume_job("site_check").paused
    assert deployment(api, "site-check")["paused"] is False


def test_stopping_holds_every_run_and_starting_lets_them_go(api: PrefectApi, scheduler: Scheduler) -> None:
    scheduler.stop()
    assert not scheduler.running
    assert api.get(f"/work_pools/{WORK_POOL}")["is_paused"] is True
    scheduler.start()
    assert scheduler.running


def test_a_deploy_keeps_what_was_stopped(api: PrefectApi, scheduler: Scheduler) -> None:
    scheduler.stop()
    template = api.get(f"/work_pools/{WORK_POOL}")["base_job_template"]
    del template["variables"]["properties"]["coalesce"], template["job_configuration"]["coalesce"]
    api.patch(f"/work_pools/{WORK_POOL}", {"base_job_template": template})
    assert work_pool.ensure(api)
    assert not scheduler.running


def test_a_run_is_asked_for_with_its_parameters(api: PrefectApi, scheduler: Scheduler) -> None:
    run = scheduler.run_job("site_check", {"dry_run": True})
    assert (run.state, run.job_id, run.automatic) == ("SCHEDULED", "site_check", False)
    assert api.get(f"/flow_runs/{run.id}")["parameters"] == {"dry_run": True}


def test_parameters_that_do_not_fit_are_refused_with_those_that_do(scheduler: Scheduler) -> None:
    with pytest.raises(PermanentFailure, match=r"dry_run.*it takes: dry_run"):
        scheduler.run_job("site_check", {"dry_run": "perhaps"})


def test_parameters_of_a_custom_job_are_arguments_of_its_function(
    api: PrefectApi, scheduler: Scheduler
) -> None:
    run = scheduler.run_job("greeter", {"times": 3})
    assert api.get(f"/flow_runs/{run.id}")["parameters"] == {
        "job_id": "greeter",
        "target": GREET,
        "arguments": {"name": "you", "times": 3},
    }


def test_no_run_can_change_the_function_of_a_custom_job(api: PrefectApi, scheduler: Scheduler) -> None:
    before = api.post("/flow_runs/count", {})
    address = f"/deployments/{deployment(api, 'greeter')['id']}/create_flow_run"
    with pytest.raises(PermanentFailure, match="target"):
        api.post(address, {"parameters": {"target": "os:abort"}})
    assert api.post("/flow_runs/count", {}) == before


def test_a_custom_job_is_added_as_the_original_added_jobs(api: PrefectApi, scheduler: Scheduler) -> None:
    added = scheduler.add_job(
        custom_targets.greet, trigger="cron", job_id="morning_greeting", kwargs={"name": "you"}, hour=6
    )
    assert (added.id, added.schedule, added.target) == ("morning_greeting", "daily 06:00", GREET)
    row = deployment(api, "morning-greeting")
    assert row["tags"] == ["aegis-custom"]
    assert row["global_concurrency_limit"]["limit"] == 1
    assert row["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    (schedule,) = row["schedules"]
    assert (schedule["slug"], schedule["active"], schedule["schedule"]["cron"]) == (
        "custom",
        True,
        "0 6 * * *",
    )


def test_a_job_of_one_date_runs_then_and_not_again(scheduler: Scheduler) -> None:
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(days=400)
    added = scheduler.add_job(GREET, "date", "new_year", kwargs={"name": "all"}, run_date=moment)
    assert (added.schedule, added.next_run) == (None, moment)


@pytest.mark.parametrize(
    ("job_id", "target", "fields", "problem"),
    [
        ("greeter", GREET, {"hours": 1}, "already"),
        ("site_check", GREET, {"hours": 1}, "job of the catalogue"),
        ("health_check", GREET, {"hours": 1}, "job of the catalogue"),
        ("fresh", "no_such_module:run", {"hours": 1}, "no module"),
        ("fresh", "tests.flows.custom_targets:look", {"hours": 1}, "unexpected keyword argument"),
        ("fresh", GREET, {"seconds": 1}, "10 seconds"),
        ("fresh", GREET, {}, "10 seconds"),
        ("not an id", GREET, {"hours": 1}, "cannot be a job's id"),
    ],
)
def test_a_custom_job_that_cannot_work_is_refused_and_nothing_is_created(
    api: PrefectApi, scheduler: Scheduler, job_id: str, target: str, fields: dict[str, Any], problem: str
) -> None:
    before = list(api.filter("/deployments/filter", {"sort": "NAME_ASC"}))
    with pytest.raises(PermanentFailure, match=problem):
        scheduler.add_job(target, "interval", job_id, kwargs={"name": "you"}, **fields)
    after = list(api.filter("/deployments/filter", {"sort": "NAME_ASC"}))
    assert [row["id"] for row in after] == [row["id"] for row in before]


@pytest.mark.parametrize(
    ("trigger", "fields", "problem"),
    [
        ("cron", {"expression": "*/10 * * * *", "timezone": "Europe/Berlin"}, "more than once a day"),
        ("cron", {"expression": "30 2 * * *", "timezone": "Europe/Berlin"}, "change of the clock"),
        ("interval", {"hours": 1, "timezone": "Europe/Berlin"}, "no time zone"),
        ("date", {"run_date": datetime(2020, 1, 1, tzinfo=UTC)}, "is over"),
        ("date", {"run_date": datetime(2120, 1, 1)}, "no time with a zone"),  # noqa: DTZ001
        ("lunar", {"phase": "full"}, "not understood"),
    ],
)
def test_a_trigger_that_cannot_be_trusted_is_refused(
    scheduler: Scheduler, trigger: str, fields: dict[str, Any], problem: str
) -> None:
    with pytest.raises(PermanentFailure, match=problem):
        scheduler.add_job(GREET, trigger, "fresh", kwargs={"name": "you"}, **fields)


def test_a_custom_job_can_be_replaced_and_keeps_its_history(api: PrefectApi, scheduler: Scheduler) -> None:
    run = scheduler.run_job("greeter")
    set_state(api, run.id, "PENDING")
    set_state(api, run.id, "RUNNING")
    set_state(api, run.id, "COMPLETED")
    changed = scheduler.add_job(
        GREET, "interval", "greeter", kwargs={"name": "them"}, replace_existing=True, minutes=30
    )
    assert changed.schedule == "every 30 min"
    assert deployment(api, "greeter")["parameters"]["arguments"] == {"name": "them"}
    assert [held.name for held in scheduler.history("greeter")] == [run.name]


def test_a_custom_job_is_removed_and_one_of_the_catalogue_is_not(
    api: PrefectApi, scheduler: Scheduler
) -> None:
    scheduler.remove_job("greeter")
    assert [job.id for job in scheduler.list_jobs()] == ["site_check"]
    with pytest.raises(PermanentFailure, match="job of the catalogue"):
        scheduler.remove_job("site_check")
    assert deployment(api, "site-check")
    with pytest.raises(NoSuchJob):
        scheduler.remove_job("greeter")


def test_history_is_newest_first_and_without_what_is_still_to_come(
    api: PrefectApi, scheduler: Scheduler, prefect_server: str
) -> None:
    plan(api, "site-check", datetime.now(UTC) + timedelta(days=1))
    with working(prefect_server):
        first = scheduler.runs.settle(scheduler.run_job("site_check").id, within_seconds=10)
        list(scheduler.runs.follow(first.id))
        second = scheduler.run_job("site_check")
        list(scheduler.runs.follow(second.id))
    runs = scheduler.history("site_check")
    assert [run.name for run in runs] == [second.name, first.name]
    assert [run.outcome for run in runs] == ["NoInput", "NoInput"]
    assert [run.name for run in scheduler.history("site_check", limit=1)] == [second.name]
    assert scheduler.job("site_check").last_outcome == "NoInput"


def test_a_run_is_followed_line_by_line_to_its_end(scheduler: Scheduler, prefect_server: str) -> None:
    with working(prefect_server):
        events = list(scheduler.runs.follow(scheduler.run_job("site_check").id, every_seconds=0.02))
    lines = [event.message for event in events if isinstance(event, LogLine)]
    states = [event.outcome for event in events if isinstance(event, RunView)]
    assert lines == ["working with {}", "Finished in state Completed()"]
    assert (states[0], states[-1]) == ("Scheduled", "NoInput")
    assert states.count("NoInput") == 1


def test_lines_are_found_by_run_id_run_name_and_job(scheduler: Scheduler, prefect_server: str) -> None:
    with working(prefect_server):
        run = scheduler.run_job("site_check")
        list(scheduler.runs.follow(run.id))
    by_id, by_name, by_job = (scheduler.logs(key) for key in (run.id, run.name, "site_check"))
    assert by_id == by_name == by_job
    assert [line.level for line in by_id] == ["INFO", "INFO"]
    for unknown in ("no-such-otter", "0d8f3f1e-0000-4000-8000-000000000000"):
        with pytest.raises(NoSuchRun):
            scheduler.logs(unknown)


def test_a_server_without_our_pool_says_what_to_do(api: PrefectApi) -> None:
    api.delete(f"/work_pools/{WORK_POOL}")
    for call in (
        lambda: Scheduler(api).stop(),
        lambda: Scheduler(api).availability(),
        lambda: Scheduler(api).add_job(GREET, "interval", "greeter", kwargs={"name": "you"}, hours=1),
    ):
        with pytest.raises(PermanentFailure, match=r"no work pool 'aegis' yet.*aegis deploy"):
            call()


# --- the command ---


def test_the_table_names_every_job_and_why_nothing_runs(
    scheduler: Scheduler, capsys: pytest.CaptureFixture[str]
) -> None:
    out, error = output(capsys, "jobs")
    assert [line.split()[0] for line in out.splitlines()] == ["JOB", "greeter", "site_check"]
    assert "No worker is online" in error
    scheduler.stop()
    assert "aegis resume --all" in output(capsys, "jobs")[1]


def test_json_keeps_its_keys(scheduler: Scheduler, capsys: pytest.CaptureFixture[str]) -> None:
    (greeter, _) = json.loads(output(capsys, "jobs", "--json")[0])
    assert list(greeter) == [
        "id", "name", "schedule", "next_run", "paused", "running", "last_outcome", "last_run",
        "last_message", "custom", "target", "summary", "deployment_id",
    ]  # fmt: skip
    asked = json.loads(output(capsys, "run", "greeter", "--json")[0])
    assert list(asked) == [
        "id", "name", "job_id", "state", "outcome", "message", "scheduled_for", "started", "finished",
        "duration_seconds", "automatic",
    ]  # fmt: skip
    assert json.loads(output(capsys, "history", "greeter", "--json")[0])[0] == asked
    assert json.loads(output(capsys, "logs", "greeter", "--json")[0]) == []


@pytest.mark.parametrize(
    ("act", "code", "said"),
    [
        (worker_stand_in.completes, 0, "NoInput"),
        (worker_stand_in.fails, exit_codes.FAILED, "Failed after"),
    ],
)
def test_watching_a_run_shows_its_end_and_exits_by_it(
    scheduler: Scheduler,
    prefect_server: str,
    capsys: pytest.CaptureFixture[str],
    act: worker_stand_in.Act,
    code: int,
    said: str,
) -> None:
    with working(prefect_server, act):
        out, _ = output(capsys, "run", "site-check", "--watch", "-p", "dry_run=true", code=code)
    assert said in out.splitlines()[-1]
    assert "site_check" in out.splitlines()[-1]
    with working(prefect_server, act):
        out, _ = output(capsys, "run", "site-check", "--watch", "--json", code=code)
    assert json.loads(out)["job_id"] == "site_check"


def test_a_run_beside_another_is_told_to_be_refused_by_the_limit(
    api: PrefectApi, scheduler: Scheduler, prefect_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    active = occupy(api, scheduler, "site_check")
    assert scheduler.job("site_check").running == active.name
    with working(prefect_server):
        _, error = output(capsys, "run", "site_check", code=exit_codes.FAILED)
        assert "limit of one run at a time refused this one (Cancelled)" in error
        assert f"aegis logs {active.name} --follow" in error
        out, _ = output(capsys, "run", "site_check", "--watch", code=exit_codes.FAILED)
        assert "limit of one run at a time refused this one" in out.splitlines()[-1]
        out, _ = output(capsys, "run", "site_check", "--json", code=exit_codes.FAILED)
        assert json.loads(out)["state"] == "CANCELLED"
    set_state(api, active.id, "COMPLETED")


def test_a_run_that_waits_for_a_worker_says_so(
    scheduler: Scheduler, capsys: pytest.CaptureFixture[str]
) -> None:
    out, error = output(capsys, "run", "site_check")
    assert "site_check: run " in out
    assert "waits until there is one" in error


def test_history_and_logs_show_what_ran(
    scheduler: Scheduler, prefect_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = output(capsys, "history", "site_check")
    assert "has not run yet" in out
    with working(prefect_server):
        output(capsys, "run", "site_check", "--watch")
    (header, row) = output(capsys, "history", "site-check")[0].splitlines()
    assert header.split()[:2] == ["RUN", "OUTCOME"]
    assert "NoInput" in row
    assert "There was nothing to read." in row
    assert "working with" in output(capsys, "logs", "site_check")[0]
    followed = output(capsys, "logs", row.split()[0], "--follow", "--json")[0].splitlines()
    assert [json.loads(line)["message"] for line in followed][-1] == "Finished in state Completed()"


def test_jobs_are_paused_added_and_removed_by_command(
    scheduler: Scheduler, capsys: pytest.CaptureFixture[str]
) -> None:
    output(capsys, "pause", "greeter")
    assert "paused" in output(capsys, "jobs")[0]
    output(capsys, "resume", "greeter")
    output(capsys, "pause", "--all")
    assert not scheduler.running
    output(capsys, "resume", "--all")
    assert scheduler.running
    out, _ = output(capsys, "add", "tick", GREET, "--every", "15m", "-p", "name=you")
    assert "every 15 min" in out
    assert "already" in output(capsys, "add", "tick", GREET, "--every", "15m", "-p", "name=you", code=1)[1]
    assert "--replace" in output(capsys, "add", "tick", GREET, "--every", "15m", "-p", "name=you", code=1)[1]
    output(capsys, "add", "tick", GREET, "--cron", "0 6 * * *", "-p", "name=you", "--replace")
    output(capsys, "remove", "tick")
    output(capsys, "remove", "tick", code=exit_codes.NOT_FOUND)
    output(capsys, "remove", "site_check", code=exit_codes.FAILED)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("run", "site_chekc"), exit_codes.NOT_FOUND),
        (("history", "site_chekc"), exit_codes.NOT_FOUND),
        (("logs", "no-such-otter"), exit_codes.NOT_FOUND),
        (("run", "site_check", "-p", "dry_run=perhaps"), exit_codes.FAILED),
        (("add", "a", "no_such_module:run", "--every", "15m"), exit_codes.FAILED),
        (("add", "a", GREET, "--every", "soon"), exit_codes.FAILED),
    ],
)
def test_what_cannot_be_done_has_an_exit_code_and_a_mend(
    scheduler: Scheduler, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int
) -> None:
    assert "fix: " in output(capsys, *arguments, code=code)[1]


def test_no_server_is_exit_code_three(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with PrefectApi("http://127.0.0.1:9/api") as nowhere:
        monkeypatch.setattr(job_api, "scheduler", Scheduler(nowhere))
        _, error = output(capsys, "jobs", code=exit_codes.UNREACHABLE)
    assert "aegis up" in error


@pytest.mark.parametrize(
    "arguments", [["jobs"], ["run", "greeter"], ["history", "greeter"], ["logs", "greeter"]]
)
def test_talking_to_the_server_does_not_import_prefect(
    scheduler: Scheduler, prefect_server: str, arguments: list[str]
) -> None:
    scheduler.run_job("greeter")
    program = (
        f"import sys\nfrom deployments.cli.app import run\ncode = run({arguments!r})\n"
        "sys.exit('prefect was imported' if 'prefect' in sys.modules else code)"
    )
    environment = {**os.environ, "PREFECT_API_URL": prefect_server}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# --- the flow behind custom jobs ---


def execute(run_id: str, prefect_server: str, data_dir: Path) -> None:
    """Carry a run out as a worker's child process does."""
    environment = {
        **os.environ,
        "PREFECT_API_URL": prefect_server,
        "PREFECT__FLOW_RUN_ID": run_id,
        "AEGIS_DATA_DIR": str(data_dir),
    }
    subprocess.run(
        [sys.executable, "-m", "prefect.engine"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def carried_out(
    scheduler: Scheduler, prefect_server: str, tmp_path: Path
) -> Callable[..., tuple[RunView, list[str]]]:
    """Adds a custom job, runs it in a process of its own; the run as it ended, and its lines."""

    def go(target: str, **arguments: Any) -> tuple[RunView, list[str]]:
        scheduler.add_job(target, "interval", "tried_out", kwargs=arguments, replace_existing=True, hours=1)
        run = scheduler.run_job("tried_out")
        set_state(scheduler.api, run.id, "PENDING")
        execute(run.id, prefect_server, tmp_path)
        return scheduler.runs.find(run.id), [line.message for line in scheduler.logs(run.id)]

    return go


def test_a_custom_job_calls_its_function_and_tells_what_it_returned(
    carried_out: Callable[..., tuple[RunView, list[str]]],
) -> None:
    run, _ = carried_out("tests.flows.custom_targets:greet_later", name="you")
    assert (run.outcome, run.message) == (
        "Completed",
        "tests.flows.custom_targets:greet_later returned hello later you",
    )


def test_a_report_of_a_custom_job_names_the_outcome(
    carried_out: Callable[..., tuple[RunView, list[str]]],
) -> None:
    run, _ = carried_out("tests.flows.custom_targets:look")
    assert (run.outcome, run.message) == ("NoInput", "There was nothing to read.")


def test_a_flow_of_ones_own_can_be_a_custom_job(
    carried_out: Callable[..., tuple[RunView, list[str]]],
) -> None:
    run, _ = carried_out("tests.flows.custom_flow:count_up", to=3)
    assert (run.outcome, run.message) == ("Completed", "tests.flows.custom_flow:count_up returned 6")


def test_a_custom_job_that_is_wrong_fails_without_a_retry_and_is_remembered_under_its_own_id(
    carried_out: Callable[..., tuple[RunView, list[str]]], scheduler: Scheduler, prefect_server: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    run, lines = carried_out("tests.flows.custom_targets:refuse")
    assert (run.state, run.outcome) == ("FAILED", "Failed")
    assert "retrying cannot help" in (run.message or "")
    assert any("event=job_failed job_id=tried_out" in line for line in lines)
    spooled = "".join(path.read_text() for path in (tmp_path / "spool").glob("*.jsonl"))
    assert "tried_out" in spooled


def test_the_ledger_is_told_which_custom_jobs_there_are(api: PrefectApi) -> None:
    told: list[tuple[str, list[str]]] = []

    def note(job_id: str, row: Mapping[str, Any] | None, _now: datetime) -> None:
        told.append((job_id, [held["slug"] for held in row["schedules"]] if row else []))

    scheduler = Scheduler(api, note_job=note)
    scheduler.add_job(
        GREET, "interval", "weekly_greeting", kwargs={"name": "you"}, weeks=1, timeout_seconds=7
    )
    assert deployment(api, "weekly-greeting")["job_variables"] == {"timeout_seconds": 7}
    scheduler.remove_job("weekly_greeting")
    assert told == [("weekly_greeting", ["custom"]), ("weekly_greeting", [])]
