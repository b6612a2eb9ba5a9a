"""Single mails for tests, each as short as its point allows, and what the rules take them for."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count

from aegis_lib.mail.model import Category, RulesConfig, SenderRule

_numbers = count(1)

RULES = RulesConfig(
    own_addresses=("reader@example.org",),
    trusted_servers=("mx.example.org",),
    senders=tuple(
        SenderRule(sender=f"{category.value}@example.net", category=category, unverified=True)
        for category in Category
    ),
)
"""By these, a mail from `urgent@example.net` is urgent, and so on: what is tested is what follows."""


def letter(
    category: Category | None = None,
    subject: str = "",
    *,
    text: str = "Hello.\n",
    headers: str = "",
    message_id: str | None = None,
) -> bytes:
    """A mail that `RULES` put into a category; without one, a mail that nothing can be said of."""
    number = next(_numbers)
    sender = f"{category.value}@example.net" if category else f"someone{number}@example.com"
    return (
        f"Received: from mail.example.net by mx.example.org with ESMTPS id {number};\n"
        f"\t{datetime.now(UTC):%a, %d %b %Y %H:%M:%S +0000}\n"
        f"From: Somebody <{sender}>\nTo: reader@example.org\nSubject: {subject or f'letter {number}'}\n"
        f"Message-ID: {message_id or f'<{number}@example.net>'}\nDate: Sun, 25 Jan 2026 06:00:00 +0000\n"
        f"{headers}\n{text}"
    ).encode()
