"""Looks for what readers said about decisions, and teaches the classifier. Must not decide about new mail.

A correction is kept before anything is learned from it, and learned in the same transaction that changes the
classifier: a run that dies in between loses none and counts none twice.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aegis_lib.logs import get_logger
from aegis_lib.mail import actions, classifier
from aegis_lib.mail.model import (
    HANDLED,
    KEYWORDS,
    Category,
    Correction,
    CorrectionSource,
    EmailConfig,
    Folders,
    Mail,
    MailboxRefused,
    MailKey,
    OpenedFolder,
    Standing,
)
from aegis_lib.mail.reading import identity
from aegis_lib.ports.mail import Mailbox, MailStore

_LESSONS_PER_RUN = 200
_AT_ONCE = 500
log = get_logger(__name__)


@dataclass
class Feedback:
    """What a run found: corrections, mails that were right, lessons taken, and what went wrong."""

    corrections: int = 0
    kept: int = 0
    lessons: int = 0
    problems: list[str] = field(default_factory=list)


def known(store: MailStore, account: str) -> classifier.Model:
    """What the classifier has learned so far.

    Raises:
        PermanentFailure: its state is damaged.
    """
    state = store.classifier(account)
    return classifier.restored(json.loads(state) if state else None)


def gather(
    mailbox: Mailbox, store: MailStore, config: EmailConfig, folders: Folders, now: datetime
) -> Feedback:
    """Keep what readers said since the last run, and learn from it.

    Raises:
        DependencyUnavailable: the mailbox or the database is away; what was found so far is kept.
    """
    found = Feedback()
    _apply_commands(mailbox, store, now, found)
    for folder in dict.fromkeys([folders.inbox, folders.archive, folders.junk]):
        if folder is not None:
            try:
                _look(mailbox, store, config, folders, folder, now, found)
            except MailboxRefused as refused:
                found.problems.append(f"corrections in {folder} not looked for: {refused}")
    _learn(mailbox, store, config, now, found)
    return found


def _look(
    mailbox: Mailbox,
    store: MailStore,
    config: EmailConfig,
    folders: Folders,
    folder: str,
    now: datetime,
    found: Feedback,
) -> None:
    opened = mailbox.open(folder)
    if not opened.keeps_keywords:
        return
    since = now - timedelta(days=config.feedback_days)
    carried: dict[int, set[Category]] = defaultdict(set)
    for category, keyword in KEYWORDS.items():
        for uid in mailbox.marked(keyword, since):
            carried[uid].add(category)
    if not carried:
        return
    seen = set(mailbox.marked(HANDLED, since, seen=True))
    uids = sorted(carried, reverse=True)
    right: list[int] = []
    for start in range(0, len(uids), _AT_ONCE):
        chunk = uids[start : start + _AT_ONCE]
        standings = store.known(mailbox.account, folder, opened.uidvalidity, chunk)
        unknown = [uid for uid in chunk if uid not in standings]
        for first in range(0, len(unknown), config.batch):
            standings |= _recognised(mailbox, store, unknown[first : first + config.batch], now)
        for uid, standing in standings.items():
            said = actions.corrected(standing, _key(opened, uid), carried[uid], folders)
            if said is not None:
                _correct(mailbox, store, uid, standing, *said, now, found)
            elif uid in seen and standing.finished and standing.corrected_by is None:
                right.append(standing.id)
    found.kept += store.keep(mailbox.account, right, now - timedelta(days=config.kept_days), now)


def _recognised(mailbox: Mailbox, store: MailStore, uids: list[int], now: datetime) -> dict[int, Standing]:
    """What is known of mails that lie where none was seen; one that nobody knows was sorted elsewhere."""
    by_identity: dict[str, list[Mail]] = defaultdict(list)
    for mail in mailbox.read(uids).mails:
        by_identity[identity(mail)].append(mail)
    if not by_identity:
        return {}
    standings = store.claim(mailbox.account, by_identity, now)
    strange = [s.id for s in standings.values() if s.decision is None and not s.finished]
    store.finish(mailbox.account, strange, now, problem="sorted by another installation")
    return {
        mail.key.uid: standings[name]
        for name, mails in by_identity.items()
        for mail in mails
        if standings[name].id not in strange
    }


def _correct(
    mailbox: Mailbox,
    store: MailStore,
    uid: int,
    standing: Standing,
    category: Category,
    source: CorrectionSource,
    now: datetime,
    found: Feedback,
) -> None:
    try:
        mailbox.mark([uid], *actions.keywords_for(category))
    except MailboxRefused as refused:
        found.problems.append(f"keywords of a corrected mail not changed: {refused}")
    if store.correct(standing.id, category, source, now):
        found.corrections += 1
        log.info("mail_corrected", mail=standing.id, was=standing.category, now=category, source=source)


def _apply_commands(mailbox: Mailbox, store: MailStore, now: datetime, found: Feedback) -> None:
    """Put the keywords on mails that were corrected by a command, where they still lie."""
    for correction in store.unlearned(mailbox.account, _LESSONS_PER_RUN):
        place = correction.place
        if correction.source is not CorrectionSource.COMMAND or place is None:
            continue
        found.corrections += 1
        try:
            if mailbox.open(place.folder).uidvalidity == place.uidvalidity:
                mailbox.mark([place.uid], *actions.keywords_for(correction.category))
        except MailboxRefused as refused:
            found.problems.append(f"keywords of a corrected mail not changed: {refused}")


def _learn(mailbox: Mailbox, store: MailStore, config: EmailConfig, now: datetime, found: Feedback) -> None:
    """One lesson for each correction whose mail is still there."""
    corrections = store.unlearned(mailbox.account, _LESSONS_PER_RUN)
    if not corrections:
        return
    lessons = _with_mails(mailbox, corrections, config, found)

    def update(state: str | None, new: frozenset[int]) -> str:
        model = classifier.restored(json.loads(state) if state else None)
        for correction in corrections:
            mail = lessons.get(correction.id)
            if mail is not None and correction.id in new:
                model = classifier.learn(model, mail, correction.category, config.rules)
        return json.dumps(model.state())

    found.lessons = store.learn(mailbox.account, [one.id for one in corrections], update, now)


def _with_mails(
    mailbox: Mailbox, corrections: list[Correction], config: EmailConfig, found: Feedback
) -> dict[int, Mail]:
    """The mail of each correction, by the correction's id."""
    by_folder: dict[tuple[str, int], list[Correction]] = defaultdict(list)
    for correction in corrections:
        if correction.place is not None:
            by_folder[correction.place.folder, correction.place.uidvalidity].append(correction)
    lessons: dict[int, Mail] = {}
    for (folder, uidvalidity), ones in by_folder.items():
        try:
            if mailbox.open(folder, read_only=True).uidvalidity != uidvalidity:
                continue
            for start in range(0, len(ones), config.batch):
                chunk = ones[start : start + config.batch]
                uids = [one.place.uid for one in chunk if one.place is not None]
                mails = {mail.key.uid: mail for mail in mailbox.read(uids).mails}
                lessons |= {
                    one.id: mails[one.place.uid]
                    for one in chunk
                    if one.place is not None and one.place.uid in mails
                }
        except MailboxRefused as refused:
            found.problems.append(f"mails in {folder} not learned from: {refused}")
    return lessons


def _key(opened: OpenedFolder, uid: int) -> MailKey:
    return MailKey(folder=opened.name, uidvalidity=opened.uidvalidity, uid=uid)
