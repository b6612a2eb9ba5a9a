"""Small plots as SVG text, and sparklines of block characters. Pure: reads no clock, no file, no setting.

A plot takes its colours from the page around it (`--plot-line`, `--plot-good`, ... and `currentColor`) and
has readable ones of its own where there is none, so that the same text stands in a page and in a file. It
holds no `style` attribute, no script and no reference to anything outside; every text in it is escaped. Each
has a title and a description in words for people who do not see it. A value of None, NaN or infinity (or
beyond 1e300) is a gap: it is never drawn as zero, and no line crosses it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from typing import TypeGuard, TypeVar

T = TypeVar("T")
Points = Sequence[tuple[datetime, float | None]]
_BLOCKS = "▁▂▃▄▅▆▇█"
_STEPS = tuple(
    timedelta(minutes=minutes)
    for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7200, 14400, 20160, 43200)
)
_LARGEST = 1e300  # so that no sum or difference of two values overflows
_ROUND = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 12)
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 8.0, 6.0, 18.0  # room for the axes, in the plot's own units


@dataclass(frozen=True)
class Line:
    """One line of a plot: points in ascending time; `dashed` for what was expected rather than measured."""

    points: Points
    label: str = ""
    dashed: bool = False


@dataclass(frozen=True)
class Span:
    """A stretch of time to be shaded, such as an incident; without an end it goes to the plot's edge."""

    start: datetime
    end: datetime | None
    label: str


@dataclass(frozen=True)
class Mark:
    """One point to be pointed out, such as an anomaly."""

    at: datetime
    value: float
    label: str


@dataclass(frozen=True)
class Cell:
    """One bar of a row: `good` is the share (0 to 1) that was good, None where nothing is known."""

    good: float | None
    label: str


def sparkline(values: Sequence[float | None], width: int = 40) -> str:
    """Values as at most `width` block characters from the lowest to the highest; a gap is a space.

    With more values than characters, each character shows the value farthest from the mean of all, so that a
    short spike does not disappear.
    """
    known = [value for value in values if _known(value)]
    if not known or width < 1:
        return ""
    low, high, mean = min(known), max(known), math.fsum(value / len(known) for value in known)
    return "".join(_block(_farthest(some, mean), low, high) for some in _parts(values, width))


def line(
    lines: Sequence[Line],
    *,
    title: str,
    unit: str = "",
    description: str = "",
    start: datetime | None = None,
    end: datetime | None = None,
    spans: Sequence[Span] = (),
    marks: Sequence[Mark] = (),
    longest_gap: timedelta | None = None,
    width: int = 360,
    height: int = 120,
) -> str:
    """A plot over time as one `<svg>`; `start` and `end` default to those of the points.

    Points farther apart than `longest_gap` are not joined. More points than the plot is wide are drawn by
    their lowest and highest in each column, so that no spike is lost. `width` and `height` are in pixels at
    which the letters are of ordinary size. Without any known value the plot says so.
    """
    times = [at for one in lines for at, _ in one.points]
    known = [value for one in lines for _, value in one.points if _known(value)]
    first, last = start or min(times, default=None), end or max(times, default=None)
    if first is None or last is None or not known:
        return _svg(
            width, height, title, description or "No data.", [_words(width / 2, height / 2, "no data")]
        )
    if last <= first:
        last = first + timedelta(minutes=1)
    low, high = _range([*known, *(mark.value for mark in marks if _known(mark.value))])
    scale = _Scale(first, last, low, high, width, height)
    inside = [value for one in lines for at, value in one.points if first <= at <= last and _known(value)]
    drawn = [
        *(
            scale.shade(span)
            for span in spans
            if span.start < last and (span.end is None or span.end > first)
        ),
        *scale.levels(unit),
        *scale.moments(),
        *(scale.curve(one, longest_gap) for one in lines),
        *(scale.dot(mark) for mark in marks if first <= mark.at <= last and _known(mark.value)),
    ]
    return _svg(width, height, title, description or _told(inside, first, last, unit), drawn)


def spark(values: Sequence[float | None], *, title: str, width: int = 120, height: int = 24) -> str:
    """A line without axes as one `<svg>`, evenly spaced, to stand within a row of text."""
    known = [value for value in values if _known(value)]
    if not known:
        return _svg(width, height, title, "No data.", [])
    low, high = min(known), max(known)
    across = (width - 4) / max(len(values) - 1, 1)
    up = (height - 6) / (high - low) if high > low else 0.0
    runs = _runs([(2 + n * across, value) for n, value in enumerate(values)])
    spots = [
        [(x, height - 3 - (value - low) * up if up else height / 2) for x, value in _thinned(run, width)]
        for run in runs
    ]
    told = f"{len(known)} values, lowest {amount(low)}, highest {amount(high)}, newest {amount(known[-1])}."
    return _svg(width, height, title, told, [_path(spots, dashed=False)])


def bars(
    cells: Sequence[Cell], *, title: str, description: str = "", width: int = 360, height: int = 28
) -> str:
    """One bar for each stretch of time as one `<svg>`; what was bad stands from the bottom, by its share.

    A stretch of which nothing is known is a short stub. Bars that are wholly good are drawn as one shape and
    only the others have a label of their own, which keeps a page of many such rows small.
    """
    if not cells:
        return _svg(width, height, title, "No data.", [])
    step = width / len(cells)
    wide = max(step - min(1.5, step / 4), 0.5)
    good, unknown, bad = [], [], []
    for n, cell in enumerate(cells):
        x = n * step
        if cell.good is None or not math.isfinite(cell.good):
            unknown.append(f"M{x:.1f} {height}h{wide:.1f}v-4h-{wide:.1f}z")
        elif cell.good >= 1:
            good.append(f"M{x:.1f} 0h{wide:.1f}v{height}h-{wide:.1f}z")
        else:
            bad.append(_bad_bar(x, wide, height, cell))
    shapes = [
        f'<path fill="var(--plot-good,#2e9e5b)" d="{"".join(good)}"/>' if good else "",
        f'<path fill="var(--plot-none,#98a2ad)" d="{"".join(unknown)}"/>' if unknown else "",
        *bad,
    ]
    known = [cell.good for cell in cells if cell.good is not None and math.isfinite(cell.good)]
    fine = sum(share >= 1 for share in known)
    told = f"{len(cells)} bars: {fine} wholly good, {len(bad)} not, {len(unknown)} unknown."
    return _svg(width, height, title, description or told, shapes)


def amount(value: float, unit: str = "") -> str:
    """A number for people, about three digits: 1500 `ms` is `1.5 s`, 2300000 `bytes` are `2.3 MB`."""
    if not math.isfinite(value):
        return "-"
    size = abs(value)
    if size >= 1e15:
        return f"{value:.2g} {unit}".strip()
    if unit == "ms" and size >= 1000:
        return f"{_digits(value / 1000)} s"
    if unit == "seconds":
        return f"{_digits(value)} s"
    prefixes = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
    prefix = next(((by, letter) for by, letter in prefixes if size >= by), (1.0, ""))
    short = {"bytes": "B", "bytes/s": "B/s"}.get(unit, unit)
    return f"{_digits(value / prefix[0])} {prefix[1]}{short}".strip()


@dataclass(frozen=True)
class _Scale:
    """Where a moment and a value stand in a plot."""

    first: datetime
    last: datetime
    low: float
    high: float
    width: float
    height: float

    def x(self, at: datetime) -> float:
        share = (at - self.first) / (self.last - self.first)
        return _LEFT + min(max(share, 0.0), 1.0) * (self.width - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.height - _BOTTOM - share * (self.height - _TOP - _BOTTOM)

    def shade(self, span: Span) -> str:
        x, until = self.x(span.start), self.x(span.end or self.last)
        return (
            f'<rect x="{x:.1f}" y="{_TOP}" width="{max(until - x, 1):.1f}" '
            f'height="{self.height - _TOP - _BOTTOM:.1f}" fill="var(--plot-bad,#d1344b)" fill-opacity=".22">'
            f"<title>{_text(span.label)}</title></rect>"
        )

    def levels(self, unit: str) -> Iterator[str]:
        for value in (self.low, (self.low + self.high) / 2, self.high):
            y = self.y(value)
            yield _rule(f"M{_LEFT} {y:.1f}H{self.width - _RIGHT:.1f}", ".18")
            yield _words(_LEFT - 4, y + 3.5, amount(value, unit), anchor="end")

    def moments(self) -> Iterator[str]:
        length = self.last - self.first
        step = next((step for step in _STEPS if length / step <= 4.5), length)
        clock = length <= timedelta(hours=36)
        epoch = datetime(2000, 1, 3, tzinfo=UTC)
        at = epoch + math.ceil((self.first - epoch) / step) * step
        while at <= self.last:
            x = self.x(at)
            label = f"{at:%H:%M}" if clock else f"{at.day} {at:%b}"
            yield _rule(f"M{x:.1f} {self.height - _BOTTOM:.1f}v3", ".5")
            room = min(max(x, _LEFT + 10), self.width - 16)
            yield _words(room, self.height - 4, label)
            at += step

    def curve(self, one: Line, longest_gap: timedelta | None) -> str:
        columns = int(self.width - _LEFT - _RIGHT)
        inside = [(at, value) for at, value in one.points if self.first <= at <= self.last]
        joined = _torn(inside, longest_gap)
        runs = _runs([(self.x(at), value) for at, value in joined])
        spots = [[(x, self.y(value)) for x, value in _thinned(run, columns)] for run in runs]
        return _path(spots, dashed=one.dashed, label=one.label)

    def dot(self, mark: Mark) -> str:
        return (
            f'<circle cx="{self.x(mark.at):.1f}" cy="{self.y(mark.value):.1f}" r="3.5" '
            'fill="var(--plot-bad,#d1344b)" stroke="var(--plot-paper,#fff)">'
            f"<title>{_text(mark.label)}</title></circle>"
        )


def _svg(width: int, height: int, title: str, description: str, inside: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" fill="none"><title>{_text(title)}</title><desc>{_text(description)}</desc>'
        f"{''.join(inside)}</svg>"
    )


def _rule(drawn: str, opacity: str) -> str:
    return f'<path d="{drawn}" stroke="currentColor" stroke-opacity="{opacity}"/>'


def _words(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="10.5" '
        f'font-family="system-ui,sans-serif" fill="currentColor">{_text(text)}</text>'
    )


def _path(runs: Sequence[Sequence[tuple[float, float]]], *, dashed: bool, label: str = "") -> str:
    drawn = "".join(
        "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in run) + ("h.1" if len(run) == 1 else "") for run in runs
    )
    colour = "var(--plot-expected,#7a8694)" if dashed else "var(--plot-line,#2563c9)"
    dashes = ' stroke-dasharray="4 3"' if dashed else ""
    named = f"<title>{_text(label)}</title>" if label else ""
    return (
        f'<path d="{drawn}" stroke="{colour}" stroke-width="1.5" stroke-linejoin="round" '
        f'stroke-linecap="round"{dashes}>{named}</path>'
    )


def _bad_bar(x: float, wide: float, height: int, cell: Cell) -> str:
    bad = 1 - min(max(cell.good or 0.0, 0.0), 1.0)
    tall = max(bad * height, 4.0)  # a minute of a day must be seen, too
    return (
        f'<g><title>{_text(cell.label)}</title><path fill="var(--plot-some,#d9a514)" '
        f'd="M{x:.1f} 0h{wide:.1f}v{height}h-{wide:.1f}z"/><path fill="var(--plot-bad,#d1344b)" '
        f'd="M{x:.1f} {height}h{wide:.1f}v-{tall:.1f}h-{wide:.1f}z"/></g>'
    )


def _text(text: str) -> str:
    """Escaped, and without the control characters that no XML may hold."""
    return escape("".join(c if c.isprintable() else " " for c in text), quote=True)


def _told(known: Sequence[float], first: datetime, last: datetime, unit: str) -> str:
    span = f"{first.astimezone(UTC):%Y-%m-%d %H:%M} to {last.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if not known:
        return f"{span}: no data."
    numbers = f"lowest {amount(min(known), unit)}, highest {amount(max(known), unit)}"
    return f"{span}: {len(known)} values, {numbers}, newest {amount(known[-1], unit)}."


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value) and abs(value) <= _LARGEST


def _digits(value: float) -> str:
    places = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    return f"{value:.{places}f}".rstrip("0").rstrip(".") if places else f"{value:.0f}"


def _range(known: Sequence[float]) -> tuple[float, float]:
    """Round numbers around all values; from zero where that wastes little of the plot; never empty."""
    low, high = min(known), max(known)
    if 0 <= low <= 0.6 * high:
        low = 0.0
    if high - low > 1e-300:
        unit = 10.0 ** math.floor(math.log10(high - low))
        if low == 0:
            return low, next(round_ * unit for round_ in _ROUND if round_ * unit >= high)
        return math.floor(low / unit) * unit, math.ceil(high / unit) * unit
    if high > low:
        return low, high
    room = abs(high) * 0.1 or 1.0
    return (low - room, high + room) if low else (0.0, high + room)


def _torn(points: Points, longest_gap: timedelta | None) -> list[tuple[datetime, float | None]]:
    """The same points, with a gap where two lie too far apart."""
    if longest_gap is None:
        return list(points)
    torn: list[tuple[datetime, float | None]] = []
    for at, value in points:
        if torn and at - torn[-1][0] > longest_gap:
            torn.append((at, None))
        torn.append((at, value))
    return torn


def _runs(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """The stretches between the gaps."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, value in points:
        if _known(value):
            runs[-1].append((x, value))
        else:
            runs.append([])
    return [run for run in runs if run]


def _thinned(run: Sequence[tuple[float, float]], columns: int) -> list[tuple[float, float]]:
    """The lowest and the highest of each column, in their order; all, where there are few."""
    if len(run) <= 2 * columns:
        return list(run)
    kept: list[tuple[float, float]] = []
    for some in _parts(run, columns):
        both = {
            min(range(len(some)), key=lambda n: some[n][1]),
            max(range(len(some)), key=lambda n: some[n][1]),
        }
        kept += [some[n] for n in sorted(both)]
    return kept


def _parts(values: Sequence[T], most: int) -> list[Sequence[T]]:
    count = min(len(values), most)
    return [values[n * len(values) // count : (n + 1) * len(values) // count] for n in range(count)]


def _farthest(some: Sequence[float | None], mean: float) -> float | None:
    known = [value for value in some if _known(value)]
    return max(known, key=lambda value: abs(value - mean)) if known else None


def _block(value: float | None, low: float, high: float) -> str:
    if value is None:
        return " "
    if high <= low:
        return _BLOCKS[3]
    share = (value - low) / (high - low)
    return _BLOCKS[round(share * (len(_BLOCKS) - 1))]
