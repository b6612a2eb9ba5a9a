"""What a statistic sees of a mail: words and signs, each as a number. Pure; knows no category.

The hashing trick (Weinberger et al. 2009): a sign's number is its CRC-32 in the lowest bits, so that what is
learned has one size for ever, whatever strangers write. Two signs may share a number; with as many numbers as
here that costs little (docs/mail-decisions.md has the measurement).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

from aegis_lib.mail import letters
from aegis_lib.mail.authentication import Trust, domain_of
from aegis_lib.mail.model import Mail

BITS = 15
SIZE = 1 << BITS
READ_CHARACTERS = 6_000
"""How much of the text is looked at: a mail is what its beginning says, and padding comes after it."""

_WORD = re.compile(r"[^\W_]{2,20}|[$€£¥%!]{1,3}")
_HOST = re.compile(r"https?://([a-z0-9._-]{3,100})", re.IGNORECASE)
_MOST_HOSTS = 20
_LONGEST_VALUE = 200
_PRESENT = (
    "list-id", "list-post", "list-unsubscribe", "list-unsubscribe-post", "precedence", "auto-submitted",
    "feedback-id", "in-reply-to", "references", "reply-to", "x-priority", "importance", "sender",
    "return-path", "message-id", "date", "mime-version", "dkim-signature", "x-auto-response-suppress",
)  # fmt: skip
_WORDS_OF = ("x-mailer", "user-agent", "list-id", "precedence", "auto-submitted", "content-type", "reply-to",
             "return-path", "importance", "x-priority")  # fmt: skip


def features(mail: Mail, trust: Trust) -> dict[int, str]:
    """Number -> sign, as many as the mail has, each once. A sign is `kind:word`; see `readable`."""
    return {zlib.crc32(sign.encode("utf-8", "replace")) & (SIZE - 1): sign for sign in _signs(mail, trust)}


def readable(sign: str) -> str:
    """A sign in words for people."""
    kind, _, word = sign.partition(":")
    return _READABLE.get(kind, "{0}: {1}").format(kind, word)


_READABLE = {
    "word": "the word '{1}'",
    "subject": "'{1}' in the subject",
    "name": "'{1}' in the sender's name",
    "sender": "the sender {1}",
    "domain": "the sender's domain {1}",
    "link": "a link to {1}",
    "has": "the header {1}",
    "attached": "an attachment {1}",
    "trust": "a sender whose address is {1}",
    "sign": "{1}",
}


def _signs(mail: Mail, trust: Trust) -> Iterator[str]:
    yield "always:"
    yield f"trust:{trust}"
    yield from (f"subject:{word}" for word in _words(letters.folded(mail.subject)))
    yield from (f"name:{word}" for word in _words(letters.folded(mail.from_name)))
    yield f"sender:{mail.from_email.lower()}"
    domain = domain_of(mail.from_email)
    while domain.count("."):
        yield f"domain:{domain}"
        domain = domain.partition(".")[2]
    yield f"domain:.{domain}"
    yield from (f"has:{name}" for name in _PRESENT if name in mail.headers)
    for name in _WORDS_OF:
        yield from (f"{name}:{word}" for word in _words(mail.header(name)[:_LONGEST_VALUE].casefold()))
    for attachment in mail.attachments[:20]:
        yield f"attached:{attachment.type.lower()}"
        yield f"attached:.{attachment.name.rpartition('.')[2][:10].lower()}"
    text = letters.folded(mail.text[:READ_CHARACTERS])
    yield from (f"word:{word}" for word in _words(text))
    yield from (f"link:{host}" for host in _HOST.findall(text)[:_MOST_HOSTS])
    yield from (f"sign:{sign}" for sign in _forms(mail, text))


def _words(text: str) -> Iterator[str]:
    """Words; of writing without spaces, such as Chinese, every two letters that follow each other."""
    for word in _WORD.findall(text):
        if word[0] >= "\u2e80" or word[-1] >= "\u2e80":
            yield from (word[place : place + 2] for place in range(len(word) - 1))
        else:
            yield word


def _forms(mail: Mail, text: str) -> Iterator[str]:
    if mail.from_html:
        yield "HTML without a plain text"
    if not text:
        yield "no text"
    if mail.is_answer:
        yield "an answer to a mail of yours"
    if mail.thread_ids:
        yield "part of a conversation"
    if mail.subject.isupper():
        yield "a subject in capitals"
    if "?" in text:
        yield "a question"
    if letters.mixed_words(mail.subject + " " + mail.from_name):
        yield "words that mix alphabets"
    yield f"{len(mail.addressed_to) if len(mail.addressed_to) < 3 else 'many'} named recipients"
    yield f"a text of {_size(len(mail.text))}"
    yield from mail.defects


def _size(characters: int) -> str:
    for most, words in ((200, "a few words"), (1_000, "some lines"), (4_000, "a page")):
        if characters <= most:
            return words
    return "many pages"
