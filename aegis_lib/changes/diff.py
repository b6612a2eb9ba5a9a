"""Two readings side by side: what went, what came, and which of them belong together. Decides nothing.

Lines are compared as they are without noise, and wherever they stand: a line that only moved did not change.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST_SHOWN = 60
LONGEST_SHOWN = 300
_MOST_PAIRED = 200
_LEAST_ALIKE = 0.4
_AROUND = 1
_WORD = re.compile(r"\w{1,200}|[^\w\s]")


@dataclass(frozen=True)
class Reading:
    """The lines of a page and, for each, what it says without the noise."""

    lines: Sequence[str]
    keys: Sequence[str]


@dataclass(frozen=True)
class Difference:
    """Places of lines: those that went (in `before`), those that came (in `after`), and pairs of the two."""

    before: Reading
    after: Reading
    removed: tuple[int, ...]
    added: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]

    @property
    def rewritten(self) -> tuple[tuple[str, str], ...]:
        """Lines that stand for one another, as what they say without the noise."""
        return tuple((self.before.keys[a], self.after.keys[b]) for a, b in self.pairs)

    @property
    def only_removed(self) -> tuple[str, ...]:
        paired = {a for a, _ in self.pairs}
        return tuple(self.before.keys[place] for place in self.removed if place not in paired)

    @property
    def only_added(self) -> tuple[str, ...]:
        paired = {b for _, b in self.pairs}
        return tuple(self.after.keys[place] for place in self.added if place not in paired)

    def share(self) -> float:
        """How much of the text is different, 0 to 1."""
        total = sum(map(len, self.before.keys)) + sum(map(len, self.after.keys))
        changed = sum(map(len, self.only_removed)) + sum(map(len, self.only_added))
        changed += sum(_distance(old, new) for old, new in self.rewritten)
        return min(1.0, changed / total) if total else 0.0

    def shown(self) -> tuple[str, ...]:
        """Lines for a reader: `- ` went, `+ ` came, `  ` stands around; at most `MOST_SHOWN`."""
        rows = list(self._rows())
        if len(rows) <= MOST_SHOWN:
            return tuple(rows)
        return (*rows[:MOST_SHOWN], f"\u2026 {len(rows) - MOST_SHOWN} more lines")

    def _rows(self) -> Iterator[str]:
        partner = {b: a for a, b in self.pairs}
        told = set(self.added)
        last = -1
        yield from (_row("-", self.before.lines[a]) for a in self._first_removed(set(partner.values())))
        for place in self.added:
            for near in range(max(last + 1, place - _AROUND), place):
                if near not in told and self.after.keys[near]:
                    yield _row(" ", self.after.lines[near])
            if place in partner:
                yield _row("-", self.before.lines[partner[place]])
            yield _row("+", self.after.lines[place])
            last = place

    def _first_removed(self, paired: set[int]) -> Iterator[int]:
        return (place for place in self.removed if place not in paired)


def difference(before: Reading, after: Reading) -> Difference:
    """What differs. Linear in the lines, but for at most 200 times 200 changed lines that are paired."""
    removed = _surplus(before.keys, after.keys)
    added = _surplus(after.keys, before.keys)
    if removed and added and _words(before, removed) == _words(after, added):
        removed = added = ()  # the same words, only broken into other lines
    return Difference(before, after, removed, added, tuple(_pairs(before, after, removed, added)))


def moved(before: Reading, after: Reading) -> bool:
    """Whether lines stand in another order."""
    return [key for key in before.keys if key] != [key for key in after.keys if key]


def _surplus(keys: Sequence[str], others: Sequence[str]) -> tuple[int, ...]:
    """Places of lines of which the other side has fewer."""
    left = Counter(others)
    places = []
    for place, key in enumerate(keys):
        if not key:
            continue
        if left[key] > 0:
            left[key] -= 1
        else:
            places.append(place)
    return tuple(places)


def _words(reading: Reading, places: Sequence[int]) -> list[str]:
    return " ".join(reading.keys[place] for place in places).split()


def _pairs(
    before: Reading, after: Reading, removed: Sequence[int], added: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """Lines that say the same with other words or numbers; each once, in order of `after`."""
    old = {place: Counter(_WORD.findall(before.keys[place].lower())) for place in removed[:_MOST_PAIRED]}
    new = {place: Counter(_WORD.findall(after.keys[place].lower())) for place in added[:_MOST_PAIRED]}
    alike = sorted(
        (
            (-likeness, abs(a - b), a, b)
            for a, words in old.items()
            for b, others in new.items()
            if (likeness := _alike(words, others, a, b)) >= _LEAST_ALIKE
        )
    )
    taken_old: set[int] = set()
    taken_new: set[int] = set()
    found = []
    for _, _, a, b in alike:
        if a not in taken_old and b not in taken_new:
            taken_old.add(a)
            taken_new.add(b)
            found.append((a, b))
    yield from sorted(found, key=lambda pair: pair[1])


def _alike(words: Counter[str], others: Counter[str], a: int, b: int) -> float:
    total = words.total() + others.total()
    if not total:
        return 0.0
    likeness = 2 * (words & others).total() / total
    # A short line in its old place is the old line, whatever it says now: "In stock", "Sold out".
    if a == b and words.total() <= 8 and others.total() <= 8:
        likeness = max(likeness, _LEAST_ALIKE)
    return likeness


def _distance(old: str, new: str) -> int:
    words, others = Counter(_WORD.findall(old)), Counter(_WORD.findall(new))
    return sum(len(word) * count for word, count in ((words - others) + (others - words)).items())


def _row(sign: str, line: str) -> str:
    return f"{sign} {line}" if len(line) <= LONGEST_SHOWN else f"{sign} {line[: LONGEST_SHOWN - 1]}\u2026"
