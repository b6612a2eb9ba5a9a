"""One round over the watched sites: look, keep, open and close incidents, tell. Never tells without a claim.

What was seen is kept before anybody is told of it: a run that dies says nothing twice and forgets nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from aegis_lib import isolation
from aegis_lib.changes.model import PageText
from aegis_lib.clock import iso
from aegis_lib.errors import AegisError, DependencyUnavailable, NotConfigured
from aegis_lib.logs import get_logger
from aegis_lib.memory.model import Importance
from aegis_lib.outcome import Outcome
from aegis_lib.ports.alerts import Notifier
from aegis_lib.ports.memory import EpisodicMemory
from aegis_lib.ports.sites import PageReader, SiteProber, SiteStore
from aegis_lib.sites import messages, policy
from aegis_lib.sites.examination import Examination, Finding
from aegis_lib.sites.model import CHANGE_EVENT, EVENT_TYPE, SitesConfig, Watched
from aegis_lib.sites.seen import (
    Incident,
    IncidentKind,
    Recorded,
    SiteRow,
    SitesReport,
    SiteState,
    Standing,
)

log = get_logger(__name__)

LEASE = timedelta(seconds=280)
"""The job's time-out: what was claimed longer ago and is not finished, nobody is doing any more."""
BATCH = 500
READING_SECONDS = 240.0
"""No page is begun to be read after so much of the run; the next run reads it."""
MOST_ROWS = 200


def run(
    prober: SiteProber,
    pages: PageReader,
    store: SiteStore,
    memory: EpisodicMemory,
    notifier: Notifier,
    config: SitesConfig,
    *,
    now: datetime,
    only_tag: str | None = None,
    lease: timedelta = LEASE,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> SitesReport:
    """Look at every site that is due; keep what was seen; say what began, what is over and what changed.

    `only_tag` restricts the look to sites with that tag. A site that is down is a finding.

    Raises:
        NotConfigured: aegis.yaml names no site; what is known of earlier ones is forgotten first.
        DependencyUnavailable: the database is away.
    """
    names = [site.name for site in config.sites]
    gone = store.forget_others(names, "the site is no longer watched", now)
    examination = Examination(prober, config, now, sleep, monotonic)
    round_ = _Round(examination, pages, store, memory, notifier, config, now, lease)
    if gone:
        log.info("sites_forgotten", names=",".join(gone))
    if names:
        sites = [one for one in config.watched() if only_tag is None or only_tag in one.site.tags]
        round_.check(sites)
    round_.tell()
    round_.read_pages()
    if not names:
        raise NotConfigured("sites.sites in aegis.yaml", purpose="the websites to check")
    return round_.report()


@dataclass
class _Round:
    examination: Examination
    pages: PageReader
    store: SiteStore
    memory: EpisodicMemory
    notifier: Notifier
    config: SitesConfig
    began: datetime
    lease: timedelta
    standings: dict[str, Standing] = field(default_factory=dict)
    checked: dict[str, Finding] = field(default_factory=dict)
    due: int = 0
    reached: int = 0
    put_off: int = 0
    opened: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _going_on: dict[str, dict[IncidentKind, Incident]] = field(default_factory=dict)

    # --- looking and keeping ---

    def check(self, sites: Sequence[Watched]) -> None:
        """Look at those that are due, and keep what was seen in batches."""
        self.standings = self.store.standings()
        for incident in self.store.open_incidents():
            self._going_on.setdefault(incident.site, {})[incident.kind] = incident
        due = policy.due(sites, self.standings, self.began)
        self.due = len(due)
        # nothing is kept while sites are looked at: they would wait, and that would count as their latency
        findings = list(self.examination.look(due))
        self.reached = len(findings)
        for start in range(0, len(findings), BATCH):
            self._keep([(finding, self._judged(finding)) for finding in findings[start : start + BATCH]])

    def _judged(self, finding: Finding) -> Recorded:
        name = finding.watched.site.name
        return policy.advance(
            finding.watched, self.standings.get(name), self._going_on.get(name, {}),
            finding.probe, finding.verdict,
            attempts=finding.attempts, began=self.began, now=finding.at,
        )  # fmt: skip

    def _keep(self, batch: Sequence[tuple[Finding, Recorded]]) -> None:
        ours = self.store.record([recorded for _, recorded in batch], self.examination.time())
        for finding, recorded in batch:
            name = finding.watched.site.name
            if name not in ours:
                log.info("site_checked_by_another_run", site=name)
                continue
            before = self.standings.get(name)
            self.standings[name] = recorded.standing
            self.checked[name] = finding
            if before is None or before.state is not recorded.standing.state:
                log.info(
                    "site_state_changed",
                    site=name,
                    state=recorded.standing.state.value,
                    problem=recorded.standing.problem,
                )

    # --- what pages say ---

    def read_pages(self) -> None:
        """Compare what pages say with what they said, and tell of changes."""
        read = [one for one in self.checked.values() if one.probe.body is not None]
        known = self.store.contents([one.watched.site.name for one in read]) if read else {}
        for finding in read:
            name = finding.watched.site.name
            if self.examination.elapsed() > READING_SECONDS:
                self.put_off += 1
                continue
            found = isolation.attempt(partial(self._change, finding, known.get(name)))
            if isinstance(found, DependencyUnavailable):
                raise found
            if isinstance(found, Exception):
                log.error("page_not_read", site=name, error=str(found), kind=type(found).__name__)
                words = str(found) if isinstance(found, AegisError) else type(found).__name__
                self.problems.append(f"{name}: what its page says could not be read: {words}")
        self._tell_changes()

    def _change(self, finding: Finding, before: PageText | None) -> None:
        site = finding.watched.site
        page = self.pages.read(finding.probe.body or b"", finding.probe.content_type, site.content)
        change = None if before is None else self.pages.compare(before, page, site.content)
        if before is not None and change is None and before.digest == page.digest:
            return
        kept = self.store.keep_content(site.name, before, page, change, self.examination.time())
        if kept and change is not None:
            self.changed.append(site.name)

    # --- telling ---

    def tell(self) -> None:
        """Say what began and what is over, and remind of what goes on."""
        now = self.examination.time()
        hours = self.config.reminder_hours
        news = self.store.claim_news(now, self.lease, now - timedelta(hours=hours) if hours else None)
        begun = [one for one in news if one.opening_told_at is None]
        passed = [one for one in begun if one.closed_at is not None]
        if passed:  # over before anybody was told: there is nothing to say any more
            self.store.opening_told([one.id for one in passed], None, now)
        new = [one for one in begun if one.closed_at is None]
        for group in policy.groups(new, self.config.group_from):
            self._tell_began(group)
        over = [one for one in news if one.opening_told_at is not None and one.closed_at is not None]
        self._tell_ended(over)
        lasting = [one for one in news if one.opening_told_at is not None and one.closed_at is None]
        self._remind(lasting)

    def _tell_began(self, group: Sequence[Incident]) -> None:
        down = sum(one.state is SiteState.DOWN for one in self.standings.values())
        all_failing = len(self.standings) > 1 and down == len(self.standings)
        message = messages.began(group, self.standings, all_failing=all_failing)
        now = self.examination.time()
        ids = [one.id for one in group]
        try:
            self.notifier.send(message)
        except AegisError as error:
            self._unsaid(ids, message.title, error)
            return
        self.store.opening_told(ids, messages.alert_key(group), now)
        for one in group:
            self.opened.append(one.site)
            log.warning("site_incident_opened", site=one.site, kind=one.kind.value, reason=one.reason)
        self._record(group, over=False)

    def _tell_ended(self, incidents: Sequence[Incident]) -> None:
        now = self.examination.time()
        for group in _by_alert(incidents):
            ids = [one.id for one in group]
            if not any(one.shared for one in group):  # else others of that alert go on
                message = messages.ended(group, self.standings)
                try:
                    self.notifier.send(message)
                except AegisError as error:
                    self._unsaid(ids, message.title, error)
                    continue
            self.store.closing_told(ids, now)
            for one in group:
                self.closed.append(one.site)
                log.info("site_incident_closed", site=one.site, kind=one.kind.value, ending=one.ending)
            self._record(group, over=True)

    def _remind(self, incidents: Sequence[Incident]) -> None:
        now = self.examination.time()
        for group in _by_alert(incidents):
            ids = [one.id for one in group]
            message = messages.still(group, self.standings, now)
            try:
                self.notifier.send(message)
            except AegisError as error:
                self._unsaid(ids, message.title, error)
                continue
            self.store.reminded(ids, now)

    def _tell_changes(self) -> None:
        now = self.examination.time()
        for change in self.store.claim_changes(now, self.lease):
            standing = self.standings.get(change.site)
            message = messages.changed(change, standing.target if standing else "")
            try:
                self.notifier.send(message)
            except AegisError as error:
                self.store.release_change(change.id)
                self.problems.append(f"{message.title}: not delivered: {error}")
                continue
            self.store.change_told(change.id, now)
            self._remember(
                CHANGE_EVENT, f"Site {change.site}: {change.summary}", Importance.MEDIUM,
                f"{CHANGE_EVENT}:{change.id}:{change.changed_at.isoformat()}",
                {"site": change.site, "diff": change.diff[:2000]},
            )  # fmt: skip

    def _unsaid(self, ids: Sequence[int], title: str, error: AegisError) -> None:
        self.store.release(ids)
        self.problems.append(f"{title}: not delivered, tried again in the next run: {error}")

    def _record(self, group: Sequence[Incident], *, over: bool) -> None:
        """One event for what was told together."""
        first = group[0]
        sentence = messages.summary(first, over=over)
        if len(group) > 1:
            sentence = f"{len(group)} sites at once, among them: {sentence}"
        severe = any(one.severity == "critical" for one in group)
        importance = Importance.CRITICAL if severe and not over else Importance.MEDIUM
        self._remember(
            EVENT_TYPE, sentence, importance,
            f"{EVENT_TYPE}:{first.key}:{'over' if over else 'begin'}:{len(group)}",
            {"sites": [one.site for one in group], "kind": first.kind.value, "since": iso(first.opened_at)},
        )  # fmt: skip

    def _remember(
        self, event: str, summary: str, importance: Importance, key: str, details: dict[str, object]
    ) -> None:
        try:
            self.memory.record(
                event,
                summary,
                details,
                importance,
                ("sites",),
                timestamp=self.examination.time(),
                key=key[:200],
            )
        except AegisError as error:
            self.problems.append(f"not recorded in the episodic memory: {error}")

    # --- reporting ---

    def report(self) -> SitesReport:
        """What this run saw and did; the table shows what is wrong first."""
        unchecked = self.due - self.reached
        put_off = self.put_off + self.examination.pages_put_off
        if put_off:
            self.problems.append(
                f"{put_off} pages were put off to the next run: too many or too large at once"
            )
        states = [self.standings[name].state for name in self.checked]
        down = sum(state is SiteState.DOWN for state in states)
        said = messages.report(
            len(self.checked), down, set(self.opened), set(self.closed), len(self.changed), unchecked
        )
        if not self.due:
            said = "No site is due"
        problems = tuple(self.problems)
        log.info(
            "site_check_complete",
            checked=len(self.checked),
            down=down,
            opened=len(self.opened),
            closed=len(self.closed),
            seconds=round(self.examination.elapsed(), 1),
        )
        return SitesReport(
            outcome=Outcome.DEGRADED if problems or unchecked else Outcome.COMPLETED,
            summary=f"{said}{'; ' if problems else ''}{'; '.join(problems)}."[:2000],
            checked=len(self.checked),
            up=sum(state is SiteState.UP for state in states),
            down=down,
            unchecked=unchecked,
            seconds=round(self.examination.elapsed(), 3),
            opened=tuple(self.opened),
            closed=tuple(self.closed),
            changed=tuple(self.changed),
            rows=tuple(self._rows()),
            problems=problems,
        )

    def _rows(self) -> list[SiteRow]:
        order = {SiteState.DOWN: 0, SiteState.UNKNOWN: 1, SiteState.UP: 2}
        seen = sorted(
            (self.standings[name] for name in self.checked),
            key=lambda one: (order[one.state], one.problem is None, one.name),
        )
        return [
            SiteRow(
                site=one.name, state=one.state.value, latency_ms=one.latency_ms, problem=one.problem or ""
            )
            for one in seen[:MOST_ROWS]
        ]


def _by_alert(incidents: Sequence[Incident]) -> list[list[Incident]]:
    """Incidents put together as people were told of them."""
    alerts: dict[str, list[Incident]] = {}
    for one in incidents:
        alerts.setdefault(one.alert_key or one.key, []).append(one)
    return list(alerts.values())
