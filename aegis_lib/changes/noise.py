"""Takes from a line what changes by itself, so that two lines which say the same become equal.

The rules are about words around numbers: `12 people are viewing` is noise, `12 left in stock` is not;
`updated 12 May` is noise, `doors open 12 May` is not. Every pattern of ours has bounded repetitions and no
line is long; those of a user run under RE2. So no page can make them slow. Must not change a price, an amount
or a bare date.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from aegis_lib.changes.model import Noise

GAP = "\u2026"
"""What stands where noise stood."""

_NUMBER = r"\d[\d.,'\u00a0\u202f]{0,14}(?:\s?[kKmM]\b)?\+?"
_MONTH = (
    r"(?:Jan|Feb|Mar|M\u00e4r|Apr|May|Mai|Jun|Jul|Aug|Sep|Oct|Okt|Nov|Dec|Dez|janv|f\u00e9vr|mars|avr|juin|"
    r"juil|"
    r"ao\u00fbt|ene|abr|ago|dic)[a-z\u00e9\u00fb]{0,7}\.?"
)
_WEEKDAY = (
    r"(?:(?:Mon|Tues?|Wednes|Wed|Thurs?|Fri|Satur|Sat|Sun)(?:day)?|Montag|Dienstag|Mittwoch|Donnerstag|"
    r"Freitag|"
    r"Samstag|Sonntag|lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche)"
)
_DATE = (
    rf"(?:(?:{_WEEKDAY},? {{1,3}})?(?:\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}|"
    rf"\d{{1,2}}[-/.]\d{{1,2}}[-/.]\d{{2,4}}|"
    rf"\d{{1,2}}(?:st|nd|rd|th|\.)? (?:de )?{_MONTH}(?:,? (?:de )?\d{{4}})?|{_MONTH} \d{{1,2}}(?:st|nd|rd|"
    rf"th)?"
    rf"(?:,? \d{{4}})?))"
)
_ZONE = r"(?: ?(?:[AaPp]\.?[Mm]\b\.?|Uhr|UTC|GMT|CES?T|[ECMP][SD]T|Z\b|[+-]\d{2}:?\d{2}))"
_CLOCK = rf"\d{{1,2}}:\d{{2}}(?::\d{{2}}(?:[.,]\d{{1,9}})?)?{_ZONE}{{0,2}}"
_EXACT = rf"\d{{1,2}}:\d{{2}}:\d{{2}}(?:[.,]\d{{1,9}})?{_ZONE}{{0,2}}"
_JOINT = r"(?:[ ,T]{1,3}|,? at |,? um | \u00e0 | a las )"
_MOMENT = rf"(?:{_DATE}(?:{_JOINT}{_CLOCK})?|{_CLOCK}(?:{_JOINT}{_DATE})?|today|yesterday|now)"
_SPAN = (
    r"(?:sec(?:ond)?|min(?:ute)?|hour|hr|day|week|month|year|Sekunde|Minute|Stunde|Tag|Woche|Monat|Jahr|"
    r"seconde|heure|"
    r"jour|semaine|mois|an|segundo|minuto|hora|d\u00eda|mes|a\u00f1o)(?:s|n|en|es|e)?"
)
_AMOUNT = r"(?:\d{1,4}|an?|one|a few|few|several|einer?|einem|une?|una?)"
_ABOUT_TIME = (
    r"(?:last (?:updated?|modified|changed?|checked|refreshed|seen|edited|build|run|login|sync|commit|post|"
    r"reply|"
    r"activity|visit|backup|scan|deployment|deployed|import)|updated|modified|generated|refreshed|rendered|"
    r"retrieved|fetched|crawled|checked|as of|current time|server time|local time|time now|today is|"
    r"it is now|"
    r"currently|now|posted|published|printed|accessed|asked|answered|added|edited|uploaded|listed|active|"
    r"next (?:check|update|refresh|sync|scan|poll|reload)|zuletzt aktualisiert|aktualisiert|"
    r"letzte \u00c4nderung|"
    r"letztes update|stand|ge\u00e4ndert|derni\u00e8re (?:mise \u00e0 jour|modification)|mis \u00e0 jour|"
    r"publi\u00e9|actualizado|\u00faltima actualizaci\u00f3n)"
)
_COUNTED = (
    r"(?:(?:page|unique|total|profile) ?)?(?:views?|visits?|visitors?|readers?|reads|viewers?|hits|"
    r"impressions|"
    r"likes?|dislikes?|shares?|retweets?|reposts?|comments?|answers?|repl(?:y|ies)|reactions?|upvotes?|"
    r"downvotes?|votes?|followers?|subscribers?|(?:members?|users?|guests?) online|online(?: now)?|"
    r"downloads?|"
    r"plays|listens|stars?|forks?|watchers|watching|listening|ratings?|reviews?|bookmarks?|claps|sold|"
    r"Aufrufe|"
    r"Besucher|Kommentare?|Bewertungen|vues|visiteurs|commentaires|avis|visitas|comentarios)"
)
_COUNTED_LABEL = (
    r"(?:(?:page ?|total |unique )?(?:views|visits|visitors|readers|reads|viewers|hits|likes|shares|comments|"
    r"replies|answers|votes|stars|forks|reactions|followers|subscribers|downloads|(?:users|members|"
    r"guests) online|"
    r"online|reviews|ratings)|visitor(?: (?:no|number))?|(?:rated|used|loved|trusted|recommended|liked) by|"
    r"Aufrufe|Besucher|Kommentare|vues|visitas)"
)
_COUNTED_DONE = (
    r"(?:viewed|downloaded|read|shared|played|watched|visited|used|liked|seen|opened|clicked|installed|cited)"
)
_PEOPLE = (
    r"(?:people|persons?|users?|shoppers|customers|others?|guests|visitors|travell?ers)"
    r"(?: (?:are|is|have|just))?"
    r"(?: (?:also|currently|now|recently))? (?:viewing|watching|looking|browsing|online|reading|here|viewed|"
    r"interested|bought|booked|added)"
)
_ID_LABEL = (
    r"(?:(?:request|session|trace|correlation|transaction|incident|ray|visitor|build|page|error|reference|"
    r"support|cache|node|server|host)[ _-]?(?:id|key|hash|token|ref|reference)|captcha(?: code)?|nonce|csrf"
    r"(?:[ _-]?token)?|"
    r"token|"
    r"etag|checksum|sha256|sha1|md5|build|revision|commit|ref)"
)

_LOOSE = re.IGNORECASE
_PATTERNS: dict[Noise, tuple[re.Pattern[str], ...]] = {
    Noise.TOKENS: (
        re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", _LOOSE),
        re.compile(rf"(?<=\b)({_ID_LABEL}) ?[:=#]? ?(?=[\w/+.-]{{0,80}}\d)[\w/+.=-]{{4,128}}", _LOOSE),
        re.compile(
            r"\b((?:served|rendered|hosted|generated|delivered|answered) (?:by|on|from|at)|node|pod|"
            r"instance) "
            r"(?=[\w.-]{0,80}\d)[\w.-]{3,80}", _LOOSE
        ),
        re.compile(
            r"\b((?:your |my )?ip(?:v[46])?(?: address)?(?: is)?:?) "
            r"(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{1,4}:[0-9a-f:]{2,36})",
            _LOOSE,
        ),
        re.compile(r"(?<=[\w][-_])(?=[0-9a-f]{0,31}[0-9])(?=[0-9]{0,31}[a-f])[0-9a-f]{8,64}\b"),
        re.compile(r"\b(?=[0-9a-f]{0,31}[0-9])(?=[0-9]{0,31}[a-f])[0-9a-f]{12,128}\b", _LOOSE),
        # three changes between letters and digits in sixteen signs: nobody wrote that
        re.compile(
            r"(?<![\w/+.-])"
            r"(?=[A-Za-z_-]{0,20}\d{1,20}[A-Za-z_-]{1,20}\d{1,20}[A-Za-z_-])[\w+/-]{16,200}={0,2}"
        ),
        re.compile(r"(?<![\d.,$\u20ac\u00a3])1[5-9]\d{8}(?:\d{3})?(?![\d.,])"),  # seconds since 1970
    ),
    Noise.TIMES: (
        re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?"),
        re.compile(rf"(?<![\w:])(?:{_DATE}{_JOINT})?{_EXACT}(?:{_JOINT}{_DATE})?", _LOOSE),
        re.compile(
            rf"\b({_ABOUT_TIME})(?: (?:on|at|am|um|le|el|vom|the|is|it))?[ :]{{1,3}}{_MOMENT}", _LOOSE
        ),
        re.compile(rf"\b({_ABOUT_TIME})[ :]{{1,3}}(?:about |over |vor |il y a |hace )?{_AMOUNT} {_SPAN}"
                   r"(?: ago)?", _LOOSE),
        re.compile(
            rf"\b(?:about |over |almost |less than )?{_AMOUNT} {_SPAN}(?: and {_AMOUNT} {_SPAN})? ago\b",
            _LOOSE,
        ),
        re.compile(r"\b\d{1,4} ?(?:s|m|min|mins|h|hrs?|d|w|mo|y) ago\b", _LOOSE),
        re.compile(rf"\b(?:vor|il y a|hace) {_AMOUNT} {_SPAN}", _LOOSE),
        re.compile(r"\b(?:just now|moments? ago|gerade eben|\u00e0 l'instant)\b", _LOOSE),
        re.compile(rf"\b(?:today|yesterday|heute|gestern|hier|ayer)(?: at| um| \u00e0)?,? {_CLOCK}", _LOOSE),
        re.compile(
            rf"\b((?:ends?|starts?|expires?|closes?|begins?|resets?|refresh(?:es)?|next \w{{1,20}}) in) "
            rf"(?:\d{{1,3}}:\d{{2}}\b|{_AMOUNT} ?(?:{_SPAN}|[dhms]\b))(?:[ ,]{{1,2}}(?:and )?\d{{1,3}} ?"
            rf"(?:{_SPAN}|[dhms]\b)){{0,3}}",
            _LOOSE,
        ),
        re.compile(rf"\b\d{{1,4}} {_SPAN} (?:left|remaining|to go)\b", _LOOSE),
        re.compile(
            r"((?:\u00a9|\(c\)|\bcopyright)(?: copyright)?) ?(?:\u00a9 ?)?\d{4}(?: ?[-\u2013] ?\d{4})?",
            _LOOSE,
        ),
        re.compile(r"(?<=\d{4})( ?[-\u2013] ?)\d{4}(?= ?\u00a9)", _LOOSE),
        re.compile(
            rf"(?m)^(?:(?:{_WEEKDAY},? )?{_DATE}(?:{_JOINT}{_CLOCK})?|\d{{1,2}}:\d{{2}}{_ZONE}{{1,2}})$",
            _LOOSE,
        ),
    ),
    Noise.COUNTERS: (
        re.compile(r"(?m)^\(\d{1,6}\+?\) "),
        re.compile(
            rf"(?<![\d.,$\u20ac\u00a3])(?<!up to )(?<!most )(?<!least )(?<!max )(?<!max\. )(?<!limit )"
            rf"(?<!first )"
            rf"{_NUMBER} ({_COUNTED})\b(?! (?:price|in stock|left|per|allowed|included|maximum|max|each|"
            rf"every|"
            rf"a day|a month|required|needed))",
            _LOOSE,
        ),
        re.compile(
            rf"([\u2764\u2665\u2605\u2606\U0001f44d\U0001f441\U0001f4ac\U0001f525]\ufe0f?) ?{_NUMBER}(?!\w)"
        ),
        re.compile(rf"(?<![\d.,$\u20ac\u00a3]){_NUMBER} (?:other )?({_PEOPLE})", _LOOSE),
        re.compile(rf"\b({_COUNTED_DONE}) {_NUMBER} (?:times|x)\b", _LOOSE),
        re.compile(
            rf"\b({_COUNTED_LABEL})(?: (?:today|now|so far|this week))?[ :(#]{{1,3}}"
            rf"{_NUMBER}(?![\w%])\)?",
            _LOOSE,
        ),
        re.compile(
            r"\b((?:generated|rendered|loaded|served|executed|processed|took|completed|built|page|query|"
            r"erstellt|geladen|"
            r"queries)"
            r"(?: (?:page|in|time|by|load|took|results|en)){0,3}:?) "
            r"\d{1,6}(?:[.,]\d{1,9})? ?(?:s|ms|sec|secs|seconds?|milliseconds?|Sekunden?|secondes?|segundos?|"
            r"\u00b5s)\b",
            _LOOSE,
        ),
        re.compile(r"\b\d{1,6} (?:sql |database |db )?quer(?:y|ies)\b", _LOOSE),
        re.compile(r"\b(?:memory|peak)(?: usage)?:? \d{1,6}(?:[.,]\d{1,3})? ?[KMG]i?B\b", _LOOSE),
    ),
    Noise.ADVERTISEMENTS: (),
}  # fmt: skip
_ODD_SIGNS = {
    "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u00ab": '"', "\u00bb": '"', "\u2013": "-",
    "\u2014": "-", "\u2212": "-",
}  # fmt: skip
_SIGNS = str.maketrans(_ODD_SIGNS)
_SUSPECT = re.compile(r"\d|\b(?:ago|now|moments?|today|yesterday|vor|il y a|hace|eben|instant)\b", _LOOSE)


def compiled(pattern: str) -> Any:
    """A user's pattern under RE2, whose time is linear in the text.

    Raises:
        ValueError: it is no regular expression of RE2; look-around and back-references are not.
    """
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        return re2.compile(pattern, options=options)
    except re2.error as error:
        said = error.args[0] if error.args else "?"
        said = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise ValueError(
            f"{pattern!r} is no pattern of RE2 ({said}); look-around and back-references are not offered"
        ) from None


@cache
def _of_users(pattern: str) -> Any:
    return compiled(pattern)


def keys(lines: Sequence[str], keep: Iterable[Noise] = (), patterns: Sequence[str] = ()) -> list[str]:
    """For each line what it says without the noise; "" when it was nothing else. As many keys as lines."""
    own = [_of_users(pattern) for pattern in patterns]
    plain = [unicodedata.normalize("NFKC", _without(line, own).translate(_SIGNS)) for line in lines]
    suspect = [place for place, line in enumerate(plain) if _SUSPECT.search(line)]
    # All at once, a line each: no pattern goes beyond the end of a line.
    text = "\n".join(plain[place] for place in suspect)
    for noise, found in _PATTERNS.items():
        if noise not in frozenset(keep):
            for pattern in found:
                text = pattern.sub(_gap, text)
    for place, line in zip(suspect, text.split("\n"), strict=False):
        plain[place] = line
    return [
        key if has_words(key) or not has_words(line) else ""
        for key, line in zip((" ".join(line.split()) for line in plain), lines, strict=True)
    ]


def has_words(line: str) -> bool:
    """Whether there is a letter or a digit in it."""
    return any(map(str.isalnum, line))


def _without(line: str, patterns: Sequence[Any]) -> str:
    for pattern in patterns:
        line = pattern.sub(GAP, line)
    return line


def _gap(found: re.Match[str]) -> str:
    """The words that said what the number is stay: a label that comes or goes is a change."""
    label = found[1] if found.re.groups else None
    return f"{label} {GAP}" if label else GAP
