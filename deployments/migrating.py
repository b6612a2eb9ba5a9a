"""Migrates the jobs' database in a process of its own. Knows no migration.

SQLAlchemy and Alembic, which take 25 MB, are needed once at a start; `aegis up` then runs for months.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from aegis_lib.errors import PermanentFailure
from aegis_lib.settings import InstallationSettings
from deployments.stack_environment import child_environment

_COMMAND = (sys.executable, "-m", "aegis_lib.db.migrate", "upgrade")


def migrate(installation: InstallationSettings, project: Path) -> str:
    """Bring the jobs' database to the schema of this version; what was applied, in words.

    Raises:
        PermanentFailure: a newer version has migrated it, or a migration failed and left nothing of itself.
    """
    child = subprocess.run(
        _COMMAND,
        cwd=project,
        env=child_environment(installation),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode != 0:
        said = child.stderr.strip() or f"ended with code {child.returncode} without a word."
        raise PermanentFailure(f"Migrations: {said}")
    return ", ".join(child.stdout.splitlines())
