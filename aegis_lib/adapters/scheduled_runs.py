"""The runs that a Prefect server knows of, read over its REST API. Changes nothing there.

Reference: https://docs.prefect.io/v3/api-ref/rest-api (`POST /flow_runs/filter`, `POST /deployments/filter`).
What the server answers is parsed by models; an answer of another form is an error, not a guess.

    no answer, time-out, 408, 425, 429, 5xx          DependencyUnavailable
    401, 403, 404, no Prefect API at that address    Misconfigured, names the setting
    any other 4xx, an answer of another form         PermanentFailure
"""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx
from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from aegis_lib.errors import DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.ledger.model import ScheduledRun, ServerJob
from aegis_lib.settings import PrefectApiSettings

PAGE_SIZE = 200
"""Rows per page; the server's own maximum."""
TAG = "aegis"
"""Carried by every deployment of the catalogue."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_BUSY = frozenset({408, 425, 429})
_SYSTEM = "Prefect server"
T = TypeVar("T")


class _Answer(BaseModel):
    """Base: what we read is of the right type; what we do not read may be anything."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _State(_Answer):
    type: Literal[
        "SCHEDULED",
        "PENDING",
        "RUNNING",
        "COMPLETED",
        "FAILED",
        "CANCELLED",
        "CRASHED",
        "PAUSED",
        "CANCELLING",
    ]
    name: str
    message: str | None = None


class _Maker(_Answer):
    type: str | None = None
    display_value: str | None = None


class _Run(_Answer):
    id: str
    deployment_id: str
    expected_start_time: AwareDatetime
    start_time: AwareDatetime | None = None
    end_time: AwareDatetime | None = None
    run_count: int
    auto_scheduled: bool
    state: _State
    created_by: _Maker | None = None


class _Schedule(_Answer):
    slug: str | None = None
    active: bool


class _Deployment(_Answer):
    id: str
    name: str
    paused: bool
    schedules: tuple[_Schedule, ...] = ()


class _Token(_Answer):
    token: str


_RUNS = TypeAdapter(list[_Run])
_DEPLOYMENTS = TypeAdapter(list[_Deployment])


class ScheduledRuns:
    """Implements the port `ScheduledRunHistory`. Not for several threads at once."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._names: dict[str, str] | None = None
        self._csrf: dict[str, str] | None = None

    def jobs(self) -> list[ServerJob]:
        """Every job of the catalogue that the server has, and what of it is paused."""
        rows = self._pages("/deployments/filter", {"deployments": _OURS, "sort": "NAME_ASC"}, _DEPLOYMENTS)
        found = list(rows)
        self._names = {row.id: row.name.replace("-", "_") for row in found}
        return [
            ServerJob(
                job_id=row.name.replace("-", "_"),
                paused=row.paused,
                paused_slugs=frozenset(s.slug for s in row.schedules if s.slug and not s.active),
            )
            for row in found
        ]

    def runs(self, start: datetime, end: datetime) -> list[ScheduledRun]:
        """Every run of our jobs that was to start in [start, end], in the order of their ids."""
        between = {"after_": start.isoformat(), "before_": end.isoformat()}
        return self._runs({"deployments": _OURS, "flow_runs": {"expected_start_time": between}})

    def runs_by_id(self, ids: Sequence[str]) -> list[ScheduledRun]:
        """These runs, as far as they are still there; at most 200."""
        if len(ids) > PAGE_SIZE:
            raise ValueError(f"at most {PAGE_SIZE} runs at once, not {len(ids)}")
        return self._runs({"flow_runs": {"id": {"any_": list(ids)}}}) if ids else []

    def newest_output(self, job_id: str, before: datetime) -> datetime | None:
        """When the newest run of a job until `before` ended as Completed or Degraded, by hand or not."""
        good = {"type": {"any_": ["COMPLETED"]}, "name": {"any_": ["Completed", "Degraded"]}}
        body = {
            "deployments": {**_OURS, "name": {"any_": [job_id.replace("_", "-")]}},
            "flow_runs": {"state": good, "end_time": {"before_": before.isoformat()}},
            "sort": "END_TIME_DESC",
        }
        newest = next(self._pages("/flow_runs/filter", body, _RUNS, size=1), None)
        return newest.end_time if newest else None

    def _runs(self, body: Mapping[str, Any]) -> list[ScheduledRun]:
        if self._names is None:
            self.jobs()
        names = self._names or {}
        seen: dict[str, ScheduledRun] = {}  # a run on the border of two pages may come twice
        for row in self._pages("/flow_runs/filter", {**body, "sort": "ID_DESC"}, _RUNS):
            if row.deployment_id not in names:
                continue
            maker = row.created_by
            seen[row.id] = ScheduledRun(
                id=row.id,
                job_id=names[row.deployment_id],
                due_at=row.expected_start_time,
                slug=maker.display_value if maker and maker.type == "SCHEDULE" else None,
                state=row.state.type,
                name=row.state.name,
                message=row.state.message or "",
                # The server gives a start to runs that ended before they began, too.
                started_at=row.start_time if row.run_count else None,
                automatic=row.auto_scheduled,
            )
        return list(seen.values())

    def _pages(
        self, path: str, body: Mapping[str, Any], adapter: TypeAdapter[list[T]], size: int = PAGE_SIZE
    ) -> Iterator[T]:
        offset = 0
        while True:
            page = self._post(path, {**body, "limit": size, "offset": offset}, adapter)
            yield from page
            if len(page) < size:
                return
            offset += size

    def _post(self, path: str, body: Mapping[str, Any], adapter: TypeAdapter[T]) -> T:
        if self._csrf is None:
            self._csrf = self._token()
        response = self._send("POST", path, json=body, headers=self._csrf)
        if response.status_code == 403 and "CSRF" in response.text:
            self._csrf = self._token()
            response = self._send("POST", path, json=body, headers=self._csrf)
        return self._parsed(path, response, adapter)

    def _token(self) -> dict[str, str]:
        """What a server wants to see that protects itself against forged requests; nothing for others."""
        client = str(uuid.uuid4())
        response = self._send("GET", "/csrf-token", params={"client": client})
        if response.status_code in {404, 422}:
            return {}
        answer = self._parsed("/csrf-token", response, TypeAdapter(_Token))
        return {"Prefect-Csrf-Token": answer.token, "Prefect-Csrf-Client": client}

    def _send(self, method: str, path: str, **given: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **given)
        except httpx.TransportError as error:
            raise DependencyUnavailable(
                _SYSTEM,
                f"no answer at {self._http.base_url} ({type(error).__name__}).",
                "start it with `aegis up`, or point PREFECT_API_URL at a running one.",
            ) from error

    def _parsed(self, path: str, response: httpx.Response, adapter: TypeAdapter[T]) -> T:
        status = response.status_code
        if status >= 500 or status in _BUSY:
            raise DependencyUnavailable(_SYSTEM, f"answered {status} to {path}.", "look at the server's log.")
        if status == 401:
            raise Misconfigured(
                "PREFECT_API_AUTH_STRING",
                f"the server at {self._http.base_url} does not accept it, or asks for it.",
                "set it to the server's PREFECT_SERVER_API_AUTH_STRING (user:password).",
            )
        if status in {403, 404}:
            raise Misconfigured(
                "PREFECT_API_URL",
                f"{self._http.base_url} answers {status} to {path}.",
                "name a Prefect API; it usually ends in /api.",
            )
        if not response.is_success:
            raise PermanentFailure(
                f"{_SYSTEM} refused {path} ({status}): {' '.join(response.text.split())[:300]}"
            )
        try:
            return adapter.validate_json(response.content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise PermanentFailure(
                f"{_SYSTEM} answered {path} in a form we do not know: {where}: {first['msg']}. "
                "Fix: run the Prefect version that this program was tested with; `aegis doctor` names it."
            ) from None


_OURS: dict[str, Any] = {"tags": {"all_": [TAG]}}


def _trust(url: str, ssl_cert_file: Path | None) -> ssl.SSLContext:
    if url.startswith("http:"):  # nothing to verify; loading the usual certificates would cost 20 ms
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ssl_cert_file is not None:
        return ssl.create_default_context(cafile=str(ssl_cert_file))
    return httpx.create_ssl_context()


@contextmanager
def connect(settings: PrefectApiSettings) -> Iterator[ScheduledRuns]:
    """The history of the server that `settings` name; without a URL the one of this machine.

    Raises:
        Misconfigured: the certificate file cannot be used.
    """
    url = settings.url or f"http://127.0.0.1:{settings.port or 4200}/api"
    user, _, password = (settings.auth_string.get_secret_value() if settings.auth_string else "").partition(
        ":"
    )
    try:
        http = httpx.Client(
            base_url=url.rstrip("/"),
            auth=httpx.BasicAuth(user, password) if user else None,
            timeout=httpx.Timeout(settings.timeout_seconds, connect=min(5.0, settings.timeout_seconds)),
            verify=_trust(url, settings.ssl_cert_file),
            trust_env=httpx.URL(url).host not in _LOOPBACK,  # no proxy stands before this machine
        )
    except (OSError, httpx.InvalidURL) as error:
        raise Misconfigured(
            "PREFECT_API_URL", f"or PREFECT_API_SSL_CERT_FILE cannot be used: {error}.", "correct them."
        ) from error
    with http:
        yield ScheduledRuns(http)
