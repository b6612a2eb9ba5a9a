"""The kinds of failure every layer agrees on. This module imports nothing of ours.

A finding is a value: a sick container, an empty inbox and a slow database are results of a job.
Only the inability to look is an exception, and its class decides what happens next:

    AegisError
    ├── DependencyUnavailable   transient: another system did not answer; retried
    ├── PermanentFailure        retrying cannot help; not retried
    │   ├── Misconfigured       a setting has a wrong value; names the setting
    │   └── BudgetSpent         the tokens of the day are used up; says when there are new ones
    └── NotConfigured           a setting is absent; the job ends as `NotConfigured`, which is no error
"""

from __future__ import annotations

from datetime import datetime


class AegisError(Exception):
    """Base of every error we raise on purpose. The message says what, where and how to mend it."""


class DependencyUnavailable(AegisError):
    """A system outside our control did not answer, or answered that it cannot now. Worth a retry.

    `retry_after_seconds` is the wait the other side asked for, where it said one.
    """

    def __init__(
        self, system: str, problem: str, mend: str = "", *, retry_after_seconds: float | None = None
    ) -> None:
        self.system, self.problem, self.mend = system, problem, mend
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"{system}: {problem}" + (f" Fix: {mend}" if mend else ""))


class PermanentFailure(AegisError):
    """The same call would fail again: the other side refused it, or our request is wrong."""


class Misconfigured(PermanentFailure):
    """A setting has a value that cannot work. `setting` is the variable or the place in a file."""

    def __init__(self, setting: str, problem: str, mend: str = "") -> None:
        self.setting, self.problem, self.mend = setting, problem, mend
        super().__init__(f"{setting}: {problem}" + (f" Fix: {mend}" if mend else ""))


class BudgetSpent(PermanentFailure):
    """A budget of tokens has no room for a question. `whose` is a job's id, or "all jobs"."""

    def __init__(self, whose: str, *, budget: int, used: int, renews_at: datetime, mend: str) -> None:
        self.whose, self.budget, self.used, self.renews_at = whose, budget, used, renews_at
        super().__init__(
            f"Language model: the tokens of {whose} for today are spent ({used} of {budget}); there are new "
            f"ones at {renews_at:%Y-%m-%dT%H:%M:%SZ}. Fix: {mend}"
        )


class NotConfigured(AegisError):
    """What the job needs was never set. `settings` are the variable names to set."""

    def __init__(self, *settings: str, purpose: str) -> None:
        self.settings = settings
        super().__init__(f"Not configured: set {', '.join(settings)} to {purpose}.")
