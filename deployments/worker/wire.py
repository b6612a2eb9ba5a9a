"""What worker and runs say to each other over a socket: JSON objects, each after its length in four bytes.

Knows nothing of what is said.
"""

from __future__ import annotations

import json
import struct
from typing import Any

_LENGTH = struct.Struct("!I")
LARGEST_BYTES = 64 * 1024 * 1024

Message = dict[str, Any]


def encode(message: Message) -> bytes:
    """One message, ready to be sent."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body


class Decoder:
    """Puts messages together from the pieces in which they arrive."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete with this piece.

        Raises:
            ValueError: what comes is not from us.
        """
        self._rest += data
        found = []
        while len(self._rest) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._rest)
            if size > LARGEST_BYTES:
                raise ValueError(f"a message of {size} bytes is announced; {LARGEST_BYTES} are allowed")
            end = _LENGTH.size + size
            if len(self._rest) < end:
                break
            found.append(json.loads(bytes(self._rest[_LENGTH.size : end])))
            del self._rest[:end]
        return found
