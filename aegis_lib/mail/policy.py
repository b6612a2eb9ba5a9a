"""What a mail is: rules, then what was learned, then nobody. Pure; reads no mailbox and asks no model.

    the reader's own rules and clear danger     decide, whatever else
    the habit with a program that writes        decides, unless the mail looks graver than usual
    other rules that are sure                   decide, unless the classifier has learned otherwise
    the classifier, as sure as `sure_from`      decides
    otherwise                                   Unsure: a language model may be asked, or nobody

No text of a mail chooses its category by saying so, and neither does a model that has read it: `by_model`
takes an answer as one opinion among others, within what the sender's standing allows.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from aegis_lib.mail import classifier
from aegis_lib.mail.authentication import Trust
from aegis_lib.mail.classifier import Model, Prediction
from aegis_lib.mail.marks import Marks
from aegis_lib.mail.model import Category, Decision, Mail, RulesConfig, Unsure
from aegis_lib.mail.rules import SURE, Finding, judge
from aegis_lib.outcome import Frozen

SPAM_SURE = 0.92
"""The classifier puts nothing into the junk folder that it is less sure of: that is where mail gets lost."""
LONG_HABIT = 0.92
WEAK = 0.6
"""Four mails in a row outweigh a leaning below this: then asking is how this sender always writes."""
_GRAVITY = {
    Category.URGENT: 2,
    Category.ACTION_REQUIRED: 1,
    Category.SPAM: 1,
    Category.INFORMATIONAL: 0,
    Category.PROMOTIONAL: 0,
}
LONGEST_ASKED_CHARACTERS = 6_000


class Certainty(StrEnum):
    """How sure a language model says it is."""

    SURE = "sure"
    LIKELY = "likely"
    GUESS = "guess"


class Why(StrEnum):
    """The reasons that a language model may name."""

    ASKS_READER = "asks_reader"
    """It asks the reader to do, decide or answer something."""
    HAS_DEADLINE = "has_deadline"
    CANNOT_WAIT = "cannot_wait"
    """Harm follows within hours."""
    OWES_PAYMENT = "owes_payment"
    NOTICE = "notice"
    """It tells something and asks for nothing."""
    CONVERSATION = "conversation"
    NEWS = "news"
    ADVERTISING = "advertising"
    UNWANTED = "unwanted"
    """Unasked for, from a stranger, sent to many."""
    DECEPTION = "deception"
    UNCLEAR = "unclear"


class TriageAnswer(Frozen):
    """All that a language model can say about a mail: three words of ours and none of its own."""

    category: Category
    certainty: Certainty
    why: Why


_CERTAINTY = {Certainty.SURE: 0.9, Certainty.LIKELY: 0.7, Certainty.GUESS: 0.5}
_WHY = {
    Why.ASKS_READER: "it asks you for something",
    Why.HAS_DEADLINE: "it has a deadline",
    Why.CANNOT_WAIT: "it cannot wait",
    Why.OWES_PAYMENT: "something is to be paid",
    Why.NOTICE: "it tells something and asks for nothing",
    Why.CONVERSATION: "it is part of a conversation",
    Why.NEWS: "it brings news",
    Why.ADVERTISING: "it advertises",
    Why.UNWANTED: "nobody asked for it",
    Why.DECEPTION: "it tries to deceive",
    Why.UNCLEAR: "it is not clear what it wants",
}


def decide(mail: Mail, rules: RulesConfig, model: Model, known: Collection[str] = ()) -> Decision | Unsure:
    """What a mail is, or that neither rules nor classifier can tell.

    Args:
        mail: what a stranger wrote.
        rules: the section `email.rules`.
        model: what was learned; `Model()` on the first day.
        known: addresses that the reader has written to, in lower case.
    """
    marks = Marks(mail, rules, known)
    finding = judge(marks)
    if finding is not None and finding.fixed:
        return _by_rule(finding)
    habit = classifier.habit(model, mail, rules)
    usual = habit.knows and habit.confidence >= rules.sure_from and not _graver(finding, habit)
    if usual and _allowed(habit.category, marks):
        return _learned(habit, finding)
    guess = classifier.predict(model, mail, rules)
    sure = guess.knows and guess.confidence >= _needed(guess.category, rules)
    sure = sure and _allowed(guess.category, marks)
    if finding is not None and finding.confidence >= SURE:
        if sure and guess.category is not finding.category and guess.confidence > finding.confidence:
            return _learned(guess, finding)
        return _by_rule(finding)
    if sure:
        return _learned(guess, finding)
    return _unsure(finding, guess)


def by_model(
    mail: Mail, unsure: Unsure, answer: TriageAnswer, rules: RulesConfig, known: Collection[str] = ()
) -> Decision:
    """What a mail is after a language model was asked.

    It read a stranger's words, so it may have been talked into its answer. "Urgent" holds for senders who are
    known or confirmed and otherwise means something to do; "spam" does not hold for people whom the reader
    has written to; a mail that speaks to machines gets nothing better than the rules' own leaning.
    """
    marks = Marks(mail, rules, known)
    confidence = _CERTAINTY[answer.certainty]
    said = f"a language model takes it for {answer.category}: {_WHY[answer.why]}"
    reasons: tuple[str, ...] = (said, *unsure.reasons)
    category = answer.category
    if marks.speaks_to_machines and category is not Category.SPAM:
        category, confidence = by_default(unsure).category, min(unsure.confidence, 0.5)
        reasons = ("it speaks to the program that sorts mail, so what a model says of it does not count",
                   *reasons)  # fmt: skip
    elif not _allowed(category, marks):
        why = "a stranger's mail" if category is Category.URGENT else f"mail of {mail.from_email}"
        category = Category.ACTION_REQUIRED if category is Category.URGENT else Category.INFORMATIONAL
        confidence = min(confidence, 0.6)
        reasons = (f"a model alone does not make {why} {answer.category}", *reasons)
    return Decision(
        category=category, confidence=confidence, decided_by="model", reasons=reasons, scores=unsure.scores
    )


def by_default(unsure: Unsure) -> Decision:
    """What a mail is treated as when nobody can tell: never as spam, never as urgent."""
    category = {Category.SPAM: Category.INFORMATIONAL, Category.URGENT: Category.ACTION_REQUIRED}.get(
        unsure.leaning, unsure.leaning
    )
    told = "nothing decides; this is the best guess"
    if category is not unsure.leaning:
        told = f"it may be {unsure.leaning}, but nothing says so surely"
    return Decision(
        category=category,
        confidence=unsure.confidence,
        decided_by="default",
        reasons=(told, *unsure.reasons),
        scores=unsure.scores,
    )


def asked_of_model(
    mail: Mail, rules: RulesConfig, known: Collection[str] = ()
) -> tuple[dict[str, str], dict[str, str]]:
    """Facts of our own and untrusted texts for the prompt `mail_triage`."""
    marks = Marks(mail, rules, known)
    standing = "known to the reader" if marks.is_known else "not known to the reader"
    trust = {
        Trust.CONFIRMED: "confirmed by the receiving server",
        Trust.UNKNOWN: "not confirmed by anybody",
        Trust.REFUTED: "refuted by the receiving server: somebody else wrote it",
    }[marks.sender.trust]
    facts = {
        "sender_standing": f"{standing}; the address is {trust}",
        "sent_to": "many"
        if marks.bulk
        else "the reader and few others"
        if marks.is_to_reader
        else "somebody else",
        "written_by": "a program" if marks.is_automatic else "a person, as far as can be seen",
        "attachments": str(len(mail.attachments)),
    }
    untrusted = {
        "sender": f"{mail.from_name[:200]} <{mail.from_email[:200]}>",
        "subject": mail.subject[:500],
        "text": mail.text[:LONGEST_ASKED_CHARACTERS],
    }
    return facts, untrusted


def _graver(finding: Finding | None, habit: Prediction) -> bool:
    """Whether the rules see more in a mail than the reader's habit: a habit must not silence an alarm."""
    if finding is None or _GRAVITY[finding.category] <= _GRAVITY[habit.category]:
        return False
    leans = finding.category is Category.ACTION_REQUIRED and finding.confidence < WEAK
    return not (leans and habit.confidence > LONG_HABIT)


def _needed(category: Category, rules: RulesConfig) -> float:
    return max(rules.sure_from, SPAM_SURE) if category is Category.SPAM else rules.sure_from


def _allowed(category: Category, marks: Marks) -> bool:
    """Whether the sender's standing bears what was guessed: it rings a bell, or it hides a mail."""
    if category is Category.URGENT:
        return marks.is_known or marks.sender.trust is Trust.CONFIRMED
    if category is Category.SPAM:
        return not marks.is_known
    return True


def _by_rule(finding: Finding) -> Decision:
    return Decision(
        category=finding.category, confidence=finding.confidence, decided_by="rule", reasons=finding.reasons
    )


def _learned(guess: Prediction, finding: Finding | None) -> Decision:
    reasons = guess.reasons
    if finding is not None and finding.category is not guess.category:
        reasons = (*reasons, f"the rules would have said {finding.category}: {'; '.join(finding.reasons)}")
    return Decision(
        category=guess.category,
        confidence=guess.confidence,
        decided_by="classifier",
        reasons=reasons,
        scores=_told(guess),
    )


def _unsure(finding: Finding | None, guess: Prediction) -> Unsure:
    """The surer of both as the leaning; both as reasons."""
    reasons = (finding.reasons if finding else ("no rule fits",)) + guess.reasons
    if guess.knows and (finding is None or guess.confidence > finding.confidence):
        leaning, confidence = guess.category, guess.confidence
    elif finding is not None:
        leaning, confidence = finding.category, finding.confidence
    else:
        leaning, confidence = Category.INFORMATIONAL, 0.0
    return Unsure(leaning=leaning, confidence=confidence, reasons=reasons, scores=_told(guess))


def _told(guess: Prediction) -> dict[str, float]:
    return {category.value: round(score, 4) for category, score in guess.scores.items()}
