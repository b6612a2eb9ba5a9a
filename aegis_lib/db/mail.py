"""The store of sorted mail, corrections, the classifier's state and drafts. It decides nothing about mail.

A mail is claimed by its identity, decided once and finished once; all of a batch in a few statements.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from aegis_lib.db.sql import Queries
from aegis_lib.db.storable import limited, storable_json, storable_text
from aegis_lib.errors import DependencyUnavailable
from aegis_lib.mail.model import (
    Category,
    Correction,
    CorrectionSource,
    Decided,
    Decision,
    DraftStanding,
    Mail,
    MailKey,
    Sorted,
    Standing,
)
from aegis_lib.mail.reading import identity

_SNIPPET_CHARACTERS = 200
_MOST_UNFINISHED = 1_000
PRIORITIES = {category: place for place, category in enumerate(Category)}
"""0 is the highest, as in `tasks`."""


class MailStore:
    """Implements the port `MailStore`. See it for the exact meaning."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    @contextmanager
    def exclusive(self, account: str) -> Iterator[bool]:
        """Be the one run that handles this account; False when another one is."""
        held = bool(self._queries.try_lock(account=account))
        try:
            yield held
        finally:
            if held:
                with suppress(DependencyUnavailable):  # the lock went with the connection
                    self._queries.unlock(account=account)

    # --- claims and decisions ---

    def known(self, account: str, folder: str, uidvalidity: int, uids: Sequence[int]) -> dict[int, Standing]:
        """What is known of the mails at these places."""
        rows = self._queries.known_at(
            account=account, folder=storable_text(folder), uidvalidity=uidvalidity, uids=list(uids)
        )
        return {row["uid"]: _standing(row) for row in rows}

    def unfinished(self, account: str) -> list[tuple[Standing, MailKey]]:
        """Mails that a run claimed and did not finish, and where they were last seen; at most 1,000."""
        rows = self._queries.unfinished(account=account, limit=_MOST_UNFINISHED)
        return [(_standing(row), _key(row)) for row in rows]

    def claim(self, account: str, mails: Mapping[str, Sequence[Mail]], now: datetime) -> dict[str, Standing]:
        """Claim mails by their identities, and keep where each lies; what is known of each from now on."""
        identities = sorted(mails)  # in one order, so that two runs cannot wait for each other
        with self._queries.transaction():
            self._queries.claim_mails(account=account, identities=identities, now=now)
            rows = self._queries.standings(account=account, identities=identities)
            standings = {row["identity"]: _standing(row) for row in rows}
            self._place(
                account,
                [(standings[name].id, mail.key) for name in identities for mail in mails[name]],
                now,
            )
        return standings

    def decide(self, account: str, decided: Sequence[Decided], now: datetime, *, keep_text: bool) -> None:
        """Keep decisions, each once: one that was kept before stays."""
        if not decided:
            return
        with self._queries.transaction():
            cached = self._cache(account, decided, now, keep_text=keep_text)
            ordered = sorted(decided, key=lambda one: one.id)
            self._queries.decide_mails(
                ids=[one.id for one in ordered],
                categories=[one.decision.category.value for one in ordered],
                confidences=[one.decision.confidence for one in ordered],
                decided_by=[one.decision.decided_by for one in ordered],
                reasons=[json.dumps([storable_text(r) for r in one.decision.reasons]) for one in ordered],
                scores=[storable_json(one.decision.scores) for one in ordered],
                move_to=[one.move_to for one in ordered],
                cache_ids=[cached.get(identity(one.mail)) for one in ordered],
                now=now,
            )

    def _cache(
        self, account: str, decided: Sequence[Decided], now: datetime, *, keep_text: bool
    ) -> dict[str, int]:
        """The rows of email_cache by identity."""
        columns: dict[str, list[Any]] = {
            name: []
            for name in (
                "identities", "message_ids", "thread_ids", "from_emails", "from_names", "subjects",
                "snippets", "body_texts", "received", "read", "labels", "categories", "priorities",
            )
        }  # fmt: skip
        taken: set[str] = set()
        for one in sorted(decided, key=lambda one: one.id):
            mail, name = one.mail, identity(one.mail)
            message_id = storable_text(mail.message_id) or f"<{name}@aegis>"
            if message_id in taken:
                message_id = f"{message_id}#{name[:16]}"
            taken.add(message_id)
            text = storable_text(mail.text)
            values = (
                name, message_id, mail.thread_ids[-1] if mail.thread_ids else None, mail.from_email,
                mail.from_name, mail.subject, " ".join(text.split())[:_SNIPPET_CHARACTERS],
                text if keep_text else None, mail.received_at, mail.is_read,
                " ".join(label for label in mail.labels if " " not in label), one.decision.category.value,
                PRIORITIES[one.decision.category],
            )  # fmt: skip
            for column, value in zip(columns.values(), values, strict=True):
                column.append(storable_text(value) if isinstance(value, str) else value)
        rows = self._queries.cache_mails(account=account, now=now, **columns)
        return {row["identity"]: row["id"] for row in rows}

    def moving(self, ids: Sequence[int], places: Sequence[MailKey]) -> None:
        """These mails, which lie there, are about to be moved."""
        if ids:
            self._queries.moving(
                ids=list(ids),
                folders=[place.folder for place in places],
                uidvalidities=[place.uidvalidity for place in places],
                uids=[place.uid for place in places],
            )

    def not_moved(self, ids: Sequence[int]) -> None:
        """These mails were not moved after all."""
        self._queries.not_moved(ids=list(ids))

    def finish(
        self,
        account: str,
        ids: Sequence[int],
        now: datetime,
        *,
        moved: Mapping[int, MailKey] | None = None,
        problem: str | None = None,
    ) -> None:
        """These mails are done; `moved` says where they are now, `problem` what could not be done."""
        if not ids:
            return
        said = storable_text(problem)[:500] if problem else None
        with self._queries.transaction():
            self._place(account, list((moved or {}).items()), now)
            self._queries.finish_mails(ids=list(ids), now=now, problem=said)

    def place(self, account: str, places: Sequence[tuple[int, MailKey]], now: datetime) -> None:
        """Keep where mails lie."""
        self._place(account, places, now)

    def _place(self, account: str, places: Sequence[tuple[int, MailKey]], now: datetime) -> None:
        unique = {(key.folder, key.uidvalidity, key.uid): mail_id for mail_id, key in places}
        if unique:
            keys = sorted(unique)
            self._queries.place_mails(
                account=account,
                folders=[storable_text(folder) for folder, _, _ in keys],
                uidvalidities=[uidvalidity for _, uidvalidity, _ in keys],
                uids=[uid for _, _, uid in keys],
                mail_ids=[unique[key] for key in keys],
                now=now,
            )

    # --- corrections ---

    def correct(
        self,
        mail_id: int,
        category: Category,
        source: CorrectionSource,
        now: datetime,
    ) -> bool:
        """Keep a reader's correction; False when the mail counts as that already."""
        with self._queries.transaction():
            kept = self._queries.correct_mail(
                mail_id=mail_id, category=category.value, source=source.value, now=now
            )
            if kept is None:
                return False
            self._queries.cache_category(
                mail_id=mail_id, category=category.value, priority=PRIORITIES[category], now=now
            )
        return True

    def keep(self, account: str, ids: Sequence[int], finished_before: datetime, now: datetime) -> int:
        """Readers left these mails as they were put: how many of them say so for the first time."""
        kept = self._queries.keep_mails(
            account=account, ids=list(ids), finished_before=finished_before, now=now
        )
        return int(kept)

    def unlearned(self, account: str, limit: int) -> list[Correction]:
        """Corrections that the classifier has not learned from, the oldest first."""
        limited(limit)
        return [
            Correction(
                id=row["id"],
                mail_id=row["mail_id"],
                category=row["category"],
                was=row["was"],
                source=row["source"],
                place=_key(row) if row["uid"] is not None else None,
            )
            for row in self._queries.unlearned(account=account, limit=limit)
        ]

    def classifier(self, account: str) -> str | None:
        """The state of the classifier, as JSON; None before its first lesson."""
        row = self._queries.classifier(account=account)
        return None if row is None else str(row["state"])

    def lessons(self, account: str) -> int:
        """From how many corrections the classifier has learned."""
        row = self._queries.classifier(account=account)
        return 0 if row is None else int(row["lessons"])

    def learn(
        self,
        account: str,
        correction_ids: Sequence[int],
        update: Callable[[str | None, frozenset[int]], str],
        now: datetime,
    ) -> int:
        """Change the state of the classifier, for corrections that it has not learned from: how many."""
        with self._queries.transaction():
            self._queries.lock_classifier(account=account)
            new = frozenset(row["id"] for row in self._queries.learned(ids=list(correction_ids), now=now))
            if new:
                state = update(self.classifier(account), new)
                self._queries.keep_classifier(account=account, state=state, lessons=len(new), now=now)
        return len(new)

    # --- drafts ---

    def reminders(self, account: str) -> dict[str, DraftStanding]:
        """What is known of drafts, by identity."""
        return {row["identity"]: DraftStanding(**row) for row in self._queries.reminders(account=account)}

    def claim_reminder(self, account: str, identities: Sequence[str], key: str, now: datetime) -> None:
        """Somebody is about to be reminded of these drafts, by the message of that key."""
        self._queries.claim_reminder(account=account, identities=sorted(set(identities)), key=key)

    def reminded(self, account: str, key: str, now: datetime) -> None:
        """The message of that key is out."""
        self._queries.reminded(account=account, key=key, now=now)

    def forget_drafts(self, account: str, keep: Sequence[str]) -> None:
        """Forget every draft but these."""
        self._queries.forget_drafts(account=account, keep=list(keep))

    # --- for people ---

    def newest(
        self, limit: int, category: Category | None = None, *, corrected: bool = False
    ) -> list[Sorted]:
        """The newest mails that were sorted; of one category, or only corrected ones, where asked for."""
        limited(limit)
        rows = self._queries.list_sorted(
            limit=limit, category=category.value if category else None, corrected=corrected
        )
        return [_sorted(row, [_key(row)] if row["uid"] is not None else []) for row in rows]

    def find(self, which: str, folder: str | None = None) -> list[Sorted]:
        """Mails that were seen under a uid, in that folder where given, or that have a message id."""
        number = int(which) if which.isdecimal() and len(which) < 15 else None
        rows = self._queries.find_sorted(uid=number, message_id=storable_text(which), folder=folder, limit=20)
        return [
            _sorted(row, [_key(place) for place in self._queries.places_of(mail_id=row["id"])])
            for row in rows
        ]


def _key(row: Mapping[str, Any]) -> MailKey:
    return MailKey(folder=row["folder"], uidvalidity=row["uidvalidity"], uid=row["uid"])


def _standing(row: Mapping[str, Any]) -> Standing:
    decision = None
    if row["decided_at"] is not None:
        decision = Decision(
            category=row["decided"],
            confidence=row["confidence"],
            decided_by=row["decided_by"],
            reasons=tuple(row["reasons"]),
            scores=row["scores"],
        )
    moved_from = None
    if row["moved_from_uid"] is not None:
        moved_from = MailKey(
            folder=row["moved_from_folder"],
            uidvalidity=row["moved_from_uidvalidity"],
            uid=row["moved_from_uid"],
        )
    return Standing(
        id=row["id"],
        identity=row["identity"],
        attempts=row["attempts"],
        decision=decision,
        category=row["category"],
        corrected_by=row["corrected_by"],
        move_to=row["move_to"],
        moved_from=moved_from,
        finished=row["finished_at"] is not None,
    )


def _sorted(row: Mapping[str, Any], places: Sequence[MailKey] = ()) -> Sorted:
    values = {name: row[name] for name in Sorted.model_fields if name in row and row[name] is not None}
    return Sorted(**{"message_id": "", **values, "places": tuple(places)})
