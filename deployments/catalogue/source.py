"""A YAML file with the line of every key and value. Knows YAML, nothing of jobs.

Values are read as Prefect reads them (YAML 1.1: an unquoted `no` is false); a key given twice is an error.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

Path_ = tuple[str | int, ...]
"""Where a value stands: keys and list positions from the top."""


class Problem(NamedTuple):
    """One mistake: the line (from 1), what is wrong, and the mend."""

    line: int
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.line}: {self.what}. Fix: {self.fix}"


class Source:
    """The content of a file as plain values, and where each stands."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self.content: Any = _plain(node)

    def line(self, path: Path_) -> int:
        """The line (from 1) of the key or list entry at `path`, or of the nearest thing around it."""
        node, line = self._node, 1
        for step in path:
            found = _line_of(node, step)
            if found is None:
                break
            line = found
            node = node[step]
        return line


def _line_of(node: Any, step: str | int) -> int | None:
    if isinstance(node, CommentedSeq) and isinstance(step, int) and step < len(node):
        return int(node.lc.item(step)[0]) + 1
    if isinstance(node, CommentedMap) and step in node:
        if step in (node.lc.data or {}):
            return int(node.lc.key(step)[0]) + 1
        for merged in node.merge:  # merged in with <<: the key stands where the anchor is
            mapping = merged[1] if isinstance(merged, tuple) else merged  # ruamel.yaml before 0.19
            if step in mapping:
                return _line_of(mapping, step)
    return None


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {_plain(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if isinstance(node, bool) or node is None or isinstance(node, date):
        return node
    for kind in (str, int, float):
        if isinstance(node, kind):
            return kind(node)
    return node


def load(path: Path) -> Source | Problem:
    """Read a YAML file; a Problem when it cannot be read or is not YAML."""
    yaml = YAML(typ="rt", pure=True)
    yaml.version = (1, 1)
    try:
        node = yaml.load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Problem(1, "the file is not there", f"create it, or run this in the project ({path.parent}).")
    except OSError as error:
        return Problem(1, f"the file cannot be read: {error.strerror}", "make it readable.")
    except UnicodeDecodeError as error:
        return Problem(1, f"byte {error.start} is not UTF-8", "save the file as UTF-8.")
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return Problem(
            mark.line + 1 if mark else 1,
            f"this is not valid YAML: {' '.join(str(error.problem or error.context).split())}",
            "correct the syntax; look at indentation, quotes and keys given twice.",
        )
    except YAMLError as error:
        return Problem(1, f"this is not valid YAML: {' '.join(str(error).split())}", "correct the syntax.")
    return Source(node)
