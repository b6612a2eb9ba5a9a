"""The readable text of an HTML mail. Must not take longer than the text is long, whatever stands in it.

No parser of the standard library is used: on broken markup they look again and again at what follows.
"""

from __future__ import annotations

import re
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
_BLANKS = re.compile(r"[ \t\f\v\u00a0\u200b\u200c\u200d\u034f\u00ad\ufeff]+")
_LINES = re.compile(r"\s*\n\s*")


def readable(html: str) -> str:
    """What a reader would see, a paragraph a line; the address of a link stands behind it in `<>`."""
    pieces: list[str] = []
    links: list[str] = []
    lowered = html.lower()
    if len(lowered) != len(html):  # a letter that is two in lower case would shift every place
        lowered = html.translate(_ASCII_LOWER)
    place, end = 0, len(html)
    while place < end:
        opening = html.find("<", place)
        if opening < 0:
            pieces.append(html[place:])
            break
        pieces.append(html[place:opening])
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
            if not tag.startswith(("!", "?")):  # `a < b > c` is no tag
                pieces.append(html[opening:place])
            continue
        name = found[0].lower()
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
            if link:
                pieces.append(f" <{link}> ")
        elif name.lstrip("/") in _BREAKING:
            pieces.append("\n")
        elif name.lstrip("/") in {"td", "th"}:
            pieces.append(" ")
    text = _BLANKS.sub(" ", unescape("".join(pieces)).replace("\r", "\n"))
    return _LINES.sub("\n", text).strip()


_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _link(tag: str) -> str:
    found = _HREF.search(tag)
    if found is None:
        return ""
    address = "".join(unescape(found[1] or found[2] or found[3] or "").split())
    return address[:_LONGEST_LINK] if address.lower().startswith(("http://", "https://", "mailto:")) else ""
