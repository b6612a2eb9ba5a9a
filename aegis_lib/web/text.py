"""Cutting a message into what a chat service can take. Knows no service and sends nothing."""

from __future__ import annotations

import re

MOST_PARTS = 5
"""A longer text is cut off after so many messages; a flood of messages is read by nobody."""

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_NOTE_UNITS = 60


def size(text: str) -> int:
    """Length in UTF-16 units, which is how chat services count."""
    return len(text.encode("utf-16-le")) // 2


def clean(text: str) -> str:
    """Text that every service can take: no lone surrogates, no NUL, one kind of line end."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    return text.encode("utf-8", "replace").decode("utf-8").strip()


def one_line(text: str, limit: int) -> str:
    """Text on one line of at most `limit` UTF-16 units; never empty."""
    flat = " ".join(clean(text).split()) or "(untitled)"
    return flat if size(flat) <= limit else flat[: _fitting(flat, limit - 1)] + "…"


def split(text: str, limit: int, most_parts: int = MOST_PARTS) -> list[str]:
    """CommonMark text in parts of at most `limit` (200 or more) UTF-16 units, cut between lines.

    A code block that is cut is closed in one part and opened again in the next. After `most_parts` the rest
    is left out, and the last part says how much. An empty text has no part.
    """
    parts: list[str] = []
    lines: list[str] = []
    used = 0
    fence = ""
    room = limit - _NOTE_UNITS
    rows = [piece for row in clean(text).split("\n") for piece in _pieces(row, room - 24)]
    for at, row in enumerate(rows):
        cost = size(row) + 1
        if lines and used + cost + len(fence) + 1 > room:
            parts.append(_joined(lines, fence))
            if len(parts) == most_parts:
                left = len("\n".join(rows[at:]))
                parts[-1] += f"\n… ({left} more characters not shown)"
                return parts
            lines, used = ([fence], len(fence) + 1) if fence else ([], 0)
        lines.append(row)
        used += cost
        fence = _fence_after(fence, row)
    parts.append(_joined(lines, fence))
    return [part for part in parts if part.strip()]


def _joined(lines: list[str], fence: str) -> str:
    return "\n".join([*lines, fence] if fence else lines)


def _fence_after(fence: str, row: str) -> str:
    """The marker of the code block that is open after this line, or nothing."""
    found = _FENCE.match(row)
    if not found:
        return fence
    marker = found[1][:20]
    if not fence:
        return marker
    closes = marker[0] == fence[0] and len(marker) >= len(fence) and not row.strip().strip(marker[0])
    return "" if closes else fence


def _pieces(row: str, limit: int) -> list[str]:
    """A line cut into pieces that fit, at a space where there is one in the second half."""
    pieces = []
    while size(row) > limit:
        cut = _fitting(row, limit)
        space = row.rfind(" ", cut // 2, cut)
        cut = space if space > 0 else cut
        pieces.append(row[:cut])
        row = row[cut:].lstrip(" ")
    return [*pieces, row]


def _fitting(text: str, limit: int) -> int:
    """How many leading characters fit into `limit` UTF-16 units."""
    cut = min(len(text), limit)
    while size(text[:cut]) > limit:
        cut -= max(1, (size(text[:cut]) - limit) // 2)
    return cut
