"""Every misbehaviour of a site ends in an incident whose text says what it is, and harms no other site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aegis_lib.adapters.site_prober import prober
from aegis_lib.changes import policy as changes
from aegis_lib.db.database import Database
from aegis_lib.sites import service
from aegis_lib.sites.model import DnsExpectation, JsonAssertion, Site, SitesConfig
from aegis_lib.sites.seen import Incident, IncidentKind, SitesReport
from tests.fake_services import zoo as zoos
from tests.fake_services.zoo import Zoo
from tests.fakes.alerts import FakeNotifier
from tests.fakes.memory import FakeMemory

NOW = datetime.now(UTC)
LIMIT = 0.7
"""Seconds that a site has in these tests."""


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    with zoos.running(tmp_path_factory.mktemp("zoo")) as running:
        running.said["shop"] = b"<html><body><main><h1>Lamp</h1><p>It costs 10 EUR.</p></main></body></html>"
        yield running


def names(zoo: Zoo, name: str, record: str = "A", **expected: Any) -> dict[str, Any]:
    server = f"127.0.0.1:{zoo.port('names')}"
    return {"dns": DnsExpectation(name=name, record=record, server=server, **expected)}  # type: ignore[arg-type]


def animals(zoo: Zoo) -> dict[str, tuple[dict[str, Any], str]]:
    """Each site's entry, and what its incident must say."""
    url, secure = zoo.url, zoo.secure
    cert = r".*valid until \d{4}-"
    return {
        # connections
        "refuses": (
            {"url": f"http://127.0.0.1:{zoo.port('refused')}/"},
            "127.0.0.1 refused the connection to port",
        ),
        "full-queue": ({"url": f"http://127.0.0.1:{zoo.port('full')}/"}, "no connection within 0.7 s"),
        "no-name": ({"url": "http://nothing.invalid/"}, "the name nothing.invalid cannot be resolved"),
        "inner": (
            {"url": url("ok"), "allow_private_addresses": False},
            "leads to 127.0.0.1, an address of this machine itself: not asked",
        ),
        # answers that do not come, or never end
        "silent": ({"url": url("silent")}, "connected, but no answer within 0.7 s"),
        "slow-loris": ({"url": url("slow_loris")}, "the head of the answer did not end within 0.7 s"),
        "slow-body": ({"url": url("slow_body")}, r"the answer did not end within 0.7 s: \d+ bytes came"),
        "endless": (
            {"url": url("endless")},
            "the answer is larger than 2,000,000 bytes, the rest was not read",
        ),
        "endless-head": ({"url": url("endless_head")}, "the head of the answer is too large or broken"),
        "bomb": ({"url": url("bomb")}, "the answer is larger than 2,000,000 bytes"),
        # broken answers
        "hangs-up": ({"url": url("hangs_up")}, "the connection was closed without an answer"),
        "resets": ({"url": url("resets")}, "the connection was reset while the answer was awaited"),
        "resets-midway": (
            {"url": url("resets_midway")},
            "the connection was reset while the answer was awaited",
        ),
        "ends-early": ({"url": url("ends_early")}, "the answer ended before its end"),
        "no-http": ({"url": url("no_http")}, "what answers does not speak HTTP"),
        "bad-chunks": ({"url": url("bad_chunks")}, "its parts have no proper length"),
        "bad-gzip": ({"url": url("bad_gzip")}, "packed in a way that cannot be unpacked"),
        "h2-resets": ({"url": secure("h2_resets")}, "the answer breaks the rules of HTTP/2"),
        # certificates
        "expired": ({"url": secure("expired")}, f"its certificate has expired{cert}"),
        "early": ({"url": secure("early")}, f"its certificate is not valid yet{cert}"),
        "self-signed": ({"url": secure("self_signed")}, f"its certificate is self-signed{cert}"),
        "stranger": ({"url": secure("stranger")}, f"an authority nobody here knows{cert}"),
        "no-middle": ({"url": secure("no_middle")}, f"its chain of certificates is incomplete{cert}"),
        "wrong-name": ({"url": secure("wrong_name")}, r"for another name \(it is for shop.example\)"),
        "tls-silent": ({"url": secure("tls_silent")}, "the TLS handshake did not end within 0.7 s"),
        "tls-hangs-up": ({"url": secure("tls_hangs_up")}, "the TLS handshake failed: the connection broke"),
        # answers that are not what was expected
        "status-500": ({"url": url("status/500")}, "it answered 500, expected is 200-299"),
        "gone": ({"url": url("nowhere")}, "it answered 404"),
        "not-404": (
            {"url": url("ok"), "expect_status": ("404", "410")},
            "it answered 200, expected is 404, 410",
        ),
        "no-keyword": (
            {"url": url("ok"), "contains": ("well", "Prices")},
            "the page does not contain 'Prices'",
        ),
        "bad-keyword": (
            {"url": url("ok"), "lacks": ("well",)},
            "the page contains 'well', which it must not",
        ),
        "charset": ({"url": url("latin"), "lacks": ("Grüße",)}, "the page contains 'Grüße'"),
        "no-json": (
            {"url": url("ok"), "json_says": (JsonAssertion(path="status"),)},
            "the answer is no JSON",
        ),
        "json-says": (
            {"url": url("json"), "json_says": (JsonAssertion(path="queue[0].waiting", at_most=2),)},
            r"its JSON says queue\[0\].waiting is '3', expected is 2 or less",
        ),
        "old-http": ({"url": secure("valid"), "http": "2"}, "it answered in HTTP/1.1, expected is HTTP/2"),
        # redirects
        "circle": ({"url": url("circle")}, "it redirects in a circle, more than 5 times"),
        "on-and-on": ({"url": url("on_and_on")}, "it redirects on and on, more than 5 times"),
        "to-ftp": (
            {"url": url("elsewhere/301/ftp://files.example/")},
            "to ftp://files.example/, which is no web",
        ),
        "post-away": (
            {"url": url(f"elsewhere/307/http://{zoos.OTHER_HOST}/"), "method": "POST", "body": "x"},
            "it redirects a POST to another origin",
        ),
        "refusal-after-redirect": (
            {"url": url(f"elsewhere/302/http://127.0.0.1:{zoo.port('refused')}/")},
            "127.0.0.1 refused the connection",
        ),
        # ports and names
        "port-refuses": (
            {"tcp": f"127.0.0.1:{zoo.port('refused')}"},
            "127.0.0.1 refused the connection to port",
        ),
        "port-full": ({"tcp": f"127.0.0.1:{zoo.port('full')}"}, "no connection within 0.7 s"),
        "port-inner": (
            {"tcp": f"127.0.0.1:{zoo.port('banner')}", "allow_private_addresses": False},
            "not asked",
        ),
        "port-silent": (
            {"tcp": f"127.0.0.1:{zoo.port('tls_silent')}", "banner": "220"},
            "the port did not say '220' and said nothing",
        ),
        "port-other": (
            {"tcp": f"127.0.0.1:{zoo.port('banner')}", "banner": "SSH-"},
            "did not say 'SSH-'; it said '220 mail.example ready'",
        ),
        "port-no-name": ({"tcp": "nothing.invalid:25"}, "the name nothing.invalid cannot be resolved"),
        "record-gone": (names(zoo, "gone.example"), "there is no name gone.example"),
        "record-none": (names(zoo, "shop.example", "NS"), "shop.example has no NS record"),
        "record-other": (
            names(zoo, "shop.example", answers=("192.0.2.99",)),
            "shop.example A lacks 192.0.2.99",
        ),
        "record-more": (
            names(zoo, "shop.example", answers=("192.0.2.10",), exact=True),
            "shop.example A has 192.0.2.11, which is not expected",
        ),
        "record-silent": (names(zoo, "silent.example"), "no name server answered within 0.7 s"),
        "record-broken": (
            names(zoo, "broken.example"),
            "the name servers cannot say what broken.example A is",
        ),
        # secrets that are not there
        "no-secret": (
            {"url": url("ok"), "secret_headers": {"X-Key": "AEGIS_SITE_NOWHERE"}},
            "not asked: set AEGIS_SITE_NOWHERE",
        ),
    }


def good(zoo: Zoo) -> dict[str, dict[str, Any]]:
    url, secure = zoo.url, zoo.secure
    return {
        "fine": {"url": url("ok"), "contains": ("All is well",), "lacks": ("error",)},
        "fine-tls": {"url": secure("chain")},
        "fine-h2": {"url": secure("h2"), "http": "2", "contains": ("spoken in frames",)},
        "fine-json": {"url": url("json"), "json_says": (JsonAssertion(path="status", equals="ok"),)},
        "fine-redirect": {"url": url("redirect/301/ok"), "contains": ("well",)},
        "fine-no-redirect": {"url": url("redirect/301/ok"), "max_redirects": 0, "expect_status": ("301",)},
        "fine-cookie": {"url": url("cookie"), "contains": ("welcome back",)},
        "fine-charset": {"url": url("latin"), "contains": ("Grüße",)},
        "fine-odd-charset": {"url": url("odd_charset"), "contains": ("is open",)},
        "fine-odd-bytes": {"url": url("odd_bytes"), "contains": ("well",)},
        "fine-odd-redirect": {"url": url("odd_redirect")},
        "fine-odd-letters": {"url": url("page/grüße?a=ö")},
        "fine-unverified": {"url": secure("expired"), "verify_certificate": False},
        "fine-port": {"tcp": f"127.0.0.1:{zoo.port('banner')}", "banner": "220 "},
        "fine-record": names(zoo, "shop.example", answers=("192.0.2.10", "192.0.2.11"), exact=True),
        "fine-mx": names(zoo, "shop.example", "MX", answers=("10 MAIL.shop.example.",)),
        "fine-txt": names(zoo, "shop.example", "TXT", answers=("v=spf1 -all and more",)),
    }


def site(name: str, entry: dict[str, Any]) -> Site:
    return Site(name=name, **{"allow_private_addresses": True, "timeout_seconds": LIMIT, **entry})


def config(sites: tuple[Site, ...], **more: Any) -> SitesConfig:
    settings = {
        "failures": 1,
        "of_checks": 1,
        "recover_after": 1,
        "attempts": 1,
        "per_host": 100,
        "group_from": 500,
    }
    return SitesConfig(sites=sites, **{**settings, **more})


def look(
    zoo: Zoo, database: Database, settings: SitesConfig, notifier: FakeNotifier, now: datetime = NOW
) -> SitesReport:
    with prober.connect(settings, ca_file=str(zoo.ca_file)) as opened:
        return service.run(
            opened, changes, database.sites, FakeMemory(), notifier, settings, now=now, sleep=lambda _: None
        )


def test_every_misbehaviour_ends_in_the_right_incident_and_harms_no_other(
    zoo: Zoo, database: Database
) -> None:
    bad = animals(zoo)
    sites = [site(name, entry) for name, (entry, _) in bad.items()]
    sites += [site(name, entry) for name, entry in good(zoo).items()]
    notifier = FakeNotifier()
    report = look(zoo, database, config(tuple(sites)), notifier)

    opened = {one.site: one for one in database.sites.open_incidents()}
    wrong = {
        name: opened[name].reason if name in opened else "no incident"
        for name, (_, words) in bad.items()
        if name not in opened or not re.search(words, opened[name].reason)
    }
    assert wrong == {}
    assert set(opened) == set(bad), "sites that do nothing wrong have no incident"
    assert {one.kind for one in opened.values()} == {IncidentKind.DOWN}
    assert (report.checked, report.down, report.up) == (len(sites), len(bad), len(good(zoo)))
    assert len(notifier.sent) == len(bad)
    for message in notifier.sent:
        assert opened[message.title.split()[1]].key == message.problem

    assert report.seconds < 10, "what is slow holds up nobody"
    kept = {name: database.sites.newest_checks(name, 5) for name in opened}
    assert all(len(checks) == 1 and not checks[0].ok for checks in kept.values())
    (quick,) = database.sites.newest_checks("fine-tls", 5)
    assert quick.ok
    assert quick.status == 200
    assert quick.tls_ms is not None
    assert quick.connect_ms is not None
    assert quick.first_byte_ms is not None
    assert quick.total_ms is not None
    assert quick.connect_ms + quick.tls_ms <= quick.first_byte_ms <= quick.total_ms


def test_a_certificate_that_ends_soon_is_told_before_it_does(zoo: Zoo, database: Database) -> None:
    settings = config((site("soon", {"url": zoo.secure("soon")}), site("long", {"url": zoo.secure("chain")})))
    notifier = FakeNotifier()
    assert look(zoo, database, settings, notifier).down == 0
    (incident,) = database.sites.open_incidents()
    assert (incident.site, incident.kind) == ("soon", IncidentKind.CERTIFICATE)
    assert re.fullmatch(r"a certificate of its chain ends in [45] days, at \S+Z", incident.reason)
    assert [m.title for m in notifier.sent] == ["Site soon has a certificate that ends soon"]
    # the authority in between ends first
    standing = database.sites.standings()["long"]
    assert standing.certificate_expires_at is not None
    assert standing.certificate_expires_at - NOW < timedelta(days=61)


def test_a_slow_site_is_an_incident_of_its_own_kind(zoo: Zoo, database: Database) -> None:
    entry = {"url": zoo.secure("valid"), "max_latency_ms": 1, "recover_after": 1}
    look(zoo, database, config((site("slow", entry),)), FakeNotifier())
    (incident,) = database.sites.open_incidents()
    assert incident.kind is IncidentKind.SLOW
    assert re.search(r"it took [\d,]+ ms, more than 1 ms \(.*TLS .*first byte after", incident.reason)
    look(
        zoo, database, config((site("slow", entry | {"max_latency_ms": 60_000}),)), FakeNotifier(),
        NOW + timedelta(minutes=5),
    )  # fmt: skip
    assert database.sites.open_incidents() == []


def test_what_a_page_says_is_compared_and_the_change_told_once(zoo: Zoo, database: Database) -> None:
    settings = config((site("shop", {"url": zoo.url("page/shop"), "content": {"watch": True}}),))
    notifier = FakeNotifier()
    look(zoo, database, settings, notifier)
    look(zoo, database, settings, notifier, NOW + timedelta(minutes=5))
    assert notifier.sent == []
    zoo.said["shop"] = zoo.said["shop"].replace(b"10 EUR", b"12 EUR")
    report = look(zoo, database, settings, notifier, NOW + timedelta(minutes=10))
    assert report.changed == ("shop",)
    look(zoo, database, settings, notifier, NOW + timedelta(minutes=15))
    (message,) = notifier.sent
    assert message.title == "Site shop changed"
    assert "12 EUR" in message.body
    (change,) = database.sites.newest_changes(10)
    assert "12 EUR" in change.diff
    assert change.told_at is not None


def test_a_site_that_comes_back_ends_its_incident_once(zoo: Zoo, database: Database) -> None:
    settings = config((site("flaky", {"url": zoo.url("page/flaky")}),))
    notifier = FakeNotifier()
    for minute, status in enumerate(("503 Busy", "503 Busy", "200 OK", "200 OK", "503 Busy")):
        zoo.statuses["flaky"] = status
        look(zoo, database, settings, notifier, NOW + timedelta(minutes=5 * minute))
    titles = [message.title for message in notifier.sent]
    assert titles == ["Site flaky is down", "Site flaky is up again", "Site flaky is down"]
    first, over, second = notifier.sent
    assert first.problem == over.problem
    assert second.problem != first.problem
    newest: list[Incident] = database.sites.newest_incidents(10)
    assert [one.closed_at is None for one in newest] == [True, False]
