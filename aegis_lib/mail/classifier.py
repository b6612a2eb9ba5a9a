"""Learns from the reader which mail is what. Pure: no I/O, no clock, no chance. It guesses and must not act.

It ships knowing nothing and then says nothing. Three things are learned from each mail that the reader has
sorted, and together they stay below a fixed size:

* weights of words and signs: multinomial logistic regression with AdaGrad (Duchi, Hazan, Singer 2011), one
  step a mail, only where the guess was wrong or nearly so (Goodman & Yih 2006; Sculley & Wachman 2007);
* a record of how often it was right when it was that sure, taken before each lesson: the confidence that is
  told is a share of mails, not a number of the formula;
* what became of the last mails of each program that writes: people write of many things.

What was compared and measured is in docs/mail-decisions.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import struct
import zlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aegis_lib.errors import PermanentFailure
from aegis_lib.mail import authentication
from aegis_lib.mail.authentication import Trust
from aegis_lib.mail.features import BITS, SIZE, features, readable
from aegis_lib.mail.marks import Marks
from aegis_lib.mail.model import Category, Mail, RulesConfig

VERSION = 1
"""Of the state: changes with the signs and how they are numbered. A model of another version starts anew."""
LEAST_MAILS = 10
LEAST_KINDS = 2
"""Fewer mails, or all of one kind, teach nothing."""
_RATE = 10.0
_MARGIN = 0.05
"""A mail that was guessed this closely teaches nothing; stepping anyway makes the model surer than it is."""
_CLASSES = (0.6, 0.9)
"""Bounds of the classes of sureness in which the record is kept."""
_RECORD = 200.0
"""When a class has seen so many mails, the older half counts half: what the reader wants changes."""
_MOST_SENDERS = 2_000
_HABIT = 6
"""So many last mails of a sender are remembered."""
_LETTERS = {category: category.value[0] for category in Category}
_CATEGORIES = {letter: category for category, letter in _LETTERS.items()}
_DAMAGE = (KeyError, ValueError, TypeError, AttributeError, struct.error, zlib.error, binascii.Error)
_Weights = Mapping[Category, "array[float]"]


@dataclass(frozen=True)
class Model:
    """What has been learned. Made by `learn` and `restored` only; `Model()` knows nothing."""

    weights: _Weights = field(default_factory=dict)
    steps: _Weights = field(default_factory=dict)
    """For each weight the sum of the squares of its steps' errors, plus one."""
    taught: Mapping[Category, int] = field(default_factory=dict)
    record: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Category and class of sureness -> mails seen, mails right."""
    senders: Mapping[str, str] = field(default_factory=dict)

    @property
    def lessons(self) -> int:
        """How many mails it was taught."""
        return sum(self.taught.values())

    @property
    def knows(self) -> str:
        """What it knows, as a sentence for people."""
        if not self.lessons:
            return "The classifier knows nothing yet: no mail has been sorted by hand."
        each = ", ".join(f"{number} {category}" for category, number in sorted(self.taught.items()))
        few = "" if self._speaks else " That is too little to judge by."
        return f"The classifier has learned from {self.lessons} mails ({each}).{few}"

    @property
    def _speaks(self) -> bool:
        return self.lessons >= LEAST_MAILS and len(self.taught) >= LEAST_KINDS

    def state(self) -> dict[str, Any]:
        """The model as JSON has it, below 1 MB. Numbers are kept to three digits."""
        return {
            "version": VERSION,
            "bits": BITS,
            "weights": {category.value: _packed(values) for category, values in self.weights.items()},
            "steps": {category.value: _packed(values) for category, values in self.steps.items()},
            "taught": {category.value: number for category, number in self.taught.items()},
            "record": {key: list(numbers) for key, numbers in self.record.items()},
            "senders": dict(self.senders),
        }


@dataclass(frozen=True)
class Prediction:
    """A guess. `confidence` (0 to 1) is a share of earlier mails, `scores` are the formula's numbers.

    `knows` is False where it has seen too little to guess; then nothing else means anything.
    """

    knows: bool = False
    category: Category = Category.INFORMATIONAL
    confidence: float = 0.0
    scores: Mapping[Category, float] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()


def restored(state: Mapping[str, Any] | None) -> Model:
    """The model that a state was made of; an empty one for no state, or one of another version.

    Raises:
        PermanentFailure: the state is damaged.
    """
    if not state or state.get("version") != VERSION or state.get("bits") != BITS:
        return Model()
    try:
        model = Model(
            weights={Category(name): _unpacked(text) for name, text in state["weights"].items()},
            steps={Category(name): _unpacked(text) for name, text in state["steps"].items()},
            taught={Category(name): int(number) for name, number in state["taught"].items()},
            record={str(key): (float(seen), float(right)) for key, (seen, right) in state["record"].items()},
            senders={str(key): str(habit) for key, habit in state["senders"].items()},
        )
        if not set(model.weights) == set(model.steps) == set(model.taught):
            raise ValueError("its parts are about different categories")
        if not set("".join(model.senders.values())) <= set(_CATEGORIES):
            raise ValueError("a sender's mails are of no known category")
    except _DAMAGE as error:
        raise PermanentFailure(
            f"What the mail classifier has learned cannot be read: {type(error).__name__}: {error}. "
            "Fix: remove its stored state; it starts anew."
        ) from error
    return model


def _packed(values: Sequence[float]) -> str:
    """Half floats: what is lost is less than one lesson."""
    small = struct.pack(f"<{SIZE}e", *(max(-60_000.0, min(60_000.0, value)) for value in values))
    return base64.b64encode(zlib.compress(small, 6)).decode("ascii")


def _unpacked(text: str) -> array[float]:
    opened = zlib.decompressobj()
    small = opened.decompress(base64.b64decode(text, validate=True), SIZE * 2 + 1)
    values = array("f", struct.unpack(f"<{SIZE}e", small))
    if not all(map(math.isfinite, values)):
        raise ValueError("a weight is no number")
    return values


# --- guessing ---


def predict(model: Model, mail: Mail, rules: RulesConfig) -> Prediction:
    """What the mail probably is, judging by what the reader did with others."""
    if not model._speaks:
        return Prediction(reasons=(model.knows,))
    found = features(mail, authentication.sender(mail, rules.trusted_servers).trust)
    scores = _scores(model, found)
    best = max(scores, key=lambda category: scores[category])
    seen, right = model.record.get(_class(best, scores[best]), (0.0, 0.0))
    confidence = min(_share(seen, right), scores[best])
    return Prediction(
        knows=True,
        category=best,
        confidence=confidence,
        scores=scores,
        reasons=(_so_far(best, seen, right), *_because(model, found, best, scores)),
    )


def habit(model: Model, mail: Mail, rules: RulesConfig) -> Prediction:
    """What the reader did with the last mails of this kind from this sender, if he did the same with all.

    Knows nothing of people, and nothing where the address is refuted. Two in a row are a habit.
    """
    key = _sender_key(mail, rules)
    last = model.senders.get(key, "") if key else ""
    if len(last) < 2 or len(set(last[-3:])) > 1:
        return Prediction()
    category = _CATEGORIES[last[-1]]
    same = len(last) - len(last.rstrip(last[-1]))
    return Prediction(
        knows=True,
        category=category,
        confidence=(same + 2) / (same + 2.5),
        scores={category: 1.0},
        reasons=(f"you put the last {same} mails of {mail.from_email} into {category}",),
    )


def _scores(model: Model, found: Mapping[int, str]) -> dict[Category, float]:
    """The softmax over the categories that were ever taught; every mail has length one."""
    places, length = list(found), 1 / math.sqrt(len(found))
    sums = {c: sum(map(w.__getitem__, places)) * length for c, w in model.weights.items()}
    most = max(sums.values())
    powers = {category: math.exp(value - most) for category, value in sums.items()}
    total = sum(powers.values())
    return {category: power / total for category, power in powers.items()}


def _share(seen: float, right: float) -> float:
    """The share that was right, one right and two wrong added: sure needs a dozen mails to stand on."""
    return (right + 1) / (seen + 3)


def _class(category: Category, score: float) -> str:
    return f"{category.value}/{sum(score >= bound for bound in _CLASSES)}"


def _so_far(category: Category, seen: float, right: float) -> str:
    if not seen:
        return f"the classifier takes it for {category}, for the first time so surely"
    return (
        f"the classifier takes it for {category}; when it was that sure before, it was right with "
        f"{right:.0f} of {seen:.0f} mails"
    )


def _because(
    model: Model, found: Mapping[int, str], best: Category, scores: Mapping[Category, float]
) -> tuple[str, ...]:
    """The three signs that speak most for the best category against the second best."""
    others = sorted((category for category in scores if category is not best), key=lambda c: -scores[c])
    if not others:
        return ()
    ours, theirs = model.weights[best], model.weights[others[0]]
    ranked = sorted(
        ((ours[place] - theirs[place], sign) for place, sign in found.items() if sign != "always:"),
        reverse=True,
    )
    strongest = [readable(sign) for weight, sign in ranked[:3] if weight > 0]
    return (f"it goes by {', '.join(strongest)}",) if strongest else ()


# --- learning ---


def learn(model: Model, mail: Mail, category: Category, rules: RulesConfig) -> Model:
    """The model after the reader has said what this mail is.

    Give it also mails that stayed where they had been put, not only those moved back: learning from mistakes
    alone, it would think that it makes nothing else. The same mail must not be given twice.
    """
    trust = authentication.sender(mail, rules.trusted_servers).trust
    found = features(mail, trust)
    weights, steps = dict(model.weights), dict(model.steps)
    if category not in weights:
        weights[category] = array("f", bytes(4 * SIZE))
        steps[category] = array("f", [1.0]) * SIZE
    scores = _scores(replace(model, weights=weights), found)
    _step(weights, steps, list(found), category, scores)
    taught = {**model.taught, category: model.taught.get(category, 0) + 1}
    return Model(
        weights=weights,
        steps=steps,
        taught=taught,
        record=_with_guess(model, category, scores) if model._speaks else model.record,
        senders=_with_sender(model.senders, _sender_key(mail, rules), category),
    )


def _step(
    weights: dict[Category, array[float]],
    steps: dict[Category, array[float]],
    places: Sequence[int],
    category: Category,
    scores: Mapping[Category, float],
) -> None:
    if 1 - scores[category] <= _MARGIN:
        return
    length = 1 / math.sqrt(len(places))
    for each, score in scores.items():
        error = (each is category) - score
        weight, square = weights[each][:], steps[each][:]  # the model given stays as it was
        for place in places:
            square[place] += error * error
            weight[place] += _RATE * error * length / math.sqrt(square[place])
        weights[each], steps[each] = weight, square


def _with_guess(
    model: Model, category: Category, scores: Mapping[Category, float]
) -> dict[str, tuple[float, float]]:
    """The record with what the model would have said of a mail that it had not learned yet."""
    guess = max(scores, key=lambda each: scores[each])
    key = _class(guess, scores[guess])
    seen, right = model.record.get(key, (0.0, 0.0))
    if seen >= _RECORD:
        seen, right = seen / 2, right / 2
    return {**model.record, key: (seen + 1, right + (guess is category))}


def _sender_key(mail: Mail, rules: RulesConfig) -> str:
    """A sender as a number: what it sends to many apart from the rest, confirmed apart from claimed."""
    marks = Marks(mail, rules)
    if not mail.from_email or not marks.is_automatic or marks.sender.trust is Trust.REFUTED:
        return ""
    known_by = f"{marks.sender.trust} {'many' if marks.bulk else 'one'} {mail.from_email.lower()}"
    return hashlib.blake2s(known_by.encode(), digest_size=8).hexdigest()


def _with_sender(senders: Mapping[str, str], key: str, category: Category) -> dict[str, str]:
    """The last kinds of mail of each sender; whoever has not been heard of for longest is forgotten."""
    if not key:
        return dict(senders)
    kept = {other: last for other, last in senders.items() if other != key}
    while len(kept) >= _MOST_SENDERS:
        del kept[next(iter(kept))]
    return {**kept, key: (senders.get(key, "") + _LETTERS[category])[-_HABIT:]}
