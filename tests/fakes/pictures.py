"""Camera, files, images and table in memory; tests/contract/test_pictures.py holds them to the real ones.

An image is a text here: `FakeDarkroom` compares letter by letter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from aegis_lib.pictures.model import (
    Comparison,
    Forgotten,
    ImageFacts,
    NewPicture,
    Picture,
    Region,
    Shot,
    SiteHistory,
    Subject,
)
from aegis_lib.pictures.service import Studio


class FakeCamera:
    """Shows what `pages` say of a site: an image, a problem (a text) or several images in a row."""

    def __init__(self, pages: Mapping[str, bytes | str | Sequence[bytes]]) -> None:
        self.pages = dict(pages)
        self.asked: list[str] = []
        self.browser = "chromium 1"
        self.broken: Exception | None = None

    def pictures(
        self, subjects: Sequence[Subject], go_on: Callable[[], bool] = lambda: True
    ) -> Iterator[Shot]:
        for subject in subjects:
            if not go_on():
                return
            if self.broken is not None:
                raise self.broken
            self.asked.append(subject.site)
            yield self._shot(subject)

    def _shot(self, subject: Subject) -> Shot:
        page = self.pages[subject.site]
        if isinstance(page, str):
            return Shot(subject=subject, browser=self.browser, problem=page)
        if not isinstance(page, bytes):
            number = self.asked.count(subject.site) - 1
            page = page[min(number, len(page) - 1)]
        return Shot(subject=subject, browser=self.browser, image=page, http_status=200, seconds=1)


class FakeDarkroom:
    """Images are texts: one letter is one pixel of one row."""

    def facts(self, image: bytes) -> ImageFacts:
        if image == b"broken":
            raise ValueError("it is no image that can be read")
        return ImageFacts(width=len(image), height=1, thumbnail=image[:3])

    def compare(self, before: bytes, after: bytes, ignored: Sequence[Region] = ()) -> Comparison:
        return self.compare_still(before, after, after, ignored)

    def compare_still(
        self, before: bytes, after: bytes, again: bytes, ignored: Sequence[Region] = ()
    ) -> Comparison:
        skipped = {x for one in ignored for x in range(one.x, one.x + one.width)}
        places = [n for n in range(max(len(before), len(after))) if n not in skipped]
        changed = [
            n
            for n in places
            if before[n : n + 1] != after[n : n + 1] and after[n : n + 1] == again[n : n + 1]
        ]
        if not changed:
            return Comparison(changed_ratio=0)
        regions = tuple(Region(x=n, y=0, width=1, height=1) for n in changed)
        return Comparison(
            changed_ratio=len(changed) / len(places), regions=regions, marked=b"marked " + after
        )


class FakeFiles:
    """Files in a dict, with the time of their last `put`."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.held: dict[str, bytes] = {}
        self.put_at: dict[str, datetime] = {}
        self.broken: Exception | None = None

    def put(self, content: bytes) -> str:
        if self.broken is not None:
            raise self.broken
        digest = hashlib.sha256(content).hexdigest()
        self.held[digest], self.put_at[digest] = content, self.now
        return digest

    def read(self, digest: str) -> bytes | None:
        return self.held.get(digest)

    def path(self, digest: str) -> Path:
        if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise ValueError("no digest")
        return Path("/pictures") / digest[:2] / digest

    def kept(self, before: datetime) -> Iterator[list[str]]:
        found = sorted(digest for digest, at in self.put_at.items() if at < before)
        if found:
            yield found

    def remove(self, digests: Sequence[str], before: datetime) -> Forgotten:
        gone = [self.held.pop(one) for one in digests if one in self.held and self.put_at[one] < before]
        self.put_at = {digest: at for digest, at in self.put_at.items() if digest in self.held}
        return Forgotten(files=len(gone), bytes=sum(map(len, gone)))


class FakePictures:
    """The table in a list."""

    def __init__(self) -> None:
        self.rows: list[Picture] = []
        self.numbers = 0
        self.held = False

    @contextmanager
    def exclusive(self) -> Iterator[bool]:
        mine, self.held = not self.held, True
        try:
            yield mine
        finally:
            if mine:
                self.held = False

    def histories(self, sites: Sequence[str]) -> dict[str, SiteHistory]:
        return {site: self._history(site) for site in sites}

    def _history(self, site: str) -> SiteHistory:
        rows = [row for row in self.rows if row.site == site]
        streak: list[Picture] = []
        for row in reversed(rows):
            if row.problem is None:
                break
            streak.append(row)
        return SiteHistory(
            reference=next((row for row in reversed(rows) if row.is_reference), None),
            failures=len(streak),
            told_failing=any(row.says == "failing" for row in streak),
            last_at=max((row.taken_at for row in rows), default=None),
        )

    def keep(self, picture: NewPicture) -> Picture:
        self.numbers += 1
        kept = Picture(**picture.model_dump(), id=self.numbers)
        self.rows.append(kept)
        return kept

    def untold(self, limit: int = 100) -> list[Picture]:
        return [row for row in self.rows if row.says is not None and row.told_at is None][:limit]

    def told(self, picture_id: int, now: datetime) -> None:
        self.rows = [
            row.model_copy(update={"told_at": row.told_at or now}) if row.id == picture_id else row
            for row in self.rows
        ]

    def newest(
        self, limit: int, *, site: str | None = None, changed: bool = False, latest: bool = False
    ) -> list[Picture]:
        found = [
            row
            for row in reversed(self.rows)
            if (site is None or row.site == site) and (not changed or row.diff_digest is not None)
        ]
        if latest:
            firsts = {row.site: row for row in reversed(found)}
            found = [firsts[name] for name in sorted(firsts)]
        return found[:limit]

    def find(self, picture_id: int) -> Picture | None:
        return next((row for row in self.rows if row.id == picture_id), None)

    def delete_before(self, moment: datetime, keep_last_per_site: int, limit: int) -> int:
        doomed = []
        for row in sorted(self.rows, key=lambda one: one.taken_at):
            newer = [one for one in self.rows if one.site == row.site and one.id > row.id]
            spared = row.problem is None and sum(one.problem is None for one in newer) < keep_last_per_site
            reference = row.is_reference and not any(one.is_reference for one in newer)
            untold = row.says is not None and row.told_at is None
            if row.taken_at < moment and not spared and not reference and not untold:
                doomed.append(row.id)
        gone = set(doomed[:limit])
        self.rows = [
            row.model_copy(update={"reference_id": None}) if row.reference_id in gone else row
            for row in self.rows
            if row.id not in gone
        ]
        return len(gone)

    def unreferenced(self, digests: Sequence[str]) -> list[str]:
        mentioned = {
            digest
            for row in self.rows
            for digest in (
                row.file_digest, row.thumbnail_digest, row.diff_digest, row.diff_thumbnail_digest
            )
        }  # fmt: skip
        return [digest for digest in digests if digest not in mentioned]


def studio(pages: Mapping[str, bytes | str | Sequence[bytes]], now: datetime | None = None) -> Studio:
    """All four."""
    files = FakeFiles(now or datetime(2026, 3, 1, tzinfo=UTC))
    return Studio(FakeCamera(pages), files, FakeDarkroom(), FakePictures())
