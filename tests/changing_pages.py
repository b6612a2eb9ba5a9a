"""Made-up web pages that change: by themselves, as pages do at every visit, and because somebody did.

    page = make(kind, seed)               what the page says
    page.html(visit)                      as one visit gets it: other times, counters, advertisements, order
    page.with_signal(name, seed)          somebody changed something; None where the page has no such thing

The same numbers give the same pages. Nothing here knows how changes are found.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

KINDS = ("product", "article", "pricing", "events", "status", "jobs", "notice", "contact")
WORDS = [
    "river",
    "lamp",
    "orchard",
    "engine",
    "harbour",
    "glass",
    "winter",
    "market",
    "copper",
    "garden",
    "signal",
    "bridge",
    "paper",
    "forest",
    "coffee",
    "window",
    "mountain",
    "library",
    "station",
    "kitchen",
    "bicycle",
    "ocean",
    "village",
    "thunder",
    "meadow",
    "lantern",
    "compass",
    "anchor",
    "blanket",
    "candle",
    "desert",
    "feather",
    "granite",
    "hammer",
    "island",
    "jacket",
    "kettle",
    "ladder",
    "mirror",
    "needle",
]
_VERBS = [
    "opens",
    "holds",
    "carries",
    "follows",
    "replaces",
    "improves",
    "measures",
    "supports",
    "protects",
    "explains",
]
NAMES = [
    "Anna",
    "Bruno",
    "Chloe",
    "Dario",
    "Elif",
    "Farid",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Karla",
    "Liam",
]
_PLACES = ["Lisbon", "Graz", "Leeds", "Turku", "Ghent", "Porto", "Bergen", "Zadar", "Kassel", "Nantes"]
_SUFFIXES = ("Shop", "Daily", "Works", "Hub")
START = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)

SIGNALS = (
    "price",
    "sale",
    "stock",
    "few_left",
    "title",
    "heading",
    "sentence",
    "paragraph_added",
    "paragraph_removed",
    "one_word",
    "table_cell",
    "row_added",
    "row_removed",
    "date",
    "opening_hours",
    "telephone",
    "version",
    "state",
)
NOISE = (
    "timestamps",
    "relative_times",
    "countdown",
    "nonces",
    "visible_tokens",
    "counters",
    "load_time",
    "advertisements",
    "labelled_advertisement",
    "sponsored_links",
    "cookie_notice",
    "class_hashes",
    "reordering",
    "related",
    "markup",
    "tracking_links",
    "unread_badge",
    "copyright",
)


@dataclass(frozen=True)
class Page:
    """What a page says. `noise` are the kinds of noise that it has."""

    kind: str
    seed: int
    title: str
    heading: str
    paragraphs: tuple[str, ...]
    facts: tuple[tuple[str, str], ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    ordered_rows: bool = False
    noise: frozenset[str] = field(default_factory=frozenset)

    def html(self, visit: int = 0) -> str:
        """As the visit of this number gets it: all that changes by itself is drawn anew for each."""
        from tests.page_visits import Visit

        return Visit(self, visit).html()

    def with_noise(self, *kinds: str) -> Page:
        return replace(self, noise=frozenset(kinds))

    def with_signal(self, name: str, seed: int = 1) -> Page | None:
        """The page after somebody changed one thing; None when it has none such."""
        changed = _CHANGES[name](self, random.Random(f"{self.kind}{self.seed}{name}{seed}"))
        return changed if changed != self else None


def make(kind: str, seed: int) -> Page:
    """A page of a kind, the same one for the same seed."""
    chance = random.Random(f"{kind}{seed}")
    name = " ".join(chance.sample(WORDS, 2)).title()
    page = Page(
        kind,
        seed,
        title=f"{name} \u2013 {chance.choice(WORDS).title()} {chance.choice(_SUFFIXES)}",
        heading=name,
        paragraphs=tuple(_paragraph(chance) for _ in range(chance.randint(3, 7))),
    )
    return _FILLED[kind](page, chance)


def sentence(chance: random.Random) -> str:
    a, b, c = chance.sample(WORDS, 3)
    end = chance.choice(("slowly", "at night", "again"))
    return f"The {a} {chance.choice(_VERBS)} the {b} near the {c} {end}."


def _paragraph(chance: random.Random) -> str:
    return " ".join(sentence(chance) for _ in range(chance.randint(2, 6)))


def _price(chance: random.Random) -> str:
    return chance.choice(("${:.2f}", "\u20ac{:.2f}", "{:.2f} EUR", "\u00a3{:.2f}")).format(
        chance.uniform(3, 900)
    )


def _day(chance: random.Random) -> datetime:
    return START + timedelta(days=chance.randint(1, 250))


def _product(page: Page, chance: random.Random) -> Page:
    facts = [
        ("Price", _price(chance)),
        ("Availability", "In stock"),
        ("Left", f"{chance.randint(2, 30)} left in stock"),
        ("Weight", f"{chance.randint(1, 90)} kg"),
        ("Version", f"{chance.randint(1, 9)}.{chance.randint(0, 20)}"),
    ]
    return replace(page, facts=tuple(facts))


def _pricing(page: Page, chance: random.Random) -> Page:
    rows = tuple(
        (plan, _price(chance), f"{chance.randint(1, 50)} users") for plan in ("Basic", "Team", "Company")
    )
    return replace(page, rows=rows, ordered_rows=True)


def _events(page: Page, chance: random.Random) -> Page:
    days = [_day(chance) for _ in range(5)]
    rows = tuple((f"{d:%d %B %Y}", f"{chance.choice(WORDS)} evening", chance.choice(_PLACES)) for d in days)
    return replace(
        page, rows=rows, ordered_rows=True, facts=(("Doors open", f"{_day(chance):%A, %d %B %Y}"),)
    )


def _status(page: Page, chance: random.Random) -> Page:
    rows = tuple((f"{word.title()} API", "Operational") for word in chance.sample(WORDS, 5))
    return replace(page, rows=rows, ordered_rows=True, facts=(("State", "All systems operational"),))


def _jobs(page: Page, chance: random.Random) -> Page:
    rows = tuple(
        (f"{word.title()} engineer", chance.choice(_PLACES), "Full time") for word in chance.sample(WORDS, 6)
    )
    return replace(page, rows=rows)


def _contact(page: Page, chance: random.Random) -> Page:
    facts = (
        ("Opening hours", f"Mon-Fri {chance.randint(7, 10)}:00-18:30"),
        ("Telephone", _telephone(chance)),
        (
            "Address",
            f"{chance.randint(1, 99)} {chance.choice(WORDS).title()} Street, {chance.choice(_PLACES)}",
        ),
    )
    return replace(page, facts=facts)


def _telephone(chance: random.Random) -> str:
    return f"+44 20 7946 {chance.randint(0, 999):04d}"


def _notice(page: Page, chance: random.Random) -> Page:
    return replace(
        page, facts=(("In force from", f"{_day(chance):%d %B %Y}"), ("Version", f"{chance.randint(2, 7)}.1"))
    )


_FILLED: dict[str, Callable[[Page, random.Random], Page]] = {
    "product": _product,
    "article": lambda page, _: page,
    "pricing": _pricing,
    "events": _events,
    "status": _status,
    "jobs": _jobs,
    "notice": _notice,
    "contact": _contact,
}


def _fact(page: Page, name: str, value: Callable[[str], str]) -> Page:
    return replace(page, facts=tuple((key, value(held) if key == name else held) for key, held in page.facts))


def _replaced(paragraphs: tuple[str, ...], place: int, text: str) -> tuple[str, ...]:
    return (*paragraphs[:place], text, *paragraphs[place + 1 :])


def _new_price(page: Page, chance: random.Random) -> Page:
    if page.kind == "pricing":
        row = page.rows[1]
        return replace(page, rows=(page.rows[0], (row[0], _price(chance), row[2]), *page.rows[2:]))
    return _fact(page, "Price", lambda _: _price(chance))


def _one_word(page: Page, chance: random.Random) -> Page:
    place = chance.randrange(len(page.paragraphs))
    words = page.paragraphs[place].split()
    words[1] = chance.choice([word for word in WORDS if word != words[1]])
    return replace(page, paragraphs=_replaced(page.paragraphs, place, " ".join(words)))


def sentence_changed(page: Page, chance: random.Random) -> Page:
    place = chance.randrange(len(page.paragraphs))
    return replace(
        page, paragraphs=_replaced(page.paragraphs, place, f"{page.paragraphs[place]} {sentence(chance)}")
    )


def _cell(page: Page, chance: random.Random) -> Page:
    if not page.rows:
        return page
    row = chance.randrange(len(page.rows))
    cells = (*page.rows[row][:-1], "Partial outage" if page.kind == "status" else chance.choice(WORDS))
    return replace(page, rows=(*page.rows[:row], cells, *page.rows[row + 1 :]))


def _new_row(page: Page, chance: random.Random) -> Page:
    if not page.rows:
        return page
    made = tuple(f"{chance.choice(WORDS)} {chance.choice(NAMES)}" for _ in page.rows[0])
    return replace(page, rows=(*page.rows, made))


_CHANGES: dict[str, Callable[[Page, random.Random], Page]] = {
    "price": _new_price,
    "sale": lambda page, chance: _fact(page, "Price", lambda old: f"{_price(chance)} (was {old})"),
    "stock": lambda page, chance: _fact(
        page, "Availability", lambda _: chance.choice(("Sold out", "Out of stock"))
    ),
    "few_left": lambda page, _: _fact(page, "Left", lambda _: "1 left in stock"),
    "title": lambda page, chance: replace(page, title=f"{chance.choice(WORDS).title()}: {page.title}"),
    "heading": lambda page, chance: replace(page, heading=f"{page.heading} {chance.choice(WORDS)}"),
    "sentence": sentence_changed,
    "paragraph_added": lambda page, chance: replace(page, paragraphs=(*page.paragraphs, _paragraph(chance))),
    "paragraph_removed": lambda page, _: replace(page, paragraphs=page.paragraphs[:-1]),
    "one_word": _one_word,
    "table_cell": _cell,
    "row_added": _new_row,
    "row_removed": lambda page, _: replace(page, rows=page.rows[1:]),
    "date": lambda page, chance: _fact(
        _fact(page, "Doors open", lambda _: f"{_day(chance):%A, %d %B %Y}"),
        "In force from",
        lambda _: f"{_day(chance):%d %B %Y}",
    ),
    "opening_hours": lambda page, _: _fact(page, "Opening hours", lambda _: "Mon-Sat 11:00-17:15"),
    "telephone": lambda page, chance: _fact(page, "Telephone", lambda _: _telephone(chance)),
    "version": lambda page, _: _fact(page, "Version", lambda old: f"{int(old.split('.')[0]) + 1}.0"),
    "state": lambda page, _: _fact(page, "State", lambda _: "Degraded performance"),
}
