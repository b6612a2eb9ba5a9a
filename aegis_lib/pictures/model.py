"""Pictures of websites: how they are taken, what is kept of them, and what changed. Values only.

What a page shows and says was made by strangers. Nothing here opens a page or an image.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from aegis_lib.outcome import AwareDatetime, Frozen, Report

EVENT_TYPE = "site_picture"
MOST_REGIONS = 20
"""So many places of a change are kept, the largest first."""

Selector = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^{}<\x00-\x1f\x7f]+$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

# --- configuration ---


class Viewport(Frozen):
    """The size of the browser's window, in CSS pixels, which are pixels of the picture."""

    width: int = Field(default=1280, ge=200, le=3840)
    height: int = Field(default=800, ge=200, le=2160)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


class Region(Frozen):
    """A rectangle of a picture, in pixels from its upper left corner."""

    x: int = Field(ge=0, le=100_000)
    y: int = Field(ge=0, le=100_000)
    width: int = Field(ge=1, le=100_000)
    height: int = Field(ge=1, le=100_000)


class PictureRules(Frozen):
    """The key `picture` of a site in aegis.yaml: how a picture of it is taken and compared.

    `max_height` (200 to 16000) is where a picture of the full page ends. `hide_selectors` are CSS selectors
    of what is taken out of the page before the picture is taken. `wait_until` is the event that a page is
    waited for, `wait_for` a CSS selector that must be visible then, `settle_ms` (0 to 10000) a pause after
    that. `timeout_seconds` (2 to 120) is for everything together. `ignore_regions` count for nothing when
    pictures are compared. A change is told when it is more than `threshold` (0 to 1) of the picture;
    `confirm` takes a second picture first, and what differs between the two moves by itself and is no change.
    """

    enabled: bool = True
    viewport: Viewport = Viewport()
    full_page: bool = True
    max_height: int = Field(default=8000, ge=200, le=16_000)
    color_scheme: Literal["light", "dark"] = "light"
    hide_selectors: tuple[Selector, ...] = Field(default=(), max_length=50)
    wait_until: Literal["domcontentloaded", "load", "networkidle"] = "load"
    wait_for: Selector | None = None
    settle_ms: int = Field(default=500, ge=0, le=10_000)
    timeout_seconds: float = Field(default=45, ge=2, le=120)
    ignore_regions: tuple[Region, ...] = Field(default=(), max_length=50)
    threshold: float = Field(default=0.001, ge=0, le=1)
    confirm: bool = True

    @model_validator(mode="after")
    def _there_is_time_to_wait(self) -> Self:
        if self.settle_ms / 1000 > self.timeout_seconds / 2:
            raise ValueError("settle_ms is more than half of timeout_seconds")
        return self


class PicturesConfig(Frozen):
    """The section `pictures` of aegis.yaml.

    `at_once` pages (1 to 16) are open at a time. No new page is begun after `time_limit_seconds` (10 to
    3000); the sites that are left come first in the next run. A site of which no picture can be had is told
    after `failures_before_told` runs in a row (1 to 100). From `group_from` sites on (2 to 1,000) that look
    different in one run, one message tells of all.
    """

    at_once: int = Field(default=3, ge=1, le=16)
    time_limit_seconds: int = Field(default=1800, ge=10, le=3000)
    failures_before_told: int = Field(default=2, ge=1, le=100)
    group_from: int = Field(default=5, ge=2, le=1_000)


# --- taking ---


class Subject(Frozen):
    """A page to take a picture of. With `allow_private` it may load from private addresses as well."""

    site: str
    url: str
    rules: PictureRules = PictureRules()
    allow_private: bool = False
    verify_tls: bool = True

    @field_validator("url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        if not value.lower().startswith(("http://", "https://")):
            raise ValueError("a picture can only be taken of an http or https address")
        return value

    def __str__(self) -> str:
        return self.site


class Shot(Frozen):
    """What came of taking a picture. With a `problem` there may be an image all the same: an error page."""

    subject: Subject
    image: bytes = b""
    browser: str = ""
    """Name and major version of what took it."""
    http_status: int | None = None
    problem: str | None = None
    seconds: float = 0


# --- comparing ---


class Comparison(Frozen):
    """How two pictures differ: the share of pixels (0 to 1), where, and a picture that marks it."""

    changed_ratio: float = Field(ge=0, le=1)
    regions: tuple[Region, ...] = ()
    marked: bytes = b""


class ImageFacts(Frozen):
    """Size of an image in pixels, and a small version of it (WebP)."""

    width: int = Field(ge=1)
    height: int = Field(ge=1)
    thumbnail: bytes = b""


# --- what is kept ---


class Says(StrEnum):
    """What people are to be told because of a picture."""

    CHANGED = "changed"
    FAILING = "failing"
    RECOVERED = "recovered"


class NewPicture(Frozen):
    """A picture to be kept, or the fact that there is none; see the table `site_pictures`."""

    site: str
    taken_at: AwareDatetime
    viewport: str
    conditions: str
    file_digest: Digest | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    thumbnail_digest: Digest | None = None
    http_status: int | None = None
    is_reference: bool = False
    reference_id: int | None = None
    changed_ratio: float | None = None
    regions: tuple[Region, ...] = ()
    diff_digest: Digest | None = None
    diff_thumbnail_digest: Digest | None = None
    problem: str | None = None
    says: Says | None = None


class Picture(NewPicture):
    """A picture as it is kept."""

    id: int
    told_at: AwareDatetime | None = None


class SiteHistory(Frozen):
    """What is known of a site's pictures: the newest reference, failures in a row so far, the last time.

    `told_failing`: people are told of those failures.
    """

    reference: Picture | None = None
    failures: int = 0
    told_failing: bool = False
    last_at: AwareDatetime | None = None


class Forgotten(Frozen):
    """What retention removed: rows, files, their size, and how many files could not be removed."""

    pictures: int = 0
    files: int = 0
    bytes: int = 0
    problems: tuple[str, ...] = ()


# --- report ---


class PictureRow(Frozen):
    """One line of the table that people look at."""

    site: str
    result: str
    changed: str = ""
    seconds: float = 0


class PicturesReport(Report):
    """What a run did. `left` are the sites for which there was no time."""

    taken: int = 0
    changed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    rows: tuple[PictureRow, ...] = ()
    problems: tuple[str, ...] = ()
