"""Puts the page together from what is known: chooses, draws and bounds. Pure; it writes no HTML."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from aegis_lib import plot
from aegis_lib.metrics.model import METRICS, Kind, Unit
from aegis_lib.status_page import policy
from aegis_lib.status_page.model import (
    DAY,
    Anomaly,
    Facts,
    HostPlots,
    Incident,
    Latency,
    Level,
    Page,
    Picture,
    Section,
    Shown,
    ShownAnomaly,
    SiteCard,
    SiteNow,
    StatusPageConfig,
    Stretch,
    Use,
)

MOST_LISTED_SITES = 2000
IMAGE_BUDGET_BYTES = 2_000_000
LARGEST_IMAGE_BYTES = 100_000
_LONGEST_GAP = timedelta(minutes=35)
_KINDS = {b"RIFF": "webp", b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg"}
_USES = (
    ("CPU in use", "cpu_ratio"),
    ("Memory in use", "memory_used_ratio"),
    ("Fullest filesystem", "disk_used_ratio"),
)
Images = Callable[[str], bytes | None]


@dataclass(frozen=True)
class Detail:
    """How much is shown: so many sites with bars, with latency plots; so many bytes of images."""

    cards: int = 300
    plots: int = 100
    image_bytes: int = IMAGE_BUDGET_BYTES


DETAILS = (Detail(), Detail(100, 40), Detail(30, 30, IMAGE_BUDGET_BYTES // 4), Detail(0, 0, 0))
"""From the usual page to the smallest: what does not fit is made smaller."""


def compose(
    facts: Facts, images: Images, *, now: datetime, config: StatusPageConfig, detail: Detail = DETAILS[0]
) -> Page:
    """The page of these facts; `images` gives the small image of a digest."""
    incidents = policy.by_site(facts.incidents)
    sites = policy.in_order(facts.sites.now, incidents, now)
    drawn = _Sites(facts, incidents, now, config.days)
    plain_sites = sites[detail.cards : detail.cards + MOST_LISTED_SITES]
    alerts = [policy.alert_row(one) for one in facts.alerts]
    return Page(
        title=config.title,
        made_at=now,
        days=config.days,
        verdict=policy.verdict(facts, config.sections, now),
        sections=tuple(section for section in Section if section in config.sections),
        unread=facts.unread,
        cards=tuple(drawn.card(site, plots=n < detail.plots) for n, site in enumerate(sites[: detail.cards])),
        plain_sites=tuple(drawn.plain(site) for site in plain_sites),
        unlisted_sites=max(0, len(sites) - detail.cards - MOST_LISTED_SITES),
        incidents=facts.incidents,
        pictures=_pictures(facts.pictures, images, detail.image_bytes),
        changes=tuple(policy.shown_change(change) for change in facts.changes),
        cases=tuple(policy.case_row(case) for case in facts.containers.cases),
        restarts=facts.containers.restarts,
        hosts=_hosts(facts.hosts, now),
        anomalies=tuple(_anomaly(one, now) for one in facts.anomalies),
        jobs=tuple(policy.job_row(job) for job in facts.jobs),
        open_alerts=tuple(row for row in alerts if row.ended_at is None),
        past_alerts=tuple(row for row in alerts if row.ended_at is not None),
    )


class _Sites:
    """Draws sites; what belongs to each is looked up once."""

    def __init__(self, facts: Facts, incidents: dict[str, list[Incident]], now: datetime, days: int) -> None:
        self._incidents, self._now, self._days = incidents, now, days
        self._hours: defaultdict[str, list[Stretch]] = defaultdict(list)
        self._closed: defaultdict[str, list[Stretch]] = defaultdict(list)
        self._latencies: defaultdict[str, list[Latency]] = defaultdict(list)
        for hour in facts.sites.hours:
            self._hours[hour.site].append(hour)
        for day in facts.sites.days:
            self._closed[day.site].append(day)
        for latency in facts.sites.latencies:
            self._latencies[latency.site].append(latency)

    def plain(self, site: SiteNow) -> SiteCard:
        level, state = policy.site_level(site, self._incidents.get(site.name, ()), self._now)
        shown, link = policy.address(site.target)
        hours = self._hours[site.name]
        day = policy.hour_cells(hours, self._now)[1]
        days = policy.day_cells(hours, self._closed[site.name], self._now, self._days)[1]
        return SiteCard(
            name=site.name,
            address=shown,
            link=link,
            level=level,
            state=state,
            since=site.since,
            checked_at=site.checked_at,
            problem=_cut(site.problem or "") if level is not Level.GOOD else "",
            latency=plot.amount(site.latency_ms, "ms") if site.latency_ms is not None else "",
            certificate=policy.certificate(site, self._now),
            uptime_day=policy.percent(day),
            uptime_days=policy.percent(days),
        )

    def card(self, site: SiteNow, *, plots: bool) -> SiteCard:
        hours = self._hours[site.name]
        day_cells, days = policy.day_cells(hours, self._closed[site.name], self._now, self._days)
        hour_cells, day = policy.hour_cells(hours, self._now)
        return self.plain(site).model_copy(
            update={
                "days_svg": plot.bars(
                    day_cells, title=f"{site.name}, {self._days} days: {policy.percent(days)} good"
                ),
                "hours_svg": plot.bars(
                    hour_cells, title=f"{site.name}, 24 hours: {policy.percent(day)} good", height=16
                ),
                "latency_svg": self._latency(site) if plots else "",
            }
        )

    def _latency(self, site: SiteNow) -> str:
        points = [(one.at, one.latency_ms) for one in self._latencies[site.name]]
        if not points:
            return ""
        spans = [
            plot.Span(one.opened_at, one.closed_at, f"{one.kind}: {_cut(one.reason)}")
            for one in self._incidents.get(site.name, ())
        ]
        return plot.line(
            [plot.Line(points)],
            title=f"Latency of {site.name}, 24 hours",
            unit="ms",
            start=self._now - DAY,
            end=self._now,
            spans=spans,
            longest_gap=max(_LONGEST_GAP, timedelta(minutes=2.5 * site.every_minutes)),
            height=96,
        )


def _pictures(pictures: Sequence[Picture], images: Images, budget: int) -> tuple[Shown, ...]:
    """Pictures with their images while there is room for them; what changed comes first."""
    left = budget
    shown: dict[str, Shown] = {}
    for picture in sorted(pictures, key=lambda one: -(one.changed_ratio or 0)):
        found = []
        for digest in (picture.thumbnail_digest, picture.diff_thumbnail_digest):
            data = images(digest) if digest and left > 0 else None
            address = _data_address(data) if data and len(data) <= min(left, LARGEST_IMAGE_BYTES) else ""
            left -= len(address)
            found.append(address)
        missing = picture.thumbnail_digest and not found[0]
        note = (
            "The image is not shown: it is gone, or there is no room for it on this page." if missing else ""
        )
        shown[picture.site] = Shown(picture=picture, image=found[0], marked=found[1], note=note)
    return tuple(shown[site] for site in sorted(shown))


def _data_address(data: bytes) -> str:
    """An image as the address that holds it; empty for what is no image of a kind we know."""
    kind = next((kind for begin, kind in _KINDS.items() if data.startswith(begin)), None)
    if kind is None or (kind == "webp" and data[8:12] != b"WEBP"):
        return ""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _hosts(uses: Sequence[Use], now: datetime) -> tuple[HostPlots, ...]:
    hosts = []
    for host, some in groupby(uses, key=lambda use: use.host):
        rows = list(some)
        plots = []
        for name, column in _USES:
            points = [(use.at, _percent(getattr(use, column))) for use in rows]
            known = [value for _, value in points if value is not None]
            if not known:
                continue
            drawing = plot.line(
                [plot.Line(points)],
                title=f"{name}, {host}, 24 hours",
                unit="%",
                start=now - DAY,
                end=now,
                longest_gap=_LONGEST_GAP,
                height=80,
            )
            plots.append((name, plot.amount(known[-1], "%"), drawing))
        hosts.append(HostPlots(host=host, plots=tuple(plots)))
    return tuple(hosts)


def _anomaly(one: Anomaly, now: datetime) -> ShownAnomaly:
    unit, by, name = _measure(one)
    value = plot.amount(one.value * by, unit)
    usual = f", expected about {plot.amount(one.expected * by, unit)}" if one.expected is not None else ""
    drawing = ""
    if one.points:
        drawing = plot.line(
            [plot.Line([(p.at, None if p.value is None else p.value * by) for p in one.points])],
            title=f"{name} of {one.subject or one.host} around the anomaly",
            unit=unit,
            spans=[plot.Span(one.opened_at, one.closed_at or one.last_at, "unusual")],
            marks=[plot.Mark(one.at, one.value * by, f"{one.at:%Y-%m-%d %H:%M}: {value}")],
            longest_gap=_LONGEST_GAP,
            height=96,
        )
    return ShownAnomaly(
        anomaly=one,
        words=f"{name}: {value}{usual}",
        standing=policy.anomaly_standing(one),
        plot_svg=drawing,
    )


def _measure(one: Anomaly) -> tuple[str, float, str]:
    """Unit, factor and name for people of what is unusual."""
    kind = one.series.partition("/")[0]
    found = METRICS[Kind(kind)].get(one.metric) if kind in set(Kind) else None
    if found is None:
        return "", 1.0, one.metric
    if found.unit is Unit.RATIO:
        return "%", 100.0, found.title
    plain = {Unit.COUNT: ""}
    return plain.get(found.unit, found.unit.value), 1.0, found.title


def _percent(ratio: float | None) -> float | None:
    return None if ratio is None else ratio * 100


def _cut(text: str) -> str:
    longest = policy.LONGEST_REASON_CHARACTERS
    return text if len(text) <= longest else text[: longest - 1] + "…"
