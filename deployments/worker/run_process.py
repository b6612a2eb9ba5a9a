"""What happens in the process of one run: it is made the run's own, then Prefect's engine does the work.

Used by a process forked from a warm one and, where nothing can be forked, by one started for it
(`python -m deployments.worker.run_process SOCKET`). The worker speaks to it over its channel:

    -> {"op": "run" | "hooks", "flow_run", "deployment", "state", "environment", "settings_differ",
        "directory", "limits", "stream_output", "infrastructure_pid", "shared"}
                                                            first, once; a closed channel means: not needed
    -> {"cancel": true}, then SIGTERM                       cancel
    -> {"suspended": state}                                 pause at the next step
    <- {"timeout_seconds"}, {"log"}, {"concluded"}

Behaves as `python -m prefect.engine` does, which is what Prefect's own process worker starts. It must not
keep anything that belongs to the process it was forked from.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import importlib
import inspect
import io
import os
import random
import resource
import select
import shlex
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NoReturn

import anyio
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import SyncClientContext, refresh_global_settings_context
from prefect.engine import handle_engine_signals
from prefect.exceptions import MissingFlowError
from prefect.flow_engine import load_flow, run_flow
from prefect.flows import Flow, load_flow_from_entrypoint, load_function_and_convert_to_flow
from prefect.logging.configuration import setup_logging
from prefect.logging.handlers import emit_api_log, set_api_log_sink
from prefect.logging.loggers import flow_run_logger
from prefect.settings import get_current_settings
from rich.console import Console

from aegis_lib import isolation
from deployments.worker import prefect_internals, process_title
from deployments.worker.wire import Decoder, Message, encode

_USED_LATER = (
    "prefect.main",  # sets up logging, as Prefect's engine does
    "prefect.task_engine",
    "prefect.task_runners",
    "prefect.events.clients",
    "prefect.events.worker",
    "prefect.runtime.flow_run",
    "prefect.deployments.steps.core",
    "pydantic.v1",  # when parameters are validated
    "websockets.asyncio.client",
)
SET_DIRECTORY = "prefect.deployments.steps.set_working_directory"
_SEND_SECONDS = 10.0
_READ_BYTES = 65536

Flows = dict[str, Flow[Any, Any]]
_client_context: SyncClientContext | None = None


def warm() -> None:
    """Prepare what every run needs and what may be made before the fork. Opens no connection."""
    global _client_context
    for module in _USED_LATER:
        importlib.import_module(module)
    asyncio.run(anyio.sleep(0))  # anyio imports its half for asyncio when it is first used
    Console(file=io.StringIO()).print("[bold]:warning:[/bold]")  # and rich its emoji
    if get_current_settings().api.url:
        _client_context = SyncClientContext()


def become(channel: socket.socket, flows: Flows) -> NoReturn:
    """Be the process of the run that comes over `channel`; `flows` are those imported already."""
    code: Any = 1
    try:
        _own_process()
        code = _work(_Channel(channel), flows)
    except SystemExit as end:
        code = end.code
    finally:
        if error := sys.exc_info()[1]:
            traceback.print_exception(error)
        _leave(code)


def _own_process() -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()


class _Channel:
    """The run's side of the channel. Safe to be written to from several threads."""

    def __init__(self, channel: socket.socket) -> None:
        self._socket, self._decoder, self._lock = channel, Decoder(), threading.Lock()
        self._open = True
        self.cancelled = False
        self.suspended: State[Any] | None = None

    def first(self) -> Message | None:
        """What to do; None when the worker does not need us after all."""
        while data := self._socket.recv(_READ_BYTES):
            if found := self._decoder.feed(data):
                return found[0]
        return None

    def say(self, message: Message) -> bool:
        """Tell the worker; False when it is gone or does not listen."""
        with self._lock:
            if not self._open:
                return False
            try:
                self._socket.settimeout(_SEND_SECONDS)
                self._socket.sendall(encode(message))
            except OSError:
                self._open = False
            return self._open

    def look(self) -> None:
        """Take what the worker said meanwhile, without waiting."""
        with self._lock:
            while self._open and select.select([self._socket], [], [], 0)[0]:
                try:
                    data = self._socket.recv(_READ_BYTES)
                except OSError:
                    return
                if not data:
                    return
                for message in self._decoder.feed(data):
                    self.cancelled = self.cancelled or bool(message.get("cancel"))
                    if "suspended" in message:
                        self.suspended = State.model_validate(message["suspended"])

    def cancel_asked(self) -> bool:
        """Whether the worker told us to cancel."""
        self.look()
        return self.cancelled

    def suspended_state(self) -> State[Any] | None:
        """The state with which the server suspended this run, if it did."""
        self.look()
        return self.suspended


def _work(channel: _Channel, flows: Flows) -> int:
    order = channel.first()
    if order is None:
        return 0
    flow_run = FlowRun.model_validate(order["flow_run"])
    process_title.set_title(process_title.run_title(str(flow_run.id), flow_run.name))
    known = _take_over(order, flows)
    _limit(order["limits"])
    set_api_log_sink(_log_sink(channel))
    client = _client(order)
    with client as opened:
        if opened is not None:
            prefect_internals.adopt(opened.client, order["shared"], order["infrastructure_pid"])
        if order["op"] == "hooks":
            return _hooks(flow_run, _flow(flow_run, order, known), State.model_validate(order["state"]))
        prefect_internals.prepare_engine(channel.cancel_asked, channel.suspended_state)
        return _run(channel, flow_run, order, known)


def _take_over(order: Message, flows: Flows) -> Flows:
    """Put on the run's environment, directory and output; returns the flows that are still good in them."""
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["directory"])
    if not order["stream_output"]:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        os.close(nowhere)
    if order["settings_differ"]:
        refresh_global_settings_context()
        setup_logging(incremental=False)
        return {}
    return flows


def _client(order: Message) -> AbstractContextManager[SyncClientContext | None]:
    if order["settings_differ"] or _client_context is None:
        return nullcontext()
    return _client_context


def _limit(limits: Message) -> None:
    if seconds := limits.get("cpu_seconds"):
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    if files := limits.get("open_files"):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = files if most == resource.RLIM_INFINITY else min(files, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))


def _log_sink(channel: _Channel) -> Callable[[dict[str, Any]], None]:
    def send(line: dict[str, Any]) -> None:
        if not channel.say({"log": line}):
            set_api_log_sink(None)  # the worker is gone: from now on we send them ourselves
            emit_api_log(line)

    return send


def _flow(flow_run: FlowRun, order: Message, known: Flows) -> Flow[Any, Any]:
    """The run's flow: imported already, else from the directory its deployment names, else by Prefect."""
    deployment = order["deployment"] or {}
    entrypoint, directory = deployment.get("entrypoint"), directory_of(deployment)
    if not entrypoint or directory is None:
        return load_flow(flow_run)
    os.chdir(directory)
    if entrypoint in known:
        return known[entrypoint]
    try:
        return load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    except MissingFlowError:
        return load_function_and_convert_to_flow(entrypoint)


def directory_of(deployment: Message) -> str | None:
    """Where the code of a deployment lies, if that is all there is to know before it can be imported."""
    steps = deployment.get("pull_steps") or []
    if len(steps) != 1 or list(steps[0]) != [SET_DIRECTORY]:
        return None
    directory = (steps[0][SET_DIRECTORY] or {}).get("directory")
    return directory if isinstance(directory, str) and os.path.isdir(directory) else None


def _run(channel: _Channel, flow_run: FlowRun, order: Message, known: Flows) -> int:
    with handle_engine_signals(flow_run.id):
        log: Any = flow_run_logger(flow_run=flow_run)
        try:
            flow = _flow(flow_run, order, known)
        finally:
            if sys.exc_info()[1]:
                log.error("Unexpected exception encountered when trying to load flow", exc_info=True)
        if seconds := order["limits"].get("timeout_seconds"):
            flow = flow.with_options(timeout_seconds=seconds)
        channel.say({"timeout_seconds": _longest_seconds(flow_run, flow)})
        with prefect_internals.run_metrics(flow_run, flow):
            prefect_internals.drive(flow, run_flow(flow, flow_run=flow_run, error_logger=log))
    channel.say({"concluded": True})
    return 0


def _longest_seconds(flow_run: FlowRun, flow: Flow[Any, Any]) -> float | None:
    """How long the run may take with all its attempts and their pauses; None without a time-out."""
    if flow.timeout_seconds is None:
        return None
    policy = flow_run.empirical_policy
    retries = (policy.retries if policy.retries is not None else flow.retries) or 0
    delay = policy.retry_delay if policy.retry_delay is not None else flow.retry_delay_seconds
    pause = max(delay, default=0) if isinstance(delay, list) else delay or 0
    return float(flow.timeout_seconds * (1 + retries) + pause * retries)


def _hooks(flow_run: FlowRun, flow: Flow[Any, Any], state: State[Any]) -> int:
    """Run the hooks for a state that the run's own process could not report any more."""
    log = flow_run_logger(flow_run, flow)
    hooks = (
        flow.on_cancellation_hooks if state.is_cancelled() or state.is_cancelling() else flow.on_crashed_hooks
    )
    broken = 0
    for hook in hooks:
        name = getattr(hook, "__name__", shlex.quote(repr(hook)))
        log.info("Running hook %r in response to entering state %r", name, state.name)
        failure = isolation.attempt(partial(_call, hook, flow, flow_run, state))
        if isinstance(failure, Exception):
            broken += 1
            log.error("An error was encountered while running hook %r", name, exc_info=failure)
        else:
            log.info("Hook %r finished running successfully", name)
    return 1 if broken else 0


def _call(hook: Callable[..., Any], *arguments: Any) -> None:
    """Call a hook, and finish what it returns where that is a coroutine."""
    result = hook(*arguments)

    async def awaited() -> None:
        await result

    if inspect.isawaitable(result):
        asyncio.run(awaited())


def _leave(code: Any) -> NoReturn:
    """End as an interpreter does: wait for threads, run exit functions, flush; but take nothing apart."""
    number = code if isinstance(code, int) else 0 if code is None else 1
    gc.disable()
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(number & 0xFF)


if __name__ == "__main__":
    warm()
    become(socket.socket(fileno=int(sys.argv[1])), {})
