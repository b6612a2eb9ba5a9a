"""Makes values fit for PostgreSQL: text without NUL, JSON without NaN. It never changes what already fits."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

REPLACEMENT = "\ufffd"
LARGEST_LIMIT = 1000


def storable_text(text: str) -> str:
    """The text with NUL and unpaired surrogates replaced: PostgreSQL stores UTF-8 without NUL."""
    return text.replace("\0", REPLACEMENT).encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def storable_json(value: Mapping[str, Any]) -> str:
    """JSON text of a mapping. Times become ISO-8601; what JSON does not know becomes its text."""
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)


def limited(limit: int) -> None:
    """Raise ValueError unless `limit` is 1 to 1000."""
    if not 1 <= limit <= LARGEST_LIMIT:
        raise ValueError(f"limit is 1 to {LARGEST_LIMIT}, not {limit}")


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return storable_text(value)
        case datetime():
            return value.isoformat()
        case Mapping():
            return {storable_text(str(name)): _plain(item) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item) for item in value]
        case _:
            return storable_text(str(value))
