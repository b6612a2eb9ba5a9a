"""How a process ended, as a value and in words. Decides nothing about the run's state."""

from __future__ import annotations

import os
import signal

from aegis_lib.outcome import Frozen


class Exit(Frozen):
    """The end of a process. `code` is its exit code, or the negative of the signal that ended it.

    None where nobody could tell: the process that waited for it was gone.
    """

    code: int | None
    peak_mb: int | None = None
    cpu_seconds: float | None = None

    @classmethod
    def of_status(cls, status: int, peak_mb: int | None = None, cpu_seconds: float | None = None) -> Exit:
        """From what `waitpid` gives."""
        return cls(code=os.waitstatus_to_exitcode(status), peak_mb=peak_mb, cpu_seconds=cpu_seconds)

    @property
    def words(self) -> str:
        """One clause, such as `exit code 3` or `killed by SIGSEGV`."""
        if self.code is None:
            return "its end was not seen"
        if self.code >= 0:
            return f"exit code {self.code}"
        try:
            return f"killed by {signal.Signals(-self.code).name}"
        except ValueError:
            return f"killed by signal {-self.code}"
