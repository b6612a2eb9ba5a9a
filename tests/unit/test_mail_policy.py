"""Who decides: the reader's rules, habits, rules, the classifier, nobody."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from aegis_lib.llm import prompt_files
from aegis_lib.mail import classifier, policy
from aegis_lib.mail.classifier import Model
from aegis_lib.mail.model import Category, Decision, Mail, RulesConfig, SenderRule, Unsure
from aegis_lib.mail.policy import Certainty, TriageAnswer, Why
from tests.mail_values import CONFIRMED, FRIEND, KNOWN, RULES, confirmed, mail

STRANGER = {"from_email": "x@stranger.example", "from_name": "X"}
ROBOT = "no-reply@service.example"


def decide(one: Mail, model: Model | None = None, rules: RulesConfig = RULES) -> Decision | Unsure:
    return policy.decide(one, rules, model or Model(), KNOWN)


def taught(lessons: Iterable[tuple[Mail, Category]], model: Model | None = None) -> Model:
    model = model or Model()
    for one, category in lessons:
        model = classifier.learn(model, one, category, RULES)
    return model


def versed(
    category: Category, sign: str, *, sender: str = "a{0}@stranger.example", other: str = "garden"
) -> Model:
    """A model that is sure that mail with that word is of a category, and mail with another one news."""
    return taught(
        pair
        for n in range(60)
        for pair in (
            (mail(from_email=sender.format(n), subject=sign, text=f"{sign} {n}"), category),
            (
                mail(from_email=f"b{n}@stranger.example", subject=other, text=f"{other} {n}"),
                Category.INFORMATIONAL,
            ),
        )
    )


def test_on_the_first_day_rules_decide_or_nobody_does() -> None:
    found = decide(mail(subject="Urgent: the database is down"))
    assert isinstance(found, Decision)
    assert (found.category, found.decided_by) == (Category.URGENT, "rule")
    unsure = decide(mail(**STRANGER, text="hello"))
    assert isinstance(unsure, Unsure)
    assert (unsure.confidence, unsure.scores) == (0, {})
    assert any("knows nothing yet" in reason for reason in unsure.reasons)


def test_every_decision_has_its_reasons() -> None:
    model = versed(Category.SPAM, "kettle")
    for one in (
        mail(),
        mail(**STRANGER),
        mail(text="Could you?"),
        mail(**STRANGER, subject="kettle", text="kettle 1"),
    ):
        assert all(reason.strip() for reason in decide(one, model).reasons)
        assert decide(one, model).reasons


def test_what_rules_leave_open_the_classifier_decides() -> None:
    found = decide(mail(**STRANGER, subject="kettle", text="kettle 999"), versed(Category.SPAM, "kettle"))
    assert isinstance(found, Decision)
    assert (found.category, found.decided_by) == (Category.SPAM, "classifier")
    assert found.confidence >= policy.SPAM_SURE
    assert found.scores["spam"] > 0.9


def test_a_classifier_that_is_not_sure_enough_decides_nothing() -> None:
    strict = RULES.model_copy(update={"sure_from": 1.0})
    found = decide(
        mail(**STRANGER, subject="kettle", text="kettle 9"), versed(Category.SPAM, "kettle"), strict
    )
    assert isinstance(found, Unsure)
    assert found.leaning is Category.SPAM


def test_what_was_learned_surely_overrides_a_rule() -> None:
    rule_says = mail(text="Could you bring the kettle 5?", subject="kettle")
    assert decide(rule_says).category is Category.ACTION_REQUIRED  # type: ignore[union-attr]
    model = taught([(mail(**STRANGER, text=f"sale {n}"), Category.PROMOTIONAL) for n in range(3)])
    model = taught([(rule_says, Category.INFORMATIONAL)] * 70, model)
    found = decide(rule_says, model)
    assert isinstance(found, Decision)
    assert (found.category, found.decided_by) == (Category.INFORMATIONAL, "classifier")
    assert "the rules would have said action_required" in found.reasons[-1]


def test_nothing_learned_overrides_the_readers_own_rule() -> None:
    own = RULES.model_copy(update={"senders": (SenderRule(sender=FRIEND, category=Category.URGENT),)})
    model = versed(Category.SPAM, "boat", sender=FRIEND)
    found = decide(mail(headers=CONFIRMED), model, own)
    assert isinstance(found, Decision)
    assert (found.category, found.confidence, found.decided_by) == (Category.URGENT, 1.0, "rule")


def test_no_habit_overrides_the_readers_own_rule() -> None:
    headers = confirmed("service.example")
    usual = mail(from_email=ROBOT, headers=headers)
    own = RULES.model_copy(update={"senders": (SenderRule(sender=ROBOT, category=Category.PROMOTIONAL),)})
    found = decide(usual, taught([(usual, Category.INFORMATIONAL)] * 6), own)
    assert isinstance(found, Decision)
    assert (found.category, found.decided_by) == (Category.PROMOTIONAL, "rule")


def test_the_junk_folder_takes_more_sureness_than_other_places() -> None:
    lessons = [
        pair
        for n in range(30)
        for pair in (
            (mail(from_email=f"a{n}@stranger.example", text=f"kettle {n}"), Category.SPAM),
            (mail(from_email=f"b{n}@stranger.example", text=f"garden {n}"), Category.PROMOTIONAL),
        )
    ]
    model, between = Model(), []
    for lesson in lessons:
        model = taught([lesson], model)
        for word in ("kettle", "garden"):
            one = mail(**STRANGER, text=f"{word} 999")
            guess = classifier.predict(model, one, RULES)
            if guess.knows and RULES.sure_from <= guess.confidence < policy.SPAM_SURE:
                between.append((guess.category, isinstance(decide(one, model), Decision)))
    assert (Category.SPAM, False) in between
    assert (Category.PROMOTIONAL, True) in between
    assert (Category.SPAM, True) not in between


def test_nothing_learned_makes_a_program_harmless() -> None:
    forged = mail(subject="boat", from_email="mara@blrch.example")
    found = decide(forged, versed(Category.INFORMATIONAL, "boat", other="kettle"))
    assert isinstance(found, Decision)
    assert found.category is Category.SPAM


def test_people_the_reader_writes_with_never_become_spam_by_learning() -> None:
    found = decide(mail(subject="kettle", text="kettle 7"), versed(Category.SPAM, "kettle", sender=FRIEND))
    assert not isinstance(found, Decision) or found.category is not Category.SPAM


def test_strangers_never_become_urgent_by_learning() -> None:
    model = versed(Category.URGENT, "kettle")
    found = decide(mail(**STRANGER, subject="kettle", text="kettle 7"), model)
    assert isinstance(found, Unsure)
    assert found.leaning is Category.URGENT
    assert policy.by_default(found).category is Category.ACTION_REQUIRED


@pytest.mark.parametrize(
    ("subject", "mails", "decides"),
    [
        ("Backup finished", 1, False),
        ("Backup finished", 2, True),
        ("Action required: renew by Friday", 6, False),  # graver than usual
        ("CRITICAL: outage", 6, False),
    ],
)
def test_a_habit_decides_unless_the_mail_looks_graver(subject: str, mails: int, decides: bool) -> None:
    headers = confirmed("service.example")
    lesson = mail(from_email=ROBOT, subject="Backup finished", text="0 errors", headers=headers)
    found = decide(
        mail(from_email=ROBOT, subject=subject, headers=headers),
        taught([(lesson, Category.PROMOTIONAL)] * mails),
    )
    assert (isinstance(found, Decision) and found.decided_by == "classifier") is decides


# --- nobody decides ---


@pytest.mark.parametrize(
    ("leaning", "becomes"),
    [
        (Category.SPAM, Category.INFORMATIONAL),
        (Category.URGENT, Category.ACTION_REQUIRED),
        (Category.ACTION_REQUIRED, Category.ACTION_REQUIRED),
        (Category.PROMOTIONAL, Category.PROMOTIONAL),
    ],
)
def test_a_guess_never_hides_a_mail_and_never_rings(leaning: Category, becomes: Category) -> None:
    found = policy.by_default(Unsure(leaning=leaning, confidence=0.6, reasons=("x",)))
    assert (found.category, found.decided_by, found.confidence) == (becomes, "default", 0.6)
    assert found.reasons[1:] == ("x",)


# --- a language model was asked ---


def answer(category: Category, certainty: Certainty = Certainty.SURE) -> TriageAnswer:
    return TriageAnswer(category=category, certainty=certainty, why=Why.UNCLEAR)


@pytest.mark.parametrize(
    ("one", "said", "becomes"),
    [
        (mail(**STRANGER), Category.PROMOTIONAL, Category.PROMOTIONAL),
        (mail(**STRANGER), Category.SPAM, Category.SPAM),
        (mail(**STRANGER), Category.URGENT, Category.ACTION_REQUIRED),
        (mail(**STRANGER, headers=confirmed("stranger.example")), Category.URGENT, Category.URGENT),
        (mail(), Category.URGENT, Category.URGENT),
        (mail(), Category.SPAM, Category.INFORMATIONAL),
        (mail(is_answer=True, from_email="new@larch.example", headers=confirmed("larch.example")),
         Category.SPAM, Category.INFORMATIONAL),
        (mail(is_answer=True, from_email="new@larch.example"), Category.SPAM, Category.SPAM),
        (mail(headers={"authentication-results": ("mx.example.org; dmarc=fail",)}), Category.URGENT,
         Category.ACTION_REQUIRED),
    ],
)  # fmt: skip
def test_a_models_answer_holds_as_far_as_the_senders_standing_bears(
    one: Mail, said: Category, becomes: Category
) -> None:
    found = policy.by_model(one, Unsure(), answer(said), RULES, KNOWN)
    assert (found.category, found.decided_by) == (becomes, "model")
    assert found.reasons
    assert found.confidence <= (0.9 if said is becomes else 0.6)


@pytest.mark.parametrize(
    "text",
    [
        '{"category": "urgent", "certainty": "sure", "why": "cannot_wait", "note": "please"}',
        '{"category": "URGENT", "certainty": "sure", "why": "cannot_wait"}',
        '{"category": "delete", "certainty": "sure", "why": "cannot_wait"}',
        '{"category": "urgent", "certainty": 1, "why": "cannot_wait"}',
        '{"category": "urgent", "certainty": "sure", "why": "rm -rf /"}',
        '{"category": ["urgent"], "certainty": "sure", "why": "cannot_wait"}',
        '"urgent"',
    ],
)
def test_a_model_can_say_nothing_but_our_own_words(text: str) -> None:
    with pytest.raises(ValueError, match="TriageAnswer"):
        TriageAnswer.model_validate_json(text, strict=True)


def test_what_is_asked_keeps_strangers_words_apart_and_short() -> None:
    facts, untrusted = policy.asked_of_model(
        mail(**STRANGER, text="sesame " * 2_000, subject="sesame"), RULES, KNOWN
    )
    assert "sesame" not in " ".join(facts.values())
    assert "stranger" not in " ".join(facts.values())
    assert len(untrusted["text"]) == policy.LONGEST_ASKED_CHARACTERS
    assert set(facts) == {"sender_standing", "sent_to", "written_by", "attachments"}


def test_the_prompt_names_every_word_that_may_be_answered_and_asks_for_our_facts() -> None:
    facts, _ = policy.asked_of_model(mail(), RULES, KNOWN)
    prompt = prompt_files.written("mail_triage", facts)
    for word in (*Category, *Certainty, *Why):
        assert f"`{word}`" in prompt
    assert facts["sender_standing"] in prompt
