"""docker-compose.yml and Dockerfile against the rest of the project."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from deployments.compose import secret_files
from tests.architecture.source import ROOT
from tests.architecture.test_env_example import written

NOT_HANDED_ON = {
    "AEGIS_DATA_DIR": "the image says where; a volume",
    "AEGIS_CONFIG": "compose/config/aegis.yaml",
    "AEGIS_JOURNAL_DIR": "in the data volume",
    "AEGIS_REPORT_DIR": "a volume of its own in the data directory",
    "POSTGRES_PASSWORD": "a secret of the stack's own: compose/secrets",
    "PREFECT_API_AUTH_STRING": "a secret of the stack's own: compose/secrets",
    "PREFECT_API_SSL_CERT_FILE": "the API is within the stack",
    "AEGIS_SCREENSHOT_DIR": "the image says where; a volume",
    "AEGIS_CHROMIUM": "the browser is a service of its own",
    "DOCKER_CERT_PATH": "a directory: mount it in a file of your own",
}


def content(name: str = "docker-compose.yml") -> dict[str, Any]:
    return dict(YAML(typ="safe").load((ROOT / name).read_text()))


SERVICES = content()["services"]


def test_there_is_something_to_look_at() -> None:
    assert len(SERVICES) == 11


def test_every_setting_reaches_the_jobs() -> None:
    handed = set(SERVICES["worker"]["environment"])
    assert set(written()) - handed == NOT_HANDED_ON.keys()
    assert handed - set(written()) == {"SSL_CERT_FILE", "AEGIS_STARTED_BY"}


def test_the_steward_is_set_as_the_worker_is() -> None:
    assert SERVICES["steward"]["environment"] == SERVICES["worker"]["environment"]


def test_the_docker_pool_is_set_as_the_worker_is_and_not_there_unless_asked_for() -> None:
    worker, docker_worker = SERVICES["worker"], SERVICES["docker-worker"]
    assert docker_worker["environment"] == {**worker["environment"], "DOCKER_HOST": "tcp://pool-proxy:2375"}
    assert docker_worker["volumes"] == worker["volumes"]
    assert [name for name in SERVICES if "pool-engine" in SERVICES[name].get("networks", ())] == [
        "docker-worker",
        "pool-proxy",
    ]


def test_what_costs_memory_and_not_everybody_needs_is_there_only_when_asked_for() -> None:
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    pool, browser = ["docker-pool"], ["browser"]
    assert profiles == {"docker-worker": pool, "pool-proxy": pool, "browser": browser}


def test_the_browser_which_opens_pages_of_strangers_holds_nothing_and_reaches_nothing_of_ours() -> None:
    browser = SERVICES["browser"]
    assert not {"volumes", "environment", "env_file", "ports", "extra_hosts"} & browser.keys()
    assert browser["networks"] == ["web"]
    others = {name for name, service in SERVICES.items() if "web" in service.get("networks", ())}
    assert others == {"browser", "worker", "docker-worker"}
    assert content()["networks"]["web"] == {"internal": True}
    assert SERVICES["worker"]["environment"]["PLAYWRIGHT_URL"] == "${PLAYWRIGHT_URL:-ws://browser:3000/aegis}"


def test_the_web_server_of_the_status_page_reads_the_page_and_reaches_nobody() -> None:
    status = SERVICES["status"]
    assert not {"environment", "env_file", "extra_hosts", "cap_add"} & status.keys()
    assert status["volumes"] == [
        "./compose/status-page.conf:/etc/nginx/nginx.conf:ro",
        "report:/srv/report:ro",
    ]
    assert [name for name, service in SERVICES.items() if "status" in service.get("networks", ())] == [
        "status"
    ]
    assert status["networks"] == ["status"]
    assert status["user"] not in {"root", "0", "0:0"}
    assert "report:/var/lib/aegis/report" in SERVICES["worker"]["volumes"]


def test_the_web_server_listens_where_the_stack_expects_it_and_reads_where_the_page_is_mounted() -> None:
    written_there = (ROOT / "compose" / "status-page.conf").read_text()
    (published,) = SERVICES["status"]["ports"]
    assert f"listen {published.rpartition(':')[2]};" in written_there
    assert "root /srv/report;" in written_there
    assert "proxy_pass" not in written_there


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert "aegis.role" in service["labels"]
    assert not {"privileged", "pid", "ipc", "devices"} & service.keys()
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert ("docker.sock" in str(service.get("volumes"))) == (name in {"docker-proxy", "pool-proxy"})


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"secrets", "deploy"}))
def test_a_service_that_stays_is_watched_and_started_again(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_no_secret_has_a_value_in_the_file() -> None:
    found = [
        (variable, value)
        for service in SERVICES.values()
        for variable, value in service.get("environment", {}).items()
        if re.search("PASSWORD|TOKEN|SECRET|AUTH|URLS", variable) and value
        if not str(value).startswith("/run/aegis/secrets")
    ]
    assert found == []


def test_files_of_secrets_belong_to_the_user_of_the_image() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"--uid {secret_files.OWNER} " in dockerfile
    assert f"--gid {secret_files.OWNER} " in dockerfile


def test_the_lock_of_the_image_is_a_part_of_the_lock() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"(?m)^[a-z0-9][a-z0-9._-]*==[^\s;\\]+", (ROOT / name).read_text()))

    image, everything = pins("requirements.image.lock"), pins("requirements.lock")
    assert len(image) > 50
    assert image - everything == set(), "run `make lock`"
    assert not [pin for pin in image if pin.startswith(("pytest==", "mypy==", "ruff=="))]


def test_the_lock_of_the_image_hashes_everything_and_names_no_index() -> None:
    lock = (ROOT / "requirements.image.lock").read_text()
    assert "://" not in lock
    blocks = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)[1:]
    assert [b.split("==")[0] for b in blocks if "--hash=sha256:" not in b] == []


def test_whoever_needs_a_database_of_the_host_gets_out_to_it() -> None:
    added = content("docker-compose.host-database.yml")["services"]
    for name, service in SERVICES.items():
        if name == "postgres" or "POSTGRES_HOST" in service.get("environment", {}):
            assert "outside" in {*service["networks"], *added.get(name, {}).get("networks", ())}, name
