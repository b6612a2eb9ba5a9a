"""What the adapter understands without an engine: addresses, status texts, its own container, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
from docker.errors import APIError, DockerException

from aegis_lib.adapters.docker_engine import engines, trouble
from aegis_lib.adapters.docker_engine.reply import Details, ListedItem, parse_status
from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured, NotConfigured
from aegis_lib.settings import DockerSettings


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        (" , ", {}),
        ("unix:///var/run/docker.sock", {"local": "unix:///var/run/docker.sock"}),
        ("unix:///srv/other.sock", {"other": "unix:///srv/other.sock"}),
        ("tcp://10.0.0.5:2375", {"10.0.0.5": "tcp://10.0.0.5:2375"}),
        (
            "nas=ssh://me@nas.lan:22, tcp://h:1",
            {"nas": "ssh://me@nas.lan:22", "h": "tcp://h:1"},
        ),
    ],
)
def test_engines_are_listed_by_name(text: str, found: dict[str, str]) -> None:
    assert engines.parse_hosts(text) == found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("docker.sock", "'docker.sock' is not an address"),
        ("unix://relative.sock", "is not an address"),
        ("npipe:////./pipe/docker", "is not an address"),
        ("a b=tcp://h:1", "'a b' is not a name"),
        ("a=tcp://h:1,a=tcp://i:1", "two engines are called a"),
        ("tcp://h:1,tcp://h:2", "two engines are called h"),
        ("x=tcp://me:hush@h:1", "holds a password"),
        ("x=me:hush@h:1", "is not an address"),
    ],
)
def test_a_wrong_list_of_engines_is_refused_with_an_example(text: str, problem: str) -> None:
    with pytest.raises(Misconfigured, match="DOCKER_HOSTS: ") as caught:
        engines.parse_hosts(text)
    assert problem in str(caught.value)
    assert "Fix: " in str(caught.value)


def test_a_password_in_an_address_is_never_shown() -> None:
    with pytest.raises(Misconfigured) as caught:
        engines.parse_hosts("x=ssh://me:hush@h")
    assert "hush" not in str(caught.value)
    assert trouble.shown("ssh://me:hush@h") == "ssh://me:***@h"


def test_without_an_engine_the_job_is_not_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "DEFAULT_SOCKET", tmp_path / "docker.sock")
    with pytest.raises(NotConfigured, match="set DOCKER_HOSTS"), engines.connect(DockerSettings()):
        pass


def test_connecting_contacts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = "a=unix:///nowhere.sock,b=tcp://192.0.2.1:2375"
    with engines.connect(DockerSettings(hosts=hosts)) as found:
        assert [engine.name for engine in found] == ["a", "b"]


@pytest.mark.parametrize(
    ("status", "found"),
    [
        ("Up 3 hours", (None, None, None)),
        ("Up 3 hours (healthy)", ("healthy", None, None)),
        ("Up 2 minutes (unhealthy)", ("unhealthy", None, None)),
        ("Up About a minute (health: starting)", ("starting", None, 120)),
        ("Up Less than a second", (None, None, 1)),
        ("Up 1 second (healthy)", ("healthy", None, 1)),
        ("Up 59 seconds", (None, None, 59)),
        ("Up About an hour", (None, None, None)),
        ("Up 5 minutes (Paused)", (None, None, None)),
        ("Exited (0) 2 days ago", (None, 0, None)),
        ("Exited (137) Less than a second ago", (None, 137, None)),
        ("Restarting (3) 2 seconds ago", (None, 3, None)),
        ("Created", (None, None, None)),
        ("Dead", (None, None, None)),
        ("Removal In Progress", (None, None, None)),
    ],
)
def test_the_status_text_of_the_list_is_understood(status: str, found: tuple[Any, ...]) -> None:
    assert parse_status(status) == found


def test_a_container_is_called_by_its_own_name_not_by_a_link() -> None:
    raw = {
        "Id": "f" * 64,
        "Names": ["/app/db", "/db"],
        "State": "running",
        "Status": "Up",
        "Created": 1,
        "Labels": None,
    }
    assert ListedItem.model_validate(raw).listed("local", None).name == "db"
    nameless = ListedItem.model_validate({**raw, "Names": None or []}).listed("local", "f" * 64)
    assert (nameless.name, nameless.itself, nameless.labels) == ("f" * 12, True, {})


def test_the_engines_defaults_of_a_health_check_are_filled_in() -> None:
    raw = {
        "Id": "f",
        "State": {
            "Status": "running",
            "StartedAt": "0001-01-01T00:00:00Z",
            "Health": {"Status": "healthy", "Log": None},
        },
        "HostConfig": {"RestartPolicy": {"Name": ""}},
        "Config": {"Healthcheck": {"Test": ["CMD", "true"], "Interval": 0}, "StopTimeout": None},
    }  # fmt: skip
    seen = Details.model_validate(raw).inspected()
    assert seen.check is not None
    assert (seen.check.interval_seconds, seen.check.timeout_seconds, seen.check.retries) == (30, 30, 3)
    assert (seen.started_at, seen.restart_policy, seen.stop_timeout_seconds) == (None, "no", 10)


def test_a_disabled_health_check_is_none() -> None:
    raw = {
        "Id": "f",
        "State": {"Status": "running", "Health": {"Status": "none"}},
        "Config": {"Healthcheck": {"Test": ["NONE"]}, "StopTimeout": 30},
    }
    seen = Details.model_validate(raw).inspected()
    assert (seen.health, seen.check, seen.stop_timeout_seconds) == (None, None, 30)


OWN, OTHER = "a1" * 32, "b2" * 32


@pytest.mark.parametrize(
    ("mountinfo", "cgroup", "found"),
    [
        (f"1 2 0:1 /var/lib/docker/containers/{OWN}/hostname /etc/hostname rw - ext4 x rw", "0::/", OWN),
        ("", f"12:pids:/docker/{OWN}", OWN),
        ("", f"0::/system.slice/docker-{OWN}.scope", OWN),
        # an ordinary host on which somebody mounted another container's files
        (
            f"1 2 0:1 /x /var/lib/docker/containers/{OTHER}/mounts/shm rw - tmpfs shm rw",
            "0::/user.slice",
            None,
        ),
        ("1 2 0:1 / / rw - ext4 x rw", "0::/init.scope", None),
    ],
)
def test_the_container_of_this_process_is_found(
    tmp_path: Path, mountinfo: str, cgroup: str, found: str | None
) -> None:
    (tmp_path / "mountinfo").write_text(mountinfo)
    (tmp_path / "cgroup").write_text(cgroup)
    assert engines.own_container_id(tmp_path) == found


def test_a_system_without_proc_has_no_container(tmp_path: Path) -> None:
    assert engines.own_container_id(tmp_path / "nowhere") is None


UNIX = trouble.Place("local", "unix:///var/run/docker.sock", 10)
TCP = trouble.Place("nas", "tcp://nas:2375", 10)
SSH = trouble.Place("nas", "ssh://me@nas", 10)


def api_error(status: int, said: str) -> APIError:
    response = requests.Response()
    response.status_code = status
    return APIError("answer", response=response, explanation=said)


def wrapped(inner: Exception) -> Exception:
    """As the SDK wraps what happens while it asks for the version."""
    outer = DockerException("Error while fetching server API version")
    outer.__cause__ = requests.ConnectionError(Exception("Connection aborted.", inner))
    return outer


@pytest.mark.parametrize(
    ("error", "place", "kind", "words"),
    [
        (wrapped(FileNotFoundError(2, "No file")), UNIX, DependencyUnavailable, "there is no socket /var"),
        (wrapped(PermissionError(13, "denied")), UNIX, Misconfigured, "add it to the group of the socket"),
        (wrapped(ConnectionRefusedError(111, "refused")), UNIX, DependencyUnavailable, "connection refused"),
        (wrapped(ConnectionRefusedError(111, "refused")), TCP, DependencyUnavailable, "tcp://nas:2375"),
        (wrapped(TimeoutError()), UNIX, trouble.NoAnswer, "no answer within 10 s"),
        (requests.ReadTimeout("read timed out"), TCP, trouble.NoAnswer, "DOCKER_TIMEOUT"),
        (api_error(403, "Forbidden by proxy"), TCP, trouble.Forbidden, "let list, inspect, logs and restart"),
        (api_error(500, "driver failed"), UNIX, trouble.Refused, "answered 500: driver failed"),
        (OSError("no route"), SSH, DependencyUnavailable, "`ssh me@nas docker version` works"),
        (DockerException("Install paramiko package to enable ssh://"), SSH, Misconfigured, "pip install"),
        (requests.ConnectionError("odd"), TCP, DependencyUnavailable, "the connection failed"),
    ],
)  # fmt: skip
def test_every_trouble_is_said_with_the_way_to_mend_it(
    error: Exception, place: trouble.Place, kind: type[AegisError], words: str
) -> None:
    said = trouble.translated(error, place)
    assert isinstance(said, kind)
    assert words in str(said)
    assert "Fix: " in str(said)


def test_certificates_that_are_missing_are_named(tmp_path: Path) -> None:
    settings = DockerSettings(hosts="nas=tcp://192.0.2.1:2376", cert_path=tmp_path)
    with engines.connect(settings) as (engine,), pytest.raises(Misconfigured, match=r"ca\.pem is missing"):
        engine.containers()
