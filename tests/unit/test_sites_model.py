"""What may stand in the section `sites` of aegis.yaml, and what may not."""

from __future__ import annotations

from typing import Any

import pytest

from aegis_lib import config
from aegis_lib.errors import Misconfigured
from aegis_lib.sites.model import Site, SitesConfig

URL = "https://shop.example/"


def test_a_name_and_an_address_are_enough() -> None:
    parsed = config.parse(b"sites:\n  sites:\n    - {name: shop, url: https://shop.example/}\n")
    (watched,) = parsed.sites.watched()
    assert (watched.site.kind, watched.site.host, watched.site.target) == ("http", "shop.example", URL)
    assert not watched.site.allow_private_addresses
    assert not watched.site.needs_body
    assert watched.terms.failures == 2


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({}, "exactly one of url, tcp and dns"),
        ({"url": URL, "tcp": "a:1"}, "exactly one of url, tcp and dns"),
        ({"url": "ftp://a.example/"}, "no web address"),
        ({"url": "https:///path"}, "no web address"),
        ({"url": "https://a.example/a b"}, "no web address"),
        ({"url": "https://a.example:99999/"}, "no web address"),
        ({"url": "https://user:pw@a.example/"}, "holds a user or password"),
        ({"url": "http://[::1"}, "no web address"),
        ({"tcp": "mail.example"}, "no host and port"),
        ({"tcp": "mail.example:0"}, "no host and port"),
        ({"tcp": "mail.example:70000"}, "no host and port"),
        ({"tcp": "mail.example:25", "contains": ("x",)}, "only a url has contains"),
        ({"tcp": "mail.example:25", "content": {"watch": True}}, "only a url has content and pictures"),
        ({"url": URL, "banner": "220"}, "only tcp has a banner"),
        ({"url": URL, "method": "HEAD", "contains": ("x",)}, "the answer to HEAD has no text"),
        ({"url": URL, "headers": {"A b": "c"}}, "'A b' is no name of a header"),
        ({"url": URL, "headers": {"A": "b\r\nC: d"}}, "printable ASCII text on one line"),
        ({"url": URL, "secret_headers": {"A": "POSTGRES_PASSWORD"}}, "should match pattern"),
        ({"url": URL, "expect_status": ("2xx",)}, "should match pattern"),
        ({"url": URL, "json_says": ({"path": "a..b"},)}, "should match pattern"),
        ({"url": URL, "name": "Shop One"}, "should match pattern"),
        ({"dns": {"name": "a.example", "server": "dns.example"}}, "is no address"),
    ],
)
def test_what_cannot_work_is_refused_and_said(entry: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Site(**{"name": "shop", **entry})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "sites:\n  sites:\n    - {name: a, url: https://a.example/}\n    - {name: a, url: https://b.example/}\n",
            "the name a stands there twice",
        ),
        ("sites:\n  failures: 4\n  of_checks: 3\n", "failures is more than of_checks"),
        (
            "sites:\n  sites:\n    - {name: a, url: https://a.example/, failures: 4}\n",
            "site a: failures is more than of_checks",
        ),
        ("sites:\n  sites:\n    - name: a\n      url: nonsense\n", "aegis.yaml:4: .*is no web address"),
        ("sites:\n  sites:\n    - name: a\n      uri: https://a.example/\n", "aegis.yaml:4: .*mean 'url'"),
    ],
)
def test_a_mistake_in_the_file_is_told(text: str, words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        config.parse(text.encode())


def test_a_site_is_found_by_its_name() -> None:
    settings = SitesConfig(sites=(Site(name="a", url=URL), Site(name="b", tcp="[2001:db8::1]:25")))
    found = settings.find("b")
    assert found is not None
    assert found.site.endpoint == ("2001:db8::1", 25)
    assert found.site.target == "tcp:[2001:db8::1]:25"
    assert settings.find("c") is None


def test_ten_thousand_sites_are_read_in_a_moment() -> None:
    sites = tuple(Site(name=f"s{n}", url=f"https://s{n}.example/") for n in range(10_000))
    assert len(SitesConfig(sites=sites).watched()) == 10_000
