"""The letters of a page's bytes, whatever the page says about itself. Never fails, and never guesses long."""

from __future__ import annotations

import codecs
import re

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LOOKED_AT = 2_048
_IN_TYPE = re.compile(r"charset\s{0,5}=\s{0,5}[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_IN_PAGE = re.compile(
    rb"""<(?:meta|\?xml)[^>]{0,300}?(?:charset|encoding)\s{0,5}=\s{0,5}["']?([A-Za-z0-9_.:-]{1,40})""",
    re.IGNORECASE,
)
# A page that calls itself Latin-1 means what browsers read: its superset.
_NO_CHARSETS = {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined"}
_MEANT = {"iso8859-1": "cp1252", "ascii": "cp1252"}


def decoded(body: bytes, content_type: str | None) -> str:
    """The text: by its byte order mark, else its type, else its own words, else UTF-8, else Windows-1252."""
    for mark, name in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(name, "replace")
    said = _IN_TYPE.search(content_type or "")
    inside = _IN_PAGE.search(body[:_LOOKED_AT])
    names = [said[1] if said else None, inside[1].decode("ascii") if inside else None, "utf-8"]
    for name in filter(None, names):
        try:
            return body.decode(_letters(name))
        except (LookupError, UnicodeError):
            continue
    # A cut or damaged page of a known charset keeps its letters but for the damaged ones.
    try:
        text = body.decode(_letters(next(filter(None, names)) or "utf-8"), "replace")
    except (LookupError, UnicodeError):
        text = body.decode("utf-8", "replace")
    return text if text.count("\ufffd") * 100 < len(text) else body.decode("cp1252", "replace")


def _letters(name: str) -> str:
    """The codec of a charset that holds text (`base64` and `rot13` are codecs, too).

    Raises:
        LookupError: there is none.
    """
    found = codecs.lookup(name)
    if not getattr(found, "_is_text_encoding", True) or found.name in _NO_CHARSETS:
        raise LookupError(name)
    return _MEANT.get(found.name, found.name)
