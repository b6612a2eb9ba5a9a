"""Alerts as Prefect runs them: from failed runs on a real server to messages, through a real PostgreSQL."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from aegis_lib import clock
from aegis_lib.adapters.prefect_server.history import ServerHistory
from aegis_lib.alerts.model import AlertState
from aegis_lib.db.database import Database
from aegis_lib.settings import DatabaseSettings
from deployments import automations, dispatch_deputy
from deployments.api import PrefectApi
from deployments.child_process import ChildProcess
from tests import postgres as servers
from tests.fake_services import discord as service
from tests.fake_services.discord import FakeDiscord
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def api(prefect_server: str) -> Iterator[PrefectApi]:
    with PrefectApi(prefect_server) as connected:
        yield connected


@pytest.fixture
def discord(httpserver: HTTPServer) -> FakeDiscord:
    return FakeDiscord(httpserver)


@pytest.fixture
def installation(
    database_settings: DatabaseSettings,
    discord: FakeDiscord,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The environment of a run: its database, data directory, empty `aegis.yaml`, Discord as its channel."""
    values = {
        **servers.environment_of(database_settings),
        "AEGIS_DATA_DIR": str(tmp_path / "data"),
        "AEGIS_CONFIG": str(tmp_path / "aegis.yaml"),
        "DISCORD_BOT_TOKEN": service.TOKEN,
        "DISCORD_ALERTS_CHANNEL": service.ALERTS,
        "DISCORD_API_URL": discord.api_url,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "aegis.yaml").touch()
    return tmp_path


class Job:
    """A deployment of a name of its own, whose runs end as the test says."""

    def __init__(self, api: PrefectApi, tags: tuple[str, ...]) -> None:
        self.api, self.name = api, f"sample-{uuid4().hex[:8]}"
        self.flow = api.post("/flows/", {"name": self.name})["id"]
        body = {"name": self.name, "flow_id": self.flow, "tags": list(tags)}
        self.deployment = api.post("/deployments/", body)["id"]

    @property
    def id(self) -> str:
        return self.name.replace("-", "_")

    def ends(self, kind: str, message: str = "", name: str | None = None) -> str:
        """A run that ends so, now."""
        run = self.api.post(
            f"/deployments/{self.deployment}/create_flow_run", {"state": {"type": "SCHEDULED"}}
        )["id"]
        for state in ({"type": "RUNNING"}, {"type": kind, "message": message, "name": name}):
            answer = self.api.post(f"/flow_runs/{run}/set_state", {"state": state, "force": True})
            assert answer["status"] == "ACCEPT", answer
        return str(run)


@pytest.fixture
def make(api: PrefectApi) -> Iterator[Callable[..., Job]]:
    """Makes jobs; they and their runs are gone from the history after the test."""
    made: list[Job] = []

    def one(*tags: str) -> Job:
        made.append(Job(api, tags or ("aegis",)))
        return made[-1]

    yield one
    for job in made:
        api.delete(f"/deployments/{job.deployment}")


def dispatch() -> Any:
    from flows.alert_dispatch import alert_dispatch

    return alert_dispatch(return_state=True)


def titles(discord: FakeDiscord) -> list[str]:
    return [embed["title"].replace("\\", "") for embed in discord.shown(service.ALERTS)]


@pytest.mark.usefixtures("installation")
def test_a_job_that_fails_again_and_again_is_one_alert_and_one_recovery(
    make: Callable[..., Job], discord: FakeDiscord, database: Database
) -> None:
    job = make()
    for _ in range(3):
        job.ends("FAILED", "PermanentFailure: the disk says no")
    assert dispatch().name == "Completed"
    assert titles(discord) == [f"{job.id} failed"]
    assert "the disk says no" in discord.shown(service.ALERTS)[0]["description"]

    for _ in range(2):
        job.ends("CRASHED")
    dispatch()
    dispatch()
    assert len(titles(discord)) == 1, "counted, not sent"
    (alert,) = database.alerts.newest()
    assert (alert.key, alert.count, alert.state) == (f"job:{job.id}", 5, AlertState.SENT)
    assert alert.told == ("discord",)

    job.ends("COMPLETED", name="Degraded")
    dispatch()
    dispatch()
    assert titles(discord) == [f"{job.id} failed", f"{job.id} works again"]
    assert "seen 5 times" in discord.shown(service.ALERTS)[1]["description"]
    assert database.alerts.newest() == []


@pytest.mark.usefixtures("installation")
def test_every_failure_of_a_long_absence_is_found_and_told_once(
    make: Callable[..., Job], discord: FakeDiscord, database: Database
) -> None:
    jobs = [make() for _ in range(3)]
    database.alerts.set_watermark(clock.utcnow() - timedelta(days=3))
    for _ in range(5):
        jobs[0].ends("FAILED")
    jobs[1].ends("FAILED")
    jobs[1].ends("COMPLETED")
    jobs[2].ends("COMPLETED")
    dispatch()
    found = {alert.key: alert for alert in database.alerts.newest(everything=True)}
    assert {key: (a.count, a.state.value) for key, a in found.items()} == {
        f"job:{jobs[0].id}": (5, "sent"),
        f"job:{jobs[1].id}": (1, "resolved"),
    }
    assert titles(discord) == [f"{jobs[0].id} failed"], "what healed before anybody was told is not told"


@pytest.mark.usefixtures("installation")
def test_runs_of_others_on_the_same_server_are_none_of_our_business(
    make: Callable[..., Job], discord: FakeDiscord
) -> None:
    make("somebody-else").ends("FAILED")
    dispatch()
    assert titles(discord) == []


@pytest.mark.usefixtures("installation")
def test_a_message_that_no_channel_took_is_sent_by_a_later_run(
    make: Callable[..., Job], discord: FakeDiscord, database: Database
) -> None:
    make().ends("FAILED")
    discord.limit(30)
    state = dispatch()
    assert state.name == "Degraded"
    assert "rate-limited" in state.message
    assert dispatch().name == "Completed", "the channel is left alone for as long as it asked"
    assert titles(discord) == []
    database.connection.execute("UPDATE alert_channels SET hold_until = now()")
    dispatch()
    assert len(titles(discord)) == 1


def test_the_history_reads_ends_late_runs_and_workers(api: PrefectApi, make: Callable[..., Job]) -> None:
    job, began = make("history-of-this-test"), clock.utcnow()
    bad = job.ends("FAILED", "no")
    slow = job.ends("FAILED", "too long", name="TimedOut")
    between = clock.utcnow()
    good = job.ends("COMPLETED", name="NoInput")
    job.ends("CANCELLED", name="Coalesced")
    now = clock.utcnow()
    late = {"type": "SCHEDULED", "name": "Late", "message": "Late"}
    waiting = api.post(f"/deployments/{job.deployment}/create_flow_run", {"state": late})
    pool = f"pool-{uuid4().hex[:8]}"
    api.post("/work_pools/", {"name": pool, "type": "process"})
    api.post(f"/work_pools/{pool}/workers/heartbeat", {"name": "one"})

    history = ServerHistory(api, tags=["history-of-this-test"], work_pool=pool)
    ends = history.ended(began, now, [])
    assert [(run.run_id, run.outcome, run.good, run.job_id) for run in ends] == [
        (bad, "Failed", False, job.id),
        (slow, "TimedOut", False, job.id),
        (good, "NoInput", True, job.id),
    ]
    assert history.ended(between, now, []) == [], "good ones only of jobs that matter"
    assert [run.run_id for run in history.ended(between, now, [job.id])] == [good]
    assert history.late(now - timedelta(days=1)) == []
    (found,) = history.late(clock.utcnow() + timedelta(minutes=1))
    assert (found.run_id, found.job_id) == (waiting["id"], job.id)
    (worker,) = history.workers()
    assert (worker.name, worker.online) == ("one", True)
    assert ServerHistory(api, work_pool="there-is-none").workers() == []
    assert history.failed_actions(now - timedelta(hours=1), now) == []


@pytest.fixture
def dispatch_deployment(api: PrefectApi) -> Iterator[str]:
    """The deployment that the automations start; no worker takes its runs."""
    flow = api.post("/flows/", {"name": automations.DISPATCH})["id"]
    body = {"name": automations.DISPATCH, "flow_id": flow, "tags": ["aegis"]}
    deployment = api.post("/deployments/", body)["id"]
    yield deployment
    automations.sync(api, [])
    now = api.get(f"/deployments/name/{automations.DISPATCH}/{automations.DISPATCH}")["id"]
    api.delete(f"/deployments/{now}")


WANTED = [f"{automations.DISPATCH}/{automations.DISPATCH}"]


def test_the_automations_for_alerts_are_made_once_and_renewed_when_the_deployment_is(
    api: PrefectApi, dispatch_deployment: str
) -> None:
    assert [change.action for change in automations.sync(api, automations.declared(WANTED))] == ["create"] * 5
    assert automations.sync(api, automations.declared(WANTED)) == ()

    def started() -> set[str]:
        found = [a for a in api.filter("/automations/filter") if a["name"].startswith("aegis: tell")]
        return {str(action["deployment_id"]) for a in found for action in a["actions"]}

    assert started() == {dispatch_deployment}
    flow = api.get(f"/deployments/{dispatch_deployment}")["flow_id"]
    api.delete(f"/deployments/{dispatch_deployment}")
    renewed = api.post("/deployments/", {"name": automations.DISPATCH, "flow_id": flow})["id"]
    changes = automations.sync(api, automations.declared(WANTED))
    assert [change.action for change in changes] == ["update"] * 4
    assert started() == {renewed}


def test_a_failed_run_starts_the_dispatch_at_once_and_a_failed_dispatch_does_not(
    api: PrefectApi,
    dispatch_deployment: str,
    make: Callable[..., Job],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(automations, "STORM_SECONDS", 0.0)
    automations.sync(api, automations.declared(WANTED))
    itself = Job.__new__(Job)
    itself.api, itself.deployment = api, dispatch_deployment
    own = itself.ends("FAILED")
    make("somebody-else").ends("FAILED")
    make().ends("COMPLETED")

    def started() -> list[str]:
        chosen = {"deployments": {"id": {"any_": [dispatch_deployment]}}, "sort": "ID_DESC"}
        return [row["id"] for row in api.filter("/flow_runs/filter", chosen) if row["id"] != own]

    make().ends("FAILED")
    wait_until(started, description="the dispatch to be started", timeout_seconds=30)
    make("aegis-custom").ends("CRASHED")
    wait_until(lambda: len(started()) > 1, description="the second start", timeout_seconds=30)
    assert len(started()) == 2


@pytest.mark.usefixtures("installation")
def test_an_outage_of_the_database_is_told_at_once_and_its_end_once(
    installation: Path, discord: FakeDiscord, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.health_check import health_check

    here = os.environ["POSTGRES_HOST"]
    monkeypatch.setenv("POSTGRES_HOST", str(installation / "nobody-listens"))
    for _ in range(2):
        assert health_check(return_state=True).name == "Degraded"
    assert titles(discord) == ["Database down"], "straight out: there is no outbox to put it into"

    monkeypatch.setenv("POSTGRES_HOST", here)
    assert health_check(return_state=True).name == "Completed"
    (alert,) = database.alerts.newest()
    assert (alert.state.value, alert.told) == ("resolved", ("discord",))
    for _ in range(2):
        dispatch()
    assert titles(discord) == ["Database down", "Database is back"]


@pytest.mark.usefixtures("installation")
def test_while_the_database_is_away_the_dispatch_says_so_once_and_fails_no_job(
    installation: Path, discord: FakeDiscord, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.health_check import health_check

    here = os.environ["POSTGRES_HOST"]
    monkeypatch.setenv("POSTGRES_HOST", str(installation / "nobody-listens"))
    for _ in range(2):
        state = dispatch()
        assert (state.type.value, state.name) == ("COMPLETED", "Degraded")
        assert state.message.startswith("Database down since")
    assert health_check(return_state=True).name == "Degraded"
    assert titles(discord) == ["Database down"], "told by whoever saw it first"
    spooled = [
        json.loads(line)["kind"]
        for file in (installation / "data" / "spool").glob("*.jsonl")
        for line in file.read_text().splitlines()
    ]
    assert sorted(spooled) == ["alert", "episode"], "one alert, one event, no failed job"

    monkeypatch.setenv("POSTGRES_HOST", here)
    assert health_check(return_state=True).name == "Completed"
    dispatch()
    assert titles(discord) == ["Database down", "Database is back"]
    kinds = [episode.event_type for episode in database.memory.recall_recent(10)]
    assert sorted(kinds) == ["db_outage", "db_recovery"]


def test_what_prefects_own_notification_block_needs_is_as_documented(
    api: PrefectApi, httpserver: HTTPServer, make: Callable[..., Job]
) -> None:
    """docs/alerts.md, "With Prefect's own means only": a block, and an automation that sends through it."""
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    received: list[dict[str, Any]] = []

    def take(request: Request) -> Response:
        received.append(request.get_json())
        return Response(status=200)

    httpserver.expect_request("/hook", method="POST").respond_with_handler(take)
    block = CustomWebhookNotificationBlock(
        name="chat", url=httpserver.url_for("/hook"), json_data={"text": "{{subject}}: {{body}}"}
    )
    block_id = block.save("failed-runs", overwrite=True)
    automation = api.post(
        "/automations/",
        {
            "name": "my own notification",
            "trigger": {
                "type": "event",
                "posture": "Reactive",
                "expect": [
                    "prefect.flow-run.Failed",
                    "prefect.flow-run.Crashed",
                    "prefect.flow-run.TimedOut",
                ],
                "match": {"prefect.resource.id": "prefect.flow-run.*"},
                "match_related": {
                    "prefect.resource.role": "tag",
                    "prefect.resource.id": "prefect.tag.own-means",
                },
                "threshold": 1,
                "within": 0,
            },
            "actions": [
                {
                    "type": "send-notification",
                    "block_document_id": str(block_id),
                    "subject": "{{ flow.name }}",
                    "body": "{{ flow_run.state.name }}: {{ flow_run.state.message }}",
                }
            ],
        },
    )
    try:
        job = make("own-means")
        job.ends("COMPLETED")
        job.ends("FAILED", "the disk says no")
        wait_until(lambda: received, description="the notification", timeout_seconds=60)
        assert received == [{"text": f"{job.name}: Failed: the disk says no"}]
    finally:
        api.delete(f"/automations/{automation['id']}")


@pytest.mark.usefixtures("installation")
def test_without_a_worker_the_stack_has_the_alerts_delivered(
    api: PrefectApi, discord: FakeDiscord, make: Callable[..., Job], tmp_path: Path
) -> None:
    job = make()
    job.ends("FAILED", "the disk says no")
    process = ChildProcess(
        "alert dispatch", dispatch_deputy.COMMAND, os.environ, ROOT, tmp_path / "log", grace_seconds=1
    )
    process.start()
    try:
        wait_until(
            lambda: titles(discord) or not process.is_alive(),
            description="the message",
            timeout_seconds=60,
        )
        wait_until(lambda: not process.is_alive(), description="its end", timeout_seconds=30)
        assert titles(discord) == [f"{job.id} failed"], process.last_words()
    finally:
        process.stop()
    assert not dispatch_deputy.overdue(api, clock.utcnow()), "there is no such deployment here"
