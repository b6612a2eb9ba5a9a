"""What an IMAP server writes, taken apart (RFC 3501, section 7.4.2). Must not speak to a server, nor decide.

The standard library's client hands over pieces: lines, and literals beside the line that announced them. A
FETCH response is put together from them and read as nested lists. Nothing here recurses, so that no message
is nested too deep for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from aegis_lib.mail.model import Attachment
from aegis_lib.mail.reading import header_text

Pieces = Sequence[bytes | tuple[bytes, bytes]]

_LITERAL = re.compile(rb"~?\{\d+\+?\}$")
_TOKEN = re.compile(rb'\s*(?:(\()|(\))|"((?:[^"\\]|\\.)*)"|([^\s()"]+))', re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_MOST_PARTS = 200
_SETS = re.compile(r"(\d+)(?::(\d+))?")
_MOST_IN_SET = 100_000


class NotUnderstood(ValueError):
    """The server wrote something that is no FETCH response."""


@dataclass(frozen=True)
class Part:
    """A part that is no multipart, as BODYSTRUCTURE tells of it. `size_bytes` is as transmitted."""

    section: str
    type: str
    charset: str
    encoding: str
    size_bytes: int
    name: str
    attached: bool


def responses(data: Iterable[Any]) -> Iterator[list[bytes | tuple[bytes, bytes]]]:
    """The pieces of each response: literals, and the line that ends it."""
    pieces: list[bytes | tuple[bytes, bytes]] = []
    for piece in data:
        if piece is None:
            continue
        pieces.append(piece)
        if isinstance(piece, bytes):
            yield pieces
            pieces = []


def fetched(pieces: Pieces) -> dict[str, Any]:
    """The items of one FETCH response by their names in capitals; `BODY[...]` without its partial range.

    Raises:
        NotUnderstood: it is none.
    """
    found = _nested(pieces)
    items = next((item for item in found if isinstance(item, list)), None)
    if items is None:
        raise NotUnderstood("a FETCH response without a list")
    named: dict[str, Any] = {}
    names = iter(items)
    for name in names:
        if not isinstance(name, bytes):
            raise NotUnderstood("a FETCH response with a value without a name")
        word = name.decode("ascii", "replace").upper()
        while "[" in word and "]" not in word:  # BODY[HEADER.FIELDS (FROM TO)]
            word += " " + _flat(next(names, b"]"))
        named[word.partition("<")[0]] = next(names, None)
    return named


def _flat(item: Any) -> str:
    if isinstance(item, list):
        return "(" + " ".join(_flat(one) for one in item) + ")"
    return item.decode("ascii", "replace") if isinstance(item, bytes) else ""


def _nested(pieces: Pieces) -> list[Any]:
    top: list[Any] = []
    stack = [top]
    for piece in pieces:
        line, literal = piece if isinstance(piece, tuple) else (piece, None)
        if literal is not None:
            line = _LITERAL.sub(b"", line.rstrip())
        place = 0
        while place < len(line):
            token = _TOKEN.match(line, place)
            if token is None:
                if line[place:].strip():
                    raise NotUnderstood("a quotation without an end")
                break
            place = token.end()
            opening, closing, quoted, atom = token.groups()
            if opening:
                deeper: list[Any] = []
                stack[-1].append(deeper)
                stack.append(deeper)
            elif closing:
                if len(stack) == 1:
                    raise NotUnderstood("a parenthesis that was not opened")
                stack.pop()
            elif quoted is not None:
                stack[-1].append(_ESCAPED.sub(rb"\1", quoted))
            else:
                stack[-1].append(None if atom.upper() == b"NIL" else atom)
        if literal is not None:
            stack[-1].append(literal)
    if len(stack) != 1:
        raise NotUnderstood("a parenthesis that is not closed")
    return top


def flags(item: Any) -> tuple[str, ...]:
    """Flags and keywords as the server spells them."""
    return tuple(flag.decode("ascii", "replace") for flag in item or () if isinstance(flag, bytes))


def number(item: Any) -> int:
    """A number; 0 where there is none."""
    return int(item) if isinstance(item, bytes) and item.isdigit() else 0


def internal_date(item: Any, otherwise: datetime) -> datetime:
    """When the server received the mail."""
    try:
        found = parsedate_to_datetime(str(item, "ascii").strip().replace("-", " "))
    except (TypeError, ValueError, UnicodeError, OverflowError):
        return otherwise
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def parts(structure: Any) -> list[Part]:
    """The parts of a BODYSTRUCTURE that are no multipart, in their order, at most 200."""
    found: list[Part] = []
    waiting: list[tuple[str, Any]] = [("", structure)]
    while waiting and len(found) < _MOST_PARTS:
        section, node = waiting.pop(0)
        if not isinstance(node, list) or not node:
            continue
        if isinstance(node[0], list):
            inner = [one for one in node if isinstance(one, list)]
            number_of = next((i for i, one in enumerate(node) if not isinstance(one, list)), len(node))
            children = [
                (f"{section}.{place}".lstrip("."), one)
                for place, one in enumerate(inner[:number_of][:_MOST_PARTS], 1)
            ]
            waiting = [*children, *waiting]
            continue
        part = _part(section or "1", node)
        if part is not None:
            found.append(part)
    return found


def _part(section: str, node: list[Any]) -> Part | None:
    if len(node) < 7:
        return None
    kind = f"{_word(node[0])}/{_word(node[1])}"
    parameters = _pairs(node[2])
    disposition = ""
    extra: Mapping[str, str] = {}
    for one in node[7:]:
        if isinstance(one, list) and one and isinstance(one[0], bytes) and len(one) == 2:
            word = _word(one[0])
            if word in {"attachment", "inline"}:
                disposition, extra = word, _pairs(one[1])
    name = extra.get("filename") or parameters.get("name") or ""
    return Part(
        section=section,
        type=kind[:100],
        charset=parameters.get("charset", "")[:50],
        encoding=_word(node[5]),
        size_bytes=number(node[6]),
        name=header_text(name)[:200],
        attached=disposition == "attachment",
    )


def _word(item: Any) -> str:
    return item.decode("ascii", "replace").lower() if isinstance(item, bytes) else ""


def _pairs(item: Any) -> Mapping[str, str]:
    if not isinstance(item, list):
        return {}
    return {
        _word(name).partition("*")[0]: value.decode("utf-8", "surrogateescape")
        for name, value in zip(item[::2], item[1::2], strict=False)
        if isinstance(value, bytes)
    }


def attachments(found: Sequence[Part]) -> list[Attachment]:
    """What is not the text of the mail."""
    return [
        Attachment(
            name=part.name,
            type=part.type,
            size_bytes=part.size_bytes * 3 // 4 if part.encoding == "base64" else part.size_bytes,
        )
        for part in found
        if part.attached or part.name or part.type not in {"text/plain", "text/html"}
    ]


def text_part(found: Sequence[Part]) -> Part | None:
    """The part that holds the text: plain before HTML, the first of each, none that is empty or attached."""
    for wanted in ("text/plain", "text/html"):
        for part in found:
            if part.type == wanted and part.size_bytes > 0 and not part.attached:
                return part
    return None


def message_set(uids: Iterable[int]) -> str:
    """Uids as the server wants them, runs as ranges: `1:3,7`."""
    ranges: list[list[int]] = []
    for uid in sorted(set(uids)):
        if ranges and uid == ranges[-1][1] + 1:
            ranges[-1][1] = uid
        else:
            ranges.append([uid, uid])
    return ",".join(str(a) if a == b else f"{a}:{b}" for a, b in ranges)


def members(text: str) -> list[int]:
    """The uids of a set that a server wrote, at most 100,000, in its order (RFC 4315)."""
    found: list[int] = []
    for first, last in _SETS.findall(text):
        low, high = int(first), int(last or first)
        step = 1 if high >= low else -1
        found += range(low, high + step, step)[: _MOST_IN_SET - len(found)]
    return found
