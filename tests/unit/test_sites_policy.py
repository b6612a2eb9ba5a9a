"""Which sites are due, when one counts as down, and which incidents begin and end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aegis_lib.sites import judging, policy
from aegis_lib.sites.model import Site, SitesConfig, Terms, Watched
from aegis_lib.sites.seen import (
    Certificate,
    Failure,
    FailureKind,
    Incident,
    IncidentKind,
    Probe,
    Recorded,
    SiteState,
    Standing,
)
from tests.fakes.sites import bad, good

NOON = datetime(2026, 1, 25, 12, tzinfo=UTC)


def watched(name: str = "shop", **entry: Any) -> Watched:
    site = Site(name=name, **{"url": "https://shop.example/", **entry})
    return SitesConfig(sites=(site,)).settled(site)


def minutes(count: float) -> datetime:
    return NOON + timedelta(minutes=count)


class Story:
    """The checks of one site, five minutes apart, and the incidents that they open and close."""

    def __init__(self, **entry: Any) -> None:
        self.watched = watched(**entry)
        self.standing: Standing | None = None
        self.open: dict[IncidentKind, Incident] = {}
        self.at = NOON
        self.told: list[str] = []

    def sees(self, probe: Probe) -> Recorded:
        verdict = judging.judge(self.watched, probe, self.at)
        found = policy.advance(
            self.watched, self.standing, self.open, probe, verdict, attempts=1, began=self.at, now=self.at
        )
        self.standing = found.standing
        for closing in found.closes:
            del self.open[closing.kind]
            self.told.append(f"-{closing.kind.value}")
        for one in found.opens:
            assert one.kind not in self.open
            self.open[one.kind] = Incident(
                id=1, site="shop", kind=one.kind, opened_at=self.at, reason=one.reason
            )
            self.told.append(f"+{one.kind.value}")
        self.at += timedelta(minutes=5)
        return found

    def runs(self, checks: str) -> list[str]:
        """`.` good, `x` failing, `s` good and slow; the state after each."""
        states = []
        for check in checks:
            self.sees(
                bad("shop") if check == "x" else good("shop", total_ms=9000.0 if check == "s" else 50.0)
            )
            assert self.standing is not None
            states.append(self.standing.state.value)
        return states


# --- due ---


def standing(checked_at: datetime, name: str = "shop", target: str = "https://shop.example/") -> Standing:
    return Standing(name=name, target=target, since=NOON, checked_at=checked_at)


@pytest.mark.parametrize(
    ("age_minutes", "every", "is_due"),
    [
        (5, 5, True),
        (4.1, 5, True),
        (3.9, 5, False),
        (0, 5, False),
        (45, 60, False),
        (50, 60, True),
        (-5, 5, True),
    ],
)
def test_a_site_is_due_when_its_interval_is_nearly_over(age_minutes: float, every: int, is_due: bool) -> None:
    known = {"shop": standing(minutes(-age_minutes))}
    assert bool(policy.due([watched(every_minutes=every)], known, NOON)) is is_due


def test_new_and_changed_sites_are_due_and_the_longest_unseen_come_first() -> None:
    sites = [watched("a"), watched("b"), watched("c"), watched("d", url="https://new.example/")]
    known = {
        "a": standing(minutes(-5), "a"),
        "b": standing(minutes(-10), "b"),
        "d": standing(minutes(-1), "d"),
    }
    assert [one.site.name for one in policy.due(sites, known, NOON)] == ["c", "b", "a", "d"]


def test_what_we_refuse_to_ask_is_not_asked_again() -> None:
    for kind, again in (
        (FailureKind.TIMEOUT, True),
        (FailureKind.REFUSED_ADDRESS, False),
        (FailureKind.NOT_ASKED, False),
    ):
        probe = bad("shop", Failure(kind=kind, words="no"))
        assert policy.worth_another_try(probe, judging.judge(watched(), probe, NOON)) is again
    assert not policy.worth_another_try(good("shop"), judging.judge(watched(), good("shop"), NOON))
    wrong = good("shop", status=500)
    assert policy.worth_another_try(wrong, judging.judge(watched(), wrong, NOON))


# --- up and down ---


@pytest.mark.parametrize(
    ("checks", "states", "told"),
    [
        (".", "up", []),
        ("x", "unknown", []),
        (".x.x", "up up up down", ["+down"]),
        (".x..x", "up up up up up", []),
        ("xx", "unknown down", ["+down"]),
        (".xx.", "up up down down", ["+down"]),
        (".xx..", "up up down down up", ["+down", "-down"]),
        (".xx.x..", "up up down down down down up", ["+down", "-down"]),
        (".xxxxxxx", "up up down down down down down down", ["+down"]),
        (".xx..xx", "up up down down up up down", ["+down", "-down", "+down"]),
    ],
)
def test_two_failures_of_three_are_down_and_two_good_ones_up(
    checks: str, states: str, told: list[str]
) -> None:
    story = Story()
    assert " ".join(story.runs(checks)) == states
    assert story.told == told


def test_the_numbers_are_the_sites_own() -> None:
    story = Story(failures=1, of_checks=1, recover_after=1)
    assert story.runs("x.x") == ["down", "up", "down"]
    story = Story(failures=3, of_checks=5, recover_after=3)
    assert story.runs("x.x.x...") == ["unknown", "up", "up", "up", "down", "down", "down", "up"]


def test_what_is_known_of_a_failure_is_counted_and_forgotten() -> None:
    story = Story()
    story.runs(".xx")
    assert story.standing is not None
    assert (story.standing.failures, story.standing.successes) == (2, 0)
    assert (story.standing.failing_since, story.standing.since) == (minutes(5), minutes(10))
    assert story.standing.problem == "example.org refused the connection to port 443"
    story.runs("..")
    assert (story.standing.failures, story.standing.successes) == (0, 2)
    assert (story.standing.failing_since, story.standing.problem) == (None, None)


def test_the_history_is_no_longer_than_what_is_kept() -> None:
    story = Story()
    story.runs("." * 50)
    assert story.standing is not None
    assert story.standing.history == "." * 20


def test_a_site_at_another_address_begins_anew() -> None:
    story = Story()
    story.runs("xx")
    story.watched = watched(url="https://moved.example/")
    assert story.runs("x") == ["unknown"]
    assert story.told == ["+down", "-down"]
    assert story.standing is not None
    assert story.standing.history == "x"


def test_at_another_address_a_single_failure_may_be_enough_for_a_new_incident() -> None:
    story = Story(failures=1, of_checks=1)
    story.runs("x")
    story.watched = watched(url="https://moved.example/", failures=1, of_checks=1)
    found = story.sees(bad("shop"))
    assert [one.kind for one in found.opens] == [one.kind for one in found.closes] == [IncidentKind.DOWN]


# --- maintenance ---


def test_a_failure_within_a_maintenance_window_does_not_count() -> None:
    window = {"start": "12:00", "end": "12:20"}
    story = Story(maintenance=(window,))
    kept = [story.sees(bad("shop")) for _ in range(4)]
    assert [one.check.maintenance for one in kept] == [True] * 4
    assert story.standing is not None
    assert (story.standing.state, story.standing.history) == (SiteState.UNKNOWN, "")
    assert story.standing.problem is not None, "what is seen is shown all the same"
    assert story.runs("xx") == ["unknown", "down"]
    assert story.told == ["+down"]


def test_a_good_check_within_a_maintenance_window_ends_an_incident() -> None:
    story = Story(maintenance=({"start": "12:10", "end": "12:40"},))
    assert story.runs("xx..") == ["unknown", "down", "down", "up"] or story.told == []
    story = Story(maintenance=({"start": "12:10", "end": "12:40"},), failures=1, of_checks=1)
    assert story.runs("x..x") == ["down", "down", "up", "up"]
    assert story.told == ["+down", "-down"]


# --- slow, certificates ---


def test_slow_checks_are_an_incident_of_their_own_and_keep_the_site_up() -> None:
    story = Story(max_latency_ms=1000)
    assert set(story.runs(".s.s")) == {"up"}
    assert story.told == ["+slow"]
    story.runs("xs.")
    assert story.told == ["+slow"], "a failure measures nothing, and one quick answer is not enough"
    story.runs(".")
    assert story.told == ["+slow", "-slow"]


def test_a_limit_that_is_taken_away_ends_the_incident() -> None:
    story = Story(max_latency_ms=1000)
    story.runs("ss")
    story.watched = watched()
    story.runs("s")
    assert story.told == ["+slow", "-slow"]


def test_a_certificate_is_an_incident_until_there_is_another() -> None:
    def soon(days: float) -> Probe:
        return good("shop", certificate=Certificate(expires_at=NOON + timedelta(days=days)))

    story = Story()
    first = story.sees(soon(10)).opens[0]
    assert (first.kind, first.severity) == (IncidentKind.CERTIFICATE, "warning")
    story.sees(soon(10))
    story.sees(bad("shop"))
    story.sees(good("shop"))
    assert story.told == ["+certificate"], "nothing is over because nothing was seen"
    story.sees(soon(90))
    assert story.told == ["+certificate", "-certificate"]
    assert Story().sees(soon(2)).opens[0].severity == "critical"
    assert Story(severity="warning").sees(soon(2)).opens[0].severity == "warning"


# --- telling ---


def test_incidents_that_begin_together_are_told_together_from_a_number_on() -> None:
    def incident(number: int, kind: IncidentKind) -> Incident:
        return Incident(id=number, site=f"s{number}", kind=kind, opened_at=NOON, reason="r")

    news = [incident(n, IncidentKind.DOWN) for n in range(5)] + [incident(9, IncidentKind.SLOW)]
    assert [len(group) for group in policy.groups(news, 5)] == [5, 1]
    assert [len(group) for group in policy.groups(news, 6)] == [1] * 6
    assert policy.groups([], 5) == []


def test_terms_come_from_the_site_then_from_the_section() -> None:
    site = Site(name="a", url="https://a.example/", failures=1, max_latency_ms=0)
    terms = SitesConfig(sites=(site,), failures=3, of_checks=4, max_latency_ms=500).settled(site).terms
    assert terms == Terms(failures=1, of_checks=4, max_latency_ms=0)
