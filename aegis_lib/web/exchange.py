"""One HTTP request to a service of somebody else, bounded in time and size. Knows no service's protocol.

What httpx raises is turned into our errors here, without the address: it may contain a token. httpx's tree:
`TimeoutException` and `NetworkError` below `TransportError` are transient; an address it cannot use is a
wrong setting.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from aegis_lib.errors import DependencyUnavailable, Misconfigured
from aegis_lib.web.secrecy import redact

TIMEOUT_SECONDS = 10.0
LARGEST_REPLY_BYTES = 1_000_000

ReplyModel = TypeVar("ReplyModel", bound="Reply")


class Reply(BaseModel):
    """Base of what we read from a service: the fields we use are strict, others may be there."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)


@dataclass(frozen=True)
class Answer:
    """A complete HTTP answer."""

    status: int
    headers: httpx.Headers
    body: bytes

    def read(self, model: type[ReplyModel], system: str) -> ReplyModel:
        """The body as a model.

        Raises:
            DependencyUnavailable: it is not what the service documents; something else answered.
        """
        found = self.read_or_none(model)
        if found is None:
            raise DependencyUnavailable(
                system,
                f"answered HTTP {self.status} with something else than its documented reply.",
                "check that no proxy or sign-in page stands in between.",
            )
        return found

    def read_or_none(self, model: type[ReplyModel]) -> ReplyModel | None:
        """The body as a model, or None where it is something else."""
        try:
            return model.model_validate_json(self.body)
        except ValidationError:
            return None

    def seconds(self, header: str) -> float | None:
        """A header that holds a number of seconds (0 or more), or None."""
        try:
            value = float(self.headers.get(header, ""))
        except ValueError:
            return None
        return value if 0 <= value < float("inf") else None


def connect() -> httpx.Client:
    """A client for all requests of one caller. It follows no redirect, so no token travels elsewhere."""
    trust = _trust(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    return httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False, verify=trust)


@cache
def _trust(_file: str | None, _directory: str | None) -> ssl.SSLContext:
    """The authorities that these variables name, read once: it takes 20 ms, more than the request itself."""
    return httpx.create_ssl_context()


def user_agent(kind: str = "") -> str:
    """How we present ourselves: `aegis-scheduler/0.1.0`, or in another service's documented form."""
    version = metadata.version("aegis-scheduler")
    return f"{kind} (aegis-scheduler, {version})" if kind else f"aegis-scheduler/{version}"


def check_address(setting: str, address: str) -> str:
    """The address without its last slash.

    Raises:
        Misconfigured: it is no absolute http(s) address, or http to another machine.
    """
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        url = httpx.URL("")
    local = url.host in {"localhost", "127.0.0.1", "::1"}
    if not url.host or url.scheme not in {"http", "https"} or (url.scheme == "http" and not local):
        raise Misconfigured(
            setting, "is not an https:// address.", "give the whole address, or leave it out."
        )
    return address.rstrip("/")


def send(
    client: httpx.Client,
    method: str,
    url: str,
    *,
    system: str,
    json: Mapping[str, Any] | None = None,
    params: Mapping[str, str | int] | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
    largest_bytes: int = LARGEST_REPLY_BYTES,
) -> Answer:
    """Send a request and read the whole answer within `timeout_seconds` overall, whatever its status.

    Raises:
        DependencyUnavailable: no connection, no answer in time, or an endless one.
    """
    problem = ""
    deadline = time.monotonic() + timeout_seconds
    sent_headers = {"user-agent": user_agent(), **(headers or {})}
    try:
        with client.stream(
            method, url, json=json, params=params, headers=sent_headers, timeout=timeout_seconds
        ) as response:
            body = b""
            for piece in response.iter_bytes():
                body += piece
                if time.monotonic() > deadline or len(body) > largest_bytes:
                    problem = f"sent no end of its answer within {timeout_seconds:g} s."
                    break
            else:
                return Answer(response.status_code, response.headers, body)
    except httpx.TimeoutException:
        problem = f"did not answer within {timeout_seconds:g} s."
    except httpx.HTTPError as error:
        problem = redact(f"cannot be reached: {str(error) or type(error).__name__}.")
    # Raised out here, so that the library's exception, which knows the address, is not attached to ours.
    raise DependencyUnavailable(system, problem, "check the network and the service's status page.")
