"""Reading mail of any bytes, HTML of any kind, and what an IMAP server writes."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_lib.adapters.mailbox import wire
from aegis_lib.mail import reading
from aegis_lib.mail.html_text import readable
from aegis_lib.mail.model import LONGEST_TEXT_CHARACTERS, Mail, MailKey

KEY = MailKey(folder="INBOX", uidvalidity=1, uid=1)
WHEN = datetime(2026, 1, 25, tzinfo=UTC)


def parsed(raw: bytes | str, size: int | None = None) -> Mail:
    encoded = raw.encode() if isinstance(raw, str) else raw
    return reading.parse(encoded, KEY, received_at=WHEN, size_bytes=size)


@pytest.mark.parametrize(
    ("header", "address", "name"),
    [
        ("Ann <ANN@Example.org>", "ann@example.org", "Ann"),
        ("=?utf-8?q?J=C3=BCrgen?= <j@example.org>", "j@example.org", "Jürgen"),
        ("=?utf-8?q?Bank_=3Csupport=40bank.example=3E?= <evil@example.net>", "evil@example.net",
         "Bank <support@bank.example>"),
        ('"support@bank.example" <evil@example.net>', "evil@example.net", "support@bank.example"),
        ("support@bank.example <evil@example.net>", "evil@example.net", "support@bank.example"),
        ("no address at all", "", ""),
        ("<>", "", ""),
        ("a@b@c.example", "", ""),
    ],
)  # fmt: skip
def test_the_sender_is_the_address_and_never_what_a_name_claims(header: str, address: str, name: str) -> None:
    mail = parsed(f"From: {header}\n\nx")
    assert mail.from_email == address
    if address:
        assert mail.from_name == name


def test_two_senders_are_named_as_a_defect() -> None:
    assert "several senders" in parsed("From: a@example.org\nFrom: b@example.net\n\nx").defects
    assert "several senders" in parsed("From: a@example.org, b@example.net\n\nx").defects
    assert "no sender" in parsed("Subject: x\n\nx").defects


def test_plain_text_goes_before_html_and_attachments_are_no_text() -> None:
    mail = parsed(
        "Content-Type: multipart/mixed; boundary=b\n\n"
        "--b\nContent-Type: text/plain\nContent-Disposition: attachment; filename=notes.txt\n\nattached\n"
        "--b\nContent-Type: text/html\n\n<p>html</p>\n"
        "--b\nContent-Type: text/plain\n\nplain\n--b--\n"
    )
    assert (mail.text, mail.from_html) == ("plain", False)
    assert [part.name for part in mail.attachments] == ["notes.txt"]


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        ("utf-8", "Grüße".encode(), "Grüße"),
        ("iso-8859-1", b"Gr\xfc\xdfe \x80", "Grüße €"),
        ("windows-1251", "Привет".encode("cp1251"), "Привет"),
        ("iso-2022-jp", "こんにちは".encode("iso-2022-jp"), "こんにちは"),
        ("gb2312", "你好".encode("gb18030"), "你好"),
        ("ks_c_5601-1987", "안녕".encode("cp949"), "안녕"),
        ("no-such-charset", "Grüße".encode(), "Grüße"),
        ("punycode", b"abc-", "abc-"),
        ("idna", b"xn--abc", "xn--abc"),
        ("utf-8", b"caf\xe9", "café"),
        ("us-ascii", "Grüße".encode(), "Grüße"),
        ("base64", b"abc", "abc"),
    ],
)
def test_text_is_decoded_whatever_the_charset_claims(charset: str, raw: bytes, text: str) -> None:
    assert parsed(b"Content-Type: text/plain; charset=" + charset.encode() + b"\n\n" + raw).text == text


@pytest.mark.parametrize("cut", range(1, 9))
def test_base64_that_is_cut_anywhere_is_read_as_far_as_it_goes(cut: int) -> None:
    raw = b"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\nSGVsbG8gd29ybGQh"
    text = parsed(raw[:-cut], size=len(raw)).text
    assert text
    assert "Hello world!".startswith(text)


def test_a_long_text_is_cut_and_says_so() -> None:
    mail = parsed("Content-Type: text/plain\n\n" + "x" * 50_000)
    assert (len(mail.text), mail.truncated) == (LONGEST_TEXT_CHARACTERS, True)


def test_headers_are_bounded_in_number_and_length() -> None:
    mail = parsed("".join(f"X-{n}: {'y' * 5000}\n" for n in range(500)) + "\nbody")
    assert len(mail.headers) <= 200
    assert max(len(value) for values in mail.headers.values() for value in values) <= 2000


def test_the_topmost_header_comes_first() -> None:
    mail = parsed("Received: last\nReceived: first\n\nx")
    assert mail.headers["received"] == ("last", "first")
    assert mail.header("Received") == "last"


def test_the_thread_is_what_it_answers() -> None:
    mail = parsed("In-Reply-To: <a@x>\nReferences: <b@x> nonsense <a@x>\nMessage-ID: <c@x>\n\nx")
    assert (mail.thread_ids, mail.message_id) == (("<a@x>", "<b@x>"), "<c@x>")


# --- identity ---

HEAD = "Received: from x by mx.example.org id 17; Sun, 25 Jan 2026 06:00:00 +0000\nMessage-ID: <1@x>\n"


def test_a_mail_stays_the_same_wherever_it_lies() -> None:
    raw = (HEAD + "Subject: s\n\nx").encode()
    elsewhere = MailKey(folder="Archive", uidvalidity=9, uid=77)
    moved = reading.parse(raw, elsewhere, received_at=WHEN, flags=["\\Seen", "$AegisSpam"])
    assert reading.identity(parsed(raw)) == reading.identity(moved)


@pytest.mark.parametrize("other", [HEAD.replace("id 17", "id 18"), HEAD.replace("<1@x>", "<2@x>")])
def test_another_delivery_is_another_mail_even_with_the_same_message_id(other: str) -> None:
    assert reading.identity(parsed(HEAD + "\nx")) != reading.identity(parsed(other + "\nx"))


def test_mail_without_marks_is_told_apart_by_its_text() -> None:
    assert reading.identity(parsed("Subject: s\n\none")) != reading.identity(parsed("Subject: s\n\ntwo"))


# --- anything at all ---


@given(st.binary(max_size=2000))
def test_any_bytes_are_a_mail(raw: bytes) -> None:
    mail = parsed(raw)
    assert len(mail.text) <= LONGEST_TEXT_CHARACTERS
    assert len(reading.identity(mail)) == 64


@given(
    st.lists(
        st.sampled_from(
            ["From: ", "Content-Type: multipart/mixed; boundary=b\n", "\n", "--b\n", "--b--\n", "=?utf-8?q?=",
             "?=", "<a@b>", "text/html", "Content-Transfer-Encoding: base64\n", "\x00", "ü", "Subject: x\n",
             "Content-Disposition: attachment; filename*0*=utf-8''%ff\n"]
        ),
        max_size=40,
    )
)  # fmt: skip
def test_any_order_of_pieces_is_a_mail(pieces: list[str]) -> None:
    reading.identity(parsed("".join(pieces)))


@pytest.mark.parametrize(
    "raw",
    [
        b"From: " + b"<" * 60_000, b"From: " + b"(" * 60_000, b"From: " + b'"' * 60_000,
        b"From: @" + b'"a"' * 20_000, b"To: " + b"a," * 30_000,
        b"Subject: " + b"=?utf-8?q?" * 6_000, b"References: " + b"<" * 60_000,
        b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\n" * 15_000,
        b"Content-Type: text/html\n\n" + b"<" * 60_000, b"Content-Type: text/html\n\n" + b"<!--" * 15_000,
        b"Content-Type: text/html\n\n" + b"<style>" * 8_000,
        b"Content-Type: text/html\n\n" + b"<a href=" * 7_000,
        b"Content-Type: text/html\n\n" + b"&#" * 30_000, b"Content-Type: text/html\n\n" + b" \n" * 30_000,
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(1200)),
    ],
    ids=range(15),
)  # fmt: skip
def test_no_mail_takes_long(raw: bytes) -> None:
    began = time.process_time()
    parsed(raw[:65_536])
    assert time.process_time() - began < 4


# --- HTML ---


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one</p><p>two &amp; three</p>", "one\ntwo & three"),
        ("<style>p{}</style><script>x()</script>seen", "seen"),
        ("<head><title>t</title></head><body>b</body>", "b"),
        ("a<!-- hidden <b>x</b> -->b", "ab"),
        ('<a href="https://x.example/a?b=1&amp;c=2">here</a>', "here <https://x.example/a?b=1&c=2>"),
        ("<a href='javascript:x()'>here</a>", "here"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("<P>ÄÖ<BR>İ</P>", "ÄÖ\nİ"),
        ("unclosed <b", "unclosed"),
        ("<td>a</td><td>b</td>", "a b"),
        ("w\u200bo\u00adrd", "w o rd"),
    ],
)
def test_html_becomes_what_a_reader_sees(html: str, text: str) -> None:
    assert readable(html) == text


@given(st.text(alphabet="<>!-/ab=\"' &;#\n", max_size=300))
def test_any_html_becomes_text(html: str) -> None:
    assert isinstance(readable(html), str)


# --- the server's answers ---


def test_a_fetch_response_with_literals_is_understood() -> None:
    pieces = [
        (b'1 (UID 7 FLAGS (\\Seen $X) RFC822.SIZE 12 BODYSTRUCTURE ("TEXT" "PLAIN" ("NAME" {3}', b'a"b'),
        (b') NIL NIL "7BIT" 12 1) BODY[]<0> {5}', b"hello"),
        b")",
    ]
    (response,) = wire.responses(pieces)
    named = wire.fetched(response)
    assert (wire.number(named["UID"]), wire.flags(named["FLAGS"])) == (7, ("\\Seen", "$X"))
    assert named["BODY[]"] == b"hello"
    (part,) = wire.parts(named["BODYSTRUCTURE"])
    assert (part.section, part.type, part.name) == ("1", "text/plain", 'a"b')


def test_sections_of_nested_parts_are_numbered_as_the_server_does() -> None:
    text = b'("TEXT" "%s" ("CHARSET" "x") NIL NIL "BASE64" 40 1)'
    structure = (
        b"1 (BODYSTRUCTURE (((" + text % b"PLAIN" + text % b"HTML" + b' "ALTERNATIVE")'
        b'("IMAGE" "PNG" NIL NIL NIL "BASE64" 4000) "RELATED")'
        b'("APPLICATION" "PDF" ("NAME" "a.pdf") NIL NIL "BASE64" 4000 NIL '
        b'("ATTACHMENT" ("FILENAME" "b.pdf")))'
        b' "MIXED"))'
    )
    parts = wire.parts(wire.fetched([structure])["BODYSTRUCTURE"])
    assert [(p.section, p.type) for p in parts] == [
        ("1.1.1", "text/plain"), ("1.1.2", "text/html"), ("1.2", "image/png"), ("2", "application/pdf"),
    ]  # fmt: skip
    found = wire.text_part(parts)
    assert found is not None
    assert found.section == "1.1.1"
    assert [(a.name, a.size_bytes) for a in wire.attachments(parts)] == [("", 3000), ("b.pdf", 3000)]


@pytest.mark.parametrize("line", [b"1 (UID 7", b"1 UID 7)", b'1 (X "abc)', b"1 FETCH", b"1 ((a) b)"])
def test_what_is_no_answer_is_refused(line: bytes) -> None:
    with pytest.raises(wire.NotUnderstood):
        wire.fetched([line])


def test_a_structure_of_a_hundred_thousand_levels_is_read() -> None:
    deep = b"1 (BODYSTRUCTURE " + b"(" * 100_000 + b")" * 100_000 + b")"
    assert wire.parts(wire.fetched([deep])["BODYSTRUCTURE"]) == []


@given(st.binary(max_size=200))
def test_any_line_is_understood_or_refused(line: bytes) -> None:
    try:
        named = wire.fetched([line])
    except wire.NotUnderstood:
        return
    wire.parts(named.get("BODYSTRUCTURE"))


@given(st.sets(st.integers(1, 400), min_size=1))
def test_sets_of_uids_are_written_and_read_alike(uids: set[int]) -> None:
    assert wire.members(wire.message_set(uids)) == sorted(uids)


def test_a_set_that_a_server_makes_up_is_bounded() -> None:
    assert len(wire.members("1:4294967295")) == 100_000


@pytest.mark.parametrize("item", [None, b"", b"nonsense", b"99-Zzz-2026 00:00:00 +0000", 7])
def test_a_date_that_is_none_is_replaced(item: object) -> None:
    assert wire.internal_date(item, WHEN) == WHEN
