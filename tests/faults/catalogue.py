"""The project of the fault table: the product's own jobs, and three that act once for each of their ticks."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.faults.project.fault_effects import IMPORT_SECONDS

ROOT = Path(__file__).resolve().parent.parent.parent
PROJECT = Path(__file__).with_name("project")
"""The jobs of the fault table, laid out as a project."""
_LEFT_OUT = "docker-health-check"  # it would restart containers of others on this machine


@dataclass(frozen=True)
class FaultJob:
    """One of the three jobs and when it is due."""

    name: str
    offset_seconds: int

    @property
    def anchor(self) -> datetime:
        return datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=self.offset_seconds)

    def ticks(self, start: datetime, end: datetime) -> list[datetime]:
        """Due times after `start` and not after `end`, worked out without asking the product."""
        step = timedelta(seconds=INTERVAL_SECONDS)
        due = self.anchor + ((start - self.anchor) // step + 1) * step
        found = []
        while due <= end:
            found.append(due)
            due += step
        return found


INTERVAL_SECONDS = 12
PENDING_SECONDS = 3
BEAT, TOIL, SLOW = FaultJob("beat", 0), FaultJob("toil", 1), FaultJob("slow", 3)
JOBS = (BEAT, TOIL, SLOW)


def write(directory: Path) -> Path:
    """Make the project's directory: flows, catalogue, Prefect's settings."""
    project = directory / "project"
    shutil.copytree(ROOT / "flows", project / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PROJECT, project, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "prefect.toml", project)
    content = YAML(typ="safe").load((ROOT / "prefect.yaml").read_text())
    kept = [entry for entry in content["deployments"] if entry["name"] != _LEFT_OUT]
    content["deployments"] = [*kept, *map(_entry, JOBS)]
    with (project / "prefect.yaml").open("w") as file:
        YAML().dump(content, file)
    return project


def _entry(job: FaultJob) -> dict[str, Any]:
    pool: dict[str, Any] = {"name": "aegis"}
    if job is SLOW:  # an environment of its own: its module is imported in the run, after the claim
        pool["job_variables"] = {"env": {IMPORT_SECONDS: str(PENDING_SECONDS)}}
    schedule = {
        "slug": "often",
        "interval": INTERVAL_SECONDS,
        "anchor_date": job.anchor.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return {
        "name": job.name,
        "entrypoint": f"flows/{job.name}.py:{job.name}",
        "tags": ["aegis", "faults"],
        "work_pool": pool,
        "concurrency_limit": {"limit": 1, "collision_strategy": "CANCEL_NEW", "grace_period_seconds": 60},
        "schedules": [schedule],
    }
