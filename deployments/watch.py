"""Looks after a running installation once a minute: notes that it lives, remembers failures, has alerts sent.

Starts and stops no part of it, and judges no run: the worker sets right what became of those.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from aegis_lib.db.spool import Spool
from aegis_lib.db.spooled_memory import opened
from aegis_lib.errors import AegisError
from aegis_lib.settings import DatabaseSettings, InstallationSettings
from deployments import run_watch
from deployments.api import PrefectApi
from deployments.dispatch_deputy import DispatchDeputy
from deployments.ledger import Presence

FAILURES_OF = timedelta(hours=2)
_SCHEDULES_EVERY = timedelta(minutes=5)


class Watch:
    """What one look found stays known until the next, so that each thing is said once."""

    def __init__(
        self,
        api: PrefectApi,
        installation: InstallationSettings,
        database: DatabaseSettings,
        presence: Presence,
        deputy: DispatchDeputy,
        say: Callable[[str], None],
    ) -> None:
        self._api, self._installation, self._database = api, installation, database
        self._presence, self._deputy, self._say = presence, deputy, say
        self._recorded: set[str] = set()
        self._told_unscheduled: list[str] = []
        self._next_look_at_schedules: datetime | None = None

    def look(self, now: datetime) -> None:
        """Look once. A server or database that is away raises nothing here: others tell of it."""
        if said := self._presence.beat(self._api, now):
            self._say(said)
        try:
            self._remember_failures(now)
            unscheduled = self._told_unscheduled
            if self._next_look_at_schedules is None or now >= self._next_look_at_schedules:
                unscheduled = run_watch.without_future_run(self._api, now)  # a question for every job
                self._next_look_at_schedules = now + _SCHEDULES_EVERY
            if self._deputy.look(now):
                self._say("No worker delivers alerts: this process has it done.")
        except AegisError:
            return
        if unscheduled != self._told_unscheduled:
            self._told_unscheduled = unscheduled
            if unscheduled:
                self._say(f"No run is planned for {', '.join(unscheduled)}. `aegis doctor` tells more.")

    def _remember_failures(self, now: datetime) -> None:
        rows = run_watch.ended_badly(self._api, now - FAILURES_OF)
        fresh = [row for row in rows if row["id"] not in self._recorded]
        if fresh:
            self._record(fresh)

    def _record(self, rows: list[dict[str, Any]]) -> None:
        with opened(self._database, Spool(self._installation.spool_dir)) as memory:
            run_watch.record_failures(memory, rows)
        self._recorded.update(row["id"] for row in rows)
