"""The status page as it is written: whole, harmless, within its size, honest about what is not known."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from aegis_lib.errors import DependencyUnavailable, PermanentFailure
from aegis_lib.outcome import Outcome
from aegis_lib.status_page import composing, service
from aegis_lib.status_page.model import (
    Facts,
    Level,
    Section,
    SiteNow,
    Sites,
    StatusPageConfig,
)
from tests import status_page_values as values
from tests.fakes.status_page import FakePlace, FakeStatusPageStore

NOW, MINUTE = values.NOW, values.MINUTE
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"' onload=x {{ 7*7 }} \u202egnp.exe"
VOID = {"meta", "link", "img", "br"}


def written(store: FakeStatusPageStore, **changes: object) -> tuple[str, Outcome]:
    place = FakePlace()
    given = {"now": NOW, "config": StatusPageConfig(), "sites": values.config(), **changes}
    report = service.write(store, values.FakeImages(), place, **given)  # type: ignore[arg-type]
    return place.pages[0].decode(), report.outcome


class Elements(HTMLParser):
    """Every element with its attributes; refuses what is not closed in its order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_part_is_there_and_the_page_is_well_formed() -> None:
    page, outcome = written(FakeStatusPageStore(values.facts()))
    assert outcome is Outcome.COMPLETED
    found = Elements(page).found
    assert [a["id"] for tag, a in found if tag == "section"] == [section.value for section in Section]
    for text in (
        "partners.example.org",
        "connection refused by 192.0.2.17",
        "took 1.9 s; the limit is 1 s",
        "3.4 % changed",
        "search-index",
        "build-2/runner-4",
        "49.00 EUR",
        "docker_health_check",
        "Memory in use: 2.1 GB, expected about 420 MB",
        "18 Degraded",
        "partners is down",
    ):
        assert text in page, text
    assert len([a for tag, a in found if tag == "img"]) == 7


def test_nothing_of_a_stranger_becomes_a_part_of_the_page() -> None:
    names = ("shop",)
    bad = values.facts(names)
    strange = Facts(
        sites=Sites(now=(bad.sites.now[0].model_copy(update={"state": "down", "problem": EVIL}),)),
        incidents=(values.incidents()[0].model_copy(update={"site": "shop", "kind": EVIL, "reason": EVIL}),),
        pictures=(
            values.pictures(names)[0].model_copy(update={"site": EVIL, "viewport": EVIL, "problem": EVIL}),
        ),
        changes=(values.changes()[0].model_copy(update={"site": EVIL, "summary": EVIL, "diff": f"+{EVIL}"}),),
        containers=bad.containers.model_copy(
            update={
                "cases": (bad.containers.cases[0].model_copy(update={"name": EVIL, "reason": EVIL}),),
                "restarts": (bad.containers.restarts[0].model_copy(update={"name": EVIL, "outcome": EVIL}),),
            }
        ),
        hosts=tuple(use.model_copy(update={"host": EVIL}) for use in bad.hosts[:3]),
        anomalies=(
            bad.anomalies[0].model_copy(
                update={"title": EVIL, "subject": EVIL, "metric": EVIL, "host": EVIL}
            ),
        ),
        jobs=(bad.jobs[0].model_copy(update={"job_id": EVIL, "outcomes": {EVIL: 3}}),),
        alerts=(bad.alerts[0].model_copy(update={"title": EVIL}),),
    )  # fmt: skip
    page, _ = written(FakeStatusPageStore(strange), sites=values.config(names))
    found = Elements(page).found
    assert [tag for tag, _ in found].count("script") == 1
    assert not [(t, n) for t, a in found for n in a if n.startswith("on") or n == "style"]
    assert all(str(a["src"]).startswith("data:image/webp;base64,") for t, a in found if t == "img")
    assert page.count("{{ 7*7 }}") > 8
    assert "\u202e" not in page
    addresses = [str(a["href"]) for t, a in found if "href" in a]
    assert all(re.match(r"#|https://shop\.example\.org/$|data:image/svg", one) for one in addresses), (
        addresses
    )


def test_the_page_asks_for_nothing_and_its_policy_allows_only_what_is_in_it() -> None:
    page, _ = written(FakeStatusPageStore(values.facts()))
    policy = next(
        a["content"] for t, a in Elements(page).found if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    for element in ("style", "script"):
        text = re.search(f"<{element}>(.*?)</{element}>", page, re.DOTALL)
        assert text
        digest = b64encode(hashlib.sha256(text[1].encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"(src|href)=\"(?!#|data:|https://[a-z]+\.example\.org/\")", page)
    assert "url(" not in page


def test_the_text_of_an_alert_stays_out() -> None:
    page, _ = written(FakeStatusPageStore(values.facts()))
    assert "partners is down" in page
    assert "log line" not in page


def test_a_secret_is_hidden_wherever_it_stands() -> None:
    secret = "tok&en<12345"
    known = values.facts().model_copy(
        update={
            "alerts": (values.alerts()[0].model_copy(update={"title": f"cannot send with {secret}"}),),
            "jobs": (values.jobs()[0].model_copy(update={"job_id": secret}),),
        }
    )
    page, _ = written(FakeStatusPageStore(known), secrets=frozenset({secret, "is"}))
    assert "12345" not in page
    assert "cannot send with ***" in page
    assert "partners.example.org" in page, "what is too short to be a secret is left alone"


def test_a_part_that_cannot_be_read_is_named_and_the_others_are_shown() -> None:
    error = DependencyUnavailable("PostgreSQL", "canceled: statement time-out")
    page, outcome = written(
        FakeStatusPageStore(values.facts(), hosts=error, jobs=PermanentFailure("no table"))
    )
    assert outcome is Outcome.DEGRADED
    assert page.count("This part could not be read when the page was made.") == 2
    assert "hosts, jobs could not be read" in page
    assert "time-out" not in page
    assert "partners.example.org" in page


def test_a_part_that_cannot_be_read_never_looks_good() -> None:
    store = FakeStatusPageStore(Facts(), sites=DependencyUnavailable("PostgreSQL", "gone"))
    made = service.make(store, values.FakeImages(), now=NOW, config=StatusPageConfig(), sites=values.config())
    assert made.page.verdict.level is Level.NONE


def test_a_database_that_is_away_fails_the_run_and_leaves_the_last_page() -> None:
    away = DependencyUnavailable("PostgreSQL", "does not answer")
    names = (
        "close_days",
        "incidents",
        "pictures",
        "changes",
        "containers",
        "hosts",
        "anomalies",
        "jobs",
        "alerts",
    )
    place = FakePlace()
    store = FakeStatusPageStore(values.facts(), **dict.fromkeys(names, away))
    with pytest.raises(DependencyUnavailable):
        service.write(
            store, values.FakeImages(), place, now=NOW, config=StatusPageConfig(), sites=values.config()
        )
    assert place.pages == []


def test_an_empty_installation_says_so_in_every_part() -> None:
    place = FakePlace()
    report = service.write(
        FakeStatusPageStore(Facts()), values.FakeImages(), place,
        now=NOW, config=StatusPageConfig(), sites=values.config(()),
    )  # fmt: skip
    assert (report.outcome, report.verdict) == (Outcome.NO_INPUT, "Nothing is known yet.")
    page = place.pages[0].decode()
    for text in (
        "No site is watched",
        "No incident",
        "No picture",
        "No page changed",
        "No container",
        "No host was measured",
        "Nothing unusual",
        "The ledger knows no job",
        "No alert",
    ):
        assert text in page, text


def test_only_the_parts_that_are_asked_for_are_read_and_shown() -> None:
    store = FakeStatusPageStore(values.facts())
    page, _ = written(store, config=StatusPageConfig(sections=(Section.JOBS, Section.SITES)))
    assert re.findall(r'<section id="(\w+)"', page) == ["sites", "jobs"]
    assert {name for name, _ in store.calls} == {
        "close_days", "sites", "hours", "days", "latencies", "incidents", "jobs",
    }  # fmt: skip


def test_a_page_of_a_thousand_sites_stays_within_its_size() -> None:
    names = tuple(f"site-{n:04}" for n in range(1000))
    now = tuple(
        SiteNow(
            name=name, target=f"https://{name}.example.org/", state="down" if n % 2 else "up", since=NOW,
            checked_at=NOW, problem="status 503 instead of 200-299" if n % 2 else None,
        )
        for n, name in enumerate(names)
    )  # fmt: skip
    bad = [
        values.Stretch(site=name, start=values._day(NOW) - n * values.DAY, checks=288, good=100)
        for name in names[:400]
        for n in range(1, 90)
    ]
    store = FakeStatusPageStore(Facts(sites=Sites(now=now, days=tuple(bad))))
    page, _ = written(store, sites=values.config(names))
    assert len(page.encode()) <= service.LARGEST_PAGE_BYTES
    assert "500 of 1000 sites are down" in page
    assert all(f">{name}<" in page for name in names)


def test_a_page_that_is_too_large_is_made_with_less(monkeypatch: pytest.MonkeyPatch) -> None:
    usual, _ = written(FakeStatusPageStore(values.facts()))
    monkeypatch.setattr(service, "LARGEST_PAGE_BYTES", 60_000)
    smaller, _ = written(FakeStatusPageStore(values.facts()))
    assert len(smaller) < 60_000 < len(usual)
    assert "without drawings" in smaller


def test_images_are_shown_while_there_is_room_and_what_changed_comes_first() -> None:
    known = values.facts()
    blog = [values.image("blog"), values.image("blog", marked=True)]
    room = composing.Detail(image_bytes=sum(len(b64encode(one)) + 23 for one in blog) + 200)
    made = composing.compose(known, values.FakeImages().read, now=NOW, config=StatusPageConfig(), detail=room)
    assert [(one.picture.site, bool(one.image)) for one in made.pictures if one.image] == [("blog", True)]
    assert "no room" in made.pictures[0].note


@pytest.mark.parametrize(
    "data", [b"", b"<svg onload=alert(1)>", b"RIFF....WAVE", b"GIF89a", b"\x00" * 200_000]
)
def test_only_images_of_known_kinds_and_sizes_are_put_into_the_page(data: bytes) -> None:
    picture = values.pictures(("api",))[0]
    made = composing.compose(
        Facts(pictures=(picture,)), lambda digest: data, now=NOW, config=StatusPageConfig()
    )
    assert (made.pictures[0].image, made.pictures[0].marked) == ("", "")


def test_anomalies_are_drawn_with_what_is_around_them() -> None:
    store = FakeStatusPageStore(values.facts())
    written(store)
    anomaly = values.anomalies()[0]
    around = timedelta(hours=6)
    asked = next(arguments for name, arguments in store.calls if name == "points")
    assert asked == (12, anomaly.at - around, NOW)
