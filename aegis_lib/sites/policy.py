"""Which sites to look at, and what follows from what was seen. Pure: no clock, no I/O, no settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from aegis_lib.sites.model import (
    HISTORY_LENGTH,
    Site,
    Terms,
    Watched,
)
from aegis_lib.sites.seen import (
    Check,
    Closing,
    FailureKind,
    Incident,
    IncidentKind,
    Opening,
    Probe,
    Recorded,
    SiteState,
    Standing,
    Verdict,
)

GOOD, BAD = ".", "x"
DUE_SHARE = 0.8
"""A site is due after this share of its interval: runs do not begin on the second."""
CRITICAL_CERTIFICATE_DAYS = 3


# --- who is looked at ---


def due(sites: Sequence[Watched], standings: Mapping[str, Standing], now: datetime) -> list[Watched]:
    """The sites to look at now, those first that were not looked at for longest."""
    wanted: list[tuple[float, Watched]] = []
    for watched in sites:
        known = standings.get(watched.site.name)
        waited = float("inf") if known is None else (now - known.checked_at).total_seconds()
        new = known is None or known.target != watched.site.target
        if new or waited >= watched.terms.every_minutes * 60 * DUE_SHARE or waited < 0:
            wanted.append((waited if waited >= 0 else float("inf"), watched))
    return [watched for _, watched in sorted(wanted, key=lambda pair: -pair[0])]


def worth_another_try(probe: Probe, verdict: Verdict) -> bool:
    """Whether the same attempt may go otherwise in a moment: not where we ourselves refused to ask."""
    refused = {FailureKind.REFUSED_ADDRESS, FailureKind.NOT_ASKED}
    return verdict.failing is not None and not (probe.failure and probe.failure.kind in refused)


def in_maintenance(site: Site, now: datetime) -> bool:
    """Whether one of its windows is open."""
    return any(window.contains(now) for window in site.maintenance)


# --- what follows ---


def advance(
    watched: Watched,
    before: Standing | None,
    going_on: Mapping[IncidentKind, Incident],
    probe: Probe,
    verdict: Verdict,
    *,
    attempts: int,
    began: datetime,
    now: datetime,
) -> Recorded:
    """The check to keep, how the site stands after it, and which incidents begin and end.

    `began` is when the run did, `now` the time of this check. In a maintenance window no failure counts.
    """
    site = watched.site
    maintenance = in_maintenance(site, now)
    check = _check(probe, verdict, now, attempts, maintenance=maintenance)
    moved = before is not None and before.target != site.target
    known = before if before is not None and not moved else None
    counts = not (maintenance and verdict.failing is not None)
    standing = _standing(watched, known, probe, verdict, began, now, counts=counts)
    opens, closes = _incidents(watched, standing, verdict, counts=counts)
    if moved:
        closes = [Closing(kind=kind, ending="another address is watched now") for kind in going_on]
    return Recorded(
        before=None if before is None else before.checked_at,
        standing=standing,
        check=check,
        opens=tuple(one for one in opens if one.kind not in going_on or moved),
        closes=tuple(one for one in closes if one.kind in going_on),
    )


def _check(probe: Probe, verdict: Verdict, now: datetime, attempts: int, *, maintenance: bool) -> Check:
    same = (
        "status",
        "dns_ms",
        "connect_ms",
        "tls_ms",
        "first_byte_ms",
        "total_ms",
        "size_bytes",
        "http_version",
        "address",
    )
    return Check(
        site=probe.site,
        checked_at=now,
        ok=verdict.failing is None,
        maintenance=maintenance,
        attempts=attempts,
        problem=verdict.failing or verdict.slow,
        latency_ms=probe.total_ms if verdict.measured else None,
        **{name: getattr(probe, name) for name in same},
    )


def _standing(
    watched: Watched,
    known: Standing | None,
    probe: Probe,
    verdict: Verdict,
    began: datetime,
    now: datetime,
    *,
    counts: bool,
) -> Standing:
    site, terms = watched.site, watched.terms
    failing = verdict.failing is not None
    history = known.history if known else ""
    slow_history = known.slow_history if known else ""
    if counts:
        history = (history + (BAD if failing else GOOD))[-HISTORY_LENGTH:]
        if verdict.measured and terms.max_latency_ms:
            slow_history = (slow_history + (BAD if verdict.slow else GOOD))[-HISTORY_LENGTH:]
    if not terms.max_latency_ms:
        slow_history = ""
    state = state_after(known.state if known else SiteState.UNKNOWN, history, terms)
    earlier = known.failures if known else 0
    failures = (earlier + 1 if counts else earlier) if failing else 0
    successes = 0 if failing else (known.successes if known else 0) + 1
    failing_since = known.failing_since if known and failing else None
    if failing and counts:
        failing_since = failing_since or now
    certificate = (
        probe.certificate.expires_at if probe.certificate else known and known.certificate_expires_at
    )
    return Standing(
        name=site.name,
        target=site.target,
        state=state,
        since=known.since if known and known.state is state else now,
        checked_at=began,
        failures=failures,
        successes=successes,
        history=history,
        slow_history=slow_history,
        failing_since=failing_since,
        problem=verdict.failing or verdict.slow,
        status=probe.status,
        latency_ms=probe.total_ms if verdict.measured else None,
        certificate_expires_at=certificate or None,
        tags=site.tags,
    )


def state_after(before: SiteState, history: str, terms: Terms) -> SiteState:
    """What the history, newest last, says: N of the last M for DOWN, a row of good ones for UP again."""
    if not history:
        return before
    if is_bad(history, terms):
        return SiteState.DOWN
    if before is SiteState.DOWN:
        return SiteState.UP if is_well_again(history, terms) else SiteState.DOWN
    return SiteState.UP if history.endswith(GOOD) else before


def is_bad(history: str, terms: Terms) -> bool:
    """Whether enough of the last checks failed, the newest among them."""
    return history.endswith(BAD) and history[-terms.of_checks :].count(BAD) >= terms.failures


def is_well_again(history: str, terms: Terms) -> bool:
    """Whether enough checks in a row were good."""
    return len(history) >= terms.recover_after and BAD not in history[-terms.recover_after :]


def _incidents(
    watched: Watched, standing: Standing, verdict: Verdict, *, counts: bool
) -> tuple[list[Opening], list[Closing]]:
    site, terms = watched.site, watched.terms
    opens: list[Opening] = []
    closes: list[Closing] = []
    if standing.state is SiteState.DOWN and verdict.failing is not None and counts:
        opens.append(Opening(kind=IncidentKind.DOWN, severity=site.severity, reason=verdict.failing))
    elif standing.state is SiteState.UP:
        closes.append(Closing(kind=IncidentKind.DOWN, ending="it answers as expected"))
    if is_bad(standing.slow_history, terms) and verdict.slow is not None:
        opens.append(Opening(kind=IncidentKind.SLOW, severity="warning", reason=verdict.slow))
    elif not terms.max_latency_ms:
        closes.append(Closing(kind=IncidentKind.SLOW, ending="no limit is set any more"))
    elif verdict.measured and is_well_again(standing.slow_history, terms):
        closes.append(Closing(kind=IncidentKind.SLOW, ending="it is quick enough again"))
    if verdict.ending is not None:
        severe = standing.certificate_expires_at is not None and (
            standing.certificate_expires_at - standing.checked_at < timedelta(days=CRITICAL_CERTIFICATE_DAYS)
        )
        severity = site.severity if severe else "warning"
        opens.append(Opening(kind=IncidentKind.CERTIFICATE, severity=severity, reason=verdict.ending))
    elif verdict.certificate_seen:
        closes.append(
            Closing(kind=IncidentKind.CERTIFICATE, ending="its certificates are good for long enough")
        )
    return opens, closes


# --- what is told ---


def groups(news: Sequence[Incident], group_from: int) -> list[list[Incident]]:
    """Incidents that begin, put together: one by one, or all of a kind where they are many."""
    found: list[list[Incident]] = []
    for kind in IncidentKind:
        alike = [one for one in news if one.kind is kind]
        found += [alike] if len(alike) >= group_from else [[one] for one in alike]
    return found
