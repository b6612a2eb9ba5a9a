"""The readable text of an HTML mail. Must not take longer than the text is long, whatever stands in it.

No parser of the standard library is used: on broken markup they look again and again at what follows. What an
element hides by its own style is left out: it was written for programs, not for the reader.
"""

from __future__ import annotations

import re
from collections import Counter
from html import unescape

_LONGEST_TAG = 4_000
_LONGEST_LINK = 300
_NAME = re.compile(r"/?[a-zA-Z][a-zA-Z0-9:-]*")
_HREF = re.compile(r"""\bhref\s{0,5}=\s{0,5}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_SKIPPED = {"script", "style", "title", "head", "svg", "template", "noscript"}
_BREAKING = {
    "p", "div", "br", "tr", "li", "ul", "ol", "table", "blockquote", "hr", "section", "article", "header",
    "footer", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "dt", "dd", "center",
}  # fmt: skip
_VOID = {
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr",
}  # fmt: skip
_CLOSED_BY_THE_NEXT = {"p", "li", "tr", "td", "th", "dt", "dd", "option"}
_STYLE = re.compile(r"""\sstyle\s{0,5}=\s{0,5}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_HIDES = re.compile(
    r"display\s{0,3}:\s{0,3}none|visibility\s{0,3}:\s{0,3}hidden|mso-hide\s{0,3}:\s{0,3}all|"
    r"(?:font-size|opacity|max-height)\s{0,3}:\s{0,3}0(?![.\d]{0,9}[1-9])",
    re.IGNORECASE,
)
_HIDDEN = re.compile(r"\shidden(?=[\s=/]|$)", re.IGNORECASE)
_BLANKS = re.compile(r"[ \t\f\v\u00a0\u200b\u200c\u200d\u034f\u00ad\ufeff]+")
_LINES = re.compile(r"\s*\n\s*")


def readable(html: str) -> str:
    """What a reader would see, a paragraph a line; the address of a link stands behind it in `<>`."""
    pieces: list[str] = []
    links: list[str] = []
    around = _Elements()
    lowered = html.lower()
    if len(lowered) != len(html):  # a letter that is two in lower case would shift every place
        lowered = html.translate(_ASCII_LOWER)
    place, end = 0, len(html)
    while place < end:
        opening = html.find("<", place)
        if around.shown:
            pieces.append(html[place : opening if opening >= 0 else end])
        if opening < 0:
            break
        if html.startswith("<!--", opening):
            closing = html.find("-->", opening + 4)
            place = end if closing < 0 else closing + 3
            continue
        closing = html.find(">", opening + 1)
        if closing < 0:
            break
        tag = html[opening + 1 : min(closing, opening + _LONGEST_TAG)]
        place = closing + 1
        found = _NAME.match(tag)
        if found is None:
            if around.shown and not tag.startswith(("!", "?")):  # `a < b > c` is no tag
                pieces.append(html[opening:place])
            continue
        name = found[0].lower()
        around.pass_by(name, tag)
        if name in _SKIPPED and not tag.endswith("/"):
            after = lowered.find(f"</{name}", place)
            if after < 0:
                if name in {"head", "title"}:
                    continue
                break
            place = after
        elif name == "a":
            links.append(_link(tag))
        elif name == "/a":
            link = links.pop() if links else ""
            if link and around.shown:
                pieces.append(f" <{link}> ")
        elif name.lstrip("/") in _BREAKING:
            pieces.append("\n")
        elif name.lstrip("/") in {"td", "th"}:
            pieces.append(" ")
    text = _BLANKS.sub(" ", unescape("".join(pieces)).replace("\r", "\n"))
    return _LINES.sub("\n", text).strip()


class _Elements:
    """The elements that are open at a place. Each is opened and closed once: linear time."""

    def __init__(self) -> None:
        self._open: list[tuple[str, bool]] = []
        self._names: Counter[str] = Counter()
        self._hiding = 0

    @property
    def shown(self) -> bool:
        return not self._hiding

    def pass_by(self, name: str, tag: str) -> None:
        """A tag: `name` with a slash in front where it closes."""
        if name.startswith("/"):
            if self._names[name[1:]]:
                while self._close() != name[1:]:
                    pass
            return
        if name in _VOID or name in _SKIPPED:
            return
        if name in _CLOSED_BY_THE_NEXT and self._open and self._open[-1][0] == name:
            self._close()
        style = _STYLE.search(tag)
        hides = bool(_HIDDEN.search(tag) or (style and _HIDES.search(style[1] or style[2] or style[3] or "")))
        self._open.append((name, hides))
        self._names[name] += 1
        self._hiding += hides

    def _close(self) -> str:
        name, hides = self._open.pop()
        self._names[name] -= 1
        self._hiding -= hides
        return name


_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _link(tag: str) -> str:
    found = _HREF.search(tag)
    if found is None:
        return ""
    address = "".join(unescape(found[1] or found[2] or found[3] or "").split())
    return address[:_LONGEST_LINK] if address.lower().startswith(("http://", "https://", "mailto:")) else ""
