"""Engines behind ssh and TLS, each with a real server of the protocol in front of the real engine."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import paramiko
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aegis_lib.adapters.docker_engine import engines
from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured
from aegis_lib.metrics.model import ContainerCounters
from aegis_lib.settings import DockerSettings
from tests.docker_boxes import Boxes
from tests.waiting import wait_until

ENGINE = "/var/run/docker.sock"


def bridge(one: socket.socket, other: socket.socket) -> None:
    """Copy both ways until one side ends."""

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError, EOFError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError, EOFError):
            target.shutdown(socket.SHUT_RDWR)

    back = threading.Thread(target=copy, args=(other, one))
    back.start()
    copy(one, other)
    back.join(timeout=10)


# --- ssh ---


class _Login(paramiko.ServerInterface):
    """Lets one key in, and runs only what Docker asks for."""

    def __init__(self, key: paramiko.PKey) -> None:
        self.key = key

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        same = key.asbytes() == self.key.asbytes()
        return paramiko.AUTH_SUCCESSFUL if same else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        if command != b"docker system dial-stdio":
            return False
        threading.Thread(target=self._dial, args=(channel,)).start()
        return True

    def _dial(self, channel: paramiko.Channel) -> None:
        with suppress(OSError, EOFError, paramiko.SSHException), socket.socket(socket.AF_UNIX) as engine:
            engine.connect(ENGINE)
            bridge(channel, engine)
            channel.close()


class Sshd:
    """An ssh server on loopback with fresh keys; `home` has what a client needs to get in."""

    def __init__(self, home: Path) -> None:
        self.host_key, self.user_key = paramiko.RSAKey.generate(2048), paramiko.RSAKey.generate(2048)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.transports: list[paramiko.Transport] = []
        self.home = home / ".ssh"
        self.home.mkdir()
        self.user_key.write_private_key_file(str(self.home / "id_rsa"))
        known = f"[127.0.0.1]:{self.port} {self.host_key.get_name()} {self.host_key.get_base64()}\n"
        (self.home / "known_hosts").write_text(known)
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    @property
    def address(self) -> str:
        return f"ssh://me@127.0.0.1:{self.port}"

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                transport = paramiko.Transport(client)
                transport.add_server_key(self.host_key)
                self.transports.append(transport)
                with suppress(paramiko.SSHException, EOFError):
                    transport.start_server(server=_Login(self.user_key))

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(timeout=10)
        for transport in self.transports:
            transport.close()
            transport.join(timeout=10)


@pytest.fixture
def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    server = Sshd(tmp_path)
    yield server
    server.close()


def ask(settings: DockerSettings) -> AegisError:
    with engines.connect(settings) as (engine,), pytest.raises(AegisError) as caught:
        engine.containers()
    return caught.value


def test_an_engine_over_ssh_is_watched_and_its_container_restarted(boxes: Boxes, sshd: Sshd) -> None:
    container = boxes.make("web", "echo hello; sleep 600")
    wait_until(lambda: boxes.state(container)["Running"], description="the container to run")
    with engines.connect(DockerSettings(hosts=f"nas={sshd.address}")) as (engine,):
        assert [(c.engine, c.id) for c in engine.containers(boxes.only_label)] == [("nas", container)]
        several = [container, *(boxes.make(f"other{number}") for number in range(12))]
        assert set(several) <= {one.id for one in engine.running()}
        assert {one: type(said) for one, said in engine.counters(several).items()} == dict.fromkeys(
            several, ContainerCounters
        )
        before = engine.inspect(container)
        assert engine.restart(container, 0).outcome.value == "restarted"
        after = engine.inspect(container)
        assert before is not None
        assert after is not None
        assert after.started_at != before.started_at
        assert "hello" in engine.logs(container, 5, 100)


def test_an_unknown_host_key_is_refused(boxes: Boxes, sshd: Sshd) -> None:
    (sshd.home / "known_hosts").write_text("")
    said = ask(DockerSettings(hosts=sshd.address))
    assert isinstance(said, DependencyUnavailable)
    assert "not found in known_hosts" in str(said)
    assert f"ssh me@127.0.0.1:{sshd.port} docker version" in str(said)


def test_a_key_that_is_not_let_in_is_said(boxes: Boxes, sshd: Sshd) -> None:
    paramiko.RSAKey.generate(2048).write_private_key_file(str(sshd.home / "id_rsa"))
    assert "no connection over ssh: Authentication failed" in str(ask(DockerSettings(hosts=sshd.address)))


# --- TLS ---


class Authority:
    """Makes certificates: one of its own, and those it signs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        made = self._build(self.name, self.key.public_key(), authority=True)
        (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def sign(self, name: str) -> None:
        """Write NAME.pem and NAME-key.pem; valid for 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._build(subject, key.public_key(), authority=False)
        (self.folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        plain = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.folder / f"{name}-key.pem").write_bytes(plain)

    def _build(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, authority: bool
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(identifier, critical=False)
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        )
        return builder.sign(self.key, hashes.SHA256())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "tls")
    made.sign("server")
    made.sign("client")
    (made.folder / "cert.pem").write_bytes((made.folder / "client.pem").read_bytes())
    (made.folder / "key.pem").write_bytes((made.folder / "client-key.pem").read_bytes())
    return made


@pytest.fixture
def tls_address(authority: Authority) -> Iterator[str]:
    """The engine behind TLS that asks for a certificate of the client, as dockerd --tlsverify does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.folder / "server.pem", authority.folder / "server-key.pem")
    context.load_verify_locations(authority.folder / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with (
                suppress(OSError),
                context.wrap_socket(self.request, server_side=True) as client,
                socket.socket(socket.AF_UNIX) as engine,
            ):
                engine.connect(ENGINE)
                bridge(client, engine)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = False

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"tcp://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_an_engine_over_tls_is_watched_whatever_the_machine_trusts(
    boxes: Boxes, authority: Authority, tls_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
    boxes.make("web")
    settings = DockerSettings(hosts=f"nas={tls_address}", cert_path=authority.folder)
    with engines.connect(settings) as (engine,):
        assert [c.engine for c in engine.containers(boxes.only_label)] == ["nas"]


def test_an_engine_of_another_authority_is_not_trusted(
    boxes: Boxes, authority: Authority, tls_address: str, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other")
    (authority.folder / "ca.pem").write_bytes((other.folder / "ca.pem").read_bytes())
    said = ask(DockerSettings(hosts=f"nas={tls_address}", cert_path=authority.folder))
    assert isinstance(said, Misconfigured)
    assert "DOCKER_CERT_PATH" in str(said)
