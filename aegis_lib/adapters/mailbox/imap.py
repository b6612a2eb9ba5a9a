r"""A mailbox over IMAP (RFC 3501, 4315, 6154, 6851). Must not delete a mail, nor mark one as read.

Neither EXPUNGE, CLOSE nor `\Deleted` is ever sent, so that mail which its reader marked as deleted stays as
well; imap-tools sends EXPUNGE after each flag, so its connections and folders are used and its commands on
mail are not. A mail is moved by MOVE alone: by COPY and deleting, a lost connection would leave it twice, or
take it away. Of a mail its first 64 KiB are read, and the text where it begins later; never the whole.
"""

from __future__ import annotations

import hashlib
import imaplib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from imap_tools.errors import ImapToolsError, UnexpectedCommandStatusError
from imap_tools.mailbox import BaseMailBox
from imap_tools.utils import encode_folder

from aegis_lib import isolation
from aegis_lib.adapters.mailbox import connecting, wire
from aegis_lib.errors import AegisError, Misconfigured
from aegis_lib.logs import get_logger
from aegis_lib.mail import reading
from aegis_lib.mail.model import (
    HANDLED,
    LONGEST_TEXT_CHARACTERS,
    Draft,
    FolderNames,
    Folders,
    Mail,
    MailboxRefused,
    MailKey,
    OpenedFolder,
    Reading,
    SentMail,
    Unreadable,
)
from aegis_lib.settings import ImapSettings

WINDOW_BYTES = 65_536
"""How much of each mail is read at first: headers, and nearly always the text."""
_MOST_AT_ONCE = 500
_MOST_SENT = 5_000
_MOST_DRAFTS = 1_000
_LONGEST_PART_BYTES = 4 * LONGEST_TEXT_CHARACTERS
_FETCHED = f"(UID FLAGS INTERNALDATE RFC822.SIZE BODYSTRUCTURE BODY.PEEK[]<0.{WINDOW_BYTES}>)"
_WITHOUT_STRUCTURE = f"(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[]<0.{WINDOW_BYTES}>)"
_SENT_FIELDS = "(UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID TO CC)])"
_DRAFT_FIELDS = "(UID INTERNALDATE BODY.PEEK[HEADER]<0.8192>)"
_SPECIAL = {"archive": "\\Archive", "junk": "\\Junk", "drafts": "\\Drafts", "sent": "\\Sent"}
_USUAL = {
    "archive": ("archive", "archives"),
    "junk": ("junk", "spam", "junk e-mail", "junk email"),
    "drafts": ("drafts", "draft"),
    "sent": ("sent", "sent items", "sent messages", "sent mail"),
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
log = get_logger(__name__)


class ImapMailbox:
    """Implements the port `Mailbox`. See it for the exact meaning."""

    def __init__(self, box: BaseMailBox, settings: ImapSettings, names: FolderNames) -> None:
        self._box, self._names = box, names
        self._client = box.client
        self._host = settings.host or ""
        self._account = f"{(settings.user or '').lower()}@{self._host.lower()}"
        self._opened = OpenedFolder(name="", uidvalidity=1, messages=0)
        self._read_only = False
        self._folders: Folders | None = None

    @property
    def account(self) -> str:
        """The account, as `user@server`."""
        return self._account

    # --- folders ---

    def folders(self) -> Folders:
        """The folders that are there, as configured or as the server says which is which."""
        if self._folders is None:
            with self._translated("listing the folders"):
                listed = [f for f in self._box.folder.list() if "\\noselect" not in map(str.lower, f.flags)]
            self._folders = Folders(
                inbox=self._names.inbox,
                archive=self._found("archive", listed),
                junk=self._found("junk", listed),
                drafts=self._found("drafts", listed),
                sent=self._found("sent", listed),
            )
        return self._folders

    def _found(self, use: str, listed: Sequence[Any]) -> str | None:
        named = getattr(self._names, use)
        if named is not None:
            if named not in {folder.name for folder in listed}:
                known = ", ".join(sorted(folder.name for folder in listed)[:30])
                raise Misconfigured(
                    f"email.folders.{use}", f"there is no folder {named!r}.", f"folders are: {known}."
                )
            return str(named)
        for flag in (_SPECIAL[use].lower(), *(("\\all",) if use == "archive" and self._is_gmail() else ())):
            for folder in listed:
                if flag in map(str.lower, folder.flags):
                    return str(folder.name)
        for usual in _USUAL[use]:
            for folder in listed:
                last = folder.name.rpartition(folder.delim)[2] if folder.delim else folder.name
                if last.lower() == usual:
                    return str(folder.name)
        return None

    def _is_gmail(self) -> bool:
        """There, archiving is moving into the folder of all mail."""
        return "X-GM-EXT-1" in self._client.capabilities

    def open(self, folder: str, *, read_only: bool = False) -> OpenedFolder:
        """Open a folder; the methods below are about the one that is open."""
        self._read_only = read_only
        with self._translated(f"opening {folder}"):
            try:
                self._box.folder.set(folder, readonly=read_only)
            except imaplib.IMAP4.readonly:
                raise MailboxRefused(
                    f"{self._host}: {folder} can only be read by this user. Fix: let it be changed."
                ) from None
            except UnexpectedCommandStatusError as refused:
                raise Misconfigured(
                    "email.folders",
                    f"{folder} cannot be opened: {connecting.said(refused)}.",
                    "correct its name.",
                ) from None
            permanent = _first(self._client.response("PERMANENTFLAGS"))
            messages = wire.number(_first(self._client.untagged_responses.get("EXISTS")))
            validity = wire.number(_first(self._client.response("UIDVALIDITY")))
        if validity < 1:
            raise MailboxRefused(f"{self._host}: {folder} has no UIDVALIDITY. Fix: use another server.")
        keeps = not permanent or b"\\*" in permanent or HANDLED.lower().encode() in permanent.lower()
        self._opened = OpenedFolder(
            name=folder, uidvalidity=validity, messages=messages, keeps_keywords=keeps
        )
        return self._opened

    # --- finding ---

    def waiting(self) -> list[int]:
        """The uids of mails that are unread, not deleted and not marked as handled; the newest first."""
        return self._search("UNSEEN", "UNDELETED", "UNKEYWORD", HANDLED)

    def marked(self, keyword: str, since: datetime, *, seen: bool = False) -> list[int]:
        """The uids of mails with that keyword that arrived since about then, only read ones where asked."""
        return self._search(
            "KEYWORD", keyword, "UNDELETED", "SINCE", _day(since), *(["SEEN"] if seen else [])
        )

    def _search(self, *criteria: str) -> list[int]:
        if not self._opened.messages:
            return []
        found = self._command("SEARCH", *criteria)
        uids = {
            int(uid) for line in found if isinstance(line, bytes) for uid in line.split() if uid.isdigit()
        }
        return sorted(uids, reverse=True)

    # --- reading ---

    def read(self, uids: Sequence[int]) -> Reading:
        """These mails, each as far as its bounds go; at most 500 at a time."""
        if len(uids) > _MOST_AT_ONCE:
            raise ValueError(f"at most {_MOST_AT_ONCE} mails at a time")
        if not uids:
            return Reading()
        unreadable: list[Unreadable] = []
        try:
            read = self._read(uids, _FETCHED)
        except MailboxRefused:
            read = []
            for uid in uids:  # one of them spoils it for all
                try:
                    read += self._read([uid], _FETCHED)
                except MailboxRefused:
                    try:
                        read += self._read([uid], _WITHOUT_STRUCTURE)
                    except MailboxRefused as refused:
                        unreadable.append(Unreadable(uid=uid, reason=str(refused)[:300]))
        by_uid = {mail.key.uid: mail for mail, _ in read}
        for mail, part in read:
            if part is not None:
                by_uid[mail.key.uid] = self._with_text(mail, part)
        return Reading(
            mails=tuple(by_uid[uid] for uid in uids if uid in by_uid), unreadable=tuple(unreadable)
        )

    def _read(self, uids: Sequence[int], items: str) -> list[tuple[Mail, wire.Part | None]]:
        """Each mail, and the part that holds its text where the beginning does not show it."""
        found = []
        wanted = set(uids)
        for named in self._fetch(uids, items):
            uid, beginning = wire.number(named.get("UID")), named.get("BODY[]")
            if uid not in wanted or not isinstance(beginning, bytes):
                continue  # the server tells of a changed flag in between
            parts = wire.parts(named.get("BODYSTRUCTURE"))
            size = wire.number(named.get("RFC822.SIZE"))
            mail = reading.parse(
                beginning,
                self._key(uid),
                received_at=wire.internal_date(named.get("INTERNALDATE"), _EPOCH),
                size_bytes=max(size, len(beginning)),
                flags=wire.flags(named.get("FLAGS")),
                attachments=wire.attachments(parts) if parts else None,
            )
            text = wire.text_part(parts) if not mail.text and size > len(beginning) else None
            found.append((mail, text))
        return found

    def _with_text(self, mail: Mail, part: wire.Part) -> Mail:
        item = f"BODY.PEEK[{part.section}]<0.{_LONGEST_PART_BYTES}>"
        try:
            fetched = self._fetch([mail.key.uid], f"(UID {item})")
        except MailboxRefused:
            return mail
        body = next((named.get(f"BODY[{part.section}]") for named in fetched), None)
        if not isinstance(body, bytes):
            return mail
        return reading.with_text(
            mail, body, encoding=part.encoding, charset=part.charset or "utf-8",
            html=part.type == "text/html", cut=part.size_bytes > len(body),
        )  # fmt: skip

    def _fetch(self, uids: Sequence[int], items: str) -> list[Mapping[str, Any]]:
        data = self._command("FETCH", wire.message_set(uids), items)
        found: list[Mapping[str, Any]] = []
        for pieces in wire.responses(data):
            try:
                found.append(wire.fetched(pieces))
            except wire.NotUnderstood as strange:
                if len(uids) > 1:
                    raise MailboxRefused(f"{self._host}: an answer is not understood: {strange}.") from None
                log.warning("mail_answer_not_understood", uid=uids[0], problem=str(strange))
        return found

    def sent(self, folder: str, since: datetime) -> SentMail:
        """What that folder received since about then, the newest 5,000 mails; opens it to read."""
        self.open(folder, read_only=True)
        uids = self._search("SINCE", _day(since))[:_MOST_SENT]
        message_ids: set[str] = set()
        addresses: set[str] = set()
        for start in range(0, len(uids), _MOST_AT_ONCE):
            for named in self._fetch(uids[start : start + _MOST_AT_ONCE], _SENT_FIELDS):
                for name, header in named.items():
                    if name.startswith("BODY[") and isinstance(header, bytes):
                        mail = reading.parse(header, self._key(1), received_at=_EPOCH)
                        message_ids.add(mail.message_id)
                        addresses.update(mail.addressed_to)
        return SentMail(message_ids=frozenset(message_ids - {""}), addresses=frozenset(addresses))

    def drafts(self, folder: str) -> list[Draft]:
        """The newest 1,000 drafts; opens that folder to read."""
        self.open(folder, read_only=True)
        found = []
        uids = self._search("UNDELETED")[:_MOST_DRAFTS]
        for start in range(0, len(uids), _MOST_AT_ONCE):
            for named in self._fetch(uids[start : start + _MOST_AT_ONCE], _DRAFT_FIELDS):
                header = named.get("BODY[HEADER]")
                if not isinstance(header, bytes):
                    continue
                key = self._key(wire.number(named.get("UID")))
                saved_at = wire.internal_date(named.get("INTERNALDATE"), _EPOCH)
                mail = reading.parse(header, key, received_at=saved_at)
                found.append(
                    Draft(
                        key=key,
                        identity=hashlib.sha256(f"{reading.identity(mail)} {saved_at}".encode()).hexdigest(),
                        subject=mail.subject,
                        addressed_to=mail.addressed_to,
                        saved_at=saved_at,
                    )
                )
        return found

    # --- changing ---

    def mark(self, uids: Sequence[int], add: Sequence[str], remove: Sequence[str] = ()) -> None:
        """Put flags and keywords on mails, and take some away; uids that are gone are no error."""
        self._check_writable()
        if uids and add:
            self._command("STORE", wire.message_set(uids), "+FLAGS.SILENT", f"({' '.join(add)})")
        if uids and remove:
            self._command("STORE", wire.message_set(uids), "-FLAGS.SILENT", f"({' '.join(remove)})")

    def move(self, uids: Sequence[int], folder: str) -> dict[int, MailKey]:
        """Put mails into another folder in one step; where each is now, as far as the server tells.

        Raises:
            MailboxRefused: the server cannot move in one step, or there is no room or no such folder.
        """
        if not uids:
            return {}
        self._check_writable()
        if "MOVE" not in self._client.capabilities:
            raise MailboxRefused(
                f"{self._host} has no MOVE (RFC 6851), so nothing is moved. "
                "Fix: sort by the keywords in your mail program, or set email.move_messages: false."
            )
        self._client.response("COPYUID")  # forgets an earlier one
        self._command("MOVE", wire.message_set(uids), encode_folder(folder))
        said = _first(self._client.response("COPYUID"))
        words = said.decode("ascii", "replace").split() if said else []
        if len(words) < 3 or not words[0].isdigit():
            return {}
        pairs = zip(wire.members(words[1]), wire.members(words[2]), strict=False)
        return {old: MailKey(folder=folder, uidvalidity=int(words[0]), uid=new) for old, new in pairs}

    def _check_writable(self) -> None:
        """Some servers take what cannot be done with a folder that is open to be read, and do nothing."""
        if self._read_only:
            raise MailboxRefused(f"{self._host}: {self._opened.name} is open to be read only.")

    # --- speaking ---

    def _key(self, uid: int) -> MailKey:
        return MailKey(folder=self._opened.name, uidvalidity=self._opened.uidvalidity, uid=uid)

    def _command(self, name: str, *arguments: Any) -> list[Any]:
        with self._translated(f"{name} in {self._opened.name}"):
            status, data = self._client.uid(name, *arguments)
            if status != "OK":
                raise MailboxRefused(
                    f"{self._host} refused {name} in {self._opened.name}: {connecting.words(data)}."
                )
        return list(data)

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except AegisError:
            raise
        except (imaplib.IMAP4.abort, OSError, EOFError) as lost:
            raise connecting.lost(self._host, doing, lost) from None
        except (imaplib.IMAP4.error, ImapToolsError) as refused:
            raise MailboxRefused(f"{self._host} refused {doing}: {connecting.said(refused)}.") from None


@contextmanager
def connect(settings: ImapSettings, names: FolderNames | None = None) -> Iterator[ImapMailbox]:
    """Log in; the connection ends with a logout.

    Raises:
        NotConfigured: server, user, or what to log in with is not set.
        Misconfigured: the server refuses us or is not to be trusted, or `plain` is not on this machine.
        DependencyUnavailable: it does not answer.
    """
    box = connecting.logged_in(settings)
    try:
        yield ImapMailbox(box, settings, names or FolderNames())
    finally:
        isolation.attempt(box.client.logout)  # whatever happened to the connection, it is over
        with suppress(OSError):
            box.client.shutdown()


def _day(moment: datetime) -> str:
    """A day before, because servers compare days of a zone of their own."""
    return (moment.astimezone(UTC) - timedelta(days=1)).strftime("%d-%b-%Y")


def _first(response: Any) -> bytes | None:
    data = response[1] if isinstance(response, tuple) else response
    found = data[-1] if data else None
    return found if isinstance(found, bytes) else None
