"""What is run when the worker comes back: ours and Prefect's process worker, on the same server.

    python bench/outage.py [--jobs 30] [--ticks 60] [--patience 180]

Every-minute jobs with a limit of one run each, and a worker that was away for so many minutes. The minutes
are not waited for: the server is asked to plan the runs of that time, as its scheduler had done then. Counted
are the runs due before the return that were started; the rest is set aside or refused by the limit. Caught up
is who has no due run left. An arm that is not within the patience is stopped; what it executed until then is
said, with what is left. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from deployments import signals
from tests.prefect_rig import Rig, running

LIMIT: dict[str, Any] = {
    "concurrency_limit": 1,
    "concurrency_options": {"collision_strategy": "CANCEL_NEW", "grace_period_seconds": 60},
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs after an outage of the worker.")
    parser.add_argument("--jobs", type=int, default=30)
    parser.add_argument("--ticks", type=int, default=60)
    parser.add_argument("--patience", type=float, default=180, help="seconds after which an arm is given up")
    options = parser.parse_args()
    found: dict[str, object] = {}
    for arm, kind in (("ours", "aegis"), ("stock", "process")):
        with running() as rig:
            found |= measure(rig, arm, kind, options)
    print(json.dumps(found))


def settle(rig: Rig) -> None:
    """Let the server mark as late what it would have marked during the outage."""

    def unmarked() -> int:
        now = datetime.now(UTC) - timedelta(seconds=60)
        wanted = {
            "state": {"name": {"any_": ["Scheduled"]}},
            "expected_start_time": {"before_": now.isoformat()},
        }
        return int(rig.api.post("/flow_runs/count", {"flow_runs": wanted}))

    rig.wait(lambda: unmarked() == 0, "the marking of late runs", 150, every=2)


def measure(rig: Rig, arm: str, kind: str, options: argparse.Namespace) -> dict[str, object]:
    rig.pool(arm, kind)
    anchor = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=1)
    schedule = {"interval": 60, "anchor_date": anchor.isoformat()}
    jobs = []
    for number in range(options.jobs):
        job = rig.deployment(f"{arm}-{number}", arm, schedules=[{"schedule": schedule}], **LIMIT)
        rig.overdue(job, options.ticks * 60)
        jobs.append(job)
    settle(rig)
    back = datetime.now(UTC)
    due = {"expected_start_time": {"before_": back.isoformat()}}
    planned = sum(len(rig.runs(job, **due)) for job in jobs)
    began = time.monotonic()
    rig.worker(arm, kind)

    def waiting() -> int:
        wanted = {"state": {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING"]}}, **due}
        return int(rig.api.post("/flow_runs/count", {"flow_runs": wanted}))

    def jobs_that_ran() -> int:
        started = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}, "sort": "ID_DESC"}
        return len({row["deployment_id"] for row in rig.api.filter("/flow_runs/filter", started)})

    again = None
    while (left := waiting()) and time.monotonic() - began < options.patience:
        if again is None and jobs_that_ran() == options.jobs:
            again = round(time.monotonic() - began, 1)
        time.sleep(2)
    seconds = round(time.monotonic() - began, 1)
    if again is None and jobs_that_ran() == options.jobs:
        again = seconds
    rows = [row for job in jobs for row in rig.runs(job, **due)]
    executed = sum(row["run_count"] > 0 for row in rows)
    print(
        f"{arm}: {planned} runs due, {executed} executed, {left} left after {seconds} s; "
        f"load {os.getloadavg()[0]:.2f}"
    )
    for name, count in Counter(row["state"]["name"] for row in rows).most_common():
        print(f"  {name:12} {count}")
    return {
        f"executed_{arm}": executed,
        f"due_{arm}": planned,
        f"left_{arm}": left,
        f"every_job_ran_after_seconds_{arm}": again,
        f"seconds_{arm}": seconds,
    }


if __name__ == "__main__":
    with signals.as_interrupts():  # whatever ends it, what it started ends too
        main()
