"""Pictures of websites in the table `site_pictures`. The images themselves are files; none is opened here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from aegis_lib.db.sql import Queries
from aegis_lib.db.storable import limited, storable_text
from aegis_lib.errors import DependencyUnavailable
from aegis_lib.pictures.model import NewPicture, Picture, Region, Says, SiteHistory

_COLUMNS = tuple(Picture.model_fields)


class PictureStore:
    """What is known of pictures."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    @contextmanager
    def exclusive(self) -> Iterator[bool]:
        """Be the one run that takes pictures; False when another one is. Freed when the holder dies."""
        held = bool(self._queries.try_lock())
        try:
            yield held
        finally:
            if held:
                with suppress(DependencyUnavailable):  # the lock went with the connection
                    self._queries.unlock()

    def histories(self, sites: Sequence[str]) -> dict[str, SiteHistory]:
        """What is known of these sites' pictures."""
        wanted = list(sites)
        references = {row["site"]: _picture(row) for row in self._queries.references_of(sites=wanted)}
        return {
            row["site"]: SiteHistory(
                reference=references.get(row["site"]),
                failures=row["failures"],
                told_failing=row["told_failing"],
                last_at=row["last_at"],
            )
            for row in self._queries.streaks(sites=wanted)
        }

    def keep(self, picture: NewPicture) -> Picture:
        """Keep a picture, or that there is none."""
        values = picture.model_dump(exclude={"regions", "problem", "says"})
        regions = [[one.x, one.y, one.width, one.height] for one in picture.regions]
        row = self._queries.keep(
            **values,
            regions=json.dumps(regions),
            problem=None if picture.problem is None else storable_text(picture.problem),
            says=None if picture.says is None else picture.says.value,
        )
        return _picture(row)

    def untold(self, limit: int = 100) -> list[Picture]:
        """Pictures of which people are still to be told, the oldest first."""
        limited(limit)
        return [_picture(row) for row in self._queries.untold(limit=limit)]

    def told(self, picture_id: int, now: datetime) -> None:
        """People were told of it."""
        self._queries.told(id=picture_id, now=now)

    def newest(
        self, limit: int, *, site: str | None = None, changed: bool = False, latest: bool = False
    ) -> list[Picture]:
        """The newest first, of one site, only changed ones, or only the latest of each site by name."""
        limited(limit)
        query = self._queries.latest if latest else self._queries.newest
        return [_picture(row) for row in query(limit=limit, site=site, changed=changed)]

    def find(self, picture_id: int) -> Picture | None:
        """The picture of that id."""
        row = self._queries.find(id=picture_id)
        return None if row is None else _picture(row)

    def delete_before(self, moment: datetime, keep_last_per_site: int, limit: int) -> int:
        """Delete one batch of old pictures, the oldest first: how many."""
        return int(self._queries.delete_before(moment=moment, keep=keep_last_per_site, limit=limit))

    def unreferenced(self, digests: Sequence[str]) -> list[str]:
        """Those digests that no picture mentions."""
        return [row["digest"] for row in self._queries.unreferenced(digests=list(digests))]


def _picture(row: Mapping[str, Any]) -> Picture:
    values = {name: row[name] for name in _COLUMNS}
    values["regions"] = tuple(
        Region(x=x, y=y, width=width, height=height) for x, y, width, height in row["regions"]
    )
    values["says"] = None if row["says"] is None else Says(row["says"])
    return Picture(**values)
