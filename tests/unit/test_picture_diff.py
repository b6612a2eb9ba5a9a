"""How two images differ, where, and what does not count."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageDraw

from aegis_lib.adapters.picture_diff import MOST_PIXELS, TOLERANCE, Darkroom
from aegis_lib.pictures import policy
from aegis_lib.pictures.model import MOST_REGIONS, Comparison, Region

ROOM = Darkroom()
Box = tuple[int, int, int, int]


def png(image: Image.Image) -> bytes:
    written = io.BytesIO()
    image.save(written, "PNG")
    return written.getvalue()


def page(*boxes: Box, size: tuple[int, int] = (400, 300), colour: str = "black") -> bytes:
    """A white page with filled boxes: x, y, width, height."""
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    for x, y, width, height in boxes:
        pen.rectangle((x, y, x + width - 1, y + height - 1), fill=colour)
    return png(image)


def region(x: int, y: int, width: int, height: int) -> Region:
    return Region(x=x, y=y, width=width, height=height)


def opened(image: bytes) -> Image.Image:
    return Image.open(io.BytesIO(image)).convert("RGB")


def test_the_same_image_has_not_changed_even_when_it_is_stored_otherwise() -> None:
    image = page((10, 10, 50, 50))
    other = io.BytesIO()
    opened(image).save(other, "PNG", compress_level=0)
    assert other.getvalue() != image
    for again in (image, other.getvalue()):
        assert ROOM.compare(image, again) == Comparison(changed_ratio=0)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (399, 299), (200, 150), (15, 16), (399, 0)])
def test_one_pixel_is_found(x: int, y: int) -> None:
    found = ROOM.compare(page(), page((x, y, 1, 1)))
    assert found.changed_ratio == pytest.approx(1 / (400 * 300))
    (where,) = found.regions
    assert where.x <= x < where.x + where.width
    assert where.y <= y < where.y + where.height


def test_a_pixel_in_the_last_strip_of_a_long_page_is_found() -> None:
    size = (300, 5003)
    found = ROOM.compare(page(size=size), page((7, 5002, 1, 1), size=size))
    assert found.changed_ratio == pytest.approx(1 / (300 * 5003))
    assert found.regions[0].y + found.regions[0].height == 5003


def test_a_shade_below_the_tolerance_is_none() -> None:
    def grey(level: int) -> bytes:
        return png(Image.new("RGB", (50, 50), (100, level, 100)))

    assert ROOM.compare(grey(100), grey(100 + TOLERANCE)).changed_ratio == 0
    assert ROOM.compare(grey(100), grey(101 + TOLERANCE)).changed_ratio == 1


def test_changes_apart_are_places_of_their_own_the_largest_first() -> None:
    found = ROOM.compare(page(), page((16, 16, 16, 16), (200, 200, 64, 32)))
    assert found.regions == (region(192, 192, 80, 48), region(16, 16, 16, 16))
    near = ROOM.compare(page(), page((16, 16, 16, 16), (48, 16, 16, 16)))
    assert near.regions == (region(16, 16, 48, 16),)


def test_a_longer_page_has_changed_where_it_is_longer() -> None:
    found = ROOM.compare(page(size=(400, 300)), page(size=(400, 400)))
    assert (found.changed_ratio, found.regions) == (0.25, (region(0, 288, 400, 112),))
    assert opened(found.marked).size == (400, 400)
    assert ROOM.compare(page(size=(400, 400)), page(size=(400, 300))).changed_ratio == 0.25


def test_what_is_ignored_counts_neither_as_change_nor_as_page() -> None:
    before, after = page(), page((0, 0, 200, 300))
    assert ROOM.compare(before, after).changed_ratio == 0.5
    assert ROOM.compare(before, after, [region(0, 0, 200, 300)]).changed_ratio == 0
    assert ROOM.compare(before, after, [region(0, 0, 100, 300)]).changed_ratio == pytest.approx(1 / 3)
    assert ROOM.compare(before, after, [region(0, 0, 9000, 9000)]).changed_ratio == 0


def test_what_moves_between_two_looks_is_left_out_and_the_rest_is_not() -> None:
    before = page((0, 0, 20, 20))
    after, again = page((0, 0, 20, 20), (40, 0, 20, 20)), page((0, 0, 20, 20), (48, 0, 20, 20))
    assert ROOM.compare(before, after).changed_ratio > 0
    assert ROOM.compare_still(before, after, again).changed_ratio == 0
    also = page((0, 0, 20, 20), (40, 0, 20, 20), (200, 200, 20, 20))
    also_again = page((0, 0, 20, 20), (48, 0, 20, 20), (200, 200, 20, 20))
    found = ROOM.compare_still(before, also, also_again)
    assert found.changed_ratio == pytest.approx(400 / 120_000)
    assert ROOM.compare_still(before, after, after).changed_ratio == pytest.approx(400 / 120_000)


def test_within_the_frame_of_what_moves_nothing_is_a_change() -> None:
    def clock(*digits: int) -> bytes:
        return page(*((20 * n, 100, 5 + digit, 30) for n, digit in enumerate(digits)))

    assert ROOM.compare_still(clock(1, 2, 3, 4), clock(5, 6, 3, 9), clock(7, 6, 3, 2)).changed_ratio == 0


def test_the_marked_picture_shows_the_change_in_red_and_the_rest_faded() -> None:
    found = ROOM.compare(page(), page((100, 100, 30, 30)), [region(300, 200, 40, 40)])
    marked = opened(found.marked)
    red, green, blue = marked.getpixel((115, 115))  # type: ignore[misc]
    assert red > 120 > 2 * (green + blue)
    assert marked.getpixel((10, 10)) == (255, 255, 255)
    assert marked.getpixel((300, 220)) == (150, 150, 150)
    still = opened(ROOM.compare(page((5, 5, 9, 9)), page((5, 5, 9, 9), (99, 99, 9, 9))).marked)
    assert 100 < still.getpixel((8, 8))[0] < 255  # type: ignore[index]


def test_facts_have_a_small_picture_of_the_top() -> None:
    facts = ROOM.facts(page((0, 0, 1280, 400), size=(1280, 6000)))
    assert (facts.width, facts.height) == (1280, 6000)
    small = Image.open(io.BytesIO(facts.thumbnail))
    assert (small.size, small.format) == ((320, 400), "WEBP")
    assert len(facts.thumbnail) < 10_000
    assert Image.open(io.BytesIO(ROOM.facts(page(size=(200, 100))).thumbnail)).size == (200, 100)


@pytest.mark.parametrize(
    "image",
    [b"", b"<html>", b"\x89PNG\r\n\x1a\n", page()[:100], b"GIF89a" + bytes(30)],
    ids=["empty", "html", "head", "torn", "gif"],
)
def test_what_is_no_image_is_said(image: bytes) -> None:
    with pytest.raises(ValueError, match="no image"):
        ROOM.facts(image)
    with pytest.raises(ValueError):
        ROOM.compare(page(), image)


def test_an_image_that_would_fill_the_memory_is_refused_before_it_is_unpacked() -> None:
    bomb = png(Image.new("1", (20_000, MOST_PIXELS // 20_000 + 1)))
    assert len(bomb) < 100_000
    with pytest.raises(ValueError, match="too large"):
        ROOM.facts(bomb)


def test_places_are_few_and_quickly_found() -> None:
    scattered = [(x * 4, y * 4) for x in range(20) for y in range(20)]
    assert len(policy.regions(scattered, 16, 9999, 9999)) == 400
    dots = page(*((x * 60, y * 60, 4, 4) for x in range(10) for y in range(10)), size=(600, 600))
    assert len(ROOM.compare(page(size=(600, 600)), dots).regions) == MOST_REGIONS
    everywhere = [(x, y) for x in range(300) for y in range(300)]
    assert policy.regions(everywhere, 16, 4800, 4800) == (region(0, 0, 4800, 4800),)
    assert policy.regions([], 16, 10, 10) == ()
