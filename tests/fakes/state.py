"""A fake of the state table."""

from __future__ import annotations


class FakeState:
    """The key-value table in a dict. `written` keeps every write in order."""

    def __init__(self, **values: str) -> None:
        self.values = dict(values)
        self.written: list[tuple[str, str]] = []
        self.broken: Exception | None = None

    def get(self, key: str) -> str | None:
        if self.broken is not None:
            raise self.broken
        return self.values.get(key)

    def set(self, key: str, value: str) -> None:
        if self.broken is not None:
            raise self.broken
        self.values[key] = value
        self.written.append((key, value))
