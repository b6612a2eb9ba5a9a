"""What services need from the outside: a mailbox and what is known of its mail.

No implementation lives here, and no name of a vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from aegis_lib.mail.model import (
    Category,
    Correction,
    CorrectionSource,
    Decided,
    Draft,
    DraftStanding,
    Folders,
    Mail,
    MailKey,
    OpenedFolder,
    Reading,
    SentMail,
    Standing,
)


class Mailbox(Protocol):
    """One account's mail. Nothing here deletes a mail, and reading one does not mark it as read.

    Every method raises DependencyUnavailable when the server does not answer or the connection is lost,
    Misconfigured when a folder that was named does not exist, and MailboxRefused when the server says no.
    """

    @property
    def account(self) -> str:
        """The account, as `user@server`."""

    def folders(self) -> Folders:
        """The folders that are there, as configured or as the server says which is which."""

    def open(self, folder: str, *, read_only: bool = False) -> OpenedFolder:
        """Open a folder; the methods below are about the one that is open."""

    def waiting(self) -> list[int]:
        """The uids of mails that are unread, not deleted and not marked as handled; the newest first."""

    def marked(self, keyword: str, since: datetime, *, seen: bool = False) -> list[int]:
        """The uids of mails with that keyword that arrived since about then, only read ones where asked."""

    def read(self, uids: Sequence[int]) -> Reading:
        """These mails, each as far as its bounds go; at most 500 at a time."""

    def mark(self, uids: Sequence[int], add: Sequence[str], remove: Sequence[str] = ()) -> None:
        """Put flags and keywords on mails, and take some away; uids that are gone are no error."""

    def move(self, uids: Sequence[int], folder: str) -> dict[int, MailKey]:
        """Put mails into another folder in one step; where each is now, as far as the server tells.

        Raises:
            MailboxRefused: the server cannot move in one step, or there is no room or no such folder.
        """

    def sent(self, folder: str, since: datetime) -> SentMail:
        """What that folder received since about then, the newest 5,000 mails; opens it to read."""

    def drafts(self, folder: str) -> list[Draft]:
        """The newest 1,000 drafts; opens that folder to read."""


class MailStore(Protocol):
    """Which mails were claimed, what was decided, where they lie, and what readers corrected.

    Every method raises DependencyUnavailable without its database.
    """

    def exclusive(self, account: str) -> AbstractContextManager[bool]:
        """Be the one run that handles this account; False when another one is. Freed when the holder dies."""

    def known(self, account: str, folder: str, uidvalidity: int, uids: Sequence[int]) -> dict[int, Standing]:
        """What is known of the mails at these places."""

    def unfinished(self, account: str) -> list[tuple[Standing, MailKey]]:
        """Mails that a run claimed and did not finish, and where they were last seen; at most 1,000."""

    def claim(self, account: str, mails: Mapping[str, Sequence[Mail]], now: datetime) -> dict[str, Standing]:
        """Claim mails by their identities, and keep where each lies; what is known of each from now on.

        One that is finished stays so. One that was claimed before counts one more attempt.
        """

    def decide(self, account: str, decided: Sequence[Decided], now: datetime, *, keep_text: bool) -> None:
        """Keep decisions, each once: one that was kept before stays."""

    def moving(self, ids: Sequence[int], places: Sequence[MailKey]) -> None:
        """These mails, which lie there, are about to be moved."""

    def not_moved(self, ids: Sequence[int]) -> None:
        """These mails were not moved after all."""

    def place(self, account: str, places: Sequence[tuple[int, MailKey]], now: datetime) -> None:
        """Keep where mails lie."""

    def keep(self, account: str, ids: Sequence[int], finished_before: datetime, now: datetime) -> int:
        """Readers left these mails as they were put: how many of them say so for the first time.

        Not those that were finished later, were corrected, or on which nobody really decided.
        """

    def finish(
        self,
        account: str,
        ids: Sequence[int],
        now: datetime,
        *,
        moved: Mapping[int, MailKey] | None = None,
        problem: str | None = None,
    ) -> None:
        """These mails are done; `moved` says where they are now, `problem` what could not be done."""

    def correct(
        self,
        mail_id: int,
        category: Category,
        source: CorrectionSource,
        now: datetime,
    ) -> bool:
        """Keep a reader's correction; False when the mail counts as that already."""

    def unlearned(self, account: str, limit: int) -> list[Correction]:
        """Corrections that the classifier has not learned from, the oldest first."""

    def classifier(self, account: str) -> str | None:
        """The state of the classifier, as JSON; None before its first lesson."""

    def learn(
        self,
        account: str,
        correction_ids: Sequence[int],
        update: Callable[[str | None, frozenset[int]], str],
        now: datetime,
    ) -> int:
        """Change the state of the classifier, for corrections that it has not learned from: how many.

        `update` gets the state as it is and which of the corrections are new; all or nothing is kept.
        """

    def reminders(self, account: str) -> dict[str, DraftStanding]:
        """What is known of drafts, by identity."""

    def claim_reminder(self, account: str, identities: Sequence[str], key: str, now: datetime) -> None:
        """Somebody is about to be reminded of these drafts, by the message of that key."""

    def reminded(self, account: str, key: str, now: datetime) -> None:
        """The message of that key is out."""

    def forget_drafts(self, account: str, keep: Sequence[str]) -> None:
        """Forget every draft but these."""
