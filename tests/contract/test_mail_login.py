"""Logging in to a real mail server: encryption, passwords, tokens, and every way to be refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from aegis_lib.adapters.mailbox import imap, oauth
from aegis_lib.errors import DependencyUnavailable, Misconfigured, NotConfigured
from aegis_lib.settings import ImapSettings
from tests import tcp_proxy
from tests.dovecot import PASSWORD, Dovecot


@pytest.fixture
def user(dovecot: Dovecot) -> str:
    return dovecot.user()


def logs_in(settings: ImapSettings) -> bool:
    with imap.connect(settings) as mailbox:
        return mailbox.open("INBOX").messages == 0


@pytest.mark.parametrize("security", ["plain", "starttls", "tls"])
def test_each_way_of_encryption(
    dovecot: Dovecot, user: str, monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(dovecot.authority))
    port = dovecot.tls_port if security == "tls" else dovecot.port
    assert logs_in(dovecot.settings(user, host="localhost", port=port, security=security))


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_is_not_trusted_ends_it_before_the_password(
    dovecot: Dovecot, user: str, security: str
) -> None:
    port = dovecot.tls_port if security == "tls" else dovecot.port
    with tcp_proxy.before(port) as proxy:
        with pytest.raises(Misconfigured, match=r"EMAIL_IMAP_HOST.*not to be trusted"):
            logs_in(dovecot.settings(user, host="localhost", port=proxy.port, security=security))
        assert PASSWORD.encode() not in bytes(proxy.said)


def test_a_certificate_of_another_name_is_not_trusted(
    dovecot: Dovecot, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(dovecot.authority))
    with pytest.raises(Misconfigured, match="not to be trusted"):
        logs_in(dovecot.settings(user, host="127.0.0.1", port=dovecot.tls_port, security="tls"))


def test_nothing_is_sent_unencrypted_off_this_machine(dovecot: Dovecot, user: str) -> None:
    with pytest.raises(Misconfigured, match="EMAIL_IMAP_SECURITY: is plain"):
        logs_in(dovecot.settings(user, host="mail.example.org"))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"host": None}, ("EMAIL_IMAP_HOST",)),
        ({"user": None}, ("EMAIL_IMAP_USER",)),
        ({"password": None}, ("EMAIL_IMAP_PASSWORD",)),
        ({"host": None, "user": None, "password": None},
         ("EMAIL_IMAP_HOST", "EMAIL_IMAP_USER", "EMAIL_IMAP_PASSWORD")),
    ],
)  # fmt: skip
def test_what_is_not_set_is_named(changes: dict[str, Any], named: tuple[str, ...]) -> None:
    given = {"host": "mail.example.org", "user": "me", "password": "x", **changes}
    with pytest.raises(NotConfigured) as missing:
        logs_in(ImapSettings(**{name: value for name, value in given.items() if value is not None}))
    assert missing.value.settings == named


def test_a_wrong_password_is_named_and_not_shown(dovecot: Dovecot, user: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        logs_in(dovecot.settings(user, password="wrong-secret"))
    assert refused.value.setting == "EMAIL_IMAP_PASSWORD"
    assert "wrong-secret" not in repr(refused.value) + str(refused.value.__context__)
    assert refused.value.__cause__ is None


def test_nobody_who_listens_is_transient(dovecot: Dovecot, user: str) -> None:
    with pytest.raises(DependencyUnavailable, match=r"mail server 127\.0\.0\.1"):
        logs_in(dovecot.settings(user, port=1))


def test_a_server_that_says_nothing_is_given_up(dovecot: Dovecot, user: str, silent: int) -> None:
    with pytest.raises(DependencyUnavailable, match="no answer in time"):
        logs_in(dovecot.settings(user, port=silent, timeout_seconds=0.5))


@pytest.fixture
def silent() -> Iterator[int]:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_password_of_any_letters(dovecot: Dovecot, user: str) -> None:
    with pytest.raises(Misconfigured, match="EMAIL_IMAP_PASSWORD"):
        logs_in(dovecot.settings(user, password='schlüssel "\\ {3}'))


# --- access tokens ---


def test_an_access_token_logs_in(dovecot: Dovecot, user: str) -> None:
    assert logs_in(dovecot.settings(user, password=None, access_token=dovecot.token(user)))


@pytest.mark.parametrize("claims", [{"exp": 1}, {"email": "somebody-else"}])
def test_a_token_that_is_not_good_is_refused_by_name(
    dovecot: Dovecot, user: str, claims: dict[str, Any]
) -> None:
    token = dovecot.token(user, **claims)
    with pytest.raises(Misconfigured) as refused:
        logs_in(dovecot.settings(user, password=None, access_token=token))
    assert refused.value.setting == "EMAIL_IMAP_ACCESS_TOKEN"
    assert token not in str(refused.value)


def test_a_refresh_token_gets_an_access_token_for_the_run(
    dovecot: Dovecot, user: str, httpserver: HTTPServer
) -> None:
    def grant(request: Request) -> Response:
        assert request.form.to_dict() == {
            "grant_type": "refresh_token", "refresh_token": "r", "client_id": "c", "client_secret": "s",
        }  # fmt: skip
        return Response(f'{{"access_token": "{dovecot.token(user)}", "expires_in": 3599}}')

    httpserver.expect_oneshot_request("/token", method="POST").respond_with_handler(grant)
    settings = dovecot.settings(
        user, password=None, oauth_refresh_token="r", oauth_client_id="c", oauth_client_secret="s",
        oauth_token_url=httpserver.url_for("/token"),
    )  # fmt: skip
    assert logs_in(settings)
    httpserver.check_assertions()


def token_settings(httpserver: HTTPServer, **changes: Any) -> ImapSettings:
    fields = {
        "host": "mail.example.org", "user": "me", "oauth_refresh_token": "secret-r", "oauth_client_id": "c",
        "oauth_token_url": httpserver.url_for("/token"),
    }  # fmt: skip
    return ImapSettings(**{**fields, **changes})


@pytest.mark.parametrize(
    ("status", "body", "setting"),
    [
        (400, '{"error": "invalid_grant"}', "EMAIL_OAUTH_REFRESH_TOKEN"),
        (401, '{"error": "invalid_client"}', "EMAIL_OAUTH_CLIENT_ID"),
        (404, "<html>", "EMAIL_OAUTH_TOKEN_URL"),
        (200, '{"token": 1}', "EMAIL_OAUTH_TOKEN_URL"),
        (302, "", "EMAIL_OAUTH_TOKEN_URL"),
    ],
)
def test_what_the_token_server_refuses_names_the_setting(
    httpserver: HTTPServer, status: int, body: str, setting: str
) -> None:
    httpserver.expect_request("/token").respond_with_data(body, status=status)
    with pytest.raises(Misconfigured) as refused:
        oauth.access_token(token_settings(httpserver))
    assert refused.value.setting == setting
    assert "secret-r" not in str(refused.value)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_token_server_that_cannot_now_is_transient(httpserver: HTTPServer, status: int) -> None:
    httpserver.expect_request("/token").respond_with_data("", status=status)
    with pytest.raises(DependencyUnavailable, match="OAuth2"):
        oauth.access_token(token_settings(httpserver))


def test_a_refresh_token_goes_to_an_encrypted_address_only(httpserver: HTTPServer) -> None:
    with pytest.raises(Misconfigured, match="https"):
        oauth.access_token(token_settings(httpserver, oauth_token_url="http://tokens.example.org/x"))


def test_where_tokens_are_got_is_known_for_gmail_and_has_to_be_said_for_others(
    httpserver: HTTPServer,
) -> None:
    with pytest.raises(NotConfigured, match="EMAIL_OAUTH_TOKEN_URL"):
        oauth.access_token(token_settings(httpserver, oauth_token_url=None))
    with pytest.raises(NotConfigured, match="EMAIL_OAUTH_CLIENT_ID"):
        oauth.access_token(token_settings(httpserver, oauth_client_id=None))
