"""A deploy against a real server: equal to Prefect's own, silent where nothing differs, kind to pauses."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from aegis_lib.errors import PermanentFailure
from deployments import automations, sync, work_pool
from deployments.api import NotFound, PrefectApi
from deployments.catalogue import CatalogueError
from deployments.flow_facts import FlowsUnusable

CATALOGUE = """\
definitions:
  pool: &pool {name: aegis}
  limit: &limit
    limit: 1
    collision_strategy: CANCEL_NEW
    grace_period_seconds: 60
deployments:
  - name: site-check
    entrypoint: flows/site_check.py:site_check
    tags: [aegis, sites]
    work_pool: *pool
    concurrency_limit: *limit
    parameters:
      dry_run: false
    schedules:
      - slug: often
        interval: 300
        anchor_date: "2025-01-01T00:00:10Z"
      - slug: nightly
        cron: "15 3 * * *"
        timezone: Europe/Berlin
  - name: lead-list
    entrypoint: flows/lead_list.py:lead_list
    tags: [aegis, revenue]
    work_pool: *pool
    concurrency_limit: *limit
    schedules:
      - slug: daily
        cron: "0 9 * * *"
"""
FLOW = '''\
from prefect import flow


@flow
def {name}(dry_run: bool = True, limit: int = 5):
    """Look at all of it.

    And say so.
    """
'''
SITE, LEADS = "site-check/site-check", "lead-list/lead-list"


class RecordingApi(PrefectApi):
    """Remembers what was asked of the server, apart from questions."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.written: list[tuple[str, str, Any]] = []

    def request(self, method: str, path: str, *, body: Any = None, params: Any = None) -> Any:
        if method != "GET" and not path.endswith(("/filter", "/count")):
            self.written.append((method, path, body))
        return super().request(method, path, body=body, params=params)


@pytest.fixture
def api(prefect_server: str) -> Iterator[RecordingApi]:
    with RecordingApi(prefect_server) as connected:
        for row in list(connected.filter("/deployments/filter")):
            connected.delete(f"/deployments/{row['id']}")
        for row in list(connected.filter("/automations/filter")):
            connected.delete(f"/automations/{row['id']}")
        with suppress(NotFound):
            connected.delete("/work_pools/aegis")
        connected.written.clear()
        yield connected


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "flows").mkdir()
    for name in ("site_check", "lead_list"):
        (tmp_path / "flows" / f"{name}.py").write_text(FLOW.format(name=name))
    (tmp_path / "prefect.yaml").write_text(CATALOGUE)
    return tmp_path


def edit(project: Path, before: str, after: str, file: str = "prefect.yaml") -> None:
    text = (project / file).read_text()
    assert before in text
    (project / file).write_text(text.replace(before, after))


def deploy_with_prefect(project: Path, url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=project,
        env={**os.environ, "PREFECT_API_URL": url},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipping" not in (done.stdout + done.stderr).lower()


def on_server(api: PrefectApi) -> dict[str, dict[str, Any]]:
    """Deployments by name, without what differs from one deploy of the same to the next."""
    own = {"id", "created", "updated", "last_polled", "status", "version", "flow_id"}
    own |= {"created_by", "updated_by"}
    result = {}
    for row in api.filter("/deployments/filter"):
        kept = {key: value for key, value in row.items() if key not in own}
        kept["schedules"] = sorted(
            (
                {key: value for key, value in schedule.items() if key not in own | {"deployment_id"}}
                for schedule in row["schedules"]
            ),
            key=lambda schedule: str(schedule["slug"]),
        )
        kept["global_concurrency_limit"] = (row["global_concurrency_limit"] or {}).get("limit")
        kept["labels"] = {k: v for k, v in (row["labels"] or {}).items() if k != "prefect.flow.id"}
        result[row["name"]] = kept
    return result


def deployment(api: PrefectApi, name: str) -> dict[str, Any]:
    found = api.get(f"/deployments/name/{name}")
    assert isinstance(found, dict)
    return found


def test_our_deploy_and_prefects_own_give_the_same_deployments(api: RecordingApi, project: Path) -> None:
    sync.deploy(api, root=project)
    ours = on_server(api)
    assert set(ours) == {"site-check", "lead-list"}
    deploy_with_prefect(project, api.url)
    api.written.clear()

    assert on_server(api) == ours
    assert sync.plan(api, root=project).lines() == ()
    assert sync.plan(api, root=project).unchanged == (SITE, LEADS)

    for row in list(api.filter("/deployments/filter")):
        api.delete(f"/deployments/{row['id']}")
    deploy_with_prefect(project, api.url)
    assert on_server(api) == ours
    assert sync.plan(api, root=project).lines() == ()


def test_a_deploy_that_changes_nothing_sends_nothing(api: RecordingApi, project: Path) -> None:
    first = sync.deploy(api, root=project)
    api.written.clear()

    second = sync.deploy(api, root=project)

    assert first.created == (SITE, LEADS)
    assert second.unchanged == (SITE, LEADS)
    assert second.summary == "Nothing to change: 2 deployments are as the catalogue says."
    assert api.written == []


def test_only_what_differs_is_sent_and_shown_with_both_values(api: RecordingApi, project: Path) -> None:
    sync.deploy(api, root=project)
    edit(project, "[aegis, sites]", "[aegis, watch]")
    edit(project, "interval: 300", "interval: 600")
    edit(project, "Look at all of it.", "Look closer.", file="flows/lead_list.py")
    edit(project, "limit: int = 5", "limit: str = 'x'", file="flows/lead_list.py")
    api.written.clear()

    planned = sync.plan(api, root=project)

    assert api.written == []
    fields = {(change.name, field.field): (field.before, field.after)
              for change in planned.changed for field in change.fields}  # fmt: skip
    assert set(fields) == {
        (SITE, "tags"),
        (SITE, "schedule often: interval"),
        (LEADS, "description"),
        (LEADS, "parameter_openapi_schema"),
    }
    assert fields[SITE, "tags"] == (["aegis", "sites"], ["aegis", "watch"])
    assert fields[SITE, "schedule often: interval"] == (300.0, 600.0)
    assert f"~ {SITE}: schedule often: interval: 300.0 -> 600.0" in planned.lines()

    sync.apply(api, planned)

    assert [(method, set(body)) for method, _, body in api.written] == [
        ("PATCH", {"tags", "version"}),
        ("PATCH", {"schedule", "parameters"}),
        ("PATCH", {"description", "parameter_openapi_schema", "version"}),
    ]
    assert sync.plan(api, root=project).is_empty
    assert deployment(api, LEADS)["description"] == "Look closer.\n\nAnd say so."


def test_what_an_operator_paused_stays_paused(api: RecordingApi, project: Path) -> None:
    sync.deploy(api, root=project)
    leads, site = deployment(api, LEADS), deployment(api, SITE)
    api.post(f"/deployments/{leads['id']}/pause_deployment")
    often = next(schedule for schedule in site["schedules"] if schedule["slug"] == "often")
    api.patch(f"/deployments/{site['id']}/schedules/{often['id']}", {"active": False})
    edit(project, "interval: 300", "interval: 600")
    edit(project, "[aegis, revenue]", "[aegis, leads]")
    api.written.clear()

    report = sync.deploy(api, root=project)

    assert report.changed == (SITE, LEADS)
    assert report.paused == (SITE, LEADS)
    assert deployment(api, LEADS)["paused"] is True
    kept = {schedule["slug"]: schedule for schedule in deployment(api, SITE)["schedules"]}
    assert (kept["often"]["active"], kept["often"]["id"]) == (False, often["id"])
    assert kept["often"]["schedule"]["interval"] == 600
    assert kept["nightly"]["active"] is True
    sent = str([body for _, _, body in api.written])
    assert "active" not in sent
    assert "paused" not in sent


def test_what_the_catalogue_no_longer_has_is_removed_and_nothing_else(
    api: RecordingApi, project: Path
) -> None:
    sync.deploy(api, root=project)
    flow = api.post("/flows/", {"name": "of-others"})["id"]
    api.post("/deployments/", {"name": "foreign", "flow_id": flow})
    api.post("/deployments/", {"name": "added", "flow_id": flow, "tags": ["aegis", "aegis-custom"]})
    site = deployment(api, SITE)
    api.post(f"/deployments/{site['id']}/schedules", [{"schedule": {"cron": "1 1 * * *"}}])
    catalogue = project / "prefect.yaml"
    text = catalogue.read_text()
    nightly = text.index("      - slug: nightly")
    catalogue.write_text(text[:nightly])

    planned = sync.plan(api, root=project)
    report = sync.apply(api, planned)

    assert report.pruned == (LEADS,)
    assert report.kept_custom == ("of-others/added",)
    assert f"- {LEADS}" in planned.lines()
    assert set(on_server(api)) == {"site-check", "foreign", "added"}
    assert [schedule["slug"] for schedule in deployment(api, SITE)["schedules"]] == ["often"]
    assert sync.plan(api, root=project).is_empty


def test_a_run_of_a_removed_deployment_is_left_to_finish(api: RecordingApi, project: Path) -> None:
    sync.deploy(api, root=project)
    leads = deployment(api, LEADS)
    run = api.post(f"/deployments/{leads['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})["id"]
    for state in ("PENDING", "RUNNING"):
        assert api.post(f"/flow_runs/{run}/set_state", {"state": {"type": state}})["status"] == "ACCEPT"
    catalogue = project / "prefect.yaml"
    catalogue.write_text(catalogue.read_text()[: CATALOGUE.index("  - name: lead-list")])

    planned = sync.plan(api, root=project)
    report = sync.apply(api, planned)

    assert planned.lines() == (f"- {LEADS} (1 run still active, left to finish)",)
    assert report.left_running == (LEADS,)
    assert f"Runs of {LEADS} are still active" in report.summary
    assert api.get(f"/flow_runs/{run}")["state"]["type"] == "RUNNING"
    ended = api.post(f"/flow_runs/{run}/set_state", {"state": {"type": "COMPLETED"}})
    assert ended["status"] == "ACCEPT"


@pytest.mark.parametrize(
    ("file", "before", "after", "error", "expected"),
    [
        ("prefect.yaml", "interval: 300", "intervall: 300", CatalogueError, "unknown key 'intervall'"),
        ("prefect.yaml", "dry_run: false", "dry_run: maybe", FlowsUnusable, "the parameters in prefect.yaml"),
        ("flows/lead_list.py", "from prefect", "import nothing_of_that_name\nfrom prefect", FlowsUnusable,
         "cannot be imported: ModuleNotFoundError"),
        ("flows/lead_list.py", "@flow\n", "@flow(name='Leads')\n", FlowsUnusable, "is called 'Leads'"),
        ("flows/lead_list.py", "@flow\n", "", FlowsUnusable, "has no flow"),
        ("flows/lead_list.py", "from prefect", "raise SystemExit(3)\nfrom prefect", FlowsUnusable,
         "ended with code 3"),
    ],
)  # fmt: skip
def test_nothing_is_changed_when_anything_is_wrong(
    api: RecordingApi,
    project: Path,
    file: str,
    before: str,
    after: str,
    error: type[Exception],
    expected: str,
) -> None:
    edit(project, before, after, file)

    with pytest.raises(error) as caught:
        sync.deploy(api, root=project)

    assert expected in str(caught.value)
    assert "Fix: " in str(caught.value)
    assert api.written == []


def test_only_a_job_that_people_start_may_leave_parameters_to_them(api: RecordingApi, project: Path) -> None:
    required = "limit: int, dry_run: bool = True"
    edit(project, "dry_run: bool = True, limit: int = 5", required, "flows/lead_list.py")
    with pytest.raises(CatalogueError, match="needs the parameter 'limit'"):
        sync.deploy(api, root=project)
    edit(project, '    schedules:\n      - slug: daily\n        cron: "0 9 * * *"\n', "")
    sync.deploy(api, root=project)
    assert "lead-list" in "".join(on_server(api))


def test_flows_that_print_and_warn_are_read_all_the_same(api: RecordingApi, project: Path) -> None:
    edit(project, "from prefect", "import sys\nprint('hello')\nprint('x', file=sys.stderr)\nfrom prefect",
         "flows/lead_list.py")  # fmt: skip

    assert sync.deploy(api, root=project).created == (SITE, LEADS)


def variables_of_pool(api: PrefectApi) -> dict[str, Any]:
    template = api.get("/work_pools/aegis")["base_job_template"]
    return dict(template["variables"]["properties"])


def test_the_work_pool_offers_our_job_variables_and_keeps_what_an_operator_set(api: RecordingApi) -> None:
    assert work_pool.ensure(api)
    assert not work_pool.ensure(api)
    assert api.get("/work_pools/aegis")["type"] == "aegis"
    assert {"misfire_grace_seconds", "coalesce", "memory_limit_mb"} <= set(variables_of_pool(api))

    template = api.get("/work_pools/aegis")["base_job_template"]
    template["variables"]["properties"]["misfire_grace_seconds"]["default"] = 60
    template["variables"]["properties"]["memory_limit_mb"]["description"] = "as an earlier version said"
    api.patch("/work_pools/aegis", {"base_job_template": template})

    assert work_pool.ensure(api)
    assert not work_pool.ensure(api)
    assert variables_of_pool(api)["misfire_grace_seconds"]["default"] == 60
    assert "Resident memory" in variables_of_pool(api)["memory_limit_mb"]["description"]


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        ("/opt/aegis/bin/python -m prefect.engine", None),
        ("nice python -m prefect.engine --mine", "nice python -m prefect.engine --mine"),
    ],
)
def test_a_work_pool_of_the_process_worker_is_taken_over_with_the_runs_that_wait_in_it(
    api: RecordingApi, project: Path, before: str, kept: str | None
) -> None:
    known = api.get("/collections/views/aggregate-worker-metadata")
    template = known["prefect"]["process"]["default_base_job_configuration"]
    template["variables"]["properties"]["command"]["default"] = before
    template["variables"]["properties"]["env"]["default"] = {"COLOUR": "blue"}
    api.post("/work_pools/", {"name": "aegis", "type": "process", "base_job_template": template})
    sync.deploy(api, root=project)
    deployment = api.get("/deployments/name/site-check/site-check")
    waiting = api.post(f"/deployments/{deployment['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})[
        "id"
    ]

    sync.deploy(api, root=project)

    assert not work_pool.ensure(api)
    variables = variables_of_pool(api)
    assert variables["command"]["default"] == kept
    assert variables["env"]["default"] == {"COLOUR": "blue"}
    assert "coalesce" in variables
    found = api.post("/work_pools/aegis/get_scheduled_flow_runs", {})
    assert waiting in {row["flow_run"]["id"] for row in found}


def test_job_variables_of_the_catalogue_reach_the_deployment(api: RecordingApi, project: Path) -> None:
    edit(
        project,
        "  - name: lead-list\n    entrypoint: flows/lead_list.py:lead_list\n    tags: [aegis, revenue]\n"
        "    work_pool: *pool\n",
        "  - name: lead-list\n    entrypoint: flows/lead_list.py:lead_list\n    tags: [aegis, revenue]\n"
        "    work_pool:\n      name: aegis\n      job_variables:\n"
        "        misfire_grace_seconds: null\n        coalesce: all\n",
    )
    sync.deploy(api, root=project)

    found = api.get("/deployments/name/lead-list/lead-list")
    assert found["job_variables"] == {"misfire_grace_seconds": None, "coalesce": "all"}
    assert sync.plan(api, root=project).is_empty


def test_a_work_pool_of_another_type_is_refused_with_the_mend(api: RecordingApi) -> None:
    api.post("/work_pools/", {"name": "aegis", "type": "docker", "base_job_template": {}})

    with pytest.raises(PermanentFailure, match=r"is of type 'docker'.*prefect work-pool delete aegis"):
        work_pool.ensure(api)


def test_automations_are_made_once_renewed_and_pruned(api: RecordingApi) -> None:
    assert [change.action for change in automations.sync(api)] == ["create"]
    api.written.clear()
    assert automations.sync(api) == ()
    assert api.written == []

    (mine,) = automations.read(api)
    api.patch(f"/automations/{mine['id']}", {"enabled": False})
    api.post("/automations/", {**automations.lost_heartbeat(), "name": "of others"})
    api.post("/automations/", {**automations.lost_heartbeat(), "name": "aegis: gone"})

    changes = automations.sync(api, [automations.lost_heartbeat(within_seconds=240)])

    assert sorted(change.action for change in changes) == ["delete", "update"]
    found = {automation["name"]: automation for automation in automations.read(api)}
    assert set(found) == {mine["name"], "of others"}
    assert found[mine["name"]]["trigger"]["within"] == 240
    assert found[mine["name"]]["enabled"] is False
