"""What the tests of approvals begin with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from aegis_lib.approvals.model import Proposal

NOW = datetime(2096, 3, 14, 9, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def proposal(key: str = "reply:1", **values: Any) -> Proposal:
    """A mail that a job would like to send."""
    usual = {
        "kind": "customer_reply",
        "recipient": "ada@example.org",
        "subject": "Your question",
        "body": "Dear Ada,\n\nyes, it can.\n",
        "expires_at": NOW + 2 * DAY,
        "proposed_by": "customer_replies",
        "why": "She asked whether it can.",
    }
    return Proposal.model_validate({**usual, "key": key, **values})
