"""`aegis alerts` and `aegis ack`: what is wrong, who was told, and taking it in hand."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter, validators

from aegis_lib import clock
from deployments.cli import screen
from deployments.cli.exit_codes import OK, NothingSuch
from deployments.cli.options import INSIGHT, Json

if TYPE_CHECKING:
    from aegis_lib.alerts.model import Alert, Delivery

alerts = App(name="alerts", group=INSIGHT, help="Show what is wrong and who was told of it.")
_COLOURS = {"pending": "yellow", "sent": "bold red", "acknowledged": "cyan", "resolved": "green"}


@alerts.default
@alerts.command(name="list")
def list_alerts(
    *,
    everything: Annotated[bool, Parameter(name="--all", negative="", show_default=False)] = False,
    limit: Annotated[
        int, Parameter(name=["--limit", "-n"], validator=validators.Number(gte=1, lte=1000))
    ] = 50,
    json: Json = False,
) -> int:
    """List the open alerts, last seen first.

    Keys of --json, per alert: id, key, severity, title, body, audience,
    source, reason, lasting, own_reminders, state, count, first_seen_at,
    last_seen_at, notified_at, again_at, reminded_at, reminders,
    escalated_at, acknowledged_at, acknowledged_by, suppressed_by,
    resolved_at, recovery_title, recovery_body, closed_at, flapping_at,
    calm_since, openings, revision, suppressed, told, undelivered.

    For example:
        aegis alerts
        aegis alerts list --all --limit 10
        aegis ack 12

    Args:
        everything: Also those that are over.
        limit: At most so many, 1 to 1000.
        json: Print JSON for programs.
    """
    from aegis_lib.db import database

    now = clock.utcnow()
    with database.connect() as db:
        found = db.alerts.newest(limit, everything=everything)
    if json:
        screen.as_json(found)
        return OK
    screen.table(
        ("NO", "STATE", "SEVERITY", "COUNT", "LAST SEEN (UTC)", "TOLD BY", "ALERT"),
        [
            (
                str(alert.id),
                screen.plain(_standing(alert), _COLOURS[alert.state.value]),
                alert.severity.value,
                str(alert.count),
                screen.moment(alert.last_seen_at, now),
                ", ".join(alert.told) or "-",
                alert.title,
            )
            for alert in found
        ],
        empty="No alert is open." if not everything else "There was no alert yet.",
    )
    if any(alert.state.value == "sent" for alert in found):
        screen.note("Take one in hand: aegis ack NO")
    return OK


@alerts.command
def show(alert: int, /, *, json: Json = False) -> int:
    """Show one alert: its text, its times, and what each channel answered.

    Keys of --json: alert (as in `aegis alerts list`) and deliveries, each with
    notice_id, alert_id, channel, kind, number, severity, alert_severity,
    title, body, created_at, attempts, parts_sent, delivered_at, refused_at,
    reference, problem.

    For example:
        aegis alerts show 12

    Args:
        alert: Its number.
        json: Print JSON for programs.
    """
    from aegis_lib.db import database

    now = clock.utcnow()
    with database.connect() as db:
        found = db.alerts.newest(1, everything=True, alert_id=alert)
        deliveries = db.alerts.receipts(alert)
    if not found:
        raise NothingSuch(f"There is no alert {alert}. Fix: `aegis alerts list --all` lists them.")
    (chosen,) = found
    if json:
        screen.as_json({"alert": chosen, "deliveries": deliveries})
        return OK
    screen.say(screen.plain(f"{chosen.title} ({chosen.severity.value}, {_standing(chosen)})", "bold"))
    screen.say(screen.plain(f"key {chosen.key}, seen {chosen.count} times"))
    times = (
        ("first seen", chosen.first_seen_at),
        ("last seen", chosen.last_seen_at),
        ("told", chosen.notified_at),
        ("reminded", chosen.reminded_at),
        ("flapping", chosen.flapping_at),
        ("calm", chosen.calm_since),
        ("escalated", chosen.escalated_at),
        ("acknowledged", chosen.acknowledged_at),
        ("over", chosen.resolved_at),
    )
    for what, at in times:
        if at is not None:
            by = f" by {chosen.acknowledged_by}" if what == "acknowledged" else ""
            screen.say(screen.plain(f"{what:<12} {screen.moment(at, now)}{by}"))
    if chosen.body:
        screen.say(screen.plain(f"\n{chosen.body}\n"))
    for title in chosen.suppressed:
        screen.say(screen.plain(f"follows from it: {title}"))
    screen.table(
        ("NOTICE", "CHANNEL", "RESULT", "ATTEMPTS", "DETAIL"),
        [
            (
                delivery.kind.value,
                delivery.channel,
                screen.plain(*_result(delivery)),
                str(delivery.attempts),
                delivery.problem or delivery.reference or "",
            )
            for delivery in deliveries
        ],
        empty="Nobody was told.",
    )
    return OK


def ack(alert: str, /, *, by: str | None = None, json: Json = False) -> int:
    """Take an alert in hand: no reminder, no escalation; its end is still told.

    Keys of --json: acknowledged (numbers), by.

    For example:
        aegis ack 12
        aegis ack job:site_check --by ada

    Args:
        alert: Its number or its key, as `aegis alerts` shows them.
        by: Who has it in hand; you, by default.
        json: Print JSON for programs.
    """
    from aegis_lib.db import database

    name = by or getpass.getuser()
    with database.connect() as db:
        done = db.alerts.acknowledge(int(alert) if alert.isdecimal() else alert, name, clock.utcnow())
        known = [found for found in db.alerts.newest(1000) if found.resolved_at is None]
    if not done:
        wanted = [a for a in known if alert in {str(a.id), a.key}]
        if wanted:
            raise NothingSuch(
                f"Alert {alert} is acknowledged already, by {wanted[0].acknowledged_by}. "
                "Fix: nothing is to be done."
            )
        said = ", ".join(f"{a.id} ({a.key})" for a in known[:10]) or "none"
        raise NothingSuch(f"No open alert is called {alert!r}. Fix: open alerts: {said}.")
    if json:
        screen.as_json({"acknowledged": done, "by": name})
        return OK
    screen.say(f"Acknowledged by {name}: {', '.join(map(str, done))}.")
    return OK


def _standing(alert: Alert) -> str:
    """Its state, and what is special about it."""
    if alert.suppressed_by is not None and alert.resolved_at is None:
        return f"follows from {alert.suppressed_by}"
    if alert.flapping_at is not None and alert.resolved_at is None:
        return f"{alert.state.value}, flapping"
    if alert.undelivered:
        return f"{alert.state.value}, {alert.undelivered} undelivered"
    return alert.state.value


def _result(delivery: Delivery) -> tuple[str, str]:
    if delivery.delivered_at is not None:
        return "delivered", "green"
    return ("given up", "bold red") if delivery.refused_at is not None else ("waiting", "yellow")
