"""A message to people, before anything is known about channels. Values only."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from aegis_lib.outcome import Frozen


class Severity(StrEnum):
    """How urgent a message is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Message(Frozen):
    """One message. `title` is plain text on one line; `body` is CommonMark text.

    `audience` chooses the room: `alerts` goes to every alert channel, `journal` only to the journal's.
    `key` identifies the problem; channels that can de-duplicate pass it on.
    """

    title: str = Field(min_length=1, max_length=200)
    body: str = ""
    severity: Severity = Severity.INFO
    audience: Literal["alerts", "journal"] = "alerts"
    key: str | None = None


class Receipt(Frozen):
    """What one channel answered. `reference` is the channel's own message id where it gives one."""

    channel: str
    delivered: bool
    reference: str | None = None
    problem: str | None = None
