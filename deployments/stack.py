"""`aegis up` and `aegis down`: PostgreSQL, Prefect server, jobs and worker as one thing on one machine.

Starts the parts in order and keeps them running until it is told to stop. What a part is stands elsewhere;
here stands only their order. Listens on the loopback address alone, without a password: whoever may log in
to this machine may use it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from functools import partial

from aegis_lib import clock
from aegis_lib.errors import AegisError, DependencyUnavailable, PermanentFailure
from aegis_lib.settings import DatabaseSettings, InstallationSettings, PrefectApiSettings
from deployments import (
    catalogue,
    ledger,
    leftovers,
    run_watch,
    signals,
    stack_database,
    stack_lock,
    sync,
    work_pool,
)
from deployments.api import PrefectApi
from deployments.catalogue import WORK_POOL, Catalogue
from deployments.child_process import ChildProcess, trim
from deployments.dispatch_deputy import DispatchDeputy
from deployments.doctor import versions_check
from deployments.embedded_postgres import EmbeddedPostgres
from deployments.flow_facts import FlowFacts, read_flow_facts
from deployments.jobs import Scheduler
from deployments.migrating import migrate
from deployments.progress import Progress
from deployments.project import CATALOGUE, project_root
from deployments.stack_database import EmbeddedPart
from deployments.stack_environment import child_environment, renew_scratch_directory, server_environment
from deployments.supervisor import Supervisor
from deployments.watch import Watch
from deployments.work_pool import POOL_TYPE

SERVER_SECONDS = 180.0
WORKER_SECONDS = 120.0
SELF_TEST_SECONDS = 90.0
HOUSEKEEPING_SECONDS = 60.0
RUN_GRACE_SECONDS = 15.0
DOWN_SECONDS = 120.0
_LOOK_SECONDS = 0.25
_WATCH_SECONDS = 1.0
_INTERRUPTED = 130


def up() -> int:
    """Start everything and stay until Ctrl-C, SIGTERM or `aegis down`; return the exit code.

    Raises:
        AlreadyRunning: a stack runs on this data directory.
        Misconfigured: a setting cannot work, the port is taken, or the database refuses us.
        PermanentFailure: a part does not start, or the server plans no runs.
        DependencyUnavailable: an external database does not answer.
    """
    os.chdir(project_root())
    installation, database, progress = InstallationSettings(), DatabaseSettings(), Progress()
    with (
        signals.as_interrupts(),
        stack_lock.held(installation.root, installation.port, ui_url(installation.port)),
    ):
        stack = Stack(installation, database, progress)
        running = False
        try:
            stack.start()
            running = True
            stack.watch()
        except KeyboardInterrupt:
            return 0 if running else _INTERRUPTED
        finally:
            stack.stop()
    return 0


def down() -> int:
    """Stop the stack of this data directory, whoever started it, and what a killed one left; return 0.

    Raises:
        PermanentFailure: it may not be stopped by us, or does not stop.
    """
    progress, root = Progress(), InstallationSettings().root
    holder = stack_lock.holder(root)
    if holder is not None:
        try:
            os.kill(holder.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass  # it ended by itself just now
        except PermissionError as error:
            raise PermanentFailure(
                f"aegis up runs as another user (process {holder.pid}). Fix: run `aegis down` as that user."
            ) from error
        with progress.stage("aegis up"):
            _wait(
                lambda: not stack_lock.is_held(root),
                DOWN_SECONDS,
                PermanentFailure(f"aegis up (process {holder.pid}) does not stop. Fix: end that process."),
            )
        progress.plain("Stopped.")
        return 0
    server = EmbeddedPostgres(root)
    count = leftovers.end(leftovers.marked(root)) + server.is_running()
    server.stop()
    progress.plain(
        f"Stopped {count} processes that a killed `aegis up` had left." if count else "Nothing is running."
    )
    return 0


def ui_url(port: int) -> str:
    """Address of the pages of the server on this machine."""
    return f"http://127.0.0.1:{port}"


def worker_name() -> str:
    """The worker's name: the same at every start, so that its orphaned runs are found again."""
    return f"aegis-{socket.gethostname()}"


class Stack:
    """The parts of one installation."""

    def __init__(
        self, installation: InstallationSettings, database: DatabaseSettings, progress: Progress
    ) -> None:
        self._installation, self._database, self._progress = installation, database, progress
        self._root, self._project = installation.root, project_root()
        self._logs = self._root / "logs"
        secret = PrefectApiSettings().auth_string  # only where somebody set it; the server then asks for it
        self._api = PrefectApi(
            f"{ui_url(installation.port)}/api", auth_string=secret.get_secret_value() if secret else None
        )
        self._supervisor = Supervisor(progress.say)
        self._presence = ledger.Presence(database)
        self._deputy = DispatchDeputy(
            self._api, child_environment(installation), self._project, self._logs, clock.utcnow()
        )
        self._watch = Watch(
            self._api, installation, database, self._presence, self._deputy, self._progress.say
        )

    def start(self) -> None:
        """Start every part in order; return when jobs are scheduled and a worker takes them."""
        versions = versions_check()
        if not versions.ok:
            raise PermanentFailure(f"{versions.detail}. Fix: {versions.fix}")
        jobs = catalogue.read(self._project / CATALOGUE)
        with ThreadPoolExecutor(max_workers=1) as aside:  # imports the flows while the server boots
            self._start(jobs, aside.submit(read_flow_facts, jobs.jobs, self._project))

    def _start(self, jobs: Catalogue, facts: Future[dict[str, FlowFacts]]) -> None:
        stage = self._progress.stage
        if count := leftovers.end(leftovers.marked(self._root)):
            self._progress.say(f"Stopped {count} processes that a killed `aegis up` had left.")
        self._require_free_port()
        renew_scratch_directory(self._installation)
        with stage("PostgreSQL") as told:
            if self._database.embedded:
                server = EmbeddedPostgres(self._root)
                self._supervisor.run(EmbeddedPart(server), time.monotonic())
                told.detail = "embedded, ready"
            else:
                told.detail = f"external, at {self._database.host}"
            stack_database.ensure_databases(self._database, self._installation)
        server_part = self._server()
        self._supervisor.run(server_part, time.monotonic())  # boots while we migrate
        with stage("Migrations") as told:
            told.detail = migrate(self._installation, self._project)
        with stage("Prefect server") as told:
            self._wait_for_server(server_part, facts)
            told.detail = "ready"
        work_pool.ensure(self._api)
        self._crash_orphans("Its worker was killed; found at the next start.")
        self._supervisor.run(RunsInFlight(self), time.monotonic())
        since, worker = clock.utcnow(), self._worker()
        self._supervisor.run(worker, time.monotonic())  # boots while we deploy
        with stage("Jobs") as told:
            told.detail = sync.deploy(self._api, jobs, root=self._project, facts=facts.result()).summary
            ledger.write_plan(jobs.jobs, facts.result(), self._database, since, ledger.on_server(self._api))
        with stage("Worker") as told:
            self._wait_for_worker(worker, since)
            told.detail = f"{worker_name()}, online"
        with stage("Self-test") as told:
            self._self_test()
            told.detail = "every schedule has a next run"
        self._presence.beat(self._api, clock.utcnow())
        self._show_jobs()

    def watch(self) -> None:
        """Keep the parts running, for ever; only an interrupt ends this."""
        next_look = time.monotonic() + HOUSEKEEPING_SECONDS / 6
        while True:
            now = time.monotonic()
            self._supervisor.tick(now)
            if now >= next_look:
                self._keep_house(clock.utcnow())
                next_look = time.monotonic() + HOUSEKEEPING_SECONDS
            time.sleep(_WATCH_SECONDS)

    def stop(self) -> None:
        """Stop every part in reverse order. Runs in flight get 15 s; a second Ctrl-C takes that away."""
        self._presence.stop(clock.utcnow())
        if self._supervisor.busy:
            self._await_runs()
            with signals.ignored(), self._progress.stage("Stopping") as told:
                self._deputy.stop()
                self._supervisor.stop()
                told.detail = "done"
        self._api.close()

    def end_runs(self) -> None:
        """End the processes of runs that are left, and tell the server."""
        leftovers.end(leftovers.run_processes(self._root), grace_seconds=3)
        self._crash_orphans("Stopped together with the worker by `aegis down` or Ctrl-C.")

    def _await_runs(self) -> None:
        deadline, told = time.monotonic() + RUN_GRACE_SECONDS, False
        try:
            while (runs := leftovers.living_runs(self._root)) and time.monotonic() < deadline:
                if not told:
                    self._progress.say(
                        f"Waiting up to {RUN_GRACE_SECONDS:.0f} s for {len(runs)} running jobs "
                        "(Ctrl-C again stops them)."
                    )
                    told = True
                time.sleep(_LOOK_SECONDS)
        except KeyboardInterrupt:
            return

    def _require_free_port(self) -> None:
        port = self._installation.port
        if owner := leftovers.port_owner(port):
            raise PermanentFailure(
                f"AEGIS_PORT: port {port} on 127.0.0.1 is taken by {owner}. "
                "Fix: stop it, or set AEGIS_PORT to another port."
            )

    def _server(self) -> ChildProcess:
        address = ("--host", "127.0.0.1", "--port", str(self._installation.port))
        return ChildProcess(
            "Prefect server",
            [sys.executable, "-m", "prefect", "server", "start", *address],
            server_environment(self._installation, self._database),
            self._project,
            self._logs / "server.log",
            grace_seconds=15,
        )

    def _worker(self) -> ChildProcess:
        options = ("--pool", WORK_POOL, "--type", POOL_TYPE, "--name", worker_name())
        return ChildProcess(
            "worker",
            [sys.executable, "-m", "prefect", "worker", "start", *options],
            {**child_environment(self._installation), "AEGIS_WORKER_DRAIN_SECONDS": "0"},  # we waited before
            self._project,
            self._logs / "worker.log",
            grace_seconds=25,
        )

    def _wait_for_server(self, part: ChildProcess, facts: Future[dict[str, FlowFacts]]) -> None:
        def ready() -> bool:
            self._require_alive(part)
            if facts.done():
                facts.result()  # a flow that cannot be imported is said now, not after the wait
            return self._api.healthy()

        failure = PermanentFailure(
            f"The Prefect server is not ready after {SERVER_SECONDS:.0f} s: {part.last_words()} "
            f"Fix: see {part.log_file}."
        )
        _wait(ready, SERVER_SECONDS, failure)

    def _wait_for_worker(self, part: ChildProcess, since: datetime) -> None:
        def seen() -> bool:
            self._require_alive(part)
            return run_watch.worker_seen_since(self._api, worker_name(), since)

        failure = PermanentFailure(
            f"The worker did not report within {WORKER_SECONDS:.0f} s: {part.last_words()} "
            f"Fix: see {part.log_file}."
        )
        _wait(seen, WORKER_SECONDS, failure)

    def _require_alive(self, part: ChildProcess) -> None:
        if not part.is_alive():
            raise PermanentFailure(
                f"{part.name} does not start ({part.why_ended()}): {part.last_words()} "
                f"Fix: see {part.log_file}."
            )

    def _self_test(self) -> None:
        missing: list[str] = []

        def planned() -> bool:
            missing[:] = run_watch.without_future_run(self._api, clock.utcnow())
            return not missing

        if not _holds_within(planned, SELF_TEST_SECONDS):
            raise PermanentFailure(
                f"The Prefect server plans no runs for {', '.join(missing)}, although it says it is healthy. "
                f"Fix: run `aegis doctor` for the versions, and see {self._logs / 'server.log'}."
            )

    def _show_jobs(self) -> None:
        jobs = Scheduler(self._api).list_jobs()
        self._progress.plain()
        self._progress.table(
            ("JOB", "SCHEDULE", "NEXT RUN (UTC)"),
            [(job.id, job.schedule or "on demand", job.next_words(clock.utcnow())) for job in jobs],
        )
        self._progress.plain()
        self._progress.plain(f"Prefect UI: {ui_url(self._installation.port)}   Ctrl-C stops everything.")

    def _crash_orphans(self, why: str, states: Sequence[str] = run_watch.CLAIMED) -> None:
        living = partial(leftovers.living_runs, self._root)
        try:
            crashed = run_watch.crash_orphans(self._api, worker_name(), living, clock.utcnow(), why, states)
        except DependencyUnavailable:
            return  # the server is away; the next start finds them
        for row in crashed:
            self._progress.say(f"Run {row['name']} had no process any more: Crashed.")

    def _keep_house(self, now: datetime) -> None:
        """Keep logs small, crash orphans, look after the rest."""
        for log in self._logs.glob("*.log"):
            trim(log)
        self._crash_orphans("Its process died with a worker that was killed.", ("RUNNING",))
        self._watch.look(now)


class RunsInFlight:
    """Stands between server and worker in the order of stopping: ends what the worker left running."""

    name = "runs in flight"

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def start(self) -> None:
        """Nothing is started: the worker does that."""

    def is_alive(self) -> bool:
        """Always."""
        return True

    def why_ended(self) -> str:
        """Never asked."""
        return ""

    def stop(self) -> None:
        """End what is left; the server still runs and is told."""
        self._stack.end_runs()


def _wait(condition: Callable[[], bool], seconds: float, failure: AegisError) -> None:
    if not _holds_within(condition, seconds):
        raise failure


def _holds_within(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


if __name__ == "__main__":
    try:
        sys.exit(up())
    except AegisError as problem:
        sys.stderr.write(f"{problem}\n")
        sys.exit(1)
