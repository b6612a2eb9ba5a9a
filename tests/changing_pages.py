"""Made-up web pages that change: by themselves, as pages do at every visit, and because somebody changed them.

    page = make(kind, seed)               what the page says
    page.html(visit)                      as one visit gets it: other times, tokens, counters, advertisements, order
    page.with_signal(name, seed)          somebody changed something; None where the page has no such thing

The same numbers give the same pages. Nothing here knows how changes are found.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

KINDS = ("product", "article", "pricing", "events", "status", "jobs", "notice", "contact")
_WORDS = (
    "river lamp orchard engine harbour glass winter market copper garden signal bridge paper forest coffee "
    "window mountain library station kitchen bicycle ocean village thunder meadow lantern compass anchor "
    "blanket candle desert feather granite hammer island jacket kettle ladder mirror needle"
).split()
_VERBS = "opens holds carries follows replaces improves measures supports protects explains".split()
_NAMES = "Anna Bruno Chloe Dario Elif Farid Greta Hugo Ines Jonas Karla Liam".split()
_PLACES = "Lisbon Graz Leeds Turku Ghent Porto Bergen Zadar Kassel Nantes".split()
_START = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)

SIGNALS = (
    "price", "sale", "stock", "few_left", "title", "heading", "sentence", "paragraph_added", "paragraph_removed",
    "one_word", "table_cell", "row_added", "row_removed", "date", "opening_hours", "telephone", "version", "state",
)  # fmt: skip
NOISE = (
    "timestamps", "relative_times", "countdown", "nonces", "visible_tokens", "counters", "load_time", "advertisements",
    "labelled_advertisement", "sponsored_links", "cookie_notice", "class_hashes", "reordering", "related", "markup",
    "tracking_links", "unread_badge", "copyright",
)  # fmt: skip


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
        return _Visit(self, visit).html()

    def with_noise(self, *kinds: str) -> Page:
        return replace(self, noise=frozenset(kinds))

    def with_signal(self, name: str, seed: int = 1) -> Page | None:
        """The page after somebody changed one thing; None when it has none such."""
        changed = _CHANGES[name](self, random.Random(f"{self.kind}{self.seed}{name}{seed}"))
        return changed if changed != self else None


def make(kind: str, seed: int) -> Page:
    """A page of a kind, the same one for the same seed."""
    chance = random.Random(f"{kind}{seed}")
    name = " ".join(chance.sample(_WORDS, 2)).title()
    page = Page(
        kind,
        seed,
        title=f"{name} \u2013 {chance.choice(_WORDS).title()} {chance.choice(('Shop', 'Daily', 'Works', 'Hub'))}",
        heading=name,
        paragraphs=tuple(_paragraph(chance) for _ in range(chance.randint(3, 7))),
    )
    return _FILLED[kind](page, chance)


def _sentence(chance: random.Random) -> str:
    a, b, c = chance.sample(_WORDS, 3)
    return f"The {a} {chance.choice(_VERBS)} the {b} near the {c} {chance.choice(('slowly', 'at night', 'again'))}."


def _paragraph(chance: random.Random) -> str:
    return " ".join(_sentence(chance) for _ in range(chance.randint(2, 6)))


def _price(chance: random.Random) -> str:
    return chance.choice(("${:.2f}", "\u20ac{:.2f}", "{:.2f} EUR", "\u00a3{:.2f}")).format(
        chance.uniform(3, 900)
    )


def _day(chance: random.Random) -> datetime:
    return _START + timedelta(days=chance.randint(1, 250))


def _product(page: Page, chance: random.Random) -> Page:
    facts = [("Price", _price(chance)), ("Availability", "In stock"), ("Left", f"{chance.randint(2, 30)} left in stock"),
             ("Weight", f"{chance.randint(1, 90)} kg"), ("Version", f"{chance.randint(1, 9)}.{chance.randint(0, 20)}")]  # fmt: skip
    return replace(page, facts=tuple(facts))


def _pricing(page: Page, chance: random.Random) -> Page:
    rows = tuple(
        (plan, _price(chance), f"{chance.randint(1, 50)} users") for plan in ("Basic", "Team", "Company")
    )
    return replace(page, rows=rows, ordered_rows=True)


def _events(page: Page, chance: random.Random) -> Page:
    days = [_day(chance) for _ in range(5)]
    rows = tuple((f"{d:%d %B %Y}", f"{chance.choice(_WORDS)} evening", chance.choice(_PLACES)) for d in days)
    return replace(
        page, rows=rows, ordered_rows=True, facts=(("Doors open", f"{_day(chance):%A, %d %B %Y}"),)
    )


def _status(page: Page, chance: random.Random) -> Page:
    rows = tuple((f"{word.title()} API", "Operational") for word in chance.sample(_WORDS, 5))
    return replace(page, rows=rows, ordered_rows=True, facts=(("State", "All systems operational"),))


def _jobs(page: Page, chance: random.Random) -> Page:
    rows = tuple(
        (f"{word.title()} engineer", chance.choice(_PLACES), "Full time") for word in chance.sample(_WORDS, 6)
    )
    return replace(page, rows=rows)


def _contact(page: Page, chance: random.Random) -> Page:
    facts = (("Opening hours", f"Mon-Fri {chance.randint(7, 10)}:00-18:30"), ("Telephone", _telephone(chance)),
             ("Address", f"{chance.randint(1, 99)} {chance.choice(_WORDS).title()} Street, {chance.choice(_PLACES)}"))  # fmt: skip
    return replace(page, facts=facts)


def _telephone(chance: random.Random) -> str:
    return f"+44 20 7946 {chance.randint(0, 999):04d}"


def _notice(page: Page, chance: random.Random) -> Page:
    return replace(
        page, facts=(("In force from", f"{_day(chance):%d %B %Y}"), ("Version", f"{chance.randint(2, 7)}.1"))
    )


_FILLED: dict[str, Callable[[Page, random.Random], Page]] = {
    "product": _product, "article": lambda page, _: page, "pricing": _pricing, "events": _events,
    "status": _status, "jobs": _jobs, "notice": _notice, "contact": _contact,
}  # fmt: skip


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
    words[1] = chance.choice([word for word in _WORDS if word != words[1]])
    return replace(page, paragraphs=_replaced(page.paragraphs, place, " ".join(words)))


def _sentence_changed(page: Page, chance: random.Random) -> Page:
    place = chance.randrange(len(page.paragraphs))
    return replace(
        page, paragraphs=_replaced(page.paragraphs, place, f"{page.paragraphs[place]} {_sentence(chance)}")
    )


def _cell(page: Page, chance: random.Random) -> Page:
    if not page.rows:
        return page
    row = chance.randrange(len(page.rows))
    cells = (*page.rows[row][:-1], "Partial outage" if page.kind == "status" else chance.choice(_WORDS))
    return replace(page, rows=(*page.rows[:row], cells, *page.rows[row + 1 :]))


def _new_row(page: Page, chance: random.Random) -> Page:
    if not page.rows:
        return page
    made = tuple(f"{chance.choice(_WORDS)} {chance.choice(_NAMES)}" for _ in page.rows[0])
    return replace(page, rows=(*page.rows, made))


_CHANGES: dict[str, Callable[[Page, random.Random], Page]] = {
    "price": _new_price,
    "sale": lambda page, chance: _fact(page, "Price", lambda old: f"{_price(chance)} (was {old})"),
    "stock": lambda page, chance: _fact(page, "Availability", lambda _: chance.choice(("Sold out", "Out of stock"))),
    "few_left": lambda page, _: _fact(page, "Left", lambda _: "1 left in stock"),
    "title": lambda page, chance: replace(page, title=f"{chance.choice(_WORDS).title()}: {page.title}"),
    "heading": lambda page, chance: replace(page, heading=f"{page.heading} {chance.choice(_WORDS)}"),
    "sentence": _sentence_changed,
    "paragraph_added": lambda page, chance: replace(page, paragraphs=(*page.paragraphs, _paragraph(chance))),
    "paragraph_removed": lambda page, _: replace(page, paragraphs=page.paragraphs[:-1]),
    "one_word": _one_word,
    "table_cell": _cell,
    "row_added": _new_row,
    "row_removed": lambda page, _: replace(page, rows=page.rows[1:]),
    "date": lambda page, chance: _fact(
        _fact(page, "Doors open", lambda _: f"{_day(chance):%A, %d %B %Y}"), "In force from",
        lambda _: f"{_day(chance):%d %B %Y}",
    ),
    "opening_hours": lambda page, _: _fact(page, "Opening hours", lambda _: "Mon-Sat 11:00-17:15"),
    "telephone": lambda page, chance: _fact(page, "Telephone", lambda _: _telephone(chance)),
    "version": lambda page, _: _fact(page, "Version", lambda old: f"{int(old.split('.')[0]) + 1}.0"),
    "state": lambda page, _: _fact(page, "State", lambda _: "Degraded performance"),
}  # fmt: skip


class _Visit:
    """One visit of a page: draws what changes by itself."""

    def __init__(self, page: Page, number: int) -> None:
        self.page = page
        self.fixed = random.Random(f"{page.kind}{page.seed}")  # what the page looks like at every visit
        self.chance = random.Random(f"{page.kind}{page.seed}visit{number}")
        self.now = _START + timedelta(minutes=37 * number, seconds=self.chance.randint(0, 59))
        self.number = number

    def html(self) -> str:
        page, noise = self.page, self.page.noise
        parts = [self.above(), self.heading(), *self.inside("before"), *self.facts(), *self.texts(), self.rows(),
                 *self.inside("after")]  # fmt: skip
        body = f"<main{self.attributes('main')}>{self.gap().join(filter(None, parts))}</main>"
        if page.seed % 3 == 1:
            body = body.replace("<main", "<article").replace("</main>", "</article>")
        elif page.seed % 3 == 2:
            body = body.replace("<main", "<div").replace("</main>", "</div>")
        badge = f"({self.chance.randint(1, 30)}) " if "unread_badge" in noise else ""
        return (
            f"<!doctype html><html lang=en><head><meta charset=utf-8>{self.head()}<title>{badge}{page.title}</title>"
            f"</head><body{self.attributes('body')}>{self.cookie_notice()}{self.menu()}{body}{self.aside()}{self.foot()}"
            f"</body></html>"
        )

    def token(self, letters: int = 32) -> str:
        return sha256(str(self.chance.random()).encode()).hexdigest()[:letters]

    def attributes(self, name: str) -> str:
        if "class_hashes" in self.page.noise:
            return f' class="{name} css-{self.token(7)} _{self.token(5)}" data-k="{self.token(9)}"'
        return f' class="{name}"'

    def gap(self) -> str:
        return (
            self.chance.choice(("", "\n", "\n\n    ", "\n<!-- x -->\n"))
            if "markup" in self.page.noise
            else "\n"
        )

    def head(self) -> str:
        if "nonces" not in self.page.noise:
            return ""
        token = self.token()
        return (
            f'<meta name="csrf-token" content="{token}"><script nonce="{token}">var t="{self.token()}";if(1<2)'
            f'{{}}</script><link rel=stylesheet href="/app.{self.token(8)}.css">'
        )

    def menu(self) -> str:
        links = [f'<li><a href="/{word}">{word}</a></li>' for word in self.fixed.sample(_WORDS, 5)]
        extra = f"<span>{self.now:%H:%M}</span>" if "timestamps" in self.page.noise else ""
        return f"<header><nav><ul>{''.join(links)}</ul></nav>{extra}</header>"

    def cookie_notice(self) -> str:
        if "cookie_notice" not in self.page.noise or self.chance.random() < 0.5:
            return ""
        return (
            '<div id="cookie-banner" class="cookie-banner">We use cookies. <button>Accept all</button></div>'
        )

    def above(self) -> str:
        return f"<p{self.attributes('kicker')}>{self.fixed.choice(_WORDS).title()}</p>"

    def heading(self) -> str:
        return f"<h1{self.attributes('title')}>{self.page.heading}</h1>"

    def facts(self) -> list[str]:
        lines = []
        for name, value in self.page.facts:
            shown = (
                f"<span>{value}</span>"
                if "markup" in self.page.noise and self.chance.random() < 0.5
                else value
            )
            lines.append(f"<div{self.attributes('fact')}><b>{name}</b>: {shown}</div>")
        return lines

    def texts(self) -> list[str]:
        texts = []
        for place, text in enumerate(self.page.paragraphs):
            if "tracking_links" in self.page.noise and place == 0:
                text = text.replace(" the ", f' <a href="/x?sid={self.token()}">the</a> ', 1)
            if "markup" in self.page.noise and self.chance.random() < 0.5:
                broken = text.replace(". ", ".\n  ")
                text = f"\n   <span{self.attributes('t')}>{broken}</span>\n"
            texts.append(f"<p{self.attributes('text')}>{text}</p>")
        return texts

    def rows(self) -> str:
        rows = list(self.page.rows)
        if not rows:
            return ""
        if "reordering" in self.page.noise and not self.page.ordered_rows:
            self.chance.shuffle(rows)
        made = (
            "<tr>" + "".join(f"<td{self.attributes('c')}>{cell}</td>" for cell in row) + "</tr>"
            for row in rows
        )
        return f"<table{self.attributes('rows')}>{''.join(made)}</table>"

    def inside(self, place: str) -> list[str]:
        """The noise that stands in the midst of the text, each time at the same place of this page."""
        made = []
        for kind in sorted(self.page.noise & _INSIDE.keys()):
            where = random.Random(f"{self.page.seed}{kind}").choice(("before", "after"))
            if where == place:
                variants = _INSIDE[kind]
                variant = random.Random(f"{self.page.seed}{kind}variant").randrange(len(variants))
                made.append(variants[variant](self))
        return made

    def aside(self) -> str:
        if "related" not in self.page.noise:
            return ""
        words = self.chance.sample(_WORDS, 4)
        links = "".join(
            f'<li><a href="/{word}">{word.title()} and {self.chance.choice(_WORDS)}</a></li>'
            for word in words
        )
        if self.page.seed % 2:
            return f"<aside><h3>Popular now</h3><ul>{links}</ul></aside>"
        return f"<section{self.attributes('list')}><h3>You may also like</h3><ul>{links}</ul></section>"

    def foot(self) -> str:
        year = 2026 + self.number // 7 if "copyright" in self.page.noise else 2026
        return f"<footer><p>\u00a9 {year} Example Works</p></footer>"


def _counter(visit: _Visit) -> int:
    return 1_200 + visit.page.seed * 13 + visit.number * visit.chance.randint(3, 40)


_INSIDE: dict[str, tuple[Callable[[_Visit], str], ...]] = {
    "timestamps": (
        lambda v: f"<p>Last updated: {v.now:%d %B %Y %H:%M}</p>",
        lambda v: f"<p>Page generated on {v.now:%Y-%m-%d %H:%M:%S} UTC</p>",
        lambda v: f"<div>Current time: {v.now:%H:%M:%S}</div>",
        lambda v: f"<p>Prices as of {v.now:%b %d, %Y, %I:%M %p}</p>",
        lambda v: f"<p><time datetime='{v.now.isoformat()}'>{v.now:%A, %B %d, %Y}</time></p>",
        lambda v: f"<small>Stand: {v.now:%d.%m.%Y %H:%M} Uhr</small>",
        lambda v: f"<small>Checked at {v.now:%H:%M} UTC, next check at {v.now + timedelta(minutes=5):%H:%M} UTC</small>",
        lambda v: f"<p>Data refreshed {v.now:%Y-%m-%dT%H:%M:%SZ}</p>",
    ),
    "relative_times": (
        lambda v: f"<p>Posted {v.number + 2} hours ago by Anna</p>",
        lambda v: f"<p>Updated {v.chance.randint(2, 50)} minutes ago</p>",
        lambda v: f"<p>Last seen {v.chance.randint(2, 9)} days ago</p>",
        lambda v: f"<span>{v.chance.randint(2, 9)}h ago</span>",
        lambda v: f"<p>Last commit {v.chance.choice(('just now', 'a minute ago', 'an hour ago', '3 weeks ago'))}</p>",
        lambda v: f"<p>Vor {v.chance.randint(2, 50)} Minuten ge\u00e4ndert</p>",
    ),
    "countdown": (
        lambda v: f"<p>Offer ends in 0{v.chance.randint(0, 9)}:{v.chance.randint(10, 59)}:{v.chance.randint(10, 59)}</p>",
        lambda v: f"<p>Sale ends in {v.chance.randint(2, 20)} hours {v.chance.randint(2, 59)} minutes</p>",
        lambda v: f"<p>{v.chance.randint(2, 20)} days left</p>",
    ),
    "visible_tokens": (
        lambda v: f"<p>Request ID: {v.token(16)}</p>",
        lambda v: f"<p>Ref {v.token(8)}-{v.token(4)}-{v.token(4)}-{v.token(4)}-{v.token(12)}</p>",
        lambda v: f"<small>Session: {v.token(24)}</small>",
        lambda v: f"<small>build {v.token(7)}9 served by web-{v.token(10)}</small>",
        lambda v: f"<p>Incident reference {v.token(10).upper()}</p>",
    ),
    "counters": (
        lambda v: f"<p>{_counter(v):,} views</p>",
        lambda v: f"<p>{v.chance.randint(2, 40)} people are viewing this right now</p>",
        lambda v: f"<p>Visitors today: {_counter(v)}</p>",
        lambda v: f"<h4>Comments ({_counter(v)})</h4>",
        lambda v: f"<p>{_counter(v)} likes \u00b7 {_counter(v)} shares</p>",
        lambda v: f"<p>4.5 out of 5 ({_counter(v):,} reviews)</p>",
        lambda v: f"<p>You are visitor number {_counter(v)}</p>",
        lambda v: f"<p>{_counter(v) / 1000:.1f}K followers</p>",
        lambda v: f"<p>Downloaded {_counter(v):,} times</p>",
    ),
    "load_time": (
        lambda v: f"<p>Page rendered in {v.chance.uniform(0.01, 2):.3f} seconds</p>",
        lambda v: f"<p>{v.chance.randint(3, 60)} queries in {v.chance.uniform(0.01, 2):.2f}s</p>",
        lambda v: f"<p>Generated in {v.chance.randint(3, 600)} ms by node {v.token(12)}</p>",
    ),
    "nonces": (lambda v: f'<form><input type=hidden name=t value="{v.token()}"><button>Order</button></form>',),
    "advertisements": (
        lambda v: f'<div class="ad-slot" id="div-gpt-ad-{v.chance.randint(1, 9)}">Buy {v.chance.choice(_WORDS)} today!</div>',
        lambda v: f'<ins class="adsbygoogle" data-ad-slot="{v.number}">The best {v.chance.choice(_WORDS)}</ins>',
        lambda v: f'<iframe src="https://ads.example/{v.token(9)}"></iframe><div data-ad-unit="1">{_sentence(v.chance)}</div>',
        lambda v: f'<div class="newsletter-signup">{v.chance.choice(_NAMES)} reads us. Sign up!</div>',
        lambda v: f'<div class="share-buttons"><a href="/s">{_counter(v)}</a></div>',
    ),
    "labelled_advertisement": (
        lambda v: f"<div{v.attributes('x')}><span>Advertisement</span><p>{_sentence(v.chance)}</p></div>",
        lambda v: f'<div{v.attributes("x")}><small>Sponsored</small><a href="/o">{_sentence(v.chance)}</a></div>',
        lambda v: f"<section{v.attributes('x')}><p>Anzeige</p><div>{_sentence(v.chance)}</div></section>",
        lambda v: f'<div aria-label="Advertisement">{_sentence(v.chance)}</div>',
    ),
    "sponsored_links": (
        lambda v: f'<p><a rel="nofollow sponsored" href="/z">{v.chance.choice(_WORDS)} for less</a></p>',
    ),
    "reordering": (
        lambda v: "<ul>" + "".join(f"<li>{w}</li>" for w in _shuffled(v, "copper glass granite paper")) + "</ul>",
        lambda v: "".join(f"<div class=card><h3>{w}</h3><p>about {w}</p></div>" for w in _shuffled(v, "wood stone silk")),
    ),
}  # fmt: skip


def _shuffled(visit: _Visit, words: str) -> list[str]:
    drawn = words.split()
    visit.chance.shuffle(drawn)
    return drawn
