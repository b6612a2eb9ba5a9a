"""What follows from a decision about a mail, and what a reader's hand on it says. Pure; it acts on nothing.

Nothing that stands in a mail is used here but its arrival: folders, flags and times are ours.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from aegis_lib.mail.model import (
    HANDLED,
    KEYWORDS,
    Category,
    CorrectionSource,
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
from aegis_lib.outcome import Frozen

DUE_WITHIN = timedelta(hours=24)
"""Within this time from its arrival, a mail that asks for something is to be answered."""
MOST_ATTEMPTS = 5
"""A mail that was claimed so often without a decision is set aside."""


class Actions(Frozen):
    """What is to be done about a mail: flags to put on it, a task, a notification, a folder to move it to."""

    flags: tuple[str, ...]
    task: bool = False
    notify: bool = False
    move_to: str | None = None


def follow_from(
    decision: Decision, mail: Mail, config: EmailConfig, folders: Folders, now: datetime
) -> Actions:
    """What a decision asks for.

    Only what rules or the classifier decided is moved: a language model has read a stranger's words, and a
    default is no decision.
    """
    age = now - mail.received_at
    category = decision.category
    certain = decision.decided_by in {"rule", "classifier"}
    flags = [HANDLED, KEYWORDS[category]]
    if category is Category.URGENT:
        flags.append("\\Flagged")
    if category is Category.SPAM and certain:
        flags.append("$Junk")
    return Actions(
        flags=tuple(flags),
        task=category is Category.ACTION_REQUIRED and age <= timedelta(days=config.task_days),
        notify=category is Category.URGENT and age <= timedelta(hours=config.urgent_hours),
        move_to=target(category, folders) if config.move_messages and certain else None,
    )


def target(category: Category, folders: Folders) -> str | None:
    """The folder for mail of a category; None where it stays, or where there is no such folder."""
    match category:
        case Category.INFORMATIONAL | Category.PROMOTIONAL:
            return folders.archive
        case Category.SPAM:
            return folders.junk
        case _:
            return None


def lacking(folders: Folders) -> tuple[str, ...]:
    """The folders that moving needs and that are not there."""
    return tuple(use for use in ("archive", "junk") if getattr(folders, use) is None)


# --- feedback ---


def corrected(
    standing: Standing, place: MailKey, carried: Collection[Category], folders: Folders
) -> tuple[Category, CorrectionSource] | None:
    """What the reader says by a keyword of his, or by having put the mail elsewhere; None: nothing.

    What he said by a keyword or a command holds wherever the mail lies. A mail in a folder that was numbered
    anew says nothing by being there.
    """
    current, said_by = standing.category, standing.corrected_by
    if current is None or not standing.finished:
        return None
    others = [category for category in carried if category is not current]
    if len(others) == 1 and said_by is not CorrectionSource.COMMAND:
        return others[0], CorrectionSource.KEYWORD
    if said_by not in {None, CorrectionSource.MOVED}:
        return None
    better = _by_place(standing, current, place, folders)
    return (better, CorrectionSource.MOVED) if better else None


def _by_place(standing: Standing, current: Category, place: MailKey, folders: Folders) -> Category | None:
    if place.folder == folders.junk:
        return None if current is Category.SPAM else Category.SPAM
    moved_from = standing.moved_from
    if standing.corrected_by is CorrectionSource.MOVED:
        return Category.INFORMATIONAL if current is Category.SPAM else None
    if moved_from is None:
        return None
    if current is Category.SPAM and place.folder == folders.archive:
        return Category.INFORMATIONAL
    if (place.folder, place.uidvalidity) != (moved_from.folder, moved_from.uidvalidity):
        return None
    return {
        Category.SPAM: Category.INFORMATIONAL,
        Category.PROMOTIONAL: Category.INFORMATIONAL,
        Category.INFORMATIONAL: Category.ACTION_REQUIRED,
    }.get(current)


def keywords_for(category: Category) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The keywords that a corrected mail is to carry, and those that it is not."""
    wrong = [word for other, word in KEYWORDS.items() if other is not category]
    if category is not Category.SPAM:
        wrong.append("$Junk")
    return (HANDLED, KEYWORDS[category]), tuple(wrong)


# --- drafts ---


def stale(drafts: Sequence[Draft], config: DraftsConfig, now: datetime) -> list[Draft]:
    """Drafts that lie for so long that somebody may have forgotten them; the oldest first."""
    oldest, newest = now - timedelta(days=config.forgotten_days), now - timedelta(hours=config.hours)
    return sorted((d for d in drafts if oldest <= d.saved_at <= newest), key=lambda d: d.saved_at)


def to_remind(
    found: Sequence[Draft], known: Mapping[str, DraftStanding], config: DraftsConfig, now: datetime
) -> list[Draft]:
    """Those of the stale drafts of which somebody is to be reminded now."""
    again = timedelta(days=config.again_days)
    due = []
    for draft in found:
        standing = known.get(draft.identity, DraftStanding(identity=draft.identity))
        rested = standing.reminded_at is None or now - standing.reminded_at >= again
        if standing.reminder_key is None and standing.reminders < config.most and rested:
            due.append(draft)
    return due
