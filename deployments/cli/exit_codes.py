"""What the exit code of `aegis` means. Scripts rely on it: a number never changes its meaning."""

from __future__ import annotations

from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured, NotConfigured

OK = 0
FAILED = 1
"""The job or a check failed, or the request was refused."""
USAGE = 2
"""The command line was not understood."""
UNREACHABLE = 3
"""The server or the database does not answer."""
NOT_FOUND = 4
"""No such job, run, container, alert or mail."""
SETTINGS = 5
"""A setting is missing or wrong."""
INTERRUPTED = 130
"""Ended by Ctrl-C."""


class UsageMistake(AegisError):
    """The options of a command do not go together."""


class NothingSuch(AegisError):
    """What a command names is not there."""


def code_of(error: AegisError) -> int:
    """The exit code that tells this error."""
    from aegis_lib.approvals.model import UnknownApproval
    from deployments.api import NotFound
    from deployments.catalogue.model import UnknownJob
    from deployments.jobs import NoSuchJob
    from deployments.runs import NoSuchRun

    if isinstance(error, (UnknownJob, NoSuchJob, NoSuchRun, NotFound, NothingSuch, UnknownApproval)):
        return NOT_FOUND
    if isinstance(error, UsageMistake):
        return USAGE
    if isinstance(error, DependencyUnavailable):
        return UNREACHABLE
    if isinstance(error, (Misconfigured, NotConfigured)):
        return SETTINGS
    return FAILED
