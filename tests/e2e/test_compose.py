"""The stack of docker-compose.yml from nothing, through faults, to a backup restored into an empty one.

One stack serves most tests, which therefore stand in the order in which they run. Needs root, to kill a
container's process behind the engine's back.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import httpx
import pytest
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import sync_playwright
from pytest_httpserver import HTTPServer

from tests import compose_stack
from tests.compose_stack import CORE, RUNNING, SOMETHING_TO_READ, ComposeStack
from tests.docker_boxes import Boxes, docker_client
from tests.fake_services import tls
from tests.fake_services.discord import ALERTS, JOURNAL, TOKEN, FakeDiscord
from tests.waiting import wait_until

__all__ = ["docker_client"]  # a fixture

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("as_root")]

HOST = "host.docker.internal"
MADE = ("POSTGRES_PASSWORD", "PREFECT_API_AUTH_STRING")

CONFIG = """
containers:
  only_label: {label}
  healthy_cycles_to_clear: 1
alerts:
  settle_minutes: 0
"""

PASSING = [
    ("GET", "/_ping"),
    ("HEAD", "/_ping"),
    ("GET", "/version"),
    ("GET", "/v1.41/version"),
    ("GET", "/v1.41/containers/json?all=1"),
    ("GET", "/v1.41/containers/{id}/json"),
    ("GET", "/v1.41/containers/{id}/logs?stdout=1&tail=1"),
    ("GET", "/v1.41/containers/{id}/stats?stream=0&one-shot=1"),
    ("GET", "/v1.41/events?since=1&until=2"),
    ("POST", "/v1.41/containers/no-such-container/restart?t=1"),
]
REFUSED = [
    ("POST", "/v1.41/containers/create"),
    ("POST", "/containers/create?name=x"),
    ("POST", "/v1.41/containers/{id}/exec"),
    ("POST", "/v1.41/exec/abc/start"),
    ("GET", "/v1.41/exec/abc/json"),
    ("DELETE", "/v1.41/containers/{id}?force=1"),
    ("POST", "/v1.41/containers/{id}/stop"),
    ("POST", "/v1.41/containers/{id}/start"),
    ("POST", "/v1.41/containers/{id}/kill"),
    ("POST", "/v1.41/containers/{id}/pause"),
    ("POST", "/v1.41/containers/{id}/rename?name=y"),
    ("POST", "/v1.41/containers/{id}/update"),
    ("POST", "/v1.41/containers/{id}/attach?stream=1"),
    ("GET", "/v1.41/containers/{id}/attach/ws"),
    ("GET", "/v1.41/containers/{id}/archive?path=/etc/shadow"),
    ("PUT", "/v1.41/containers/{id}/archive?path=/"),
    ("GET", "/v1.41/containers/{id}/export"),
    ("GET", "/v1.41/containers/{id}/top"),
    ("POST", "/v1.41/containers/{id}/json"),
    ("GET", "/v1.41/containers/{id}/restart"),
    ("PUT", "/v1.41/containers/{id}/restart"),
    ("POST", "/v1.41/containers/prune"),
    ("GET", "/v1.41/images/json"),
    ("POST", "/v1.41/images/create?fromImage=busybox"),
    ("DELETE", "/v1.41/images/busybox"),
    ("POST", "/v1.41/build"),
    ("POST", "/v1.41/commit?container={id}"),
    ("GET", "/v1.41/volumes"),
    ("POST", "/v1.41/volumes/create"),
    ("DELETE", "/v1.41/volumes/x"),
    ("GET", "/v1.41/networks"),
    ("POST", "/v1.41/networks/create"),
    ("GET", "/v1.41/info"),
    ("GET", "/v1.41/secrets"),
    ("POST", "/v1.41/swarm/init"),
    ("GET", "/v1.41/plugins"),
    ("POST", "/v1.41/auth"),
    ("POST", "/grpc"),
    ("POST", "/session"),
    ("GET", "/"),
    # ways around a list of paths
    ("GET", "//v1.41/images/json"),
    ("GET", "/v1.41/containers/../images/json"),
    ("GET", "/v1.41/containers/%2e%2e/images/json"),
    ("GET", "/v1.41/containers/json/../../images/json"),
    ("POST", "/v1.41/containers/{id}/restart/../exec"),
    ("POST", "/v1.41/containers/{id}/exec?/restart"),
    ("POST", "/v1.41/containers/{id}/exec#/restart"),
    ("GET", "/v1.41/containers/{id}%2Farchive/json"),
    ("get", "/v1.41/images/json"),
]

COMPLETED_TWICE = (
    "SELECT deployment_id, expected_start_time, count(*) FROM flow_run"
    " WHERE auto_scheduled AND state_type = 'COMPLETED' GROUP BY 1, 2 HAVING count(*) > 1"
)
ASK = """
import http.client, json, sys
answers = []
for method, path in json.load(sys.stdin):
    connection = http.client.HTTPConnection("docker-proxy", 2375, timeout=10)
    connection.putrequest(method, path, skip_accept_encoding=True)
    connection.putheader("Content-Length", "0")
    connection.endheaders()
    answers.append(connection.getresponse().status)
    connection.close()
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def boxes(docker_client: docker.APIClient) -> Iterator[Boxes]:
    made = Boxes(docker_client)
    yield made
    made.clear()


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="aegis-test-", dir="/var/tmp") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def discord(directory: Path) -> Iterator[FakeDiscord]:
    """Discord on this host, where the containers reach and trust it."""
    context, trusted = tls.self_signed(HOST, directory)
    (directory / "first" / "config").mkdir(parents=True)
    trusted.rename(directory / "first" / "config" / "ca.pem")
    with HTTPServer(host="0.0.0.0", ssl_context=context) as server:
        yield FakeDiscord(server)


@pytest.fixture(scope="module")
def stack(
    docker_client: docker.APIClient, boxes: Boxes, discord: FakeDiscord, directory: Path
) -> Iterator[ComposeStack]:
    compose_stack.command()
    compose_stack.require_base_images()
    compose_stack.build_image()
    place = directory / "first"
    running = ComposeStack(
        docker_client,
        place,
        DISCORD_API_URL=f"https://{HOST}:{discord.server.port}/api/v10",
        AEGIS_CA_FILE="/etc/aegis/ca.pem",
        DISCORD_ALERTS_CHANNEL=ALERTS,
        DISCORD_JOURNAL_CHANNEL=JOURNAL,
    )
    token = running.secrets / "DISCORD_BOT_TOKEN"
    token.write_text(f"{TOKEN}\n")
    token.chmod(0o600)
    (running.config / "aegis.yaml").write_text(CONFIG.format(label=boxes.only_label))
    try:
        running.up()
        yield running
    finally:
        running.down()


def asked(stack: ComposeStack, requests: list[tuple[str, str]]) -> list[int]:
    """What the proxy answers the worker."""
    some = stack.containers()["postgres"]["Id"]
    question = json.dumps([(method, path.replace("{id}", some)) for method, path in requests])
    pipe = 'printf %s "$1" | docker exec -i "$2" python -c "$3"'
    said = stack.run(["sh", "-c", pipe, "sh", question, stack.containers()["worker"]["Id"], ASK])
    assert said.returncode == 0, said.stderr
    return list(json.loads(said.stdout))


def test_from_nothing_every_part_is_healthy_and_each_core_job_completes(
    stack: ComposeStack, boxes: Boxes
) -> None:
    boxes.make("well")
    stack.sql("aegis", SOMETHING_TO_READ)
    assert {job: stack.outcome_of(job) for job in CORE} == dict.fromkeys(CORE, "Completed"), stack.answer(
        "jobs"
    )


def test_aegis_in_the_worker_manages_jobs_whatever_the_time_zone(stack: ComposeStack) -> None:
    assert stack.aegis("pause", "memory_cleanup").returncode == 0
    assert {job["id"] for job in stack.answer("jobs") if job["paused"]} == {"memory_cleanup"}
    assert stack.aegis("resume", "memory_cleanup").returncode == 0
    at_home = {job["id"]: job["next_run"] for job in stack.answer("jobs")}
    abroad = json.loads(stack.inside("worker", "aegis", "jobs", "--json", TZ="Pacific/Apia").stdout)
    same = {job["id"]: job["next_run"] for job in abroad if "evening" in job["id"]}
    assert same
    assert same.items() <= at_home.items()


def test_the_doctor_is_green_inside(stack: ComposeStack) -> None:
    """Within a minute: the server plans the runs of a job that was resumed at its next round."""
    red: list[dict[str, str]] = []

    def green() -> bool:
        red[:] = [check for check in stack.answer("doctor") if check["ok"] is False]
        return not red

    try:
        wait_until(green, description="a green doctor", timeout_seconds=60, every_seconds=5)
    finally:
        assert red == []


def test_hosts_and_containers_are_measured_through_the_proxy(stack: ComposeStack) -> None:
    assert stack.outcome_of("metrics_collect") == "Completed"
    measured = stack.sql("aegis", "SELECT DISTINCT name FROM container_metrics WHERE memory_bytes > 0")
    running = stack.containers()
    assert {running[service]["Name"].removeprefix("/") for service in RUNNING} <= set(measured)
    assert stack.sql("aegis", "SELECT count(*) > 0 FROM host_metrics WHERE memory_used_ratio > 0") == ["t"]
    assert stack.outcome_of("anomaly_scan") in {"Completed", "NoInput"}  # five minutes are one point


def test_the_status_page_is_served_to_this_host_alone_and_by_nobody_who_could_change_it(
    stack: ComposeStack,
) -> None:
    address = f"http://127.0.0.1:{stack.status_port}/"
    assert stack.outcome_of("status_page") == "Completed"
    answer = httpx.get(address)
    assert answer.status_code == 200
    assert "<title>Aegis status: " in answer.text
    assert "health_check" in answer.text
    assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"
    assert httpx.get(address, headers={"Host": "elsewhere.example"}).status_code == 421
    assert httpx.post(address, content=b"x").status_code == 405
    assert httpx.get(f"{address}nginx.conf").status_code == 404

    assert stack.inside("status", "sh", "-c", "echo x >/srv/report/index.html").returncode != 0
    assert stack.inside("status", "sh", "-c", "echo x >/etc/x").returncode != 0
    reached = stack.inside("status", "bash", "-c", "exec 3<>/dev/tcp/postgres/5432")
    assert reached.returncode != 0, "it has no way to the database"


def test_the_browser_takes_pictures_and_reaches_nothing_of_ours(stack: ComposeStack) -> None:
    compose_stack.build_image(compose_stack.BROWSER_IMAGE, "browser")
    assert stack.compose("--profile", "browser", "up", "-d", "browser").returncode == 0

    health = stack.containers()["browser"]["Config"]["Healthcheck"]["Test"]
    wait_until(
        lambda: stack.inside("browser", *health[1:]).returncode == 0,
        description="the browser to be healthy", timeout_seconds=60, every_seconds=1,
    )  # fmt: skip
    address = stack.containers()["browser"]["NetworkSettings"]["Networks"][f"{stack.name}_web"]["IPAddress"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.connect(f"ws://{address}:3000/aegis")
        page = browser.new_page(viewport={"width": 320, "height": 200})
        page.set_content("<body style='margin:0;background:#c00'></body>")
        picture = page.screenshot()
        assert picture[16:24] == (320).to_bytes(4, "big") + (200).to_bytes(4, "big")
        for ours in (
            f"http://server:{stack.port}/",
            "http://postgres:5432/",
            "http://docker-proxy:2375/_ping",
        ):
            with pytest.raises(PlaywrightError, match="ERR_NAME_NOT_RESOLVED"):
                page.goto(ours, timeout=20_000)
        browser.close()
    ours = f"url: 'http://server:{stack.port}/', picture: {{full_page: false}}"
    (stack.config / "pictures.yaml").write_text(
        f"sites: {{sites: [{{name: may-not, {ours}}}, {{name: may, allow_private_addresses: true, {ours}}}]}}"
    )
    there = {"AEGIS_CONFIG": "/etc/aegis/pictures.yaml"}
    checks = json.loads(stack.inside("worker", "aegis", "doctor", "--json", **there).stdout)
    assert [check["ok"] for check in checks if check["name"] == "browser"] == [True]
    kept = "/tmp/may.png"
    taken = stack.inside("worker", "aegis", "pictures", "take", "may", "--output", kept, **there)
    assert taken.returncode == 0, taken.stderr
    assert "by chromium" in taken.stderr
    refused = stack.inside("worker", "aegis", "pictures", "take", "may-not", "--output", kept, **there)
    assert refused.returncode == 1
    assert "does not allow" in refused.stderr
    stack.compose("--profile", "browser", "rm", "--stop", "--force", "browser")


def test_the_proxy_lets_through_what_the_jobs_need(stack: ComposeStack) -> None:
    answers = dict(zip(PASSING, asked(stack, PASSING), strict=True))
    assert {request: status for request, status in answers.items() if status != 200} == {PASSING[-1]: 404}


def test_the_proxy_refuses_everything_else(stack: ComposeStack) -> None:
    answers = dict(zip(REFUSED, asked(stack, REFUSED), strict=True))
    assert {request: status for request, status in answers.items() if status not in {400, 403}} == {}
    logged = stack.compose("logs", "docker-proxy").stdout
    assert 'refused or failed: 403 POST "/v1.41/containers/create"' in logged
    assert "/_ping" not in logged


def test_only_the_proxy_holds_the_socket_and_only_the_worker_reaches_it(stack: ComposeStack) -> None:
    seen = stack.containers()
    holders = {
        service
        for service, found in seen.items()
        if any("docker.sock" in str(mount.get("Source")) for mount in found["Mounts"])
    }
    assert holders == {"docker-proxy"}
    network = f"{stack.name}_engine"
    attached = {name for name, found in seen.items() if network in found["NetworkSettings"]["Networks"]}
    assert attached == {"docker-proxy", "worker"}


def test_every_container_has_no_more_rights_than_it_needs(stack: ComposeStack) -> None:
    for service, found in stack.containers().items():
        host = found["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert any("no-new-privileges" in option for option in host["SecurityOpt"]), service
        assert host["Memory"] > 0, service
        assert host["LogConfig"]["Config"]["max-size"], service
        assert not host["Privileged"], service
        addresses = {
            binding["HostIp"] for bindings in (host["PortBindings"] or {}).values() for binding in bindings
        }
        assert addresses <= {"127.0.0.1"}, service
    assert stack.inside("worker", "id", "-u").stdout.strip() == "10001"
    tools = stack.inside("worker", "sh", "-c", "command -v gcc cc make pip docker || true")
    assert "gcc" not in tools.stdout
    assert "/opt/aegis/bin/pip" not in tools.stdout
    assert stack.inside("worker", "cat", "/proc/1/comm").stdout.strip() == "tini"


def test_secrets_are_closed_files_and_stand_in_no_container_s_settings(stack: ComposeStack) -> None:
    listed = stack.inside("worker", "sh", "-c", "stat -c '%a %u %n' /run/aegis/secrets/[A-Z]*").stdout.split(
        "\n"
    )
    files = {line.split()[2].rpartition("/")[2]: line.split()[:2] for line in listed if line}
    assert files == {name: ["600", "10001"] for name in (*MADE, "DISCORD_BOT_TOKEN")}
    values = [stack.inside("worker", "cat", f"/run/aegis/secrets/{name}").stdout.strip() for name in files]
    assert all(len(value) > 20 for value in values)
    shown = json.dumps(stack.containers()) + stack.compose("logs").stdout
    assert [value for value in values if value in shown] == []


def test_the_api_wants_its_secret_and_a_token_and_answers_no_page_of_others(stack: ComposeStack) -> None:
    address = f"http://127.0.0.1:{stack.port}/api"
    assert httpx.get(f"{address}/admin/version").status_code == 401
    secret = stack.inside("worker", "cat", "/run/aegis/secrets/PREFECT_API_AUTH_STRING").stdout.strip()
    user, _, password = secret.partition(":")
    without_token = httpx.post(f"{address}/flows/", json={"name": "forged"}, auth=(user, password))
    assert without_token.status_code == 403, without_token.text
    asked = {"Access-Control-Request-Method": "POST"}
    for origin, allowed in ((f"http://127.0.0.1:{stack.port}", True), ("https://elsewhere.example", False)):
        said = httpx.options(f"{address}/flows/", headers={"Origin": origin, **asked})
        assert ("access-control-allow-origin" in said.headers) is allowed, (origin, said.headers)


def test_a_sick_container_is_healed_through_the_proxy_and_a_hopeless_one_brings_a_person(
    stack: ComposeStack, boxes: Boxes, discord: FakeDiscord
) -> None:
    sick = boxes.make("sick", "touch /tmp/ok; sleep 600", health="test -f /tmp/ok")
    hopeless = boxes.make("hopeless", health="false")
    wait_until(lambda: boxes.health(sick) == "healthy", description="a healthy container")
    boxes.run(sick, "rm /tmp/ok")
    for box in (sick, hopeless):
        wait_until(lambda box=box: boxes.health(box) == "unhealthy", description="a sick container")
    before = boxes.state(sick)["StartedAt"]
    for _ in range(3):
        stack.outcome_of("docker_health_check", {"strike_interval_seconds": 0})
    assert boxes.state(sick)["StartedAt"] != before
    assert boxes.health(sick) == "healthy"

    def told() -> list[str]:
        stack.outcome_of("alert_dispatch")
        return [text for text in map(json.dumps, discord.shown(ALERTS)) if boxes.name("hopeless") in text]

    assert wait_until(told, description="an escalation at Discord", timeout_seconds=60)
    assert not [text for text in map(json.dumps, discord.shown(ALERTS)) if boxes.name("sick") in text]
    boxes.remove(hopeless)


def test_without_the_proxy_the_job_says_so_and_counts_no_strike(stack: ComposeStack) -> None:
    strikes = "SELECT count(*), coalesce(sum(strikes), 0) FROM container_strikes"
    before = stack.sql("aegis", strikes)
    assert stack.compose("stop", "docker-proxy").returncode == 0
    run = stack.scheduler.run_job("docker_health_check", {"strike_interval_seconds": 0})
    said = wait_until(
        lambda: [line.message for line in stack.scheduler.runs.logs(run.id) if line.level == "ERROR"],
        description="what the job says of it",
        timeout_seconds=60,
        every_seconds=0.5,
    )
    assert any("Docker engine local (tcp://docker-proxy:2375)" in line for line in said), said
    assert stack.sql("aegis", strikes) == before
    assert stack.compose("start", "docker-proxy").returncode == 0
    stack.wait_healthy()


@pytest.mark.parametrize("service", RUNNING)
def test_a_part_that_is_killed_comes_back_by_itself(stack: ComposeStack, service: str) -> None:
    stack.crash(service)
    stack.wait_healthy()
    assert stack.outcome_of("health_check") == "Completed"


def test_after_docker_kill_of_everything_all_comes_back_in_whatever_order_it_is_started(
    stack: ComposeStack,
) -> None:
    containers = [stack.containers()[service]["Id"] for service in ("worker", "steward", *RUNNING[:3])]
    for container in containers:
        stack.client.kill(container)
    for container in containers:  # as the engine does after a start of the machine
        stack.client.start(container)
    stack.wait_healthy()
    assert stack.outcome_of("health_check") == "Completed"


def test_a_database_that_restarts_under_load_costs_no_run_and_no_effect(stack: ComposeStack) -> None:
    runs = [stack.scheduler.run_job(job) for job in (*CORE, "alert_dispatch", "missed_runs")]
    stack.compose("restart", "--timeout", "10", "postgres")
    stack.wait_healthy()
    for run in runs:
        wait_until(
            lambda run=run: stack.scheduler.runs.find(run.id).final,
            description=f"{run.name} to end", timeout_seconds=240, every_seconds=1,
        )  # fmt: skip
    assert {stack.outcome_of(job) for job in CORE} <= {"Completed", "NoInput"}  # the digests are told by now
    assert stack.sql("prefect", COMPLETED_TWICE) == []


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("POSTGRES_PORT", "five", "POSTGRES_PORT"),
        ("AEGIS_LOG_LEVEL", "LOUD", "AEGIS_LOG_LEVEL"),
        ("POSTGRES_HOST", "no-such-host", "no-such-host"),
    ],
)
def test_a_wrong_line_of_env_is_named(stack: ComposeStack, variable: str, value: str, said: str) -> None:
    """`deploy` is what reads it first; a host that is not there (yet) is waited for, and named meanwhile."""
    deploy = ("deploy", "timeout", "15", "python", "-m", "deployments.compose", "deploy")
    refused = stack.compose("run", "--rm", "-T", "--no-deps", "-e", f"{variable}={value}", *deploy)
    assert refused.returncode != 0
    assert said in refused.stdout + refused.stderr


def test_an_upgrade_replaces_every_part_of_ours_and_runs_nothing_twice(stack: ComposeStack) -> None:
    before = stack.containers()
    stack.environment["AEGIS_IMAGE"] = compose_stack.build_next_image()
    stack.up()
    after = stack.containers()
    replaced = {service for service in after if after[service]["Image"] != before[service]["Image"]}
    assert replaced == {"secrets", "server", "deploy", "worker", "steward"}
    assert stack.outcome_of("health_check") == "Completed"
    assert stack.sql("prefect", COMPLETED_TWICE) == []


def test_nothing_of_all_this_is_lost_in_the_ledger(stack: ComposeStack) -> None:
    assert stack.outcome_of("missed_runs") == "Completed"
    kept = stack.answer("ledger", "--since", "1h")
    assert kept["missed"] == []
    assert kept["problem"] is None


def test_a_database_of_a_newer_version_is_refused_by_its_name(stack: ComposeStack) -> None:
    now = stack.sql("aegis", "SELECT version_num FROM aegis_alembic_version")[0]
    stack.sql("aegis", "UPDATE aegis_alembic_version SET version_num = '9999_of_the_future'")
    refused = stack.compose("run", "--rm", "-T", "--no-deps", "deploy")
    stack.sql("aegis", f"UPDATE aegis_alembic_version SET version_num = '{now}'")
    assert refused.returncode != 0
    assert "9999_of_the_future" in refused.stdout + refused.stderr


@pytest.mark.parametrize(("content", "said"), [(b"", "is empty"), (b"\xff\xfe", "is not UTF-8 text")])
def test_a_secret_that_cannot_be_used_is_named(stack: ComposeStack, content: bytes, said: str) -> None:
    wrong = stack.secrets / "TELEGRAM_BOT_TOKEN"
    wrong.write_bytes(content)
    refused = stack.compose("run", "--rm", "-T", "--no-deps", "secrets")
    wrong.unlink()
    assert refused.returncode != 0
    assert f"TELEGRAM_BOT_TOKEN: its file /run/aegis/given/TELEGRAM_BOT_TOKEN {said}" in (
        refused.stdout + refused.stderr
    )


def test_a_backup_restored_into_an_empty_stack_beside_it_holds_everything(
    stack: ComposeStack, docker_client: docker.APIClient, directory: Path
) -> None:
    events = "SELECT id || ' ' || event_type || ' ' || md5(summary) FROM episodic_memory ORDER BY id"
    runs = "SELECT id || ' ' || state_name FROM flow_run WHERE state_type = 'COMPLETED' ORDER BY id"
    journal = ["sh", "-c", "cd /var/lib/aegis/journal && md5sum *"]
    before = stack.sql("aegis", events), stack.sql("prefect", runs), stack.inside("worker", *journal).stdout
    assert all(before)
    backup = directory / "backup"
    written = stack.run(["compose/backup", str(backup)])
    assert written.returncode == 0, written.stderr
    refused = stack.run(["compose/restore", str(backup)])
    assert refused.returncode != 0
    assert "OVERWRITE=yes" in refused.stderr
    second = ComposeStack(docker_client, directory / "second")
    try:
        restored = second.run(["compose/restore", str(backup)], timeout_seconds=400)
        assert restored.returncode == 0, restored.stderr
        second.wait_healthy()
        assert set(second.sql("aegis", events)) >= set(before[0])
        assert set(second.sql("prefect", runs)) >= set(before[1])
        assert second.inside("worker", *journal).stdout == before[2]
        assert second.outcome_of("health_check") == "Completed"
        assert stack.unhealthy() == []
    finally:
        second.down()


def test_a_damaged_backup_is_refused(stack: ComposeStack, directory: Path) -> None:
    dump = directory / "backup" / "aegis.dump"
    dump.write_bytes(dump.read_bytes()[:-1])
    refused = stack.run(["compose/restore", str(dump.parent)])
    assert refused.returncode != 0
    assert "is damaged" in refused.stderr


def test_a_taken_port_is_named(stack: ComposeStack, docker_client: docker.APIClient, directory: Path) -> None:
    other = ComposeStack(docker_client, directory / "third", AEGIS_PORT=str(stack.port))
    try:
        made = other.compose("up", "-d", "--no-deps", "server")
        assert made.returncode != 0
        assert f"127.0.0.1:{stack.port}" in made.stdout + made.stderr
    finally:
        other.down()
