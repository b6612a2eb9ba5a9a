"""The content of a page as lines of text: what a reader would call its text, in the order of the page.

The page is a stranger's. It is parsed as a stream, without a tree: memory is that of its text, an element
costs the same wherever it stands, no entity of the page's own is known and nothing is fetched. It must not
decide what is noise inside a line (`noise.py`) nor compare.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from aegis_lib.changes import markup
from aegis_lib.changes.charset import decoded
from aegis_lib.changes.model import ContentRules, Noise
from aegis_lib.changes.selectors import Selector

LARGEST_BYTES = 2 * 1024 * 1024
MOST_LINES = 5_000
LONGEST_LINE = 1_000
_CHUNK_BYTES = 32_768
_LONG_PARAGRAPH = 240
_LEAST_SHARE = 0.25
MOST_ELEMENTS = 100_000
MOST_LETTERS = 300_000
DEEPEST = 500
_ADVERT_LETTERS = 600
_SENTENCE = re.compile(r"(?<=[.!?\u2026]) +(?=[\"'(\u201c\u00ab]?[A-Z\u00c0-\u00de0-9])")
_ODD = re.compile(
    "[\\x00-\\x08\\x0e-\\x1b\\x7f-\\x84\\x86-\\x9f\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ue000-\uf8ff]+"
)
_WORDY = ("text/", "application/xhtml", "application/xml", "application/rss", "application/atom")


@dataclass(frozen=True)
class Extracted:
    """The lines of a page. `verbatim`: nothing of them is noise, because they are about bytes."""

    lines: tuple[str, ...]
    title: str = ""
    found: bool = True
    cut: bool = False
    verbatim: bool = False


def extracted(body: bytes, content_type: str | None, rules: ContentRules) -> Extracted:
    """Lines of a page, of JSON (`a.b: value` each), of plain text; of anything else its size and checksum."""
    kind = (content_type or "").split(";")[0].strip().lower()
    cut = len(body) > LARGEST_BYTES
    checksum = sha256(body).hexdigest()
    if not _is_text(kind, body):
        name = kind or "unknown content"
        return Extracted((f"{name}, {len(body)} bytes, sha256-{checksum}",), verbatim=True)
    text = decoded(body[:LARGEST_BYTES], content_type)
    if kind.endswith("json"):
        found = _of_json(text)
        if found is not None:
            lines, more = _bounded(found)
            return Extracted(lines, cut=cut or more)
    if (
        kind in {"text/plain", "text/csv", "text/markdown"}
        or (not kind and "<" not in text[:1_000])
        or kind.endswith("json")
    ):
        lines, more = _bounded(filter(None, map(clean, text.splitlines())))
        return Extracted(lines, cut=cut or more)
    return _of_html(text, rules, cut)


def _is_text(kind: str, body: bytes) -> bool:
    if kind:
        return kind.startswith(_WORDY) or kind.endswith(("json", "+xml", "javascript"))
    start = body[:1_000]
    return start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" not in start


def _of_json(text: str) -> list[str] | None:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    lines: list[str] = []
    waiting: list[tuple[str, Any]] = [("", content)]
    while waiting and len(lines) <= MOST_LINES:
        place, value = waiting.pop()
        if isinstance(value, dict):
            inside = [(f"{place}.{key}" if place else str(key), held) for key, held in sorted(value.items())]
            waiting.extend(reversed(inside))
        elif isinstance(value, list):
            waiting.extend((f"{place}[]", held) for held in reversed(value))
        else:
            shown = clean(value) if isinstance(value, str) else json.dumps(value)
            lines.append(f"{clean(place[-300:])}: {shown}" if place else shown)
    return lines


def _of_html(text: str, rules: ContentRules, cut: bool) -> Extracted:
    from lxml import etree

    page = _Page(rules)
    parser = etree.HTMLParser(
        target=page, encoding="utf-8", no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
    )
    prepared = markup.prepared(text).encode("utf-8", "replace")
    try:
        for start in range(
            0, len(prepared), _CHUNK_BYTES
        ):  # so that too long a page is not parsed to its end
            parser.feed(prepared[start : start + _CHUNK_BYTES])
        parser.close()
    except (_Enough, etree.XMLSyntaxError):
        cut = cut or page.elements > 0  # too long or too deep: what came before counts
    pieces, found = page.content()
    lines, more = _bounded(_lines("".join(pieces)))
    title = "" if rules.selector else clean(page.title)[:LONGEST_LINE]
    return Extracted(lines, title, found, cut or more)


class _Enough(Exception):
    """The page is longer than any that is worth reading."""


@dataclass(slots=True)
class _Frame:
    """An open element."""

    name: str
    hidden: bool
    start: int
    links: int
    main: bool = False
    article: bool = False
    fits: bool = False
    states: tuple[tuple[tuple[int, int], ...], ...] = ()
    forget_from: int | None = None
    forget_after: int = 0
    forget_links: int = 0
    is_advert: bool = False


@dataclass
class _Ranges:
    """Places in the list of pieces, outermost elements only."""

    held: list[tuple[int, int]] = field(default_factory=list)
    open: int = 0

    def text(self, pieces: list[str]) -> list[str]:
        return [piece for start, end in self.held for piece in ["\n", *pieces[start:end]]]


class _Page:
    """What lxml's parser calls for every tag and text, in order."""

    def __init__(self, rules: ContentRules) -> None:
        self.title = ""
        self.elements = 0
        self._keep_around = rules.whole_page or rules.selector is not None
        self._keep_adverts = Noise.ADVERTISEMENTS in rules.keep
        self._selector = Selector.parsed(rules.selector) if rules.selector else None
        self._selectors = [
            *([self._selector] if self._selector else []),
            *map(Selector.parsed, rules.ignore_selectors),
        ]
        self._pieces: list[str] = []
        self._letters = 0
        self._link_letters = 0
        self._open: list[_Frame] = []
        self._in_title = self._in_link = 0
        self._chosen, self._main, self._articles = _Ranges(), _Ranges(), _Ranges()

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self.elements += 1
        if self.elements > MOST_ELEMENTS or self._letters > MOST_LETTERS or len(self._open) > DEEPEST:
            raise _Enough
        above = self._open[-1] if self._open else None
        states = above.states if above else tuple(one.start for one in self._selectors)
        frame = _Frame(name, above.hidden if above else False, len(self._pieces), self._link_letters)
        if self._selectors and not frame.hidden:
            classes = frozenset(attributes.get("class", "").split())
            entered = [
                one.enter(state, name, attributes, classes)
                for one, state in zip(self._selectors, states, strict=True)
            ]
            frame.states = tuple(state for state, _ in entered)
            fits = [fit for _, fit in entered]
            frame.fits = self._selector is not None and fits[0]
            if any(fits[1 if self._selector else 0 :]):
                frame.hidden = True
        if name == "title" and above is not None and above.name == "head":
            self._in_title += 1
            frame.hidden = True
        elif not frame.hidden:
            frame.hidden = self._is_left_out(name, attributes)
        if not frame.hidden:
            frame.main = name == "main" or attributes.get("role") == "main"
            frame.article = name == "article"
            for is_one, ranges in self._kinds(frame):
                ranges.open += is_one
            if name in markup.BLOCKS:
                self._pieces.append("\n")
            frame.start = len(self._pieces)
        self._in_link += name == "a" and not frame.hidden
        self._open.append(frame)

    def data(self, text: str) -> None:
        if self._in_title:
            if len(self.title) < LONGEST_LINE * 4:
                self.title += text
        elif self._open and not self._open[-1].hidden:
            self._pieces.append(text if self._open[-1].name == "pre" else text.replace("\n", " "))
            self._letters += len(text.strip())
            if self._in_link:
                self._link_letters += len(text.strip())

    def end(self, name: str) -> None:
        if not self._open:
            return
        frame = self._open.pop()
        if name == "title" and self._in_title:
            self._in_title -= 1
        if frame.hidden:
            return
        self._in_link -= name == "a" and self._in_link > 0
        self._leave_out_what_is_elsewhere(frame)
        if name in markup.HEADINGS and not self._keep_adverts:
            self._look_at_heading(frame)
        for is_one, ranges in self._kinds(frame):
            ranges.open -= is_one
            if is_one and not ranges.open:
                ranges.held.append((frame.start, len(self._pieces)))
        if name in markup.BLOCKS:
            self._pieces.append("\n")
        elif name in markup.CELLS:
            self._pieces.append(" | ")

    def close(self) -> None:
        while self._open:
            self.end(self._open[-1].name)

    def content(self) -> tuple[list[str], bool]:
        """The pieces of what counts, and whether the selector fitted anything."""
        self.close()
        if self._selector is not None:
            return self._chosen.text(self._pieces), bool(self._chosen.held)
        if self._keep_around:
            return self._pieces, True
        total = _size(self._pieces)
        for ranges in (self._main, self._articles):
            part = ranges.text(self._pieces)
            if part and _size(part) >= total * _LEAST_SHARE:
                return part, True
        return self._pieces, True

    def _kinds(self, frame: _Frame) -> Iterator[tuple[bool, _Ranges]]:
        yield frame.main, self._main
        yield frame.article, self._articles
        yield frame.fits, self._chosen

    def _is_left_out(self, name: str, attributes: Mapping[str, str]) -> bool:
        if markup.is_hidden(name, attributes):
            return True
        if not self._keep_adverts and markup.is_advertisement(name, attributes):
            return True
        if self._keep_around or not markup.is_around(name, attributes):
            return False
        inside = self._main.open or self._articles.open
        return not (name == "header" and inside)  # the header of an article is its title

    def _look_at_heading(self, frame: _Frame) -> None:
        """A line that heads an advertisement or links to other pages: its parent may end there."""
        if not self._open or len(self._pieces) - frame.start > 20:
            return
        around = self._open[-1]
        if around.name in markup.WHOLES or around.forget_from is not None or self._selector is not None:
            return
        text = clean("".join(self._pieces[frame.start :]))
        is_advert = markup.labels_an_advertisement(text)
        if is_advert or markup.heads_what_is_elsewhere(text):
            around.forget_from, around.forget_after = frame.start, len(self._pieces)
            around.forget_links, around.is_advert = self._link_letters, is_advert

    def _leave_out_what_is_elsewhere(self, frame: _Frame) -> None:
        """What stands under such a line goes when it is short and an advertisement, or nearly all links."""
        if frame.forget_from is None:
            return
        under = _size(self._pieces[frame.forget_after :])
        links = self._link_letters - frame.forget_links
        if (frame.is_advert and under <= _ADVERT_LETTERS) or links * 2 >= under > 0:
            del self._pieces[frame.forget_from :]


def _size(pieces: list[str]) -> int:
    return sum(len(piece.strip()) for piece in pieces)


def clean(text: str) -> str:
    """One line without control signs, signs that turn the direction of writing, and invisible ones."""
    return " ".join(_ODD.sub("", text).split())


def _lines(text: str) -> Iterator[str]:
    for row in text.split("\n"):
        line = clean(row).strip("| ")
        if len(line) > _LONG_PARAGRAPH:
            yield from _SENTENCE.split(line)
        elif line:
            yield line


def _bounded(lines: Any) -> tuple[tuple[str, ...], bool]:
    kept: list[str] = []
    room = MOST_LETTERS
    for text in lines:
        for start in range(0, len(text), LONGEST_LINE):
            if len(kept) == MOST_LINES or room <= 0:
                return tuple(kept), True
            kept.append(text[start : start + LONGEST_LINE])
            room -= len(kept[-1])
    return tuple(kept), False
