"""What the health check says to people. Text only; decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from aegis_lib.alerts.model import Message, Phase, Severity
from aegis_lib.clock import duration, iso
from aegis_lib.health.model import HealthConfig, Outage, Slowness
from aegis_lib.markdown import inline


def outage_summary(outage: Outage) -> str:
    """One sentence for `episodic_memory`."""
    return f"Database down since {iso(outage.since)}: {outage.error or 'cause not recorded'}"


def recovery_summary(outage: Outage, until: datetime) -> str:
    """One sentence for `episodic_memory`."""
    return (
        f"Database back at {iso(until)} after {duration(until - outage.since)} "
        f"(down since {iso(outage.since)})"
    )


def outage_alert(outage: Outage, problems: Sequence[str], *, remembered: bool = True) -> Message:
    """The alert of an outage. `problems` is what cannot be kept meanwhile.

    An outage that could not be `remembered` on disk is alerted by every check, and says so.
    """
    again = (
        "This alert is sent once; another message follows on recovery."
        if remembered
        else "This alert repeats at every check, because the outage cannot be remembered on this host."
    )
    lines = [
        f"Since {iso(outage.since)} the database cannot be used:",
        f"> {inline(outage.error or 'cause not recorded', 500)}",
        "",
        f"Events are kept on disk until it is back. {again}",
        "Look first: is the server running, is its disk full, can this host reach it? `aegis doctor` tells.",
    ]
    lines += [f"**Attention:** {inline(problem, 500)}" for problem in problems]
    return Message(
        title="Database down",
        body="\n".join(lines),
        severity=Severity.CRITICAL,
        key=outage.key,
        problem=outage.key,
    )


def recovery_notice(outage: Outage, until: datetime, flushed: int) -> Message:
    """The message that ends an outage."""
    kept = f"Events kept meanwhile and now stored: {flushed}."
    return Message(
        title="Database is back",
        body=(
            f"Down from {iso(outage.since)} to {iso(until)} ({duration(until - outage.since)}). "
            f"{kept}\n"
            f"The cause was reported as: {inline(outage.error or 'not recorded', 500)}"
        ),
        severity=Severity.INFO,
        key=outage.key,
        problem=outage.key,
        phase=Phase.OVER,
    )


def slow_summary(latency_ms: float, config: HealthConfig) -> str:
    """One sentence for `episodic_memory` and people."""
    return f"Database slow: {latency_ms:.0f} ms to connect and answer, limit {config.max_latency_ms} ms"


def slow_warning(slowness: Slowness, latency_ms: float, config: HealthConfig) -> Message:
    """The warning of a slow episode."""
    return Message(
        title="Database is slow",
        body=(
            f"Connecting and `SELECT 1` took {latency_ms:.0f} ms, in {config.slow_checks} checks in a row "
            f"more than {config.max_latency_ms} ms (`health.max_latency_ms` in aegis.yaml). "
            "Sent once per episode."
        ),
        severity=Severity.WARNING,
        key=slowness.key,
    )


def slow_end_summary(since: datetime, now: datetime) -> str:
    """One sentence for `episodic_memory`."""
    return f"Database quick again after {duration(now - since)}"
