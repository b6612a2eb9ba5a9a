"""What the jobs of the fault table noted in files: that they began, and what they did."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.faults.catalogue import FaultJob


@dataclass(frozen=True)
class Note:
    """A line that a run wrote: it began, or it did what was to be done, for the tick `due`."""

    job: str
    due: datetime
    at: datetime
    pid: int
    run: str


class Notes:
    """The files in one directory, which the jobs are told by their environment."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "claims").mkdir(parents=True, exist_ok=True)

    def begun(self, job: FaultJob | None = None) -> list[Note]:
        """What began, in order."""
        return self._read("begun", job)

    def effects(self, job: FaultJob | None = None) -> list[Note]:
        """What was done, in order."""
        return self._read("effects", job)

    def _read(self, kind: str, job: FaultJob | None) -> list[Note]:
        try:
            lines = (self._directory / f"{kind}.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        found = [_note(json.loads(line)) for line in lines]
        return [note for note in found if job is None or note.job == job.name]


def _note(line: dict[str, Any]) -> Note:
    at = datetime.fromtimestamp(line["at"], UTC)
    return Note(line["job"], datetime.fromisoformat(line["due"]), at, line["pid"], line["run"])
