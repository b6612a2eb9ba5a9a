"""What `aegis jobs`, `history` and `logs` show, as values made from the server's answers. Asks no server.

The field names are the keys of `--json`: changing one breaks somebody's script.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime

from aegis_lib.adapters.prefect_server.pools import CUSTOM_TAG
from aegis_lib.outcome import Frozen
from aegis_lib.schedule_words import words

ACTIVE = ("PENDING", "RUNNING", "CANCELLING")
"""State types of a run that holds its job's only slot."""
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
"""State types that a run never leaves."""
REFUSED_BY_LIMIT = "concurrency limit"
"""What the server writes into the message of a run that it cancelled because another one was active."""


class RunView(Frozen):
    """One run. Times are UTC; `duration_seconds` is None until it has started.

    `state` is one of the server's types (SCHEDULED, PENDING, RUNNING, COMPLETED, FAILED, CRASHED, CANCELLING,
    CANCELLED, PAUSED); `outcome` is the state's name, such as Completed, NoInput, Degraded, Late.
    """

    id: str
    name: str
    job_id: str | None
    state: str
    outcome: str
    message: str | None
    scheduled_for: AwareDatetime | None
    started: AwareDatetime | None
    finished: AwareDatetime | None
    duration_seconds: float | None
    automatic: bool

    @property
    def final(self) -> bool:
        """Whether it is over."""
        return self.state in FINAL

    @property
    def good(self) -> bool:
        """Whether it is over and did not fail; NoInput, NotConfigured and Degraded are good in this sense."""
        return self.state == "COMPLETED"

    @property
    def refused(self) -> bool:
        """Whether the limit of one active run per job cancelled it before it began."""
        return self.state == "CANCELLED" and REFUSED_BY_LIMIT in (self.message or "").lower()

    @classmethod
    def of(cls, row: Mapping[str, Any], job_id: str | None) -> RunView:
        """From a flow run of the server."""
        state = row.get("state") or {}
        kind = str(state.get("type") or row.get("state_type") or "SCHEDULED")
        ran_seconds = float(row.get("total_run_time") or 0)
        # The server gives a run that is cancelled before it began a start time, too.
        began = kind != "CANCELLED" or ran_seconds > 0
        started = _moment(row.get("start_time")) if began else None
        return cls(
            id=str(row["id"]),
            name=str(row["name"]),
            job_id=job_id,
            state=kind,
            outcome=str(state.get("name") or row.get("state_name") or "Scheduled"),
            message=state.get("message") or None,
            scheduled_for=_moment(row.get("expected_start_time")),
            started=started,
            finished=_moment(row.get("end_time")),
            duration_seconds=round(ran_seconds, 3) if started else None,
            automatic=bool(row.get("auto_scheduled")),
        )


class JobView(Frozen):
    """One job as the server knows it. Times are UTC.

    `id` is ours (`health_check`), `name` Prefect's (`health-check`). `schedule` is for people. `running` is
    the name of the active run. `last_outcome`, `last_run` and `last_message` are of the run that ended last.
    """

    id: str
    name: str
    schedule: str | None
    next_run: AwareDatetime | None
    paused: bool
    running: str | None
    last_outcome: str | None
    last_run: AwareDatetime | None
    last_message: str | None
    custom: bool
    target: str | None
    summary: str | None
    deployment_id: str

    def next_words(self, now: datetime) -> str:
        """When it runs next, for people: a UTC time, or what stands in its way; `now` is aware."""
        if self.paused:
            return "paused"
        if self.next_run is None:
            return "-"
        return f"{self.next_run:%Y-%m-%d %H:%M:%S}" if self.next_run > now else "due now"

    @classmethod
    def of(
        cls, row: Mapping[str, Any], *, next_run: RunView | None, active: RunView | None, last: RunView | None
    ) -> JobView:
        """From a deployment of the server and three of its runs."""
        schedules = [held for held in row.get("schedules") or () if held.get("active", True)]
        custom = CUSTOM_TAG in (row.get("tags") or ())
        parameters = row.get("parameters") or {}
        return cls(
            id=job_id_of(row),
            name=str(row["name"]),
            schedule=", ".join(words(held["schedule"]) for held in schedules) or None,
            next_run=next_run.scheduled_for if next_run else None,
            paused=bool(row.get("paused")),
            running=active.name if active else None,
            last_outcome=last.outcome if last else None,
            last_run=last.finished if last else None,
            last_message=last.message if last else None,
            custom=custom,
            target=str(parameters.get("target")) if custom else None,
            summary=(row.get("description") or "").strip().partition("\n")[0] or None,
            deployment_id=str(row["id"]),
        )


class LogLine(Frozen):
    """One line that a run wrote. `level` is Python's name for it; `task` says whether a step wrote it."""

    timestamp: AwareDatetime
    level: str
    message: str
    task: bool

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> LogLine:
        """From a log row of the server."""
        names = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
        number = int(row["level"])
        return cls(
            timestamp=datetime.fromisoformat(row["timestamp"]),
            level=names.get(number, str(number)),
            message=str(row["message"]),
            task=row.get("task_run_id") is not None,
        )


def job_id_of(deployment: Mapping[str, Any]) -> str:
    """Our id of a deployment."""
    return str(deployment["name"]).replace("-", "_")


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
