"""The job `discord_commands` as Prefect runs it, and job control against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from aegis_lib.adapters.prefect_server.job_control import JobControl
from aegis_lib.adapters.prefect_server.jobs import Jobs, NoSuchJob
from aegis_lib.db.database import Database
from aegis_lib.settings import DatabaseSettings
from deployments import work_pool
from deployments.api import NotFound, PrefectApi
from deployments.catalogue import WORK_POOL
from tests import postgres as servers
from tests.fake_services import discord as service
from tests.fake_services.discord import ADA, EVE, TASKS, FakeDiscord
from tests.flows.worker_stand_in import set_state


@pytest.fixture
def api(prefect_server: str) -> Iterator[PrefectApi]:
    """A server with one job, `health_check`, as the catalogue deploys it."""
    with PrefectApi(prefect_server) as connected:
        for row in list(connected.filter("/deployments/filter")):
            connected.delete(f"/deployments/{row['id']}")
        with suppress(NotFound):
            connected.delete(f"/work_pools/{WORK_POOL}")
        work_pool.ensure(connected)
        flow = connected.post("/flows/", {"name": "health-check"})
        connected.post(
            "/deployments/",
            {
                "name": "health-check",
                "flow_id": flow["id"],
                "entrypoint": "flows/health_check.py:health_check",
                "work_pool_name": WORK_POOL,
                "tags": ["aegis"],
                "concurrency_limit": 1,
                "concurrency_options": {"collision_strategy": "CANCEL_NEW", "grace_period_seconds": 60},
                "schedules": [{"slug": "often", "schedule": {"interval": 300}}],
            },
        )
        yield connected


@pytest.fixture
def fake(httpserver: HTTPServer) -> FakeDiscord:
    return FakeDiscord(httpserver)


@pytest.fixture
def installation(
    database_settings: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: FakeDiscord
) -> Path:
    values = {
        **servers.environment_of(database_settings),
        "AEGIS_DATA_DIR": str(tmp_path / "data"),
        "AEGIS_CONFIG": str(tmp_path / "aegis.yaml"),
        "DISCORD_BOT_TOKEN": service.TOKEN,
        "DISCORD_TASKS_CHANNEL": TASKS,
        "DISCORD_ALLOWED_USERS": ADA,
        "DISCORD_API_URL": fake.api_url,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "aegis.yaml").touch()
    return tmp_path


def run() -> Any:
    from flows.discord_commands import discord_commands

    return discord_commands(return_state=True)


def runs(api: PrefectApi) -> list[dict[str, Any]]:
    named = {"deployments": {"name": {"any_": ["health-check"]}}}
    return [row for row in api.filter("/flow_runs/filter", named) if not row["auto_scheduled"]]


@pytest.mark.usefixtures("installation")
def test_a_command_is_obeyed_and_answered_once(
    api: PrefectApi, fake: FakeDiscord, database: Database
) -> None:
    fake.say("!run health_check")
    first = run()
    assert (first.name, "not carried out" in first.message) == ("Completed", True)
    asked, paused = fake.say("!run health_check"), fake.say("!pause health_check")
    stranger = fake.say("!resume health_check", EVE)
    second = run()
    assert (second.name, second.message) == ("Completed", "Commands: 3 read, 2 answered, 1 refused.")
    assert run().name == "NoInput"
    (row,) = runs(api)
    assert fake.answers(asked) == [
        f"`health_check`: run `{row['name']}` is asked for. No worker is online: it waits until there is one."
    ]
    assert fake.answers(paused) == ["`health_check` is paused. Undo: `!resume health_check`"]
    assert fake.reactions == {str(stranger): {"🚫"}}
    assert api.get(f"/deployments/{row['deployment_id']}")["paused"]
    assert len(database.memory.recall_recent(event_type="discord_command")) == 2


@pytest.mark.usefixtures("installation", "api")
@pytest.mark.parametrize("variable", ["DISCORD_BOT_TOKEN", "DISCORD_TASKS_CHANNEL", "DISCORD_ALLOWED_USERS"])
def test_what_is_not_set_is_named_and_nothing_is_asked(
    fake: FakeDiscord, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv(variable)
    state = run()
    assert state.name == "NotConfigured"
    assert f"set {variable} to" in state.message
    assert fake.requests == []


@pytest.mark.usefixtures("installation", "api")
def test_a_refused_token_is_not_retried_and_names_the_variable(
    fake: FakeDiscord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCORD_BOT_TOKEN", "wrong.token.here")
    state = run()
    assert state.is_failed()
    assert "DISCORD_BOT_TOKEN" in state.message
    assert len(fake.requests) == 1


# --- job control ---


def test_the_same_key_is_the_same_run(api: PrefectApi) -> None:
    control = JobControl(Jobs(api))
    first, again = control.run("health_check", "discord:1"), control.run("health-check", "discord:1")
    assert first == again
    assert control.run("health_check", "discord:2").run != first.run
    assert len(runs(api)) == 2


def test_a_run_beside_an_active_one_is_refused(api: PrefectApi) -> None:
    control = JobControl(Jobs(api))
    control.run("health_check", "discord:1")
    (row,) = runs(api)
    set_state(api, row["id"], "PENDING")
    set_state(api, row["id"], "RUNNING")
    second = control.run("health_check", "discord:2")
    assert second.beside == row["name"]


def test_a_job_is_listed_paused_and_goes_on(api: PrefectApi) -> None:
    control = JobControl(Jobs(api))
    (line,) = control.jobs()
    assert (line.id, line.schedule, line.paused, line.running) == (
        "health_check",
        "every 5 min",
        False,
        False,
    )
    assert control.pause("health-check").paused
    assert control.run("health_check", "discord:1").paused
    assert not control.resume("health_check").paused
    assert control.availability().running


def test_a_job_that_is_not_there_is_refused_with_the_nearest(api: PrefectApi) -> None:
    control = JobControl(Jobs(api))
    for act in (control.pause, control.resume, lambda job: control.run(job, "discord:1")):
        with pytest.raises(NoSuchJob, match="did you mean health_check"):
            act("helth_check")
