"""Mail servers of the tests: one that works and shows what it took, and one that breaks where it is told to.

`running()` is aiosmtpd, a kept SMTP server; `breaking()` speaks just enough to hang up at any point. Neither
passes anything on.
"""

from __future__ import annotations

import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Literal

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from tests.loopback import free_port

Point = Literal["banner", "EHLO", "MAIL", "RCPT", "DATA", "content", "dot"]


@dataclass
class Mailbox:
    """What the server took, and how it answers: `answers["RCPT"]` and so on replaces its usual answer."""

    port: int = 0
    envelopes: list[Envelope] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    logins: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    before_answer: Callable[[], None] | None = None
    """Called when a mail has come in whole, before the answer to its final dot."""

    @property
    def mails(self) -> list[EmailMessage]:
        """The mails it took, parsed strictly."""
        return [
            message_from_bytes(bytes(envelope.content or b""), policy=policy.default)  # type: ignore[misc]
            for envelope in self.envelopes
        ]

    async def handle_MAIL(
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.asked.append("MAIL")
        if "MAIL" in self.answers:
            return self.answers["MAIL"]
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.asked.append("RCPT")
        if "RCPT" in self.answers:
            return self.answers["RCPT"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        self.asked.append("DATA")
        if "DATA" in self.answers:
            return self.answers["DATA"]
        self.envelopes.append(envelope)
        if self.before_answer is not None:
            self.before_answer()
        return "250 2.0.0 queued as 42"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        """Whether the login is one of `logins`."""
        known = (
            isinstance(data, LoginPassword) and self.logins.get(data.login.decode()) == data.password.decode()
        )
        return AuthResult(success=known, handled=known, auth_data=data)


@contextmanager
def running(
    *,
    security: Literal["none", "tls", "starttls"] = "none",
    context: ssl.SSLContext | None = None,
    logins: dict[str, str] | None = None,
) -> Iterator[Mailbox]:
    """A mail server on loopback that takes everything, until it is told otherwise."""
    mailbox = Mailbox(port=free_port(), logins=logins or {})
    options: dict[str, Any] = {"hostname": "127.0.0.1", "port": mailbox.port}
    if security == "tls":
        options["ssl_context"] = context
    if security == "starttls":
        options |= {"tls_context": context, "require_starttls": True}
    if logins:
        options |= {
            "authenticator": mailbox.authenticate,
            "auth_required": True,
            "auth_require_tls": security == "starttls",
        }
    controller = _Controller(mailbox, **options)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Requiring AUTH while not requiring TLS")
        controller.start()
        try:
            yield mailbox
        finally:
            controller.stop()


class _Controller(Controller):
    def _trigger_server(self) -> None:
        """See that it answers. The library's own look checks the certificate against an address."""
        with socket.create_connection((self.hostname, self.port), 5):
            pass


@dataclass
class Breaking:
    """What the breaking server has seen: the content of each mail, complete or not."""

    port: int
    contents: list[bytes] = field(default_factory=list)
    complete: int = 0
    broke: threading.Event = field(default_factory=threading.Event)


@contextmanager
def breaking(
    at: Point, how: Literal["hang up", "reset", "fall silent", "babble"] = "hang up"
) -> Iterator[Breaking]:
    """A mail server that breaks at a point, in each connection; `babble` answers what no mail server does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        seen = Breaking(listening.getsockname()[1])
        ended = threading.Event()
        thread = threading.Thread(target=_serve, args=(listening, seen, at, how, ended), daemon=True)
        thread.start()
        try:
            yield seen
        finally:
            ended.set()
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", seen.port), 1).close()
            thread.join(10)


def _serve(listening: socket.socket, seen: Breaking, at: Point, how: str, ended: threading.Event) -> None:
    while not ended.is_set():
        connection, _ = listening.accept()
        with connection, suppress(OSError), connection.makefile("rb") as lines:
            if not ended.is_set():
                _talk(connection, lines, seen, at, how, ended)
        seen.broke.set()


def _talk(
    connection: socket.socket, lines: Any, seen: Breaking, at: Point, how: str, ended: threading.Event
) -> None:
    def broke(point: str) -> bool:
        if point != at:
            return False
        if how == "fall silent":
            ended.wait(20)
        if how == "babble":
            connection.sendall(b"what?\r\n")
        if how == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        return True

    if broke("banner"):
        return
    connection.sendall(b"220 breaking ESMTP\r\n")
    for line in lines:
        command = line[:4].decode().upper().strip()
        if broke(command):
            return
        if command == "QUIT":
            connection.sendall(b"221 bye\r\n")
            return
        if command != "DATA":
            connection.sendall(b"250 ok\r\n")
            continue
        connection.sendall(b"354 go on\r\n")
        seen.contents.append(b"")
        for text in lines:
            if text == b".\r\n":
                seen.complete += 1
                if broke("dot"):
                    return
                connection.sendall(b"250 taken\r\n")
                break
            seen.contents[-1] += text
            if broke("content"):
                return
