"""CSS selectors that are decided while a page goes by, element after element. Knows no page and no parser.

Names, `#id`, `.class`, `[attribute]` with `=`, `~=`, `^=`, `$=`, `*=`, one inside another (a blank) or
directly inside another (`>`), several with commas. What needs to look back or ahead (`:nth-child`, `+`, `~`,
`:has`) is refused: then an element costs the same however deep the page is, which a stranger's page decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_MOST_STEPS = 20
_PART = re.compile(
    r"""(?P<name>\*|[a-zA-Z][\w-]*)
    |\#(?P<id>[\w-]+)
    |\.(?P<class>-?[_a-zA-Z\u0080-\uffff][\w-]*)
    |\[\s*(?P<attribute>[\w:-]+)\s*(?:(?P<how>[~^$*]?=)\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[\w-]+)))?\s*\]
    """,
    re.VERBOSE,
)
_BETWEEN = re.compile(r"\s*(>|,)\s*|\s+")


@dataclass(frozen=True)
class Compound:
    """What one element must be: `name`, `#id`, classes and attributes, all of them."""

    name: str | None = None
    ids: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str, str], ...] = ()
    directly: bool = False

    def fits(self, name: str, attributes: Mapping[str, str], classes: frozenset[str]) -> bool:
        """Whether an element is such a one."""
        return (
            (self.name is None or self.name == name)
            and all(attributes.get("id") == one for one in self.ids)
            and classes.issuperset(self.classes)
            and all(_holds(attributes.get(key), how, value) for key, how, value in self.attributes)
        )


@dataclass(frozen=True)
class Selector:
    """A selector list. `enter` makes, of the state of the parent, that of an element."""

    text: str
    chains: tuple[tuple[Compound, ...], ...]
    start: tuple[tuple[int, int], ...] = field(default=())

    @classmethod
    def parsed(cls, text: str) -> Selector:
        """Read a selector.

        Raises:
            ValueError: it is none, or needs what is not offered; the message says where.
        """
        chains: list[list[Compound]] = [[]]
        place, directly = 0, False
        stripped = text.strip()
        while place < len(stripped):
            compound, place = _compound(stripped, place, directly)
            chains[-1].append(compound)
            directly = False
            between = _BETWEEN.match(stripped, place)
            if between is None and place < len(stripped):
                raise _refusal(text, stripped[place:])
            if between is not None:
                place = between.end()
                directly = between[1] == ">"
                if between[1] == ",":
                    chains.append([])
                if place == len(stripped):
                    raise _refusal(text, between[0])
        if not all(chains) or sum(map(len, chains)) > _MOST_STEPS:
            raise ValueError(f"{text!r} is no CSS selector of at most {_MOST_STEPS} steps")
        return cls(text, tuple(map(tuple, chains)), tuple((0, 0) for _ in chains))

    def enter(
        self,
        above: tuple[tuple[int, int], ...],
        name: str,
        attributes: Mapping[str, str],
        classes: frozenset[str],
    ) -> tuple[tuple[tuple[int, int], ...], bool]:
        """The state inside an element whose parent has the state `above`, and whether the element fits.

        A state is, for each chain, two sets as bits: the steps done by any element around, and by the parent.
        """
        states = []
        fits = False
        for chain, (around, parent) in zip(self.chains, above, strict=True):
            done = 0
            for step, compound in enumerate(chain):
                before = parent if compound.directly else around
                if (step == 0 or before >> (step - 1) & 1) and compound.fits(name, attributes, classes):
                    done |= 1 << step
            fits = fits or bool(done >> (len(chain) - 1) & 1)
            states.append((around | done, done))
        return tuple(states), fits


def _compound(text: str, place: int, directly: bool) -> tuple[Compound, int]:
    name: str | None = None
    ids: list[str] = []
    classes: list[str] = []
    attributes: list[tuple[str, str, str]] = []
    began = place
    while found := _PART.match(text, place):
        if found["name"]:
            if place != began:
                break
            name = None if found["name"] == "*" else found["name"].lower()
        elif found["id"]:
            ids.append(found["id"])
        elif found["class"]:
            classes.append(found["class"])
        else:
            value = next((found[one] for one in ("double", "single", "bare") if found[one] is not None), "")
            attributes.append((found["attribute"].lower(), found["how"] or "", value))
        place = found.end()
    if place == began:
        raise _refusal(text, text[place:])
    return Compound(name, tuple(ids), tuple(classes), tuple(attributes), directly), place


def _holds(held: str | None, how: str, value: str) -> bool:
    if held is None:
        return False
    match how:
        case "":
            return True
        case "=":
            return held == value
        case "~=":
            return value in held.split()
        case "^=":
            return bool(value) and held.startswith(value)
        case "$=":
            return bool(value) and held.endswith(value)
        case _:
            return bool(value) and value in held


def _refusal(text: str, rest: str) -> ValueError:
    return ValueError(
        f"{text!r} cannot be read from {rest[:30]!r} on; understood are names, #id, .class, "
        f"[attribute=value], "
        "a blank, > and commas"
    )
