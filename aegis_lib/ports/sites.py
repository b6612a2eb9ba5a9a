"""What services need from the outside: looks at sites, how each stands, and what pages say.

No implementation lives here, and no name of a vendor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from aegis_lib.changes.model import Change, ContentRules, PageText
from aegis_lib.sites.model import Watched
from aegis_lib.sites.seen import Incident, Probe, Recorded, SiteChange, Standing


class SiteProber(Protocol):
    """Looks at sites, many at once. What a site does, or does not, is an answer and never an error."""

    def probe(self, sites: Sequence[Watched], seconds: float) -> Iterator[Probe]:
        """One attempt at each, over connections of this call's own; each as soon as it is there.

        Sites that were not begun within `seconds` are left out.
        """


class PageReader(Protocol):
    """Reads the text of a page and says whether it says something else than before."""

    def read(self, body: bytes, content_type: str | None, rules: ContentRules) -> PageText:
        """The text that counts."""

    def compare(self, before: PageText, after: PageText, rules: ContentRules) -> Change | None:
        """What changed; None when nothing did that counts."""


class SiteStore(Protocol):
    """How sites stand, their checks, incidents and contents. Every method raises DependencyUnavailable."""

    def standings(self) -> dict[str, Standing]:
        """How every site stands, by name."""

    def open_incidents(self) -> list[Incident]:
        """Incidents that go on, the oldest first."""

    def record(self, results: Sequence[Recorded], now: datetime) -> set[str]:
        """Keep these checks; the names of the sites whose check was ours to keep.

        A site that is not among them was checked by another run meanwhile. At most one incident of a kind
        goes on for a site: opening one more, or closing one that is closed, changes nothing.
        """

    def forget_others(self, names: Sequence[str], ending: str, now: datetime) -> list[str]:
        """Forget every site but these, and close their incidents with these words; which they were."""

    def claim_news(self, now: datetime, lease: timedelta, reminded_before: datetime | None) -> list[Incident]:
        """Claim the incidents whose beginning or end is to be told, or of which people are to be reminded.

        A claim older than `lease` counts as abandoned. With None nobody is reminded.
        """

    def opening_told(self, ids: Sequence[int], alert_key: str | None, now: datetime) -> None:
        """People know of these, under that alert; without one there was nothing to tell."""

    def reminded(self, ids: Sequence[int], now: datetime) -> None:
        """People were reminded of these."""

    def closing_told(self, ids: Sequence[int], now: datetime) -> None:
        """People know that these are over."""

    def release(self, ids: Sequence[int]) -> None:
        """The message could not be delivered: the next run may claim them at once."""

    def contents(self, names: Sequence[str]) -> Mapping[str, PageText]:
        """What these sites' pages said last, where that is known."""

    def keep_content(
        self, site: str, before: PageText | None, after: PageText, change: Change | None, now: datetime
    ) -> bool:
        """Keep what a page says now, and the change; False when another run was first."""

    def claim_changes(self, now: datetime, lease: timedelta) -> list[SiteChange]:
        """Claim the changes that are to be told, the oldest first, at most 100."""

    def change_told(self, change_id: int, now: datetime) -> None:
        """People know of the change."""

    def release_change(self, change_id: int) -> None:
        """The message could not be delivered: the next run may claim it at once."""
