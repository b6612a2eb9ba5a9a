"""What follows from a decision, what a reader's hand on a mail says, and what people are shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aegis_lib.mail import actions, messages
from aegis_lib.mail.model import (
    KEYWORDS,
    Category,
    CorrectionSource,
    DecidedBy,
    Decision,
    Draft,
    DraftsConfig,
    DraftStanding,
    EmailConfig,
    Folders,
    Mail,
    MailKey,
    Standing,
)

NOW = datetime(2026, 1, 25, 12, tzinfo=UTC)
FOLDERS = Folders(archive="Archive", junk="Junk", drafts="Drafts")
MOVING = EmailConfig(move_messages=True)
INBOX, ARCHIVE, JUNK = (MailKey(folder=name, uidvalidity=1, uid=5) for name in ("INBOX", "Archive", "Junk"))


def mail(hours: float = 1, **fields: object) -> Mail:
    return Mail.model_validate({"key": INBOX, "received_at": NOW - timedelta(hours=hours), **fields})


def decision(category: Category, by: DecidedBy = "rule") -> Decision:
    return Decision(category=category, confidence=0.9, decided_by=by, reasons=("because",))


@pytest.mark.parametrize(
    ("category", "move_to", "notify", "task"),
    [
        (Category.URGENT, None, True, False),
        (Category.ACTION_REQUIRED, None, False, True),
        (Category.INFORMATIONAL, "Archive", False, False),
        (Category.PROMOTIONAL, "Archive", False, False),
        (Category.SPAM, "Junk", False, False),
    ],
)
def test_each_category_asks_for_its_action(
    category: Category, move_to: str | None, notify: bool, task: bool
) -> None:
    plan = actions.follow_from(decision(category), mail(), MOVING, FOLDERS, NOW)
    assert (plan.move_to, plan.notify, plan.task) == (move_to, notify, task)
    assert KEYWORDS[category] in plan.flags
    assert ("\\Flagged" in plan.flags) == (category is Category.URGENT)
    assert "\\Deleted" not in plan.flags
    assert "\\Seen" not in plan.flags
    assert actions.follow_from(decision(category), mail(), EmailConfig(), FOLDERS, NOW).move_to is None


@pytest.mark.parametrize("category", Category)
@pytest.mark.parametrize("by", ["model", "default"])
def test_what_a_model_said_or_nobody_knew_is_never_moved_and_never_marked_as_junk(
    category: Category, by: DecidedBy
) -> None:
    plan = actions.follow_from(decision(category, by), mail(), MOVING, FOLDERS, NOW)
    assert plan.move_to is None
    assert "$Junk" not in plan.flags


def test_mail_stays_where_there_is_no_folder_for_it() -> None:
    for category in Category:
        assert actions.follow_from(decision(category), mail(), MOVING, Folders(), NOW).move_to is None
    assert actions.lacking(Folders(archive="A")) == ("junk",)


def test_only_fresh_mail_makes_noise() -> None:
    assert actions.follow_from(decision(Category.URGENT), mail(48), MOVING, FOLDERS, NOW).notify
    assert not actions.follow_from(decision(Category.URGENT), mail(48.1), MOVING, FOLDERS, NOW).notify
    assert actions.follow_from(decision(Category.ACTION_REQUIRED), mail(24 * 14), MOVING, FOLDERS, NOW).task
    assert not actions.follow_from(decision(Category.ACTION_REQUIRED), mail(337), MOVING, FOLDERS, NOW).task


# --- corrections ---


def standing(
    category: Category | None,
    *,
    moved: bool = False,
    by: CorrectionSource | None = None,
    finished: bool = True,
) -> Standing:
    return Standing(
        id=1, identity="x", category=category, corrected_by=by, finished=finished,
        moved_from=INBOX if moved else None,
    )  # fmt: skip


C, S = Category, CorrectionSource


@pytest.mark.parametrize(
    ("known", "place", "carried", "said"),
    [
        (standing(C.SPAM), INBOX, {C.SPAM}, None),
        (standing(C.SPAM, moved=True), JUNK, {C.SPAM}, None),
        (standing(C.SPAM, moved=True), INBOX, {C.SPAM}, (C.INFORMATIONAL, S.MOVED)),
        (standing(C.SPAM, moved=True), ARCHIVE, {C.SPAM}, (C.INFORMATIONAL, S.MOVED)),
        (standing(C.PROMOTIONAL, moved=True), INBOX, {C.PROMOTIONAL}, (C.INFORMATIONAL, S.MOVED)),
        (standing(C.INFORMATIONAL, moved=True), INBOX, {C.INFORMATIONAL}, (C.ACTION_REQUIRED, S.MOVED)),
        (standing(C.INFORMATIONAL, moved=True), ARCHIVE, {C.INFORMATIONAL}, None),
        (standing(C.URGENT), ARCHIVE, {C.URGENT}, None),
        (standing(C.URGENT), JUNK, {C.URGENT}, (C.SPAM, S.MOVED)),
        (standing(C.INFORMATIONAL), INBOX, {C.INFORMATIONAL, C.URGENT}, (C.URGENT, S.KEYWORD)),
        (standing(C.INFORMATIONAL), INBOX, {C.URGENT}, (C.URGENT, S.KEYWORD)),
        (standing(C.INFORMATIONAL), INBOX, {C.URGENT, C.SPAM}, None),
        (standing(C.INFORMATIONAL), INBOX, set(), None),
        (standing(C.SPAM, by=S.MOVED), INBOX, {C.SPAM}, (C.INFORMATIONAL, S.MOVED)),
        (standing(C.INFORMATIONAL, moved=True, by=S.MOVED), INBOX, {C.INFORMATIONAL}, None),
        (standing(C.INFORMATIONAL, moved=True, by=S.MOVED), JUNK, {C.INFORMATIONAL}, (C.SPAM, S.MOVED)),
        (standing(C.URGENT, by=S.KEYWORD), JUNK, {C.URGENT}, None),
        (standing(C.SPAM, by=S.COMMAND), INBOX, {C.INFORMATIONAL}, None),
        (standing(None), JUNK, {C.SPAM}, None),
        (standing(C.URGENT, finished=False), JUNK, {C.URGENT}, None),
    ],
)
def test_what_a_reader_does_with_a_mail_says_what_it_is(
    known: Standing, place: MailKey, carried: set[Category], said: tuple[Category, CorrectionSource] | None
) -> None:
    assert actions.corrected(known, place, carried, FOLDERS) == said


def test_a_folder_that_was_numbered_anew_corrects_nothing() -> None:
    anew = INBOX.model_copy(update={"uidvalidity": 2})
    moved = standing(Category.PROMOTIONAL, moved=True)
    assert actions.corrected(moved, anew, {Category.PROMOTIONAL}, FOLDERS) is None


@pytest.mark.parametrize("category", Category)
def test_a_corrected_mail_carries_one_keyword_of_a_category(category: Category) -> None:
    add, remove = actions.keywords_for(category)
    assert KEYWORDS[category] in add
    assert set(remove) >= set(KEYWORDS.values()) - {KEYWORDS[category]}
    assert not set(add) & set(remove)


# --- drafts ---


def draft(name: str, hours: float) -> Draft:
    return Draft(key=INBOX, identity=name, subject=name, saved_at=NOW - timedelta(hours=hours))


def test_drafts_lie_from_their_time_on_until_they_are_forgotten() -> None:
    drafts = [draft("new", 47.9), draft("old", 24 * 91), draft("b", 48), draft("a", 100)]
    assert [one.identity for one in actions.stale(drafts, DraftsConfig(), NOW)] == ["a", "b"]


@pytest.mark.parametrize(
    ("known", "due"),
    [
        (None, True),
        (DraftStanding(identity="a", reminders=1, reminded_at=NOW - timedelta(days=7)), True),
        (DraftStanding(identity="a", reminders=1, reminded_at=NOW - timedelta(days=6)), False),
        (DraftStanding(identity="a", reminders=3, reminded_at=NOW - timedelta(days=60)), False),
        (DraftStanding(identity="a", reminder_key="on its way"), False),
    ],
)
def test_a_draft_is_spoken_of_as_often_as_is_set(known: DraftStanding | None, due: bool) -> None:
    found = actions.to_remind([draft("a", 100)], {"a": known} if known else {}, DraftsConfig(), NOW)
    assert bool(found) is due


# --- what people read ---

EVIL = "# *bold* [x](https://evil.example) <@1> @everyone \u202e`code`\nsecond line"


def test_strangers_text_is_inert_in_what_people_read() -> None:
    shown = mail(from_name=EVIL, from_email="a@example.net", subject=EVIL, message_id=EVIL)
    message = messages.urgent(
        shown, Decision(category=C.URGENT, confidence=1, decided_by="model", reasons=(EVIL,)), "k"
    )
    lines = [line for line in message.body.splitlines() if line]
    assert len(lines) == 5
    assert "\u202e" not in message.title + message.body
    assert "\n" not in message.title
    for active in ("](https", "<@1>", " @everyone", "*bold*"):
        assert active not in message.body, active
    (listed,) = messages.drafts(
        [draft("a", 100).model_copy(update={"subject": EVIL})], NOW, "k"
    ).body.splitlines()
    assert listed.startswith("- \\# \\*bold")
    assert "\n" not in messages.task_title(shown)
    assert "second line" not in messages.task_details(mail(text="second line"), decision(C.URGENT))


def test_an_address_is_shown_beside_the_name_that_hides_it() -> None:
    assert messages.sender(mail(from_name="support@bank.example", from_email="evil@example.net")) == (
        "support@bank.example <evil@example.net>"
    )
    assert messages.sender(mail()) == "unknown sender"


def test_a_subject_that_is_none_or_endless_is_shown_as_such() -> None:
    assert messages.subject("\u200b  ") == "(no subject)"
    assert len(messages.subject("x" * 5000)) == 150
    assert len(messages.urgent(mail(subject="x" * 5000), decision(C.URGENT), "k").title) <= 200
