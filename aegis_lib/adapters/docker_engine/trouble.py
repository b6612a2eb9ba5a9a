"""What went wrong with a Docker engine, said in our errors with the way to mend it. It makes no call.

socket denied, call forbidden, certificates -> Misconfigured
no socket, refused, no answer in time, 5xx  -> DependencyUnavailable
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from docker.errors import APIError

from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured


class Refused(DependencyUnavailable):
    """The engine answered, and the answer was no."""


class Forbidden(Misconfigured):
    """The engine, or a proxy before it, does not allow this client to make this call."""


class NoAnswer(DependencyUnavailable):
    """The engine did not answer in time; the call may or may not have been carried out."""


@dataclass(frozen=True)
class Place:
    """An engine, for messages. `shown` is its address without a password."""

    name: str
    address: str
    timeout_seconds: float

    @property
    def shown(self) -> str:
        return shown(self.address)

    @property
    def system(self) -> str:
        return f"Docker engine {self.name} ({self.shown})"

    @property
    def socket_path(self) -> str:
        """Path of the Unix socket; empty for other addresses."""
        return urlsplit(self.address).path if self.address.startswith("unix://") else ""


def shown(address: str) -> str:
    """The address without a password."""
    return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1:***@", address)


def translated(error: BaseException, place: Place) -> AegisError:
    """What an error of the SDK means. Its causes are searched for the one of the operating system."""
    causes = list(_causes(error))
    if (answer := next((c for c in causes if isinstance(c, APIError)), None)) is not None:
        return _answered(answer, place)
    for kinds, explain in (
        (PermissionError, _denied),
        ((requests.Timeout, TimeoutError), _silent),
        (FileNotFoundError, _absent),
        (ConnectionRefusedError, _nobody),
        (ssl.SSLError, _untrusted),
        (requests.JSONDecodeError, _no_engine_there),
    ):
        if any(isinstance(cause, kinds) for cause in causes):
            return explain(place, _last(causes))
    if "paramiko" in str(error):
        return Misconfigured(
            "DOCKER_HOSTS", "ssh:// needs the library paramiko.", "pip install 'aegis-scheduler[docker]'."
        )
    if place.address.startswith("ssh://"):
        command = f"ssh {place.shown.removeprefix('ssh://')} docker version"
        return DependencyUnavailable(
            place.system,
            f"no connection over ssh: {_last(causes)}.",
            f"see that `{command}` works for this user without a question.",
        )
    return DependencyUnavailable(
        place.system, f"the connection failed: {_last(causes)}.", "see that the engine runs there."
    )


def _denied(place: Place, _said: str) -> AegisError:
    group = ""
    with suppress(OSError, KeyError):
        group = f" (`{Path(place.socket_path).group()}`)" if place.socket_path else ""
    return Misconfigured(
        "DOCKER_HOSTS",
        f"this user may not use {place.socket_path or place.shown}.",
        f"add it to the group of the socket{group} with `usermod -aG` and log in again; in a container use "
        "`group_add` with that group's id.",
    )


def _silent(place: Place, _said: str) -> AegisError:
    return NoAnswer(
        place.system,
        f"no answer within {place.timeout_seconds:g} s.",
        "see `journalctl -u docker` on its host; restart the engine if it hangs, or raise DOCKER_TIMEOUT.",
    )


def _absent(place: Place, said: str) -> AegisError:
    path = place.socket_path
    if not path:
        return DependencyUnavailable(place.system, f"a file is missing: {said}.", "correct DOCKER_HOSTS.")
    return DependencyUnavailable(
        place.system,
        f"there is no socket {path}.",
        "start the engine (`systemctl start docker`), mount the socket into this container "
        f"(`-v {path}:{path}`), or correct DOCKER_HOSTS.",
    )


def _nobody(place: Place, _said: str) -> AegisError:
    return DependencyUnavailable(
        place.system,
        "connection refused: no engine listens there.",
        "start the engine (`systemctl start docker`), or correct DOCKER_HOSTS.",
    )


def _untrusted(place: Place, said: str) -> AegisError:
    return Misconfigured(
        "DOCKER_CERT_PATH",
        f"{place.system} and this client do not trust each other: {said}.",
        "put the ca.pem of the engine and our cert.pem and key.pem there.",
    )


def no_engine(place: Place) -> AegisError:
    """Something answers there, and it does not speak the engine's protocol."""
    return Misconfigured(
        "DOCKER_HOSTS", f"what answers at {place.shown} is no Docker engine.", "correct the address."
    )


def _no_engine_there(place: Place, _said: str) -> AegisError:
    return no_engine(place)


def _answered(error: APIError, place: Place) -> AegisError:
    said = " ".join(str(error.explanation or error).split())[:300].rstrip(".")
    if error.status_code in {401, 403}:
        return Forbidden(
            "DOCKER_HOSTS",
            f"{place.system} forbids this call: {said}.",
            "let list, inspect, logs and restart of containers through where the socket is filtered.",
        )
    return Refused(place.system, f"answered {error.status_code}: {said}.", "see the engine's log.")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and everything behind it, also what libraries hide in the arguments of their errors."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        found = waiting.pop(0)
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            yield found
            waiting += [*found.args, getattr(found, "reason", None), found.__cause__, found.__context__]


def _last(causes: list[BaseException]) -> str:
    return " ".join(str(causes[-1]).split()).rstrip(".")[:200] or type(causes[-1]).__name__
