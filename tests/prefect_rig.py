"""A Prefect server on embedded PostgreSQL, with workers, in a directory of its own; and what it all costs.

Used by the tests and the benchmarks of the worker. Everything it starts ends with it; it listens on the
loopback address only.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from deployments.api import PrefectApi
from deployments.embedded_postgres import EmbeddedPostgres
from tests.loopback import free_port
from tests.process_costs import cpu_seconds

ROOT = Path(__file__).resolve().parent.parent
OVER = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
FLOW = '''\
"""A job that does nothing."""

from prefect import flow


@flow
def noop():
    """Do nothing."""
'''


class Rig:
    """One server and any number of workers."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.directory, self.port = directory, free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.api = PrefectApi(self.url)
        self._feeders = [self.api]
        self.project = directory / "project"
        (self.project / "flows").mkdir(parents=True)
        self.flow("noop", FLOW)
        shutil.copy(ROOT / "prefect.toml", self.project)
        self.postgres = EmbeddedPostgres(directory / "data")
        self.temporary = directory / "tmp"
        self.temporary.mkdir()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "AEGIS_", "POSTGRES_"))},
            "PREFECT_HOME": str(directory / "prefect"),
            "TMPDIR": str(self.temporary),  # Prefect's own worker has one for all users in /tmp
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{self.port}",
            "NO_COLOR": "1",
            **settings,
        }

    def start(self) -> None:
        self.postgres.start()
        access = self.postgres.connection("postgres")
        with psycopg.connect(**access, autocommit=True) as connection:
            connection.execute("CREATE DATABASE prefect")
        self.start_server()

    def start_server(self) -> None:
        """Start the server and wait until it answers."""
        access = self.postgres.connection("prefect")
        url = f"postgresql+asyncpg://{access['user']}:{access['password']}@/prefect?host={access['host']}"
        self._start(
            "server",
            ["server", "start", "--host", "127.0.0.1", "--port", str(self.port)],
            {"PREFECT_SERVER_DATABASE_CONNECTION_URL": url},
        )
        self.wait(self.api.healthy, "the server", 120)

    def _start(self, name: str, words: list[str], settings: dict[str, str] | None = None) -> None:
        with (self.directory / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "prefect", *words],
                cwd=self.project,
                env={**self.environment, **(settings or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def flow(self, name: str, text: str) -> None:
        (self.project / "flows" / f"{name}.py").write_text(text)

    def pool(self, name: str, kind: str) -> None:
        from prefect.workers.base import BaseWorker

        worker = BaseWorker.get_worker_class_from_type(kind)
        assert worker is not None
        template = worker.get_default_base_job_template()
        self.api.post("/work_pools/", {"name": name, "type": kind, "base_job_template": template})

    def worker(self, pool: str, kind: str, name: str | None = None, options: tuple[str, ...] = ()) -> None:
        """Start a worker and wait until the server knows it."""
        name = name or f"worker-{pool}"
        self._start(name, ["worker", "start", "--pool", pool, "--type", kind, "--name", name, *options])

        def online() -> bool:
            rows = self.api.filter(f"/work_pools/{pool}/workers/filter")
            return any(row["name"] == name and row["status"] == "ONLINE" for row in rows)

        self.wait(online, f"worker {name}", 90)

    def logs(self, run: str) -> list[str]:
        """What the server has of the run's lines, in the order of their times."""
        wanted = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}
        return [str(row["message"]) for row in self.api.filter("/logs/filter", wanted)]

    def overdue(self, deployment: str, since_seconds: float) -> None:
        """Have the server plan the runs that its schedule would have had until now, as its scheduler does."""
        now = datetime.now(UTC)
        window = {
            "start_time": (now - timedelta(seconds=since_seconds)).isoformat(),
            "end_time": now.isoformat(),
            "max_runs": 1000,
        }
        pool = f"/work_pools/{self.api.get(f'/deployments/{deployment}')['work_pool_name']}"
        self.api.patch(pool, {"is_paused": True})  # no worker may see them before they are as they should be
        self.api.post(f"/deployments/{deployment}/schedule", window)
        with psycopg.connect(**{**self.postgres.connection("postgres"), "dbname": "prefect"}) as connection:
            connection.execute(
                "UPDATE flow_run SET auto_scheduled = true WHERE deployment_id = %s", [deployment]
            )
        self.api.patch(pool, {"is_paused": False})

    def runs(self, deployment: str, **chosen: Any) -> list[dict[str, Any]]:
        """Runs of a deployment."""
        wanted = {"flow_runs": {"deployment_id": {"any_": [deployment]}, **chosen}, "sort": "ID_DESC"}
        return list(self.api.filter("/flow_runs/filter", wanted))

    def stop_server(self) -> None:
        """Ask the server to end, and wait until it has."""
        self.stop_worker("server")

    def stop_worker(self, name: str, number: int = signal.SIGTERM) -> None:
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(60)

    def deployment(
        self, name: str, pool: str, flow: str = "noop", function: str | None = None, **more: Any
    ) -> str:
        flow_id = self.api.post("/flows/", {"name": function or flow})["id"]
        steps = [{"prefect.deployments.steps.set_working_directory": {"directory": str(self.project)}}]
        body = {
            "name": name,
            "flow_id": flow_id,
            "entrypoint": f"flows/{flow}.py:{function or flow}",
            "work_pool_name": pool,
            "pull_steps": steps,
            "enforce_parameter_schema": False,
            **more,
        }
        return str(self.api.post("/deployments/", body)["id"])

    def trigger(self, deployment: str, parameters: dict[str, Any] | None = None) -> str:
        body = {"state": {"type": "SCHEDULED"}, "parameters": parameters or {}}
        return str(self.api.post(f"/deployments/{deployment}/create_flow_run", body)["id"])

    def feed(
        self, deployment: str, pool: str, runs: int, due: datetime | None = None, feeders: int = 1
    ) -> None:
        """Have so many runs wait, without the check of job variables that `trigger` costs the server."""
        flow = self.api.get(f"/deployments/{deployment}")["flow_id"]
        details = {"scheduled_time": due.isoformat()} if due else {}
        state = {"type": "SCHEDULED", "state_details": details}
        body = {"flow_id": flow, "deployment_id": deployment, "work_pool_name": pool, "state": state}
        while len(self._feeders) < feeders:
            self._feeders.append(PrefectApi(self.url))  # a connection is not for several threads
        shares = [range(number, runs, feeders) for number in range(feeders)]

        def post(api: PrefectApi, share: range) -> None:
            for _ in share:
                api.post("/flow_runs/", body)

        with ThreadPoolExecutor(feeders) as threads:
            list(threads.map(post, self._feeders, shares))

    def finish(self, run: str, seconds: float = 120, every: float = 1.0) -> dict[str, Any]:
        """The run when it is over. Each question costs the server processor time."""

        def over() -> dict[str, Any] | None:
            row: dict[str, Any] = self.api.get(f"/flow_runs/{run}")
            return row if row["state"]["type"] in OVER else None

        return self.wait(over, f"run {run}", seconds, every)

    def states(self, run: str) -> dict[str, datetime]:
        """When the run entered each state, by name; the first time where there were several."""
        rows = self.api.request("GET", "/flow_run_states/", params={"flow_run_id": run})
        found: dict[str, datetime] = {}
        for row in sorted(rows, key=lambda row: str(row["timestamp"])):
            found.setdefault(row["name"], datetime.fromisoformat(row["timestamp"]))
        return found

    def cpu_seconds(self) -> float:
        """Processor time so far of the server, of PostgreSQL and of all workers, with all they started."""
        return cpu_seconds(self.roots())

    def roots(self) -> list[int]:
        """The processes that all others here are children of."""
        pid = self.postgres.pid()
        return [*(process.pid for process in self.processes.values()), *([pid] if pid else [])]

    def wait(self, condition: Any, what: str, seconds: float, every: float = 0.1) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            if time.monotonic() > deadline:
                logs = "\n".join(f"{log}:\n{log.read_text()[-1500:]}" for log in self.directory.glob("*.log"))
                raise TimeoutError(f"{what} did not come within {seconds:.0f} s\n{logs}")
            time.sleep(every)
        return found

    def stop(self) -> None:
        for name in reversed(list(self.processes)):
            process = self.processes.pop(name)
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        self.api.close()
        self.postgres.stop()


@contextmanager
def running(**settings: str) -> Iterator[Rig]:
    """A server that runs for the time of a `with`."""
    directory = Path(tempfile.mkdtemp(prefix="aegis-bench-", dir="/var/tmp"))
    directory.chmod(0o755)
    rig = Rig(directory, **settings)
    try:
        rig.start()
        yield rig
    finally:
        rig.stop()
        shutil.rmtree(directory, ignore_errors=True)
