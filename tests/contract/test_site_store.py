"""The same promises from the fake store of sites and from a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aegis_lib.changes.model import Change, PageText, Topic
from aegis_lib.db.database import Database
from aegis_lib.ports.sites import SiteStore
from aegis_lib.sites.seen import Check, Closing, IncidentKind, Opening, Recorded, SiteState, Standing
from tests.fakes.sites import FakeSiteStore

NOW = datetime.now(UTC).replace(microsecond=0)
LEASE = timedelta(minutes=4)
DOWN = Opening(kind=IncidentKind.DOWN, severity="critical", reason="no answer")
SLOW = Opening(kind=IncidentKind.SLOW, severity="warning", reason="too slow")


@pytest.fixture(params=["fake", "real"])
def store(request: pytest.FixtureRequest) -> Iterator[SiteStore]:
    if request.param == "fake":
        yield FakeSiteStore()
    else:
        database: Database = request.getfixturevalue("database")
        yield database.sites


def minutes(count: float) -> datetime:
    return NOW + timedelta(minutes=count)


def recorded(
    name: str = "shop", at: datetime = NOW, before: datetime | None = None, **values: Any
) -> Recorded:
    standing = Standing(
        name=name, target="https://shop.example/", state=SiteState.DOWN, since=at, checked_at=at,
        history="x", problem="no answer", failing_since=at, failures=1, tags=("a", "b"),
    )  # fmt: skip
    check = Check(site=name, checked_at=at, ok=False, problem="no answer", total_ms=12.5, attempts=2)
    return Recorded(before=before, standing=standing, check=check, **values)


def page(text: str) -> PageText:
    return PageText(lines=(text,), digest=text, made_with="1")


def test_a_check_is_kept_with_how_the_site_stands(store: SiteStore) -> None:
    first = recorded()
    assert store.record([first], NOW) == {"shop"}
    assert store.standings() == {"shop": first.standing}
    assert store.open_incidents() == []
    assert store.record([], NOW) == set()


def test_the_second_of_two_runs_that_saw_the_same_keeps_nothing(store: SiteStore) -> None:
    assert store.record([recorded(opens=(DOWN,))], NOW) == {"shop"}
    late = recorded(at=minutes(0.01), opens=(SLOW,))
    assert store.record([late, recorded("blog")], NOW) == {"blog"}
    assert [one.kind for one in store.open_incidents()] == [IncidentKind.DOWN]
    assert store.standings()["shop"].checked_at == NOW
    assert store.record([recorded(at=minutes(5), before=NOW)], minutes(5)) == {"shop"}
    assert store.record([recorded(at=minutes(6), before=NOW)], minutes(6)) == set()


def test_an_incident_opens_once_and_closes_once(store: SiteStore) -> None:
    store.record([recorded(opens=(DOWN, SLOW))], NOW)
    store.record([recorded(at=minutes(5), before=NOW, opens=(DOWN,))], minutes(5))
    assert {(one.kind, one.opened_at) for one in store.open_incidents()} == {
        (IncidentKind.DOWN, NOW),
        (IncidentKind.SLOW, NOW),
    }
    closing = Closing(kind=IncidentKind.DOWN, ending="it answers")
    store.record([recorded(at=minutes(10), before=minutes(5), closes=(closing,))], minutes(10))
    store.record([recorded(at=minutes(15), before=minutes(10), closes=(closing,))], minutes(15))
    assert [one.kind for one in store.open_incidents()] == [IncidentKind.SLOW]
    (closed,) = [one for one in store.claim_news(minutes(15), LEASE, None) if one.closed_at]
    assert (closed.closed_at, closed.ending) == (minutes(10), "it answers")
    store.record([recorded(at=minutes(20), before=minutes(15), opens=(DOWN,))], minutes(20))
    assert len(store.open_incidents()) == 2


def test_news_are_claimed_by_one_and_again_after_the_lease(store: SiteStore) -> None:
    store.record([recorded(opens=(DOWN,))], NOW)
    (claimed,) = store.claim_news(NOW, LEASE, None)
    assert store.claim_news(minutes(1), LEASE, None) == []
    assert store.claim_news(minutes(5), LEASE, None) == [claimed]
    store.release([claimed.id])
    assert store.claim_news(minutes(5), LEASE, None) == [claimed]
    store.opening_told([claimed.id], claimed.key, minutes(5))
    assert store.claim_news(minutes(30), LEASE, None) == []


def test_who_was_told_is_reminded_after_a_while_and_told_of_the_end(store: SiteStore) -> None:
    store.record([recorded(opens=(DOWN,))], NOW)
    (one,) = store.claim_news(NOW, LEASE, None)
    store.opening_told([one.id], "key", NOW)
    assert store.claim_news(minutes(60), LEASE, minutes(-1)) == []
    (again,) = store.claim_news(minutes(60), LEASE, minutes(0))
    assert (again.id, again.alert_key) == (one.id, "key")
    store.reminded([one.id], minutes(60))
    assert store.claim_news(minutes(61), LEASE, minutes(1)) == []
    store.forget_others([], "no longer watched", minutes(70))
    (over,) = store.claim_news(minutes(70), LEASE, None)
    assert (over.closed_at, over.ending) == (minutes(70), "no longer watched")
    store.closing_told([one.id], minutes(70))
    assert store.claim_news(minutes(100), LEASE, minutes(100)) == []


def test_what_ended_before_it_was_told_is_never_told(store: SiteStore) -> None:
    store.record([recorded(opens=(DOWN,))], NOW)
    store.forget_others([], "gone", minutes(1))
    (one,) = store.claim_news(minutes(1), LEASE, None)
    assert one.opening_told_at is None
    store.opening_told([one.id], None, minutes(1))
    assert store.claim_news(minutes(10), LEASE, minutes(10)) == []


def test_of_incidents_told_together_is_known_how_many_go_on(store: SiteStore) -> None:
    store.record([recorded("a", opens=(DOWN,)), recorded("b", opens=(DOWN,))], NOW)
    ids = [one.id for one in store.claim_news(NOW, LEASE, None)]
    store.opening_told(ids, "together", NOW)
    store.forget_others(["b"], "gone", minutes(1))
    (one,) = store.claim_news(minutes(1), LEASE, None)
    assert (one.site, one.shared) == ("a", 1)
    store.closing_told([one.id], minutes(1))
    store.forget_others([], "gone", minutes(2))
    (last,) = store.claim_news(minutes(2), LEASE, None)
    assert (last.site, last.shared) == ("b", 0)


def test_sites_that_are_no_longer_watched_are_forgotten_with_what_they_said(store: SiteStore) -> None:
    store.record([recorded("a"), recorded("b")], NOW)
    store.keep_content("a", None, page("one"), None, NOW)
    assert store.forget_others(["b"], "gone", NOW) == ["a"]
    assert store.forget_others(["b"], "gone", NOW) == []
    assert set(store.standings()) == {"b"}
    assert store.contents(["a", "b"]) == {}


def test_a_change_of_a_page_is_kept_by_one_run_only(store: SiteStore) -> None:
    change = Change(summary="Two.", topics=(Topic.TEXT,), significance=0.5, diff=("- one", "+ two"))
    one, two = page("one"), page("two")
    assert store.keep_content("shop", None, one, None, NOW)
    assert store.contents(["shop", "other"]) == {"shop": one}
    assert store.keep_content("shop", one, two, change, minutes(5))
    assert not store.keep_content("shop", one, two, change, minutes(5)), "another run was first"
    assert store.contents(["shop"]) == {"shop": two}
    (kept,) = store.claim_changes(minutes(5), LEASE)
    assert (kept.summary, kept.diff, kept.changed_at) == ("Two.", "- one\n+ two", minutes(5))
    assert store.claim_changes(minutes(6), LEASE) == []
    store.release_change(kept.id)
    assert store.claim_changes(minutes(6), LEASE) == [kept]
    store.change_told(kept.id, minutes(6))
    assert store.claim_changes(minutes(60), LEASE) == []
