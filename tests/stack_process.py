"""`aegis up` as a user starts it: a process of its own, on a free port, with data of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from deployments import leftovers
from deployments.api import PrefectApi
from deployments.embedded_postgres import EmbeddedPostgres
from deployments.jobs import Scheduler
from tests.loopback import free_port
from tests.waiting import wait_until

PROJECT = Path(__file__).resolve().parent.parent
READY = "Ctrl-C stops everything"


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """A directory that the database's own user can reach; pytest's are closed to it."""
    directory = Path(tempfile.mkdtemp(prefix="aegis-test-", dir="/var/tmp"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class StackProcess:
    """One installation: its data directory, its port, and `aegis up` on it as often as wanted."""

    up: tuple[str, ...] = (str(Path(sys.executable).parent / "aegis"), "up")

    def __init__(self, directory: Path, **settings: str) -> None:
        self.root, self.port = directory / "data", free_port()
        self.output = directory / "output.txt"
        self.api = PrefectApi(f"http://127.0.0.1:{self.port}/api")
        self.scheduler = Scheduler(self.api)
        self.postgres = EmbeddedPostgres(self.root)
        self.process: subprocess.Popen[bytes] | None = None
        ours = ("AEGIS_", "POSTGRES_", "PREFECT_", "DOCKER_HOSTS", "COVERAGE")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
            "AEGIS_DATA_DIR": str(self.root),
            "AEGIS_PORT": str(self.port),
            "AEGIS_JOURNAL_DIR": str(directory / "journal"),
            **settings,
        }

    def aegis(self, *arguments: str, timeout_seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """One `aegis` command, to its end."""
        return subprocess.run(
            [Path(sys.executable).parent / "aegis", *arguments],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
        )

    def start(self) -> str:
        """`aegis up` until it is ready; what it said."""
        self.output.write_text("")
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self.up,
                cwd=PROJECT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        process = self.process
        wait_until(
            lambda: READY in self.said() or process.poll() is not None,
            description=f"`aegis up`: {self.output}",
            timeout_seconds=150,
            every_seconds=0.2,
        )
        assert process.poll() is None, self.said()
        return self.said()

    def said(self) -> str:
        return self.output.read_text()

    def child(self, *words: str) -> psutil.Process | None:
        """The process of the stack whose command has these words."""
        for process in leftovers.marked(self.root):
            try:
                if all(word in process.cmdline() for word in words):
                    return process
            except psutil.NoSuchProcess:
                continue
        return None

    def server(self) -> psutil.Process | None:
        return self.child("prefect", "server")

    def worker(self) -> psutil.Process | None:
        return self.child("prefect", "worker")

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ctrl-C; the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=90)

    def remains(self) -> list[psutil.Process]:
        """Processes that are still there, the database's own among them."""
        pid = self.postgres.pid()
        return leftovers.marked(self.root) + ([psutil.Process(pid)] if pid else [])

    def kill_everything(self) -> None:
        """`kill -9` of the parent first, so that it cannot tidy up, then of all it started."""
        assert self.process is not None
        pids = [process.pid for process in self.remains()]
        self.process.kill()
        self.process.wait()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def close(self) -> None:
        """End whatever a failed test left."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        leftovers.end(leftovers.marked(self.root))
        self.postgres.stop()
        self.api.close()
