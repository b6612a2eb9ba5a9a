"""Makes text from outside harmless inside CommonMark and chat markdown. Must not decide what is worth saying.

Summaries, decisions and error texts come from mail, containers and models: they are data. Shown in a journal,
a chat room or the Prefect UI they must not become a heading, a link, a mention, HTML or a second line.
"""

from __future__ import annotations

import re

LONGEST_INLINE_CHARACTERS = 200

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#|~@&!])")
_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000e-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_AUTOLINK = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*):(?=//)")


def inline(text: str, longest: int = LONGEST_INLINE_CHARACTERS) -> str:
    """The text on one line, at most `longest` characters (4 or more) before escaping, nothing in it active.

    Invisible characters (control, direction overrides, zero width) are dropped, white space is folded, and
    every character with a meaning in markdown is escaped; the scheme of an address is parted from it, so that
    nothing turns into a link.
    """
    return _AUTOLINK.sub(r"\1\\:", _SPECIAL.sub(r"\\\1", plain(text, longest)))


def plain(text: str, longest: int = LONGEST_INLINE_CHARACTERS) -> str:
    """The text on one line, at most `longest` characters, nothing invisible in it: for plain titles."""
    folded = " ".join(_INVISIBLE.sub("", text).split())
    return folded if len(folded) <= longest else folded[: longest - 1].rstrip() + "…"


def visible(text: str) -> str:
    """The text without what nobody sees, such as marks that turn its direction around; its lines stay."""
    return _INVISIBLE.sub("", text)
