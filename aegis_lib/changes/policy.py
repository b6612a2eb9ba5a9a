"""What a page says, and whether it says something else than before. Pure decisions; it fetches no page.

now = read(body, content_type, rules)
change = compare(before, now, rules)      None: nothing worth telling
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from importlib.util import find_spec

from aegis_lib.changes import noise
from aegis_lib.changes.diff import Difference, Reading, difference, moved
from aegis_lib.changes.extraction import extracted
from aegis_lib.changes.model import Change, ContentRules, PageText, Topic
from aegis_lib.errors import NotConfigured

_WAY = "1"
"""Counted up whenever pages are read another way: then the next reading starts anew, without a change."""

_QUOTED = 80
_AMOUNT = r"\d{1,3}(?:[.,' \u00a0\u202f]\d{3}){1,4}(?:[.,]\d{1,2})?|\d{1,9}(?:[.,]\d{1,2})?"
_PRICE = re.compile(
    rf"(?:[$\u20ac\u00a3\u00a5\u20b9\u20bd\u20a9]|\b(?:USD|EUR|GBP|CHF|JPY|CAD|AUD|SEK|NOK|DKK|PLN|CZK|BRL|"
    rf"INR|US\$|A\$|C\$|R\$)) ?(?:{_AMOUNT})"
    rf"|(?:{_AMOUNT}) ?(?:[\u20ac\u00a3$\u20bd]|(?:USD|EUR|GBP|CHF|JPY|CAD|AUD|SEK|NOK|DKK|PLN|CZK|kr|"
    rf"z\u0142|K\u010d)\b)"
)
_AVAILABILITY = re.compile(
    r"\b(?:(?:in|out of) ?stock|sold ?out|(?:un)?available|back ?order(?:ed)?|pre-?order|discontinued|"
    r"\d{1,6} (?:left|in stock|available|remaining)|add to (?:cart|basket|bag)|notify me|coming soon|"
    r"temporarily|ships? (?:in|within|from)|delivery (?:in|by)|lieferbar|ausverkauft|verf\u00fcgbar|"
    r"\u00e9puis\u00e9|"
    r"disponible|agotado|en stock|rupture)\b",
    re.IGNORECASE,
)


def read(body: bytes, content_type: str | None, rules: ContentRules) -> PageText:
    """The content of a page under the rules. Whatever the bytes are, it answers, within about a second.

    Raises:
        NotConfigured: the libraries that read pages are not installed.
    """
    if not find_spec("lxml") or not find_spec("re2"):
        raise NotConfigured(
            "aegis-scheduler[sites]", purpose="read pages (pip install 'aegis-scheduler[sites]')"
        )
    page = extracted(body, content_type, rules)
    keys = list(page.lines) if page.verbatim else _keys(page.title, page.lines, rules)
    said = [key for key in keys if key]
    ordered = said if rules.order_matters else sorted(said)
    return PageText(
        title=page.title,
        lines=page.lines,
        digest=sha256("\n".join([str(page.found), *ordered]).encode()).hexdigest(),
        made_with=_made_with(rules, page.verbatim),
        found=page.found,
        cut=page.cut,
    )


def compare(before: PageText, after: PageText, rules: ContentRules) -> Change | None:
    """What changed for a reader, or None: noise, lines that moved, and less than `min_change` are no change.

    Readings that were made another way (an older version, another selector) are not compared: None, too.
    """
    if before.made_with != after.made_with or (before.digest == after.digest and before.found == after.found):
        return None
    if before.found != after.found:
        return _found_or_not(before, after, rules)
    old, new = _reading(before, rules), _reading(after, rules)
    found = difference(old, new)
    if not found.removed and not found.added:
        if rules.order_matters and moved(old, new):
            return Change(
                summary="Lines stand in another order.",
                topics=(Topic.ORDER,),
                significance=1.0,
                diff=_order(old, new),
            )
        return None
    share = found.share()
    if share < rules.min_change:
        return None
    return Change(
        summary=_summary(found, bool(before.title or after.title)),
        topics=_topics(found, bool(before.title or after.title)),
        added=len(found.added),
        removed=len(found.removed),
        significance=round(share, 4),
        diff=found.shown(),
    )


def _keys(title: str, lines: Sequence[str], rules: ContentRules) -> list[str]:
    """What the title and each line say without the noise. The title is the first, also when there is none."""
    return noise.keys([title, *lines], rules.keep, rules.ignore_patterns)


def _reading(page: PageText, rules: ContentRules) -> Reading:
    lines = [page.title, *page.lines]
    if page.made_with.endswith("-bytes"):
        return Reading(lines, lines)
    keys = _keys(page.title, page.lines, rules)
    # The title is compared with the title only.
    return Reading(lines, [f"{_TITLE}{keys[0]}" if keys[0] else "", *keys[1:]])


_TITLE = "\u0002"


def _made_with(rules: ContentRules, verbatim: bool) -> str:
    way = repr((_WAY, rules.selector, rules.ignore_selectors, rules.whole_page, sorted(rules.keep)))
    return sha256(way.encode()).hexdigest()[:16] + ("-bytes" if verbatim else "")


def _found_or_not(before: PageText, after: PageText, rules: ContentRules) -> Change:
    gone = not after.found
    return Change(
        summary=(
            f"Nothing on the page fits the selector {rules.selector} any more."
            if gone
            else f"Something on the page fits the selector {rules.selector} again."
        ),
        topics=(Topic.GONE if gone else Topic.BACK,),
        added=len(after.lines),
        removed=len(before.lines),
        significance=1.0,
        diff=difference(Reading(before.lines, before.lines), Reading(after.lines, after.lines)).shown(),
    )


def _topics(found: Difference, titled: bool) -> tuple[Topic, ...]:
    topics = set()
    touched = [
        *found.rewritten,
        *((old, "") for old in found.only_removed),
        *(("", new) for new in found.only_added),
    ]
    for old, new in touched:
        if titled and (old or new).startswith(_TITLE):
            topics.add(Topic.TITLE)
        elif _PRICE.findall(old) != _PRICE.findall(new):
            topics.add(Topic.PRICE)
        elif _AVAILABILITY.search(old) or _AVAILABILITY.search(new):
            topics.add(Topic.AVAILABILITY)
        else:
            topics.add(Topic.TEXT)
    return tuple(topic for topic in Topic if topic in topics)


def _summary(found: Difference, titled: bool) -> str:
    """One sentence: titles, prices and availability by their words, the rest by numbers."""
    parts: list[str] = []
    plain = 0
    for old, new in found.rewritten:
        old_prices, new_prices = _PRICE.findall(old), _PRICE.findall(new)
        if old.startswith(_TITLE) and new.startswith(_TITLE):
            parts.append(f"the title changed from {_quoted(old)} to {_quoted(new)}")
        elif old_prices != new_prices and old_prices and new_prices:
            gone = [price for price in old_prices if price not in new_prices] or old_prices
            came = [price for price in new_prices if price not in old_prices] or new_prices
            parts.append(f"a price changed from {gone[0]} to {came[0]}")
        elif _AVAILABILITY.search(old) or _AVAILABILITY.search(new):
            parts.append(f"{_quoted(old)} became {_quoted(new)}")
        else:
            plain += 1
    counts = [
        (plain, "rewritten"),
        (len(found.only_added), "new"),
        (len(found.only_removed), "gone"),
    ]
    numbers = [
        f"{count} {'line is' if count == 1 else 'lines are'} {word}" for count, word in counts if count
    ]
    shown = parts[:3] + ([f"{len(parts) - 3} more such changes"] if len(parts) > 3 else [])
    text = "; ".join([*shown, *([", ".join(numbers)] if numbers else [])])
    return f"{text[:1].upper()}{text[1:]}."


def _quoted(text: str) -> str:
    text = text.removeprefix(_TITLE).strip(f" {noise.GAP}")
    return f'"{text}"' if len(text) <= _QUOTED else f'"{text[: _QUOTED - 1]}\u2026"'


def _order(old: Reading, new: Reading) -> tuple[str, ...]:
    """The first lines that stand elsewhere."""
    now = [(key, line) for key, line in zip(new.keys, new.lines, strict=True) if key]
    was = [(key, line) for key, line in zip(old.keys, old.lines, strict=True) if key]
    differing = [(a, b) for a, b in zip(was, now, strict=False) if a[0] != b[0]][:20]
    return tuple(row for a, b in differing for row in (f"- {a[1][:300]}", f"+ {b[1][:300]}"))
