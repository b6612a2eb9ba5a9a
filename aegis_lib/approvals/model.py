"""What may be sent to a stranger, who allowed it, and what became of it. Values only; decides nothing.

The text of a proposal comes from mail, chat or a language model: it is data. An address or a subject that
could be read as more than that is refused when the proposal is made, and again before it is sent.
"""

from __future__ import annotations

import hashlib
import json
import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from aegis_lib.errors import PermanentFailure
from aegis_lib.outcome import AwareDatetime, Frozen, Report

LONGEST_SUBJECT_CHARACTERS = 200
LONGEST_BODY_CHARACTERS = 20_000
LONGEST_ADDRESS_CHARACTERS = 254
MOST_REFERENCES = 20

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS = re.compile(
    rf"(?=.{{1,64}}@){_ATOM}(\.{_ATOM})*@([A-Za-z0-9]([A-Za-z0-9-]{{0,61}}[A-Za-z0-9])?\.)+"
    r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])"
)
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,245}@[!-;=?-~]{1,245}>")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_HIDDEN = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_ENCODED = re.compile(r"=\?.*\?=")
_NOT_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def address(text: str) -> str:
    """One plain address such as `ada@example.org`, as it stands; nothing else is let through.

    Raises:
        ValueError: it is none: a name beside it, several, a comment, a line break, letters beyond ASCII.
    """
    if len(text) > LONGEST_ADDRESS_CHARACTERS or not _ADDRESS.fullmatch(text):
        raise ValueError("is not one plain mail address such as ada@example.org")
    return text


def address_key(text: str) -> str:
    """What two spellings of one address share: lower case, without what follows a + in its first part."""
    local, _, domain = text.strip().lower().rpartition("@")
    return f"{local.partition('+')[0] or local}@{domain}"


def _subject(text: str) -> str:
    if text != text.strip() or not text:
        raise ValueError("is empty, or begins or ends with white space")
    if _CONTROL.search(text) or _HIDDEN.search(text):
        raise ValueError("has a line break, a control or an invisible character")
    if _ENCODED.search(text):
        raise ValueError("has an encoded word (=?...?=), in which anything could hide")
    return text


def _body(text: str) -> str:
    text = text.replace("\r\n", "\n")
    if not text.strip():
        raise ValueError("is empty")
    if _NOT_TEXT.search(text):
        raise ValueError("has a control character")
    return text


def _message_id(text: str) -> str:
    if not _MESSAGE_ID.fullmatch(text):
        raise ValueError("is not a Message-ID such as <1a2b@example.org>")
    return text


Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,49}$")]
Address = Annotated[str, AfterValidator(address)]
Subject = Annotated[str, Field(max_length=LONGEST_SUBJECT_CHARACTERS), AfterValidator(_subject)]
Body = Annotated[str, Field(max_length=LONGEST_BODY_CHARACTERS), AfterValidator(_body)]
MessageId = Annotated[str, AfterValidator(_message_id)]


class ApprovalsConfig(Frozen):
    """The section `approvals` of aegis.yaml.

    `allow` lists the kinds of mail that are sent without asking anybody (none); `daily_limit` (0 to 1000) is
    how many mails are sent in any 24 hours; `attempts` (1 to 20) how often a mail is tried that the mail
    server refuses for now.
    """

    allow: tuple[Slug, ...] = Field(default=(), max_length=50)
    daily_limit: int = Field(default=20, ge=0, le=1000)
    attempts: int = Field(default=6, ge=1, le=20)


class State(StrEnum):
    """How far a proposal has come."""

    PENDING = "pending"
    """Waits for somebody to decide."""
    APPROVED = "approved"
    """Is sent by the next run of `send_approved`."""
    REJECTED = "rejected"
    """Somebody said no, or the recipient has unsubscribed."""
    EXPIRED = "expired"
    """Nobody decided in time, or it could not be sent in time."""
    SENDING = "sending"
    """A run has claimed it."""
    SENT = "sent"
    """The mail server has taken it."""
    FAILED = "failed"
    """Was not sent, and will not be."""
    UNCLEAR = "unclear"
    """Nobody knows whether the mail server has taken it: a human has to look."""


class Via(StrEnum):
    """From where a decision came."""

    CLI = "cli"
    DISCORD = "discord"
    PREFECT_UI = "prefect-ui"
    RULE = "rule"
    """aegis.yaml allows the kind."""
    SUPPRESSION = "suppression"
    """The recipient has unsubscribed."""


class Move(Frozen):
    """What an event does to a proposal: from any of `sources` to `target`, from any other state nothing."""

    sources: frozenset[State]
    target: State


class Content(Frozen):
    """What is sent, all of it. A decision holds for exactly this."""

    recipient: Address
    subject: Subject
    body: Body
    in_reply_to: MessageId | None = None
    references: tuple[MessageId, ...] = Field(default=(), max_length=MOST_REFERENCES)

    @property
    def digest(self) -> str:
        """The SHA-256 of it, in hexadecimal; other content has another one."""
        return digest_of(self.recipient, self.subject, self.body, self.in_reply_to, self.references)


def digest_of(
    recipient: str, subject: str, body: str, in_reply_to: str | None, references: tuple[str, ...]
) -> str:
    """The digest of content, also of one that would not be accepted."""
    held = json.dumps([recipient, subject, body, in_reply_to, list(references)])
    return hashlib.sha256(held.encode("ascii")).hexdigest()


class Proposal(Content):
    """A mail that a job would like to send.

    `kind` is the sort of mail, on which the rules of aegis.yaml work; `key` identifies the occasion: the same
    key again is the same proposal. After `expires_at` it is never sent. `proposed_by` is the job, `why` its
    reason in a sentence, for the person who decides.
    """

    kind: Slug
    key: str = Field(min_length=1, max_length=200)
    expires_at: AwareDatetime
    proposed_by: str = Field(default="", max_length=100)
    why: str = Field(default="", max_length=1000)

    @model_validator(mode="after")
    def _key_on_one_line(self) -> Self:
        if _CONTROL.search(self.key):
            raise ValueError("key: has a control character")
        return self


class Decision(Frozen):
    """Who decided, when, from where, and about which content."""

    by: str = Field(min_length=1, max_length=200)
    via: Via
    at: AwareDatetime
    digest: str
    note: str = Field(default="", max_length=1000)


class Approval(Frozen):
    """A proposal as it stands in the table. Its text is not checked again here, so that it can be shown.

    `digest` is that of the content as it was proposed, `approved_digest` of what was approved. `claim` is
    who sends it, since `claimed_at`; `handed_over_at` is set right before the mail server is told that the
    mail is complete. `message_id` is made before the first attempt. `problem` says why it was not sent,
    `reply` what the mail server answered. People were last told of it when it was `told_state`.
    """

    number: int
    kind: str
    key: str
    recipient: str
    subject: str
    body: str
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    proposed_by: str = ""
    why: str = ""
    digest: str
    state: State
    proposed_at: AwareDatetime
    expires_at: AwareDatetime
    decided_by: str | None = None
    decided_via: Via | None = None
    decided_at: AwareDatetime | None = None
    approved_digest: str | None = None
    note: str = ""
    attempts: int = 0
    next_attempt_at: AwareDatetime | None = None
    claim: str | None = None
    claimed_at: AwareDatetime | None = None
    handed_over_at: AwareDatetime | None = None
    message_id: str | None = None
    ended_at: AwareDatetime | None = None
    problem: str = ""
    reply: str = ""
    told_state: State | None = None

    @property
    def content_digest(self) -> str:
        """The digest of the content as it stands now."""
        return digest_of(self.recipient, self.subject, self.body, self.in_reply_to, self.references)


class UnknownApproval(PermanentFailure):
    """There is no proposal of that number."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"There is no proposal {number}. Fix: `aegis approvals list --all` lists them.")


class NotDecided(PermanentFailure):
    """The decision was not taken; nothing has changed. `approval` is the proposal as it stands."""

    def __init__(self, approval: Approval, problem: str, mend: str) -> None:
        self.approval = approval
        super().__init__(f"Proposal {approval.number} {problem}. Fix: {mend}")


class ApprovalExpired(NotDecided):
    """Its time was up before somebody decided."""


class AlreadyDecided(NotDecided):
    """Somebody, or a rule, was first; or it is being sent already."""


class ContentChanged(NotDecided):
    """The row was changed after the proposal was made, so that nobody may approve it."""


class Suppression(Frozen):
    """An address that is never written to again."""

    address: str
    reason: str
    added_by: str
    added_at: AwareDatetime


# --- sending ---


class Letter(Frozen):
    """One mail as the mail server gets it. `date` is the time in its header."""

    content: Content
    message_id: MessageId
    date: AwareDatetime


class Handover(StrEnum):
    """What became of a mail that was offered to the mail server."""

    ACCEPTED = "accepted"
    LATER = "later"
    """Refused for now, or the connection was lost while the mail server could not have it yet."""
    REFUSED = "refused"
    """Refused for good."""
    WITHHELD = "withheld"
    """We did not let go of it: what had been approved no longer holds."""
    UNCLEAR = "unclear"
    """The mail server was told that the mail is complete, and its answer was not heard."""


class SendResult(Frozen):
    """What became of it, and the words of the mail server, or of ours where it said nothing."""

    handover: Handover
    said: str = ""


class TendReport(Report):
    """What was put in order before sending, in numbers of proposals.

    `markdown` lists what waits for a decision, where that list may have changed.
    """

    waiting: int = 0
    expired: int = 0
    abandoned: int = 0
    told: int = 0
    markdown: str = ""


class SendReport(Report):
    """One run of `send_approved`, in numbers of proposals; `held` were kept back by the daily limit."""

    sent: int = 0
    later: int = 0
    refused: int = 0
    unclear: int = 0
    held: int = 0
    problems: tuple[str, ...] = ()


class DecisionReport(Report):
    """What came of a decision; `state` is None where there is no such proposal."""

    number: int
    state: State | None = None
