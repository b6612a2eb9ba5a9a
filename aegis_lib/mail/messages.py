"""What people read about mail. Senders and subjects are text of strangers: escaped. It decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from aegis_lib.alerts.model import Message, Severity
from aegis_lib.clock import iso
from aegis_lib.mail.model import Category, Decision, Draft, Mail
from aegis_lib.markdown import inline, plain

_LISTED = 20


def sender(mail: Mail) -> str:
    """Who says he wrote it, with the address, which a name cannot hide."""
    name = plain(mail.from_name, 80)
    address = plain(mail.from_email, 120) or "unknown sender"
    return f"{name} <{address}>" if name else address


def subject(text: str) -> str:
    """The subject, or what stands for none."""
    return plain(text, 150) or "(no subject)"


def urgent(mail: Mail, decision: Decision, key: str) -> Message:
    """The call for a mail that cannot wait."""
    why = "; ".join(inline(reason) for reason in decision.reasons[:5]) or "no reason given"
    return Message(
        title=plain(f"Urgent mail: {subject(mail.subject)}", 200),
        body="\n\n".join(
            [
                f"From: {inline(sender(mail))}",
                f"Subject: {inline(subject(mail.subject))}",
                f"Received: {iso(mail.received_at)}; {mail.key.folder} uid {mail.key.uid}",
                f"Why: {why} (decided by {decision.decided_by}, confidence {decision.confidence:.2f})",
                "Links and attachments in it are not checked. Not urgent? `aegis mail correct "
                f"{mail.key.uid} informational`",
            ]
        ),
        severity=Severity.WARNING,
        key=f"mail:urgent:{key}",
    )


def many_urgent(account: str, now: datetime, most: int) -> Message:
    """Said at most once an hour, when more mails are urgent than are told one by one."""
    return Message(
        title=f"More than {most} urgent mails in one run",
        body="The others are flagged, not told one by one: `aegis mail list --category urgent` shows them.",
        severity=Severity.WARNING,
        key=f"mail:many-urgent:{account}:{iso(now)[:13]}",
    )


def task_title(mail: Mail) -> str:
    """A task for a mail that asks for something."""
    return plain(f"Mail from {plain(mail.from_name, 60) or mail.from_email}: {subject(mail.subject)}", 300)


def task_details(mail: Mail, decision: Decision) -> str:
    """Where the mail is and why it asks for something; of its text nothing."""
    why = "; ".join(plain(reason) for reason in decision.reasons[:5])
    return (
        f"From {sender(mail)}, received {iso(mail.received_at)}, {mail.key.folder} uid {mail.key.uid}, "
        f"message id {plain(mail.message_id, 200) or 'none'}. Why: {why or 'no reason given'}."
    )


def triage_sentence(
    counts: Mapping[Category, int],
    *,
    processed: int,
    moved: int,
    known_before: int,
    corrections: int,
    left: int,
    problems: Sequence[str],
    dry_run: bool,
) -> str:
    """One sentence for the run and the event memory."""
    each = ", ".join(f"{counts[category]} {category.value}" for category in Category if counts.get(category))
    parts = [f"{_mails(processed)} sorted" + (f" ({each})" if each else "")]
    parts += [f"{moved} moved"] if moved else []
    parts += [f"{known_before} known from before"] if known_before else []
    parts += [f"corrections seen: {corrections}"] if corrections else []
    parts += [f"{_mails(left, 'unread ')} left for the next run"] if left else []
    parts += [f"not done: {'; '.join(problems[:5])}"] if problems else []
    return ("Dry run, nothing done: " if dry_run else "") + "; ".join(parts) + "."


def drafts(found: Sequence[Draft], now: datetime, key: str) -> Message:
    """The reminder of drafts that lie."""
    lines = [
        f"- {inline(subject(draft.subject))} to {inline(', '.join(draft.addressed_to[:3]) or 'nobody yet')}, "
        f"last changed {_ago(draft.saved_at, now)}"
        for draft in found[:_LISTED]
    ]
    if len(found) > _LISTED:
        lines.append(f"- … and {len(found) - _LISTED} more")
    number = "A draft lies" if len(found) == 1 else f"{len(found)} drafts lie"
    return Message(title=f"{number} unsent in the mailbox", body="\n".join(lines), key=key)


def _mails(number: int, kind: str = "") -> str:
    return f"{number} {kind}mail{'' if number == 1 else 's'}"


def _ago(moment: datetime, now: datetime) -> str:
    hours = max(0.0, (now - moment).total_seconds() / 3600)
    return f"{hours:.0f} hours ago" if hours < 72 else f"{hours / 24:.0f} days ago"
