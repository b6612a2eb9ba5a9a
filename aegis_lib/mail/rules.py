"""What a mail is by its marks alone: headers, senders, dates, words. Pure; nothing of it is learned.

What a stranger can write is a claim. List headers, "urgent" and a friend's address move a mail only as far as
its sender is known or confirmed; a claim that would make it worse for the writer is believed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from aegis_lib.mail import letters, lexicon
from aegis_lib.mail.authentication import Trust, domain_of
from aegis_lib.mail.marks import Marks
from aegis_lib.mail.model import Category, Mail

SURE = 0.85
"""From this confidence on a rule decides; below it leans."""
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
"""SpamAssassin's test string: whoever sends it wants to see the junk folder."""
_SPAM_POINTS = 4
_DANGEROUS = frozenset(
    {"apk", "app", "bat", "cab", "chm", "cmd", "com", "cpl", "exe", "hta", "img", "iso", "jar", "js", "jse",
     "lnk", "msc", "msi", "msp", "pif", "ps1", "reg", "scr", "sct", "vb", "vbe", "vbs", "vhd", "wsf", "wsh"}
)  # fmt: skip
_ADDRESS = re.compile(r"[\w.+-]{1,64}@([\w-]{1,63}(?:\.[\w-]{1,63}){1,8})")
_BARE_HOST = re.compile(r"https?://(?:\d{1,3}(?:\.\d{1,3}){3}|[^\s/<>\"]{0,80}xn--)")


@dataclass(frozen=True)
class Finding:
    """What a rule makes of a mail, how sure (0 to 1) and why."""

    category: Category
    confidence: float
    reasons: tuple[str, ...]
    fixed: bool = False
    """The reader's own rule, or a danger: nothing that was learned overrides it."""


def judge(marks: Marks) -> Finding | None:
    """The first finding that is sure; else the surest; None where no rule has anything to say."""
    leaning: Finding | None = None
    for rule in _RULES:
        found = rule(marks)
        if found is None:
            continue
        if found.confidence >= SURE:
            return found
        if leaning is None or found.confidence > leaning.confidence:
            leaning = found
    return leaning


# --- the reader's own ---


def by_reader(marks: Marks) -> Finding | None:
    """The first rule of aegis.yaml that fits. An unconfirmed address fits only where that is said."""
    for rule in marks.rules.senders:
        fits = fnmatchcase(marks.mail.from_email.lower(), rule.sender.lower()) and fnmatchcase(
            marks.mail.subject.casefold(), rule.subject.casefold()
        )
        trusted = marks.sender.trust is Trust.CONFIRMED or rule.unverified or rule.category is Category.SPAM
        if fits and trusted:
            said = f"your rule for {rule.sender}" + (f", {rule.subject!r}" if rule.subject != "*" else "")
            return Finding(rule.category, 1.0, (f"{said} says {rule.category}",), fixed=True)
    return None


# --- danger ---


def fraud(marks: Marks) -> Finding | None:
    """Points for each sign of fraud or spam; enough of them decide, some lean."""
    if GTUBE in marks.mail.text:
        return Finding(Category.SPAM, 1.0, ("it holds the test string for spam filters",), fixed=True)
    points, reasons = 0, []
    for worth, reason in _dangers(marks):
        points += worth
        reasons.append(reason)
    if marks.is_known:
        points -= 1
    if points >= _SPAM_POINTS:
        return Finding(Category.SPAM, min(0.98, 0.82 + points * 0.02), tuple(reasons), fixed=True)
    if points >= 2:
        return Finding(Category.SPAM, 0.4 + points * 0.1, tuple(reasons))
    return None


def _dangers(marks: Marks) -> list[tuple[int, str]]:
    mail, found = marks.mail, []
    if _server_says_spam(mail):
        found.append((4, "a server on its way marked it as spam"))
    if marks.sender.trust is Trust.REFUTED:
        found.append((3, marks.sender.why))
    if marks.fraud_phrases:
        confirmed = marks.is_known or marks.sender.trust is Trust.CONFIRMED
        count = len(marks.fraud_phrases)
        shown = ", ".join(repr(phrase) for phrase in marks.fraud_phrases[:3])
        worth = min(count - 1, 2) if confirmed else min(count + 1, 4)
        found.append((worth, f"it uses words of fraud and spam: {shown}"))
    if marks.speaks_to_machines:
        found.append((2, f"it speaks to the program that sorts mail: {marks.speaks_to_machines[0]!r}"))
    mixed = letters.mixed_words(f"{mail.subject} {mail.from_name} {domain_of(mail.from_email)}")
    if mixed:
        found.append((2, f"it writes {letters.folded(mixed[0])!r} with letters of another alphabet"))
    found += _pretences(marks)
    for attachment in mail.attachments:
        ending = attachment.name.rpartition(".")[2].strip().lower()
        if ending in _DANGEROUS:
            found.append((3, f"it brings a program (.{ending})"))
            break
    if _BARE_HOST.search(mail.text[: lexicon.READ_CHARACTERS]):
        found.append((1, "it links to a bare number or to a disguised name"))
    return found


def _server_says_spam(mail: Mail) -> bool:
    """What speaks against its own mail is believed from anybody."""
    flagged = mail.header("x-spam-flag").strip().lower() == "yes"
    return flagged or mail.header("x-spam-status").strip().lower().startswith("yes")


def _pretences(marks: Marks) -> list[tuple[int, str]]:
    """Ways of passing for somebody else."""
    mail, found = marks.mail, []
    domain = domain_of(mail.from_email)
    named = _ADDRESS.search(mail.from_name)
    if named and domain and domain_of(named[1]) != domain:
        found.append((2, "the sender's name shows another address than the one it comes from"))
    familiar = marks.familiar
    other = familiar.skeletons.get(letters.skeleton(domain)) if domain not in familiar.domains else None
    if other:
        found.append((4, f"{domain} is written to look like {other}"))
    called = letters.folded(mail.from_name).split(" ")[0]
    if called in familiar.names and not marks.is_known:
        found.append((1, f"it calls itself {called!r} like somebody you write with, from another address"))
    if marks.is_own and marks.rules.trusted_servers and marks.sender.trust is not Trust.CONFIRMED:
        found.append((2, "it claims to come from yourself, and no server confirms that"))
    answer_to = _ADDRESS.search(mail.header("reply-to"))
    if answer_to and domain and not marks.bulk and not marks.is_known:
        elsewhere = domain_of(answer_to[1])
        if elsewhere != domain and not (elsewhere.endswith("." + domain) or domain.endswith("." + elsewhere)):
            found.append((1, f"answers would go elsewhere, to {elsewhere}"))
    return found


# --- what programs write ---


def bounces_and_absences(marks: Marks) -> Finding | None:
    """Mail about mail: RFC 3464 reports and RFC 3834 answers."""
    mail = marks.mail
    name = mail.from_email.partition("@")[0].lower()
    report = "multipart/report" in mail.header("content-type").lower()
    if report or (name in {"mailer-daemon", "postmaster"} and marks.subject in lexicon.BOUNCE):
        if mail.is_answer:
            return Finding(Category.ACTION_REQUIRED, 0.9, ("a mail that you sent did not arrive",))
        return Finding(Category.INFORMATIONAL, 0.7, ("a report about a mail that was not delivered",))
    said = mail.header("auto-submitted").strip().lower()
    if said.startswith("auto-replied") or (
        marks.subject in lexicon.ABSENCE
        and (said or mail.header("x-auto-response-suppress") or mail.thread_ids)
    ):
        return Finding(Category.INFORMATIONAL, 0.92, ("an automatic answer",))
    return None


def invitations(marks: Marks) -> Finding | None:
    """Calendar entries, RFC 5545 and 5546: an invitation wants an answer, a reply or cancellation none."""
    mail = marks.mail
    content = mail.header("content-type").lower()
    calendars = [
        one for one in mail.attachments
        if one.type.lower() in {"text/calendar", "application/ics"} or one.name.lower().endswith(".ics")
    ]  # fmt: skip
    if not calendars and "text/calendar" not in content:
        return None
    if marks.bulk and marks.sender.trust is not Trust.CONFIRMED and not marks.is_known:
        return None
    if "method=reply" in content or "method=cancel" in content or marks.subject in lexicon.CANCELLED:
        return Finding(Category.INFORMATIONAL, 0.88, ("a calendar entry that changes by itself",))
    if marks.is_known:
        return Finding(Category.ACTION_REQUIRED, 0.9, ("an invitation that waits for your answer",))
    return Finding(Category.ACTION_REQUIRED, 0.6, ("an invitation from somebody you do not know",))


def codes(marks: Marks) -> Finding | None:
    """One-time codes: of use for minutes, of none afterwards."""
    if marks.is_known or marks.subject not in lexicon.CODE or len(marks.mail.text) > 3_000:
        return None
    return Finding(Category.INFORMATIONAL, 0.9 if marks.is_trusted else 0.6, ("a code for signing in",))


# --- money, news, advertising ---


def payments(marks: Marks) -> Finding | None:
    """An invoice is to be paid; a receipt has been."""
    paid = marks.subject in lexicon.PAID or (marks.text[:600] in lexicon.PAID and marks.is_automatic)
    owed = lexicon.INVOICE.found(marks.subject)
    due = lexicon.INVOICE.found(marks.text[:1_500]) and marks.text[:1_500] in lexicon.DEADLINE
    if (owed or due) and not paid:
        if marks.text in lexicon.PROMOTION and marks.bulk and not owed:
            return None
        what = f"it asks for a payment ({owed[0]!r})" if owed else "it asks for a payment with a date"
        if marks.is_known:
            return Finding(Category.ACTION_REQUIRED, 0.88, (what, _standing(marks)))
        return Finding(Category.ACTION_REQUIRED, 0.75 if marks.is_trusted else 0.5, (what, _standing(marks)))
    if paid and not owed and marks.is_automatic and lexicon.PROMOTION.found(marks.subject) == ():
        return Finding(
            Category.INFORMATIONAL, 0.88 if marks.is_trusted else 0.6, ("a receipt or a delivery",)
        )
    return None


def discussions(marks: Marks) -> Finding | None:
    """A mailing list where people write: RFC 2919 and 2369, with an address to post to."""
    mail = marks.mail
    posting = mail.header("list-post").strip().lower()
    if not mail.header("list-id") or not posting or posting.startswith("no"):
        return None
    reason = f"it came through the mailing list {mail.header('list-id')[:80]}"
    if marks.text in lexicon.PROMOTION and not mail.thread_ids:
        return None
    return Finding(Category.INFORMATIONAL, 0.88 if marks.is_trusted else 0.7, (reason,))


def bulk(marks: Marks) -> Finding | None:
    """Mail to many: advertising by its words, news by theirs."""
    if not marks.bulk:
        return None
    offers = lexicon.PROMOTION.found(marks.text)
    in_subject = lexicon.PROMOTION.found(marks.subject)
    if len(offers) >= 2 or in_subject:
        shown = ", ".join(repr(phrase) for phrase in (in_subject + offers)[:3])
        reasons = (*marks.bulk, f"it advertises: {shown}")
        return Finding(Category.PROMOTIONAL, 0.9 if marks.is_trusted else 0.6, reasons)
    if marks.subject in lexicon.NEWS or marks.text[:1_000] in lexicon.NEWS:
        reasons = (*marks.bulk, "it brings news")
        return Finding(Category.INFORMATIONAL, 0.86 if marks.is_trusted and not offers else 0.6, reasons)
    return Finding(Category.PROMOTIONAL if offers else Category.INFORMATIONAL, 0.55, marks.bulk)


# --- people ---


def urgency(marks: Marks) -> Finding | None:
    """Somebody known says that it cannot wait. Strangers may say so too; then it is only a guess."""
    if marks.bulk or marks.text in lexicon.PROMOTION:
        return None
    words = lexicon.URGENT.found(marks.subject) or lexicon.URGENT.found(marks.text[:500])
    high = marks.mail.header("importance").strip().lower() == "high" or marks.mail.header(
        "x-priority"
    ).strip().startswith("1")
    if not words and not high:
        return None
    reason = f"it says {words[0]!r}" if words else "it is marked as important"
    if marks.speaks_to_machines:
        return None
    if words and marks.is_known:
        strong = bool(lexicon.URGENT.found(marks.subject)) or high
        return Finding(Category.URGENT, 0.9 if strong else 0.75, (reason, _standing(marks)))
    if words and marks.is_trusted:
        return Finding(Category.URGENT, 0.65, (reason, _standing(marks)))
    if words:
        reasons = (reason, "a stranger's 'urgent' counts as something to look at")
        return Finding(Category.ACTION_REQUIRED, 0.45, reasons)
    return None


def requests(marks: Marks) -> Finding | None:
    """Somebody asks the reader for something."""
    if marks.bulk or not marks.is_to_reader:
        return None
    asks = lexicon.ASKS.found(marks.text)
    dates = lexicon.DEADLINE.found(marks.text)
    question = "?" in marks.text or "？" in marks.text  # noqa: RUF001 - the full-width question mark
    if not (asks or (question and not marks.is_automatic)):
        return None
    reasons = [f"it asks for something ({asks[0]!r})" if asks else "it asks a question"]
    if dates:
        reasons.append(f"it names a time ({dates[0]!r})")
    if marks.is_known:
        reasons.append(_standing(marks))
        return Finding(Category.ACTION_REQUIRED, 0.88 if asks else 0.72, tuple(reasons))
    confirmed = marks.sender.trust is Trust.CONFIRMED
    confidence = 0.45 + 0.1 * bool(asks) + 0.1 * bool(dates) + 0.1 * confirmed
    return Finding(Category.ACTION_REQUIRED, confidence, tuple(reasons))


def notices(marks: Marks) -> Finding | None:
    """What a program says and nobody asked for."""
    if not marks.is_automatic or marks.bulk:
        return None
    return Finding(Category.INFORMATIONAL, 0.6 if marks.is_trusted else 0.5, ("an automatic notice",))


def letters_of_people(marks: Marks) -> Finding | None:
    """A known person writes and asks nothing."""
    if marks.is_known and not marks.is_automatic and marks.mail.text:
        return Finding(Category.INFORMATIONAL, 0.6, (_standing(marks), "it asks for nothing"))
    return None


def _standing(marks: Marks) -> str:
    if marks.mail.is_answer and marks.is_known:
        return "it answers a mail of yours"
    if marks.is_known:
        return f"you have written with {marks.mail.from_email}"
    return marks.sender.why


_RULES: tuple[Callable[[Marks], Finding | None], ...] = (
    by_reader,
    fraud,
    bounces_and_absences,
    invitations,
    codes,
    payments,
    urgency,
    discussions,
    bulk,
    requests,
    notices,
    letters_of_people,
)
