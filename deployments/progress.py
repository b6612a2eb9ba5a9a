"""What `aegis up` shows on its way: a spinner where there is a terminal, plain lines where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.table import Table

from aegis_lib import clock

_WIDTH_WHEN_PIPED = 200


class Stage:
    """One step under way; `detail` is what its line will say when it is done."""

    def __init__(self) -> None:
        self.detail = ""


class Progress:
    """Writes to standard output."""

    def __init__(self, console: Console | None = None) -> None:
        width = None if sys.stdout.isatty() else _WIDTH_WHEN_PIPED
        self._console = console or Console(width=width, highlight=False, soft_wrap=True)

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Show that `name` is being worked on; afterwards its line with the seconds it took."""
        stage, started = Stage(), time.monotonic()
        with self._console.status(name) if self._console.is_terminal else nullcontext():
            yield stage
        detail = f"{stage.detail} " if stage.detail else ""
        self._line(f"{name + ':':<16} {detail}({time.monotonic() - started:.1f} s)")

    def say(self, text: str) -> None:
        """One line, with the time."""
        self._line(f"{clock.utcnow():%H:%M:%SZ} {text}")

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns with headings."""
        table = Table(box=None, pad_edge=False)
        for heading in headings:
            table.add_column(heading)
        for row in rows:
            table.add_row(*row)
        self._console.print(table, markup=False)

    def plain(self, text: str = "") -> None:
        """A line as it is."""
        self._line(text)

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False)
        self._console.file.flush()
