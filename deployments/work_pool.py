"""The work pool `aegis` as it should be on the server: which job variables it offers, with which defaults.

What an operator set as a default is kept. A pool that an earlier version made for Prefect's process worker is
taken over as it is: its type cannot be changed, and a new pool would lose the runs that wait in this one. Our
worker serves it all the same. Sends nothing but that one pool.
"""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from aegis_lib.errors import PermanentFailure
from aegis_lib.logs import get_logger
from aegis_lib.outcome import Frozen
from deployments.api import NotFound, PrefectApi
from deployments.catalogue import WORK_POOL

log = get_logger(__name__)

POOL_TYPE = "aegis"
TEMPLATE_FILE = Path(__file__).with_name("worker") / "base_job_template.json"
"""What our worker itself would say; written by `make generate`."""

_EARLIER_TYPE = "process"
_EARLIER_COMMAND = "-m prefect.engine"  # ended the start command that earlier versions wrote
_DESCRIPTION = "Runs of the Aegis jobs, on this machine."

Template = dict[str, Any]


class PoolChange(Frozen):
    """What must happen to the pool; `before` and `after` are for people, `template` is what is sent."""

    before: str | None
    after: str
    template: Template


@cache
def _ours() -> Template:
    found: Template = json.loads(TEMPLATE_FILE.read_text(encoding="utf-8"))
    return found


def compare(api: PrefectApi) -> PoolChange | None:
    """None where the pool is right.

    Raises:
        PermanentFailure: a pool of that name exists and is for another kind of worker.
    """
    try:
        pool = api.get(f"/work_pools/{WORK_POOL}")
    except NotFound:
        return PoolChange(before=None, after=f"type {POOL_TYPE}", template=_ours())
    if pool["type"] not in {POOL_TYPE, _EARLIER_TYPE}:
        raise PermanentFailure(
            f"Work pool {WORK_POOL!r} on the Prefect server is of type {pool['type']!r}, not {POOL_TYPE!r}. "
            f"Fix: delete it (prefect work-pool delete {WORK_POOL}) and deploy again."
        )
    wanted = with_defaults_of(pool["base_job_template"] or {})
    if wanted == pool["base_job_template"]:
        return None
    return PoolChange(before="another set of job variables", after="the worker's own", template=wanted)


def with_defaults_of(existing: Template) -> Template:
    """Our template, with the defaults that an operator set in an existing one."""
    wanted = deepcopy(_ours())
    offered = wanted["variables"]["properties"]
    for name, variable in existing.get("variables", {}).get("properties", {}).items():
        if name in offered and "default" in variable and not _is_earlier_command(name, variable["default"]):
            offered[name]["default"] = variable["default"]
    return wanted


def _is_earlier_command(name: str, default: Any) -> bool:
    return name == "command" and (default is None or str(default).endswith(_EARLIER_COMMAND))


def write(api: PrefectApi, change: PoolChange) -> None:
    """Make or change the pool."""
    if change.before is None:
        body = {"name": WORK_POOL, "type": POOL_TYPE, "base_job_template": change.template}
        api.post("/work_pools/", {**body, "description": _DESCRIPTION})
    else:
        api.patch(f"/work_pools/{WORK_POOL}", {"base_job_template": change.template})
    log.info("work_pool_written", work_pool=WORK_POOL, was=change.before)


def ensure(api: PrefectApi) -> bool:
    """Make sure that the pool is there and offers our job variables; False where it was so already.

    Raises:
        PermanentFailure: a pool of that name exists and is for another kind of worker.
    """
    change = compare(api)
    if change:
        write(api, change)
    return change is not None
