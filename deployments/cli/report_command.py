"""`aegis report`: the status page, made now."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from deployments.cli import screen
from deployments.cli.exit_codes import FAILED, OK
from deployments.cli.options import Json


def report(
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], show_default=False)] = None,
    show: Annotated[bool, Parameter(name="--open", negative="", show_default=False)] = False,
    json: Json = False,
) -> int:
    """Make the status page now: one HTML file that needs nothing else.

    Exit code 1 when a part could not be read; the page names it.
    Keys of --json: outcome, summary, path, size_bytes, verdict, unread.

    For example:
        aegis report
        aegis report --output status.html --open

    Args:
        output: The file to write, instead of index.html in AEGIS_REPORT_DIR.
        show: Show it in the browser of this machine.
        json: Print JSON for programs.
    """
    from aegis_lib.outcome import Outcome
    from deployments import report as reports

    made = reports.make(output)
    if json:
        screen.as_json(made)
    else:
        screen.say(screen.plain(made.summary))
    if show and not _opened(Path(made.path)):
        screen.note(f"No browser was found on this machine. Open {made.path} with one.")
    return FAILED if made.outcome is Outcome.DEGRADED else OK


def _opened(path: Path) -> bool:
    import webbrowser

    return webbrowser.open(path.as_uri())
