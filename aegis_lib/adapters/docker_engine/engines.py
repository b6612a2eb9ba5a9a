"""Docker engines over the Docker SDK's low-level client: list, inspect, measure, restart, logs. No decisions.

    with engines.connect(DockerSettings()) as found:
        found[0].containers()

API reference: https://docs.docker.com/reference/api/engine/version/v1.41/ (the version is negotiated).

    no DOCKER_HOSTS and no local socket               -> NotConfigured
    socket denied, call forbidden, wrong DOCKER_HOSTS -> Misconfigured
    no socket, refused, no answer in time, 5xx        -> DependencyUnavailable
    a container that has gone (404)                   -> an answer: None, GONE
"""

from __future__ import annotations

import re
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import docker
import requests
from docker.errors import DockerException, NotFound
from docker.tls import TLSConfig
from pydantic import TypeAdapter, ValidationError

from aegis_lib.adapters.docker_engine.reply import Details, ListedItem
from aegis_lib.adapters.docker_engine.trouble import (
    Forbidden,
    NoAnswer,
    Place,
    Refused,
    no_engine,
    shown,
    translated,
)
from aegis_lib.adapters.docker_engine.usage_reply import RunningItem, Usage
from aegis_lib.containers.model import LOCAL_ENGINE, Inspected, Listed, RestartAnswer, RestartOutcome
from aegis_lib.errors import (
    AegisError,
    DependencyUnavailable,
    Misconfigured,
    NotConfigured,
    PermanentFailure,
)
from aegis_lib.metrics.model import ContainerCounters, RunningContainer
from aegis_lib.settings import DockerSettings

T = TypeVar("T")

DEFAULT_SOCKET = Path("/var/run/docker.sock")
_ANY_VERSION = "1.41"
_COUNTED_AT_ONCE = 32
_COUNTED_AT_ONCE_OVER_SSH = 8
"""A server of ssh lets ten sessions into one connection, unless it was told otherwise."""
_COUNTING_SECONDS = 20.0
"""After that no further container is asked about what it uses."""
_ADDRESS = re.compile(r"^(unix:///|(tcp|https?|ssh)://[^/\s])\S*$")
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")
_CONTAINER_ID = re.compile(r"(?:/docker/|/containers/|docker-|libpod-)([0-9a-f]{64})\b")

try:
    from paramiko import SSHException
except ImportError:  # without it there is no ssh://, and the SDK says so
    SSHException = DockerException


@contextmanager
def connect(settings: DockerSettings | None = None) -> Iterator[tuple[DockerEngine, ...]]:
    """The engines of DOCKER_HOSTS; each is contacted when first asked, so that none spoils another.

    Raises:
        NotConfigured: DOCKER_HOSTS is empty and there is no local socket.
        Misconfigured: DOCKER_HOSTS or DOCKER_CERT_PATH cannot be understood.
    """
    chosen = settings or DockerSettings()
    addresses = parse_hosts(chosen.hosts)
    if not addresses:
        if not DEFAULT_SOCKET.exists():
            raise NotConfigured(
                "DOCKER_HOSTS", purpose=f"the address of a Docker engine (there is none at {DEFAULT_SOCKET})"
            )
        addresses = {LOCAL_ENGINE: f"unix://{DEFAULT_SOCKET}"}
    itself = own_container_id()
    engines = tuple(DockerEngine(name, address, chosen, itself) for name, address in addresses.items())
    try:
        yield engines
    finally:
        for engine in engines:
            engine.close()


def parse_hosts(text: str) -> dict[str, str]:
    """`DOCKER_HOSTS` as name -> address. An address without a name is called by its host.

    Raises:
        Misconfigured: an address or a name is wrong, or two engines have one name.
    """
    mend = "write e.g. DOCKER_HOSTS=unix:///var/run/docker.sock,nas=ssh://me@nas.lan,tcp://10.0.0.5:2375"
    found: dict[str, str] = {}
    for part in (piece.strip() for piece in text.split(",")):
        if not part:
            continue
        before, separator, after = part.partition("=")
        name, address = (before.strip(), after.strip()) if separator and "://" not in before else ("", part)
        if not _ADDRESS.match(address):
            raise Misconfigured("DOCKER_HOSTS", f"{shown(part)!r} is not an address of an engine.", mend)
        if urlsplit(address).password is not None:
            problem = f"{shown(part)} holds a password, which shows in messages and process lists."
            raise Misconfigured(
                "DOCKER_HOSTS", problem, "use an ssh key, or certificates in DOCKER_CERT_PATH."
            )
        name = name or _name_of(address)
        if not _NAME.match(name):
            raise Misconfigured(
                "DOCKER_HOSTS", f"{name!r} is not a name (letters, digits, '.', '_', '-').", mend
            )
        if name in found:
            raise Misconfigured("DOCKER_HOSTS", f"two engines are called {name}.", "name them: a=...,b=...")
        found[name] = address
    return found


def _name_of(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme != "unix":
        return parts.hostname or ""
    return LOCAL_ENGINE if Path(parts.path).name == DEFAULT_SOCKET.name else Path(parts.path).stem


def own_container_id(proc: Path = Path("/proc/self")) -> str | None:
    """The id of the container this process runs in, from its mounts or control groups."""
    for file in ("mountinfo", "cgroup"):
        with suppress(OSError):
            for line in (proc / file).read_text(encoding="utf-8", errors="replace").splitlines():
                own = file == "cgroup" or line.split(" ")[4:5] in (["/etc/hostname"], ["/etc/hosts"])
                if own and (match := _CONTAINER_ID.search(line)):
                    return match[1]
    return None


class DockerEngine:
    """Implements the ports `ContainerEngine` and `ContainerMeter`. See them for the exact meaning."""

    def __init__(
        self, name: str, address: str, settings: DockerSettings | None = None, itself: str | None = None
    ) -> None:
        self._name = name
        self._address = address
        self._settings = settings or DockerSettings()
        self._itself = itself
        self._place = Place(name, address, self._settings.timeout_seconds)
        self._connection: docker.APIClient | None = None

    @property
    def name(self) -> str:
        """How people call this engine."""
        return self._name

    def __str__(self) -> str:
        return self._name

    def close(self) -> None:
        """Give the connections back; a later call opens new ones."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def containers(self, only_label: str | None = None) -> list[Listed]:
        """All containers, running or not, by one call; with the label `name` or `name=value` where given."""
        filters = {"label": [only_label]} if only_label else None
        raw = self._ask(lambda client: client.containers(all=True, filters=filters))
        items = self._parsed(TypeAdapter(list[ListedItem]), raw)
        return sorted((item.listed(self._name, self._itself) for item in items), key=lambda c: c.name)

    def inspect(self, container_id: str) -> Inspected | None:
        """The container in detail; None when it is gone."""
        try:
            raw = self._ask(lambda client: client.inspect_container(container_id))
        except NotFound:
            return None
        return self._parsed(TypeAdapter(Details), raw).inspected()

    def running(self) -> list[RunningContainer]:
        """The running containers, by name, by one call."""
        raw = self._ask(lambda client: client.containers(filters={"status": ["running"]}))
        items = self._parsed(TypeAdapter(list[RunningItem]), raw)
        return sorted((item.running() for item in items), key=lambda c: c.name)

    def counters(self, container_ids: Sequence[str]) -> dict[str, ContainerCounters | AegisError]:
        """What each has used so far, or why that cannot be told; those that are gone are left out.

        The engine looks at its containers once a second and answers then: they are asked for side by side.
        """
        if not container_ids:
            return {}
        client = self._ask(lambda opened: opened)
        until = time.monotonic() + _COUNTING_SECONDS
        most = _COUNTED_AT_ONCE_OVER_SSH if self._address.startswith("ssh://") else _COUNTED_AT_ONCE
        with ThreadPoolExecutor(min(most, len(container_ids))) as threads:
            answers = list(threads.map(lambda one: self._counted(client, one, until), container_ids))
        return {one: said for one, said in zip(container_ids, answers, strict=True) if said is not None}

    def _counted(
        self, client: docker.APIClient, container_id: str, until: float
    ) -> ContainerCounters | AegisError | None:
        if time.monotonic() > until:
            return DependencyUnavailable(
                self._place.system, "no time was left to ask about this container.", "see its load."
            )
        try:
            raw = self._ask(lambda _: client.stats(container_id, stream=False, one_shot=True))
            return self._parsed(TypeAdapter(Usage), raw).counters()
        except NotFound:
            return None
        except AegisError as error:
            return error

    def restart(self, container_id: str, stop_timeout_seconds: int) -> RestartAnswer:
        """Restart the container; also starts one that is stopped. What the engine refuses is an answer."""
        try:
            self._ask(lambda client: client.restart(container_id, timeout=stop_timeout_seconds))
        except NotFound:
            return RestartAnswer(outcome=RestartOutcome.GONE)
        except (Refused, Forbidden) as refusal:
            return RestartAnswer(outcome=RestartOutcome.REFUSED, detail=str(refusal))
        except NoAnswer as silence:
            return RestartAnswer(outcome=RestartOutcome.UNKNOWN, detail=str(silence))
        return RestartAnswer(outcome=RestartOutcome.RESTARTED)

    def logs(self, container_id: str, lines: int, max_bytes: int) -> str:
        """The last lines of its output, at most `max_bytes`; a sentence in brackets when unreadable."""
        if lines < 1:
            return ""
        try:
            return self._ask(lambda client: self._read_logs(client, container_id, lines, max_bytes))
        except NotFound:
            return "(the container is gone)"
        except AegisError as error:
            return f"(the logs cannot be read: {error})"

    def _read_logs(self, client: docker.APIClient, container_id: str, lines: int, max_bytes: int) -> str:
        kept: deque[bytes] = deque()
        size = 0
        deadline = time.monotonic() + self._settings.timeout_seconds
        stream = client.logs(container_id, tail=lines, stream=True, follow=False)
        for chunk in stream:
            kept.append(chunk)
            size += len(chunk)
            while size - len(kept[0]) >= max_bytes:
                size -= len(kept.popleft())
            if time.monotonic() > deadline:
                stream.close()
                break
        text = b"".join(kept)[-max_bytes:].decode("utf-8", "replace")
        return "\n".join(text.splitlines())

    def _ask(self, call: Callable[[docker.APIClient], T]) -> T:
        """Run one call; whatever the SDK raises becomes ours, but for a missing container."""
        try:
            return call(self._client())
        except NotFound:
            raise
        except (DockerException, requests.RequestException, OSError, SSHException) as error:
            raise translated(error, self._place) from error

    def _client(self) -> docker.APIClient:
        if self._connection is None:
            self._connection = (
                self._opened_over_ssh() if self._address.startswith("ssh://") else self._opened()
            )
        return self._connection

    def _opened(self) -> docker.APIClient:
        # The SDK leaks its socket when it cannot connect, and its connection when it negotiates the version
        # in vain; hence the knock before, and the version asked for by a client that is closed.
        if self._place.socket_path:
            with socket.socket(socket.AF_UNIX) as knock:
                knock.settimeout(self._settings.timeout_seconds)
                knock.connect(self._place.socket_path)
        with closing(self._new(_ANY_VERSION)) as first:
            answer = first.version(api_version=False)
        version = answer.get("ApiVersion") if isinstance(answer, dict) else None
        if not isinstance(version, str):
            raise no_engine(self._place)
        return self._new(version)

    def _opened_over_ssh(self) -> docker.APIClient:
        # The SDK opens ssh connections without a time-out of its own; a new socket takes the default one.
        usual = socket.getdefaulttimeout()
        socket.setdefaulttimeout(self._settings.timeout_seconds)
        try:
            return self._new("auto")
        finally:
            socket.setdefaulttimeout(usual)

    def _new(self, version: str) -> docker.APIClient:
        tls = self._tls()
        client = docker.APIClient(
            base_url=self._address,
            version=version,
            timeout=self._settings.timeout_seconds,  # type: ignore[arg-type]
            tls=tls or False,
            max_pool_size=_COUNTED_AT_ONCE,
        )
        if tls is not None:
            client.trust_env = False  # else REQUESTS_CA_BUNDLE would replace the engine's own authority
        return client

    def _tls(self) -> TLSConfig | None:
        folder = self._settings.cert_path
        if folder is None or not self._address.startswith(("tcp://", "https://")):
            return None
        ca, cert, key = (folder.expanduser() / name for name in ("ca.pem", "cert.pem", "key.pem"))
        for file in (ca, cert, key):
            if not file.is_file():
                raise Misconfigured(
                    "DOCKER_CERT_PATH", f"{file} is missing.", "put ca.pem, cert.pem, key.pem there."
                )
        return TLSConfig(client_cert=(str(cert), str(key)), ca_cert=str(ca), verify=True)

    def _parsed(self, shape: TypeAdapter[T], raw: Any) -> T:
        try:
            return shape.validate_python(raw)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise PermanentFailure(
                f"{self._place.system}: unexpected answer at {where} ({first['msg']}). "
                "Fix: see that DOCKER_HOSTS leads to a Docker engine of version 20.10 or newer."
            ) from error
