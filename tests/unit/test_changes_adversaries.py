"""Pages that were made to hurt whoever reads them: they cost a bounded time, and never an error."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_lib.changes import extraction, markup
from aegis_lib.changes.charset import decoded
from aegis_lib.changes.model import ContentRules
from aegis_lib.changes.policy import compare, read
from aegis_lib.changes.selectors import Selector

RULES = ContentRules(watch=True)
STRICT = ContentRules(
    watch=True, selector="div div p, main > div .x[data-a^=b]", ignore_selectors=("ul li",),
    ignore_patterns=(r"(a+)+$", r"(x|xx)*y"),
)  # fmt: skip
SIZE = 60_000
CPU_SECONDS = 3.0
"""Far beyond what any of them takes alone (under 0.3 s): others use the machine, too."""

REPEATED = (
    "<div>",
    "<b><p>",
    "<a href=x>",
    "<p>x</p>",
    "<",
    "<a ",
    '<a b="',
    "&",
    "<!--",
    "<![CDATA[",
    "<script>",
    "<svg>",
    "<table><tr><td>1",
    "1",
    "12 ",
    "0123456789abcdef ",
    "12:34:56 ",
    "Updated 12 May 2026 14:00, ",
    "1,",
    "a1-",
    "a few minutes ago ",
    "request id: ",
    "ends in 3 days ",
    "&#1114111;",
    "</span>",
    "<select><option>x",
    "\u202e",
    "<div><h3>Related</h3>",
    "<div><small>Ad</small>x</div>",
    "A. ",
    "$1.000.",
    "aaaaaaaa",
    "x",
    "\n",
    "<br>x",
)

PIECES = [
    *[
        "<p>",
        "</p>",
        "<main>",
        "</main>",
        "<b>",
        "x5",
        "<h3>Related</h3>",
        "<td>",
        "<a>",
        "</a>",
        "</div>",
        "<title>",
        "<nav>",
        "&amp",
        "<!--",
        "-->",
        '"',
    ],
    "<div class=ad>",
]


@pytest.mark.parametrize("piece", REPEATED)
@pytest.mark.parametrize("rules", [RULES, STRICT], ids=["plain", "strict"])
def test_whatever_is_repeated_takes_bounded_time(piece: str, rules: ContentRules) -> None:
    text = piece * (SIZE // len(piece))
    began = time.process_time()
    before = read(text.encode(), "text/html", rules)
    after = read((text[:-500] + " other words").encode(), "text/html", rules)
    compare(before, after, rules)
    assert time.process_time() - began < CPU_SECONDS
    assert sum(map(len, before.lines)) <= extraction.MOST_LETTERS + extraction.LONGEST_LINE


@pytest.mark.parametrize(
    "tag",
    [
        " ".join(f"a{n}=1" for n in range(40_000)),
        " ".join(f'a{n}=">"' for n in range(40_000)),
        " ".join(f"a{n}" for n in range(40_000)),
        'class="' + "a " * 90_000 + '"',
    ],
    ids=["values", "closing-signs", "bare", "classes"],
)
def test_a_tag_of_too_many_attributes_is_read_as_its_name(tag: str) -> None:
    began = time.process_time()
    found = read(f"<p>a</p><div {tag}>b</div><p>c</p>".encode(), "text/html", RULES)
    assert time.process_time() - began < CPU_SECONDS
    assert found.lines == ("a", "b", "c")


def test_a_page_too_deep_or_too_long_is_cut_and_says_so() -> None:
    deep = read(b"<p>top</p>" + b"<div>" * 5_000 + b"x", "text/html", RULES)
    assert (deep.lines, deep.cut) == (("top",), True)
    long = read(b"".join(b"<p>line %d</p>" % n for n in range(20_000)), "text/html", RULES)
    assert (len(long.lines), long.cut) == (extraction.MOST_LINES, True)
    assert read(b"a" * (extraction.LARGEST_BYTES + 1), "text/plain", RULES).cut


def test_no_entity_of_the_page_is_believed() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b SYSTEM "file:///etc/passwd">]><p>&a;&b;&lt;b&gt;</p>'
    assert read(bomb.encode(), "application/xhtml+xml", RULES).text.endswith("<b>")
    assert "root:" not in read(bomb.encode(), "text/html", RULES).text


def test_json_too_deep_for_a_parser_is_plain_text() -> None:
    found = read(b"[" * 100_000, "application/json", RULES)
    assert found.lines[0].startswith("[[[")


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("gr\u00fcn".encode("latin-1"), "text/html", "gr\u00fcn"),
        ("gr\u00fcn".encode("latin-1"), "text/html; charset=utf-8", "gr\u00fcn"),
        ("gr\u00fcn".encode(), "text/html; charset=nonsense", "gr\u00fcn"),
        ("gr\u00fcn".encode(), "text/html; charset=base64", "gr\u00fcn"),
        (b"\xff\xfe" + "gr\u00fcn".encode("utf-16-le"), "text/html", "gr\u00fcn"),
        (b"\xef\xbb\xbfabc", None, "abc"),
        (
            "<meta charset=windows-1251>\u0434\u0430".encode("cp1251"),
            "text/html",
            "<meta charset=windows-1251>\u0434\u0430",
        ),
        ("\u65e5\u672c".encode("shift-jis"), "text/html; charset=Shift_JIS", "\u65e5\u672c"),
        (b"\x93quoted\x94", "text/html; charset=iso-8859-1", "\u201cquoted\u201d"),
    ],
)
def test_letters_are_those_that_browsers_show(body: bytes, kind: str | None, text: str) -> None:
    assert decoded(body, kind) == text


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([None, "text/html", "application/json", "text/plain", "a/b"]))
def test_any_bytes_are_read_without_an_error(body: bytes, kind: str | None) -> None:
    found = read(body, kind, STRICT)
    assert compare(found, found, STRICT) is None
    found.stored().encode()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40))
def test_any_order_of_tags_is_read_without_an_error(pieces: list[str]) -> None:
    body = "".join(pieces).encode()
    for rules in (RULES, STRICT, ContentRules(whole_page=True)):
        before, after = read(body, "text/html", rules), read(body + b"<p>more", "text/html", rules)
        compare(before, after, rules)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab#.>[], *='\"^$~-x ", max_size=30))
def test_any_selector_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        selector = Selector.parsed(text)
        state, _ = selector.enter(selector.start, "a", {"id": "b"}, frozenset({"b"}))
        assert len(state) == len(selector.chains)


def test_what_stands_before_the_parser_keeps_ordinary_pages_as_they_are() -> None:
    html = "<p class='a>b' id=x>1 < 2 &amp; 3</p><a href=\"/x?a=1\">t</a>"
    assert markup.prepared(html) == html
