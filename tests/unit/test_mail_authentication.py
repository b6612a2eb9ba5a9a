"""Whether the sender is the sender: what receiving servers write, and what strangers write in their name."""

from __future__ import annotations

import pytest

from aegis_lib.mail import authentication
from aegis_lib.mail.authentication import Trust
from tests.mail_values import SERVER, mail

TRUSTED = (SERVER,)


def trust(*results: str, address: str = "mara@birch.example", servers: tuple[str, ...] = TRUSTED) -> Trust:
    found = mail(from_email=address, headers={"authentication-results": results} if results else {})
    return authentication.sender(found, servers).trust


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ("mx.example.org; dmarc=pass header.from=birch.example", Trust.CONFIRMED),
        ("MX.Example.ORG 1; DMARC=Pass Header.From=Birch.Example", Trust.CONFIRMED),
        ("mx.example.org; dmarc=pass (p=none dis=none) header.from=birch.example", Trust.CONFIRMED),
        ("mx.example.org;\n dkim=pass header.d=birch.example", Trust.CONFIRMED),
        ("mx.example.org; dkim=pass header.i=@mail.birch.example", Trust.CONFIRMED),
        ("mx.example.org; spf=pass smtp.mailfrom=bounce@birch.example", Trust.CONFIRMED),
        (
            'mx.example.org; dkim=fail reason="a; dmarc=pass"; spf=pass smtp.mailfrom=birch.example',
            Trust.CONFIRMED,
        ),
        ("mx.example.org; dmarc=fail header.from=birch.example", Trust.REFUTED),
        (
            "mx.example.org; dmarc=fail header.from=birch.example; dkim=pass header.d=birch.example",
            Trust.REFUTED,
        ),
        ("mx.example.org; spf=fail smtp.mailfrom=birch.example", Trust.REFUTED),
        ("mx.example.org; spf=fail smtp.mailfrom=lists.example.net", Trust.UNKNOWN),
        ("mx.example.org; spf=softfail smtp.mailfrom=birch.example", Trust.UNKNOWN),
        ("mx.example.org; none", Trust.UNKNOWN),
        ("mx.example.org", Trust.UNKNOWN),
        ("", Trust.UNKNOWN),
        # what passed is about somebody else
        ("mx.example.org; dmarc=pass header.from=evil.example", Trust.UNKNOWN),
        ("mx.example.org; dkim=pass header.d=evil.example", Trust.UNKNOWN),
        ("mx.example.org; dkim=pass header.d=xbirch.example", Trust.UNKNOWN),
        ("mx.example.org; dkim=pass header.d=example", Trust.UNKNOWN),
        ("mx.example.org; spf=pass smtp.mailfrom=evil.example", Trust.UNKNOWN),
        # said in a comment or in quotes, which is not said
        ("mx.example.org; spf=none (dmarc=pass header.from=birch.example)", Trust.UNKNOWN),
        ('mx.example.org; spf=none reason="; dmarc=pass header.from=birch.example"', Trust.UNKNOWN),
        ("mx.example.org (; dmarc=pass header.from=birch.example", Trust.UNKNOWN),
        # another server, or one whose name only looks like it
        ("mx.evil.example; dmarc=pass header.from=birch.example", Trust.UNKNOWN),
        ("mx.example.org.evil.example; dmarc=pass header.from=birch.example", Trust.UNKNOWN),
        ("x mx.example.org; dmarc=pass header.from=birch.example", Trust.UNKNOWN),
        ("(mx.example.org) evil.example; dmarc=pass header.from=birch.example", Trust.UNKNOWN),
    ],
)
def test_only_what_a_trusted_server_says_about_this_domain_counts(results: str, expected: Trust) -> None:
    assert trust(results) is expected


def test_a_forged_header_below_the_servers_own_is_not_read() -> None:
    assert (
        trust("mx.example.org; spf=none", "mx.example.org; dmarc=pass header.from=birch.example")
        is Trust.UNKNOWN
    )


def test_a_forged_header_above_a_missing_one_is_not_believed_from_another_server() -> None:
    assert (
        trust("evil.example; dmarc=pass", "mx.example.org; dmarc=pass header.from=birch.example")
        is Trust.UNKNOWN
    )


def test_without_a_trusted_server_nobody_is_believed() -> None:
    assert trust("mx.example.org; dmarc=pass header.from=birch.example", servers=()) is Trust.UNKNOWN


def test_servers_may_be_named_by_a_pattern() -> None:
    results = "mx7.example.org; dmarc=pass header.from=birch.example"
    assert trust(results, servers=("mx*.example.org",)) is Trust.CONFIRMED


def test_two_senders_are_none() -> None:
    twice = {"from": ("a <mara@birch.example>", "b <x@evil.example>"),
             "authentication-results": ("mx.example.org; dmarc=pass header.from=birch.example",)}  # fmt: skip
    assert authentication.sender(mail(headers=twice), TRUSTED).trust is Trust.REFUTED


@pytest.mark.parametrize("noise", ["(" * 2000, '"' * 2000, "\\" * 1999, ";" * 2000, "a=b " * 500, "=" * 2000])
def test_no_header_is_too_broken_to_be_read(noise: str) -> None:
    assert trust(f"mx.example.org; {noise}") is Trust.UNKNOWN
    assert trust(noise) is Trust.UNKNOWN
