"""The automations our runs rely on, declared as code. They detect; nothing is delivered from here.

An automation of ours is known by its name's prefix; all others on the server are left alone.
Method: https://docs.prefect.io/v3/advanced/detect-zombie-flows
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from aegis_lib.outcome import Frozen, Outcome
from deployments.api import PrefectApi
from deployments.catalogue.model import CUSTOM_TAG, TAG

PREFIX = "aegis: "
HEARTBEAT_SECONDS = 60
"""How often a run says that it is alive: `flows.heartbeat_frequency` in prefect.toml."""
MISSED_HEARTBEATS = 3

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


def declared() -> tuple[dict[str, Any], ...]:
    """All automations of ours."""
    return (lost_heartbeat(),)


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
    """All automations on the server."""
    return tuple(api.filter("/automations/filter"))


def carry_out(api: PrefectApi, changes: Iterable[AutomationChange]) -> None:
    """Do what `compare` found."""
    for change in changes:
        if change.action == "create":
            api.post("/automations/", change.payload)
        elif change.action == "update":
            api.put(f"/automations/{change.id}", change.payload)
        else:
            api.delete(f"/automations/{change.id}")


def sync(api: PrefectApi, wanted: Iterable[Mapping[str, Any]] | None = None) -> tuple[AutomationChange, ...]:
    """Create, update and prune our automations; returns what was done. A second call does nothing."""
    changes = compare(declared() if wanted is None else wanted, read(api))
    carry_out(api, changes)
    return changes
