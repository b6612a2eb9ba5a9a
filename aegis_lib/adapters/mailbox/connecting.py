"""The connection to a mail server, and the login. Must not send a password unencrypted off this machine."""

from __future__ import annotations

import imaplib
import ssl
from collections.abc import Sequence
from typing import Any

from imap_tools import MailBox, MailBoxStartTls, MailBoxUnencrypted
from imap_tools.errors import ImapToolsError, MailboxLoginError
from imap_tools.mailbox import BaseMailBox

from aegis_lib.adapters.mailbox import oauth
from aegis_lib.errors import DependencyUnavailable, Misconfigured, NotConfigured
from aegis_lib.settings import ImapSettings

_LOCAL = {"localhost", "127.0.0.1", "::1"}
_TRANSIENT = ("[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[SERVERBUG]", "[CONTACTADMIN]", "TOO MANY", "TRY AGAIN")


def logged_in(settings: ImapSettings) -> BaseMailBox:
    """A connection that is logged in, no folder open.

    Raises:
        NotConfigured: server, user, or what to log in with is not set.
        Misconfigured: the server refuses us or is not to be trusted, or `plain` is not on this machine.
        DependencyUnavailable: it does not answer.
    """
    missing = [f"EMAIL_IMAP_{name.upper()}" for name in ("host", "user") if not getattr(settings, name)]
    by_token = settings.access_token is not None or settings.oauth_refresh_token is not None
    if settings.password is None and not by_token:
        missing.append("EMAIL_IMAP_PASSWORD")
    if missing:
        raise NotConfigured(*missing, purpose="read the mailbox")
    host, user = settings.host or "", settings.user or ""
    if settings.security == "plain" and host.lower() not in _LOCAL:
        raise Misconfigured(
            "EMAIL_IMAP_SECURITY",
            f"is plain, and {host} is not this machine: the password would be sent unencrypted.",
            "set it to tls or starttls.",
        )
    token = settings.access_token or (oauth.access_token(settings) if by_token else None)
    try:
        box = _connected(settings, host)
    except ssl.SSLCertVerificationError as untrusted:
        raise Misconfigured(
            "EMAIL_IMAP_HOST",
            f"the certificate of {host} is not to be trusted: {untrusted.verify_message}.",
            "name the server as its certificate does; authorities of your own go into SSL_CERT_FILE.",
        ) from None
    except (imaplib.IMAP4.error, ImapToolsError, OSError, EOFError) as error:
        raise lost(host, "connecting", error) from None
    refused: str | None = None
    try:
        if token is not None:
            box.xoauth2(user, token.get_secret_value(), initial_folder=None)
        elif settings.password is not None:
            _log_in(box, user, settings.password.get_secret_value())
        _renew_capabilities(box.client)
    except (imaplib.IMAP4.abort, OSError, EOFError) as error:
        box.client.shutdown()
        raise lost(host, "logging in", error) from None
    except (imaplib.IMAP4.error, MailboxLoginError) as error:
        refused = said(error)
    if refused is None:
        return box
    box.client.shutdown()
    if any(word in refused.upper() for word in _TRANSIENT):
        raise DependencyUnavailable(f"mail server {host}", f"does not let {user} in now: {refused}.")
    if settings.password is not None and token is None:
        raise Misconfigured(
            "EMAIL_IMAP_PASSWORD",
            f"{host} refused user {user} with this password: {refused}.",
            "correct EMAIL_IMAP_USER or the password; many providers want an app password here.",
        )
    raise Misconfigured(
        "EMAIL_IMAP_ACCESS_TOKEN" if settings.access_token is not None else "EMAIL_OAUTH_REFRESH_TOKEN",
        f"{host} refused user {user} with the access token: {refused}.",
        "get a new one, with the scope for IMAP, for this user.",
    )


def _connected(settings: ImapSettings, host: str) -> BaseMailBox:
    timeout = settings.timeout_seconds
    match settings.security:
        case "tls":
            context = ssl.create_default_context()
            return MailBox(host, settings.port or 993, timeout=timeout, ssl_context=context)
        case "starttls":
            context = ssl.create_default_context()
            return MailBoxStartTls(host, settings.port or 143, timeout=timeout, ssl_context=context)
        case _:
            return MailBoxUnencrypted(host, settings.port or 143, timeout=timeout)


def _log_in(box: BaseMailBox, user: str, password: str) -> None:
    if user.isascii() and password.isascii():
        box.login(user, password, initial_folder=None)
    else:
        box.login_utf8(user, password, initial_folder=None)


def _renew_capabilities(client: imaplib.IMAP4) -> None:
    """What the server can do is often told only after the login."""
    _, said = client.capability()
    if said and isinstance(said[-1], bytes):
        client.capabilities = tuple(said[-1].decode("ascii", "replace").upper().split())


def lost(host: str, doing: str, error: BaseException) -> DependencyUnavailable:
    """The connection is gone, or was never there."""
    what = "no answer in time" if isinstance(error, TimeoutError) else said(error) or type(error).__name__
    return DependencyUnavailable(
        f"mail server {host}", f"{doing}: {what}.", "see that EMAIL_IMAP_HOST and EMAIL_IMAP_PORT lead to it."
    )


def said(error: BaseException) -> str:
    """What the server, or the operating system, said."""
    result = getattr(error, "command_result", None)
    return words(result[1]) if result else " ".join(str(error).split()).rstrip(".")[:300]


def words(data: Sequence[Any]) -> str:
    """The text of an answer, on one line."""
    text = b" ".join(one for one in data if isinstance(one, bytes)).decode("utf-8", "replace")
    return " ".join(text.split()).rstrip(".")[:300] or "without a word"
