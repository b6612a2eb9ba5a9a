"""A run of sending that dies by kill -9 at a point: `python -m tests.dying_sender POINT PORT`.

POINT is claimed, asked, marked, answered or settled; the database is the one of the environment.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from aegis_lib import clock
from aegis_lib.adapters import mail_sender
from aegis_lib.approvals import sending
from aegis_lib.approvals.model import ApprovalsConfig
from aegis_lib.db import database
from aegis_lib.settings import DatabaseSettings, MailSenderSettings
from tests.fakes.alerts import FakeNotifier
from tests.fakes.memory import FakeMemory

BEFORE = {"asked": "hand_over", "answered": "settle"}
AFTER = {"claimed": "claim", "marked": "hand_over", "settled": "settle"}


class Dying:
    """A store whose process dies before or after one of its calls."""

    def __init__(self, store: Any, point: str) -> None:
        self._store, self._point = store, point

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def call(*arguments: Any, **named: Any) -> Any:
            if BEFORE.get(self._point) == name:
                os.kill(os.getpid(), signal.SIGKILL)
            result = method(*arguments, **named)
            if AFTER.get(self._point) == name:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call


def main(point: str, port: int) -> None:
    """Send what is due, as far as one gets."""
    settings = MailSenderSettings(
        host="127.0.0.1", port=port, security="none", sender="aegis@ours.example", timeout_seconds=20
    )
    with database.connect(DatabaseSettings()) as db:
        store: Any = Dying(db.approvals, point)
        sending.send(
            store, mail_sender.connect(settings), FakeNotifier(), FakeMemory(), ApprovalsConfig(),
            now=clock.utcnow(), dry_run=False,
        )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
