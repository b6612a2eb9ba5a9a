"""Letters that pass for others."""
# ruff: noqa: RUF001 - look-alike letters are what is tested

from __future__ import annotations

import pytest

from aegis_lib.mail import letters


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("URGENT", "urgent"),
        ("URGЕNT", "urgent"),  # a Cyrillic Е
        ("pаypоint", "paypoint"),
        ("in\u200bvo\u00adice", "invoice"),
        ("ｉｎｖｏｉｃｅ", "invoice"),
        ("срочно", "срочно"),  # a Russian word is a Russian word
        ("срочно urgent", "срочно urgent"),
        ("Straße", "strasse"),
        ("", ""),
    ],
)
def test_words_are_read_as_they_look(text: str, expected: str) -> None:
    assert letters.folded(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Kettle Pаy", ("Pаy",)),
        ("срочно urgent", ()),
        ("Ελλάδα and Greece", ()),
        ("plain", ()),
        ("Übersicht", ()),
    ],
)
def test_only_words_that_mix_alphabets_are_suspicious(text: str, expected: tuple[str, ...]) -> None:
    assert letters.mixed_words(text) == expected


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("birch.example", "blrch.example", True),
        ("birch.example", "bіrch.example", True),
        ("birch.example", "xn--brch-n4a.example", False),
        ("birch.example", "xn--brch-t1d.example", False),
        ("modern.example", "modem.example", True),
        ("example.org", "examp1e.org", True),
        ("birch.example", "larch.example", False),
        ("xn--\u0000.example", "birch.example", False),
    ],
)
def test_hosts_that_look_alike_have_one_skeleton(one: str, other: str, alike: bool) -> None:
    assert (letters.skeleton(one) == letters.skeleton(other)) is alike


def test_a_disguised_host_is_recognised_in_punycode() -> None:
    disguised = "xn--" + "bіrch".encode("punycode").decode() + ".example"
    assert letters.skeleton(disguised) == letters.skeleton("birch.example")
