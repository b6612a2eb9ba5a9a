"""A mailbox in memory. It is held to the real one by tests/contract/test_mailbox.py."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aegis_lib.errors import Misconfigured
from aegis_lib.mail import reading
from aegis_lib.mail.model import (
    HANDLED,
    Draft,
    Folders,
    Mail,
    MailboxRefused,
    MailKey,
    OpenedFolder,
    Reading,
    SentMail,
    Unreadable,
)

WINDOW_BYTES = 65_536


@dataclass
class Stored:
    raw: bytes
    arrived: datetime
    flags: set[str] = field(default_factory=set)


@dataclass
class Box:
    uidvalidity: int
    mails: dict[int, Stored] = field(default_factory=dict)
    next_uid: int = 1


class FakeMailbox:
    """Folders in dicts. `can_move` and `keeps_keywords` make it a poorer server; `calls` keeps every request.

    `broken` is raised by every call; `unreadable` are uids that the server does not hand over.
    """

    def __init__(self, account: str = "reader@mail.example") -> None:
        self.account = account
        self.names = Folders(archive="Archive", junk="Spamverdacht", drafts="Entwürfe", sent="Sent")
        used = ("INBOX", "Archive", "Spamverdacht", "Entwürfe", "Sent")
        self.boxes = {name: Box(1000 + number) for number, name in enumerate(used)}
        self.can_move = True
        self.keeps_keywords = True
        self.broken: Exception | None = None
        self.unreadable: set[int] = set()
        self.calls: list[str] = []
        self._open = ("INBOX", False)

    # --- what a test does ---

    def deliver(
        self,
        *messages: bytes,
        folder: str = "INBOX",
        flags: Sequence[str] = (),
        at: datetime | None = None,
    ) -> list[int]:
        box, uids = self.boxes[folder], []
        for raw in messages:
            box.mails[box.next_uid] = Stored(
                raw, (at or datetime.now(UTC)).replace(microsecond=0), set(flags)
            )
            uids.append(box.next_uid)
            box.next_uid += 1
        return uids

    def flags(self, folder: str = "INBOX") -> dict[int, set[str]]:
        return {uid: set(mail.flags) for uid, mail in self.boxes[folder].mails.items()}

    # --- the port ---

    def folders(self) -> Folders:
        self._asked("folders")
        return self.names

    def open(self, folder: str, *, read_only: bool = False) -> OpenedFolder:
        self._asked("open")
        if folder not in self.boxes:
            raise Misconfigured("email.folders", f"{folder} cannot be opened.", "correct its name.")
        self._open = (folder, read_only)
        box = self.boxes[folder]
        return OpenedFolder(
            name=folder,
            uidvalidity=box.uidvalidity,
            messages=len(box.mails),
            keeps_keywords=self.keeps_keywords,
        )

    def waiting(self) -> list[int]:
        self._asked("waiting")
        return self._found(lambda m: not m.flags & {"\\Seen", "\\Deleted", HANDLED})

    def marked(self, keyword: str, since: datetime, *, seen: bool = False) -> list[int]:
        self._asked("marked")
        day = since - timedelta(days=1)
        return self._found(
            lambda m: (
                keyword in m.flags
                and "\\Deleted" not in m.flags
                and m.arrived.date() >= day.date()
                and ("\\Seen" in m.flags or not seen)
            )
        )

    def read(self, uids: Sequence[int]) -> Reading:
        self._asked("read")
        if len(uids) > 500:
            raise ValueError("at most 500 mails at a time")
        here = [uid for uid in uids if uid in self._box.mails]
        return Reading(
            mails=tuple(self._parsed(uid) for uid in here if uid not in self.unreadable),
            unreadable=tuple(Unreadable(uid=uid, reason="no") for uid in here if uid in self.unreadable),
        )

    def mark(self, uids: Sequence[int], add: Sequence[str], remove: Sequence[str] = ()) -> None:
        self._asked("mark")
        self._writable()
        for uid in uids:
            if uid in self._box.mails:
                flags = self._box.mails[uid].flags
                flags |= {flag for flag in add if self.keeps_keywords or flag.startswith("\\")}
                flags -= set(remove)

    def move(self, uids: Sequence[int], folder: str) -> dict[int, MailKey]:
        self._asked("move")
        if not uids:
            return {}
        self._writable()
        if not self.can_move:
            raise MailboxRefused("mail.example has no MOVE (RFC 6851), so nothing is moved.")
        if folder not in self.boxes:
            raise MailboxRefused(f"mail.example refused MOVE: {folder} does not exist.")
        target, moved = self.boxes[folder], {}
        for uid in uids:
            if uid in self._box.mails:
                target.mails[target.next_uid] = self._box.mails.pop(uid)
                moved[uid] = MailKey(folder=folder, uidvalidity=target.uidvalidity, uid=target.next_uid)
                target.next_uid += 1
        return moved

    def sent(self, folder: str, since: datetime) -> SentMail:
        self.open(folder, read_only=True)
        day = since - timedelta(days=1)
        mails = [self._parsed(uid) for uid in self._found(lambda m: m.arrived.date() >= day.date())]
        return SentMail(
            message_ids=frozenset(mail.message_id for mail in mails if mail.message_id),
            addresses=frozenset(address for mail in mails for address in mail.addressed_to),
        )

    def drafts(self, folder: str) -> list[Draft]:
        self.open(folder, read_only=True)
        found = []
        for uid in self._found(lambda m: "\\Deleted" not in m.flags):
            stored = self._box.mails[uid]
            mail = self._parsed(uid)
            name = f"{uid}{mail.subject}{stored.arrived}"
            found.append(
                Draft(
                    key=mail.key,
                    identity=hashlib.sha256(name.encode()).hexdigest(),
                    subject=mail.subject,
                    addressed_to=mail.addressed_to,
                    saved_at=stored.arrived,
                )
            )
        return found

    # --- inside ---

    @property
    def _box(self) -> Box:
        return self.boxes[self._open[0]]

    def _found(self, wanted: object) -> list[int]:
        assert callable(wanted)
        return sorted((uid for uid, mail in self._box.mails.items() if wanted(mail)), reverse=True)

    def _parsed(self, uid: int) -> Mail:
        stored = self._box.mails[uid]
        raw = stored.raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        return reading.parse(
            raw[:WINDOW_BYTES],
            MailKey(folder=self._open[0], uidvalidity=self._box.uidvalidity, uid=uid),
            received_at=stored.arrived,
            size_bytes=len(raw),
            flags=sorted(stored.flags),
        )

    def _writable(self) -> None:
        if self._open[1]:
            raise MailboxRefused("mail.example refused STORE: the folder is open to be read.")

    def _asked(self, what: str) -> None:
        self.calls.append(what)
        if self.broken is not None:
            raise self.broken
