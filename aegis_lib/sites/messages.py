"""The texts about sites that people read. Decides nothing.

What sites say is untrusted: it stands in these texts cut short, on one line, with nothing active in it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from aegis_lib.alerts.model import LONGEST_KEY_CHARACTERS, Message, Phase, Severity
from aegis_lib.clock import duration, iso
from aegis_lib.markdown import inline, plain
from aegis_lib.sites.seen import Incident, IncidentKind, SiteChange, Standing

MOST_NAMED = 30
LONGEST_DIFF_CHARACTERS = 3_000
_BEGINS = {
    IncidentKind.DOWN: "is down",
    IncidentKind.SLOW: "is slow",
    IncidentKind.CERTIFICATE: "has a certificate that ends soon",
}
_MANY = {
    IncidentKind.DOWN: "sites are down",
    IncidentKind.SLOW: "sites are slow",
    IncidentKind.CERTIFICATE: "sites have certificates that end soon",
}
_OVER = {
    IncidentKind.DOWN: "is up again",
    IncidentKind.SLOW: "is quick again",
    IncidentKind.CERTIFICATE: "has certificates for long enough",
}
_MANY_OVER = {
    IncidentKind.DOWN: "are up again",
    IncidentKind.SLOW: "are quick again",
    IncidentKind.CERTIFICATE: "have certificates for long enough",
}


def began(incidents: Sequence[Incident], standings: dict[str, Standing], *, all_failing: bool) -> Message:
    """One incident that begins, or many of one kind at once. `all_failing`: no site at all answers."""
    first = incidents[0]
    if len(incidents) == 1:
        title = f"Site {first.site} {_BEGINS[first.kind]}"
        lines = [f"{_named(first, standings)}: {inline(first.reason, 500)}.", *_since(first, standings)]
        lines.append(f"Look at it: `aegis sites check {first.site}`. The end is told, too.")
    else:
        title = f"{len(incidents)} {_MANY[first.kind]}"
        lines = [f"- {_named(one, standings)}: {inline(one.reason)}" for one in incidents[:MOST_NAMED]]
        if len(incidents) > MOST_NAMED:
            lines.append(f"- and {len(incidents) - MOST_NAMED} more: `aegis sites incidents`")
        lines.append("When all of them are over, that is told, too.")
    if all_failing and first.kind is IncidentKind.DOWN:
        lines.append("No site answers at all: look at the network and the DNS of this host first.")
    key = alert_key(incidents)
    severity = Severity.CRITICAL if any(one.severity == "critical" for one in incidents) else Severity.WARNING
    return Message(
        title=plain(title, 200), body="\n".join(lines), severity=severity, key=f"{key}:begin", problem=key
    )


def still(incidents: Sequence[Incident], standings: dict[str, Standing], now: datetime) -> Message:
    """Said again after hours in which these, told together, went on."""
    first = incidents[0]
    title = f"Site {first.site} still {_BEGINS[first.kind]}"
    if len(incidents) > 1:
        title = f"{len(incidents)} {_MANY[first.kind]} still"
    lines = []
    for one in incidents[:MOST_NAMED]:
        standing = standings.get(one.site)
        reason = standing.problem if standing and one.kind is not IncidentKind.CERTIFICATE else None
        lasts = f"for {duration(now - one.opened_at)}, since {iso(one.opened_at)}"
        lines.append(f"{_named(one, standings)}: {inline(reason or one.reason, 500)}; {lasts}.")
    if len(incidents) > MOST_NAMED:
        lines.append(f"And {len(incidents) - MOST_NAMED} more: `aegis sites incidents`")
    severe = any(one.severity == "critical" for one in incidents)
    key = first.alert_key or first.key
    return Message(
        title=plain(title, 200),
        body="\n".join(lines),
        severity=Severity.CRITICAL if severe else Severity.WARNING,
        key=f"{key}:again:{iso(first.reminded_at or first.opening_told_at or now)}",
        problem=key,
        phase=Phase.AGAIN,
    )


def ended(incidents: Sequence[Incident], standings: dict[str, Standing]) -> Message:
    """The end of an incident, or of the last ones that were told together."""
    first = incidents[0]
    alone = first.alert_key == first.key
    if alone:
        title = f"Site {first.site} {_OVER[first.kind]}"
    else:
        together = (first.alert_key or "").rpartition(":")[2]  # see alert_key
        title = f"All {together} sites {_MANY_OVER[first.kind]}"
    lines = [_over(one, standings) for one in incidents[:MOST_NAMED]]
    if len(incidents) > MOST_NAMED:
        lines.append(f"And {len(incidents) - MOST_NAMED} more.")
    key = first.alert_key or first.key
    return Message(
        title=plain(title, 200),
        body="\n".join(lines),
        severity=Severity.INFO,
        key=f"{key}:over",
        problem=key,
        phase=Phase.OVER,
    )


def changed(change: SiteChange, target: str) -> Message:
    """What a page says now and did not say before. Said once; nothing follows."""
    shown = change.diff[:LONGEST_DIFF_CHARACTERS]
    more = "" if shown == change.diff else "\nThe rest: `aegis sites show " + change.site + "`"
    quoted = "\n".join(f"> {inline(line, 300)}" for line in shown.splitlines() if line.strip())
    return Message(
        title=plain(f"Site {change.site} changed", 200),
        body=f"**{inline(change.site)}** ({inline(target)}): {inline(change.summary, 500)}\n\n{quoted}{more}",
        severity=Severity.INFO,
        key=f"site-change:{change.site}:{change.id}",
    )


def alert_key(incidents: Sequence[Incident]) -> str:
    """Under what the alert about these is known; the same whoever makes it."""
    first = incidents[0]
    if len(incidents) == 1:
        return first.key[:LONGEST_KEY_CHARACTERS]
    return f"sites:{first.kind.value}:{min(one.id for one in incidents)}:{len(incidents)}"


def summary(incident: Incident, *, over: bool) -> str:
    """One sentence for `episodic_memory`."""
    words = _OVER[incident.kind] if over else _BEGINS[incident.kind]
    reason = incident.ending if over else incident.reason
    return plain(f"Site {incident.site} {words}: {reason}", 1000)


def report(
    checked: int, down: int, opened: Collection[str], closed: Collection[str], changes: int, unchecked: int
) -> str:
    """The sentence for the run."""
    parts = [f"{checked} checked, {down} down"]
    parts += [f"began: {_listed(opened)}"] if opened else []
    parts += [f"over: {_listed(closed)}"] if closed else []
    parts += [f"{changes} changed"] if changes else []
    parts += [f"{unchecked} not reached in time"] if unchecked else []
    return "; ".join(parts)


def _listed(names: Collection[str], most: int = 10) -> str:
    shown = sorted(names)[:most]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


def _named(incident: Incident, standings: dict[str, Standing]) -> str:
    standing = standings.get(incident.site)
    where = f" ({inline(standing.target)})" if standing is not None else ""
    return f"**{inline(incident.site)}**{where}"


def _over(incident: Incident, standings: dict[str, Standing]) -> str:
    start, end = incident.opened_at, incident.closed_at or incident.opened_at
    return (
        f"{_named(incident, standings)}: {inline(incident.ending)}. From {iso(start)} to {iso(end)} "
        f"({duration(end - start)}); it was: {inline(incident.reason)}"
    )


def _since(incident: Incident, standings: dict[str, Standing]) -> list[str]:
    standing = standings.get(incident.site)
    if incident.kind is not IncidentKind.DOWN or standing is None or standing.failing_since is None:
        return []
    return [f"Failing since {iso(standing.failing_since)}, {standing.failures} checks in a row."]
