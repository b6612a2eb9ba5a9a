"""The ledger over a real Prefect server: what each end of a run is called, and what is said of a gap."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aegis_lib import clock
from aegis_lib.db.database import Database
from aegis_lib.ledger.model import TickOutcome
from aegis_lib.settings import DatabaseSettings, PrefectApiSettings
from deployments import catalogue, ledger, sync
from deployments.api import NotFound, PrefectApi
from deployments.catalogue import Catalogue
from deployments.flow_facts import FlowFacts, read_flow_facts
from tests.fakes.alerts import FakeNotifier
from tests.postgres import environment_of

CATALOGUE = """\
deployments:
  - name: site-check
    entrypoint: flows/site_check.py:site_check
    freshness_seconds: 86400
    tags: [aegis, sites]
    work_pool: {name: aegis}
    concurrency_limit: {limit: 1, collision_strategy: CANCEL_NEW, grace_period_seconds: 60}
    schedules:
      - slug: often
        interval: 600
        anchor_date: "2025-01-01T00:00:10Z"
"""
FLOW = '''\
from prefect import flow


@flow(timeout_seconds=200, retries=1, retry_delay_seconds=30)
def site_check():
    """Look."""
'''
TEN = timedelta(minutes=10)


class Server:
    """One deployed job on the test server, its planned runs in order, and a clock that the test sets."""

    def __init__(self, api: PrefectApi, now: datetime) -> None:
        self.api, self.now, self.notifier = api, now, FakeNotifier()

    def plan_runs(self, count: int) -> list[str]:
        """Make the server plan the next runs, as its scheduler does; their ids by due time."""
        found = self.api.get("/deployments/name/site-check/site-check")
        span = {"start_time": self.now.isoformat(), "end_time": (self.now + count * TEN).isoformat()}
        self.api.post(f"/deployments/{found['id']}/schedule", {**span, "min_runs": count, "max_runs": count})
        between = {"after_": span["start_time"], "before_": span["end_time"]}
        runs = {"expected_start_time": between, "deployment_id": {"any_": [found["id"]]}}
        chosen = {"flow_runs": runs, "sort": "EXPECTED_START_TIME_ASC"}
        rows = [row["id"] for row in self.api.filter("/flow_runs/filter", chosen)]
        assert len(rows) == count
        return rows

    def set_state(
        self, run: str, state: str, name: str | None = None, message: str = "", force: bool = False
    ) -> Any:
        body = {"type": state, "message": message, **({"name": name} if name else {})}
        return self.api.post(f"/flow_runs/{run}/set_state", {"state": body, "force": force})

    def finish(self, run: str, state: str = "COMPLETED", name: str | None = None) -> None:
        for step in ("PENDING", "RUNNING"):
            assert self.set_state(run, step)["status"] == "ACCEPT"
        assert self.set_state(run, state, name)["status"] == "ACCEPT"

    def pass_(self) -> Any:
        from flows.missed_runs import missed_runs

        state = missed_runs.with_options(retry_delay_seconds=0)(return_state=True)
        assert state.is_completed(), state.message
        return state

    @property
    def titles(self) -> list[str]:
        return [message.title for message in self.notifier.sent]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "site_check.py").write_text(FLOW)
    (tmp_path / "prefect.yaml").write_text(CATALOGUE)
    (tmp_path / "aegis.yaml").touch()
    return tmp_path


@pytest.fixture
def server(
    prefect_server: str, project: Path, database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    from flows import _open

    for name, value in environment_of(database_settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AEGIS_CONFIG", str(project / "aegis.yaml"))
    monkeypatch.setenv("AEGIS_DATA_DIR", str(project / "data"))
    with PrefectApi(prefect_server) as api:
        for row in list(api.filter("/deployments/filter")):
            api.delete(f"/deployments/{row['id']}")
        with suppress(NotFound):
            api.delete("/work_pools/aegis")
        jobs, facts = read(project)
        sync.deploy(api, jobs, root=project, facts=facts)
        made = Server(api, half_way(clock.utcnow()))
        ledger.write_plan(jobs.jobs, facts, database_settings, made.now)

        @contextmanager
        def notifier() -> Iterator[FakeNotifier]:
            yield made.notifier

        monkeypatch.setattr(_open, "notifier", notifier)
        monkeypatch.setattr(clock, "utcnow", lambda: made.now)
        yield made


def half_way(moment: datetime) -> datetime:
    """The middle between two due times three hours ago: a run of the future could not begin now."""
    ten = int(TEN.total_seconds())
    seconds = int(moment.timestamp()) // ten * ten - 3 * 3600 + 10 + ten // 2
    return datetime.fromtimestamp(seconds, tz=UTC)


def read(project: Path) -> tuple[Catalogue, dict[str, FlowFacts]]:
    jobs = catalogue.read(project / "prefect.yaml")
    return jobs, read_flow_facts(jobs.jobs, project)


def outcomes(database: Database, server: Server) -> list[str]:
    found = database.ledger.entries(server.now - timedelta(days=1), server.now, list(TickOutcome))
    return [entry.outcome.value for entry in reversed(found)]


def test_every_end_of_a_run_is_named_and_a_gap_is_told_once_and_its_end_too(
    server: Server, database: Database
) -> None:
    began = server.now
    runs = server.plan_runs(14)
    server.finish(runs[0])
    server.finish(runs[1], name="NoInput")
    server.finish(runs[2], "FAILED")
    server.finish(runs[3], "CRASHED")
    server.set_state(runs[4], "CANCELLED", "Coalesced", "Run b stands for this one.")
    server.set_state(runs[5], "CANCELLED", "Misfired")
    server.set_state(runs[6], "PENDING")
    assert server.set_state(runs[7], "PENDING")["state"]["type"] == "CANCELLED", "the slot is taken"
    server.set_state(runs[6], "RUNNING")
    server.set_state(runs[6], "COMPLETED", "Degraded")
    server.set_state(runs[8], "CANCELLED", message="not needed")
    for run in runs[9:11]:
        server.api.delete(f"/flow_runs/{run}")

    server.now = began + 11 * TEN
    report = server.pass_()
    named = ["Completed", "NoInput", "Failed", "Crashed", "Coalesced", "Misfired", "Degraded", "Refused",
             "Cancelled", "Missed", "Missed"]  # fmt: skip
    assert outcomes(database, server) == named
    assert server.titles == ["site_check: 2 runs were missed"]
    assert "Red: site_check did not run" in report.message

    server.pass_()
    assert len(server.titles) == 1, "said once"
    for run in runs[11:]:
        server.finish(run)
    server.now = began + 14 * TEN
    report = server.pass_()
    assert outcomes(database, server) == [*named, "Completed", "Completed", "Completed"]
    assert server.titles[1:] == ["site_check is well again"]
    assert database.state.get("ledger_green") == "true"
    server.pass_()
    assert len(server.titles) == 2, "said once"
    (told,) = database.ledger.tally(began - TEN, server.now, server.now).jobs
    assert told.due == sum(told.outcomes.values())


def test_what_prefect_writes_when_the_limit_refuses_a_run(server: Server) -> None:
    first, second = server.plan_runs(2)
    server.set_state(first, "PENDING")
    refused = server.set_state(second, "PENDING")
    assert (refused["status"], refused["state"]["name"]) == ("REJECT", "Cancelled")
    assert refused["state"]["message"] == "Deployment concurrency limit reached."
    row = server.api.get(f"/flow_runs/{second}")
    assert row["state"]["message"] == refused["state"]["message"]
    assert row["run_count"] == 0, "it never began,"
    assert row["start_time"] == row["end_time"], "although it has a start"


def test_a_pause_in_prefect_is_no_missed_run(server: Server, database: Database) -> None:
    began = server.now
    server.plan_runs(6)
    server.pass_()
    found = server.api.get("/deployments/name/site-check/site-check")
    server.api.post(f"/deployments/{found['id']}/pause_deployment")
    server.now = began + 3 * TEN
    server.pass_()
    assert set(outcomes(database, server)[-3:]) == {"Paused"}
    server.api.post(f"/deployments/{found['id']}/resume_deployment")
    server.now += timedelta(minutes=1)
    server.pass_()
    assert server.titles == []


def test_the_history_is_read_page_by_page_with_the_schedule_of_each_run(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aegis_lib.adapters.prefect_server import api, scheduled_runs

    runs = server.plan_runs(5)
    server.finish(runs[0], name="Degraded")
    monkeypatch.setattr(api, "PAGE_SIZE", 2)
    with scheduled_runs.connect(PrefectApiSettings(prefect_api_url=server.api.url)) as history:
        found = history.runs(server.now, server.now + 6 * TEN)
        assert {run.id for run in found} >= set(runs)
        assert {run.slug for run in found} == {"often"}
        assert all(run.automatic and run.job_id == "site_check" for run in found)
        (one,) = history.runs_by_id(runs[:1])
        assert (one.state, one.name, one.started_at is not None) == ("COMPLETED", "Degraded", True)
        later = server.now + timedelta(days=1)
        assert history.newest_output("site_check", later) is not None
        assert history.newest_output("site_check", server.now) is None
        assert history.newest_output("mail", later) is None
        (job,) = history.jobs()
        assert (job.job_id, job.paused, job.paused_slugs) == ("site_check", False, frozenset())


def test_the_time_a_run_may_take_comes_from_its_flow(server: Server, database: Database) -> None:
    (version,) = database.ledger.versions(server.now)
    assert version.longest_run_seconds == 200 + 30 + 200
    assert version.freshness_seconds == 86400


def test_prefect_itself_puts_up_with_the_key_that_only_we_read(server: Server, project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=project,
        env={**os.environ, "PREFECT_API_URL": server.api.url},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert sync.plan(server.api, root=project).changed == ()
