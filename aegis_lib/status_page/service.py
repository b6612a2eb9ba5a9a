"""Makes the status page: reads each part on its own, puts it together, writes it. It changes nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from aegis_lib import isolation
from aegis_lib.logs import get_logger
from aegis_lib.outcome import Frozen, Outcome
from aegis_lib.ports.status_page import Images, PagePlace, StatusPageStore
from aegis_lib.sites.model import SitesConfig
from aegis_lib.status_page import composing, policy, rendering
from aegis_lib.status_page.model import (
    DAY,
    Anomaly,
    Facts,
    Page,
    Section,
    Sites,
    StatusPageConfig,
    StatusPageReport,
)

LARGEST_PAGE_BYTES = 5_000_000
"""A page that comes out larger is made with less detail."""
INCIDENT_DAYS, RESTART_DAYS, CHANGE_DAYS, ANOMALY_DAYS = 14, 14, 14, 7
_MOST = 50
_MOST_PICTURES = 300
_AROUND = timedelta(hours=6)
_SHORTEST_SECRET_CHARACTERS = 5  # shorter ones are ordinary words
_HIDDEN = "***"
log = get_logger(__name__)


class MadePage(Frozen):
    """A page: its HTML, and what it is made of."""

    html: bytes
    page: Page
    empty: bool


def write(
    store: StatusPageStore,
    images: Images,
    place: PagePlace,
    *,
    now: datetime,
    config: StatusPageConfig,
    sites: SitesConfig,
    secrets: frozenset[str] = frozenset(),
) -> StatusPageReport:
    """Make the page and put it in its place.

    A part that cannot be read is left out, and the page and the report say which.

    Raises:
        DependencyUnavailable: no part could be read, or there is no room for the page.
        Misconfigured: the page cannot be written to its place.
    """
    made = make(store, images, now=now, config=config, sites=sites, secrets=secrets)
    path = place.write(made.html)
    unread = tuple(section.value for section in made.page.unread)
    outcome = Outcome.DEGRADED if unread else Outcome.NO_INPUT if made.empty else Outcome.COMPLETED
    size = len(made.html)
    log.info("status_page_written", path=path, size_bytes=size, level=made.page.verdict.level.value)
    left_out = f" Could not be read: {', '.join(unread)}." if unread else ""
    return StatusPageReport(
        outcome=outcome,
        summary=f"{made.page.verdict.words} Written to {path} ({size / 1000:.0f} kB).{left_out}",
        path=path,
        size_bytes=size,
        verdict=made.page.verdict.words,
        unread=unread,
    )


def make(
    store: StatusPageStore,
    images: Images,
    *,
    now: datetime,
    config: StatusPageConfig,
    sites: SitesConfig,
    secrets: frozenset[str] = frozenset(),
) -> MadePage:
    """The page as it would be written now.

    Raises:
        DependencyUnavailable: no part could be read.
    """
    facts = _veiled(_read(store, now, config, sites), secrets)
    for detail in composing.DETAILS:
        page = composing.compose(facts, images.read, now=now, config=config, detail=detail)
        html = rendering.render(page)
        if len(html) <= LARGEST_PAGE_BYTES:
            break
        log.info("status_page_too_large", size_bytes=len(html), cards=detail.cards)
    return MadePage(html=html, page=page, empty=facts.empty)


def _read(store: StatusPageStore, now: datetime, config: StatusPageConfig, sites: SitesConfig) -> Facts:
    readers: dict[Section, Callable[[], Any]] = {
        Section.SITES: lambda: _sites(store, now, config, sites),
        Section.INCIDENTS: lambda: tuple(store.incidents(now - timedelta(days=INCIDENT_DAYS), _MOST)),
        Section.PICTURES: lambda: tuple(store.pictures(_MOST_PICTURES)),
        Section.CHANGES: lambda: tuple(store.changes(now - timedelta(days=CHANGE_DAYS), _MOST)),
        Section.CONTAINERS: lambda: store.containers(now, now - timedelta(days=RESTART_DAYS), _MOST),
        Section.HOSTS: lambda: tuple(store.hosts(now - DAY)),
        Section.ANOMALIES: lambda: _anomalies(store, now),
        Section.JOBS: lambda: tuple(store.jobs(now - DAY, now)),
        Section.ALERTS: lambda: tuple(store.alerts(_MOST)),
    }
    wanted = [section for section in Section if section in config.sections]
    if Section.SITES in wanted and Section.INCIDENTS not in wanted:
        wanted.append(Section.INCIDENTS)  # they say how a site stands
    done = isolation.each(wanted, lambda section: (section.value, readers[section]()))
    unread = tuple(section for section, _ in done.failures)
    return Facts(**dict(done.results), unread=unread)


def _sites(store: StatusPageStore, now: datetime, config: StatusPageConfig, sites: SitesConfig) -> Sites:
    store.close_days(now)
    known = policy.watched(store.sites(), sites)
    if not known:
        return Sites()
    ordered = policy.in_order(known, {}, now)
    plotted = [site.name for site in ordered[: composing.DETAILS[0].plots]]
    return Sites(
        now=known,
        hours=tuple(store.hours(now - DAY)),
        days=tuple(store.days(now - config.days * DAY)),
        latencies=tuple(store.latencies(plotted, now - DAY)),
    )


def _anomalies(store: StatusPageStore, now: datetime) -> tuple[Anomaly, ...]:
    found = store.anomalies(now - timedelta(days=ANOMALY_DAYS), _MOST)
    return tuple(
        one.model_copy(
            update={"points": tuple(store.points(one, one.at - _AROUND, min(now, one.last_at + _AROUND)))}
        )
        for one in found
    )


def _veiled(facts: Facts, secrets: frozenset[str]) -> Facts:
    """The same facts with no secret in any text, wherever it came from."""
    hidden = sorted((s for s in secrets if len(s) >= _SHORTEST_SECRET_CHARACTERS), key=len, reverse=True)
    if not hidden:
        return facts

    def veil(value: Any) -> Any:
        if isinstance(value, str):
            for secret in hidden:
                value = value.replace(secret, _HIDDEN)
            return value
        if isinstance(value, dict):
            return {veil(key): veil(held) for key, held in value.items()}
        return [veil(held) for held in value] if isinstance(value, (list, tuple)) else value

    return Facts.model_validate(veil(facts.model_dump()))
