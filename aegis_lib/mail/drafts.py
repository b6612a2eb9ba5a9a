"""Reminds of drafts that were left lying. Must not remind twice by one reminder, nor touch a draft.

A reminder is claimed under a key before it is sent; a run that died in between is finished by the next one
with the same key, by which the outbox knows it again.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from aegis_lib.clock import iso
from aegis_lib.errors import NotConfigured
from aegis_lib.logs import get_logger
from aegis_lib.mail import actions, messages
from aegis_lib.mail.model import DraftReport, DraftsConfig
from aegis_lib.outcome import Outcome
from aegis_lib.ports.alerts import Notifier
from aegis_lib.ports.mail import Mailbox, MailStore

log = get_logger(__name__)


def remind(
    mailbox: Mailbox, store: MailStore, notifier: Notifier, *, now: datetime, config: DraftsConfig
) -> DraftReport:
    """Remind of drafts that lie, each as often as it is set, never twice by one reminder.

    Raises:
        DependencyUnavailable: the mailbox, the database or every channel is away; the next run goes on.
        Misconfigured: there is no folder of drafts.
    """
    with store.exclusive(f"drafts:{mailbox.account}") as held:
        if not held:
            return DraftReport(summary="Another run is looking at the drafts; nothing was done.")
        folder = mailbox.folders().drafts
        if folder is None:
            raise NotConfigured("email.folders.drafts in aegis.yaml", purpose="say which folder holds drafts")
        return _remind(mailbox, store, notifier, folder, now, config)


def _remind(
    mailbox: Mailbox, store: MailStore, notifier: Notifier, folder: str, now: datetime, config: DraftsConfig
) -> DraftReport:
    account = mailbox.account
    drafts = {draft.identity: draft for draft in mailbox.drafts(folder)}
    lying = actions.stale(list(drafts.values()), config, now)
    reminded = 0
    for key, identities in _half_done(store, account):
        known = [drafts[name] for name in identities if name in drafts]
        if known:
            notifier.send(messages.drafts(known, now, key))
            reminded += len(known)
        store.reminded(account, key, now)
    store.forget_drafts(account, sorted(drafts))
    due = actions.to_remind(lying, store.reminders(account), config, now)
    if due:
        names = sorted(draft.identity for draft in due)
        digest = hashlib.sha256("\n".join([account, iso(now), *names]).encode()).hexdigest()[:32]
        key = f"mail:drafts:{digest}"
        store.claim_reminder(account, names, key, now)
        notifier.send(messages.drafts(due, now, key))
        store.reminded(account, key, now)
        reminded += len(due)
    log.info("draft_reminder_complete", drafts=len(drafts), stale=len(lying), reminded=reminded)
    if not drafts:
        return DraftReport(outcome=Outcome.NO_INPUT, summary="There is no draft in the mailbox.")
    return DraftReport(
        summary=f"Drafts: {len(drafts)}, left lying: {len(lying)}, reminded of: {reminded}.",
        drafts=len(drafts),
        stale=len(lying),
        reminded=reminded,
    )


def _half_done(store: MailStore, account: str) -> Iterator[tuple[str, list[str]]]:
    """Reminders that an earlier run claimed and did not finish: their key, and their drafts."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, standing in store.reminders(account).items():
        if standing.reminder_key is not None:
            found[standing.reminder_key].append(name)
    yield from found.items()
