"""Gives one mail at a time to a mail server. Must not decide what is sent, nor try anything twice.

References: RFC 5321 (SMTP; section 4.2.5: who is responsible after the final dot), RFC 8314 (TLS for
submission), RFC 3834 (Auto-Submitted). What the mail server says is data from outside.

    before the final dot   4xx, connection lost, silence -> later   5xx -> refused
    after the final dot    250 -> accepted   4xx -> later   5xx -> refused   anything else -> unclear
"""

from __future__ import annotations

import email.policy
import ipaddress
import re
import smtplib
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, getaddresses

from aegis_lib.approvals.model import Handover, Letter, SendResult, address
from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured, NotConfigured, PermanentFailure
from aegis_lib.logs import get_logger
from aegis_lib.settings import MailSenderSettings

SYSTEM = "mail server"
LONGEST_SAID_CHARACTERS = 300
_PORTS = {"tls": 465, "starttls": 587, "none": 25}
_BARE_LINE_END = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_DOT_AT_START = re.compile(rb"(?m)^\.")
_HEADERS = {
    "from", "to", "subject", "date", "message-id", "in-reply-to", "references", "auto-submitted",
    "mime-version", "content-type", "content-transfer-encoding",
}  # fmt: skip
_MEND = "see that EMAIL_SMTP_HOST and EMAIL_SMTP_PORT lead to it, and the way out of this host."

log = get_logger(__name__)


class SmtpSender:
    """Implements the port `MailSender`: one connection for each mail."""

    def __init__(self, host: str, sender: Address, settings: MailSenderSettings) -> None:
        self._host, self._sender, self._settings = host, sender, settings
        self._port = settings.port or _PORTS[settings.security]

    def new_message_id(self, claim: str) -> str:
        """A Message-ID made of `claim`, of the sender's domain."""
        return f"<{claim}@{self._sender.domain.lower()}>"

    def send(self, letter: Letter, hand_over: Callable[[], bool]) -> SendResult:
        """Offer one mail. Right before the mail server is told that it is complete, `hand_over` is asked.

        Raises:
            DependencyUnavailable: the mail server does not answer, or lets nobody in now.
            Misconfigured: it refuses our login, our sender or our encryption, or has a wrong certificate.
            PermanentFailure: the mail cannot be written as one.
            Exception: whatever `hand_over` raises; the mail server does not have the mail then.
        """
        wire = _DOT_AT_START.sub(b"..", compose(letter, self._sender))
        with self._session() as session:
            result = self._offer(session, letter.content.recipient, wire, hand_over)
        log.info("mail_offered", message_id=letter.message_id, handover=result.handover.value)
        return result

    def _offer(
        self, session: smtplib.SMTP, recipient: str, wire: bytes, hand_over: Callable[[], bool]
    ) -> SendResult:
        try:
            code, said = session.mail(self._sender.addr_spec)
            if code >= 500:
                raise Misconfigured(
                    "EMAIL_FROM",
                    f"the mail server lets {self._sender.addr_spec} send nothing: {_text(code, said)}.",
                    "use an address that the login may send from, or ask the provider.",
                )
            if 200 <= code <= 299:
                code, said = session.rcpt(recipient)
            if 200 <= code <= 299:
                code, said = session.docmd("DATA")
            if code != 354:
                return _refusal(code, said)
            session.send(wire)
        except OSError as error:
            return SendResult(handover=Handover.LATER, said=f"The connection was lost: {_reason(error)}.")
        agreed = False
        try:
            agreed = hand_over()
        finally:
            if not agreed:  # hung up without the final dot, it must forget the mail (RFC 5321, 4.1.1.4)
                session.close()
        if not agreed:
            return SendResult(handover=Handover.WITHHELD)
        if _broke_off(session):
            session.close()
            return SendResult(handover=Handover.LATER, said="It broke off before the mail was complete.")
        try:
            session.send(b".\r\n")
            code, said = session.getreply()
        except OSError as error:
            return SendResult(
                handover=Handover.UNCLEAR,
                said=f"The connection was lost while the mail server should have answered: {_reason(error)}.",
            )
        if code == 250:
            return SendResult(handover=Handover.ACCEPTED, said=_text(code, said))
        if 400 <= code <= 599:
            return _refusal(code, said)
        return SendResult(
            handover=Handover.UNCLEAR, said=f"It answered what no mail server answers: {_text(code, said)}"
        )

    @contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        """A connection, encrypted and logged in as the settings say."""
        session, trouble = None, None
        try:
            session = self._connect()
            self._log_in(session)
        except OSError as error:  # also every error of smtplib and of ssl
            trouble = self._trouble(error)
        except AegisError:
            _close(session)
            raise
        if session is None or trouble is not None:
            _close(session)
            # out here: the library's errors may hold what was said during the login
            raise trouble or DependencyUnavailable(SYSTEM, "no connection.", _MEND)
        try:
            yield session
        finally:
            _close(session)

    def _connect(self) -> smtplib.SMTP:
        name, seconds = self._sender.domain, self._settings.timeout_seconds
        if self._settings.security == "tls":
            return smtplib.SMTP_SSL(
                self._host, self._port, name, timeout=seconds, context=ssl.create_default_context()
            )
        session = smtplib.SMTP(self._host, self._port, name, timeout=seconds)
        if self._settings.security == "starttls":
            with ExitStack() as undo:
                undo.callback(session.close)
                session.starttls(context=ssl.create_default_context())
                undo.pop_all()
        return session

    def _log_in(self, session: smtplib.SMTP) -> None:
        session.ehlo_or_helo_if_needed()
        if self._settings.user is not None and self._settings.password is not None:
            session.login(self._settings.user, self._settings.password.get_secret_value())

    def _trouble(self, error: OSError) -> AegisError:
        """What it means that there is no session. The password is in none of the texts."""
        where = f"{self._host}:{self._port}"
        match error:
            case smtplib.SMTPAuthenticationError() if error.smtp_code >= 500:
                return Misconfigured(
                    "EMAIL_SMTP_PASSWORD",
                    f"{where} refuses the login of {self._settings.user}: {self._login_reply(error)}.",
                    "correct EMAIL_SMTP_USER and EMAIL_SMTP_PASSWORD; many providers want an app password.",
                )
            case smtplib.SMTPAuthenticationError():
                return DependencyUnavailable(
                    SYSTEM, f"{where} lets nobody log in now: {self._login_reply(error)}.", _MEND
                )
            case smtplib.SMTPNotSupportedError() if "STARTTLS" in str(error):
                return Misconfigured(
                    "EMAIL_SMTP_SECURITY",
                    f"{where} offers no STARTTLS, so that everything would be sent in the clear.",
                    "use tls and port 465, or the port that the provider names.",
                )
            case smtplib.SMTPResponseException() if error.smtp_code >= 500:
                said = _text(error.smtp_code, _bytes(error.smtp_error))
                return Misconfigured(
                    "EMAIL_SMTP_HOST", f"{where} turns us away: {said}.", "ask the provider."
                )
            case smtplib.SMTPResponseException():
                said = _text(error.smtp_code, _bytes(error.smtp_error))
                return DependencyUnavailable(SYSTEM, f"{where} cannot now: {said}.", _MEND)
            case smtplib.SMTPServerDisconnected():
                return DependencyUnavailable(SYSTEM, f"{where} hung up.", _MEND)
            case smtplib.SMTPException():  # no AUTH at all, or no method that we know
                return Misconfigured(
                    "EMAIL_SMTP_USER",
                    f"{where} offers no login that we know.",
                    "unset EMAIL_SMTP_USER and EMAIL_SMTP_PASSWORD if it wants none.",
                )
            case ssl.SSLCertVerificationError():
                return Misconfigured(
                    "EMAIL_SMTP_HOST",
                    f"the certificate of {where} does not prove that it is that server: "
                    f"{error.verify_message}.",
                    "use the name that it is for; SSL_CERT_FILE may name your own authority.",
                )
            case ssl.SSLError():
                return Misconfigured(
                    "EMAIL_SMTP_SECURITY",
                    f"{where} does not speak TLS the way {self._settings.security} means it "
                    f"({error.reason or 'no reason given'}).",
                    "use starttls with port 587, or tls with port 465.",
                )
            case _:
                return DependencyUnavailable(SYSTEM, f"no connection to {where}: {_reason(error)}.", _MEND)

    def _login_reply(self, error: smtplib.SMTPAuthenticationError) -> str:
        """What it said to the login, without what a server might repeat of it."""
        said = _text(error.smtp_code, _bytes(error.smtp_error))
        if self._settings.password is None:
            return said
        plain = self._settings.password.get_secret_value()
        whole = f"\0{self._settings.user}\0{plain}"
        for secret in (plain, *(b64encode(text.encode()).decode() for text in (plain, whole))):
            said = said.replace(secret, "***")
        return said


def connect(settings: MailSenderSettings) -> SmtpSender:
    """The mail server that is set up. Nothing is connected before the first mail.

    Raises:
        NotConfigured: EMAIL_SMTP_HOST or EMAIL_FROM is not set.
        Misconfigured: one of the settings cannot work.
    """
    missing = [
        name
        for name, value in (("EMAIL_SMTP_HOST", settings.host), ("EMAIL_FROM", settings.sender))
        if value is None
    ]
    if settings.host is None or settings.sender is None:
        raise NotConfigured(*missing, purpose="send what was approved")
    if (settings.user is None) != (settings.password is None):
        absent = "EMAIL_SMTP_USER" if settings.user is None else "EMAIL_SMTP_PASSWORD"
        raise Misconfigured(absent, "is not set, but the other half of the login is.", "set both or neither.")
    host = settings.host.strip()
    if settings.security == "none" and not _is_this_machine(host):
        raise Misconfigured(
            "EMAIL_SMTP_SECURITY",
            f"is none, but {host} is not this machine: mail and password would travel in the clear.",
            "use tls or starttls.",
        )
    return SmtpSender(host, _sender(settings.sender), settings)


def _is_this_machine(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _sender(text: str) -> Address:
    parsed = getaddresses([text])
    try:
        name, spec = parsed[0] if len(parsed) == 1 else ("", text)
        local, _, domain = address(spec).rpartition("@")
        if not name.isprintable():
            raise ValueError("has a control character in its name")
        return Address(name, local, domain)
    except ValueError as error:
        raise Misconfigured(
            "EMAIL_FROM", f"{error}.", "write an address, or a name and an address: Ada <ada@example.org>."
        ) from None


def compose(letter: Letter, sender: Address) -> bytes:
    """The mail as it travels: 7-bit, lines that end in CR LF and nothing else, no dots doubled yet.

    Raises:
        PermanentFailure: it cannot be written so.
    """
    content = letter.content
    message = EmailMessage(policy=email.policy.SMTP)
    try:
        message["From"] = sender
        message["To"] = Address(addr_spec=content.recipient)
        message["Subject"] = content.subject
        decoded = str(message["Subject"])  # what some versions of the library then write as it is
        if "\r" in decoded or "\n" in decoded:
            raise ValueError("its subject hides the end of a line")
        message["Date"] = format_datetime(letter.date)
        message["Message-ID"] = letter.message_id
        message["Auto-Submitted"] = "auto-replied" if content.in_reply_to else "auto-generated"
        message.set_content(content.body, charset="utf-8", cte="quoted-printable")
        wire = _thread(letter) + message.as_bytes()
    except (ValueError, UnicodeError) as error:
        raise PermanentFailure(
            f"The mail cannot be written: {error}. Fix: propose it anew with plain words there."
        ) from None
    if not wire.isascii() or _BARE_LINE_END.search(wire) or not wire.endswith(b"\r\n") or _odd_headers(wire):
        raise PermanentFailure("The mail cannot be written: it would not be plain lines. Please report it.")
    return wire


def _odd_headers(wire: bytes) -> bool:
    """Whether a header came out that we did not put in."""
    lines = wire.partition(b"\r\n\r\n")[0].split(b"\r\n")
    names = [line.partition(b":")[0].decode().lower() for line in lines if line[:1] not in {b" ", b"\t"}]
    return len(names) != len(set(names)) or not set(names) <= _HEADERS


def _thread(letter: Letter) -> bytes:
    """The headers that tie it to a conversation. The library would encode long ids and break the thread."""
    content = letter.content
    lines = [f"In-Reply-To: {content.in_reply_to}"] if content.in_reply_to else []
    if content.references:
        lines.append("References: " + "\r\n ".join(content.references))
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


def _refusal(code: int, said: bytes) -> SendResult:
    for_good = 500 <= code <= 599
    return SendResult(handover=Handover.REFUSED if for_good else Handover.LATER, said=_text(code, said))


def _text(code: int, said: bytes) -> str:
    text = " ".join(said.decode("utf-8", "replace").split()).rstrip(".")
    return f"{code} {text}"[:LONGEST_SAID_CHARACTERS]


def _bytes(said: bytes | str) -> bytes:
    return said if isinstance(said, bytes) else said.encode("utf-8", "replace")


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return " ".join((error.strerror or str(error) or type(error).__name__).split())[:LONGEST_SAID_CHARACTERS]


def _broke_off(session: smtplib.SMTP) -> bool:
    """Whether the mail server hung up, or spoke, although it is our turn; asked without waiting."""
    if session.sock is None:
        return True
    before = session.sock.gettimeout()
    try:
        session.sock.settimeout(0)
        session.sock.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        session.sock.settimeout(before)
        return False
    except OSError:
        return True
    return True


def _close(session: smtplib.SMTP | None) -> None:
    """Say goodbye where somebody listens; what was accepted stays accepted."""
    if session is None:
        return
    if session.sock is not None:
        with suppress(OSError):
            session.sock.settimeout(5)
            session.quit()
    session.close()
