"""A made-up installation for the status page: sites, some in trouble, and all else that the page shows.

python -m tests.status_page_values FILE     writes the page of it
"""

from __future__ import annotations

import hashlib
import io
import math
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from PIL import Image, ImageDraw

from aegis_lib.alerts.model import Alert, Severity
from aegis_lib.containers.model import StrikeRecord
from aegis_lib.ledger.model import JobTicks
from aegis_lib.sites.model import Site, SitesConfig
from aegis_lib.status_page import composing, rendering
from aegis_lib.status_page.model import (
    DAY,
    HOUR,
    Anomaly,
    Change,
    Containers,
    Facts,
    Incident,
    Latency,
    Picture,
    Point,
    Restart,
    SiteNow,
    Sites,
    StatusPageConfig,
    Stretch,
    Use,
)

NOW = datetime(2026, 3, 18, 14, 37, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NAMES = (
    "api",
    "blog",
    "booking",
    "careers",
    "docs",
    "git",
    "intranet",
    "mail",
    "newsletter",
    "partners",
    "shop",
    "www",
)
DOWN, SLOW = "partners", "booking"


def config(names: tuple[str, ...] = NAMES) -> SitesConfig:
    return SitesConfig(sites=tuple(Site(name=name, url=f"https://{name}.example.org/") for name in names))


def facts(names: tuple[str, ...] = NAMES) -> Facts:
    return Facts(
        sites=sites(names),
        incidents=incidents(),
        pictures=pictures(names[:6]),
        changes=changes(),
        containers=containers(),
        hosts=hosts(),
        anomalies=anomalies(),
        jobs=jobs(),
        alerts=alerts(),
    )


def sites(names: tuple[str, ...] = NAMES) -> Sites:
    chance = random.Random(7)
    now, hours, days, latencies = [], [], [], []
    for number, name in enumerate(names):
        down = name == DOWN
        since = (
            NOW - 53 * MINUTE
            if down
            else NOW - timedelta(days=chance.randint(3, 80), minutes=chance.randint(0, 900))
        )
        now.append(
            SiteNow(
                name=name,
                target=f"https://{name}.example.org/",
                state="down" if down else "up",
                since=since,
                checked_at=NOW - 2 * MINUTE,
                problem="connection refused by 192.0.2.17 port 443" if down else None,
                latency_ms=None if down else 60.0 + 25 * number,
                certificate_expires_at=NOW + timedelta(days=chance.randint(9, 80)),
            )
        )
        begun = chance.choice((90, 90, 90, 41))
        for n in range(begun - 1, 0, -1):
            bad = chance.choice((0,) * 24 + (1, 3, 40)) if name in {"shop", "git", DOWN, "mail"} else 0
            days.append(Stretch(site=name, start=_day(NOW) - n * DAY, checks=288, good=288 - bad))
        for n in range(23, -1, -1):
            start = NOW.replace(minute=0) - n * HOUR
            checks = 8 if n == 0 else 12
            good = 0 if down and n == 0 else 10 if down and n == 1 else checks
            hours.append(Stretch(site=name, start=start, checks=checks, good=good))
        base = 60.0 + 25 * number
        for n in range(287, -1, -1):
            at = NOW - 2 * MINUTE - n * 5 * MINUTE
            value: float | None = base * (1 + 0.3 * math.sin(n / 45)) + chance.expovariate(1 / 12)
            if name == SLOW and 30 < n < 55:
                value = base * 9 + chance.expovariate(1 / 200)
            if down and n < 11:
                value = None
            if n % 97 == 5:
                value = base * 2.5
            latencies.append(Latency(site=name, at=at, latency_ms=value))
    return Sites(now=tuple(now), hours=tuple(hours), days=tuple(days), latencies=tuple(latencies))


def incidents() -> tuple[Incident, ...]:
    return (
        Incident(
            site=DOWN,
            kind="down",
            severity="critical",
            opened_at=NOW - 53 * MINUTE,
            closed_at=None,
            reason="connection refused by 192.0.2.17 port 443, 2 of the last 3 checks",
        ),
        Incident(
            site=SLOW,
            kind="slow",
            severity="warning",
            opened_at=NOW - timedelta(hours=4, minutes=30),
            closed_at=NOW - timedelta(hours=2, minutes=30),
            reason="took 1.9 s; the limit is 1 s",
            ending="took 140 ms in the last 2 checks",
        ),
        Incident(
            site="shop",
            kind="down",
            severity="critical",
            opened_at=NOW - timedelta(days=3, hours=2),
            closed_at=NOW - timedelta(days=3, hours=1, minutes=12),
            reason="status 503 instead of 200-299",
            ending="up again",
        ),
    )


def pictures(names: tuple[str, ...]) -> tuple[Picture, ...]:
    found = [
        Picture(
            site=name,
            taken_at=NOW - timedelta(hours=2, minutes=number),
            viewport="1280x800",
            thumbnail_digest=digest(f"{name}"),
            changed_ratio=0.0342 if name == "blog" else 0.0,
            diff_thumbnail_digest=digest("marked:blog") if name == "blog" else None,
        )
        for number, name in enumerate(names)
    ]
    return (
        *found,
        Picture(
            site=DOWN,
            taken_at=NOW - 30 * MINUTE,
            viewport="1280x800",
            problem="the page did not load: connection refused",
        ),
    )


def digest(what: str) -> str:
    return hashlib.sha256(what.encode()).hexdigest()


def image(name: str, *, marked: bool = False) -> bytes:
    """A small page, as a thumbnail of one is."""
    chance = random.Random(name)
    picture = Image.new("RGB", (320, 200), "#ffffff")
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 0, 320, 26), fill=chance.choice(("#23415f", "#5b2333", "#1f5b43", "#4b3a7a")))
    pen.text((8, 8), f"{name}.example.org", fill="#ffffff")
    for row in range(5):
        pen.rectangle((12, 42 + row * 14, chance.randint(120, 200), 48 + row * 14), fill="#c9d1d9")
    pen.rectangle((212, 42, 308, 120), fill=chance.choice(("#e2b04a", "#7fb7be", "#d36b5d", "#8aa05a")))
    for column in range(3):
        pen.rectangle((12 + column * 102, 138, 104 + column * 102, 186), fill="#e8ecef")
    if marked:
        pen.rectangle((206, 36, 314, 126), outline="#e0007a", width=4)
    kept = io.BytesIO()
    picture.save(kept, "WEBP", quality=60)
    return kept.getvalue()


class FakeImages:
    """Implements the port `Images` for the pictures of this installation."""

    def __init__(self) -> None:
        self._known = {digest(name): image(name) for name in NAMES}
        self._known[digest("marked:blog")] = image("blog", marked=True)

    def read(self, wanted: str) -> bytes | None:
        return self._known.get(wanted)


def changes() -> tuple[Change, ...]:
    return (
        Change(
            site="shop",
            changed_at=NOW - timedelta(hours=7),
            summary="The price of 'Large kettle' went from 49.00 to 44.00.",
            diff=" Large kettle\n-Price: 49.00 EUR\n+Price: 44.00 EUR\n In stock",
        ),
        Change(
            site="careers",
            changed_at=NOW - timedelta(days=2),
            summary="One paragraph was added.",
            diff=" Open positions\n+Site reliability engineer, part time or full time\n Gardener",
        ),
    )


def containers() -> Containers:
    return Containers(
        cases=(
            StrikeRecord(
                engine="local",
                name="search-index",
                container_id="a" * 64,
                strikes=3,
                reason="unhealthy: GET /health answered 500",
                first_strike_at=NOW - 95 * MINUTE,
                last_strike_at=NOW - 3 * MINUTE,
                escalated_at=NOW - 60 * MINUTE,
                attempts=1,
            ),
            StrikeRecord(
                engine="build-2",
                name="runner-4",
                container_id="b" * 64,
                strikes=1,
                reason="exited with code 137, out of memory",
                first_strike_at=NOW - 3 * MINUTE,
                last_strike_at=NOW - 3 * MINUTE,
            ),
        ),
        restarts=(
            Restart(
                engine="local",
                name="search-index",
                claimed_at=NOW - 90 * MINUTE,
                reason="unhealthy: GET /health answered 500",
                outcome="still_sick",
            ),
            Restart(
                engine="local",
                name="thumbnailer",
                claimed_at=NOW - timedelta(days=4),
                reason="exited with code 1",
                outcome="verified",
            ),
        ),
    )


def hosts() -> tuple[Use, ...]:
    chance = random.Random(3)
    found = []
    for host, base in (("local", 0.18), ("build-2", 0.45)):
        for n in range(287, -1, -1):
            if host == "build-2" and 120 < n < 140:
                continue  # it was off
            daily = 0.12 * math.sin(n / 45)
            busy = min(1.0, max(0.02, base + daily + chance.gauss(0, 0.03)))
            found.append(
                Use(
                    host=host,
                    at=NOW - n * 5 * MINUTE,
                    cpu_ratio=busy,
                    memory_used_ratio=0.55 + 0.04 * math.sin(n / 30),
                    disk_used_ratio=0.71 + (288 - n) * 0.0001,
                )
            )
    return tuple(found)


def anomalies() -> tuple[Anomaly, ...]:
    chance = random.Random(5)
    at = NOW - timedelta(hours=3)
    points = tuple(
        Point(
            at=at + n * 5 * MINUTE,
            value=2.1e9 if 0 <= n < 9 else 4.2e8 + chance.gauss(0, 1.5e7),
        )
        for n in range(-72, 35)
    )
    return (
        Anomaly(
            id=12,
            host="local",
            title="Memory of search-index",
            score=0.97,
            opened_at=at,
            last_at=at + 40 * MINUTE,
            closed_at=at + 60 * MINUTE,
            series="container/local/search-index/memory_bytes",
            subject="search-index",
            metric="memory_bytes",
            at=at + 10 * MINUTE,
            value=2.1e9,
            expected=4.2e8,
            points=points,
        ),
        Anomaly(
            id=11,
            host="build-2",
            title="CPU of build-2",
            score=0.91,
            opened_at=at - DAY,
            last_at=at - DAY + 15 * MINUTE,
            closed_at=at - DAY + HOUR,
            held="budget",
            series="host/build-2/cpu_ratio",
            subject="",
            metric="cpu_ratio",
            at=at - DAY,
            value=0.98,
            expected=0.45,
        ),
    )


def jobs() -> tuple[JobTicks, ...]:
    return (
        JobTicks(job_id="alert_dispatch", due=1440, outcomes={"Completed": 1438, "Coalesced": 2}),
        JobTicks(job_id="docker_health_check", due=288, outcomes={"Completed": 270, "Degraded": 18}),
        JobTicks(job_id="email_triage", due=24, outcomes={"Completed": 22, "Failed": 2}),
        JobTicks(job_id="health_check", due=288, outcomes={"Completed": 288}),
        JobTicks(job_id="site_check", due=288, outcomes={"Completed": 287, "Pending": 1}),
        JobTicks(job_id="site_screenshots", due=4, outcomes={"Degraded": 1, "Completed": 3}),
    )


def alerts() -> tuple[Alert, ...]:
    return (
        Alert(
            id=88,
            key="site:partners:down",
            severity=Severity.CRITICAL,
            title="partners is down",
            body="log line",
            first_seen_at=NOW - 53 * MINUTE,
            last_seen_at=NOW - 3 * MINUTE,
            count=11,
        ),
        Alert(
            id=87,
            key="docker:local:search-index",
            severity=Severity.WARNING,
            title="Container search-index: unhealthy, restart did not help",
            first_seen_at=NOW - 60 * MINUTE,
            last_seen_at=NOW - 60 * MINUTE,
        ),
        Alert(
            id=80,
            key="site:booking:slow",
            severity=Severity.WARNING,
            title="booking is slow",
            first_seen_at=NOW - timedelta(hours=4, minutes=30),
            last_seen_at=NOW - timedelta(hours=3),
            resolved_at=NOW - timedelta(hours=2, minutes=30),
            closed_at=NOW - timedelta(hours=2, minutes=30),
        ),
    )


def page(given: Facts | None = None) -> bytes:
    """The page of these facts, as the job writes it."""
    made = composing.compose(
        given or facts(), FakeImages().read, now=NOW, config=StatusPageConfig(title="Example Ltd status")
    )
    return rendering.render(made)


def _day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(page())
