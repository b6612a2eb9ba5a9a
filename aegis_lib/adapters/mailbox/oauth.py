"""Gets an access token for the mailbox from a refresh token (RFC 6749, section 6). It keeps nothing.

Reference: https://developers.google.com/identity/protocols/oauth2/native-app#offline and
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#refresh-the-access-token
"""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, SecretStr, ValidationError

from aegis_lib.errors import DependencyUnavailable, Misconfigured, NotConfigured
from aegis_lib.settings import ImapSettings

_SYSTEM = "OAuth2 token server"
_LOCAL = {"localhost", "127.0.0.1", "::1"}
_TOKEN_URLS = {
    "imap.gmail.com": "https://oauth2.googleapis.com/token",
    "imap.googlemail.com": "https://oauth2.googleapis.com/token",
    "outlook.office365.com": "https://login.microsoftonline.com/common/oauth2/v2.0/token",
    "imap-mail.outlook.com": "https://login.microsoftonline.com/consumers/oauth2/v2.0/token",
}
_SCOPES = {"login.microsoftonline.com": "https://outlook.office.com/IMAP.AccessAsUser.All offline_access"}


class _Granted(BaseModel):
    access_token: SecretStr


class _Refused(BaseModel):
    error: str = ""


def access_token(settings: ImapSettings) -> SecretStr:
    """A fresh access token.

    Raises:
        NotConfigured: the client's id, or the address for this server, is not set.
        Misconfigured: the token server does not accept the refresh token or the client.
        DependencyUnavailable: it does not answer.
    """
    url = settings.oauth_token_url or _TOKEN_URLS.get((settings.host or "").lower())
    if settings.oauth_refresh_token is None or not settings.oauth_client_id:
        raise NotConfigured(
            "EMAIL_OAUTH_REFRESH_TOKEN",
            "EMAIL_OAUTH_CLIENT_ID",
            purpose="get an access token for the mailbox",
        )
    if not url:
        raise NotConfigured("EMAIL_OAUTH_TOKEN_URL", purpose="get an access token for the mailbox")
    form = {
        "grant_type": "refresh_token",
        "refresh_token": settings.oauth_refresh_token.get_secret_value(),
        "client_id": settings.oauth_client_id,
    }
    if settings.oauth_client_secret is not None:
        form["client_secret"] = settings.oauth_client_secret.get_secret_value()
    host = _host(url)
    if host in _SCOPES:
        form["scope"] = _SCOPES[host]
    try:
        reply = httpx.post(url, data=form, timeout=settings.timeout_seconds, follow_redirects=False)
    except httpx.HTTPError as error:
        problem = f"{host} could not be reached ({type(error).__name__})."
        raise DependencyUnavailable(_SYSTEM, problem, "check EMAIL_OAUTH_TOKEN_URL.") from None
    if reply.status_code >= 500 or reply.status_code == 429:
        raise DependencyUnavailable(_SYSTEM, f"{host} answered {reply.status_code}.")
    try:
        if reply.is_success:
            return _Granted.model_validate_json(reply.content).access_token
        said = _Refused.model_validate_json(reply.content).error
    except ValidationError:
        said = ""
    if said in {"invalid_client", "unauthorized_client"}:
        raise Misconfigured(
            "EMAIL_OAUTH_CLIENT_ID", f"{host} does not accept the client.", "correct its id and its secret."
        )
    if said == "invalid_grant":
        raise Misconfigured(
            "EMAIL_OAUTH_REFRESH_TOKEN", f"{host} does not accept it any more.", "log in again for a new one."
        )
    shown = f" ({said[:60]})" if said.replace("_", "").isalnum() else ""
    raise Misconfigured(
        "EMAIL_OAUTH_TOKEN_URL", f"{host} answered {reply.status_code}{shown}.", "correct the address."
    )


def _host(url: str) -> str:
    try:
        split = urlsplit(url)
        host = split.hostname or ""
    except ValueError:
        split, host = urlsplit(""), ""
    if not host or not (split.scheme == "https" or (split.scheme == "http" and host in _LOCAL)):
        raise Misconfigured("EMAIL_OAUTH_TOKEN_URL", "is not an https address.", "correct the address.")
    return host
