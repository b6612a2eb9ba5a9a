"""`aegis mail`: what mail was taken for and why, and telling that it was wrong. Reads the database only."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter, validators

from aegis_lib import clock
from deployments.cli import screen
from deployments.cli.exit_codes import OK, NothingSuch
from deployments.cli.options import INSIGHT, Json

if TYPE_CHECKING:
    from aegis_lib.db.database import Database
    from aegis_lib.mail.model import Sorted

mail = App(name="mail", group=INSIGHT, help="Show what mail was taken for and why, and correct it.")
Kind = Literal["urgent", "action_required", "informational", "promotional", "spam"]
Folder = Annotated[str | None, Parameter(name=["--folder", "-f"])]
_COLOURS = {"urgent": "bold red", "action_required": "yellow", "spam": "magenta", "promotional": "dim"}


@mail.default
@mail.command(name="list")
def list_mail(
    *,
    category: Kind | None = None,
    corrected: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    limit: Annotated[
        int, Parameter(name=["--limit", "-n"], validator=validators.Number(gte=1, lte=1000))
    ] = 30,
    json: Json = False,
) -> int:
    """List the mail that was sorted last.

    Keys of --json, per mail: id, account, message_id, from_email, from_name,
    subject, received_at, category, confidence, decided_by, reasons, scores,
    decided_at, finished_at, move_to, moved, problem, corrected_to,
    corrected_by, learned, places (only the newest).

    For example:
        aegis mail
        aegis mail list --category urgent
        aegis mail list --corrected

    Args:
        category: Only mail of this category.
        corrected: Only mail that somebody corrected.
        limit: At most so many, 1 to 1000.
        json: Print JSON for programs.
    """
    from aegis_lib.db import database
    from aegis_lib.mail.model import Category
    from aegis_lib.markdown import plain

    now = clock.utcnow()
    wanted = Category(category) if category else None
    with database.connect() as db:
        found = db.mail.newest(limit, wanted, corrected=corrected)
    if json:
        screen.as_json(found)
        return OK
    screen.table(
        ("FOLDER AND UID", "RECEIVED (UTC)", "CATEGORY", "SURE", "BY", "FROM", "SUBJECT"),
        [
            (
                _place(one),
                screen.moment(one.received_at, now),
                screen.plain(_category(one), _COLOURS.get(_category(one), "")),
                f"{one.confidence:.2f}" if one.confidence is not None else "-",
                one.decided_by or "-",
                one.from_email or "-",
                plain(one.subject, 100) or "(no subject)",
            )
            for one in found
        ],
        empty="No mail was sorted yet.",
    )
    if found:
        screen.note("Why? aegis mail explain UID   Wrong? aegis mail correct UID CATEGORY")
    return OK


@mail.command
def explain(which: str, /, *, folder: Folder = None, json: Json = False) -> int:
    """Show what a mail was taken for, and why.

    Keys of --json, per mail: as in `aegis mail list`; places are folder,
    uidvalidity and uid of every place where it was seen, the newest first.

    For example:
        aegis mail explain 4711
        aegis mail explain 4711 --folder INBOX
        aegis mail explain "<abc@example.org>"

    Args:
        which: The uid under which it lies or lay in a folder, or its message id.
        folder: Only what has or had that uid in this folder.
        json: Print JSON for programs.
    """
    from aegis_lib.db import database

    now = clock.utcnow()
    with database.connect() as db:
        found = _found(db, which, folder)
    if json:
        screen.as_json(found)
        return OK
    for number, one in enumerate(found):
        if number:
            screen.say("")
        for what, text in _told(one, now):
            screen.say(screen.plain(f"{what:<10} {text}"))
    return OK


@mail.command
def correct(which: str, category: Kind, /, *, folder: Folder = None) -> int:
    """Say what a mail really is. The next triage marks it so and learns from it.

    For example:
        aegis mail correct 4711 action_required
        aegis mail correct 12 spam --folder Archive

    Args:
        which: The uid under which it lies, or its message id.
        category: What it really is.
        folder: The folder in which it has that uid.
    """
    from aegis_lib.db import database
    from aegis_lib.mail.model import Category, CorrectionSource

    with database.connect() as db:
        found = _found(db, which, folder)
        lying = [one for one in found if one.places and str(one.places[0].uid) == which]
        if len(found) > 1 and len(lying) == 1:
            found = lying
        if len(found) > 1:
            places = ", ".join(sorted({one.places[0].folder for one in found if one.places}))
            raise NothingSuch(f"Several mails have the uid {which}. Fix: add --folder; they lie in {places}.")
        (chosen,) = found
        done = db.mail.correct(chosen.id, Category(category), CorrectionSource.COMMAND, clock.utcnow())
    said = "corrected; the next run of email_triage learns it" if done else "counts as that already"
    screen.say(screen.plain(f"{chosen.subject or '(no subject)'}: {category}, {said}."))
    return OK


def _found(db: Database, which: str, folder: str | None) -> list[Sorted]:
    found = db.mail.find(which, folder)
    if not found:
        where = f" in {folder}" if folder else ""
        raise NothingSuch(
            f"No sorted mail has the uid or message id {which!r}{where}. Fix: `aegis mail list` shows them."
        )
    return found


def _told(one: Sorted, now: datetime) -> list[tuple[str, str]]:
    """A mail as lines: what, and its text."""
    from aegis_lib.markdown import plain

    sure = f" ({one.confidence:.2f} sure)" if one.confidence is not None else ""
    lines = [
        ("mail", one.subject or "(no subject)"),
        ("from", f"{one.from_name} <{one.from_email}>".strip()),
        ("received", screen.moment(one.received_at, now)),
        ("category", f"{one.category or 'undecided'}{sure}, decided by {one.decided_by or 'nobody yet'}"),
        *(("because" if not number else "", reason) for number, reason in enumerate(one.reasons)),
    ]
    if one.scores:
        best = sorted(one.scores.items(), key=lambda pair: -pair[1])
        lines.append(("scores", ", ".join(f"{name} {score:.2f}" for name, score in best)))
    if one.corrected_to is not None:
        learned = "learned" if one.learned else "not learned yet"
        lines.append(("corrected", f"{one.corrected_to}, by {one.corrected_by}, {learned}"))
    moved = f"moved to {one.move_to}" if one.moved else "not moved"
    state = f"handled {screen.moment(one.finished_at, now)}" if one.finished_at else "not handled yet"
    lines.append(("done", f"{state}, {moved}" + (f"; {one.problem}" if one.problem else "")))
    lines += [("place" if not n else "", f"{p.folder} uid {p.uid}") for n, p in enumerate(one.places)]
    return [(what, plain(text, 300)) for what, text in lines]


def _category(one: Sorted) -> str:
    return str(one.corrected_to or one.category or "undecided")


def _place(one: Sorted) -> str:
    return f"{one.places[0].folder} {one.places[0].uid}" if one.places else "-"
