"""How many alerts a fleet of containers gives, and whether they are the right ones, on made-up days.

Containers with the rhythm of days and weeks, noise, bursts each hour and a backup each night run for
`--days`; the first `--learned` days are only learned from. Deployments move levels: they must not be told.
Some days bring an incident: a runaway process, a leak, traffic that breaks off, a slow site, a host on which
everything is busy. The service runs as the job `anomaly_scan` runs it, a scan each quarter of an hour, with a
store in memory. Beside it the rule that comes to mind first: a point more than three standard deviations from
the mean of its last day is an alert, then half an hour of silence for that series. Detector and limits are
the product's defaults, but for the budget.

    python bench/anomaly_alerts.py [--containers 10] [--days 16] [--learned 4] [--seed 7]
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aegis_lib.anomaly import service
from aegis_lib.anomaly.model import SITES, STEP, AnomalyConfig, Point, Series
from aegis_lib.metrics.model import Kind
from tests.fakes.alerts import FakeNotifier
from tests.fakes.anomalies import FakeAnomalies
from tests.fakes.memory import FakeMemory
from tests.fakes.state import FakeState

START = datetime(2026, 3, 2, tzinfo=UTC)
SCAN_EVERY = timedelta(minutes=15)
SILENCE = timedelta(minutes=30)
GRACE = timedelta(minutes=30)
MIB = 1024.0**2


@dataclass(frozen=True)
class Incident:
    """What goes wrong, with whom, from when to when."""

    what: str
    subject: str
    start: datetime
    end: datetime

    def during(self, at: datetime, grace: timedelta = timedelta(0)) -> bool:
        return self.start <= at < self.end + grace


class Fleet:
    """Made-up hosts, containers and a site. The same seed gives the same numbers."""

    def __init__(self, containers: int, days: int, learned: int, seed: int) -> None:
        self.chance = random.Random(seed)
        self.names = [f"c{number}" for number in range(containers)]
        self.days = days
        self.scale = {name: self.chance.uniform(0.2, 1.2) for name in self.names}
        self.memory = {name: self.chance.uniform(100, 1500) * MIB for name in self.names}
        self.deployed = self._deployments(learned)
        self.incidents = self._incidents(learned)

    def _moment(self, day: int) -> datetime:
        return START + timedelta(days=day, minutes=5 * self.chance.randrange(100, 270))

    def _deployments(self, learned: int) -> dict[str, tuple[datetime, float]]:
        names = self.chance.sample(self.names, max(1, len(self.names) // 3))
        return {
            name: (self._moment(self.chance.randrange(learned, self.days)), self.chance.choice((0.6, 1.5)))
            for name in names
        }

    def _incidents(self, learned: int) -> list[Incident]:
        kinds = ("runaway", "leak", "silence", "slow site", "busy host")
        made = []
        for number, day in enumerate(range(learned, self.days, 2)):
            what = kinds[number % len(kinds)]
            quiet = [name for name in self.names if name not in self.deployed]
            subject = {"slow site": "shop", "busy host": "*"}.get(what) or self.chance.choice(quiet)
            start = self._moment(day)
            made.append(Incident(what, subject, start, start + timedelta(minutes=60)))
        return made

    def at(self, moment: datetime) -> Iterator[tuple[Series, Point]]:
        """Every series' point of five minutes."""
        noise = self.chance
        hours = moment.hour + moment.minute / 60
        day = 0.5 + 0.5 * math.sin((hours - 9) / 24 * 2 * math.pi)
        week = 0.6 if moment.weekday() >= 5 else 1.0
        wrong = [incident for incident in self.incidents if incident.during(moment)]
        total = 0.0
        for name in self.names:
            mine = {incident.what for incident in wrong if incident.subject in {name, "*"}}
            cpu = self.scale[name] * (0.1 + 0.5 * day * week) * noise.lognormvariate(0, 0.12)
            cpu += 0.3 * self.scale[name] if moment.minute == 0 else 0.0
            cpu += 0.8 if moment.hour == 2 and moment.minute < 30 else 0.0
            cpu += 2.5 * ("runaway" in mine) + 1.0 * ("busy host" in mine)
            memory = self.memory[name] * (1 + 0.06 * day * week) + noise.gauss(0, 4 * MIB)
            image = "one"
            if name in self.deployed and moment >= self.deployed[name][0]:
                memory, image = memory * self.deployed[name][1], "two"
            for incident in wrong:
                if incident.what == "leak" and incident.subject == name:
                    memory *= 1 + 1.5 * ((moment - incident.start) / timedelta(minutes=60))
            sent = 4e6 * self.scale[name] * (0.1 + day * week) * noise.lognormvariate(0, 0.2)
            sent *= 0.001 if "silence" in mine else 1
            total += cpu
            for metric, value in (
                ("cpu_cores", cpu),
                ("memory_bytes", memory),
                ("network_sent_bytes_per_second", sent),
            ):
                yield self._series(name, metric), Point(moment, value, image)
        cores = len(self.names) * 1.5
        busy = min(1.0, total / cores) + noise.gauss(0, 0.01)
        yield Series(kind=Kind.HOST, host="local", metric="cpu_ratio"), Point(moment, abs(busy))
        slow = any(incident.what == "slow site" for incident in wrong)
        latency = 120 * (1 + 0.3 * day) * noise.lognormvariate(0, 0.15) * (7 if slow else 1)
        yield (
            Series(kind=Kind.SITE, host=SITES, subject="shop", metric="latency_ms"),
            Point(moment, latency),
        )

    @staticmethod
    def _series(name: str, metric: str) -> Series:
        return Series(kind=Kind.CONTAINER, host="local", subject=name, metric=metric)


class QuickStore(FakeAnomalies):
    """The fake, with points found by their time."""

    def __init__(self) -> None:
        super().__init__()
        self.by_time: dict[datetime, dict[Series, Point]] = {}

    def earliest(self, since: datetime) -> datetime | None:
        return min(self.by_time, default=None)

    def points(self, since: datetime, until: datetime) -> Mapping[Series, Sequence[Point]]:
        found: dict[Series, list[Point]] = {}
        while since < until:
            for series, point in self.by_time.get(since, {}).items():
                found.setdefault(series, []).append(point)
            since += STEP
        return found

    def history(self, series: Series, since: datetime, until: datetime) -> Sequence[Point]:
        return self.points(since, until).get(series, [])

    def warming_up(self) -> int:
        return 0


class ThreeSigma:
    """The peer: each series by the mean and deviation of its last day, and silence after an alert."""

    def __init__(self) -> None:
        self.last: dict[str, deque[float]] = {}
        self.silent: dict[str, datetime] = {}
        self.alerts: list[tuple[datetime, str]] = []

    def see(self, series: Series, point: Point) -> None:
        values = self.last.setdefault(series.name, deque(maxlen=288))
        if len(values) == values.maxlen and point.at >= self.silent.get(series.name, point.at):
            spread = statistics.pstdev(values)
            if spread and abs(point.value - statistics.fmean(values)) > 3 * spread:
                self.alerts.append((point.at, series.subject))
                self.silent[series.name] = point.at + SILENCE
        values.append(point.value)


def rated(
    alerts: Collection[tuple[datetime, str]], incidents: Sequence[Incident], days: float
) -> dict[str, float]:
    """Alerts a day, incidents that one of them tells of, and alerts that tell of none."""

    def tells(at: datetime, subject: str, incident: Incident) -> bool:
        fits = incident.subject in {"*", subject} or subject in {"", "*"}
        return fits and incident.during(at, GRACE)

    found = sum(any(tells(at, who, incident) for at, who in alerts) for incident in incidents)
    false = sum(not any(tells(at, who, incident) for incident in incidents) for at, who in alerts)
    return {
        "alerts_per_day": round(len(alerts) / days, 2),
        "found": found,
        "false_per_day": round(false / days, 2),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--containers", type=int, default=10)
    options.add_argument("--days", type=int, default=16)
    options.add_argument("--learned", type=int, default=4)
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--show", action="store_true", help="print every alert")
    chosen = options.parse_args()

    fleet = Fleet(chosen.containers, chosen.days, chosen.learned, chosen.seed)
    store, state, notifier = QuickStore(), FakeState(), FakeNotifier()
    memory, config, peer = FakeMemory(), AnomalyConfig(alerts_per_day=100), ThreeSigma()
    begin, end = START + timedelta(days=chosen.learned), START + timedelta(days=chosen.days)
    ours: list[tuple[datetime, str]] = []
    told: set[int] = set()
    moment, scans, seconds = START, 0, 0.0
    while moment < end:
        store.by_time[moment] = dict(fleet.at(moment))
        for series, point in store.by_time[moment].items():
            peer.see(series, point)
        moment += STEP
        if (moment - START) % SCAN_EVERY or moment < begin:
            continue
        before = time.process_time()
        service.scan(
            store, state, memory, notifier, config, moment + timedelta(seconds=40), time_limit_seconds=1e9
        )
        scans, seconds = scans + 1, seconds + time.process_time() - before
        fresh = [g for g in store.groups.values() if g.alerted_at is not None and g.id not in told]
        for group in fresh:
            told.add(group.id)
            subject = group.subjects[0] if len(group.subjects) == 1 else "*"
            ours.append((group.opened_at, subject))
            if chosen.show:
                print(f"{group.opened_at:%m-%d %H:%M} {group.title} {group.subjects} {group.score:.2f}")
    days = (end - begin) / timedelta(days=1)
    if chosen.show:
        for incident in fleet.incidents:
            print(f"incident {incident.start:%m-%d %H:%M} {incident.what} {incident.subject}")
        for name, (at, change) in fleet.deployed.items():
            print(f"deployment {at:%m-%d %H:%M} {name} x{change}")
    mine = rated([one for one in ours if one[0] >= begin], fleet.incidents, days)
    rule = rated([one for one in peer.alerts if one[0] >= begin], fleet.incidents, days)
    incidents = len(fleet.incidents)
    series = len(next(iter(store.by_time.values())))
    print(f"{series} series, {days:g} days, {incidents} incidents, {len(fleet.deployed)} deployments")
    for name, rates in (("anomaly_scan", mine), ("three standard deviations", rule)):
        print(
            f"{name:<26} {rates['alerts_per_day']:6.2f} alerts a day, {rates['found']} of {incidents} "
            f"incidents found, {rates['false_per_day']:.2f} false alerts a day"
        )
    print(f"{seconds / scans / series * 1000:.2f} ms of processor time a series and scan")
    print(
        json.dumps(
            {
                **mine,
                "incidents": incidents,
                "peer": rule,
                "ratio_alerts": round(rule["alerts_per_day"] / (mine["alerts_per_day"] or 1), 1),
            }
        )
    )


if __name__ == "__main__":
    main()
