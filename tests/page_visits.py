"""How a visit gets a page of `tests.changing_pages`: all that changes by itself is drawn anew."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256

from tests.changing_pages import NAMES, START, WORDS, Page, sentence


class Visit:
    """One visit of a page: draws what changes by itself."""

    def __init__(self, page: Page, number: int) -> None:
        self.page = page
        self.fixed = random.Random(f"{page.kind}{page.seed}")  # what the page looks like at every visit
        self.chance = random.Random(f"{page.kind}{page.seed}visit{number}")
        self.now = START + timedelta(minutes=37 * number, seconds=self.chance.randint(0, 59))
        self.number = number

    def html(self) -> str:
        page, noise = self.page, self.page.noise
        parts = [
            self.above(),
            self.heading(),
            *self.inside("before"),
            *self.facts(),
            *self.texts(),
            self.rows(),
            *self.inside("after"),
        ]
        body = f"<main{self.attributes('main')}>{self.gap().join(filter(None, parts))}</main>"
        if page.seed % 3 == 1:
            body = body.replace("<main", "<article").replace("</main>", "</article>")
        elif page.seed % 3 == 2:
            body = body.replace("<main", "<div").replace("</main>", "</div>")
        badge = f"({self.chance.randint(1, 30)}) " if "unread_badge" in noise else ""
        return (
            f"<!doctype html><html lang=en><head><meta charset=utf-8>{self.head()}"
            f"<title>{badge}{page.title}</title>"
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
            f'<meta name="csrf-token" content="{token}">'
            f'<script nonce="{token}">var t="{self.token()}";if(1<2)'
            f'{{}}</script><link rel=stylesheet href="/app.{self.token(8)}.css">'
        )

    def menu(self) -> str:
        links = [f'<li><a href="/{word}">{word}</a></li>' for word in self.fixed.sample(WORDS, 5)]
        extra = f"<span>{self.now:%H:%M}</span>" if "timestamps" in self.page.noise else ""
        return f"<header><nav><ul>{''.join(links)}</ul></nav>{extra}</header>"

    def cookie_notice(self) -> str:
        if "cookie_notice" not in self.page.noise or self.chance.random() < 0.5:
            return ""
        return (
            '<div id="cookie-banner" class="cookie-banner">We use cookies. <button>Accept all</button></div>'
        )

    def above(self) -> str:
        return f"<p{self.attributes('kicker')}>{self.fixed.choice(WORDS).title()}</p>"

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
        words = self.chance.sample(WORDS, 4)
        links = "".join(
            f'<li><a href="/{word}">{word.title()} and {self.chance.choice(WORDS)}</a></li>' for word in words
        )
        if self.page.seed % 2:
            return f"<aside><h3>Popular now</h3><ul>{links}</ul></aside>"
        return f"<section{self.attributes('list')}><h3>You may also like</h3><ul>{links}</ul></section>"

    def foot(self) -> str:
        year = 2026 + self.number // 7 if "copyright" in self.page.noise else 2026
        return f"<footer><p>\u00a9 {year} Example Works</p></footer>"


def _counter(visit: Visit) -> int:
    return 1_200 + visit.page.seed * 13 + visit.number * visit.chance.randint(3, 40)


_INSIDE: dict[str, tuple[Callable[[Visit], str], ...]] = {
    "timestamps": (
        lambda v: f"<p>Last updated: {v.now:%d %B %Y %H:%M}</p>",
        lambda v: f"<p>Page generated on {v.now:%Y-%m-%d %H:%M:%S} UTC</p>",
        lambda v: f"<div>Current time: {v.now:%H:%M:%S}</div>",
        lambda v: f"<p>Prices as of {v.now:%b %d, %Y, %I:%M %p}</p>",
        lambda v: f"<p><time datetime='{v.now.isoformat()}'>{v.now:%A, %B %d, %Y}</time></p>",
        lambda v: f"<small>Stand: {v.now:%d.%m.%Y %H:%M} Uhr</small>",
        lambda v: (
            f"<small>Checked at {v.now:%H:%M} UTC, "
            f"next check at {v.now + timedelta(minutes=5):%H:%M} UTC</small>"
        ),
        lambda v: f"<p>Data refreshed {v.now:%Y-%m-%dT%H:%M:%SZ}</p>",
    ),
    "relative_times": (
        lambda v: f"<p>Posted {v.number + 2} hours ago by Anna</p>",
        lambda v: f"<p>Updated {v.chance.randint(2, 50)} minutes ago</p>",
        lambda v: f"<p>Last seen {v.chance.randint(2, 9)} days ago</p>",
        lambda v: f"<span>{v.chance.randint(2, 9)}h ago</span>",
        lambda v: f"<p>Last commit {v.chance.choice(('just now', 'a minute ago', '3 weeks ago'))}</p>",
        lambda v: f"<p>Vor {v.chance.randint(2, 50)} Minuten ge\u00e4ndert</p>",
    ),
    "countdown": (
        lambda v: (
            f"<p>Offer ends in 0{v.chance.randint(0, 9)}:{v.chance.randint(10, 59)}:"
            f"{v.chance.randint(10, 59)}</p>"
        ),
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
    "nonces": (
        lambda v: f'<form><input type=hidden name=t value="{v.token()}"><button>Order</button></form>',
    ),
    "advertisements": (
        lambda v: (
            f'<div class="ad-slot" id="div-gpt-ad-{v.chance.randint(1, 9)}">'
            f"Buy {v.chance.choice(WORDS)} today!</div>"
        ),
        lambda v: (
            f'<ins class="adsbygoogle" data-ad-slot="{v.number}">The best {v.chance.choice(WORDS)}</ins>'
        ),
        lambda v: (
            f'<iframe src="https://ads.example/{v.token(9)}"></iframe>'
            f'<div data-ad-unit="1">{sentence(v.chance)}</div>'
        ),
        lambda v: f'<div class="newsletter-signup">{v.chance.choice(NAMES)} reads us. Sign up!</div>',
        lambda v: f'<div class="share-buttons"><a href="/s">{_counter(v)}</a></div>',
    ),
    "labelled_advertisement": (
        lambda v: f"<div{v.attributes('x')}><span>Advertisement</span><p>{sentence(v.chance)}</p></div>",
        lambda v: (
            f'<div{v.attributes("x")}><small>Sponsored</small><a href="/o">{sentence(v.chance)}</a></div>'
        ),
        lambda v: f"<section{v.attributes('x')}><p>Anzeige</p><div>{sentence(v.chance)}</div></section>",
        lambda v: f'<div aria-label="Advertisement">{sentence(v.chance)}</div>',
    ),
    "sponsored_links": (
        lambda v: f'<p><a rel="nofollow sponsored" href="/z">{v.chance.choice(WORDS)} for less</a></p>',
    ),
    "reordering": (
        lambda v: (
            "<ul>" + "".join(f"<li>{w}</li>" for w in _shuffled(v, "copper glass granite paper")) + "</ul>"
        ),
        lambda v: "".join(
            f"<div class=card><h3>{w}</h3><p>about {w}</p></div>" for w in _shuffled(v, "wood stone silk")
        ),
    ),
}


def _shuffled(visit: Visit, words: str) -> list[str]:
    drawn = words.split()
    visit.chance.shuffle(drawn)
    return drawn
