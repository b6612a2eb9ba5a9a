"""Addresses that are not of the public internet are told apart, also in disguise."""

from __future__ import annotations

import pytest

from aegis_lib.web.addresses import inner


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822", "::ffff:8.8.8.8"]
)
def test_a_public_address_is_public(address: str) -> None:
    assert inner(address) is None


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1", "an address of this machine itself"),
        ("::1", "an address of this machine itself"),
        ("10.1.2.3", "a private address"),
        ("64:ff9b:1::7f00:1", "an address of this machine itself"),
        ("172.16.0.1", "a private address"),
        ("192.168.1.1", "a private address"),
        ("100.64.0.1", "a private address"),
        ("fd00::1", "a private address"),
        ("169.254.169.254", "a link-local address"),
        ("fe80::1%eth0", "a link-local address"),
        ("224.0.0.1", "a multicast address"),
        ("0.0.0.0", "no address to connect to"),
        ("::ffff:127.0.0.1", "an address of this machine itself"),
        ("::127.0.0.1", "an address of this machine itself"),
        ("::ffff:10.0.0.1", "a private address"),
        ("64:ff9b::a00:1", "a private address"),
        ("2002:a00:1::1", "a private address"),
        ("not an address", "no internet address"),
    ],
)
def test_an_inner_address_is_named_for_what_it_is(address: str, words: str) -> None:
    assert inner(address) == words
