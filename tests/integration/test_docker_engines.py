"""Engines that fail in every way an operator meets: absent, denied, deaf, refusing; and engines over TCP."""

from __future__ import annotations

import os
import socket
import socketserver
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from aegis_lib import clock
from aegis_lib.adapters.docker_engine import engines, trouble
from aegis_lib.containers import service
from aegis_lib.containers.model import ContainersConfig, HealingReport, RestartOutcome
from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured
from aegis_lib.outcome import Outcome
from aegis_lib.settings import DockerSettings
from tests.docker_boxes import Boxes
from tests.fakes.alerts import FakeNotifier
from tests.fakes.containers import FakeStrikes
from tests.fakes.memory import FakeMemory

ENGINE = "/var/run/docker.sock"


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A directory whose path fits into a socket address and that others may enter."""
    with tempfile.TemporaryDirectory(prefix="aegis-", dir="/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@contextmanager
def deaf(path: Path) -> Iterator[str]:
    """An engine that accepts connections and never says a word."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(8)
        yield f"unix://{path}"


def ask(address: str, timeout_seconds: float = 5) -> AegisError:
    settings = DockerSettings(hosts=f"it={address}", timeout_seconds=timeout_seconds)
    with engines.connect(settings) as (engine,), pytest.raises(AegisError) as caught:
        engine.containers()
    return caught.value


def test_absent_denied_refused_and_silent_engines_are_told_apart(short_dir: Path) -> None:
    absent = ask(f"unix://{short_dir}/absent.sock")
    assert isinstance(absent, DependencyUnavailable)
    assert "there is no socket" in str(absent)
    assert "systemctl start docker" in str(absent)

    with deaf(short_dir / "deaf.sock") as address:
        began = time.monotonic()
        silent = ask(address, timeout_seconds=0.5)
        assert time.monotonic() - began < 5
        assert isinstance(silent, trouble.NoAnswer)
        assert "no answer within 0.5 s" in str(silent)

        (short_dir / "deaf.sock").chmod(0)
        with _as_somebody_else():
            denied = ask(address)
        assert isinstance(denied, Misconfigured)
        assert "this user may not use" in str(denied)
        assert "usermod -aG" in str(denied)

    # The file is still there, and nobody listens.
    (short_dir / "deaf.sock").chmod(0o666)
    refused = ask(f"unix://{short_dir}/deaf.sock")
    assert isinstance(refused, DependencyUnavailable)
    assert "connection refused" in str(refused)


@contextmanager
def _as_somebody_else() -> Iterator[None]:
    """Root may use every socket; become nobody for a moment."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_something_that_is_no_engine_is_said_to_be_none(short_dir: Path) -> None:
    class Web(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")

    with serving(socketserver.UnixStreamServer(str(short_dir / "web.sock"), Web)):
        said = ask(f"unix://{short_dir}/web.sock")
    assert isinstance(said, Misconfigured)
    assert "is no Docker engine" in str(said)


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Forwarder(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Passes a TCP port on to the engine's socket, and stops doing so for requests that `deaf_to` matches."""

    daemon_threads = True
    deaf_to: bytes | None = None
    released = threading.Event()

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Forwarded)

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.server_address[1]}"


class _Forwarded(socketserver.BaseRequestHandler):
    server: Forwarder

    def handle(self) -> None:
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect(ENGINE)
            back = threading.Thread(target=self._copy, args=(engine, self.request), daemon=True)
            back.start()
            self._copy(self.request, engine)
            back.join(timeout=5)

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                deaf_to = self.server.deaf_to
                if source is self.request and deaf_to and deaf_to in data:
                    self.server.released.wait(timeout=30)
                    return
                target.sendall(data)
        except OSError:
            return
        finally:
            for end in (source, target):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue


@pytest.fixture
def forwarder(boxes: Boxes) -> Iterator[Forwarder]:
    server = Forwarder()
    server.released = threading.Event()
    with serving(server):
        yield server
        server.released.set()


def cycle(hosts: str, boxes: Boxes, **changes: float) -> HealingReport:
    with engines.connect(DockerSettings(hosts=hosts, **{"timeout_seconds": 2, **changes})) as found:
        return service.run_cycle(
            found, FakeStrikes(), FakeMemory(), FakeNotifier(), ContainersConfig(), clock.utcnow(), False,
            only_label=boxes.only_label, strike_interval=timedelta(0),
        )  # fmt: skip


def test_engines_over_tcp_and_socket_are_watched_side_by_side(boxes: Boxes, forwarder: Forwarder) -> None:
    boxes.make("web", health="true")
    report = cycle(f"unix://{ENGINE},nas={forwarder.address}", boxes)
    title = boxes.name("web")
    assert [row.container for row in report.containers] == [title, f"nas/{title}"]


def test_a_hanging_engine_does_not_spoil_the_others(boxes: Boxes, short_dir: Path) -> None:
    boxes.make("web")
    with deaf(short_dir / "deaf.sock") as address:
        began = time.monotonic()
        report = cycle(f"unix://{ENGINE},stuck={address}", boxes, timeout_seconds=0.5)
    assert time.monotonic() - began < 10
    assert report.outcome is Outcome.DEGRADED
    assert "stuck: Docker engine stuck" in report.summary
    assert report.healthy == 1


def test_all_engines_hanging_is_a_transient_failure(boxes: Boxes, short_dir: Path) -> None:
    with deaf(short_dir / "deaf.sock") as address, pytest.raises(DependencyUnavailable, match="no answer"):
        cycle(address, boxes, timeout_seconds=0.5)


@pytest.fixture
def over_tcp(forwarder: Forwarder) -> Iterator[Callable[[bytes], engines.DockerEngine]]:
    made: list[engines.DockerEngine] = []

    def engine(deaf_to: bytes) -> engines.DockerEngine:
        forwarder.deaf_to = deaf_to
        made.append(engines.DockerEngine("nas", forwarder.address, DockerSettings(timeout_seconds=0.5)))
        return made[-1]

    yield engine
    for one in made:
        one.close()


def test_a_restart_that_is_never_answered_is_unknown_in_time(
    boxes: Boxes, over_tcp: Callable[[bytes], engines.DockerEngine]
) -> None:
    container = boxes.make("web")
    answer = over_tcp(b"/restart").restart(container, 0)
    assert answer.outcome is RestartOutcome.UNKNOWN
    assert "no answer within 0.5 s" in answer.detail


def test_a_silence_about_one_container_is_an_error_of_that_call_only(
    boxes: Boxes, over_tcp: Callable[[bytes], engines.DockerEngine]
) -> None:
    container = boxes.make("web")
    engine = over_tcp(b"/json HTTP")
    with pytest.raises(trouble.NoAnswer):
        engine.inspect(container)


def test_logs_that_are_never_answered_do_not_keep_the_human_waiting(
    boxes: Boxes, over_tcp: Callable[[bytes], engines.DockerEngine]
) -> None:
    container = boxes.make("web")
    assert (
        over_tcp(b"/logs").logs(container, 50, 1000).startswith("(the logs cannot be read: Docker engine nas")
    )


def test_only_the_last_bytes_of_endless_logs_are_kept(boxes: Boxes) -> None:
    container = boxes.make("web", "yes aaaaaaaaaaaaaaaaaaaa | head -n 5000; printf 'the end'; sleep 600")
    with engines.connect(DockerSettings()) as (engine,):
        text = engine.logs(container, 100_000, 500)
        assert len(text.encode()) <= 500
        assert engine.logs(container, 3, 500).count("\n") <= 2


def test_what_the_engine_refuses_is_an_answer(boxes: Boxes) -> None:
    container = boxes.make("web", start=False, network_mode="container:aegis-test-no-such-container")
    with engines.connect(DockerSettings()) as (engine,):
        answer = engine.restart(container, 0)
    assert answer.outcome in {RestartOutcome.REFUSED, RestartOutcome.GONE}
