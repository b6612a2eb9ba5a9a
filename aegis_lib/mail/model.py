"""Mail as the jobs see it: parsed and bounded, what was decided about it and why. Values only.

All text in a `Mail` was written by strangers. Nothing here reads a mailbox, and nothing here decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from pydantic import Field

from aegis_lib.outcome import AwareDatetime, Frozen

LONGEST_TEXT_CHARACTERS = 20_000
LONGEST_HEADER_CHARACTERS = 2_000
MOST_HEADERS = 200


class Category(StrEnum):
    """What a mail is to its reader; each has its action."""

    URGENT = "urgent"
    """Flagged, and the reader is told at once."""
    ACTION_REQUIRED = "action_required"
    """Becomes a task."""
    INFORMATIONAL = "informational"
    """Archived."""
    PROMOTIONAL = "promotional"
    """Archived."""
    SPAM = "spam"
    """Put into the junk folder."""


class MailKey(Frozen):
    """Where a mail lies. A uid means something only together with the folder and its uidvalidity."""

    folder: str
    uidvalidity: int = Field(ge=1)
    uid: int = Field(ge=1)

    def __str__(self) -> str:
        return f"{self.folder}/{self.uid}"


class Attachment(Frozen):
    """A part that is not the text. `name` is what the sender called it; it is never used as a path."""

    name: str = ""
    type: str = "application/octet-stream"
    size_bytes: int = Field(default=0, ge=0)


class Mail(Frozen):
    """One mail, of which nothing is longer than the bounds above.

    `headers` are all headers by their name in lower case, decoded, the topmost first: the ones at the top
    were added last, by the receiving server. `text` is the readable text; where `from_html` is set, it was
    made from HTML. `truncated`: the text goes on. `defects` are what the parser had to mend. `addressed_to`
    are the addresses of To and Cc, all in lower case, as `from_email` is. `thread_ids` are the message ids of
    In-Reply-To and References. `labels` are the keywords that it carries in the mailbox.
    """

    key: MailKey
    message_id: str = ""
    from_email: str = ""
    from_name: str = ""
    addressed_to: tuple[str, ...] = ()
    subject: str = ""
    text: str = Field(default="", max_length=LONGEST_TEXT_CHARACTERS)
    from_html: bool = False
    truncated: bool = False
    headers: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    received_at: AwareDatetime
    size_bytes: int = Field(default=0, ge=0)
    attachments: tuple[Attachment, ...] = ()
    thread_ids: tuple[str, ...] = ()
    is_read: bool = False
    is_answer: bool = False
    """It answers a mail that this account sent, as far as the mailbox shows."""
    labels: tuple[str, ...] = ()
    defects: tuple[str, ...] = ()

    def header(self, name: str) -> str:
        """The topmost header of that name, or an empty string."""
        return next(iter(self.headers.get(name.lower(), ())), "")


DecidedBy = Literal["rule", "classifier", "model", "default"]


class Decision(Frozen):
    """What a mail is, how sure that is (0 to 1), who said so and why, in words for its reader."""

    category: Category
    confidence: float = Field(ge=0, le=1)
    decided_by: DecidedBy
    reasons: tuple[str, ...] = ()
    scores: Mapping[str, float] = Field(default_factory=dict)


class Unsure(Frozen):
    """Neither rules nor classifier can tell: `leaning` is their best guess, with its confidence (0 to 1)."""

    leaning: Category = Category.INFORMATIONAL
    confidence: float = Field(default=0, ge=0, le=1)
    reasons: tuple[str, ...] = ()
    scores: Mapping[str, float] = Field(default_factory=dict)


class SenderRule(Frozen):
    """A rule of the reader's own: mail whose sender and subject fit these patterns is of that category.

    Patterns are shell wildcards, letters of either case. The sender's address counts only where the receiving
    server says that it is not forged; `unverified` takes it as it stands.
    """

    sender: str = "*"
    subject: str = "*"
    category: Category
    unverified: bool = False


class RulesConfig(Frozen):
    """The section `email.rules` of aegis.yaml: what the reader says about his mail.

    `own_addresses` are the reader's. `trusted_servers` are the names under which his receiving servers sign
    Authentication-Results (RFC 8601: authserv-id), as patterns; a header of any other name is a stranger's
    claim. `sure_from` (0.5 to 1) is the confidence from which the classifier decides alone.
    """

    own_addresses: tuple[str, ...] = ()
    trusted_servers: tuple[str, ...] = ()
    senders: tuple[SenderRule, ...] = ()
    sure_from: float = Field(default=0.85, ge=0.5, le=1)
