"""The environment of the stack's processes: what differs per installation. All else stands in prefect.toml.

The database's address with its password goes to the server alone, and never onto a command line.
"""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from aegis_lib.settings import DatabaseSettings, InstallationSettings
from deployments.leftovers import MARK
from deployments.stack_database import prefect_url

_DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"


def scratch_directory(installation: InstallationSettings) -> Path:
    """Where the children put temporary files: in `/tmp`, Prefect's worker uses one name for all users."""
    return installation.root / "tmp"


def renew_scratch_directory(installation: InstallationSettings) -> None:
    """Empty it. Only for who holds the installation's lock: nobody uses it then."""
    scratch = scratch_directory(installation)
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700, exist_ok=True)


def child_environment(installation: InstallationSettings) -> dict[str, str]:
    """What the worker and its runs get: our own environment, pointed at this installation."""
    root, port = installation.root, installation.port
    inherited = {name: value for name, value in os.environ.items() if name != _DATABASE}
    return {
        **inherited,
        MARK: str(root),
        "AEGIS_DATA_DIR": str(root),
        "AEGIS_PORT": str(port),
        "PREFECT_HOME": str(root / "prefect"),
        "TMPDIR": str(scratch_directory(installation)),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
        **time_zones(),
    }


def time_zones() -> dict[str, str]:
    """Have Python take time zones from its package, where it is installed, and not from the system's files.

    Prefect lists all zones each time it reads a schedule: 0.1 ms with the package, 6 ms with the files.
    """
    return {"PYTHONTZPATH": ""} if find_spec("tzdata") else {}


def server_environment(installation: InstallationSettings, database: DatabaseSettings) -> dict[str, str]:
    """What the server gets besides."""
    return {**child_environment(installation), **server_settings(installation, database)}


def server_settings(installation: InstallationSettings, database: DatabaseSettings) -> dict[str, str]:
    """What only the server knows: its database, and the addresses its own pages are opened at."""
    port = installation.port
    return {
        _DATABASE: prefect_url(database, installation),
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port},http://localhost:{port}",
    }
