"""Plots: what is drawn, what is never drawn, and that nothing of a stranger becomes part of the page."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_lib import plot

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"
numbers = st.none() | st.floats()


def every(minutes: float, values: list[float | None]) -> list[tuple[datetime, float | None]]:
    return [(START + timedelta(minutes=minutes * n), value) for n, value in enumerate(values)]


def parsed(drawn: str) -> ElementTree.Element:
    return ElementTree.fromstring(drawn)


def curve(drawn: str) -> str:
    """The path of the newest line."""
    return [p.attrib["d"] for p in parsed(drawn).iter(f"{SVG}path") if "stroke-width" in p.attrib][-1]


def test_a_sparkline_goes_from_the_lowest_block_to_the_highest() -> None:
    assert plot.sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"


def test_a_sparkline_keeps_a_short_spike_and_shows_a_gap_as_a_space() -> None:
    values: list[float | None] = [1.0] * 400
    values[210] = 50.0
    values[300:340] = [None] * 40
    line = plot.sparkline(values, 40)
    assert len(line) == 40
    assert line.count("█") == 1
    assert line[30:34] == "    "


def test_a_sparkline_of_nothing_is_empty_and_of_one_level_is_flat() -> None:
    assert plot.sparkline([]) == plot.sparkline([None, math.nan]) == ""
    assert plot.sparkline([5, 5, 5]) == "▄▄▄"


def test_no_line_crosses_a_gap() -> None:
    drawn = plot.line([plot.Line(every(5, [1, 2, None, 4, 5]))], title="x")
    assert curve(drawn).count("M") == 2


def test_points_too_far_apart_are_not_joined() -> None:
    points = [*every(1, [1, 2]), (START + timedelta(hours=1), 3.0)]
    joined = plot.line([plot.Line(points)], title="x")
    torn = plot.line([plot.Line(points)], title="x", longest_gap=timedelta(minutes=10))
    assert (curve(joined).count("M"), curve(torn).count("M")) == (1, 2)


def test_many_points_are_thinned_and_the_spike_stays() -> None:
    values: list[float | None] = [10.0] * 20_000
    values[12_345] = 900.0
    drawn = plot.line([plot.Line(every(1, values))], title="x", unit="ms")
    assert len(drawn) < 12_000
    heights = [float(y) for _, y in re.findall(r"([\d.]+) ([\d.]+)", curve(drawn))]
    assert min(heights) == 15.6  # 900 of 1000


def test_a_plot_says_in_words_what_it_shows() -> None:
    svg = parsed(plot.line([plot.Line(every(60, [120, 80, 1500]))], title="shop", unit="ms"))
    assert svg.attrib["role"] == "img"
    assert svg.findtext(f"{SVG}title") == "shop"
    assert svg.findtext(f"{SVG}desc") == (
        "2026-03-01 08:00 to 2026-03-01 10:00 UTC: 3 values, lowest 80 ms, highest 1.5 s, newest 1.5 s."
    )


def test_a_plot_without_values_says_no_data() -> None:
    for drawn in (plot.line([], title="x"), plot.line([plot.Line(every(1, [None]))], title="x")):
        assert "no data" in "".join(parsed(drawn).itertext())


def test_incidents_are_shaded_and_anomalies_marked_only_where_they_are_within() -> None:
    hour = timedelta(hours=1)
    svg = parsed(
        plot.line(
            [plot.Line(every(10, [1, 2, 3, 4, 5, 6, 7]))],
            title="x",
            spans=[
                plot.Span(START + hour / 2, None, "down"),
                plot.Span(START - 2 * hour, START - hour, "old"),
            ],
            marks=[plot.Mark(START + hour / 3, 3, "odd"), plot.Mark(START + 9 * hour, 3, "late")],
        )
    )
    assert [r.findtext(f"{SVG}title") for r in svg.iter(f"{SVG}rect")] == ["down"]
    assert [c.findtext(f"{SVG}title") for c in svg.iter(f"{SVG}circle")] == ["odd"]


def test_bars_show_the_share_that_was_bad_and_never_hide_a_minute_of_it() -> None:
    cells = [plot.Cell(1, "fine"), plot.Cell(0.999, "a blip"), plot.Cell(0, "gone"), plot.Cell(None, "")]
    svg = parsed(plot.bars(cells, title="shop", height=28))
    assert svg.findtext(f"{SVG}desc") == "4 bars: 1 wholly good, 2 not, 1 unknown."
    assert [g.findtext(f"{SVG}title") for g in svg.iter(f"{SVG}g")] == ["a blip", "gone"]
    tall = [re.search(r"v-([\d.]+)h", list(g)[2].attrib["d"]) for g in svg.iter(f"{SVG}g")]
    assert [found and found[1] for found in tall] == ["4.0", "28.0"]


def test_ninety_good_days_are_one_small_shape() -> None:
    assert len(plot.bars([plot.Cell(1, "2026-03-01: 100 %")] * 90, title="shop")) < 3_000


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [(1500, "ms", "1.5 s"), (90, "ms", "90 ms"), (2_340_000, "bytes", "2.34 MB"), (0, "%", "0 %"),
     (99.95, "%", "100 %"), (1234, "", "1.23 k"), (-3, "", "-3"), (1e300, "ms", "1e+300 ms"),
     (math.inf, "ms", "-"), (0.5, "seconds", "0.5 s")],
)  # fmt: skip
def test_numbers_are_written_for_people(value: float, unit: str, written: str) -> None:
    assert plot.amount(value, unit) == written


@given(st.lists(numbers, max_size=60), st.text(max_size=40))
def test_whatever_comes_in_every_plot_is_well_formed_and_holds_no_foreign_element(
    values: list[float | None], text: str
) -> None:
    text += "<script>alert(1)</script>\"'>&"
    span = plot.Span(START, None, text)
    for drawn in (
        plot.line([plot.Line(every(3, values), text)], title=text, unit="ms", spans=[span]),
        plot.spark(values, title=text),
        plot.bars([plot.Cell(value, text) for value in values], title=text),
    ):
        svg = parsed(drawn)
        assert {e.tag.removeprefix(SVG) for e in svg.iter()} <= {
            "svg", "title", "desc", "path", "rect", "text", "g", "circle",
        }  # fmt: skip
        assert "nan" not in "".join(e.attrib.get("d", "") for e in svg.iter()).lower()
        assert not {"style", "onload", "href"} & {name for e in svg.iter() for name in e.attrib}
    assert len(plot.sparkline(values)) <= 40
