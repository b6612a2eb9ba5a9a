"""The `aegis` command: what it is called with, what becomes of errors. Commands are in the files beside it.

Importing this costs a tenth of a second; whatever costs more is imported by the command that needs it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

from cyclopts import App, CycloptsError, Group

from aegis_lib.errors import AegisError
from deployments.cli import (
    alert_commands,
    anomaly_commands,
    approval_commands,
    catalogue_commands,
    custom_commands,
    cutover_command,
    insight_commands,
    job_commands,
    ledger_command,
    llm_commands,
    mail_commands,
    metrics_commands,
    picture_commands,
    report_command,
    run_commands,
    scaffold_command,
    site_commands,
    stack_commands,
)
from deployments.cli.exit_codes import INTERRUPTED, OK, USAGE, code_of
from deployments.cli.options import INSIGHT, INSTALLATION, JOBS, OWN

_HELP = """Runs and watches the background jobs of Aegis.

First steps:

    aegis up                          start everything on this machine
    aegis jobs                        what runs when, and how it went
    aegis run health_check --watch    run a job now and watch it
    aegis logs health_check           what its newest run wrote
    aegis doctor                      what is wrong, and how to mend it
"""
_EPILOGUE = """Exit codes: 0 all is well; 1 the job or a check failed, or was refused;
2 wrong usage; 3 the server or the database does not answer;
4 no such job or run; 5 a setting is missing or wrong.
Add --debug to see where an error comes from. A job may be written
health_check or health-check. Times are UTC."""

app = App(
    name="aegis",
    help=_HELP,
    help_epilogue=_EPILOGUE,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
    version=lambda: version("aegis-scheduler"),
)

_COMMANDS: tuple[tuple[Callable[..., int], Group], ...] = (
    (job_commands.jobs, JOBS),
    (job_commands.run, JOBS),
    (run_commands.history, JOBS),
    (run_commands.logs, JOBS),
    (job_commands.pause, JOBS),
    (job_commands.resume, JOBS),
    (catalogue_commands.simulate, JOBS),
    (custom_commands.add, OWN),
    (custom_commands.remove, OWN),
    (scaffold_command.new_job, OWN),
    (alert_commands.ack, INSIGHT),
    (stack_commands.up, INSTALLATION),
    (stack_commands.down, INSTALLATION),
    (stack_commands.doctor, INSTALLATION),
    (catalogue_commands.plan, INSTALLATION),
    (catalogue_commands.deploy, INSTALLATION),
    (cutover_command.migrate_check, INSTALLATION),
)
for _place, (_command, _group) in enumerate(_COMMANDS):
    app.command(_command, group=_group, sort_key=_place)
app.command(ledger_command.ledger, group=INSIGHT)
app.command(report_command.report, group=INSIGHT)
for _part in (
    alert_commands.alerts,
    approval_commands.approvals,
    insight_commands.strikes,
    insight_commands.memory,
    insight_commands.notify,
    llm_commands.llm,
    mail_commands.mail,
    site_commands.sites,
    picture_commands.pictures,
    metrics_commands.metrics,
    anomaly_commands.anomalies,
):
    app.command(_part)
app.register_install_completion_command(
    help="Let the shell complete the commands and options of aegis.", group=INSTALLATION
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command of `arguments` (default: the process's) and exit with its code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; an error is told on standard error in a line or two."""
    tokens = [token for token in arguments if token != "--debug"]  # noqa: S105
    debug = len(tokens) < len(arguments) or bool(os.environ.get("AEGIS_DEBUG"))
    try:
        result: Any = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as mistake:
        if debug:
            raise
        _tell(" ".join(str(mistake).split()), f"`{_named(tokens)} --help` shows how it is used.")
        return USAGE
    except AegisError as error:
        if debug:
            raise
        for line in str(error).splitlines():
            what, _, fix = line.partition(" Fix: ")
            _tell(what, fix)
        return code_of(error)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted.\n")
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return result if isinstance(result, int) else OK


def _named(tokens: Sequence[str]) -> str:
    known = bool(tokens) and not tokens[0].startswith("-") and tokens[0] in app
    return f"aegis {tokens[0]}" if known else "aegis"


def _tell(what: str, fix: str) -> None:
    sys.stderr.write(f"error: {what}\n" + (f"  fix: {fix}\n" if fix else ""))
