"""What a proposal may hold, and the mail that is made of it: text from strangers stays text."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from aegis_lib.adapters.mail_sender import compose
from aegis_lib.approvals.model import Content, Letter, Proposal, address, address_key, digest_of
from aegis_lib.errors import PermanentFailure
from tests.approval_values import proposal

WHEN = datetime(2026, 3, 14, 9, tzinfo=UTC)
SENDER = Address("Aegis of Ada", "aegis", "ours.example")

NO_ADDRESS = [
    "",
    "ada",
    "ada@",
    "@example.org",
    "ada@localhost",
    "ada@example..org",
    "ada@-example.org",
    "ada@example.org.",
    "ada@[127.0.0.1]",
    ".ada@example.org",
    "ada..b@example.org",
    " ada@example.org",
    "ada@example.org ",
    "ada@example.org\n",
    "ada@example.org\r\nBcc: all@example.com",
    "ada@example.org\nRCPT TO:<all@example.com>",
    "ada@example.org,all@example.com",
    "ada@example.org;all@example.com",
    "ada@example.org all@example.com",
    "Ada <ada@example.org>",
    "<ada@example.org>",
    "ada@example.org>",
    "ada(comment)@example.org",
    '"ada all"@example.org',
    '"a@b"@example.org',
    "all@evil.example@example.org",
    "ada%evil.example@example.org@",
    "ada@example.org\x00",
    "ada\u200b@example.org",
    "ad\u00e4@example.org",
    "ada@ex\u00e4mple.org",
    "ada@example.org?bcc=all@example.com",
    "mailto:ada@example.org",
    "ada@example.org/",
    "a" * 65 + "@example.org",
    "ada@" + "a" * 250 + ".org",
    "ada@" + "a" * 64 + ".org",
]


@pytest.mark.parametrize("text", NO_ADDRESS)
def test_only_one_plain_address_is_a_recipient(text: str) -> None:
    with pytest.raises(ValueError, match="one plain mail address"):
        address(text)
    with pytest.raises(ValidationError):
        proposal(recipient=text)


@pytest.mark.parametrize(
    "text",
    ["ada@example.org", "Ada.L+tag@mail.example.co.uk", "o'neil_1@x-y.example", "a@b.cd", "x@1.example"],
)
def test_ordinary_addresses_are_taken(text: str) -> None:
    assert address(text) == text


@given(st.text(max_size=60))
def test_what_is_taken_as_an_address_has_nothing_a_mail_server_would_obey(text: str) -> None:
    try:
        taken = address(text + "@example.org")
    except ValueError:
        return
    assert taken.isascii()
    assert not set(taken) & set(' \r\n\t\0<>,;:"()[]\\')
    assert taken.count("@") == 1


@pytest.mark.parametrize(
    "same", ["ada@example.org", "ADA@Example.ORG", "ada+news@example.org", "Ada+a+b@example.org"]
)
def test_one_person_is_known_by_all_spellings_of_the_address(same: str) -> None:
    assert address_key(same) == "ada@example.org"


def test_an_address_of_a_tag_alone_is_kept_apart() -> None:
    assert address_key("+ada@example.org") == "+ada@example.org"


@pytest.mark.parametrize(
    "subject",
    [
        "",
        " ",
        " begins with a blank",
        "ends with one ",
        "Hello\r\nBcc: all@example.com",
        "Hello\nX: y",
        "Hello\rX: y",
        "Hello\x0bX",
        "Hello\x0cX",
        "Hello\x85X",
        "Hello\u2028Bcc: x",
        "Hello\u2029Bcc: x",
        "a\tb",
        "nul\0",
        "\u202egpj.exe",
        "in\u200bvisible",
        "lone \ud800 surrogate",
        "=?utf-8?q?x=0D=0ABcc:_all@example.com?=",
        "Re: =?utf-8?b?eA0KQmNjOiBhbGxAZXhhbXBsZS5jb20=?= and so on",
        "x" * 201,
    ],
)
def test_a_subject_is_one_visible_line(subject: str) -> None:
    with pytest.raises(ValidationError):
        proposal(subject=subject)


@pytest.mark.parametrize(
    "body", ["", " \n\n", "esc \x1b[2J", "nul \0", "bare \r return", "\ud800", "x" * 20_001]
)
def test_a_body_is_text(body: str) -> None:
    with pytest.raises(ValidationError):
        proposal(body=body)


@pytest.mark.parametrize(
    "reference",
    [
        "1@example.org",
        "<1@example.org",
        "<>",
        "<1@example.org>\r\nBcc: all@example.com",
        "<1@example.org> <2@example.org>",
        "<1 2@example.org>",
        "<\u00e4@example.org>",
        "<1@2@3>x",
        "<" + "1" * 250 + "@example.org>",
    ],
)
def test_a_message_id_is_one(reference: str) -> None:
    with pytest.raises(ValidationError):
        proposal(in_reply_to=reference)
    with pytest.raises(ValidationError):
        proposal(references=(reference,))


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "Reply!"}, {"kind": ""}, {"key": ""}, {"key": "a\nb"}, {"key": "k" * 201}, {"cc": "x@y.zz"}],
)
def test_kind_and_key_are_names_and_nothing_else_is_taken(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Proposal.model_validate({**proposal().model_dump(), **wrong})


def test_the_digest_is_another_for_any_other_content() -> None:
    usual = ("ada@example.org", "Subject", "Body", None, ())
    others = [
        ("bob@example.org", "Subject", "Body", None, ()),
        ("ada@example.org", "Subject ", "Body", None, ()),
        ("ada@example.org", "Subject", "Body\n", None, ()),
        ("ada@example.org", "Subject", "Body", "", ()),
        ("ada@example.org", "Subject", "Body", None, ("<1@x.yz>",)),
        ("ada@example.org", "SubjectBody", "", None, ()),
        ("ada@example.org", 'Subject", "Body', "", None, ()),
    ]
    assert len({digest_of(*content) for content in [usual, *others]}) == len(others) + 1
    assert digest_of(*usual) == digest_of(*usual)
    assert len(digest_of("\ud800", "", "", None, ())) == 64, "also of what could never be proposed"


# --- the mail as it travels ---


def letter(**values: object) -> Letter:
    held = {"recipient": "ada@example.org", "subject": "Your question", "body": "Yes.\n"}
    return Letter(
        content=Content.model_validate({**held, **values}), message_id="<1a2b@ours.example>", date=WHEN
    )


def read(wire: bytes) -> EmailMessage:
    found = message_from_bytes(wire, policy=policy.default)
    assert isinstance(found, EmailMessage)
    assert not found.defects
    return found


def text_of(mail: EmailMessage) -> str:
    return str(mail.get_content()).replace("\r\n", "\n")


def test_the_headers_are_ours() -> None:
    mail = read(compose(letter(), SENDER))
    assert dict(mail.items()) == {
        "From": "Aegis of Ada <aegis@ours.example>",
        "To": "ada@example.org",
        "Subject": "Your question",
        "Date": "Sat, 14 Mar 2026 09:00:00 +0000",
        "Message-ID": "<1a2b@ours.example>",
        "Auto-Submitted": "auto-generated",
        "Content-Type": 'text/plain; charset="utf-8"',
        "Content-Transfer-Encoding": "quoted-printable",
        "MIME-Version": "1.0",
    }


def test_a_subject_that_the_library_would_decode_into_a_header_is_no_mail() -> None:
    hidden = "=?utf-8?q?x=0D=0ABcc:_all@example.com?="
    unchecked = letter().content.model_copy(update={"subject": hidden})
    with pytest.raises(PermanentFailure, match="cannot be written"):
        compose(letter().model_copy(update={"content": unchecked}), SENDER)


def test_an_answer_stays_in_its_conversation_also_with_long_ids() -> None:
    ids = tuple(f"<{'x' * 200}{number}@mail.example.org>" for number in range(3))
    wire = compose(letter(in_reply_to=ids[-1], references=ids), SENDER)
    mail = read(wire)
    assert mail["In-Reply-To"] == ids[-1]
    assert mail["References"].split() == list(ids)
    assert mail["Auto-Submitted"] == "auto-replied"
    assert b"=?" not in wire


INJECTIONS = [
    "Hi\n.\nMAIL FROM:<x@evil.example>\nRCPT TO:<all@example.com>\nDATA\nspam\n.\n",
    "Hi\n\n.\n\nQUIT\n",
    ".\n",
    "..\n.\n...",
    "Bcc: all@example.com\n\nHi",
    "--===============\nContent-Type: text/html\n\n<script>",
    "From me\n>From you\nFrom \n",
    "=0A.=0A =\n=3D =E2=80=A8",
    "x" * 5000,
    "\u4f60\u597d \U0001f600 " * 300,
    "line\u2028separator and \u0085 next line",
    "trailing blank \t\nand tab\t",
]


@pytest.mark.parametrize("body", INJECTIONS[:-2] + INJECTIONS[-1:])
def test_no_text_gets_out_of_the_body(body: str) -> None:
    wire = compose(letter(body=body), SENDER)
    mail = read(wire)
    assert text_of(mail).rstrip("\n") == body.rstrip("\n")
    assert set(mail.keys()) == set(read(compose(letter(), SENDER)).keys())
    assert not mail.is_multipart()


@given(
    st.text(
        st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t.= "), min_size=1, max_size=400
    )
)
def test_any_body_travels_as_plain_short_lines(body: str) -> None:
    try:
        held = letter(body=body)
    except ValidationError:
        return
    wire = compose(held, SENDER)
    assert wire.isascii()
    assert all(len(line) <= 998 for line in wire.split(b"\r\n"))
    assert b"\n" not in wire.replace(b"\r\n", b"")
    assert b"\r" not in wire.replace(b"\r\n", b"")
    assert read(wire)["To"] == "ada@example.org"


@given(st.text(min_size=1, max_size=200))
def test_any_subject_that_is_taken_stays_in_its_header(subject: str) -> None:
    try:
        held = letter(subject=subject)
    except ValidationError:
        return
    mail = read(compose(held, SENDER))
    assert set(mail.keys()) == set(read(compose(letter(), SENDER)).keys())
    assert mail["To"] == "ada@example.org"
