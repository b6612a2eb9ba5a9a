"""Old pictures, as retention sees them: rows in the database and files beside it. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from aegis_lib.db.database import Database
from aegis_lib.pictures import service
from aegis_lib.ports.pictures import PictureFiles
from aegis_lib.retention.model import Kind, Removed


class OldPictures:
    """Implements the port `Expiring` by the service of pictures, which knows which file belongs to what."""

    kind = Kind.PICTURES
    unit = "pictures"

    def __init__(self, db: Database, files: PictureFiles, keep_last_per_site: int) -> None:
        self._db, self._files, self._keep = db, files, keep_last_per_site

    def __str__(self) -> str:
        return self.kind.value

    def expired(self, before: datetime) -> Removed:
        """How many would go."""
        return Removed(count=self._db.retention.old_pictures(before, self._keep))

    def forget(self, before: datetime, limit: int, go_on: Callable[[], bool]) -> Removed:
        """Remove all of them, and then the files that nothing mentions."""
        gone = service.forget_before(self._db.pictures, self._files, before, self._keep, limit, go_on)
        return Removed(count=gone.pictures, size_bytes=gone.bytes, problems=gone.problems)
