"""What looking at watched sites showed, how each stands, and what is wrong with it. Values only.

Words and texts here may come from a site: untrusted. Nothing here decides.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from aegis_lib.outcome import AwareDatetime, Frozen, Report
from aegis_lib.sites.model import HISTORY_LENGTH

# --- what one look saw ---


class FailureKind(StrEnum):
    """Why there is no answer."""

    DNS = "dns"
    CONNECT = "connect"
    TIMEOUT = "timeout"
    CERTIFICATE = "certificate"
    TLS = "tls"
    BROKEN = "broken"
    """The connection broke, or what came is no proper answer."""
    TOO_LARGE = "too_large"
    REDIRECTS = "redirects"
    REFUSED_ADDRESS = "refused_address"
    """We refuse: the address is not of the public internet."""
    NOT_ASKED = "not_asked"
    """A setting is missing; nothing was asked."""


class Failure(Frozen):
    """Why there is no answer, in words that may hold text of the site: untrusted."""

    kind: FailureKind
    words: str


class Certificate(Frozen):
    """The certificates that a server showed: the first end of validity among them, and for whom it is."""

    expires_at: AwareDatetime
    subject: str = ""
    issuer: str = ""


class Probe(Frozen):
    """What one attempt saw. Times in milliseconds, summed over redirects; None where it did not come to that.

    `first_byte_ms` counts from the beginning, as `total_ms` does; `dns_ms`, `connect_ms` and `tls_ms` are
    each step's own. `size_bytes` is the answer, unpacked. `body` is kept only where it is needed. `answers`
    are the records of a DNS look or what a port said.
    """

    site: str
    failure: Failure | None = None
    status: int | None = None
    http_version: str | None = None
    url: str | None = None
    redirects: int = 0
    address: str | None = None
    dns_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    first_byte_ms: float | None = None
    total_ms: float | None = None
    size_bytes: int | None = None
    content_type: str | None = None
    body: bytes | None = Field(default=None, repr=False)
    certificate: Certificate | None = None
    answers: tuple[str, ...] = ()


class Verdict(Frozen):
    """A look, judged: what is wrong, in one sentence each; None where nothing is.

    `slow` and `ending` (a certificate's) are None, too, where there was nothing to measure.
    `certificate_seen`: a certificate was there to be judged.
    """

    failing: str | None = None
    slow: str | None = None
    measured: bool = False
    ending: str | None = None
    certificate_seen: bool = False


class Check(Frozen):
    """One check of a site, a row of `site_checks`: the last attempt of it, and how many there were."""

    site: str
    checked_at: AwareDatetime
    ok: bool
    maintenance: bool = False
    attempts: int = 1
    status: int | None = None
    problem: str | None = None
    latency_ms: float | None = None
    dns_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    first_byte_ms: float | None = None
    total_ms: float | None = None
    size_bytes: int | None = None
    http_version: str | None = None
    address: str | None = None


# --- what is kept ---


class SiteState(StrEnum):
    """What the checks so far say of a site."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"
    """Not checked yet, or not often enough to say."""


History = Field(default="", max_length=HISTORY_LENGTH, pattern=r"^[.x]*$")


class Standing(Frozen):
    """How a site stands, a row of `site_states`.

    `since` is when `state` began; `checked_at` when the run began that checked it last. `history` holds the
    last checks that counted, newest last: `.` is good, `x` failing; `slow_history` the same for latency.
    """

    name: str
    target: str
    state: SiteState = SiteState.UNKNOWN
    since: AwareDatetime
    checked_at: AwareDatetime
    failures: int = 0
    successes: int = 0
    history: str = History
    slow_history: str = History
    failing_since: AwareDatetime | None = None
    problem: str | None = None
    status: int | None = None
    latency_ms: float | None = None
    certificate_expires_at: AwareDatetime | None = None
    tags: tuple[str, ...] = ()


class IncidentKind(StrEnum):
    """What is wrong with a site."""

    DOWN = "down"
    SLOW = "slow"
    CERTIFICATE = "certificate"
    """It ends soon."""


class Opening(Frozen):
    """An incident that begins."""

    kind: IncidentKind
    severity: Literal["info", "warning", "critical"]
    reason: str


class Closing(Frozen):
    """An incident that is over, and the words for it."""

    kind: IncidentKind
    ending: str


class Recorded(Frozen):
    """All that comes of one check: kept together or not at all.

    `before` is the `checked_at` of the standing that it was judged by, None for a site that is new. A site
    that another run has checked meanwhile is left as that run has it.
    """

    before: AwareDatetime | None
    standing: Standing
    check: Check
    opens: tuple[Opening, ...] = ()
    closes: tuple[Closing, ...] = ()


class Incident(Frozen):
    """A row of `site_incidents`. `shared` counts others under the same alert that still go on."""

    id: int
    site: str
    kind: IncidentKind
    severity: Literal["info", "warning", "critical"] = "critical"
    opened_at: AwareDatetime
    closed_at: AwareDatetime | None = None
    reason: str
    ending: str = ""
    alert_key: str | None = None
    opening_told_at: AwareDatetime | None = None
    reminded_at: AwareDatetime | None = None
    closing_told_at: AwareDatetime | None = None
    shared: int = 0

    @property
    def key(self) -> str:
        """Its own identity among alerts, the same in every process."""
        return f"site:{self.site}:{self.kind.value}:{self.id}"


class SiteChange(Frozen):
    """A change of what a page says, a row of `site_changes`. `significance` is 0 to 1."""

    id: int
    site: str
    changed_at: AwareDatetime
    summary: str
    diff: str
    significance: float | None = None
    told_at: AwareDatetime | None = None


class SiteRow(Frozen):
    """One line of the table that people look at."""

    site: str
    state: str
    latency_ms: float | None = None
    problem: str = ""


class SitesReport(Report):
    """What one run saw and did. `checked` counts sites; `opened` and `closed` are incidents of this run.

    `unchecked` sites were not reached in time; they come first in the next run.
    """

    checked: int = 0
    up: int = 0
    down: int = 0
    unchecked: int = 0
    seconds: float = 0
    opened: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    rows: tuple[SiteRow, ...] = ()
    problems: tuple[str, ...] = ()
