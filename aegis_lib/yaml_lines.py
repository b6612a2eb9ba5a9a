"""Reads a YAML mapping as plain values together with the line of each. Knows nothing of what the keys mean.

Only values that JSON has are made (a date stays text); a tag that asks for anything else is a problem, never
an object. Size, depth and the number of values after following aliases are bounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

LARGEST_BYTES = 1_000_000
MOST_VALUES = 20_000
DEEPEST = 30

Place = tuple[str | int, ...]
"""The way to a value: keys and list positions from the top."""

_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, order=True)
class Problem:
    """What is wrong in one line of the file. Lines are counted from 1."""

    line: int
    text: str


@dataclass
class Document:
    """A file's content as far as it could be read, the line of every value, and what was wrong."""

    content: dict[str, Any] = field(default_factory=dict)
    lines: dict[Place, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, place: Place) -> int:
        """The line of a value, or of the nearest one around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read(data: bytes) -> Document:
    """Read a file's bytes. Never raises; an empty file has empty content."""
    document = Document()
    root = _compose(data, document)
    if root is None or (isinstance(root, ScalarNode) and root.tag == f"{_TAG}null"):
        return document
    if not isinstance(root, MappingNode):
        document.problems.append(
            Problem(_line(root), "the file is not a mapping. Its top level must be `section:` lines.")
        )
        return document
    _Reader(document).fill(root)
    return document


def _compose(data: bytes, document: Document) -> Node | None:
    """The tree of nodes, or None with a problem noted where there is none."""
    if len(data) > LARGEST_BYTES:
        document.problems.append(Problem(1, f"the file has more than {LARGEST_BYTES} bytes."))
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        document.problems.append(Problem(line, "the file is not UTF-8 text. Save it as UTF-8."))
        return None
    try:
        root: Node | None = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        what = " ".join(str(error.problem or error.context).split())
        if "'\\t'" in what:
            what = "a tab is used for indentation; use spaces"
        document.problems.append(Problem(line, f"no valid YAML: {what}."))
    except RecursionError:
        document.problems.append(Problem(1, "the values are nested too deeply."))
    except YAMLError as error:
        at = getattr(error, "position", 0)
        what = " ".join(str(error).split())
        document.problems.append(Problem(text.count("\n", 0, at) + 1, f"no valid YAML: {what}."))
    else:
        return root
    return None


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


class _Reader:
    """Turns nodes into values. Anchors are followed; what they would multiply without end is refused."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._scalars = YAML(typ="safe", pure=True).constructor
        self._left = MOST_VALUES

    def fill(self, root: MappingNode) -> None:
        self._document.content = self._mapping(root, ())

    def _problem(self, node: Node, text: str) -> None:
        problem = Problem(_line(node), text)
        if problem not in self._document.problems:
            self._document.problems.append(problem)

    def _value(self, node: Node, place: Place) -> Any:
        self._left -= 1
        if self._left < 0 or len(place) > DEEPEST:
            self._problem(
                node, "there are too many values, or they are nested too deeply; check the aliases."
            )
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, place)
        if isinstance(node, SequenceNode):
            values = []
            for at, item in enumerate(node.value):
                self._document.lines[(*place, at)] = _line(item)
                values.append(self._value(item, (*place, at)))
                if self._left < 0:
                    break
            return values
        return self._scalar(node)

    def _mapping(self, node: MappingNode, place: Place) -> dict[str, Any]:
        values: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if self._left < 0:
                break
            if key_node.tag == f"{_TAG}merge":
                merged |= self._merged(value_node, place)
                continue
            key = self._key(key_node)
            if key is None:
                continue
            if key in values:
                first = self._document.lines[(*place, key)]
                self._problem(key_node, f"key {key!r} is given twice; the first is in line {first}.")
                continue
            self._document.lines[(*place, key)] = _line(key_node)
            values[key] = self._value(value_node, (*place, key))
        return {**merged, **values}

    def _merged(self, node: Node, place: Place) -> dict[str, Any]:
        """What `<<: *name` or `<<: [*one, *two]` brings; the first of several has the last word."""
        sources = node.value if isinstance(node, SequenceNode) else [node]
        found: dict[str, Any] = {}
        for source in reversed(sources):
            if not isinstance(source, MappingNode):
                self._problem(source, "`<<` takes a mapping.")
                continue
            value = self._value(source, (*place, "<<"))
            found |= value if isinstance(value, dict) else {}
        return found

    def _key(self, node: Node) -> str | None:
        if isinstance(node, ScalarNode) and node.tag == f"{_TAG}str":
            return str(node.value)
        shown = f" {node.value!r}" if isinstance(node, ScalarNode) else ""
        self._problem(node, f"key{shown} is not text; write it in quotes.")
        return None

    def _scalar(self, node: Node) -> Any:
        kind = str(node.tag).removeprefix(_TAG)
        if kind in {"str", "timestamp"}:
            return str(node.value)
        if kind not in {"int", "float", "bool", "null"}:
            self._problem(node, f"the tag {node.tag} is not allowed here.")
            return None
        try:
            return self._scalars.construct_object(node, deep=True)
        except (YAMLError, ValueError):
            self._problem(node, f"{str(node.value)[:40]!r} is no {kind}.")
            return None
