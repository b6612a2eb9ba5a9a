"""Recording fakes of the ports of sites. Each is held to the real thing by a test in tests/contract.

No fake opens a socket or a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from aegis_lib.changes.model import Change, ContentRules, PageText, Topic
from aegis_lib.sites.model import Watched
from aegis_lib.sites.seen import Check, Failure, FailureKind, Incident, Probe, Recorded, SiteChange, Standing

FAILED = Failure(kind=FailureKind.CONNECT, words="example.org refused the connection to port 443")


def good(name: str, **seen: Any) -> Probe:
    return Probe(site=name, **{"status": 200, "total_ms": 50.0, **seen})


def bad(name: str, failure: Failure = FAILED) -> Probe:
    return Probe(site=name, failure=failure, total_ms=10.0)


class FakeProber:
    """Answers what `says` says for a site and the number of the attempt, good by default.

    `asked` keeps the names of each call; sites in `unreached` are left out, as when the time is over.
    """

    def __init__(self, says: Callable[[str, int], Probe] | None = None) -> None:
        self.says = says or (lambda name, _attempt: good(name))
        self.asked: list[list[str]] = []
        self.unreached: set[str] = set()
        self._attempts: dict[str, int] = {}

    def probe(self, sites: Sequence[Watched], seconds: float) -> Iterator[Probe]:
        names = [watched.site.name for watched in sites]
        self.asked.append(names)
        for name in names:
            if name not in self.unreached and seconds > 0:
                self._attempts[name] = self._attempts.get(name, 0) + 1
                yield self.says(name, self._attempts[name])


class FakePages:
    """Reads a page as its lines; whatever differs is a change. Set `broken` to make reading raise it."""

    def __init__(self) -> None:
        self.broken: Exception | None = None

    def read(self, body: bytes, content_type: str | None, rules: ContentRules) -> PageText:
        if self.broken is not None:
            raise self.broken
        lines = tuple(body.decode().splitlines())
        return PageText(lines=lines, digest=body.decode(), made_with="fake")

    def compare(self, before: PageText, after: PageText, rules: ContentRules) -> Change | None:
        if before.digest == after.digest:
            return None
        diff = (*(f"- {line}" for line in before.lines), *(f"+ {line}" for line in after.lines))
        return Change(summary="It says something else.", topics=(Topic.TEXT,), significance=0.5, diff=diff)


class FakeSiteStore:
    """Rows in lists and dicts, with the promises of the real store."""

    def __init__(self) -> None:
        self.states: dict[str, Standing] = {}
        self.checks: list[Check] = []
        self.incidents: dict[int, Incident] = {}
        self.claims: dict[int, datetime] = {}
        self.pages: dict[str, PageText] = {}
        self.changes: dict[int, SiteChange] = {}
        self.change_claims: dict[int, datetime] = {}
        self.broken: Exception | None = None

    def standings(self) -> dict[str, Standing]:
        if self.broken is not None:
            raise self.broken
        return dict(self.states)

    def open_incidents(self) -> list[Incident]:
        return [one for one in self.incidents.values() if one.closed_at is None]

    def record(self, results: Sequence[Recorded], now: datetime) -> set[str]:
        ours: set[str] = set()
        for result in results:
            name = result.standing.name
            known = self.states.get(name)
            if known is not None and known.checked_at != result.before:
                continue
            ours.add(name)
            self.states[name] = result.standing
            self.checks.append(result.check)
            for closing in result.closes:
                self._close(name, closing.ending, result.check.checked_at, closing.kind.value)
            for opening in result.opens:
                if not any(one.site == name and one.kind is opening.kind for one in self.open_incidents()):
                    number = len(self.incidents) + 1
                    self.incidents[number] = Incident(
                        id=number, site=name, kind=opening.kind, severity=opening.severity,
                        opened_at=result.check.checked_at, reason=opening.reason,
                    )  # fmt: skip
        return ours

    def _close(self, name: str, ending: str, at: datetime, kind: str | None = None) -> None:
        for one in self.open_incidents():
            if one.site == name and kind in {None, one.kind.value}:
                self._update(one.id, closed_at=at, ending=ending)

    def _update(self, number: int, **values: Any) -> None:
        self.incidents[number] = self.incidents[number].model_copy(update=values)

    def forget_others(self, names: Sequence[str], ending: str, now: datetime) -> list[str]:
        gone = sorted(set(self.states) - set(names))
        for name in gone:
            del self.states[name]
        for one in self.open_incidents():
            if one.site not in names:
                self._close(one.site, ending, now)
        self.pages = {site: page for site, page in self.pages.items() if site in names}
        return gone

    def claim_news(self, now: datetime, lease: timedelta, reminded_before: datetime | None) -> list[Incident]:
        wanted = []
        for one in self.incidents.values():
            told = one.reminded_at or one.opening_told_at
            due = (
                one.opening_told_at is None
                or (one.closed_at is not None and one.closing_told_at is None)
                or (one.closed_at is None and reminded_before is not None and told is not None
                    and told <= reminded_before)
            )  # fmt: skip
            claim = self.claims.get(one.id)
            if due and (claim is None or claim <= now - lease):
                self.claims[one.id] = now
                wanted.append(one)
        return [one.model_copy(update={"shared": self._shared(one)}) for one in wanted]

    def _shared(self, one: Incident) -> int:
        return sum(
            other.alert_key == one.alert_key and other.id != one.id and one.alert_key is not None
            for other in self.open_incidents()
        )

    def opening_told(self, ids: Sequence[int], alert_key: str | None, now: datetime) -> None:
        for number in ids:
            closing = {"closing_told_at": now} if alert_key is None else {}
            self._update(number, opening_told_at=now, alert_key=alert_key, **closing)
            self.claims.pop(number, None)

    def reminded(self, ids: Sequence[int], now: datetime) -> None:
        for number in ids:
            self._update(number, reminded_at=now)
            self.claims.pop(number, None)

    def closing_told(self, ids: Sequence[int], now: datetime) -> None:
        for number in ids:
            self._update(number, closing_told_at=now)
            self.claims.pop(number, None)

    def release(self, ids: Sequence[int]) -> None:
        for number in ids:
            self.claims.pop(number, None)

    def contents(self, names: Sequence[str]) -> Mapping[str, PageText]:
        return {site: page for site, page in self.pages.items() if site in names}

    def keep_content(
        self, site: str, before: PageText | None, after: PageText, change: Change | None, now: datetime
    ) -> bool:
        known = self.pages.get(site)
        if known is not None and before is not None and known.digest != before.digest:
            return False
        self.pages[site] = after
        if change is not None:
            number = len(self.changes) + 1
            self.changes[number] = SiteChange(
                id=number, site=site, changed_at=now, summary=change.summary, diff="\n".join(change.diff),
                significance=change.significance,
            )  # fmt: skip
        return True

    def claim_changes(self, now: datetime, lease: timedelta) -> list[SiteChange]:
        never = datetime.min.replace(tzinfo=UTC)
        free = [
            one
            for one in self.changes.values()
            if one.told_at is None and self.change_claims.get(one.id, never) <= now - lease
        ]
        self.change_claims.update({one.id: now for one in free})
        return free

    def change_told(self, change_id: int, now: datetime) -> None:
        self.changes[change_id] = self.changes[change_id].model_copy(update={"told_at": now})

    def release_change(self, change_id: int) -> None:
        self.change_claims.pop(change_id, None)
