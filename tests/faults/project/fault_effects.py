"""What the jobs of the fault table do: note that they began, claim their tick, and act once for it.

All of it goes into files, which outlive whatever is killed. Knows nothing of faults.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from prefect.runtime import flow_run

from aegis_lib.outcome import Outcome, Report

DIRECTORY = "FAULTS_DIRECTORY"
IMPORT_SECONDS = "FAULTS_IMPORT_SECONDS"


def act(job: str) -> Report:
    """Do the side effect of this run's tick, unless somebody claimed it before."""
    place, due = Path(os.environ[DIRECTORY]), flow_run.scheduled_start_time
    line = {"job": job, "due": due.isoformat(), "at": time.time(), "pid": os.getpid(), "run": flow_run.id}
    _append(place / "begun.jsonl", line)
    try:
        (place / "claims" / f"{job}-{due:%Y%m%dT%H%M%S}").touch(exist_ok=False)
    except FileExistsError:
        return Report(outcome=Outcome.NO_INPUT, summary="Somebody else did it.")
    _append(place / "effects.jsonl", line)
    return Report(summary=f"Did {job} of {due.isoformat()}.")


def import_slowly() -> None:
    """Take a while, where the environment says so: a run that is claimed and has not begun yet."""
    time.sleep(float(os.environ.get(IMPORT_SECONDS, "0")))


def _append(file: Path, line: dict[str, object]) -> None:
    with file.open("a", encoding="utf-8") as opened:  # one write, appended as a whole
        opened.write(json.dumps(line) + "\n")
