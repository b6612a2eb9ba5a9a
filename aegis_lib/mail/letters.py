"""Letters as a reader sees them: look-alikes, invisible and full-width ones. Pure; decides nothing.

A word that mixes alphabets ("Pаypal" with a Cyrillic а) reads as one word and is another. Single-script words
are left alone: Russian and Greek mail is no trick. The table has the letters of UTS #39's confusables that
look like Latin ones in common typefaces, not all of them.
"""
# ruff: noqa: RUF001 - ambiguous letters are what this module is about

from __future__ import annotations

import re
import unicodedata

_INVISIBLE = re.compile(r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e"
                        r"\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff]")  # fmt: skip
_LOOK_ALIKES = str.maketrans(
    {
        "а": "a", "в": "b", "с": "c", "ԁ": "d", "е": "e", "ё": "e", "һ": "h", "н": "h", "і": "i", "ї": "i",
        "ј": "j", "к": "k", "ӏ": "l", "м": "m", "о": "o", "р": "p", "ԛ": "q", "ѕ": "s", "т": "t", "у": "y",
        "ѵ": "v", "ԝ": "w", "х": "x", "ү": "y", "α": "a", "β": "b", "ε": "e", "η": "n", "ι": "i", "κ": "k",
        "ν": "v", "ο": "o", "ρ": "p", "τ": "t", "υ": "u", "χ": "x", "γ": "y", "ω": "w", "ı": "i", "ɑ": "a",
        "ɡ": "g", "օ": "o", "ս": "u", "հ": "h", "ց": "g", "զ": "q", "յ": "j", "ո": "n",
    }
)  # fmt: skip
_WORD = re.compile(r"[^\W\d_]{2,60}")
_LATIN = re.compile(r"[a-z\u00df-\u024f]")
_OTHER = re.compile(r"[\u0370-\u03ff\u0400-\u052f\u0530-\u058f]")
"""Greek, Cyrillic, Armenian: the alphabets whose letters pass for Latin ones."""


def folded(text: str) -> str:
    """Lower case, one form, no invisible letters; look-alikes in words that mix alphabets are Latin."""
    plain = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    if plain.isascii():
        return plain
    return _WORD.sub(_unmasked, plain)


def _unmasked(found: re.Match[str]) -> str:
    word = found[0]
    return word.translate(_LOOK_ALIKES) if _is_mixed(word) else word


def _is_mixed(word: str) -> bool:
    return bool(not word.isascii() and _LATIN.search(word) and _OTHER.search(word))


def mixed_words(text: str) -> tuple[str, ...]:
    """The words that mix alphabets, as they stand, each once."""
    if text.isascii():
        return ()
    words = _WORD.findall(unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)))
    return tuple(dict.fromkeys(word for word in words if _is_mixed(word.casefold())))


def skeleton(name: str) -> str:
    """A host name or address as it reads: for asking whether it passes for another one.

    Labels in Punycode (RFC 3492) are decoded first; every look-alike becomes its Latin letter, digits that
    stand in for letters too.
    """
    labels = [_decoded(label) for label in name.casefold().split(".")]
    plain = unicodedata.normalize("NFKD", _INVISIBLE.sub("", ".".join(labels)))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    latin = plain.translate(_LOOK_ALIKES).translate(str.maketrans("01|", "oll"))
    return latin.replace("rn", "m").replace("vv", "w").replace("i", "l")


def _decoded(label: str) -> str:
    if not label.startswith("xn--") or len(label) > 63:
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except (UnicodeError, ValueError):
        return label
