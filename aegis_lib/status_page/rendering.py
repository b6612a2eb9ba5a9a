"""Sets the page in HTML. Every value is escaped here and nowhere else; nothing is decided here.

The page is whole in itself: its policy allows no request, no other script than the one in it, and images only
as data. Drawings come from `aegis_lib.plot`, which escapes what it draws.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from aegis_lib import clock
from aegis_lib.containers.model import title
from aegis_lib.markdown import visible
from aegis_lib.status_page.model import Level, Page, Restart, Section

TITLES = {
    Section.SITES: "Sites",
    Section.INCIDENTS: "Incidents",
    Section.PICTURES: "Pictures",
    Section.CHANGES: "Changes of pages",
    Section.CONTAINERS: "Containers",
    Section.HOSTS: "Hosts",
    Section.ANOMALIES: "Anomalies",
    Section.JOBS: "Jobs",
    Section.ALERTS: "Alerts",
}
NAMES = {Level.GOOD: "Good", Level.SOME: "Look", Level.BAD: "Bad", Level.NONE: "Unknown"}
_CIRCLE = '<circle cx="8" cy="8" r="7" fill="{}"/>'
_ICON = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{_CIRCLE}</svg>'
_ICON_COLOURS = {Level.GOOD: "#2a9455", Level.SOME: "#d39d27", Level.BAD: "#cf2f48", Level.NONE: "#87919c"}
_HERE = Path(__file__).parent
_LONGEST_CHARACTERS = 400


def render(page: Page) -> bytes:
    """The page as one HTML file in UTF-8."""
    css, script = _text("page.css"), _text("page.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(css)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    html = (
        _environment()
        .get_template("page.html.jinja")
        .render(
            page=page,
            css=css,
            script=script,
            policy=policy,
            titles=TITLES,
            names=NAMES,
            icon=_ICON.format(_ICON_COLOURS[page.verdict.level]),
        )
    )
    return re.sub(r"\n\s*\n+", "\n", html).encode("utf-8", "replace")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        moment=_moment,
        iso=clock.iso,
        duration=_duration,
        ratio=_ratio,
        short=_short,
        sentence=_sentence,
        container=_container,
    )
    return environment


@cache
def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8").strip()


def _hash(text: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


def _finalized(value: Any) -> Any:
    """Takes out what nobody sees, such as marks that turn the direction of the text around."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return visible(str(value))
    return value


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def _duration(length: timedelta) -> str:
    return clock.duration(length)


def _ratio(share: float) -> str:
    return f"{share * 100:.1f} %" if share >= 0.001 else "less than 0.1 %"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_CHARACTERS else text[: _LONGEST_CHARACTERS - 1] + "…"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _container(restart: Restart) -> str:
    return title(restart.engine, restart.name)
