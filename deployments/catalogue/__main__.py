"""`python -m deployments.catalogue readme` renews the job table of README.md. Does nothing else."""

from __future__ import annotations

import sys

from aegis_lib.errors import Misconfigured
from deployments.catalogue import read
from deployments.catalogue.table import renew
from deployments.project import project_root


def main(arguments: list[str]) -> int:
    """Exit code 0 when the table is current afterwards, 1 when the catalogue is wrong, 2 on wrong use."""
    if arguments != ["readme"]:
        sys.stderr.write("usage: python -m deployments.catalogue readme\n")
        return 2
    try:
        changed = renew(project_root() / "README.md", read())
    except Misconfigured as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"README.md: the job table {'was renewed' if changed else 'is current'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
