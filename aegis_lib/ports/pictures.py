"""What services need from the outside: a camera for web pages, files of images, comparing, what is kept.

No implementation lives here, and no name of a vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

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


class Camera(Protocol):
    """Takes pictures of web pages. Pages are strangers': whatever one does costs only its own picture."""

    def pictures(
        self, subjects: Sequence[Subject], go_on: Callable[[], bool] = lambda: True
    ) -> Iterator[Shot]:
        """One shot per subject, as they get ready; no page is begun once `go_on` says no.

        Few images are in memory at a time: pages are begun as shots are taken from the iterator.

        Raises:
            NotConfigured: there is no browser on this machine and none was named.
            Misconfigured: the browser that was named cannot be used so.
            DependencyUnavailable: the browser does not start or does not answer.
        """


class PictureFiles(Protocol):
    """Images as files, each once, named by the SHA-256 of its content in hexadecimal.

    Every method raises DependencyUnavailable when the disk is full or broken, Misconfigured when the
    directory may not be used, and ValueError for what is no digest.
    """

    def put(self, content: bytes) -> str:
        """Keep an image, durably; its digest. It is safe from `remove` for the next hour."""

    def read(self, digest: str) -> bytes | None:
        """An image, or None where there is none."""

    def path(self, digest: str) -> Path:
        """Where that image is or would be."""

    def kept(self, before: datetime) -> Iterator[list[str]]:
        """Digests of all images last put before that, some at a time."""

    def remove(self, digests: Sequence[str], before: datetime) -> Forgotten:
        """Remove images that were last put before that; what cannot be removed is said, not raised."""


class Darkroom(Protocol):
    """Looks at images. Raises ValueError for what is no image, or one of an unreasonable size."""

    def facts(self, image: bytes) -> ImageFacts:
        """Its size, and a small version of it."""

    def compare(self, before: bytes, after: bytes, ignored: Sequence[Region] = ()) -> Comparison:
        """How the two differ outside of the ignored regions.

        Where one is larger, what only one has counts as changed.
        """

    def compare_still(
        self, before: bytes, after: bytes, again: bytes, ignored: Sequence[Region] = ()
    ) -> Comparison:
        """The same, without what differs between `after` and `again`, the same page a moment later."""


class PictureStore(Protocol):
    """What is known of pictures. Every method raises DependencyUnavailable without its database."""

    def exclusive(self) -> AbstractContextManager[bool]:
        """Be the one run that takes pictures; False when another one is. Freed when the holder dies."""

    def histories(self, sites: Sequence[str]) -> dict[str, SiteHistory]:
        """What is known of these sites' pictures."""

    def keep(self, picture: NewPicture) -> Picture:
        """Keep a picture, or that there is none."""

    def untold(self, limit: int = 100) -> list[Picture]:
        """Pictures of which people are still to be told, the oldest first."""

    def told(self, picture_id: int, now: datetime) -> None:
        """People were told of it."""

    def newest(
        self, limit: int, *, site: str | None = None, changed: bool = False, latest: bool = False
    ) -> list[Picture]:
        """The newest first, of one site, only changed ones, or only the latest of each site where asked."""

    def find(self, picture_id: int) -> Picture | None:
        """The picture of that id."""

    def delete_before(self, moment: datetime, keep_last_per_site: int, limit: int) -> int:
        """Delete one batch of pictures taken before that, the oldest first: how many.

        The newest `keep_last_per_site` images of each site stay, and so does each newest reference.
        """

    def unreferenced(self, digests: Sequence[str]) -> list[str]:
        """Those digests that no picture mentions."""
