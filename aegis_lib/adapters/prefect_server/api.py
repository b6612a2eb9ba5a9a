"""The Prefect server's REST API over plain HTTP. Never imports prefect: that import alone takes seconds.

What the server answers becomes one of our kinds of failure, so that a caller never sees an HTTP error:

    no answer, time-out, 408, 425, 429, 5xx   DependencyUnavailable   worth a retry; 429 and 503 had three
    401, 403, not a Prefect API at that URL   Misconfigured           names the setting
    404                                       NotFound                } PermanentFailure, with the
    any other 4xx                             Refused                 } server's own words in it
"""

from __future__ import annotations

import ssl
import time
import tomllib
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import httpx

from aegis_lib import clock
from aegis_lib.errors import DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.settings import PrefectApiSettings

PAGE_SIZE = 200
"""Rows per page of a filter endpoint; the server's own maximum."""

_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_BUSY = frozenset({408, 425, 429})
_UNDONE = frozenset({429, 503})  # the server rolled back, a lock for example: asking again does nothing twice
_PAUSES_SECONDS = (0.1, 0.3, 1.0)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_CONNECT_TIMEOUT_SECONDS = 5.0
_IDLE_CONNECTION_SECONDS = 2.0  # shorter than the server's own 5, so that it never closes under a request
_EARLY = timedelta(minutes=1)  # a CSRF token is renewed this long before it expires


class Refused(PermanentFailure):
    """The server understood and said no. `status` is the HTTP status, `detail` the server's own words."""

    def __init__(self, what: str, status: int, detail: str) -> None:
        self.what, self.status, self.detail = what, status, detail
        super().__init__(f"Prefect server refused {what} ({status}): {detail}")


class NotFound(Refused):
    """The server has no such thing (404)."""


def resolve_url(settings: PrefectApiSettings, directory: Path | None = None) -> str:
    """The API's base URL, without a slash at the end.

    In this order: `PREFECT_API_URL` (environment, then `.env`), this machine on `AEGIS_PORT`, `api.url`
    in `prefect.toml` (of `directory`, default the working directory, then of the project), and the
    loopback server on Prefect's own port 4200.

    Raises:
        Misconfigured: the URL is no http(s) URL, or has credentials in it.
    """
    if settings.url:
        return _checked(settings.url, "PREFECT_API_URL")
    if settings.port:
        return f"http://127.0.0.1:{settings.port}/api"
    for place in (directory or Path.cwd(), Path(__file__).resolve().parents[3]):
        found = _url_in_toml(place / "prefect.toml")
        if found:
            return _checked(found, f"{place / 'prefect.toml'}: api.url")
    return "http://127.0.0.1:4200/api"


def _url_in_toml(file: Path) -> str | None:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Misconfigured(str(file), f"cannot be read: {error}.", "correct the file.") from None
    url = content.get("api", {}).get("url")
    return url if isinstance(url, str) else None


def _checked(url: str, setting: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise Misconfigured(
            setting, "is not an http:// or https:// URL.", "for example http://127.0.0.1:4200/api."
        )
    if parsed.userinfo:
        raise Misconfigured(
            setting,
            "has a user name or password in it.",
            "take them out and set PREFECT_API_AUTH_STRING=user:password.",
        )
    return url.rstrip("/")


class PrefectApi:
    """A connection to one Prefect server. Not for several threads at once; close it or use `with`.

    Paths start at the API's root: `api.get("/deployments/name/health-check/health-check")`.
    """

    def __init__(
        self,
        url: str,
        *,
        auth_string: str | None = None,
        ssl_cert_file: Path | None = None,
        timeout_seconds: float = 30,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Nothing is sent yet.

        Args:
            url: base URL of the API, such as `http://127.0.0.1:4200/api`.
            auth_string: `user:password` of a server that asks for it.
            ssl_cert_file: certificates to trust instead of the usual ones.
            timeout_seconds: longest wait for an answer; connecting may take at most 5 of them.
            sleep: waits between attempts.
        """
        self.url = _checked(url, "PREFECT_API_URL")
        self.timeout_seconds = timeout_seconds
        self._sleep = sleep
        self._client_id = str(uuid.uuid4())
        self._token: str | None = None
        self._token_until: datetime | None = None
        self._server_wants_token = True
        user, _, password = (auth_string or "").partition(":")
        parsed = httpx.URL(self.url)
        self._http = httpx.Client(
            base_url=self.url,
            auth=httpx.BasicAuth(user, password) if auth_string else None,
            timeout=httpx.Timeout(timeout_seconds, connect=min(_CONNECT_TIMEOUT_SECONDS, timeout_seconds)),
            limits=httpx.Limits(keepalive_expiry=_IDLE_CONNECTION_SECONDS),
            verify=_trust(parsed.scheme, ssl_cert_file),
            trust_env=parsed.host not in _LOOPBACK,
        )

    @classmethod
    def from_settings(cls, settings: PrefectApiSettings | None = None) -> Self:
        """The server that the environment, `.env` or `prefect.toml` names; see `resolve_url`.

        Raises:
            Misconfigured: one of the settings has a value that cannot work.
        """
        chosen = settings or PrefectApiSettings()
        return cls(
            resolve_url(chosen),
            auth_string=chosen.auth_string.get_secret_value() if chosen.auth_string else None,
            ssl_cert_file=chosen.ssl_cert_file,
            timeout_seconds=chosen.timeout_seconds,
        )

    @property
    def ui_url(self) -> str:
        """Address of the server's web pages."""
        return self.url.removesuffix("/api")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        """GET; `params` become the query."""
        return self.request("GET", path, params=params or None)

    def post(self, path: str, body: Any = None) -> Any:
        """POST `body` as JSON."""
        return self.request("POST", path, body=body)

    def put(self, path: str, body: Any = None) -> Any:
        """PUT `body` as JSON."""
        return self.request("PUT", path, body=body)

    def patch(self, path: str, body: Any = None) -> Any:
        """PATCH with `body` as JSON."""
        return self.request("PATCH", path, body=body)

    def delete(self, path: str) -> None:
        """DELETE."""
        self.request("DELETE", path)

    def filter(
        self, path: str, body: Mapping[str, Any] | None = None, *, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Every row of a filter endpoint such as `/flow_runs/filter`, page by page, at most `limit`.

        Give a `sort` in `body` where rows may be added meanwhile; a row on a page border may then come twice.
        """
        offset = 0
        while limit is None or offset < limit:
            size = PAGE_SIZE if limit is None else min(PAGE_SIZE, limit - offset)
            page = self.post(path, {**(body or {}), "limit": size, "offset": offset})
            yield from cast("list[dict[str, Any]]", page)
            if len(page) < size:
                return
            offset += size

    def healthy(self) -> bool:
        """Whether the server answers its health question at all. Proves nothing about its scheduler."""
        try:
            return self.get("/health") is True
        except (DependencyUnavailable, PermanentFailure):
            return False

    def request(
        self, method: str, path: str, *, body: Any = None, params: Mapping[str, Any] | None = None
    ) -> Any:
        """Send one request and return the decoded JSON of the answer, None where it is empty.

        Raises:
            DependencyUnavailable: no answer in time, or the server is busy or broken just now.
            Misconfigured: the server asks for other credentials, or something else answers at that URL.
            NotFound: there is no such thing.
            Refused: the server refused the request.
        """
        response = self._send(method, path, body, params)
        if response.status_code == 403 and method in _CHANGING and "CSRF" in response.text:
            self._token, self._server_wants_token = None, True
            response = self._send(method, path, body, params)
        for pause in _PAUSES_SECONDS:
            if response.status_code not in _UNDONE or (_retry_after(response) or 0) > max(_PAUSES_SECONDS):
                break
            self._sleep(pause)
            response = self._send(method, path, body, params)
        if response.is_success:
            return self._decoded(response)
        raise self._failure(f"{method} {path}", response)

    def _send(self, method: str, path: str, body: Any, params: Mapping[str, Any] | None) -> httpx.Response:
        headers = self._csrf_headers() if method in _CHANGING else {}
        try:
            return self._http.request(method, path, json=body, params=params, headers=headers)
        except httpx.TimeoutException as error:
            raise DependencyUnavailable(
                "Prefect server",
                f"no answer from {self.url} within {self.timeout_seconds:g} s.",
                "see `aegis doctor`; the machine may be overloaded.",
            ) from error
        except httpx.TransportError as error:
            raise DependencyUnavailable(
                "Prefect server",
                f"no answer at {self.url} ({_reason(error)}).",
                "start it with `aegis up`, or point PREFECT_API_URL at a running one.",
            ) from error

    def _csrf_headers(self) -> dict[str, str]:
        if not self._server_wants_token:
            return {}
        if self._token is None or (self._token_until and clock.utcnow() > self._token_until - _EARLY):
            try:
                answer = self.get("/csrf-token", client=self._client_id)
            except NotFound:
                answer = None
            except Refused as refusal:
                if refusal.status != 422:
                    raise
                answer = None
            if answer is None:
                self._server_wants_token = False
                return {}
            self._token = str(answer["token"])
            self._token_until = datetime.fromisoformat(answer["expiration"])
        return {"Prefect-Csrf-Token": self._token, "Prefect-Csrf-Client": self._client_id}

    def _decoded(self, response: httpx.Response) -> Any:
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError as error:
            raise Misconfigured(
                "PREFECT_API_URL",
                f"{self.url} answers, but not as a Prefect API.",
                "it usually ends in /api, for example http://127.0.0.1:4200/api.",
            ) from error

    def _failure(self, what: str, response: httpx.Response) -> Exception:
        status, detail = response.status_code, _detail(response)
        if status == 401:
            return Misconfigured(
                "PREFECT_API_AUTH_STRING",
                f"the Prefect server at {self.url} does not accept it."
                if self._http.auth
                else f"is not set, and the Prefect server at {self.url} asks for it.",
                "set it to the server's PREFECT_SERVER_API_AUTH_STRING (user:password).",
            )
        if status == 403:
            return Misconfigured(
                "PREFECT_API_URL",
                f"{self.url} forbids {what}: {detail}.",
                "check what stands in front of the server, such as a proxy.",
            )
        if status >= 500 or status in _BUSY:
            return DependencyUnavailable(
                "Prefect server",
                f"answered {status} to {what}: {detail}.",
                "look at the server's log; `aegis doctor` tells what is wrong.",
                retry_after_seconds=_retry_after(response),
            )
        return (NotFound if status == 404 else Refused)(what, status, detail)


def _trust(scheme: str, ssl_cert_file: Path | None) -> ssl.SSLContext:
    if scheme == "http":  # nothing to verify; loading the usual certificates would cost 20 ms
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ssl_cert_file is None:
        return httpx.create_ssl_context()
    try:
        return ssl.create_default_context(cafile=str(ssl_cert_file))
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(
            "PREFECT_API_SSL_CERT_FILE", f"{ssl_cert_file} cannot be used: {error}.", "name a PEM file."
        ) from error


def _reason(error: httpx.TransportError) -> str:
    text = str(error)
    return "connection refused" if "Connection refused" in text else text or type(error).__name__


def _retry_after(response: httpx.Response) -> float | None:
    try:
        return float(response.headers["Retry-After"])
    except (KeyError, ValueError):
        return None


def _detail(response: httpx.Response) -> str:
    """The server's own explanation, on one line of at most 500 characters."""
    try:
        content = response.json()
    except ValueError:
        content = response.text
    if isinstance(content, dict):
        content = (
            content.get("detail")
            or content.get("exception_detail")
            or content.get("exception_message")
            or content
        )
    if isinstance(content, list):
        content = "; ".join(
            f"{'.'.join(str(part) for part in item.get('loc', ()))}: {item.get('msg', '')}"
            if isinstance(item, dict)
            else str(item)
            for item in content
        )
    return " ".join(str(content).split())[:500].rstrip(".") or response.reason_phrase
