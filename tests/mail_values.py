"""What the unit tests about decisions on mail begin with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aegis_lib.mail.model import Mail, MailKey, RulesConfig

READER = "reader@example.org"
FRIEND = "mara@birch.example"
SERVER = "mx.example.org"
RULES = RulesConfig(own_addresses=(READER,), trusted_servers=(SERVER,))
KNOWN = frozenset({FRIEND})
CONFIRMED = {"authentication-results": (f"{SERVER}; dmarc=pass header.from=birch.example",)}


def mail(**changes: Any) -> Mail:
    """A plain mail of a known person; `headers` are added to the usual ones."""
    usual: dict[str, Any] = {
        "key": MailKey(folder="INBOX", uidvalidity=1, uid=1),
        "message_id": "<1@birch.example>",
        "from_email": FRIEND,
        "from_name": "Mara K.",
        "addressed_to": (READER,),
        "subject": "The boat",
        "text": "The boat is back in the water. We were out on Sunday.",
        "received_at": datetime(2026, 1, 25, 6, 0, tzinfo=UTC),
        "size_bytes": 900,
    }
    headers = {"from": ("Mara K. <mara@birch.example>",), **changes.pop("headers", {})}
    return Mail(**{**usual, **changes, "headers": headers})


def confirmed(domain: str) -> dict[str, tuple[str, ...]]:
    """The header by which the reader's server confirms a sender's domain."""
    return {"authentication-results": (f"{SERVER}; dmarc=pass (p=none) header.from={domain}",)}
