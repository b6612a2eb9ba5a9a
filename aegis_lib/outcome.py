"""What a run of a job can truthfully say about itself. Knows nothing of Prefect; flows translate it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict


class Outcome(StrEnum):
    """The name a finished run carries in the Prefect UI."""

    COMPLETED = "Completed"
    """Did its work."""
    NO_INPUT = "NoInput"
    """Ran and had nothing to read: a job that says so for days has a broken source."""
    NOT_CONFIGURED = "NotConfigured"
    """A setting it needs was never set; the message names it."""
    DEGRADED = "Degraded"
    """Did its work for some items; the message says which failed."""


class Report(BaseModel):
    """What a service returns: every area's report derives from it.

    `summary` is one sentence for a person; it becomes the message of the run's final state.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Outcome = Outcome.COMPLETED
    summary: str


class Frozen(BaseModel):
    """Base of our value types: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


__all__ = ["AwareDatetime", "Frozen", "Outcome", "Report"]
