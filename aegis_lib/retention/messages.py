"""What retention says to people. Builds sentences only."""

from __future__ import annotations

from collections.abc import Sequence

from aegis_lib.retention.model import Kind, KindRow

_CALLED = {
    Kind.SITE_CHECKS: "site checks",
    Kind.HOST_METRICS: "host metrics",
    Kind.CONTAINER_METRICS: "container metrics",
    Kind.PICTURES: "sites",
    Kind.SITE_INCIDENTS: "site incidents",
    Kind.SITE_CHANGES: "page changes",
    Kind.ANOMALIES: "anomalies",
    Kind.MAIL_TEXTS: "mails",
    Kind.COMMANDS: "commands",
    Kind.APPROVAL_TEXTS: "proposals",
    Kind.CONTAINER_RESTARTS: "container restarts",
    Kind.LANGUAGE_MODEL: "language model exchanges",
}
_UNITS = ("B", "kB", "MB", "GB", "TB")


def size(size_bytes: int) -> str:
    """A size for people: `3.4 MB`."""
    amount, unit = float(size_bytes), 0
    while amount >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{size_bytes} B" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"


def part(row: KindRow) -> str:
    """What went of one kind: `3 days of site checks (1.2 GB)`."""
    unit = row.unit.removesuffix("s") if row.count == 1 else row.unit
    freed = f" ({size(row.size_bytes)})" if row.size_bytes else ""
    return f"{row.count} {unit} of {_CALLED[row.kind]}{freed}"


def sentence(rows: Sequence[KindRow], left: Sequence[Kind], problems: Sequence[str], dry_run: bool) -> str:
    """A run of retention in a sentence or three."""
    parts = [part(row) for row in rows if row.count]
    if dry_run:
        text = (
            f"Dry run: {_listed(parts)} would be removed." if parts else "Dry run: nothing would be removed."
        )
    else:
        text = f"Removed {_listed(parts)}." if parts else "Nothing is old enough to be removed."
    if left:
        text += f" Time was up (retention.time_limit_seconds); left to the next run: {_kinds(left)}."
    if problems:
        text += f" {len(problems)} {'problem' if len(problems) == 1 else 'problems'}: {problems[0]}"
    return text


def held(kind: Kind, names: Sequence[str]) -> str:
    """Days that somebody's long transaction still needs."""
    days = "1 day" if len(names) == 1 else f"{len(names)} days"
    return (
        f"{days} of {_CALLED[kind]} from {names[0]} on could not be taken out: a transaction has been "
        "reading the table for long. The next run tries again."
    )


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _kinds(kinds: Sequence[Kind]) -> str:
    return ", ".join(_CALLED[kind] for kind in kinds)
