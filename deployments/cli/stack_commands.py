"""`aegis up`, `down`, `doctor`: the processes of this machine, and what is wrong with the installation."""

from __future__ import annotations

from deployments.cli import screen
from deployments.cli.exit_codes import FAILED, OK
from deployments.cli.options import Json


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

    Exit code 1 when a check failed. Keys of --json, per check: name, ok,
    detail, fix.

    For example:
        aegis doctor
    """
    from deployments import doctor as surgery

    checks = surgery.checks()
    if json:
        screen.as_json(checks)
    return OK if all(check.ok for check in checks) else FAILED
