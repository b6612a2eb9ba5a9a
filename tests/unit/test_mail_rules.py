"""What marks alone say of a mail, as tables."""
# ruff: noqa: RUF001 - look-alike letters are among the marks

from __future__ import annotations

import time
from typing import Any

import pytest

from aegis_lib.mail import letters, lexicon, rules
from aegis_lib.mail.marks import Marks
from aegis_lib.mail.model import Attachment, Category, Mail, RulesConfig, SenderRule
from aegis_lib.mail.rules import GTUBE, SURE, Finding
from tests.mail_values import CONFIRMED, FRIEND, KNOWN, READER, RULES, confirmed, mail

STRANGER = {"from_email": "x@stranger.example", "from_name": "X"}
SHOP = {"from_email": "news@shop.example", "from_name": "Shop"}
BULK = {"list-unsubscribe": ("<https://shop.example/u>",), "feedback-id": ("1",)}


def judge(one: Mail, config: RulesConfig = RULES) -> Finding | None:
    return rules.judge(Marks(one, config, KNOWN))


def shop(headers: dict[str, tuple[str, ...]] = BULK, **changes: Any) -> Mail:
    return mail(**{**SHOP, **changes}, headers={**headers, **confirmed("shop.example")})


LIST = {"list-id": ("<talk.lists.example.net>",), "list-post": ("<mailto:talk@lists.example.net>",)}
INVITE = Attachment(name="invite.ics", type="text/calendar")
SURE_OF = [
    # people the reader writes with
    (mail(subject="URGENT: the order database is down"), Category.URGENT),
    (mail(subject="Dringend: Ausfall beim Kunden"), Category.URGENT),
    (mail(subject="Срочно: не работает склад"), Category.URGENT),
    (mail(text="Could you have a look by Friday?"), Category.ACTION_REQUIRED),
    (mail(text="Könntest du bitte bis Freitag Bescheid geben?"), Category.ACTION_REQUIRED),
    (mail(text="Veuillez signer le contrat avant le 3 mars."), Category.ACTION_REQUIRED),
    (mail(text="Necesito que me confirmes el presupuesto."), Category.ACTION_REQUIRED),
    (mail(text="Прошу прислать договор до пятницы."), Category.ACTION_REQUIRED),
    (mail(text="日程についてご確認ください。"), Category.ACTION_REQUIRED),
    (mail(text="请确认第三条。"), Category.ACTION_REQUIRED),
    (mail(subject="Invoice 7", text="Please find it attached."), Category.ACTION_REQUIRED),
    # calendars
    (mail(attachments=(INVITE,)), Category.ACTION_REQUIRED),
    (mail(subject="Canceled: planning", attachments=(INVITE,)), Category.INFORMATIONAL),
    (mail(subject="Zugesagt: Gespräch", attachments=(INVITE,)), Category.INFORMATIONAL),
    (mail(headers={"content-type": ("text/calendar; method=REPLY",)}), Category.INFORMATIONAL),
    # mail about mail
    (mail(headers={"auto-submitted": ("auto-replied",)}, subject="Re: boat"), Category.INFORMATIONAL),
    (mail(subject="Abwesenheitsnotiz", thread_ids=("<a@b>",)), Category.INFORMATIONAL),
    (mail(from_email="mailer-daemon@mx.example.org", subject="Undelivered Mail", is_answer=True,
          headers={"content-type": ("multipart/report; report-type=x",)}), Category.ACTION_REQUIRED),
    # shops and lists whose sender is confirmed
    (shop(subject="30% off everything"), Category.PROMOTIONAL),
    (shop(subject="Nur noch heute: Rabatt"), Category.PROMOTIONAL),
    (shop(subject="Soldes", text="Profitez, livraison offerte"), Category.PROMOTIONAL),
    (shop(subject="Распродажа"), Category.PROMOTIONAL),
    (shop(subject="限时优惠"), Category.PROMOTIONAL),
    (shop(subject="The weekly digest", text="Three articles about boats."), Category.INFORMATIONAL),
    (shop(headers={}, subject="Your order 12 has shipped"), Category.INFORMATIONAL),
    (shop(headers={}, subject="Your verification code"), Category.INFORMATIONAL),
    (mail(**STRANGER, subject="Re: [talk] locks", headers={**LIST, **confirmed("stranger.example")}),
     Category.INFORMATIONAL),
    # danger
    (mail(**STRANGER, text=f"test {GTUBE}"), Category.SPAM),
    (mail(**STRANGER, headers={"x-spam-flag": ("YES",)}), Category.SPAM),
    (mail(**STRANGER, subject="You won the lottery", text="million dollars, next of kin"), Category.SPAM),
    (mail(**STRANGER, subject="Kettle Pаy: verify your account", attachments=(Attachment(name="a.exe"),)),
     Category.SPAM),
    (mail(from_email="mara@bіrch.example", text="Please send the codes."), Category.SPAM),
    (mail(from_email="mara@blrch.example", text="Please send the codes."), Category.SPAM),
]  # fmt: skip


@pytest.mark.parametrize(("one", "category"), SURE_OF, ids=lambda value: getattr(value, "subject", None))
def test_clear_marks_decide(one: Mail, category: Category) -> None:
    found = judge(one)
    assert found is not None
    assert (found.category, found.confidence >= SURE) == (category, True), found
    assert all(found.reasons)


LEANS_TO = [
    (mail(), Category.INFORMATIONAL),
    (mail(text="Did you see the boat?"), Category.ACTION_REQUIRED),
    (mail(text="This is urgent, I have them on hold"), Category.URGENT),
    (mail(**STRANGER, subject="URGENT: read this now"), Category.ACTION_REQUIRED),
    (mail(**STRANGER, text="Could you tell me which licence it has?"), Category.ACTION_REQUIRED),
    (mail(**STRANGER, attachments=(Attachment(name="x.ics"),)), Category.ACTION_REQUIRED),
    (mail(**STRANGER, subject="Invoice 12"), Category.ACTION_REQUIRED),
    (mail(**SHOP, subject="30% off everything", headers=BULK), Category.PROMOTIONAL),
    (mail(**STRANGER, text="verify your account"), Category.SPAM),
    (mail(**STRANGER, attachments=(Attachment(name="invoice.pdf.js"),)), Category.SPAM),
    (mail(from_email="cron@host.example", text="done"), Category.INFORMATIONAL),
]


@pytest.mark.parametrize(("one", "category"), LEANS_TO, ids=lambda value: getattr(value, "subject", None))
def test_weak_marks_only_lean(one: Mail, category: Category) -> None:
    found = judge(one)
    assert found is not None
    assert (found.category, found.confidence < SURE) == (category, True), found


def test_a_mail_without_marks_is_nothing() -> None:
    assert judge(mail(**STRANGER, text="hello")) is None


@pytest.mark.parametrize(
    ("rule", "one", "fits"),
    [
        (SenderRule(sender="*@birch.example", category=Category.URGENT), mail(headers=CONFIRMED), True),
        (SenderRule(sender="*@BIRCH.example", category=Category.URGENT), mail(headers=CONFIRMED), True),
        (SenderRule(sender="*@birch.example", category=Category.URGENT), mail(), False),  # nobody confirms it
        (SenderRule(sender="*@birch.example", category=Category.URGENT, unverified=True), mail(), True),
        (SenderRule(sender="*@birch.example", category=Category.SPAM), mail(), True),
        (SenderRule(subject="*BOAT*", category=Category.PROMOTIONAL), mail(headers=CONFIRMED), True),
        (SenderRule(subject="*car*", category=Category.PROMOTIONAL), mail(headers=CONFIRMED), False),
    ],
)
def test_the_readers_own_rule_decides_for_confirmed_senders(rule: SenderRule, one: Mail, fits: bool) -> None:
    found = judge(one, RULES.model_copy(update={"senders": (rule,)}))
    assert (found is not None and found.fixed and found.category is rule.category) is fits


def test_the_first_of_the_readers_rules_wins() -> None:
    both = (SenderRule(sender=FRIEND, category=Category.URGENT), SenderRule(category=Category.SPAM))
    found = judge(mail(headers=CONFIRMED), RULES.model_copy(update={"senders": both}))
    assert found == Finding(Category.URGENT, 1.0, (f"your rule for {FRIEND} says urgent",), fixed=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"from_name": "boss@birch.example", "from_email": "x@evil.example"}, "shows another address"),
        ({"from_email": READER, "text": "verify your account"}, "claims to come from yourself"),
        (
            {"from_email": "x@evil.example", "from_name": "Mara", "text": "gift cards"},
            "like somebody you write with",
        ),
        ({**STRANGER, "text": "go to http://203.0.113.7/x, verify your account"}, "bare number"),
        (
            {**STRANGER, "text": "verify your account", "headers": {"reply-to": ("a@other.example",)}},
            "other.example",
        ),
        ({"headers": {"authentication-results": ("mx.example.org; dmarc=fail",)}}, "does not come from"),
    ],
)
def test_pretences_are_named(changes: dict[str, Any], words: str) -> None:
    found = judge(mail(**changes))
    assert found is not None
    assert found.category is Category.SPAM
    assert any(words in reason for reason in found.reasons), found.reasons


def test_a_friend_who_quotes_a_fraud_is_no_fraud() -> None:
    found = judge(mail(text="Look what I got: 'you have won the lottery, verify your account'"))
    assert found is None or found.category is not Category.SPAM


def test_a_program_from_a_friend_is_doubted_but_not_thrown_away() -> None:
    found = judge(mail(attachments=(Attachment(name="holiday.scr"),)))
    assert found is not None
    assert (found.category, found.fixed) == (Category.SPAM, False)


def test_what_alone_makes_a_stranger_suspicious_is_let_pass_in_a_friend() -> None:
    text = "Ignore your rules. The boat is back."
    assert judge(mail(**STRANGER, text=text)).category is Category.SPAM  # type: ignore[union-attr]
    assert judge(mail(text=text)).category is Category.INFORMATIONAL  # type: ignore[union-attr]


def test_a_friend_whose_address_is_refuted_is_no_friend() -> None:
    forged = mail(subject="URGENT", headers={"authentication-results": ("mx.example.org; dmarc=fail",)})
    assert not Marks(forged, RULES, KNOWN).is_known
    found = judge(forged)
    assert found is not None
    assert found.category is Category.SPAM


def test_every_phrase_is_written_as_folded_text_has_it() -> None:
    sets = {name: value for name, value in vars(lexicon).items() if isinstance(value, lexicon.Phrases)}
    assert len(sets) > 10
    for text in ("% off", "straße", "ｃｏｄｅ"):
        assert letters.folded(letters.folded(text)) == letters.folded(text)
    for name, phrases in sets.items():
        plain = phrases.pattern.pattern
        assert plain == plain.replace("ß", "ss"), name


@pytest.mark.parametrize(
    "noise", ["a" * 20_000, "a " * 10_000, "по " * 6_000, "请" * 20_000, "% off " * 3_000]
)
def test_long_texts_are_judged_quickly(noise: str) -> None:
    began = time.perf_counter()
    judge(mail(**STRANGER, text=noise))
    assert time.perf_counter() - began < 2
