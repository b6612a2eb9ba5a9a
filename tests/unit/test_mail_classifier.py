"""What is learned from the reader, and that it stays small, honest and silent on the first day."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable

import pytest

from aegis_lib.errors import PermanentFailure
from aegis_lib.mail import classifier, features
from aegis_lib.mail.authentication import Trust
from aegis_lib.mail.classifier import Model
from aegis_lib.mail.model import Category, Mail
from tests.mail_values import RULES, mail


def boat(number: int) -> Mail:
    return mail(subject=f"boat {number}", text=f"The sail of boat {number} is torn, harbour {number % 3}.")


def offer(number: int) -> Mail:
    return mail(
        from_email=f"news{number}@shop.example",
        subject=f"Sale {number}",
        text=f"Cheap kettles, {number} left.",
    )


def taught(lessons: Iterable[tuple[Mail, Category]], model: Model | None = None) -> Model:
    model = model or Model()
    for one, category in lessons:
        model = classifier.learn(model, one, category, RULES)
    return model


def both(count: int) -> list[tuple[Mail, Category]]:
    return [
        pair
        for number in range(count)
        for pair in ((boat(number), Category.INFORMATIONAL), (offer(number), Category.PROMOTIONAL))
    ]


def test_on_the_first_day_it_says_that_it_knows_nothing() -> None:
    guess = classifier.predict(Model(), boat(1), RULES)
    assert not guess.knows
    assert guess.reasons == ("The classifier knows nothing yet: no mail has been sorted by hand.",)


@pytest.mark.parametrize(
    "lessons", [both(classifier.LEAST_MAILS // 2 - 1), [(boat(n), Category.INFORMATIONAL) for n in range(50)]]
)
def test_few_mails_or_one_kind_teach_nothing(lessons: list[tuple[Mail, Category]]) -> None:
    model = taught(lessons)
    assert not classifier.predict(model, boat(99), RULES).knows
    assert "too little" in model.knows


def test_it_tells_what_it_was_taught_apart() -> None:
    model = taught(both(30))
    assert classifier.predict(model, boat(99), RULES).category is Category.INFORMATIONAL
    assert classifier.predict(model, offer(99), RULES).category is Category.PROMOTIONAL
    assert model.knows == "The classifier has learned from 60 mails (30 informational, 30 promotional)."


def test_a_guess_names_its_record_and_what_it_goes_by() -> None:
    guess = classifier.predict(taught(both(30)), offer(99), RULES)
    assert "it was right with" in guess.reasons[0]
    assert "kettles" in guess.reasons[1] or "shop.example" in guess.reasons[1]


def test_confidence_grows_with_the_record_only() -> None:
    early = classifier.predict(taught(both(6)), offer(99), RULES)
    late = classifier.predict(taught(both(60)), offer(99), RULES)
    assert early.knows
    assert early.confidence < 0.85 < late.confidence


def test_confidence_falls_when_it_is_wrong() -> None:
    model = taught(both(40))
    sure = classifier.predict(model, offer(99), RULES).confidence
    model = taught([(offer(100 + n), Category.INFORMATIONAL) for n in range(6)], model)
    shaken = classifier.predict(model, offer(99), RULES)
    assert shaken.category is not Category.PROMOTIONAL or shaken.confidence < sure


def test_corrections_change_its_mind() -> None:
    model = taught(both(20))
    model = taught([(offer(100 + n), Category.INFORMATIONAL) for n in range(40)], model)
    assert classifier.predict(model, offer(999), RULES).category is Category.INFORMATIONAL


def test_a_mail_that_was_guessed_closely_teaches_no_words() -> None:
    model = taught(both(60))
    again = classifier.learn(model, boat(3), Category.INFORMATIONAL, RULES)
    assert again.state()["weights"] == model.state()["weights"]
    assert again.lessons == model.lessons + 1


def test_what_was_long_ago_counts_less_in_the_record() -> None:
    model = taught(both(230))
    assert 90 < max(seen for seen, _ in model.record.values()) <= 200


def test_learning_leaves_the_model_given_as_it_was() -> None:
    model = taught(both(10))
    before = json.dumps(model.state())
    classifier.learn(model, offer(77), Category.SPAM, RULES)
    assert json.dumps(model.state()) == before


def test_the_same_lessons_make_the_same_model() -> None:
    assert taught(both(12)).state() == taught(both(12)).state()


def test_the_state_survives_json_and_goes_on_from_there() -> None:
    model = taught(both(25))
    again = classifier.restored(json.loads(json.dumps(model.state())))
    for one in (boat(500), offer(500)):
        was, is_ = classifier.predict(model, one, RULES), classifier.predict(again, one, RULES)
        assert (was.category, was.reasons[0]) == (is_.category, is_.reasons[0])
        assert was.confidence == pytest.approx(is_.confidence, abs=0.01)
    assert classifier.learn(again, boat(1), Category.SPAM, RULES).lessons == 51


def test_the_state_stays_below_a_megabyte_whatever_strangers_write() -> None:
    chance = random.Random(1)
    categories = list(Category)
    model = Model()
    for number in range(150):
        words = " ".join(f"w{chance.randrange(10**9)}" for _ in range(900))
        strange = mail(from_email=f"no-reply@h{number}.example", subject=words[:400], text=words)
        model = classifier.learn(model, strange, categories[number % 5], RULES)
    assert len(json.dumps(model.state())) < 1_000_000


def test_only_so_many_senders_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "_MOST_SENDERS", 5)
    model = taught((mail(from_email=f"no-reply@h{n}.example"), Category.INFORMATIONAL) for n in range(9))
    assert len(model.senders) == 5


@pytest.mark.parametrize(
    "state",
    [
        {"weights": {"spam": "!"}, "steps": {}, "taught": {}, "record": {}, "senders": {}},
        {"weights": {"unheard of": ""}, "steps": {}, "taught": {}, "record": {}, "senders": {}},
        {"weights": {}},
        {"weights": [], "steps": {}, "taught": {}, "record": {}, "senders": {}},
        {"weights": {}, "steps": {}, "taught": {"spam": "x"}, "record": {}, "senders": {}},
        {"weights": {}, "steps": {}, "taught": {"spam": 1}, "record": {}, "senders": {}},
    ],
)
def test_a_damaged_state_is_refused_with_the_way_out(state: dict[str, object]) -> None:
    head = {"version": classifier.VERSION, "bits": features.BITS}
    with pytest.raises(PermanentFailure, match="starts anew"):
        classifier.restored({**head, **state})


@pytest.mark.parametrize("state", [None, {}, {"version": 0}, {"version": classifier.VERSION, "bits": 3}])
def test_no_state_or_one_of_another_version_is_an_empty_model(state: dict[str, object] | None) -> None:
    assert classifier.restored(state).lessons == 0


# --- habits ---


def test_two_mails_of_a_program_that_were_treated_alike_are_a_habit() -> None:
    model = taught([(mail(from_email="no-reply@birch.example"), Category.INFORMATIONAL)] * 2)
    found = classifier.habit(model, mail(from_email="no-reply@birch.example"), RULES)
    assert (found.knows, found.category) == (True, Category.INFORMATIONAL)
    assert found.reasons == ("you put the last 2 mails of no-reply@birch.example into informational",)


@pytest.mark.parametrize(
    "other",
    [
        mail(),  # a person
        mail(from_email="no-reply@larch.example"),
        mail(from_email="no-reply@birch.example", headers={"list-unsubscribe": ("<https://x.example>",)}),
        mail(
            from_email="no-reply@birch.example",
            headers={"authentication-results": ("mx.example.org; dmarc=fail",)},
        ),
    ],
)
def test_a_habit_is_about_one_sender_and_one_kind_of_his_mail(other: Mail) -> None:
    model = taught([(mail(from_email="no-reply@birch.example"), Category.INFORMATIONAL)] * 4)
    model = taught([(mail(), Category.INFORMATIONAL)] * 4, model)
    assert not classifier.habit(model, other, RULES).knows


def test_a_habit_that_is_broken_is_none() -> None:
    one = mail(from_email="no-reply@birch.example")
    model = taught([(one, Category.INFORMATIONAL)] * 5 + [(one, Category.ACTION_REQUIRED)])
    assert not classifier.habit(model, one, RULES).knows


# --- signs ---


def test_signs_are_bounded_numbers_with_words_for_people() -> None:
    found = features.features(boat(1), Trust.UNKNOWN)
    assert all(0 <= number < features.SIZE for number in found)
    assert features.readable("word:sail") == "the word 'sail'"
    assert features.readable("link:x.example") == "a link to x.example"


def test_writing_without_spaces_is_cut_into_pairs() -> None:
    signs = features.features(mail(text="合同确认"), Trust.UNKNOWN).values()
    assert {"word:合同", "word:同确", "word:确认"} <= set(signs)


def test_padding_behind_the_beginning_changes_nothing() -> None:
    padded = mail(text="buy now " + "x " * 3_100 + "garden meeting minutes")
    assert "word:garden" not in features.features(padded, Trust.UNKNOWN).values()
