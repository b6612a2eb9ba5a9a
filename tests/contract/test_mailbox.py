"""The mailbox: the fake and a real Dovecot answer alike, also about mail that nobody should send."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aegis_lib.adapters.mailbox import imap
from aegis_lib.errors import Misconfigured
from aegis_lib.mail.model import HANDLED, MailboxRefused
from aegis_lib.ports.mail import Mailbox
from tests.dovecot import Dovecot
from tests.fakes.mailbox import FakeMailbox
from tests.letters import letter

NOW = datetime.now(UTC)


@dataclass
class Place:
    mailbox: Mailbox
    deliver: Callable[..., Any]
    flags: Callable[..., dict[int, set[str]]]


@pytest.fixture(params=["fake", "dovecot"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "fake":
        fake = FakeMailbox()
        yield Place(fake, fake.deliver, fake.flags)
        return
    server: Dovecot = request.getfixturevalue("dovecot")
    user = server.user()
    with imap.connect(server.settings(user)) as mailbox:
        yield Place(
            mailbox,
            lambda *messages, **options: server.deliver(user, *messages, **options),
            lambda folder="INBOX": {
                uid: flags - {"\\Recent"} for uid, flags in server.flags(user, folder).items()
            },
        )


def test_the_folders_are_known_by_what_they_are_for(place: Place) -> None:
    found = place.mailbox.folders()
    assert (found.inbox, found.archive, found.junk) == ("INBOX", "Archive", "Spamverdacht")
    assert (found.drafts, found.sent) == ("Entwürfe", "Sent")


def test_a_folder_that_is_not_there_is_a_mistake_in_the_settings(place: Place) -> None:
    with pytest.raises(Misconfigured, match=r"email\.folders"):
        place.mailbox.open("Nowhere")


def test_an_empty_folder_has_nothing(place: Place) -> None:
    opened = place.mailbox.open("INBOX")
    assert (opened.messages, opened.keeps_keywords) == (0, True)
    assert place.mailbox.waiting() == []
    assert place.mailbox.read([]).mails == ()
    assert place.mailbox.drafts("Entwürfe") == []


def test_what_waits_is_unread_not_handled_and_not_deleted(place: Place) -> None:
    place.deliver(letter(), letter())
    place.deliver(letter(), flags=["\\Seen"])
    place.deliver(letter(), flags=["\\Deleted"])
    place.mailbox.open("INBOX")
    assert place.mailbox.waiting() == [2, 1]
    place.mailbox.mark([1], [HANDLED])
    assert place.mailbox.waiting() == [2]


def test_reading_marks_nothing_as_read(place: Place) -> None:
    place.deliver(letter(None, "one"), letter(None, "two"))
    place.mailbox.open("INBOX")
    mails = place.mailbox.read([2, 1, 77]).mails
    assert [mail.subject for mail in mails] == ["two", "one"], "in the order asked for, without what is gone"
    assert [mail.key.uid for mail in mails] == [2, 1]
    assert place.flags() == {1: set(), 2: set()}
    assert not any(mail.is_read for mail in mails)


def test_when_a_mail_arrived_is_what_the_server_says(place: Place) -> None:
    arrived = (NOW - timedelta(days=3, hours=5)).replace(microsecond=0)
    place.deliver(letter(), at=arrived)
    place.mailbox.open("INBOX")
    assert place.mailbox.read([1]).mails[0].received_at == arrived


def test_at_most_five_hundred_mails_are_read_at_once(place: Place) -> None:
    place.mailbox.open("INBOX")
    with pytest.raises(ValueError, match="500"):
        place.mailbox.read(range(1, 502))


def test_flags_and_keywords_are_put_on_and_taken_off(place: Place) -> None:
    place.deliver(letter(), letter())
    place.mailbox.open("INBOX")
    place.mailbox.mark([1, 2, 99], ["\\Flagged", "$AegisUrgent"])
    place.mailbox.mark([2], ["$AegisSpam"], ["$AegisUrgent", "\\Flagged"])
    assert place.flags() == {1: {"\\Flagged", "$AegisUrgent"}, 2: {"$AegisSpam"}}


def test_marked_mail_is_found_again_by_age_and_by_being_read(place: Place) -> None:
    place.deliver(letter(), at=NOW - timedelta(days=40), flags=["\\Seen"])
    place.deliver(letter(), at=NOW - timedelta(days=2), flags=["\\Seen"])
    place.deliver(letter(), at=NOW - timedelta(days=1))
    place.mailbox.open("INBOX")
    place.mailbox.mark([1, 2, 3], ["$AegisSpam"])
    assert place.mailbox.marked("$AegisSpam", NOW - timedelta(days=30)) == [3, 2]
    assert place.mailbox.marked("$AegisSpam", NOW - timedelta(days=30), seen=True) == [2]
    assert place.mailbox.marked("$AegisUrgent", NOW - timedelta(days=30)) == []


def test_a_move_takes_mail_along_with_its_flags_and_says_where_it_is(place: Place) -> None:
    place.deliver(letter(None, "goes"), letter(None, "stays"), letter(None, "goes too"))
    place.mailbox.open("INBOX")
    place.mailbox.mark([1], ["$AegisSpam"])
    moved = place.mailbox.move([1, 3, 50], "Spamverdacht")
    assert set(moved) == {1, 3}
    assert list(place.flags()) == [2]
    assert place.flags("Spamverdacht")[moved[1].uid] == {"$AegisSpam"}
    there = place.mailbox.open("Spamverdacht")
    assert {one.uidvalidity for one in moved.values()} == {there.uidvalidity}
    assert place.mailbox.read([moved[3].uid]).mails[0].subject == "goes too"
    assert place.mailbox.move([], "INBOX") == {}


def test_a_move_to_nowhere_is_refused_and_leaves_the_mail(place: Place) -> None:
    place.deliver(letter())
    place.mailbox.open("INBOX")
    with pytest.raises(MailboxRefused):
        place.mailbox.move([1], "Nowhere")
    assert list(place.flags()) == [1]


def test_a_folder_that_is_opened_to_be_read_cannot_be_changed(place: Place) -> None:
    place.deliver(letter())
    place.mailbox.open("INBOX", read_only=True)
    with pytest.raises(MailboxRefused):
        place.mailbox.mark([1], ["\\Flagged"])
    assert place.flags() == {1: set()}


def test_what_was_sent_tells_whom_the_reader_knows(place: Place) -> None:
    one = b"Message-ID: <q@example.org>\nTo: A <ANN@example.net>\nCc: b@example.net\n\nx\n"
    place.deliver(one, folder="Sent", flags=["\\Seen"], at=NOW - timedelta(days=5))
    place.deliver(letter(), folder="Sent", at=NOW - timedelta(days=500))
    sent = place.mailbox.sent("Sent", NOW - timedelta(days=365))
    assert sent.message_ids == {"<q@example.org>"}
    assert sent.addresses == {"ann@example.net", "b@example.net"}


def test_drafts_are_told_with_when_they_were_saved(place: Place) -> None:
    saved = (NOW - timedelta(days=9)).replace(microsecond=0)
    place.deliver(b"To: a@example.net\nSubject: half\n\nDear", folder="Entwürfe", flags=["\\Draft"], at=saved)
    place.deliver(letter(), folder="Entwürfe", flags=["\\Draft", "\\Deleted"])
    (draft,) = place.mailbox.drafts("Entwürfe")
    assert (draft.subject, draft.addressed_to, draft.saved_at) == ("half", ("a@example.net",), saved)


# --- mail that nobody should send ---

LARGE = b"From: a@example.net\nSubject: large\nContent-Type: text/plain\n\n" + b"word " * 2_000_000


def test_of_a_large_mail_only_the_beginning_is_read(place: Place) -> None:
    place.deliver(LARGE)
    place.mailbox.open("INBOX")
    (mail,) = place.mailbox.read([1]).mails
    assert (mail.subject, mail.truncated, len(mail.text)) == ("large", True, 20_000)
    assert mail.size_bytes >= len(LARGE)


BROKEN = {
    "nothing at all": b"",
    "no header": b"just text without any header\n\nand more\n",
    "no body": b"From: a@example.net\nSubject: s\n",
    "an empty body": b"From: a@example.net\nSubject: s\n\n",
    "noise": bytes(range(256)) * 20,
    "a boundary that never comes": b"From: a@example.de\nContent-Type: multipart/mixed; boundary=z\n\ntext\n",
    "no boundary": b"From: a@example.net\nContent-Type: multipart/alternative\n\ntext\n",
    "a charset that is none": b'From: a@example.net\nContent-Type: text/plain; charset="none"\n\n\xe4\xf6\n',
    "a charset that is a trap": b"From: a@example.net\nContent-Type: text/plain; charset=punycode\n\nabc-\n",
    "wrong base64": (
        b"From: a@example.net\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\n!!!=%%\n"
    ),
    "NUL": b"From: a@example.net\nSubject: a\x00b\n\nx\x00y\n",
    "a header without an end": b"From: a@example.net\nSubject: " + b"x" * 200_000 + b"\n\ntext\n",
    "ten thousand parts": b"From: a@example.net\nContent-Type: multipart/mixed; boundary=b\n\n"
    + b"--b\n\nx\n" * 10_000,
    "parts in parts in parts": b"From: a@example.net\n"
    + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(600))
    + b"Content-Type: text/plain\n\ndeep\n",
    "eight-bit headers": "From: Jürgen <a@example.net>\nSubject: Grüße\n\nx\n".encode(),
    "two senders": b"From: a@example.net\nFrom: b@example.net\n\nx\n",
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_mail_is_read_as_far_as_it_goes(place: Place, what: str) -> None:
    place.deliver(letter(None, "before"), BROKEN[what], letter(None, "after"))
    place.mailbox.open("INBOX")
    found = place.mailbox.read([3, 2, 1])
    assert [mail.key.uid for mail in found.mails] == [3, 2, 1]
    assert [found.mails[0].subject, found.mails[2].subject] == ["after", "before"]


def test_a_text_behind_a_large_attachment_is_read_on_its_own(dovecot: Dovecot) -> None:
    user = dovecot.user()
    attachment = base64.encodebytes(b"\0" * 37_000_000)
    dovecot.deliver(
        user,
        b"From: a@example.net\nSubject: 50 MB\nContent-Type: multipart/mixed; boundary=b\n\n"
        b'--b\nContent-Type: application/zip; name="a (1).zip"\nContent-Transfer-Encoding: base64\n\n'
        + attachment
        + b"\n--b\nContent-Type: text/plain; charset=iso-8859-1\n"
        b"Content-Transfer-Encoding: quoted-printable\n\nSch=F6ne Gr=FC=DFe\n--b--\n",
    )
    with imap.connect(dovecot.settings(user)) as mailbox:
        mailbox.open("INBOX")
        (mail,) = mailbox.read([1]).mails
    assert mail.text == "Schöne Grüße"
    assert mail.size_bytes > 49_000_000
    (part,) = mail.attachments
    assert (part.name, part.type) == ("a (1).zip", "application/zip")
    assert 36_000_000 < part.size_bytes < 39_000_000
