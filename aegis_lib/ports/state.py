"""What services need from the outside: last known facts.

No implementation lives here, and no name of a vendor.
"""

from __future__ import annotations

from typing import Protocol


class StateStore(Protocol):
    """The key-value table `state`: last known facts, overwritten in place."""

    def get(self, key: str) -> str | None:
        """The value, or None."""

    def set(self, key: str, value: str) -> None:
        """Store the value and the time it was set."""
