"""What retention needs from the outside: something that can forget what is old.

No implementation lives here, and no name of a vendor.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from aegis_lib.retention.model import Kind, Removed


class Expiring(Protocol):
    """Things of one kind that may be forgotten once they are old. What is still open never is."""

    kind: Kind
    unit: str
    """In what it is counted: `rows`, `days`, `pictures`, `texts`."""

    def expired(self, before: datetime) -> Removed:
        """What `forget` would remove until it is done, without removing it."""

    def forget(self, before: datetime, limit: int, go_on: Callable[[], bool]) -> Removed:
        """Remove one batch of what is older than `before`: at most `limit`, where it goes by the piece.

        Each batch stands by itself: whoever is interrupted has removed some of what may go, and nothing else.
        A step that takes long stops once `go_on` says no.

        Raises:
            DependencyUnavailable: where it is kept is away.
            Misconfigured: it may not be removed.
        """
