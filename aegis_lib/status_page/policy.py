"""What the status page says of what is known: how things stand, shares, orders, limits. Pure.

It is careful in one direction: what is not known, or not known any more, is never shown as good.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from aegis_lib.alerts.model import Alert, AlertState, Severity
from aegis_lib.containers.model import StrikeRecord, title
from aegis_lib.ledger.model import JobTicks, TickOutcome
from aegis_lib.plot import Cell
from aegis_lib.sites.model import SitesConfig
from aegis_lib.status_page.model import (
    DAY,
    HOUR,
    AlertRow,
    Anomaly,
    CaseRow,
    Change,
    DiffLine,
    Facts,
    Incident,
    JobRow,
    Level,
    Section,
    ShownChange,
    SiteNow,
    Stretch,
    Verdict,
)

LATE_AFTER = timedelta(minutes=10)
"""How much longer than its interval a site may go without a check before its state counts as unknown."""
LONGEST_DIFF_LINES = 40
LONGEST_DIFF_LINE_CHARACTERS = 300
LONGEST_REASON_CHARACTERS = 300
LONGEST_ADDRESS_CHARACTERS = 80
_ORDER = (Level.BAD, Level.SOME, Level.NONE, Level.GOOD)
_WORKED = frozenset({TickOutcome.COMPLETED, TickOutcome.NO_INPUT, TickOutcome.NOT_CONFIGURED})
_WRONG = frozenset({TickOutcome.FAILED, TickOutcome.CRASHED, TickOutcome.MISSED})
_QUESTIONABLE = frozenset(
    {TickOutcome.DEGRADED, TickOutcome.MISFIRED, TickOutcome.REFUSED, TickOutcome.OUTAGE}
)


# --- sites ---


def watched(found: Iterable[SiteNow], config: SitesConfig) -> tuple[SiteNow, ...]:
    """Every site of aegis.yaml with what is known of it; what is not watched any more is left out."""
    known = {site.name: site for site in found}
    sites = []
    for one in config.watched():
        name, target = one.site.name, one.site.target
        now = known.get(name)
        if now is None or now.target != target:  # what is known is of another address
            now = SiteNow(name=name, target=target)
        sites.append(now.model_copy(update={"every_minutes": one.terms.every_minutes}))
    return tuple(sites)


def late(site: SiteNow, now: datetime) -> bool:
    """Whether it should have been checked since: what is known of it is old."""
    if site.checked_at is None:
        return False
    return now - site.checked_at > timedelta(minutes=site.every_minutes) + LATE_AFTER


def site_level(site: SiteNow, incidents: Sequence[Incident], now: datetime) -> tuple[Level, str]:
    """How a site stands, and the word for it; `incidents` are the site's own."""
    if site.checked_at is None:
        return Level.NONE, "not checked yet"
    if late(site, now):
        return Level.NONE, "not checked lately"
    if site.state == "down":
        return Level.BAD, "down"
    open_kinds = sorted({one.kind for one in incidents if one.closed_at is None and one.kind != "down"})
    if site.state != "up":
        return Level.NONE, "unknown"
    return (Level.SOME, f"up, {' and '.join(map(_kind, open_kinds))}") if open_kinds else (Level.GOOD, "up")


def _kind(kind: str) -> str:
    return {"certificate": "certificate problem"}.get(kind, kind)


def in_order(
    sites: Iterable[SiteNow], incidents: Mapping[str, Sequence[Incident]], now: datetime
) -> list[SiteNow]:
    """Those that need somebody first, then by name."""

    def place(site: SiteNow) -> tuple[int, str]:
        return _ORDER.index(site_level(site, incidents.get(site.name, ()), now)[0]), site.name

    return sorted(sites, key=place)


def by_site(found: Iterable[Incident]) -> dict[str, list[Incident]]:
    """Incidents of each site."""
    grouped: defaultdict[str, list[Incident]] = defaultdict(list)
    for one in found:
        grouped[one.site].append(one)
    return dict(grouped)


def share(stretches: Iterable[Stretch]) -> float | None:
    """The share of checks that were good, 0 to 1; None without a check."""
    checks = good = 0
    for one in stretches:
        checks, good = checks + one.checks, good + one.good
    return good / checks if checks else None


def percent(value: float | None) -> str:
    """`99.98 %`, cut off and not rounded, so that only what was wholly good is `100 %`; `no data`."""
    if value is None:
        return "no data"
    return "100 %" if value >= 1 else f"{math.floor(value * 10_000) / 100:.2f} %"


def day_cells(
    hours: Sequence[Stretch], closed: Sequence[Stretch], now: datetime, days: int
) -> tuple[list[Cell], float | None]:
    """One cell for each UTC day up to today, the oldest first, and the share of all of them.

    `hours` count for the days that are not among `closed`.
    """
    today = _start_of_day(now)
    first = today - (days - 1) * DAY
    known: dict[datetime, list[Stretch]] = {one.start: [one] for one in closed if one.start >= first}
    counted: defaultdict[datetime, list[Stretch]] = defaultdict(list)
    for one in hours:
        day = _start_of_day(one.start)
        if day not in known and day >= first:
            counted[day].append(one)
    known.update(counted)
    cells = [_cell(f"{day:%Y-%m-%d}", known.get(day, [])) for day in (first + n * DAY for n in range(days))]
    return cells, share(one for some in known.values() for one in some)


def hour_cells(hours: Sequence[Stretch], now: datetime) -> tuple[list[Cell], float | None]:
    """One cell for each of the last 24 UTC hours, the oldest first, and the share of all of them."""
    this = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    first = this - 23 * HOUR
    known = {one.start: one for one in hours if one.start >= first}
    starts = [first + n * HOUR for n in range(24)]
    cells = [_cell(f"{at:%H:%M}", [known[at]] if at in known else []) for at in starts]
    return cells, share(known.values())


def _cell(when: str, stretches: Sequence[Stretch]) -> Cell:
    good = share(stretches)
    checks = sum(one.checks for one in stretches)
    failed = checks - sum(one.good for one in stretches)
    label = f"{when}: {percent(good)}, {failed} of {checks} checks failed" if checks else f"{when}: no data"
    return Cell(good, label)


def _start_of_day(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def address(target: str) -> tuple[str, str | None]:
    """A target for people, and its link if it is a web page: without user, query and fragment."""
    try:
        split = urlsplit(target)
        host, port = split.hostname, split.port
    except ValueError:
        return "", None
    if split.scheme not in {"http", "https"} or not host:
        shown = target.partition("?")[0].rpartition("@")[2]
        return _cut(shown, LONGEST_ADDRESS_CHARACTERS), None
    host = f"[{host}]" if ":" in host else host
    link = f"{split.scheme}://{host}{f':{port}' if port else ''}{split.path or '/'}"
    return _cut(link.removeprefix("https://"), LONGEST_ADDRESS_CHARACTERS), link


def certificate(site: SiteNow, now: datetime) -> str:
    """How long the certificate is good for, in words; empty where there is none."""
    if site.certificate_expires_at is None:
        return ""
    left = site.certificate_expires_at - now
    if left <= timedelta(0):
        return f"certificate expired on {site.certificate_expires_at:%Y-%m-%d}"
    return f"certificate good for {left.days} {'day' if left.days == 1 else 'days'}"


def shown_change(change: Change) -> ShownChange:
    """A change with its difference cut to what somebody reads."""
    lines = change.diff.splitlines()
    kinds = {"+": "added", "-": "removed"}
    shown = tuple(
        DiffLine(kind=kinds.get(line[:1], "same"), text=_cut(line, LONGEST_DIFF_LINE_CHARACTERS))
        for line in lines[:LONGEST_DIFF_LINES]
    )
    return ShownChange(change=change, lines=shown, left_out=max(0, len(lines) - LONGEST_DIFF_LINES))


# --- containers, jobs, alerts, anomalies ---


def case_row(case: StrikeRecord) -> CaseRow:
    """A sick container as it is shown."""
    if case.recovered_at:
        level, standing = Level.GOOD, "recovered"
    elif case.quarantined_at:
        level, standing = Level.BAD, "quarantined, waits for a person"
    elif case.escalated_at:
        level, standing = Level.BAD, "waits for a person"
    else:
        level, standing = Level.SOME, "restarted" if case.attempts else "watched"
    return CaseRow(
        title=title(case.engine, case.name),
        level=level,
        standing=standing,
        strikes=case.strikes,
        since=case.first_strike_at,
        reason=_cut(case.reason, LONGEST_REASON_CHARACTERS),
    )


def job_row(job: JobTicks) -> JobRow:
    """A job's last day as it is shown."""
    worked = sum(n for name, n in job.outcomes.items() if name in _WORKED)
    others = {name: n for name, n in job.outcomes.items() if n and name not in _WORKED}
    if job.unaccounted:
        others["Unaccounted"] = job.unaccounted
    level = Level.GOOD if worked else Level.NONE
    if others.keys() & _QUESTIONABLE:
        level = Level.SOME
    if others.keys() & {*_WRONG, "Unaccounted"}:
        level = Level.BAD
    words = ", ".join(
        f"{n} {name}" for name, n in sorted(others.items(), key=lambda pair: (-pair[1], pair[0]))
    )
    return JobRow(job_id=job.job_id, level=level, due=job.due, worked=worked, others=words)


def alert_row(alert: Alert) -> AlertRow:
    """An alert as it is shown."""
    if alert.ended_at is not None:
        level, standing = Level.GOOD, "over"
    else:
        level = {Severity.CRITICAL: Level.BAD, Severity.WARNING: Level.SOME}.get(alert.severity, Level.GOOD)
        standing = "acknowledged" if alert.state is AlertState.ACKNOWLEDGED else "open"
        standing = "follows from another" if alert.suppressed_by is not None else standing
    return AlertRow(
        id=alert.id,
        title=alert.title,
        severity=alert.severity.value,
        level=level,
        standing=standing,
        first_seen_at=alert.first_seen_at,
        ended_at=alert.ended_at,
        count=alert.count,
    )


def anomaly_standing(anomaly: Anomaly) -> str:
    """What became of an anomaly, in a word or two."""
    if anomaly.dismissed_at is not None:
        return "dismissed"
    told = {
        "budget": ", not told: the budget of the day was spent",
        "lesson": ", not told: known to be no news",
    }
    return ("over" if anomaly.closed_at else "going on") + told.get(anomaly.held or "", "")


# --- the page as a whole ---


def verdict(facts: Facts, shown: Sequence[Section], now: datetime) -> Verdict:
    """The page in one sentence, of the sections that are shown. What could not be read is not good."""
    incidents = by_site(facts.incidents)
    levels = [site_level(site, incidents.get(site.name, ()), now)[0] for site in facts.sites.now]
    down, unknown = levels.count(Level.BAD), levels.count(Level.NONE)
    open_alerts = [one for one in facts.alerts if one.ended_at is None]
    critical = sum(one.severity is Severity.CRITICAL for one in open_alerts)
    cases = [case_row(case) for case in facts.containers.cases if case.recovered_at is None]
    parts: list[tuple[Level, str]] = []
    if Section.SITES in shown and levels:
        parts.append(_sites_in_words(len(levels), down, unknown, levels.count(Level.SOME)))
    if Section.CONTAINERS in shown and cases:
        worst = Level.BAD if any(case.level is Level.BAD for case in cases) else Level.SOME
        parts.append((worst, f"{_count(len(cases), 'container')} sick"))
    if Section.ALERTS in shown and Section.ALERTS not in facts.unread:
        parts.append(_alerts_in_words(len(open_alerts), critical))
    if facts.unread:
        parts.append((Level.NONE, f"{', '.join(facts.unread)} could not be read"))
    if not parts or facts.empty:
        return Verdict(level=Level.NONE, words="Nothing is known yet.")
    level = min((level for level, _ in parts), key=_ORDER.index)
    words = "; ".join(words for _, words in parts)
    return Verdict(level=level, words=f"{words[0].upper()}{words[1:]}.")


def _sites_in_words(sites: int, down: int, unknown: int, troubled: int) -> tuple[Level, str]:
    counts = ((down, "down"), (unknown, "not known"), (troubled, "up with a problem"))
    said = [f"{n} of {sites} sites {'is' if n == 1 else 'are'} {how}" for n, how in counts if n]
    level = Level.BAD if down else Level.SOME if troubled else Level.NONE if unknown else Level.GOOD
    if sites == 1:
        return level, f"the one site is {next((how for n, how in counts if n), 'up')}"
    return level, ", ".join(said) or f"all {sites} sites are up"


def _alerts_in_words(alerts: int, critical: int) -> tuple[Level, str]:
    if not alerts:
        return Level.GOOD, "no alert is open"
    words = f"{_count(alerts, 'alert')} open" + (f", {critical} of them critical" if critical else "")
    return (Level.BAD if critical else Level.SOME), words


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
