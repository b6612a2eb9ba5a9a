"""What the `aegis` command prints: tables and lines for people, JSON for programs. Asks and decides nothing.

People get UTC times with how long that is from now. Programs get one JSON document on standard output, with
times in ISO 8601. Notes and errors go to standard error, so that standard output stays clean.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aegis_lib.schedule_words import length

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

WIDTH_WHEN_PIPED = 200
_STYLES = {
    "Completed": "green",
    "Running": "cyan",
    "NoInput": "yellow",
    "NotConfigured": "yellow",
    "Degraded": "yellow",
    "Late": "yellow",
    "Failed": "bold red",
    "Crashed": "bold red",
    "TimedOut": "bold red",
    "Cancelled": "magenta",
    "Coalesced": "dim",
    "Misfired": "magenta",
    "paused": "yellow",
    "ok": "green",
    "failed": "bold red",
    "unknown": "yellow",
}


def console(*, error: bool = False) -> Console:
    """Where people read. Cut to the terminal's width; a pipe gets whole lines without colour."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    return Console(
        file=stream, width=None if stream.isatty() else WIDTH_WHEN_PIPED, highlight=False, soft_wrap=True
    )


def say(text: str | Text) -> None:
    """A line on standard output."""
    console().print(text, markup=False)


def note(text: str) -> None:
    """A remark on standard error."""
    console(error=True).print(text, style="yellow", markup=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, empty: str) -> None:
    """A table without lines; `empty` says what it means that there is nothing."""
    from rich.table import Table

    listed = list(rows)
    if not listed:
        say(empty)
        return
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, name in enumerate(columns):
        grid.add_column(name, no_wrap=number + 1 < len(columns), overflow="fold")
    for row in listed:
        grid.add_row(*(plain(cell) if isinstance(cell, str) else cell for cell in row))
    console().print(grid, soft_wrap=False)


def plain(text: str, style: str = "") -> Text:
    """Text as it is: square brackets in it are no markup."""
    from rich.text import Text

    return Text(text, style=style)


def named(outcome: str | None) -> Text:
    """The name of an outcome or a state, in its colour."""
    return plain(outcome or "-", _STYLES.get(outcome or "", ""))


def as_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def as_json_line(value: Any) -> None:
    """One JSON document on one line, at once: for output that goes on."""
    sys.stdout.write(json.dumps(_plain(value), ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return _plain(value.model_dump())
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if hasattr(value, "get_secret_value"):
        return "***"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {str(key): _plain(held) for key, held in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(held) for held in value]
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


def moment(when: datetime | None, now: datetime) -> str:
    """`02:19:05 (in 3 min)`, with the date where it is not today; `-` for never."""
    if when is None:
        return "-"
    when, now = when.astimezone(UTC), now.astimezone(UTC)
    shown = f"{when:%H:%M:%S}" if when.date() == now.date() else f"{when:%Y-%m-%d %H:%M}"
    return f"{shown} ({relative(when, now)})"


def relative(when: datetime, now: datetime) -> str:
    """`in 3 min`, `2 h ago`, `now`; one unit is enough beyond an hour."""
    away = when - now
    if abs(away.total_seconds()) < 1:
        return "now"
    count, unit = length(away).split()[:2]
    return f"in {count} {unit}" if away.total_seconds() > 0 else f"{count} {unit} ago"
