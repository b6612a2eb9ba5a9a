"""What the prober promises about a look at a site: what is sent where, what is measured, what is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aegis_lib.adapters.site_prober import exchange, ports, prober, transfers
from aegis_lib.settings import secrets_in_use
from aegis_lib.settings_sites import site_secret
from aegis_lib.sites.model import Site, SitesConfig
from aegis_lib.sites.seen import FailureKind, Probe
from tests.fake_services import zoo as zoos
from tests.fake_services.zoo import HOST, OTHER_HOST, Zoo


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    with zoos.running(tmp_path_factory.mktemp("zoo")) as running:
        yield running


@pytest.fixture
def other_is_inner(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if 127.0.0.1 were public and 127.0.0.2 were not."""

    def inner(address: str) -> str | None:
        return None if address == HOST else "a private address"

    monkeypatch.setattr(exchange, "inner", inner)
    monkeypatch.setattr(ports, "inner", inner)


def site(name: str = "site", **entry: Any) -> Site:
    return Site(name=name, **{"allow_private_addresses": True, "timeout_seconds": 2, **entry})


def probes(zoo: Zoo, *sites: Site, seconds: float = 30, **config: Any) -> dict[str, Probe]:
    settings = SitesConfig(sites=sites, **config)
    with prober.connect(settings, ca_file=str(zoo.ca_file)) as opened:
        return {probe.site: probe for probe in opened.probe(settings.watched(), seconds)}


def probe(zoo: Zoo, **entry: Any) -> Probe:
    return probes(zoo, site(**entry))["site"]


def last_head(zoo: Zoo) -> str:
    return zoo.seen[-1].lower()


# --- what is sent ---


def test_method_headers_and_body_are_sent_as_written(zoo: Zoo) -> None:
    seen = probe(
        zoo, url=zoo.url("echo"), method="PUT", body='{"a": 1}', contains=("x",),
        headers={"Content-Type": "application/json", "X-Empty": ""},
    )  # fmt: skip
    said = (seen.body or b"").decode()
    assert said.startswith("PUT /echo HTTP/1.1\r\n")
    assert "Content-Type: application/json\r\n" in said
    assert "X-Empty:\r\n" in said
    assert "User-Agent: Aegis-Scheduler (site check)\r\n" in said
    assert said.endswith('{"a": 1}')


def test_head_asks_for_no_body(zoo: Zoo) -> None:
    seen = probe(zoo, url=zoo.url("bomb"), method="HEAD")
    assert (seen.failure, seen.status, seen.size_bytes) == (None, 200, 0)
    assert last_head(zoo).startswith("head /bomb")


def test_a_secret_comes_from_the_environment_and_stays_with_its_origin(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AEGIS_SITE_TOKEN", "s3cret")
    entry = {
        "secret_headers": {"X-Token": "AEGIS_SITE_TOKEN"},
        "headers": {"Cookie": "a=b", "X-Plain": "yes"},
    }
    probe(zoo, url=zoo.url("redirect/302/ok"), **entry)
    assert [("s3cret" in head, "a=b" in head) for head in zoo.seen[-2:]] == [(True, True)] * 2
    probe(zoo, url=zoo.url(f"elsewhere/302/{zoo.url('ok', OTHER_HOST)}"), **entry)
    first, second = zoo.seen[-2:]
    assert "s3cret" in first
    assert "a=b" in first
    assert "s3cret" not in second
    assert "a=b" not in second
    assert "X-Plain: yes" in second


def test_a_secret_may_come_from_a_file_and_is_known_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("from a file\n")
    monkeypatch.setenv("AEGIS_SITE_OF_A_FILE_FILE", str(tmp_path / "token"))
    found = site_secret("AEGIS_SITE_OF_A_FILE")
    assert found is not None
    assert found.get_secret_value() == "from a file"
    assert "from a file" not in repr(found)
    assert "from a file" in secrets_in_use()
    assert site_secret("AEGIS_SITE_ABSENT") is None


def test_a_secret_that_would_break_the_request_is_not_sent(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEGIS_SITE_BROKEN", "a\r\nX-More: b")
    before = len(zoo.seen)
    seen = probe(zoo, url=zoo.url("ok"), secret_headers={"X-Token": "AEGIS_SITE_BROKEN"})
    assert seen.failure is not None
    assert seen.failure.kind is FailureKind.NOT_ASKED
    assert "X-More" not in seen.failure.words
    assert len(zoo.seen) == before


def test_a_post_becomes_a_get_after_303_and_stays_a_post_after_307(zoo: Zoo) -> None:
    for status, method in ((303, "GET"), (302, "GET"), (307, "POST"), (308, "POST")):
        probe(zoo, url=zoo.url(f"redirect/{status}/echo"), method="POST", body="hello")
        assert zoo.seen[-1].startswith(f"{method} /echo")
        assert ("Content-Length: 5" in zoo.seen[-1]) == (method == "POST")


def test_a_proxy_of_the_environment_is_not_used(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{zoo.port('refused')}")
    assert probe(zoo, url=zoo.url("ok")).status == 200


# --- what is refused ---


def test_no_redirect_leads_into_a_private_address(zoo: Zoo, other_is_inner: None) -> None:
    entry = {"url": zoo.url(f"elsewhere/302/{zoo.url('ok', OTHER_HOST)}")}
    seen = probe(zoo, **entry, allow_private_addresses=False)
    assert seen.failure is not None
    assert seen.failure.kind is FailureKind.REFUSED_ADDRESS
    assert seen.failure.words.startswith(f"{OTHER_HOST} leads to {OTHER_HOST}, a private address: not asked")
    assert zoo.seen[-1].startswith("GET /elsewhere")
    assert probe(zoo, **entry).status == 200, "its entry may allow it"


def test_a_name_is_judged_by_the_address_that_it_leads_to(zoo: Zoo) -> None:
    before = len(zoo.seen)
    seen = probe(zoo, url=zoo.url("ok", "localhost"), allow_private_addresses=False)
    assert seen.failure is not None
    assert seen.failure.words.startswith("localhost leads to ")
    assert seen.failure.kind is FailureKind.REFUSED_ADDRESS
    assert len(zoo.seen) == before


def test_a_connection_to_a_private_address_is_not_lent_to_a_site_that_may_not_have_one(
    zoo: Zoo, other_is_inner: None
) -> None:
    there = zoo.url("ok", OTHER_HOST)
    found = probes(
        zoo, site("may", url=there), site("may-not", url=there, allow_private_addresses=False), per_host=1
    )
    assert found["may"].status == 200
    assert found["may-not"].failure is not None
    assert found["may-not"].failure.kind is FailureKind.REFUSED_ADDRESS


def test_a_port_at_a_private_address_is_refused_too(zoo: Zoo, other_is_inner: None) -> None:
    seen = probe(zoo, tcp=f"{OTHER_HOST}:{zoo.port('plain')}", allow_private_addresses=False)
    assert seen.failure is not None
    assert seen.failure.kind is FailureKind.REFUSED_ADDRESS


# --- what is measured ---


def test_times_are_apart_and_add_up_over_redirects(zoo: Zoo) -> None:
    seen = probe(zoo, url=zoo.secure("valid", "redirect/301/ok"))
    assert (seen.status, seen.redirects, seen.http_version) == (200, 1, "1.1")
    assert seen.dns_ms is not None
    assert seen.connect_ms is not None
    assert seen.tls_ms is not None
    assert seen.first_byte_ms is not None
    assert seen.total_ms is not None
    assert 0 < seen.dns_ms + seen.connect_ms + seen.tls_ms < seen.first_byte_ms <= seen.total_ms < 2000
    assert seen.address == HOST
    assert seen.url == zoo.secure("valid", "ok")


def test_http_2_is_spoken_where_the_site_can(zoo: Zoo) -> None:
    assert probe(zoo, url=zoo.secure("h2")).http_version == "2"
    assert probe(zoo, url=zoo.secure("valid")).http_version == "1.1"
    assert probe(zoo, url=zoo.secure("valid"), http="1.1").http_version == "1.1"


def test_a_body_that_nobody_needs_is_counted_and_not_kept(zoo: Zoo) -> None:
    seen = probe(zoo, url=zoo.url("ok"))
    assert (seen.size_bytes, seen.body) == (20, None)
    assert probe(zoo, url=zoo.url("ok"), contains=("well",)).body == b"<h1>All is well</h1>"


def test_a_large_answer_costs_no_more_than_its_limit(zoo: Zoo) -> None:
    seen = probe(zoo, url=zoo.url("endless"), contains=("x",), max_bytes=100_000)
    assert seen.failure is not None
    assert seen.failure.kind is FailureKind.TOO_LARGE
    assert len(seen.body or b"") <= 100_000


def test_the_time_of_all_redirects_together_is_limited(zoo: Zoo) -> None:
    began = time.monotonic()
    seen = probe(zoo, url=zoo.url("redirect/302/silent"), timeout_seconds=0.5)
    assert seen.failure is not None
    assert seen.failure.kind is FailureKind.TIMEOUT
    assert time.monotonic() - began < 1.5


# --- many at once ---


def test_one_host_is_not_asked_more_at_once_than_allowed(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    running: list[int] = []
    start = transfers._Pool.start

    def counted(pool: transfers._Pool, *args: Any) -> None:
        start(pool, *args)
        running.append(len(pool.running))

    monkeypatch.setattr(transfers._Pool, "start", counted)
    sites = [site(f"one-{n}", url=zoo.url("ok")) for n in range(30)]
    assert len(probes(zoo, *sites, per_host=3)) == 30
    assert max(running) == 3
    running.clear()
    assert len(probes(zoo, *sites, per_host=100, concurrency=7)) == 30
    assert max(running) == 7


def test_connections_to_one_host_are_used_again(zoo: Zoo) -> None:
    sites = [site(f"one-{n}", url=zoo.secure("valid")) for n in range(10)]
    found = probes(zoo, *sites, per_host=1)
    assert sum(seen.tls_ms is not None for seen in found.values()) == 1


def test_no_more_are_begun_after_the_time(zoo: Zoo) -> None:
    sites = [site(f"silent-{n}", url=zoo.url("silent"), timeout_seconds=0.3) for n in range(6)]
    assert len(probes(zoo, *sites, seconds=0.1, per_host=2)) == 2


def test_a_look_that_is_given_up_leaves_nothing_open(zoo: Zoo) -> None:
    settings = SitesConfig(sites=tuple(site(f"s-{n}", url=zoo.url("silent")) for n in range(5)), per_host=10)
    with prober.connect(settings) as opened:
        looks = opened.probe((*settings.watched(), settings.settled(site("ok", url=zoo.url("ok")))), 30)
        assert next(looks).site == "ok"
        looks.close()  # type: ignore[attr-defined]


def test_ports_and_records_are_not_begun_after_the_time_either(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prober, "THREADS", 1)
    port = f"127.0.0.1:{zoo.port('tls_silent')}"
    sites = [site(f"port-{n}", tcp=port, banner="x", timeout_seconds=0.3) for n in range(5)]
    assert 1 <= len(probes(zoo, *sites, seconds=0.1)) <= 2


def test_a_site_that_nobody_expected_harms_no_other(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    end = exchange.Exchange.end

    def broken(self: exchange.Exchange, *args: Any) -> Any:
        if self.site.name == "odd":
            raise UnicodeDecodeError("ascii", b"", 0, 1, "odd")
        return end(self, *args)

    monkeypatch.setattr(exchange.Exchange, "end", broken)
    found = probes(zoo, site("odd", url=zoo.url("ok")), site("fine", url=zoo.url("ok")))
    assert found["fine"].status == 200
    assert found["odd"].failure is not None
    assert found["odd"].failure.words == "it could not be looked at: UnicodeDecodeError"
