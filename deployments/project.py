"""Where the project is: the directory of prefect.yaml, in which runs start. Reads nothing else."""

from __future__ import annotations

import os
from pathlib import Path

from aegis_lib.errors import Misconfigured

CATALOGUE = "prefect.yaml"


def project_root(start: Path | None = None) -> Path:
    """The project's directory, absolute.

    `AEGIS_PROJECT_DIR`, else the nearest directory with a prefect.yaml from `start` (default: the working
    directory) upwards, else the checkout this package stands in.

    Raises:
        Misconfigured: there is none, or AEGIS_PROJECT_DIR names a directory without one.
    """
    if named := os.environ.get("AEGIS_PROJECT_DIR"):
        root = Path(named).expanduser().resolve()
        if not (root / CATALOGUE).is_file():
            raise Misconfigured(
                "AEGIS_PROJECT_DIR", f"{root} holds no {CATALOGUE}.", "name the project's directory."
            )
        return root
    here = (start or Path.cwd()).resolve()
    for directory in (here, *here.parents, Path(__file__).resolve().parent.parent):
        if (directory / CATALOGUE).is_file():
            return directory
    raise Misconfigured(
        "AEGIS_PROJECT_DIR",
        f"is not set, and neither {here} nor a directory above it holds a {CATALOGUE}.",
        "change into the project's directory, or set it.",
    )
