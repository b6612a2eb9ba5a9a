"""What the status page shows, as values. Nothing here is read, drawn or decided.

Names, reasons, texts and pictures come from websites and containers, that is from strangers: they are data.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from pydantic import Field, field_validator

from aegis_lib.alerts.model import Alert
from aegis_lib.containers.model import StrikeRecord
from aegis_lib.ledger.model import JobTicks
from aegis_lib.outcome import AwareDatetime, Frozen, Report

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


class Section(StrEnum):
    """The parts of the page, in their order."""

    SITES = "sites"
    INCIDENTS = "incidents"
    PICTURES = "pictures"
    CHANGES = "changes"
    CONTAINERS = "containers"
    HOSTS = "hosts"
    ANOMALIES = "anomalies"
    JOBS = "jobs"
    ALERTS = "alerts"


class Level(StrEnum):
    """How something stands; it is always said in words beside the colour."""

    GOOD = "good"
    SOME = "some"
    """Something deserves a look."""
    BAD = "bad"
    NONE = "none"
    """Nothing is known."""


# --- what is read ---


class SiteNow(Frozen):
    """A watched site as the last checks left it: `state` is `up`, `down` or `unknown`.

    `every_minutes` is how often it is checked.
    """

    name: str
    target: str
    state: str = "unknown"
    since: AwareDatetime | None = None
    checked_at: AwareDatetime | None = None
    every_minutes: int = 5
    problem: str | None = None
    status: int | None = None
    latency_ms: float | None = None
    certificate_expires_at: AwareDatetime | None = None


class Stretch(Frozen):
    """The checks of a site in one UTC hour or day, without those in maintenance, and how many were good."""

    site: str
    start: AwareDatetime
    checks: int
    good: int


class Latency(Frozen):
    """How long a site took in milliseconds; None for a check that got no answer."""

    site: str
    at: AwareDatetime
    latency_ms: float | None


class Incident(Frozen):
    """From when until when something was wrong with a site; None while it goes on."""

    site: str
    kind: str
    severity: str
    opened_at: AwareDatetime
    closed_at: AwareDatetime | None
    reason: str
    ending: str = ""


class Change(Frozen):
    """A change of what a page says."""

    site: str
    changed_at: AwareDatetime
    summary: str
    diff: str


class Picture(Frozen):
    """The newest picture of a site; digests name small images, None where there is none."""

    site: str
    taken_at: AwareDatetime
    viewport: str
    thumbnail_digest: str | None = None
    changed_ratio: float | None = None
    diff_thumbnail_digest: str | None = None
    problem: str | None = None


class Restart(Frozen):
    """A restart of a container by the three-strike protocol; `outcome` is None while it is going on."""

    engine: str
    name: str
    claimed_at: AwareDatetime
    reason: str
    outcome: str | None = None


class Containers(Frozen):
    """Open cases of sick containers, and the newest restarts."""

    cases: tuple[StrikeRecord, ...] = ()
    restarts: tuple[Restart, ...] = ()


class Use(Frozen):
    """What a host used at a time: ratios from 0 to 1, None where it is not known."""

    host: str
    at: AwareDatetime
    cpu_ratio: float | None = None
    memory_used_ratio: float | None = None
    disk_used_ratio: float | None = None


class Point(Frozen):
    """One value of a series."""

    at: AwareDatetime
    value: float | None


class Anomaly(Frozen):
    """Unusual behaviour of one host from one cause, with its most unusual point and the series around it.

    `held` says why people were not told: `budget` or `lesson`.
    """

    id: int
    host: str
    title: str
    score: float
    opened_at: AwareDatetime
    last_at: AwareDatetime
    closed_at: AwareDatetime | None = None
    held: str | None = None
    dismissed_at: AwareDatetime | None = None
    series: str = ""
    subject: str = ""
    metric: str = ""
    at: AwareDatetime
    value: float
    expected: float | None = None
    points: tuple[Point, ...] = ()


class Sites(Frozen):
    """Every site, with its hours and days and, for some, its latencies. `days` are closed days only."""

    now: tuple[SiteNow, ...] = ()
    hours: tuple[Stretch, ...] = ()
    days: tuple[Stretch, ...] = ()
    latencies: tuple[Latency, ...] = ()


class Facts(Frozen):
    """All that the page shows. `unread` are the sections that could not be read."""

    sites: Sites = Sites()
    incidents: tuple[Incident, ...] = ()
    pictures: tuple[Picture, ...] = ()
    changes: tuple[Change, ...] = ()
    containers: Containers = Containers()
    hosts: tuple[Use, ...] = ()
    anomalies: tuple[Anomaly, ...] = ()
    jobs: tuple[JobTicks, ...] = ()
    alerts: tuple[Alert, ...] = ()
    unread: tuple[Section, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing at all to show."""
        lists = (
            self.incidents,
            self.pictures,
            self.changes,
            self.hosts,
            self.anomalies,
            self.jobs,
            self.alerts,
        )
        within = (self.sites.now, self.containers.cases, self.containers.restarts)
        return not any((*lists, *within))


# --- what is shown ---


class Verdict(Frozen):
    """The page in one sentence."""

    level: Level
    words: str


class SiteCard(Frozen):
    """A site as it is shown. Texts that end in `_svg` are drawings; `link` is None where there is none."""

    name: str
    address: str
    link: str | None
    level: Level
    state: str
    since: AwareDatetime | None
    checked_at: AwareDatetime | None
    problem: str
    latency: str
    certificate: str
    uptime_day: str
    uptime_days: str
    hours_svg: str = ""
    days_svg: str = ""
    latency_svg: str = ""


class Shown(Frozen):
    """A picture as it is shown: `image` and `marked` are data addresses, empty where there is none."""

    picture: Picture
    image: str = ""
    marked: str = ""
    note: str = ""


class DiffLine(Frozen):
    """One line of what changed: `kind` is `added`, `removed` or `same`."""

    kind: str
    text: str


class ShownChange(Frozen):
    """A change as it is shown; `left_out` lines of its difference are not."""

    change: Change
    lines: tuple[DiffLine, ...]
    left_out: int = 0


class CaseRow(Frozen):
    """A sick container as it is shown."""

    title: str
    level: Level
    standing: str
    strikes: int
    since: AwareDatetime
    reason: str


class JobRow(Frozen):
    """A job's last day: how often it was due, did its work, and what else became of it, in words."""

    job_id: str
    level: Level
    due: int
    worked: int
    others: str


class HostPlots(Frozen):
    """A host's last day as drawings, each with its newest value in words."""

    host: str
    plots: tuple[tuple[str, str, str], ...]
    """Name, newest value, drawing."""


class ShownAnomaly(Frozen):
    """An anomaly as it is shown."""

    anomaly: Anomaly
    words: str
    standing: str
    plot_svg: str = ""


class AlertRow(Frozen):
    """An alert as it is shown: its title, never its text, which may hold lines of logs."""

    id: int
    title: str
    severity: str
    level: Level
    standing: str
    first_seen_at: AwareDatetime
    ended_at: AwareDatetime | None
    count: int


class Page(Frozen):
    """The whole page, ready to be set."""

    title: str
    made_at: AwareDatetime
    days: int
    verdict: Verdict
    sections: tuple[Section, ...]
    unread: tuple[Section, ...]
    cards: tuple[SiteCard, ...] = ()
    plain_sites: tuple[SiteCard, ...] = ()
    """Those that are listed only, because the page would grow too large."""
    unlisted_sites: int = 0
    incidents: tuple[Incident, ...] = ()
    pictures: tuple[Shown, ...] = ()
    changes: tuple[ShownChange, ...] = ()
    cases: tuple[CaseRow, ...] = ()
    restarts: tuple[Restart, ...] = ()
    hosts: tuple[HostPlots, ...] = ()
    anomalies: tuple[ShownAnomaly, ...] = ()
    jobs: tuple[JobRow, ...] = ()
    open_alerts: tuple[AlertRow, ...] = ()
    past_alerts: tuple[AlertRow, ...] = ()


# --- configuration ---


class StatusPageConfig(Frozen):
    """The section `status_page` of aegis.yaml.

    `title` stands at the top. `sections` are the parts that are shown; their order is fixed. `days` (7 to 90)
    is how far the bars of the sites go back.
    """

    title: str = Field(default="Aegis status", min_length=1, max_length=100)
    sections: tuple[Section, ...] = Field(default=tuple(Section), min_length=1)
    days: int = Field(default=90, ge=7, le=90)

    @field_validator("sections")
    @classmethod
    def _each_once(cls, value: tuple[Section, ...]) -> tuple[Section, ...]:
        if len(set(value)) < len(value):
            raise ValueError("a section stands there twice")
        return value


class StatusPageReport(Report):
    """What a page came to: where it is, its size, the verdict, and which sections could not be read."""

    path: str = ""
    size_bytes: int = 0
    verdict: str = ""
    unread: tuple[str, ...] = ()
