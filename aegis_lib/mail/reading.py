"""Makes a `Mail` of what a mailbox holds: any bytes at all. Must not fail, and must not read without bound.

What is given is the beginning of a message, which may be cut anywhere. MIME (RFC 2045 to 2049), encoded words
(RFC 2047) and addresses are read as far as they can be; what had to be mended is named in `Mail.defects`.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import hashlib
import quopri
import re
from collections.abc import Sequence
from datetime import datetime
from email import message_from_bytes
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import getaddresses

from aegis_lib import isolation
from aegis_lib.mail.html_text import readable
from aegis_lib.mail.model import (
    LONGEST_HEADER_CHARACTERS,
    LONGEST_TEXT_CHARACTERS,
    MOST_HEADERS,
    Attachment,
    Mail,
    MailKey,
)

_MOST_PARTS = 200
_MOST_ADDRESSES = 100
_MOST_THREAD_IDS = 50
_LONGEST_SUBJECT = 500
_LONGEST_NAME = 200
_ADDRESS = re.compile(r"[^\s<>@\"(),:;]{1,200}@[^\s<>@\"(),:;]{1,255}")
_NAMED = re.compile(r'((?:"(?:[^"\\]|\\.)*"|[^",;<>])*)<([^<>]*)>\s*', re.DOTALL)
"""A name, of whatever it consists, and an address in angle brackets: those are what mail programs go by."""
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,500}>")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_CHARSETS = {
    "iso-8859-8-i": "iso-8859-8", "iso-8859-8-e": "iso-8859-8", "ks_c_5601-1987": "cp949", "x-gbk": "gbk",
    "gb2312": "gb18030", "x-sjis": "cp932", "cp-850": "cp850", "us-ascii": "utf-8", "ascii": "utf-8",
    "iso-8859-1": "cp1252", "latin1": "cp1252", "ansi_x3.4-1968": "utf-8", "utf8mb4": "utf-8",
}  # fmt: skip
_NO_CHARSETS = {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "unicode_escape"}
"""Known to Python, of no use in mail, and slow or harmful on text made for it."""


def parse(
    beginning: bytes,
    key: MailKey,
    *,
    received_at: datetime,
    size_bytes: int | None = None,
    flags: Sequence[str] = (),
    attachments: Sequence[Attachment] | None = None,
) -> Mail:
    """The mail whose first bytes are given; `size_bytes` is its whole size.

    `attachments` are those that the mailbox's own account of the structure shows; without them, those in the
    given bytes.
    """
    size = len(beginning) if size_bytes is None else size_bytes
    whole = len(beginning) >= size
    defects: list[str] = []
    message = isolation.attempt(lambda: message_from_bytes(beginning))
    if isinstance(message, Exception):
        defects.append("its parts are nested too deep")
        message = BytesHeaderParser().parsebytes(beginning)
    raw_headers = [(str(name).lower()[:100], str(raw)) for name, raw in message.raw_items()]
    headers = _headers(raw_headers)
    walked = isolation.attempt(lambda: _parts(message))
    parts = walked if isinstance(walked, list) else []
    if isinstance(walked, Exception):
        defects.append("its parts are nested too deep")
    text, from_html, cut = _text(parts, whole)
    senders = _addresses(raw_headers, "from")
    if len(senders) > 1:
        defects.append("several senders")
    from_name, from_email = senders[0] if senders else ("", "")
    if not from_email:
        defects.append("no sender")
    if any(part.defects for part in parts[:_MOST_PARTS]):
        defects.append("broken MIME")
    return Mail(
        key=key,
        message_id=_message_id(headers),
        from_email=from_email,
        from_name=from_name[:_LONGEST_NAME],
        addressed_to=tuple(
            dict.fromkeys(
                address for _, address in _addresses(raw_headers, "to", "cc")[:_MOST_ADDRESSES] if address
            )
        ),
        subject=next(iter(headers.get("subject", ())), "")[:_LONGEST_SUBJECT],
        text=text,
        from_html=from_html,
        truncated=cut or (not whole and len(parts) <= 1),
        headers=headers,
        received_at=received_at,
        size_bytes=size,
        attachments=tuple(_attachments(parts) if attachments is None else attachments)[:_MOST_PARTS],
        thread_ids=_thread(headers),
        is_read="\\Seen" in flags,
        labels=tuple(flag for flag in flags if not flag.startswith("\\")),
        defects=tuple(defects),
    )


def with_text(mail: Mail, body: bytes, *, encoding: str, charset: str, html: bool, cut: bool) -> Mail:
    """The mail with a text part that was read on its own; `cut`: the part goes on."""
    found = _shown(decoded(_unwrapped(body, encoding), charset), html)
    return mail.model_copy(
        update={
            "text": found[:LONGEST_TEXT_CHARACTERS],
            "from_html": html,
            "truncated": cut or len(found) > LONGEST_TEXT_CHARACTERS,
        }
    )


def identity(mail: Mail) -> str:
    """What stays the same when a mail is moved, or its folder is numbered anew, and differs for another one.

    The Message-ID alone would let a stranger pass his mail off as one that was handled before: the line that
    the receiving server wrote at the top, with its own time and number, is part of it.
    """
    known = [
        mail.message_id,
        mail.header("received"),
        mail.header("date"),
        mail.header("from"),
        mail.header("to"),
        mail.header("subject"),
    ]
    if not mail.message_id or not mail.header("received"):
        known += [mail.text[:2000]]
    return hashlib.sha256("\0".join(known).encode("utf-8", "replace")).hexdigest()


# --- headers ---


def _headers(raw_headers: Sequence[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for name, raw in raw_headers[:MOST_HEADERS]:
        found.setdefault(name, []).append(header_text(raw))
    return {name: tuple(values) for name, values in found.items()}


def header_text(raw: str) -> str:
    """A header on one line: bytes above ASCII and encoded words decoded, at most 2,000 characters."""
    text = _plain(raw[: LONGEST_HEADER_CHARACTERS * 2])
    if "=?" in text:
        words = isolation.attempt(lambda: _encoded_words(text))
        text = words if isinstance(words, str) else text
    return " ".join(text.replace("\0", "").split())[:LONGEST_HEADER_CHARACTERS]


def _encoded_words(text: str) -> str:
    return "".join(
        piece if isinstance(piece, str) else decoded(piece, charset or "utf-8")
        for piece, charset in decode_header(text)
    )


def _addresses(raw_headers: Sequence[tuple[str, str]], *names: str) -> list[tuple[str, str]]:
    """Name and address, in lower case; an empty address where it is none.

    Encoded words are decoded after the address is known: decoded before, a name could bring its own address.
    """
    values = [
        " ".join(raw.split())[: LONGEST_HEADER_CHARACTERS * 4] for name, raw in raw_headers if name in names
    ]
    if len(values) == 1 and (named := _NAMED.fullmatch(values[0])) and "@" in named[1]:
        found: list[tuple[str, str]] | Exception = [(named[1].replace('"', "").strip(), named[2].strip())]
    else:
        found = isolation.attempt(lambda: getaddresses(values))
    if isinstance(found, Exception):
        return []
    return [
        (header_text(name), address.lower() if _ADDRESS.fullmatch(address) else "")
        for name, address in ((name, _plain(address)) for name, address in found)
        if name or address
    ]


def _plain(raw: str) -> str:
    return decoded(raw.encode("utf-8", "surrogateescape"), "utf-8")


def _message_id(headers: dict[str, tuple[str, ...]]) -> str:
    value = next(iter(headers.get("message-id", ())), "")
    found = _MESSAGE_ID.search(value)
    return found[0] if found else value[:500]


def _thread(headers: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    said = " ".join((*headers.get("in-reply-to", ()), *headers.get("references", ())))
    return tuple(dict.fromkeys(_MESSAGE_ID.findall(said)))[:_MOST_THREAD_IDS]


# --- text ---


def _parts(message: Message) -> list[Message]:
    found: list[Message] = []
    for part in message.walk():
        if not part.is_multipart():
            found.append(part)
        if len(found) >= _MOST_PARTS:
            break
    return found


def _text(parts: Sequence[Message], whole: bool) -> tuple[str, bool, bool]:
    """The text, whether it was HTML, and whether it goes on."""
    for wanted in ("text/plain", "text/html"):
        for place, part in enumerate(parts):
            if part.get_content_type() != wanted or _is_attached(part):
                continue
            raw = isolation.attempt(lambda part=part: _payload(part))  # type: ignore[misc]
            if isinstance(raw, Exception):
                continue
            shown = _shown(decoded(raw, _charset(part)), wanted == "text/html")
            if shown:
                cut = not whole and place == len(parts) - 1
                return (
                    shown[:LONGEST_TEXT_CHARACTERS],
                    wanted == "text/html",
                    cut or len(shown) > LONGEST_TEXT_CHARACTERS,
                )
    return "", False, False


def _shown(text: str, html: bool) -> str:
    plain = text.replace("\r\n", "\n").replace("\0", "")
    return readable(plain) if html else plain.strip()


def _payload(part: Message) -> bytes:
    encoding = str(part.get("content-transfer-encoding", ""))
    if encoding.strip().lower() == "base64":  # the library's own decoder gives up on what is cut off
        return _unwrapped(str(part.get_payload()).encode("ascii", "replace"), encoding)
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _unwrapped(body: bytes, encoding: str) -> bytes:
    """The body without its transfer encoding; what is cut off in the middle is left out."""
    match encoding.strip().lower():
        case "base64":
            letters = _NOT_BASE64.sub(b"", body)
            try:
                return base64.b64decode(letters[: len(letters) // 4 * 4] + _rest(letters))
            except binascii.Error:
                return b""
        case "quoted-printable":
            return quopri.decodestring(body)
        case _:
            return body


def _rest(letters: bytes) -> bytes:
    """The last one or two bytes, with the padding that was taken for noise."""
    rest = letters[len(letters) // 4 * 4 :]
    return rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""


def decoded(raw: bytes, charset: str) -> str:
    """The text; where it is not of that charset: UTF-8, or else what Western mail programs write."""
    name = _CHARSETS.get(charset.strip().lower(), charset.strip().lower())
    for candidate in (name, "utf-8"):
        try:
            if codecs.lookup(candidate).name not in _NO_CHARSETS:
                return raw.decode(candidate)
        except (LookupError, UnicodeError, ValueError):
            continue
    known = isolation.attempt(lambda: raw.decode(name, "replace") if name not in _NO_CHARSETS else "")
    usable = isinstance(known, str) and known and known.count("\ufffd") * 20 < len(known)
    return str(known) if usable else raw.decode("cp1252", "replace")


def _charset(part: Message) -> str:
    found = isolation.attempt(lambda: part.get_content_charset("utf-8"))
    return found if isinstance(found, str) else "utf-8"


# --- attachments ---


def _is_attached(part: Message) -> bool:
    return str(part.get("content-disposition", "")).strip().lower().startswith("attachment")


def _attachments(parts: Sequence[Message]) -> list[Attachment]:
    found = []
    for part in parts:
        named = isolation.attempt(part.get_filename)
        name = header_text(named) if isinstance(named, str) else ""
        if name or _is_attached(part) or part.get_content_type() not in {"text/plain", "text/html"}:
            payload = part.get_payload()
            size = len(payload) if isinstance(payload, str) else 0
            encoded = str(part.get("content-transfer-encoding", "")).strip().lower() == "base64"
            found.append(
                Attachment(
                    name=name[:_LONGEST_NAME],
                    type=part.get_content_type()[:100],
                    size_bytes=size * 3 // 4 if encoded else size,
                )
            )
    return found
