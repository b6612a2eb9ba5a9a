"""The store of open container cases and their restarts. It never decides; each claim is one statement.

A claim that answers None or False was lost to another process, which then acts instead.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from aegis_lib.containers.model import Listed, Notice, RestartOutcome, StrikeRecord
from aegis_lib.db.sql import Queries
from aegis_lib.db.storable import storable_text

BUDGET_WINDOW = timedelta(hours=24)


class StrikeStore:
    """Implements the port `StrikeStore`. See it for the exact meaning."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def open_cases(
        self, now: datetime, engine: str | None = None, name: str | None = None
    ) -> list[StrikeRecord]:
        """The open cases, of one engine and one name where given, ordered by both."""
        rows = self._queries.open_cases(engine=engine, name=name, budget_since=now - BUDGET_WINDOW)
        return [StrikeRecord.model_validate(row) for row in rows]

    def claim_strike(
        self, container: Listed, reason: str, now: datetime, interval: timedelta
    ) -> StrikeRecord | None:
        """Count a strike unless the last one is younger than `interval`; the case as it then stands."""
        counted = self._queries.claim_strike(
            engine=container.engine,
            name=container.name,
            container_id=container.id,
            reason=storable_text(reason),
            now=now,
            counted_before=now - interval,
        )
        if counted is None:
            return None
        return next(iter(self.open_cases(now, container.engine, container.name)), None)

    def claim_restart(self, case: StrikeRecord, now: datetime, budget: int, lease: timedelta) -> int | None:
        """Claim the next restart of a case while fewer than `budget` were claimed in 24 hours."""
        number = self._queries.claim_restart(
            **_identity(case),
            container_id=case.container_id,
            attempt=case.attempts + 1,
            now=now,
            abandoned_before=now - lease,
            budget_since=now - BUDGET_WINDOW,
            budget=budget,
        )
        return None if number is None else int(number)

    def finish_restart(self, restart_id: int, outcome: RestartOutcome, now: datetime) -> None:
        """Write down what came of a claimed restart."""
        self._queries.finish_restart(id=restart_id, outcome=outcome.value, now=now)

    def quarantine(self, case: StrikeRecord, now: datetime) -> bool:
        """Allow no more restarts in this case; False when that was so already."""
        return bool(self._queries.quarantine(**_identity(case), now=now))

    def claim_notice(self, case: StrikeRecord, notice: Notice, now: datetime, lease: timedelta) -> bool:
        """Claim the sending of a message about a case; a claim older than `lease` counts as abandoned."""
        claim = {**_identity(case), "now": now, "abandoned_before": now - lease}
        match notice:
            case Notice.ESCALATION:
                return bool(self._queries.claim_escalation(**claim))
            case Notice.REMINDER:
                told_at = case.reminded_at or case.escalated_at
                return bool(self._queries.claim_reminder(**claim, told_at=told_at))
            case Notice.RECOVERY:
                return bool(self._queries.claim_recovery(**claim))

    def notice_delivered(self, case: StrikeRecord, notice: Notice, now: datetime) -> None:
        """The message is out. A recovery's message closes the case."""
        match notice:
            case Notice.ESCALATION:
                self._queries.escalation_delivered(**_identity(case), now=now)
            case Notice.REMINDER:
                self._queries.reminder_delivered(**_identity(case), now=now)
            case Notice.RECOVERY:
                self._queries.close_case(**_identity(case))

    def release_notice(self, case: StrikeRecord) -> None:
        """The message could not be delivered: the next cycle may claim it at once."""
        self._queries.release_notice(**_identity(case))

    def count_healthy(self, case: StrikeRecord, now: datetime, interval: timedelta) -> int | None:
        """Count a healthy cycle unless the last one is younger than `interval`; how many in a row now."""
        count = self._queries.count_healthy(**_identity(case), now=now, counted_before=now - interval)
        return None if count is None else int(count)

    def sick_again(self, case: StrikeRecord) -> None:
        """Forget the healthy cycles counted so far."""
        self._queries.sick_again(**_identity(case))

    def mark_recovered(self, case: StrikeRecord, now: datetime) -> bool:
        """The container is well; the case stays until people have been told. False: already marked."""
        return bool(self._queries.mark_recovered(**_identity(case), now=now))

    def close(self, case: StrikeRecord) -> bool:
        """Forget the case; False when somebody else did."""
        return bool(self._queries.close_case(**_identity(case)))

    def acknowledge(self, name: str, engine: str | None = None) -> list[str]:
        """A human looked at it: forget strikes, forgive restarts. The engines where a case was open."""
        return [row["engine"] for row in self._queries.acknowledge(name=name, engine=engine)]


def _identity(case: StrikeRecord) -> dict[str, Any]:
    return {"engine": case.engine, "name": case.name, "case_started_at": case.first_strike_at}
