"""A job that a person added: what is deployed for it, and whether its function can be called at all.

All custom jobs are deployments of one flow, `flows/_custom_job.py`, each with its function fixed. Knows
nothing of the connection to the server.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from typing import Any, Self

from aegis_lib.errors import PermanentFailure
from aegis_lib.outcome import Frozen
from deployments import triggers
from deployments.catalogue.model import CUSTOM_TAG, WORK_POOL
from deployments.job_variables import LONGEST_TIMEOUT_SECONDS
from deployments.project import project_root

FLOW_NAME = "custom-job"
ENTRYPOINT = "flows/_custom_job.py:custom_job"

_ID = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST_ID = 80
_PROBE_TIMEOUT_SECONDS = 60
_REFUSED = 3  # exit code of the probe
LONGEST_ATTEMPT_SECONDS = 3600
"""What an attempt may take unless its job says otherwise: the time-out of the flow."""
_PAUSE_SECONDS = 30  # before the second attempt
_YEAR = datetime(2028, 1, 1, tzinfo=UTC)  # a leap year, so that no day of a year is left out
_LOOKED_AT = 2000  # so many runs show every distance of a cron expression that is at most a few hours


class CustomJob(Frozen):
    """One custom job. `schedule` is None for a job that runs once, or on demand."""

    job_id: str
    target: str
    arguments: dict[str, Any]
    schedule: triggers.CronSchedule | triggers.IntervalSchedule | None
    timeout_seconds: int

    @classmethod
    def checked(
        cls,
        job_id: str,
        *,
        target: str,
        arguments: Mapping[str, Any],
        schedule: triggers.Schedule | None,
        timeout_seconds: int | None = None,
    ) -> Self:
        """Build one from what a person wrote.

        Without `timeout_seconds` an attempt may take an hour, or four fifths of the shortest time between two
        runs where that is less.

        Raises:
            PermanentFailure: the id is no id, an argument cannot be stored, or the time-out is not possible.
        """
        plain = job_id.strip().lower().replace("-", "_")
        if not _ID.fullmatch(plain) or len(plain) > _LONGEST_ID:
            raise PermanentFailure(
                f"{job_id!r} cannot be a job's id. Fix: use lower-case letters, digits and underscores, "
                f"starting with a letter, at most {_LONGEST_ID} together, such as nightly_backup."
            )
        try:
            stored = json.loads(json.dumps(dict(arguments), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise PermanentFailure(
                f"The arguments cannot be stored: {error}. "
                "Fix: use text, numbers, true, false, lists and mappings."
            ) from None
        return cls(
            job_id=plain,
            target=target,
            arguments=stored,
            schedule=schedule,
            timeout_seconds=_timeout(timeout_seconds, schedule),
        )

    @property
    def deployment_name(self) -> str:
        """Prefect's name of the job."""
        return self.job_id.replace("_", "-")

    def payload(self, flow_id: str, root: str) -> dict[str, Any]:
        """What is posted to the server; runs start in `root`. No run can change which function is called."""
        schedules = []
        if self.schedule is not None:
            schedules = [{"slug": self.schedule.slug, "active": True, "schedule": self.schedule.payload()}]
        return {
            "name": self.deployment_name,
            "flow_id": flow_id,
            "entrypoint": ENTRYPOINT,
            "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": root}}],
            "work_pool_name": WORK_POOL,
            "work_queue_name": "default",
            "job_variables": {"timeout_seconds": self.timeout_seconds},
            "tags": [CUSTOM_TAG],
            "description": f"Custom job: calls {self.target}.",
            "parameters": {"job_id": self.job_id, "target": self.target, "arguments": self.arguments},
            "parameter_openapi_schema": self._schema(),
            "enforce_parameter_schema": True,
            "schedules": schedules,
            "concurrency_limit": 1,
            "concurrency_options": {"collision_strategy": "CANCEL_NEW", "grace_period_seconds": 60},
        }

    def _schema(self) -> dict[str, Any]:
        fixed = {"job_id": self.job_id, "target": self.target}
        properties = {
            name: {"title": name, "type": "string", "enum": [value], "position": position}
            for position, (name, value) in enumerate(fixed.items())
        }
        arguments = {"title": "arguments", "type": "object", "position": len(fixed)}
        return {
            "title": "Parameters",
            "type": "object",
            "properties": {**properties, "arguments": arguments},
            "required": list(fixed),
        }


def _timeout(asked_seconds: int | None, schedule: triggers.Schedule | None) -> int:
    between = schedule and shortest_seconds_between(schedule)
    if asked_seconds is None:
        return min(LONGEST_ATTEMPT_SECONDS, max(1, between * 4 // 5)) if between else LONGEST_ATTEMPT_SECONDS
    if not 1 <= asked_seconds <= LONGEST_TIMEOUT_SECONDS:
        raise PermanentFailure(
            f"A time-out of {asked_seconds} s is not possible. Fix: 1 s to {LONGEST_TIMEOUT_SECONDS} s."
        )
    if between and asked_seconds >= between:
        raise PermanentFailure(
            f"A time-out of {asked_seconds} s is not shorter than the {between} s between two runs, so that "
            "a run that hangs would keep the next from starting. Fix: a shorter time-out, or fewer runs."
        )
    return asked_seconds


def shortest_seconds_between(schedule: triggers.Schedule) -> int | None:
    """The shortest time between two of a schedule's runs within a year; None where it has one run or none."""
    if isinstance(schedule, triggers.IntervalSchedule):
        return schedule.interval_seconds
    year = takewhile(lambda due: due < _YEAR + timedelta(days=366), schedule.after(_YEAR))
    return min((int((b - a).total_seconds()) for a, b in pairwise(islice(year, _LOOKED_AT))), default=None)


def schedules_of(deployment: Mapping[str, Any]) -> list[triggers.Schedule]:
    """The schedules of a custom job as the server holds them, without kinds that `aegis add` never makes."""
    found: list[triggers.Schedule] = []
    for number, held in enumerate(deployment.get("schedules") or ()):
        schedule, slug = held["schedule"], held.get("slug") or f"{triggers.SLUG}-{number}"
        if schedule.get("cron"):
            zone = None if schedule.get("timezone") in {None, "UTC"} else schedule["timezone"]
            found.append(triggers.CronSchedule(slug=slug, cron=schedule["cron"], timezone=zone))
        elif schedule.get("interval"):
            found.append(
                triggers.IntervalSchedule(
                    slug=slug, interval_seconds=int(schedule["interval"]), anchor_date=schedule["anchor_date"]
                )
            )
    return found


def longest_run_seconds(job_variables: Mapping[str, Any]) -> int:
    """How long a run of a custom job may take with its second attempt."""
    return 2 * int(job_variables.get("timeout_seconds") or LONGEST_ATTEMPT_SECONDS) + _PAUSE_SECONDS


def name_of(function: Callable[..., Any] | str) -> str:
    """`module:function` of a function that any process can import.

    Raises:
        PermanentFailure: it exists in this process only.
    """
    if isinstance(function, str):
        return function.strip()
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", getattr(function, "__name__", ""))
    if not module or module == "__main__" or not name or "<" in name:
        raise PermanentFailure(
            f"{name or function!r} cannot be imported by the worker. "
            "Fix: put it at the top level of a module, and give that as 'module:function'."
        )
    return f"{module}:{name}"


def check_target(target: str, arguments: Mapping[str, Any]) -> None:
    """Import the function in a process of its own, where runs start, and see whether it takes the arguments.

    Raises:
        PermanentFailure: it does not work; says why. The function itself was not called.
    """
    question = json.dumps({"target": target, "arguments": dict(arguments)})
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "deployments.target_probe"],
            input=question,
            capture_output=True,
            text=True,
            cwd=project_root(),
            timeout=_PROBE_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PermanentFailure(
            f"Importing {target} took more than {_PROBE_TIMEOUT_SECONDS} s. "
            "Fix: let the module only define things, and do the work inside the function."
        ) from None
    if answer.returncode == 0:
        return
    last = (answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"])[-1]
    if answer.returncode == _REFUSED:
        raise PermanentFailure(last)
    raise PermanentFailure(f"Importing {target} failed: {last}. Fix: correct the module; nothing was added.")
