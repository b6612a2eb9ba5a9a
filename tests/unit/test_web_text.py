"""Cutting messages: nothing is lost, nothing is too long, code blocks stay blocks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aegis_lib.web import text


def test_a_short_text_is_one_part() -> None:
    assert text.split("one\ntwo", 200) == ["one\ntwo"]


def test_an_empty_text_has_no_part() -> None:
    assert text.split(" \n ", 200) == []


def test_lines_are_kept_whole_where_they_fit() -> None:
    lines = [f"line {number:03}" for number in range(60)]
    parts = text.split("\n".join(lines), 200)
    assert len(parts) > 1
    assert [line for part in parts for line in part.split("\n")] == lines


def test_a_cut_code_block_is_closed_and_opened_again() -> None:
    parts = text.split("\n".join(["```python", *(["x = 1"] * 40), "```", "after"]), 200)
    assert len(parts) > 1
    assert all(part.count("```") % 2 == 0 for part in parts)
    assert parts[0].startswith("```python\n")
    assert parts[1].startswith("```\nx = 1")


def test_a_fence_inside_a_longer_fence_does_not_close_it() -> None:
    parts = text.split("\n".join(["````", "```", *(["x"] * 200), "````"]), 200)
    assert all(part.startswith("````") and part.endswith("````") for part in parts[:-1])


def test_a_code_block_left_open_is_closed() -> None:
    assert text.split("```\nlog", 200) == ["```\nlog\n```"]


def test_a_line_that_is_too_long_is_cut_at_a_space() -> None:
    parts = text.split("word " * 100, 200)
    assert all(not part.startswith("ord") and part.strip().split(" ")[-1] == "word" for part in parts)


def test_what_is_left_out_is_said() -> None:
    parts = text.split("\n".join(["x" * 99] * 100), 200, most_parts=3)
    assert len(parts) == 3
    assert parts[-1].endswith("more characters not shown)")


def test_a_title_is_one_line_and_never_empty() -> None:
    assert text.one_line(" a\n b ", 50) == "a b"
    assert text.one_line("  ", 50) == "(untitled)"
    assert text.one_line("😀" * 50, 11) == "😀" * 5 + "…"


@given(st.text(max_size=3000), st.integers(200, 500))
def test_no_part_is_ever_longer_than_the_limit(body: str, limit: int) -> None:
    assert all(0 < text.size(part) <= limit for part in text.split(body, limit))


@given(st.text(alphabet="ab `~\n😀", max_size=2000))
def test_nothing_but_white_space_and_fences_changes(body: str) -> None:
    def kept(written: str) -> str:
        return "".join(written.split()).replace("`", "").replace("~", "")

    assert kept("".join(text.split(body, 200, most_parts=10_000))) == kept(body)


@given(st.text(max_size=200), st.integers(10, 100))
def test_a_title_always_fits(title: str, limit: int) -> None:
    assert 0 < text.size(text.one_line(title, limit)) <= limit
