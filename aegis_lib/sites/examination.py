"""The look at sites: each as often as it takes to be sure of a failure. It keeps nothing and tells nobody."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aegis_lib.ports.sites import SiteProber
from aegis_lib.sites import judging, policy
from aegis_lib.sites.model import SitesConfig, Watched
from aegis_lib.sites.seen import Probe, Verdict

LARGEST_PAGES_BYTES = 100_000_000
"""So much of pages whose content is watched is held at once; what is more is read in the next run."""


@dataclass(frozen=True)
class Finding:
    """What the last attempt at a site saw, and what is wrong with it. `probe.body`: a page to be read."""

    watched: Watched
    probe: Probe
    verdict: Verdict
    attempts: int
    at: datetime


@dataclass
class Examination:
    """Looks at sites. `pages_put_off` counts pages that there was no room to keep."""

    prober: SiteProber
    config: SitesConfig
    now: datetime
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    pages_put_off: int = 0
    _held_bytes: int = 0
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.monotonic()

    def elapsed(self) -> float:
        """Seconds since it was made."""
        return self.monotonic() - self._began

    def time(self) -> datetime:
        """What time it is."""
        return self.now + timedelta(seconds=self.elapsed())

    def look(self, sites: Sequence[Watched]) -> Iterator[Finding]:
        """Each site once it is sure. Those that were not reached within the time limit do not come."""
        waiting: Sequence[Watched] = sites
        unsure: dict[str, Finding] = {}
        for attempt in range(1, self.config.attempts + 1 if sites else 1):
            failing: dict[str, Finding] = {}
            for finding in self._attempt(waiting, attempt):
                name = finding.watched.site.name
                unsure.pop(name, None)
                last = attempt == self.config.attempts
                if last or not policy.worth_another_try(finding.probe, finding.verdict):
                    yield finding
                else:
                    failing[name] = finding
            yield from unsure.values()  # there was no time to try them again
            unsure = failing
            if not failing or self._left() <= self.config.retry_seconds:
                break
            self.sleep(self.config.retry_seconds)
            waiting = [finding.watched for finding in failing.values()]
        yield from unsure.values()

    def _left(self) -> float:
        return self.config.time_limit_seconds - self.elapsed()

    def _attempt(self, sites: Sequence[Watched], attempt: int) -> Iterator[Finding]:
        by_name = {watched.site.name: watched for watched in sites}
        for probe in self.prober.probe(sites, max(0.0, self._left())):
            watched = by_name[probe.site]
            at = self.time()
            verdict = judging.judge(watched, probe, at)
            yield Finding(watched, self._without_page(watched, probe, verdict), verdict, attempt, at)

    def _without_page(self, watched: Watched, probe: Probe, verdict: Verdict) -> Probe:
        """The page is kept only where it is good and is to be read."""
        if probe.body is None:
            return probe
        if watched.site.watches_content and verdict.failing is None:
            if self._held_bytes + len(probe.body) <= LARGEST_PAGES_BYTES:
                self._held_bytes += len(probe.body)
                return probe
            self.pages_put_off += 1
        return probe.model_copy(update={"body": None})
