"""The automations our runs rely on, declared as code. They detect; nothing is delivered from here.

Those for alerts only start the job `alert_dispatch`, which finds by itself what happened: an event that is
lost costs a minute, not an alert. An action names its deployment as `flow/deployment`; the server's id for it
is put in on the way there and taken out on the way back.

An automation of ours is known by its name's prefix; all others on the server are left alone.
Method: https://docs.prefect.io/v3/advanced/detect-zombie-flows
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from aegis_lib.outcome import Frozen, Outcome
from deployments.api import NotFound, PrefectApi
from deployments.catalogue.model import CUSTOM_TAG, TAG, WORK_POOL

PREFIX = "aegis: "
HEARTBEAT_SECONDS = 60
"""How often a run says that it is alive: `flows.heartbeat_frequency` in prefect.toml."""
MISSED_HEARTBEATS = 3

DISPATCH = "alert-dispatch"
"""Flow and deployment that delivers alerts."""
STORM_SECONDS = 10.0
"""Of many events at once only the first starts a dispatch; the next may do so after this time."""

_HEARTBEAT = "prefect.flow-run.heartbeat"
_ENDED = ("Completed", "Failed", "TimedOut", "Cancelled", "Crashed", *Outcome)
_WAITING = ("AwaitingRetry", "Paused", "Suspended")  # no heartbeat is due in these
_SETS = ("after", "expect", "for_each")


class AutomationChange(Frozen):
    """What must happen to one automation; `payload` is what the server is to be told."""

    action: Literal["create", "update", "delete"]
    name: str
    id: str | None = None
    payload: dict[str, Any] | None = None


def lost_heartbeat(within_seconds: float = MISSED_HEARTBEATS * HEARTBEAT_SECONDS) -> dict[str, Any]:
    """The automation that ends a run whose process died unseen, which frees the run's slot.

    Events of state changes carry the state's *name*, so every name a run of ours can end with is expected.
    The server itself refuses to crash a run that has ended.

    Args:
        within_seconds: silence after which a run counts as dead; at least 10, more than a heartbeat's time.
    """
    return {
        "name": f"{PREFIX}crash runs whose heartbeat stopped",
        "description": f"A run that says nothing for {within_seconds:g} s has died with its process.",
        "tags": [TAG],
        "trigger": {
            "type": "event",
            "posture": "Proactive",
            "match": {"prefect.resource.id": "prefect.flow-run.*"},
            "match_related": {
                "prefect.resource.role": "tag",
                "prefect.resource.id": [f"prefect.tag.{TAG}", f"prefect.tag.{CUSTOM_TAG}"],
            },
            "after": [_HEARTBEAT],
            "expect": [
                _HEARTBEAT,
                *(f"prefect.flow-run.{name}" for name in dict.fromkeys((*_ENDED, *_WAITING))),
            ],
            "for_each": ["prefect.resource.id"],
            "threshold": 1,
            "within": float(within_seconds),
        },
        "actions": [
            {
                "type": "change-flow-run-state",
                "name": "Crashed",
                "state": "CRASHED",
                "message": f"No heartbeat for {within_seconds:g} s: the run's process died.",
                "force": False,
            }
        ],
    }


def alerting() -> tuple[dict[str, Any], ...]:
    """The automations that start `alert_dispatch` at once, instead of within the minute.

    What comes of their own doing must not start them again: neither a dispatch that fails, nor one of them
    that cannot start it.
    """
    not_itself = {"prefect.resource.role": "deployment", "prefect.resource.name": f"!{DISPATCH}"}
    ours = {
        "prefect.resource.role": "tag",
        "prefect.resource.id": [f"prefect.tag.{TAG}", f"prefect.tag.{CUSTOM_TAG}"],
    }
    runs = {"prefect.resource.id": "prefect.flow-run.*"}
    pool = {"prefect.resource.id": "prefect.work-pool.*", "prefect.resource.name": WORK_POOL}
    others = {"prefect.resource.id": "prefect.automation.*", "prefect.resource.name": f"!{PREFIX}tell*"}
    return (
        _telling(
            "tell of failed and crashed runs",
            ("prefect.flow-run.Failed", "prefect.flow-run.TimedOut", "prefect.flow-run.Crashed"),
            match=runs,
            match_related=[ours, not_itself],
        ),
        _telling(
            "tell of late runs", ("prefect.flow-run.Late",), match=runs, match_related=[ours, not_itself]
        ),
        _telling(
            "tell when no worker is online",
            ("prefect.work-pool.not-ready", "prefect.work-pool.ready"),
            match=pool,
            match_related={},
        ),
        _telling(
            "tell when an automation's action failed",
            ("prefect.automation.action.failed",),
            match=others,
            match_related={},
        ),
    )


def _telling(what: str, events: tuple[str, ...], *, match: Any, match_related: Any) -> dict[str, Any]:
    return {
        "name": f"{PREFIX}{what}",
        "description": f"Starts {DISPATCH}, which looks into the history and delivers.",
        "tags": [TAG],
        "trigger": {
            "type": "event",
            "posture": "Reactive",
            "match": match,
            "match_related": match_related,
            "after": [],
            "expect": list(events),
            "for_each": [],
            "threshold": 1,
            "within": STORM_SECONDS,
        },
        "actions": [
            {
                "type": "run-deployment",
                "source": "selected",
                "deployment_id": f"{DISPATCH}/{DISPATCH}",
                "parameters": None,
                "job_variables": None,
                "schedule_after": 0.0,
            }
        ],
    }


def declared(deployments: Iterable[str] = ()) -> tuple[dict[str, Any], ...]:
    """All automations of ours, where these deployments (`flow/deployment`) are there to be started."""
    return (lost_heartbeat(), *(alerting() if f"{DISPATCH}/{DISPATCH}" in set(deployments) else ()))


def compare(
    wanted: Iterable[Mapping[str, Any]], existing: Iterable[Mapping[str, Any]]
) -> tuple[AutomationChange, ...]:
    """What must change so that the server has just the wanted ones. A disabled one stays so."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for automation in existing:
        if automation["name"].startswith(PREFIX):
            by_name.setdefault(automation["name"], []).append(automation)
    changes = []
    for automation in wanted:
        found = by_name.pop(automation["name"], [])
        if not found:
            changes.append(
                AutomationChange(action="create", name=automation["name"], payload=dict(automation))
            )
            continue
        kept, *doubles = found
        if _comparable(automation) != _comparable({key: kept.get(key) for key in automation}):
            payload = {**automation, "enabled": kept["enabled"]}
            changes.append(
                AutomationChange(action="update", name=kept["name"], id=kept["id"], payload=payload)
            )
        by_name[kept["name"]] = doubles
    changes += [
        AutomationChange(action="delete", name=automation["name"], id=automation["id"])
        for superfluous in by_name.values()
        for automation in superfluous
    ]
    return tuple(changes)


def _comparable(automation: Mapping[str, Any]) -> dict[str, Any]:
    trigger = {key: value for key, value in automation["trigger"].items() if key != "id"}
    for key in _SETS:
        trigger[key] = sorted(trigger.get(key) or ())
    return {**automation, "trigger": trigger, "tags": sorted(automation["tags"])}


def read(api: PrefectApi) -> tuple[dict[str, Any], ...]:
    """All automations on the server; a deployment that an action starts is named where it is the dispatch."""
    found = tuple(api.filter("/automations/filter"))
    if not any("deployment_id" in action for automation in found for action in automation["actions"]):
        return found
    try:
        known = {api.get(f"/deployments/name/{DISPATCH}/{DISPATCH}")["id"]: f"{DISPATCH}/{DISPATCH}"}
    except NotFound:
        known = {}
    return tuple(_with_deployments(automation, known.get) for automation in found)


def carry_out(api: PrefectApi, changes: Iterable[AutomationChange]) -> None:
    """Do what `compare` found; the deployments that actions name must be there by now."""

    def id_of(name: str) -> str | None:
        return str(api.get(f"/deployments/name/{name}")["id"]) if "/" in name else None

    for change in changes:
        payload = _with_deployments(change.payload, id_of) if change.payload else None
        if change.action == "create":
            api.post("/automations/", payload)
        elif change.action == "update":
            api.put(f"/automations/{change.id}", payload)
        else:
            api.delete(f"/automations/{change.id}")


def _with_deployments(automation: Mapping[str, Any], other: Callable[[str], str | None]) -> dict[str, Any]:
    """The automation with each `deployment_id` replaced by what `other` says, where it says something."""
    actions = [
        {**action, "deployment_id": other(action["deployment_id"]) or action["deployment_id"]}
        if action.get("deployment_id")
        else action
        for action in automation["actions"]
    ]
    return {**automation, "actions": actions}


def sync(api: PrefectApi, wanted: Iterable[Mapping[str, Any]] | None = None) -> tuple[AutomationChange, ...]:
    """Create, update and prune our automations; returns what was done. A second call does nothing."""
    changes = compare(declared() if wanted is None else wanted, read(api))
    carry_out(api, changes)
    return changes
