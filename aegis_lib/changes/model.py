"""What of a page counts as its content, and what a change of it is. Values only; it reads no page itself."""

from __future__ import annotations

from enum import StrEnum
from importlib.util import find_spec
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from aegis_lib.changes.selectors import Selector
from aegis_lib.outcome import Frozen

Line = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class Noise(StrEnum):
    """What changes on a page without anybody having changed it."""

    TIMES = "times"
    """Times of day, "5 minutes ago", "last updated on ...", the year of a copyright."""
    COUNTERS = "counters"
    """How many views, visitors, likes, comments; how long the page took to make."""
    TOKENS = "tokens"
    """Random letters and digits: session ids, checksums, references of a request."""
    ADVERTISEMENTS = "advertisements"
    """Advertisements, cookie notices, buttons to share, lists of what else could be read."""


class ContentRules(Frozen):
    """What is watched on a page: the key `content` of a site in aegis.yaml.

    Patterns are RE2 (https://github.com/google/re2/wiki/Syntax), whose time grows with the length of the page
    and no faster, whatever the pattern.
    """

    watch: bool = Field(default=False, description="Whether changes of what the page says are watched.")
    selector: Line | None = Field(
        default=None,
        description="Only what stands in elements that fit this CSS selector, such as #price or main .offer; "
        "by default the main text of the page.",
    )
    ignore_selectors: tuple[Line, ...] = Field(
        default=(), max_length=50, description="Never what stands in elements that fit one of these."
    )
    ignore_patterns: tuple[Line, ...] = Field(
        default=(), max_length=50, description="Never what fits one of these regular expressions (RE2)."
    )
    keep: tuple[Noise, ...] = Field(
        default=(),
        max_length=4,
        description="Kinds of noise that are content here: times, counters, tokens, advertisements.",
    )
    whole_page: bool = Field(
        default=False, description="Menus, header and footer are content, too. Not needed with a selector."
    )
    order_matters: bool = Field(
        default=False, description="Lines that only moved are a change, too, as in a list of ranks."
    )
    min_change: float = Field(
        default=0,
        ge=0,
        le=1,
        description="Changes of less than this share of the text (0 to 1) are not told; 0 tells all.",
    )

    @field_validator("selector", "ignore_selectors")
    @classmethod
    def _can_be_read(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for text in (value,) if isinstance(value, str) else value or ():
            Selector.parsed(text)
        return value

    @field_validator("ignore_patterns")
    @classmethod
    def _are_patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        if patterns and find_spec("re2"):  # without it no page is read either, and that says what to install
            from aegis_lib.changes.noise import compiled

            for pattern in patterns:
                compiled(pattern)
        return patterns


class Topic(StrEnum):
    """What a change is about, the most telling first."""

    GONE = "gone"
    """Nothing fits the selector any more."""
    BACK = "back"
    """Something fits the selector again."""
    TITLE = "title"
    PRICE = "price"
    AVAILABILITY = "availability"
    TEXT = "text"
    ORDER = "order"


class PageText(Frozen):
    """The content of a page at one time: its title, and its lines in order, noise and all.

    `digest` is over what is left without the noise: two readings with one digest say the same. `made_with`
    names the way it was read: readings of two ways are not compared. `found` is false when nothing fitted the
    selector. `cut` says that the page was too long and its end was left out.
    """

    title: str = ""
    lines: tuple[str, ...] = ()
    digest: str
    made_with: str
    found: bool = True
    cut: bool = False

    @property
    def text(self) -> str:
        """Everything for a reader: the title, then a line each."""
        return "\n".join([self.title, *self.lines] if self.title else self.lines)

    def stored(self) -> str:
        """As text, for a table; `from_stored` restores it."""
        return self.model_dump_json()

    @classmethod
    def from_stored(cls, text: str) -> PageText | None:
        """A reading of before; None when the text is none of this version: then the next one starts anew."""
        from pydantic import ValidationError

        try:
            return cls.model_validate_json(text)
        except ValidationError:
            return None


class Change(Frozen):
    """What became different between two readings.

    `significance` (0 to 1) is the share of the text that is different. `diff` has a line for each line that
    went (`- `), came (`+ `) or stands around (`  `).
    """

    summary: str = Field(min_length=1)
    topics: tuple[Topic, ...] = Field(min_length=1)
    added: int = Field(default=0, ge=0)
    removed: int = Field(default=0, ge=0)
    significance: float = Field(ge=0, le=1)
    diff: tuple[str, ...] = ()
