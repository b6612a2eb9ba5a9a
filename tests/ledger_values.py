"""Values that the unit tests of the ledger begin with: a moment, and a schedule of every five minutes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from aegis_lib.ledger.model import ScheduleVersion
from aegis_lib.schedule import IntervalSchedule

NOON = datetime(2026, 1, 25, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
EVERY_FIVE = IntervalSchedule(
    slug="often", interval_seconds=300, anchor_date=datetime(2025, 1, 1, tzinfo=UTC)
)


def version(**changes: Any) -> ScheduleVersion:
    fields = {
        "job_id": "site_check", "slug": "often", "schedule": EVERY_FIVE, "grace_seconds": 300,
        "longest_run_seconds": 510, "since": NOON - 24 * HOUR,
    }  # fmt: skip
    return ScheduleVersion.model_validate({**fields, **changes})
