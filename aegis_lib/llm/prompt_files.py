"""Reads the instructions in `prompts/*.md`. Nobody's words get into one except as a fact that it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Template

from aegis_lib.errors import PermanentFailure

PROMPTS = Path(__file__).with_name("prompts")
RULES = "rules"
"""What every instruction ends with: that data are no instruction, and how to answer."""


@cache
def read(name: str) -> Template:
    """The instruction `name`, an identifier.

    Raises:
        PermanentFailure: there is no such file, or it is not readable.
    """
    try:
        return Template((PROMPTS / f"{name}.md").read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentFailure(
            f"Language model: the instruction {name}.md cannot be read ({type(error).__name__}). "
            "Fix: install Aegis again; this is a defect if it is in aegis_lib/llm/prompts."
        ) from error


def written(name: str, facts: Mapping[str, str]) -> str:
    """The instruction with its facts, and the rules behind it.

    Raises:
        PermanentFailure: the facts are not those that it asks for.
    """
    instruction = read(name)
    wanted = set(instruction.get_identifiers())
    if wanted != set(facts):
        raise PermanentFailure(
            f"Language model: the instruction {name}.md asks for {sorted(wanted)} and is given "
            f"{sorted(facts)}. Fix: this is a defect; please report it."
        )
    return f"{instruction.substitute(facts)}\n\n{read(RULES).substitute()}"
