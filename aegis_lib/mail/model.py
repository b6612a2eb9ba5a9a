"""Mail as the jobs see it: parsed and bounded, what was decided about it and why. Values only.

All text in a `Mail` was written by strangers. Nothing here reads a mailbox, and nothing here decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from aegis_lib.errors import PermanentFailure
from aegis_lib.outcome import AwareDatetime, Frozen, Report

LONGEST_TEXT_CHARACTERS = 20_000
LONGEST_HEADER_CHARACTERS = 2_000
MOST_HEADERS = 200

FolderName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f*%]+$")]


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


# --- the mailbox ---

HANDLED = "$AegisTriaged"
"""Keyword of every mail that was sorted."""

KEYWORDS: Mapping[Category, str] = {
    Category.URGENT: "$AegisUrgent",
    Category.ACTION_REQUIRED: "$AegisActionRequired",
    Category.INFORMATIONAL: "$AegisInformational",
    Category.PROMOTIONAL: "$AegisPromotional",
    Category.SPAM: "$AegisSpam",
}
"""Keyword of each category. A person who puts another one on a mail corrects the decision."""


class MailboxRefused(PermanentFailure):
    """The mail server understood what was asked, and said no."""


class Folders(Frozen):
    """The folders that the jobs use, by their names on the server; None where there is none."""

    inbox: str = "INBOX"
    archive: str | None = None
    junk: str | None = None
    drafts: str | None = None
    sent: str | None = None


class OpenedFolder(Frozen):
    """A folder as it is now. `keeps_keywords`: any keyword that is put on a mail stays."""

    name: str
    uidvalidity: int = Field(ge=1)
    messages: int = Field(ge=0)
    keeps_keywords: bool = True


class SentMail(Frozen):
    """What the reader has sent of late: message ids, and the addresses that he wrote to, in lower case."""

    message_ids: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()


class Unreadable(Frozen):
    """A mail that the server would not hand over, or not in a form that can be read."""

    uid: int
    reason: str


class Reading(Frozen):
    """What came of reading some mails; those that have gone in the meantime are in neither list."""

    mails: tuple[Mail, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


# --- what is kept ---


class CorrectionSource(StrEnum):
    """How a reader said that a decision was wrong."""

    MOVED = "moved"
    """He moved the mail."""
    KEYWORD = "keyword"
    """He put the keyword of another category on it."""
    COMMAND = "command"
    """He typed `aegis mail correct`."""
    KEPT = "kept"
    """He read the mail and left it as it was: the decision was right."""


class Standing(Frozen):
    """What is known of a mail: how far it has come, and what was decided.

    `move_to` is the folder that it is to be put into; `moved_from` the place from which it was moved there.
    `category` is what it counts as: the decision, or the reader's correction of it, made by `corrected_by`.
    """

    id: int
    identity: str
    attempts: int = 1
    decision: Decision | None = None
    category: Category | None = None
    corrected_by: CorrectionSource | None = None
    move_to: str | None = None
    moved_from: MailKey | None = None
    finished: bool = False


class Decided(Frozen):
    """A decision about a claimed mail, to be kept."""

    id: int
    mail: Mail
    decision: Decision
    move_to: str | None = None


class Correction(Frozen):
    """What the reader says a mail is. `id` is its own, `mail_id` the mail's; `was` is what it counted as."""

    id: int
    mail_id: int
    category: Category
    was: Category | None = None
    source: CorrectionSource
    place: MailKey | None = None
    """Where the mail was last seen."""


class Sorted(Frozen):
    """A mail that was sorted, for a person: what was decided, why, and what became of it."""

    id: int
    account: str
    message_id: str
    from_email: str = ""
    from_name: str = ""
    subject: str = ""
    received_at: AwareDatetime | None = None
    category: Category | None = None
    confidence: float | None = None
    decided_by: DecidedBy | None = None
    reasons: tuple[str, ...] = ()
    scores: Mapping[str, float] = Field(default_factory=dict)
    decided_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    move_to: str | None = None
    moved: bool = False
    problem: str | None = None
    corrected_to: Category | None = None
    corrected_by: CorrectionSource | None = None
    learned: bool = False
    places: tuple[MailKey, ...] = ()


# --- drafts ---


class Draft(Frozen):
    """A mail that somebody began to write. A changed draft is another one to the server, and to us."""

    key: MailKey
    identity: str
    subject: str = ""
    addressed_to: tuple[str, ...] = ()
    saved_at: AwareDatetime


class DraftStanding(Frozen):
    """How often and when somebody was reminded of a draft; `reminder_key` of the message being sent now."""

    identity: str
    reminders: int = 0
    reminded_at: AwareDatetime | None = None
    reminder_key: str | None = None


# --- configuration ---


class FolderNames(Frozen):
    """The names of folders, where the server does not say which is which (RFC 6154); null asks the server."""

    inbox: FolderName = "INBOX"
    archive: FolderName | None = None
    junk: FolderName | None = None
    drafts: FolderName | None = None
    sent: FolderName | None = None


class DraftsConfig(Frozen):
    """Reminders of drafts: after `hours` (1 to 8760), again every `again_days` (1 to 365), `most` times.

    `most` is 1 to 100; drafts older than `forgotten_days` (1 to 3650) are not spoken of.
    """

    hours: float = Field(default=48, ge=1, le=8760)
    again_days: float = Field(default=7, ge=1, le=365)
    most: int = Field(default=3, ge=1, le=100)
    forgotten_days: int = Field(default=90, ge=1, le=3650)


class EmailConfig(Frozen):
    """The section `email` of aegis.yaml.

    Mail is moved only with `move_messages`; flags and keywords are always set. A run reads at most
    `most_per_run` mails (1 to 100000), `batch` (1 to 500) at a time, for at most `time_limit_seconds`
    (10 to 3000). Somebody is told of urgent mail that is not older than `urgent_hours` (1 to 8760), one by
    one for the first `urgent_per_run` (1 to 100) of a run; mail that asks for something becomes a task when
    it is not older than `task_days` (1 to 3650). Corrections are looked for among the mail of the last
    `feedback_days` (1 to 365); what was read and left as it was for `kept_days` (0 to 365) counts as right.
    The language model is asked about at most `model_per_run` mails (0 to 10000).
    `keep_text`: the text of mail is kept in the table `email_cache`, not only its first 200 characters.
    """

    move_messages: bool = False
    folders: FolderNames = Field(default_factory=FolderNames)
    rules: RulesConfig = Field(default_factory=RulesConfig)
    drafts: DraftsConfig = Field(default_factory=DraftsConfig)
    most_per_run: int = Field(default=2_000, ge=1, le=100_000)
    batch: int = Field(default=100, ge=1, le=500)
    time_limit_seconds: float = Field(default=1_200, ge=10, le=3_000)
    urgent_hours: float = Field(default=48, ge=1, le=8_760)
    urgent_per_run: int = Field(default=10, ge=1, le=100)
    task_days: float = Field(default=14, ge=1, le=3_650)
    feedback_days: int = Field(default=30, ge=1, le=365)
    kept_days: float = Field(default=3, ge=0, le=365)
    model_per_run: int = Field(default=50, ge=0, le=10_000)
    keep_text: bool = False


# --- reports ---


class SortedRow(Frozen):
    """One mail of a run, for the table in the UI."""

    uid: int
    sender: str
    subject: str
    category: Category
    confidence: float
    decided_by: DecidedBy
    reason: str


class TriageReport(Report):
    """What one run did. `rows` are at most 200 of its mails; `left` are unread mails for the next run."""

    processed: int = 0
    counts: Mapping[Category, int] = Field(default_factory=dict)
    moved: int = 0
    told: int = 0
    tasks: int = 0
    corrections: int = 0
    known_before: int = 0
    left: int = 0
    rows: tuple[SortedRow, ...] = ()
    problems: tuple[str, ...] = ()
    dry_run: bool = False


class DraftReport(Report):
    """Drafts that lie, and of how many somebody was reminded now."""

    drafts: int = 0
    stale: int = 0
    reminded: int = 0
