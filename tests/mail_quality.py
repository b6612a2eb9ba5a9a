"""How well mail is sorted, on labelled mail of any origin. Reads and judges; prints nothing itself.

Every mail is first decided, then taught, in the order in which it arrived, as by a reader who corrects every
mistake (online evaluation with immediate feedback, as in TREC's spam track). While nothing was taught or only
one kind of mail, the classifier says nothing, which counts as ham. Figures of spam are those of Cormack &
Lynam, "TREC 2005 Spam Track Overview":

* 1-ROCA %: the chance that a ham is given a higher score than a spam, in percent; ties count half.
* hm %, sm %: the shares of ham and spam on the wrong side; lam % is the mean of both on the logit scale. A
  half is added to each count, so that a filter without a mistake has a figure, too.
"""

from __future__ import annotations

import mailbox
import math
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.parser import BytesHeaderParser
from email.utils import parsedate_to_datetime
from pathlib import Path

from aegis_lib.mail import classifier, policy, reading
from aegis_lib.mail.model import Category, Mail, MailKey, RulesConfig, Unsure

FIRST = datetime(1970, 1, 1, tzinfo=UTC)
LARGEST_BYTES = 256 * 1024
"""As much as the job itself reads of a mail at most."""


@dataclass(frozen=True)
class Labelled:
    """A mail and what it is. `ham` where a corpus only says that it is no spam."""

    mail: Mail
    label: str

    @property
    def lesson(self) -> Category:
        return Category.INFORMATIONAL if self.label == "ham" else Category(self.label)


@dataclass
class Quality:
    """What came out. Counts are by (label, category that it was given)."""

    mails: int = 0
    given: Counter[tuple[str, str]] = field(default_factory=Counter)
    alone: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Of them, those that rules or classifier decided."""
    by: Counter[str] = field(default_factory=Counter)
    scores: list[tuple[float, bool]] = field(default_factory=list)
    """The classifier's odds of spam on the logit scale, and whether it was."""
    decide_seconds: float = 0.0
    learn_seconds: float = 0.0
    state_characters: int = 0

    def labels(self) -> list[str]:
        return sorted({label for label, _ in self.given})

    def precision(self, label: str) -> float | None:
        """Of what was put there, the share that belongs there; 0 to 1, None where nothing was."""
        there = sum(n for (_, given), n in self.given.items() if _same(label, given))
        right = sum(n for (true, given), n in self.given.items() if true == label and _same(label, given))
        return right / there if there else None

    def recall(self, label: str) -> float | None:
        """Of what belongs there, the share that was put there."""
        all_ = sum(n for (true, _), n in self.given.items() if true == label)
        right = sum(n for (true, given), n in self.given.items() if true == label and _same(label, given))
        return right / all_ if all_ else None

    @property
    def roca_percent(self) -> float | None:
        return one_minus_roca(self.scores)

    def lam_percent(self) -> tuple[float, float, float]:
        """lam, hm and sm of the classifier alone, spam being what it thinks likelier than not."""
        return lam([(score > 0, spam) for score, spam in self.scores])

    def junk_percent(self) -> tuple[float, float, float]:
        """lam, hm and sm of what would lie in the junk folder: only what was decided."""
        return lam(
            [
                (given == Category.SPAM, label == Category.SPAM)
                for (label, given), number in (self.given).items()
                for _ in range(number)
            ]
        )

    @property
    def alone_share(self) -> float:
        return sum(self.alone.values()) / self.mails if self.mails else 0.0

    @property
    def alone_right(self) -> float | None:
        total = sum(self.alone.values())
        right = sum(number for (label, given), number in self.alone.items() if _same(label, given))
        return right / total if total else None


def _same(label: str, given: str) -> bool:
    return given != Category.SPAM if label == "ham" else given == label


def one_minus_roca(scores: Sequence[tuple[float, bool]]) -> float | None:
    """The area above the ROC curve in percent; None where one of both kinds is missing."""
    ham = sorted(score for score, spam in scores if not spam)
    spams = [score for score, spam in scores if spam]
    if not ham or not spams:
        return None
    above = sum(len(ham) - (bisect_left(ham, s) + bisect_right(ham, s)) / 2 for s in spams)
    return 100 * above / (len(ham) * len(spams))


def lam(found: Sequence[tuple[bool, bool]]) -> tuple[float, float, float]:
    """lam %, hm %, sm % of pairs: taken for spam, is spam."""
    ham = [taken for taken, spam in found if not spam]
    spams = [taken for taken, spam in found if spam]
    hm = (sum(ham) + 0.5) / (len(ham) + 1)
    sm = (len(spams) - sum(spams) + 0.5) / (len(spams) + 1)
    mean = (math.log(hm / (1 - hm)) + math.log(sm / (1 - sm))) / 2
    return 100 / (1 + math.exp(-mean)), 100 * hm, 100 * sm


def judge(letters: Iterator[Labelled], rules: RulesConfig, known: Collection[str] = ()) -> Quality:
    """Decide and teach one mail after the other, beginning with a model that knows nothing."""
    quality, model = Quality(), classifier.Model()
    for letter in letters:
        began = time.perf_counter()
        found = policy.decide(letter.mail, rules, model, known)
        decided = policy.by_default(found) if isinstance(found, Unsure) else found
        quality.decide_seconds += time.perf_counter() - began
        quality.mails += 1
        pair = (letter.label, decided.category.value)
        quality.given[pair] += 1
        quality.by[decided.decided_by] += 1
        if not isinstance(found, Unsure):
            quality.alone[pair] += 1
        guess = classifier.predict(model, letter.mail, rules)
        share = guess.scores.get(Category.SPAM, 0.0) if guess.knows else 0.5
        share = min(max(share, 1e-12), 1 - 1e-12)
        quality.scores.append((math.log(share / (1 - share)), letter.label == Category.SPAM))
        began = time.perf_counter()
        model = classifier.learn(model, letter.mail, letter.lesson, rules)
        quality.learn_seconds += time.perf_counter() - began
    quality.state_characters = sum(
        len(text) for part in ("weights", "steps") for text in model.state()[part].values()
    )
    return quality


# --- reading labelled mail ---


def read(folder: Path, limit: int | None = None) -> Iterator[Labelled]:
    """Labelled mail, the oldest first. A folder as TREC makes it, or one folder or mbox file for each label.

    Raises:
        SystemExit: there is no labelled mail.
    """
    index = next((p for p in (folder / "full" / "index", folder / "index", folder) if p.is_file()), None)
    if index is not None and index.name == "index":
        yield from _trec(index, limit)
        return
    found = sorted(_by_folder(folder), key=lambda one: one[0])
    if not found:
        raise SystemExit(
            f"{folder}: no labelled mail. Name folders or mbox files after categories, ham or spam."
        )
    for at, label, raw in found[:limit]:
        yield labelled(raw, label, at)


def labelled(raw: bytes, label: str, at: datetime) -> Labelled:
    key = MailKey(folder=label, uidvalidity=1, uid=1)
    mail = reading.parse(raw[:LARGEST_BYTES], key, received_at=at, size_bytes=len(raw))
    return Labelled(mail, label)


def _trec(index: Path, limit: int | None) -> Iterator[Labelled]:
    """Lines `spam ../data/inmail.1`, in the order of arrival."""
    for line in index.read_text(encoding="ascii").splitlines()[:limit]:
        label, _, path = line.strip().partition(" ")
        raw = (index.parent / path.strip()).read_bytes()
        yield labelled(raw, "spam" if label.lower() == "spam" else "ham", FIRST)


def _by_folder(folder: Path) -> Iterator[tuple[datetime, str, bytes]]:
    for place in sorted(folder.iterdir()):
        label = label_of(place.stem if place.is_file() else place.name)
        if label is None:
            continue
        for raw in _messages(place):
            yield arrived(raw), label, raw


def label_of(name: str) -> str | None:
    """The label in a name: a category, or `spam` or `ham` as in `spam_2` and `easy-ham-1`."""
    plain = name.lower().replace("-", "_")
    if plain in set(Category):
        return plain
    words = plain.split("_")
    return "spam" if "spam" in words else "ham" if "ham" in words else None


def _messages(place: Path) -> Iterator[bytes]:
    if place.is_file():
        with closing(mailbox.mbox(place, create=False)) as box:
            yield from (box.get_bytes(key) for key in box.keys())  # noqa: SIM118 - a mailbox is no dict
    elif (place / "cur").is_dir():
        for folder in ("cur", "new"):
            yield from (file.read_bytes() for file in sorted((place / folder).iterdir()))
    else:
        yield from (
            file.read_bytes() for file in sorted(place.iterdir()) if file.is_file() and file.name != "cmds"
        )


def arrived(raw: bytes) -> datetime:
    """When the last server received it, else when it says that it was written."""
    headers = BytesHeaderParser().parsebytes(raw[:LARGEST_BYTES])
    dates = [str(value).rpartition(";")[2] for value in headers.get_all("received", [])]
    for text in (*dates, str(headers.get("date", ""))):
        try:
            found = parsedate_to_datetime(" ".join(text.split()))
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found
    return FIRST
