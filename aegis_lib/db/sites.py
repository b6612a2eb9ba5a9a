"""The store of watched sites: standings, checks, incidents and contents. It never decides.

A claim that answers nothing was lost to another process, which then acts instead.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from aegis_lib.changes.model import Change, PageText
from aegis_lib.db.sql import Queries
from aegis_lib.db.storable import limited, storable_text
from aegis_lib.outcome import Frozen
from aegis_lib.sites.seen import Check, Incident, Recorded, SiteChange, Standing

CHECKS = "site_checks"
"""The table of checks, divided by day."""


class Uptime(Frozen):
    """The checks of a site since some time, outside maintenance windows. Latencies are of the good ones."""

    site: str
    checks: int
    good: int
    median_ms: float | None = None
    p95_ms: float | None = None


class SiteStore:
    """Implements the port `SiteStore`. See it for the exact meaning.

    `make_room` makes the partitions that checks of a time need.
    """

    def __init__(self, queries: Queries, make_room: Callable[[str, datetime], object]) -> None:
        self._queries, self._make_room = queries, make_room

    def standings(self) -> dict[str, Standing]:
        """How every site stands, by name."""
        return {row["name"]: Standing.model_validate(row) for row in self._queries.standings()}

    def open_incidents(self) -> list[Incident]:
        """Incidents that go on, the oldest first."""
        return [Incident.model_validate(row) for row in self._queries.going_on()]

    def record(self, results: Sequence[Recorded], now: datetime) -> set[str]:
        """Keep these checks; the names of the sites whose check was ours to keep."""
        if not results:
            return set()
        self._make_room(CHECKS, now)
        with self._queries.transaction():
            states = _rows(
                {**result.standing.model_dump(mode="json"), "before": _iso(result.before)}
                for result in results
            )
            ours = {row["name"] for row in self._queries.record_states(rows=states)}
            kept = [result for result in results if result.standing.name in ours]
            self._queries.record_checks(rows=_rows(one.check.model_dump(mode="json") for one in kept))
            closings = [
                (one.check, closing.model_dump(mode="json")) for one in kept for closing in one.closes
            ]
            openings = [(one.check, opening.model_dump(mode="json")) for one in kept for opening in one.opens]
            if closings:
                self._queries.close_incidents(rows=_rows(_of(check, said) for check, said in closings))
            if openings:
                self._queries.open_incidents(rows=_rows(_of(check, said) for check, said in openings))
        return ours

    def forget_others(self, names: Sequence[str], ending: str, now: datetime) -> list[str]:
        """Forget every site but these, and close their incidents with these words; which they were."""
        with self._queries.transaction():
            gone = sorted(row["name"] for row in self._queries.forget_states(names=list(names)))
            self._queries.close_incidents_of_others(names=list(names), ending=ending, now=now)
            self._queries.forget_contents(names=list(names))
        return gone

    def claim_news(self, now: datetime, lease: timedelta, reminded_before: datetime | None) -> list[Incident]:
        """Claim the incidents of which people are to be told or reminded."""
        rows = self._queries.claim_news(
            now=now, abandoned_before=now - lease, reminded_before=reminded_before
        )
        return [Incident.model_validate(row) for row in rows]

    def opening_told(self, ids: Sequence[int], alert_key: str | None, now: datetime) -> None:
        """People know of these, under that alert; without one there was nothing to tell."""
        self._queries.opening_told(ids=list(ids), alert_key=alert_key, now=now)

    def reminded(self, ids: Sequence[int], now: datetime) -> None:
        """People were reminded of these."""
        self._queries.reminded(ids=list(ids), now=now)

    def closing_told(self, ids: Sequence[int], now: datetime) -> None:
        """People know that these are over."""
        self._queries.closing_told(ids=list(ids), now=now)

    def release(self, ids: Sequence[int]) -> None:
        """The message could not be delivered: the next run may claim them at once."""
        self._queries.release(ids=list(ids))

    def contents(self, names: Sequence[str]) -> Mapping[str, PageText]:
        """What these sites' pages said last, where that is known and can still be read."""
        found = {
            row["site"]: PageText.from_stored(row["page"])
            for row in self._queries.contents(names=list(names))
        }
        return {site: page for site, page in found.items() if page is not None}

    def keep_content(
        self, site: str, before: PageText | None, after: PageText, change: Change | None, now: datetime
    ) -> bool:
        """Keep what a page says now, and the change; False when another run was first."""
        with self._queries.transaction():
            kept = self._queries.keep_content(
                site=site,
                page=storable_text(after.stored()),
                digest=after.digest,
                before=before.digest if before is not None else "",
                changed=change is not None,
                now=now,
            )
            if kept and change is not None:
                self._queries.add_change(
                    site=site,
                    now=now,
                    summary=storable_text(change.summary),
                    diff=storable_text("\n".join(change.diff)),
                    significance=change.significance,
                )
        return bool(kept)

    def claim_changes(self, now: datetime, lease: timedelta) -> list[SiteChange]:
        """Claim the changes that are to be told, the oldest first, at most 100."""
        rows = self._queries.claim_changes(now=now, abandoned_before=now - lease)
        return sorted((SiteChange.model_validate(row) for row in rows), key=lambda one: one.id)

    def change_told(self, change_id: int, now: datetime) -> None:
        """People know of the change."""
        self._queries.change_told(id=change_id, now=now)

    def release_change(self, change_id: int) -> None:
        """The message could not be delivered: the next run may claim it at once."""
        self._queries.release_change(id=change_id)

    # --- for people ---

    def uptime(self, since: datetime, site: str | None = None) -> dict[str, Uptime]:
        """How sites did since then, by name."""
        return {row["site"]: Uptime(**row) for row in self._queries.uptime(since=since, site=site)}

    def newest_checks(self, site: str, limit: int) -> list[Check]:
        """The newest checks of a site, at most `limit` (1 to 1000)."""
        limited(limit)
        return [Check.model_validate(row) for row in self._queries.newest_checks(site=site, limit=limit)]

    def newest_incidents(
        self, limit: int, site: str | None = None, *, only_open: bool = False
    ) -> list[Incident]:
        """The newest incidents, at most `limit` (1 to 1000)."""
        limited(limit)
        rows = self._queries.newest_incidents(site=site, only_open=only_open, limit=limit)
        return [Incident.model_validate(row) for row in rows]

    def newest_changes(self, limit: int, site: str | None = None) -> list[SiteChange]:
        """The newest changes of pages, at most `limit` (1 to 1000)."""
        limited(limit)
        return [
            SiteChange.model_validate(row) for row in self._queries.newest_changes(site=site, limit=limit)
        ]


def _rows(rows: Any) -> str:
    """A list of rows as the JSON that `jsonb_to_recordset` reads; jsonb refuses NUL, as text does."""
    return storable_text(json.dumps([_storable(row) for row in rows], ensure_ascii=False))


def _storable(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: storable_text(value) if isinstance(value, str) else value for key, value in row.items()}


def _of(check: Check, said: dict[str, Any]) -> dict[str, Any]:
    return {"site": check.site, "at": check.checked_at.isoformat(), **said}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
