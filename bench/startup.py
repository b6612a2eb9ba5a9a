"""How long `aegis up` takes until jobs are planned and a worker takes them: the first and the second time.

Runs the real command on an empty temporary directory and a free port, with the jobs of the catalogue, and
stops it each time as Ctrl-C does. At most four minutes. The last line is JSON.

    python bench/startup.py
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.loopback import free_port

PROJECT = Path(__file__).resolve().parent.parent
READY = "Ctrl-C stops everything"
LIMIT_SECONDS = 120
_PHASE = re.compile(r"^(?P<name>[A-Z][\w -]+?): .*\((?P<seconds>[\d.]+) s\)$")


def start_and_stop(environment: dict[str, str], output: Path) -> dict[str, float]:
    """Seconds of each phase that `aegis up` names, of the whole start (`total`) and of the stop."""
    began = time.monotonic()
    with output.open("wb") as file:
        process = subprocess.Popen(
            [Path(sys.executable).parent / "aegis", "up"],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    while READY not in output.read_text():
        if process.poll() is not None:
            sys.exit(f"aegis up ended:\n{output.read_text()}")
        if time.monotonic() - began > LIMIT_SECONDS:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
            sys.exit(f"aegis up was not ready after {LIMIT_SECONDS} s:\n{output.read_text()}")
        time.sleep(0.02)
    total = time.monotonic() - began
    stopping = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    lines = output.read_text().splitlines()
    phases = {found["name"]: float(found["seconds"]) for line in lines if (found := _PHASE.match(line))}
    phases.pop("Stopping", None)
    rest = total - sum(phases.values())
    return {**phases, "Other": rest, "total": total, "stop": time.monotonic() - stopping}


def main() -> None:
    directory = Path(tempfile.mkdtemp(prefix="aegis-bench-", dir="/var/tmp"))
    directory.chmod(0o755)  # the database's own user passes through it
    ours = ("AEGIS_", "POSTGRES_", "PREFECT_")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
        "AEGIS_DATA_DIR": str(directory / "data"),
        "AEGIS_PORT": str(free_port()),
        "AEGIS_JOURNAL_DIR": str(directory / "journal"),
    }
    try:
        fresh = start_and_stop(environment, directory / "first.txt")
        second = start_and_stop(environment, directory / "second.txt")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{'phase':<16}{'fresh s':>9}{'second s':>10}")
    for phase, seconds in fresh.items():
        print(f"{phase:<16}{seconds:>9.1f}{second.get(phase, 0):>10.1f}")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end")
    figures = {"fresh_seconds": round(fresh["total"], 1), "second_seconds": round(second["total"], 1)}
    print(json.dumps({**figures, "stop_seconds": round(second["stop"], 1), "cores": os.cpu_count()}))


if __name__ == "__main__":
    main()
