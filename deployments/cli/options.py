"""Groups and options that several commands share, and how their text is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Group, Parameter

from deployments.cli.exit_codes import UsageMistake

JOBS = Group.create_ordered("Jobs")
OWN = Group.create_ordered("Jobs of your own")
INSIGHT = Group.create_ordered("What happened")
INSTALLATION = Group.create_ordered("Installation")

Json = Annotated[
    bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON for programs.")
]
Pairs = Annotated[
    tuple[str, ...],
    Parameter(
        name=["--parameter", "-p"],
        negative="",
        show_default=False,
        help="name=value; the value is JSON (3, true, [1, 2]) or else text. May be given several times.",
    ),
]


def parameters(pairs: Sequence[str]) -> dict[str, Any]:
    """`["dry_run=true", "name=web"]` as `{"dry_run": True, "name": "web"}`.

    Raises:
        UsageMistake: one has no name or no `=`.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip().isidentifier():
            raise UsageMistake(
                f"{pair!r} is no parameter. Fix: write -p name=value, for example -p dry_run=true."
            )
        try:
            found[name.strip()] = json.loads(text)
        except ValueError:
            found[name.strip()] = text
    return found
