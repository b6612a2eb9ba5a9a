"""What is wrong with what was seen of a site."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_lib.sites import judging
from aegis_lib.sites.model import JsonAssertion, Site, SitesConfig
from aegis_lib.sites.seen import Certificate, Probe, Verdict
from tests.fakes.sites import bad, good

NOW = datetime(2026, 1, 25, 12, tzinfo=UTC)
URL = "https://shop.example/"


def judge(probe: Probe, **entry: Any) -> Verdict:
    site = Site(name="shop", **{"url": URL, **entry})
    return judging.judge(SitesConfig(sites=(site,)).settled(site), probe, NOW)


def test_an_answer_as_expected_is_good() -> None:
    verdict = judge(good("shop"))
    assert verdict == Verdict(measured=True)


def test_no_answer_is_failing_and_was_not_measured() -> None:
    verdict = judge(bad("shop"), max_latency_ms=1)
    assert verdict.failing == "example.org refused the connection to port 443"
    assert (verdict.slow, verdict.measured) == (None, False)


@pytest.mark.parametrize(
    ("status", "expected", "fits"),
    [
        (200, ("200-299",), True),
        (299, ("200-299",), True),
        (300, ("200-299",), False),
        (404, ("200", "404"), True),
        (0, ("200-299",), False),
    ],
)
def test_a_status_fits_one_of_the_ranges(status: int, expected: tuple[str, ...], fits: bool) -> None:
    assert judging.status_fits(status, expected) is fits


def test_what_is_too_slow_says_where_the_time_went() -> None:
    seen = good("shop", total_ms=1500.4, dns_ms=20.0, connect_ms=0.3, tls_ms=300.0, first_byte_ms=1400.0)
    verdict = judge(seen, max_latency_ms=1000)
    assert verdict.failing is None
    assert verdict.slow == (
        "it took 1,500 ms, more than 1,000 ms (DNS 20, TLS 300, first byte after 1,400 ms)"
    )
    assert judge(good("shop", total_ms=1000.0), max_latency_ms=1000).slow is None
    assert judge(seen).slow is None, "no limit is set"


@pytest.mark.parametrize(
    ("days", "words"),
    [(15, None), (14, "ends in 14 days"), (1.5, "ends in 36 hours"), (0.001, "ends in 0 hours")],
)
def test_a_certificate_is_told_in_time(days: float, words: str | None) -> None:
    certificate = Certificate(expires_at=NOW + timedelta(days=days))
    ending = judge(good("shop", certificate=certificate)).ending
    assert (ending is None) if words is None else (ending is not None and words in ending)
    assert judge(good("shop", certificate=certificate), certificate_days=0).ending is None
    assert judge(good("shop", certificate=certificate), verify_certificate=False).ending is None


def test_the_first_text_that_is_missing_is_named_on_one_line() -> None:
    seen = good("shop", body=b"one two", content_type="text/plain")
    assert judge(seen, contains=("one", "two")).failing is None
    assert judge(seen, contains=("one", "th\nree")).failing == "the page does not contain 'th ree'"
    assert judge(seen, contains=("x" * 200,)).failing == f"the page does not contain '{'x' * 79}…'"
    assert judge(seen, contains=("One",)).failing is not None, "upper case is not lower case"


@pytest.mark.parametrize("charset", ["klingon", "rot13", "zip", "idna", "unicode_escape"])
def test_an_odd_character_set_is_no_trouble(charset: str) -> None:
    seen = good("shop", body=b"ok \xff", content_type=f"text/html; charset={charset}")
    assert judge(seen, contains=("ok",)).failing is None


@pytest.mark.parametrize(
    ("path", "value"),
    [("status", "ok"), ("$.status", "ok"), ("a.b[1].c", 3), ("list[0]", 1), ("$", None), ("a.b[0]", 0)],
)
def test_a_path_leads_to_its_value(path: str, value: Any) -> None:
    document = {"status": "ok", "a": {"b": [0, {"c": 3}]}, "list": [1]}
    found = judging.value_at(document, path)
    assert found == (document if path == "$" else value)


@pytest.mark.parametrize(
    ("wanted", "failing"),
    [
        ({"path": "ok"}, None),
        ({"path": "ok", "equals": True}, None),
        ({"path": "one", "equals": True}, "its JSON says one is '1', expected is 'true'"),
        ({"path": "one", "equals": 1}, None),
        ({"path": "name", "equals": "b"}, "its JSON says name is '\"a\"', expected is '\"b\"'"),
        ({"path": "gone"}, "its JSON has no gone"),
        ({"path": "one[0]"}, "its JSON has no one[0]"),
        ({"path": "one", "at_least": 1, "at_most": 1}, None),
        ({"path": "one", "at_least": 1.5}, "its JSON says one is '1', expected is 1.5 or more"),
        ({"path": "one", "at_most": 0}, "its JSON says one is '1', expected is 0 or less"),
        ({"path": "ok", "at_least": 0}, "its JSON says ok is 'true', which is no number"),
        ({"path": "nothing", "equals": "x"}, "its JSON says nothing is 'null', expected is '\"x\"'"),
    ],
)
def test_json_says_what_it_must(wanted: dict[str, Any], failing: str | None) -> None:
    body = json.dumps({"ok": True, "one": 1, "name": "a", "nothing": None}).encode()
    assert judge(good("shop", body=body), json_says=(JsonAssertion(**wanted),)).failing == failing


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"9" * 5000, b"\xff\xfe"])
def test_what_is_no_json_is_said_to_be_none(body: bytes) -> None:
    assert (
        judge(good("shop", body=body), json_says=(JsonAssertion(path="a"),)).failing
        == "the answer is no JSON"
    )


@given(st.binary(max_size=200), st.one_of(st.none(), st.text(max_size=60)))
def test_no_body_breaks_the_judgement(body: bytes, content_type: str | None) -> None:
    seen = good("shop", body=body, content_type=content_type)
    judge(seen, contains=("x",), lacks=("y",), json_says=(JsonAssertion(path="a.b[0]", at_least=1),))


@pytest.mark.parametrize(
    ("answers", "exact", "failing"),
    [
        (("10 MAIL.shop.example",), False, None),
        (("20 other.example", "10 mail.shop.example."), False, None),
        (("20 other.example", "10 mail.shop.example"), True,
         "shop.example MX has 20 other.example, which is not expected"),
        (("20 other.example",), False,
         "shop.example MX lacks 10 mail.shop.example; there is 20 other.example"),
    ],
)  # fmt: skip
def test_records_are_compared_without_case_and_dot(
    answers: tuple[str, ...], exact: bool, failing: str
) -> None:
    dns = {"name": "shop.example", "record": "MX", "answers": ("10 mail.shop.example",), "exact": exact}
    seen = Probe(site="shop", answers=answers, total_ms=5.0)
    assert judge(seen, url=None, dns=dns).failing == failing


def test_a_port_is_good_when_it_says_what_it_must() -> None:
    entry: dict[str, Any] = {"url": None, "tcp": "mail.example:25", "banner": "220 "}
    assert judge(Probe(site="shop", answers=("220 ready",), total_ms=5.0), **entry).failing is None
    assert (
        judge(Probe(site="shop", total_ms=5.0), **entry).failing
        == "the port did not say '220' and said nothing"
    )
