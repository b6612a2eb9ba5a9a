"""Text from outside inside markdown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_lib.markdown import inline


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, 100 %", "plain text, 100 %"),
        ("two\nlines\r\nand\ttabs", "two lines and tabs"),
        ("*bold* _it_ `code`", r"\*bold\* \_it\_ \`code\`"),
        ("[click](http://evil.example)", r"\[click\]\(http\://evil.example\)"),
        ("see https://evil.example/x", r"see https\://evil.example/x"),
        ("@everyone <@1> #room", r"\@everyone \<\@1\> \#room"),
        ("<!-- aegis digest end -->", r"\<\!-- aegis digest end --\>"),
        ("<script>alert(1)</script>", r"\<script\>alert\(1\)\</script\>"),
        ("a\x1b[31mred\x00\u202egnp.exe\u200b", r"a\[31mredgnp.exe"),
        ("back\\slash | pipe ~~x~~ ||spoiler||", r"back\\slash \| pipe \~\~x\~\~ \|\|spoiler\|\|"),
        ("10:30 and http: alone", "10:30 and http: alone"),
        ("日本語 é ü", "日本語 é ü"),
    ],
)
def test_nothing_in_a_foreign_text_is_active(text: str, shown: str) -> None:
    assert inline(text) == shown


def test_a_long_text_is_cut_and_says_so() -> None:
    assert inline("x" * 201) == "x" * 199 + "…"
    assert inline("x" * 200) == "x" * 200
    assert inline("a " * 500, 20) == "a a a a a a a a a a…"


@given(st.text(max_size=400))
def test_any_text_becomes_one_bounded_line_that_can_be_encoded(text: str) -> None:
    shown = inline(text)
    assert len(shown.splitlines()) <= 1
    assert len(shown) <= 2 * 200 + 50
    shown.encode("utf-8")
