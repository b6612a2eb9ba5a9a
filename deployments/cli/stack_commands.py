"""`aegis up`, `down`, `doctor`: the processes of this machine, and what is wrong with the installation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployments.cli import screen
from deployments.cli.exit_codes import FAILED, OK
from deployments.cli.options import Json

if TYPE_CHECKING:
    from deployments.check import Check


def up() -> int:
    """Start everything on this machine: database, server, worker, jobs.

    It stays in the foreground; Ctrl-C stops it all.

    For example:
        aegis up
        AEGIS_PORT=4300 aegis up
    """
    from deployments import stack

    return stack.up()


def down() -> int:
    """Stop what `aegis up` started on this machine.

    For example:
        aegis down
    """
    from deployments import stack

    return stack.down()


def doctor(*, json: Json = False) -> int:
    """Check everything the jobs need; say what is wrong and how to mend it.

    Exit code 1 when a check failed; `-` is not in use, or could not be judged
    (ok is null). Keys of --json, per check: name, ok,
    detail, fix.

    For example:
        aegis doctor
    """
    from deployments import doctor as diagnosis

    checks = diagnosis.checks()
    if json:
        screen.as_json(checks)
    else:
        results = {True: "ok", None: "-", False: "failed"}
        screen.table(
            ("CHECK", "RESULT", "DETAIL"),
            [(check.name, screen.named(results[check.ok]), check.detail) for check in checks],
            empty="Nothing was checked.",
        )
        _tell_mends(checks)
    return FAILED if any(check.ok is False for check in checks) else OK


def _tell_mends(checks: list[Check]) -> None:
    sick = [check for check in checks if check.ok is False]
    for check in sick:
        screen.note(f"{check.name}: {check.fix}")
    if not sick:
        screen.say("All is well.")
