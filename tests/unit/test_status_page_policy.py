"""What the status page says of what is known. Above all: what is not known is never shown as good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aegis_lib.alerts.model import Alert, AlertState, Severity
from aegis_lib.containers.model import StrikeRecord
from aegis_lib.ledger.model import JobTicks
from aegis_lib.sites.model import Site, SitesConfig
from aegis_lib.status_page import policy
from aegis_lib.status_page.model import (
    DAY,
    HOUR,
    Anomaly,
    Change,
    Containers,
    Facts,
    Incident,
    Level,
    Section,
    SiteNow,
    Sites,
    Stretch,
)

NOW = datetime(2026, 3, 18, 14, 37, tzinfo=UTC)
TODAY = datetime(2026, 3, 18, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVERYTHING = tuple(Section)


def site(name: str = "shop", state: str = "up", *, age: timedelta = 2 * MINUTE, every: int = 5) -> SiteNow:
    return SiteNow(
        name=name, target=f"https://{name}.example.org/", state=state, since=NOW - DAY, checked_at=NOW - age,
        every_minutes=every,
    )  # fmt: skip


def incident(kind: str = "slow", *, closed: bool = False) -> Incident:
    return Incident(
        site="shop", kind=kind, severity="warning", opened_at=NOW - HOUR, closed_at=NOW if closed else None,
        reason="x",
    )  # fmt: skip


def alert(severity: Severity, *, over: bool = False, **changes: object) -> Alert:
    known = {
        "id": 1,
        "key": "k",
        "severity": severity,
        "title": "t",
        "first_seen_at": NOW,
        "last_seen_at": NOW,
    }
    return Alert.model_validate({**known, "resolved_at": NOW if over else None, **changes})


# --- sites ---


@pytest.mark.parametrize(
    ("found", "incidents", "level", "word"),
    [
        (site(), [], Level.GOOD, "up"),
        (site(state="down"), [incident("down")], Level.BAD, "down"),
        (site(), [incident("slow")], Level.SOME, "up, slow"),
        (site(), [incident("slow", closed=True)], Level.GOOD, "up"),
        (site(), [incident("certificate")], Level.SOME, "up, certificate problem"),
        (site(state="unknown"), [], Level.NONE, "unknown"),
        (site(age=16 * MINUTE), [], Level.NONE, "not checked lately"),
        (site(age=14 * MINUTE), [], Level.GOOD, "up"),
        (site(age=60 * MINUTE, every=60), [], Level.GOOD, "up"),
        (site(state="down", age=DAY), [], Level.NONE, "not checked lately"),
        (SiteNow(name="new", target="https://new.example.org/"), [], Level.NONE, "not checked yet"),
    ],
)
def test_how_a_site_stands(found: SiteNow, incidents: list[Incident], level: Level, word: str) -> None:
    assert policy.site_level(found, incidents, NOW) == (level, word)


def test_the_sites_that_are_shown_are_those_of_the_configuration() -> None:
    config = SitesConfig(
        every_minutes=15,
        sites=(
            Site(name="shop", url="https://shop.example.org/"),
            Site(name="moved", url="https://new.example.org/", every_minutes=60),
            Site(name="fresh", tcp="fresh.example.org:993"),
        ),
    )
    found = policy.watched([site(), site("moved"), site("gone")], config)
    assert [(one.name, one.state, one.every_minutes) for one in found] == [
        ("shop", "up", 15),
        ("moved", "unknown", 60),  # what is known is of its old address
        ("fresh", "unknown", 15),
    ]


def test_those_that_need_somebody_come_first() -> None:
    sites = [site("a"), site("b", "down"), site("c", "unknown"), site("shop")]
    ordered = policy.in_order(sites, {"shop": [incident()]}, NOW)
    assert [one.name for one in ordered] == ["b", "shop", "c", "a"]


@pytest.mark.parametrize(
    ("share", "words"),
    [(None, "no data"), (1.0, "100 %"), (0.999999, "99.99 %"), (0.9965, "99.65 %"), (0.0, "0.00 %")],
)
def test_only_what_was_wholly_good_is_a_hundred_percent(share: float | None, words: str) -> None:
    assert policy.percent(share) == words


def stretch(start: datetime, checks: int, good: int) -> Stretch:
    return Stretch(site="shop", start=start, checks=checks, good=good)


def test_a_day_counts_by_its_closed_sum_and_else_by_its_hours() -> None:
    hours = [stretch(TODAY - HOUR, 12, 0), stretch(TODAY + HOUR, 12, 12), stretch(TODAY + 2 * HOUR, 12, 6)]
    closed = [stretch(TODAY - DAY, 288, 288), stretch(TODAY - 95 * DAY, 288, 0)]
    cells, share = policy.day_cells(hours, closed, NOW, 7)
    assert [cell.good for cell in cells] == [None, None, None, None, None, 1.0, 0.75]
    assert cells[-1].label == "2026-03-18: 75.00 %, 6 of 24 checks failed"
    assert cells[0].label == "2026-03-12: no data"
    assert share == 306 / 312


def test_the_last_day_is_shown_by_the_hour() -> None:
    hours = [
        stretch(TODAY + 14 * HOUR, 8, 8),
        stretch(TODAY - 9 * HOUR, 12, 11),
        stretch(TODAY - 10 * HOUR, 9, 0),
    ]
    cells, share = policy.hour_cells(hours, NOW)
    assert len(cells) == 24
    assert (cells[0].label, cells[-1].label) == (
        "15:00: 91.66 %, 1 of 12 checks failed",
        "14:00: 100 %, 0 of 8 checks failed",
    )
    assert share == 0.95


@pytest.mark.parametrize(
    ("target", "shown", "link"),
    [
        ("https://example.org/a?token=s3cr3t#x", "example.org/a", "https://example.org/a"),
        ("https://me:pw@example.org:8443/", "example.org:8443/", "https://example.org:8443/"),
        ("http://[2001:db8::1]:80/", "http://[2001:db8::1]:80/", "http://[2001:db8::1]:80/"),
        ("tcp:mail.example.org:993", "tcp:mail.example.org:993", None),
        ("dns:example.org MX", "dns:example.org MX", None),
        ("javascript:alert(1)", "javascript:alert(1)", None),
        ("https://[bad/", "", None),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(target: str, shown: str, link: str | None) -> None:
    assert policy.address(target) == (shown, link)


@pytest.mark.parametrize(
    ("left", "words"),
    [(40 * DAY, "certificate good for 40 days"), (25 * HOUR, "certificate good for 1 day"),
     (-HOUR, "certificate expired on 2026-03-18")],
)  # fmt: skip
def test_how_long_a_certificate_is_good_for(left: timedelta, words: str) -> None:
    found = site().model_copy(update={"certificate_expires_at": NOW + left})
    assert policy.certificate(found, NOW) == words


def test_a_long_difference_is_cut_and_says_so() -> None:
    change = Change(
        site="s", changed_at=NOW, summary="x", diff="\n".join([" a", "-b", "+c" * 400, *["+d"] * 50])
    )
    shown = policy.shown_change(change)
    assert [line.kind for line in shown.lines[:3]] == ["same", "removed", "added"]
    assert (len(shown.lines), shown.left_out, len(shown.lines[2].text)) == (40, 13, 300)


# --- the rest ---


@pytest.mark.parametrize(
    ("changes", "level", "standing"),
    [
        ({}, Level.SOME, "watched"),
        ({"attempts": 1}, Level.SOME, "restarted"),
        ({"escalated_at": NOW}, Level.BAD, "waits for a person"),
        ({"quarantined_at": NOW, "escalated_at": NOW}, Level.BAD, "quarantined, waits for a person"),
        ({"recovered_at": NOW, "escalated_at": NOW}, Level.GOOD, "recovered"),
    ],
)
def test_how_a_container_stands(changes: dict[str, object], level: Level, standing: str) -> None:
    case = case_of("web").model_copy(update=changes)
    row = policy.case_row(case)
    assert (row.level, row.standing, row.title) == (level, standing, "web")


def case_of(name: str) -> StrikeRecord:
    return StrikeRecord(
        engine="local",
        name=name,
        container_id="a",
        strikes=1,
        reason="x",
        first_strike_at=NOW,
        last_strike_at=NOW,
    )


@pytest.mark.parametrize(
    ("outcomes", "unaccounted", "level", "worked", "others"),
    [
        ({"Completed": 286, "NoInput": 1, "NotConfigured": 1}, 0, Level.GOOD, 288, ""),
        ({"Completed": 200, "Coalesced": 8}, 0, Level.GOOD, 200, "8 Coalesced"),
        ({"Completed": 1, "Degraded": 2}, 0, Level.SOME, 1, "2 Degraded"),
        ({"Completed": 1, "Missed": 1, "Refused": 5}, 0, Level.BAD, 1, "5 Refused, 1 Missed"),
        ({"Completed": 1}, 3, Level.BAD, 1, "3 Unaccounted"),
        ({"Paused": 12}, 0, Level.NONE, 0, "12 Paused"),
        ({}, 0, Level.NONE, 0, ""),
    ],
)
def test_how_a_job_did(
    outcomes: dict[str, int], unaccounted: int, level: Level, worked: int, others: str
) -> None:
    row = policy.job_row(JobTicks(job_id="j", due=9, outcomes=outcomes, unaccounted=unaccounted))
    assert (row.level, row.worked, row.others) == (level, worked, others)


@pytest.mark.parametrize(
    ("found", "level", "standing"),
    [
        (alert(Severity.CRITICAL), Level.BAD, "open"),
        (alert(Severity.WARNING), Level.SOME, "open"),
        (alert(Severity.INFO), Level.GOOD, "open"),
        (alert(Severity.CRITICAL, state=AlertState.ACKNOWLEDGED), Level.BAD, "acknowledged"),
        (alert(Severity.CRITICAL, suppressed_by=4), Level.BAD, "follows from another"),
        (alert(Severity.CRITICAL, over=True), Level.GOOD, "over"),
    ],
)
def test_how_an_alert_stands(found: Alert, level: Level, standing: str) -> None:
    row = policy.alert_row(found)
    assert (row.level, row.standing) == (level, standing)


@pytest.mark.parametrize(
    ("changes", "standing"),
    [
        ({}, "going on"),
        ({"closed_at": NOW}, "over"),
        ({"closed_at": NOW, "held": "budget"}, "over, not told: the budget of the day was spent"),
        ({"held": "lesson"}, "going on, not told: known to be no news"),
        ({"held": "budget", "dismissed_at": NOW}, "dismissed"),
    ],
)
def test_what_became_of_an_anomaly(changes: dict[str, object], standing: str) -> None:
    one = Anomaly(id=1, host="h", title="t", score=0.9, opened_at=NOW, last_at=NOW, at=NOW, value=1)
    assert policy.anomaly_standing(one.model_copy(update=changes)) == standing


# --- the verdict ---


def facts(**known: object) -> Facts:
    return Facts.model_validate(known)


@pytest.mark.parametrize(
    ("known", "level", "words"),
    [
        (facts(), Level.NONE, "Nothing is known yet."),
        (facts(sites=Sites(now=(site("a"), site("b")))), Level.GOOD, "All 2 sites are up; no alert is open."),
        (facts(sites=Sites(now=(site(),))), Level.GOOD, "The one site is up; no alert is open."),
        (
            facts(
                sites=Sites(now=(site("a", "down"), site("b", age=DAY))), alerts=(alert(Severity.CRITICAL),)
            ),
            Level.BAD,
            "1 of 2 sites is down, 1 of 2 sites is not known; 1 alert open, 1 of them critical.",
        ),
        (
            facts(sites=Sites(now=(site(),)), incidents=(incident(),)),
            Level.SOME,
            "The one site is up with a problem; no alert is open.",
        ),
        (
            facts(sites=Sites(now=(site(age=DAY),))),
            Level.NONE,
            "The one site is not known; no alert is open.",
        ),
        (
            facts(
                containers=Containers(cases=(case_of("web"),)), alerts=(alert(Severity.WARNING, over=True),)
            ),
            Level.SOME,
            "1 container sick; no alert is open.",
        ),
        (
            facts(sites=Sites(now=(site(),)), unread=(Section.ALERTS,)),
            Level.NONE,
            "The one site is up; alerts could not be read.",
        ),
    ],
)  # fmt: skip
def test_the_page_in_one_sentence(known: Facts, level: Level, words: str) -> None:
    found = policy.verdict(known, EVERYTHING, NOW)
    assert (found.level, found.words) == (level, words)


def test_what_is_not_shown_has_no_part_in_the_verdict() -> None:
    known = facts(sites=Sites(now=(site(),)), alerts=(alert(Severity.CRITICAL),))
    assert policy.verdict(known, (Section.SITES,), NOW).words == "The one site is up."
