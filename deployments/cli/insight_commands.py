"""`aegis strikes`, `memory`, `notify`: what the jobs noted in the database, and reaching people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter, validators

from aegis_lib import clock
from deployments.cli import screen
from deployments.cli.exit_codes import FAILED, OK, SETTINGS, NothingSuch
from deployments.cli.options import INSIGHT, INSTALLATION, Json

if TYPE_CHECKING:
    from aegis_lib.containers.model import StrikeRecord
    from aegis_lib.memory.model import Episode

Limit = Annotated[int, Parameter(name=["--limit", "-n"], validator=validators.Number(gte=1, lte=1000))]

strikes = App(
    name="strikes",
    group=INSIGHT,
    help="Show and clear the strikes of sick containers.",
)
memory = App(name="memory", group=INSIGHT, help="Look into the agent's event memory.")
notify = App(name="notify", group=INSTALLATION, help="Reach people through the configured channels.")


@strikes.default
@strikes.command(name="list")
def list_strikes(*, json: Json = False) -> int:
    """List containers with an open case.

    Keys of --json, per case: engine, name, container_id, strikes, reason,
    first_strike_at, last_strike_at, healthy_cycles, last_healthy_at,
    quarantined_at, notice_claimed_at, escalated_at, reminded_at,
    recovered_at, attempts, restarts_today, last_restart_at,
    last_restart_outcome.

    For example:
        aegis strikes
        aegis strikes ack web
    """
    from aegis_lib.db import database

    now = clock.utcnow()
    with database.connect() as db:
        cases = db.strikes.open_cases(now)
    if json:
        screen.as_json(cases)
        return OK
    screen.table(
        ("CONTAINER", "ENGINE", "STRIKES", "STATE", "SINCE (UTC)", "REASON"),
        [
            (
                case.name,
                case.engine,
                str(case.strikes),
                screen.plain(*_standing(case)),
                screen.moment(case.first_strike_at, now),
                case.reason,
            )
            for case in cases
        ],
        empty="No container has a strike.",
    )
    if any(case.escalated_at for case in cases):
        screen.note("After mending one: aegis strikes ack NAME")
    return OK


@strikes.command
def ack(name: str, /, *, engine: str | None = None) -> int:
    """Say that a person looked: strikes are forgotten, restarts allowed.

    For example:
        aegis strikes ack web
        aegis strikes ack web --engine nas

    Args:
        name: The container's name.
        engine: Only on this engine; else on every one that has a container of that name.
    """
    from aegis_lib.db import database

    with database.connect() as db:
        engines = db.container_cases.acknowledge(name, clock.utcnow(), engine)
        known = db.container_cases.names(clock.utcnow())
    if not engines:
        mend = f"open cases: {', '.join(known)}." if known else "no container has a strike."
        raise NothingSuch(f"There is no open case of a container {name!r}. Fix: {mend}")
    screen.say(f"{name} ({', '.join(engines)}): acknowledged.")
    return OK


@strikes.command
def clear() -> int:
    """Acknowledge every open case.

    For example:
        aegis strikes clear
    """
    from aegis_lib.db import database

    with database.connect() as db:
        now = clock.utcnow()
        cases = db.strikes.open_cases(now)
        done = [case.name for case in cases if db.container_cases.acknowledge(case.name, now, case.engine)]
    screen.say(f"Acknowledged: {', '.join(sorted(done))}." if done else "No container has a strike.")
    return OK


@memory.default
@memory.command
def recent(
    *,
    limit: Limit = 20,
    event_type: Annotated[str | None, Parameter(name=["--type", "-t"])] = None,
    json: Json = False,
) -> int:
    """List the newest events.

    Keys of --json, per event: id, timestamp, event_type, summary, details,
    importance, tags, decision.

    For example:
        aegis memory
        aegis memory recent --type job_error --limit 5

    Args:
        limit: At most so many, 1 to 1000.
        event_type: Only events of this type, such as job_error, morning_status, docker_health_check.
        json: Print JSON for programs.
    """
    from aegis_lib.db import database

    with database.connect() as db:
        _events(db.memory.recall_recent(limit, event_type), json, "The memory holds no such event.")
    return OK


@memory.command
def search(text: str, /, *, limit: Limit = 20, json: Json = False) -> int:
    """List the newest events that contain a text, in summary, type or tags.

    Keys of --json as in `aegis memory recent`.

    For example:
        aegis memory search "connection refused"

    Args:
        text: What to look for, as it stands; no wildcards.
        limit: At most so many, 1 to 1000.
        json: Print JSON for programs.
    """
    from aegis_lib.db import database, memory_reading

    with database.connect() as db:
        _events(memory_reading.reader(db).search(text, limit), json, f"No event contains {text!r}.")
    return OK


@memory.command
def stats(*, json: Json = False) -> int:
    """Count events by type.

    Keys of --json, per type: event_type, events, last_day, high_or_critical,
    newest.

    For example:
        aegis memory stats
    """
    from aegis_lib.db import database, memory_reading

    now = clock.utcnow()
    with database.connect() as db:
        counts = memory_reading.reader(db).stats(now)
    if json:
        screen.as_json(counts)
        return OK
    screen.table(
        ("TYPE", "EVENTS", "LAST DAY", "HIGH OR CRITICAL", "NEWEST (UTC)"),
        [
            (
                count.event_type,
                str(count.events),
                str(count.last_day),
                str(count.high_or_critical),
                screen.moment(count.newest, now),
            )
            for count in counts
        ],
        empty="The memory holds no event.",
    )
    return OK


@notify.command(name="test")
def send_test(*, json: Json = False) -> int:
    """Send a test message through every configured alert channel.

    Exit code 1 when a channel failed, 5 when none is configured. Keys of --json, per channel: channel,
    delivered, reference, problem.

    For example:
        aegis notify test
    """
    from aegis_lib.adapters.notify import fanout
    from aegis_lib.alerts.model import Message

    message = Message(
        title="Aegis: test message",
        body=f"Sent by `aegis notify test` at {clock.iso(clock.utcnow())}. Nothing is wrong.",
    )
    with fanout.connect() as notifier:
        receipts = notifier.send(message)
    if json:
        screen.as_json(receipts)
    else:
        screen.table(
            ("CHANNEL", "RESULT", "DETAIL"),
            [
                (
                    receipt.channel,
                    screen.plain("delivered", "green")
                    if receipt.delivered
                    else screen.plain("failed", "bold red"),
                    receipt.problem or receipt.reference or "",
                )
                for receipt in receipts
            ],
            empty="No channel takes alerts.",
        )
    if not any(receipt.channel != "console" for receipt in receipts):
        screen.note(
            "No channel is configured, so that nobody is reached: set DISCORD_WEBHOOK_URL, or "
            "DISCORD_BOT_TOKEN and DISCORD_ALERTS_CHANNEL, or TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID, or "
            "ALERT_URLS."
        )
        return SETTINGS
    return OK if all(receipt.delivered for receipt in receipts) else FAILED


def _standing(case: StrikeRecord) -> tuple[str, str]:
    """A case in a word or two, and its colour."""
    if case.recovered_at:
        return "recovered", "green"
    if case.quarantined_at:
        return "quarantined, waits for a person", "bold red"
    if case.escalated_at:
        return "waits for a person", "bold red"
    if case.attempts:
        return "restarted", "yellow"
    return "watched", ""


def _events(events: Sequence[Episode], json: bool, empty: str) -> None:
    if json:
        screen.as_json(events)
        return
    now = clock.utcnow()
    colours = {"high": "yellow", "critical": "bold red", "low": "dim"}
    screen.table(
        ("TIME (UTC)", "TYPE", "IMPORTANCE", "SUMMARY"),
        [
            (
                screen.moment(event.timestamp, now),
                event.event_type,
                screen.plain(event.importance.value, colours.get(event.importance.value, "")),
                event.summary,
            )
            for event in events
        ],
        empty=empty,
    )
