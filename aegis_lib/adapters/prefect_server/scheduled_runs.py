"""The runs that were to be, as a Prefect server's history has them. Changes nothing there.

Prefect REST API reference: "Read Flow Runs", "Read Deployments". What the server answers is parsed by models;
an answer of another form is an error, not a guess. The kinds of failure are those of `api`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from aegis_lib.adapters.prefect_server.api import PAGE_SIZE, PrefectApi
from aegis_lib.errors import PermanentFailure
from aegis_lib.ledger.model import ScheduledRun, ServerJob
from aegis_lib.settings import PrefectApiSettings

TAGS = ("aegis", "aegis-custom")
"""What the deployments of the catalogue carry, and those that a person added."""
_OURS: dict[str, Any] = {"tags": {"any_": list(TAGS)}}
Row = TypeVar("Row", bound="_Answer")


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


class ScheduledRuns:
    """Implements the port `ScheduledRunHistory`. Not for several threads at once."""

    def __init__(self, api: PrefectApi) -> None:
        self._api = api
        self._names: dict[str, str] | None = None

    def jobs(self) -> list[ServerJob]:
        """Every job that the server has, of the catalogue or added, and what of it is paused."""
        rows = self._api.filter("/deployments/filter", {"deployments": _OURS, "sort": "NAME_ASC"})
        found = list(_read(_Deployment, rows))
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
        newest = next(_read(_Run, self._api.filter("/flow_runs/filter", body, limit=1)), None)
        return newest.end_time if newest else None

    def _runs(self, body: Mapping[str, Any]) -> list[ScheduledRun]:
        if self._names is None:
            self.jobs()
        names = self._names or {}
        seen: dict[str, ScheduledRun] = {}  # a run on the border of two pages may come twice
        for row in _read(_Run, self._api.filter("/flow_runs/filter", {**body, "sort": "ID_DESC"})):
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


def _read(model: type[Row], rows: Iterable[Any]) -> Iterator[Row]:
    try:
        for row in rows:
            yield model.model_validate(row)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PermanentFailure(
            f"The Prefect server answered in a form we do not know: {where}: {first['msg']}. "
            "Fix: install the same Prefect version on both sides; `aegis doctor` compares them."
        ) from None


@contextmanager
def connect(settings: PrefectApiSettings) -> Iterator[ScheduledRuns]:
    """The history of the server that `settings` name; without a URL the one of this machine.

    Raises:
        Misconfigured: one of the settings has a value that cannot work.
    """
    with PrefectApi.from_settings(settings) as api:
        yield ScheduledRuns(api)
