"""The mail server's side of sending: a kept SMTP server, and one that breaks at every point."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from aegis_lib.adapters import mail_sender
from aegis_lib.approvals.model import Content, Handover, Letter
from aegis_lib.errors import AegisError, DependencyUnavailable, Misconfigured, NotConfigured
from aegis_lib.settings import MailSenderSettings
from tests.approval_values import NOW
from tests.fake_services import smtp
from tests.fake_services.tls import self_signed
from tests.loopback import free_port
from tests.waiting import wait_until

LETTER = Letter(
    content=Content(recipient="ada@example.org", subject="Hello", body="Dear Ada,\n.\n..\nyes.\n"),
    message_id="<1a2b@ours.example>",
    date=NOW,
)
PASSWORD = "c0rrect-horse"


def sender(port: int, **values: Any) -> mail_sender.SmtpSender:
    usual = {"host": "127.0.0.1", "security": "none", "sender": "aegis@ours.example", "timeout_seconds": 2}
    return mail_sender.connect(MailSenderSettings(**{**usual, "port": port, **values}))


def agreed() -> bool:
    return True


def test_a_mail_arrives_whole_and_the_answer_is_kept() -> None:
    with smtp.running() as server:
        result = sender(server.port).send(LETTER, agreed)
    assert (result.handover, result.said) == (Handover.ACCEPTED, "250 2.0.0 queued as 42")
    (envelope,), (mail,) = server.envelopes, server.mails
    assert (envelope.mail_from, envelope.rcpt_tos) == ("aegis@ours.example", ["ada@example.org"])
    assert mail.get_content().replace("\r\n", "\n") == LETTER.content.body
    assert mail["Message-ID"] == LETTER.message_id


def test_nothing_arrives_when_it_is_withheld_at_the_last_moment() -> None:
    with smtp.running() as server:
        assert sender(server.port).send(LETTER, lambda: False).handover is Handover.WITHHELD
        assert server.asked == ["MAIL", "RCPT"]
        assert sender(server.port).send(LETTER, agreed).handover is Handover.ACCEPTED
    assert len(server.envelopes) == 1


def test_nothing_arrives_when_the_last_question_cannot_be_answered() -> None:
    def broken() -> bool:
        raise DependencyUnavailable("PostgreSQL", "away.")

    with smtp.running() as server:
        with pytest.raises(DependencyUnavailable, match="PostgreSQL"):
            sender(server.port).send(LETTER, broken)
        sender(server.port).send(LETTER, agreed)
    assert len(server.envelopes) == 1


def test_the_last_question_is_asked_when_all_but_the_final_dot_is_out() -> None:
    complete: list[int] = []

    def look() -> bool:
        wait_until(lambda: b"yes.\r\n" in b"".join(server.contents), description="the text has come in")
        complete.append(server.complete)
        return True

    with smtp.breaking("dot") as server:
        sender(server.port).send(LETTER, look)
    assert (complete, server.complete) == ([0], 1)


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
@pytest.mark.parametrize(
    ("answer", "handover"),
    [
        ("450 4.2.1 try later", Handover.LATER),
        ("452 4.2.2 mailbox full", Handover.LATER),
        ("550 5.1.1 no such user", Handover.REFUSED),
        ("554 5.7.1 spam", Handover.REFUSED),
    ],
)
def test_a_refusal_is_for_now_or_for_good(command: str, answer: str, handover: Handover) -> None:
    with smtp.running() as server:
        server.answers[command] = answer
        result = sender(server.port).send(LETTER, agreed)
    assert (result.handover, result.said) == (handover, answer)
    assert server.envelopes == []


def test_a_mail_server_that_takes_nothing_now_is_tried_later() -> None:
    with smtp.running() as server:
        server.answers["MAIL"] = "451 4.7.0 slow down"
        assert sender(server.port).send(LETTER, agreed).handover is Handover.LATER


def test_a_sender_that_is_refused_is_a_wrong_setting_and_costs_no_mail() -> None:
    with smtp.running() as server:
        server.answers["MAIL"] = "553 5.7.1 not yours"
        with pytest.raises(Misconfigured, match=r"EMAIL_FROM: .*553 5\.7\.1 not yours"):
            sender(server.port).send(LETTER, agreed)


@pytest.mark.parametrize("how", ["hang up", "reset", "fall silent", "babble"])
@pytest.mark.parametrize("point", ["MAIL", "RCPT", "DATA"])
def test_a_connection_lost_before_the_text_is_tried_later(point: smtp.Point, how: Any) -> None:
    with smtp.breaking(point, how) as server:
        assert sender(server.port, timeout_seconds=0.3).send(LETTER, agreed).handover is Handover.LATER
    assert server.complete == 0


@pytest.mark.parametrize("how", ["hang up", "reset", "babble"])
def test_a_connection_lost_before_the_final_dot_is_tried_later(how: Any) -> None:
    with smtp.breaking("content", how) as server:
        result = sender(server.port).send(LETTER, lambda: server.broke.wait(5))
    assert result.handover is Handover.LATER
    assert server.complete == 0


def test_silence_since_before_the_final_dot_is_unclear_too() -> None:
    with smtp.breaking("content", "fall silent") as server:
        result = sender(server.port, timeout_seconds=0.3).send(LETTER, agreed)
    assert result.handover is Handover.UNCLEAR


@pytest.mark.parametrize("how", ["hang up", "reset", "fall silent", "babble"])
def test_a_connection_lost_after_the_final_dot_is_unclear(how: Any) -> None:
    with smtp.breaking("dot", how) as server:
        result = sender(server.port, timeout_seconds=0.3).send(LETTER, agreed)
    assert result.handover is Handover.UNCLEAR
    assert server.complete == 1


@pytest.mark.parametrize("point", ["banner", "EHLO"])
def test_a_mail_server_that_breaks_before_the_mail_costs_no_attempt(point: smtp.Point) -> None:
    with smtp.breaking(point, "hang up") as server, pytest.raises(DependencyUnavailable):
        sender(server.port, timeout_seconds=0.3).send(LETTER, agreed)


def test_nobody_listening_is_said_with_the_place() -> None:
    port = free_port()
    with pytest.raises(DependencyUnavailable, match=f"127.0.0.1:{port}: Connection refused"):
        sender(port).send(LETTER, agreed)


# --- encryption and login ---


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_mail_goes_out_encrypted_and_logged_in(
    security: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = self_signed("localhost", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with smtp.running(security=security, context=context, logins={"ada": PASSWORD}) as server:
        settings = {"host": "localhost", "security": security, "user": "ada", "password": SecretStr(PASSWORD)}
        assert sender(server.port, **settings).send(LETTER, agreed).handover is Handover.ACCEPTED
    assert len(server.envelopes) == 1


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_of_somebody_else_is_refused(security: Any, tmp_path: Path) -> None:
    context, _ = self_signed("localhost", tmp_path)
    with (
        smtp.running(security=security, context=context) as server,
        pytest.raises(Misconfigured, match="the certificate of localhost:"),
    ):
        sender(server.port, host="localhost", security=security).send(LETTER, agreed)
    assert server.asked == []


def test_a_server_without_starttls_gets_nothing_in_the_clear() -> None:
    with smtp.running() as server, pytest.raises(Misconfigured, match=r"EMAIL_SMTP_SECURITY: .*STARTTLS"):
        sender(server.port, security="starttls").send(LETTER, agreed)
    assert server.asked == []


def test_a_server_without_tls_is_told_apart_from_one_that_is_away() -> None:
    with smtp.running() as server, pytest.raises(Misconfigured, match=r"EMAIL_SMTP_SECURITY: .*TLS"):
        sender(server.port, security="tls").send(LETTER, agreed)


def test_a_wrong_password_is_a_wrong_setting_and_stays_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = SecretStr("wr0ng-horse")
    with smtp.running(logins={"ada": PASSWORD}) as server, pytest.raises(AegisError) as caught:
        sender(server.port, user="ada", password=wrong).send(LETTER, agreed)
    assert isinstance(caught.value, Misconfigured)
    assert "EMAIL_SMTP_PASSWORD: 127.0.0.1:" in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "wr0ng" not in str(caught.value) + caplog.text


def test_a_server_that_wants_no_login_says_how_to_do_without() -> None:
    with smtp.running() as server, pytest.raises(Misconfigured, match=r"EMAIL_SMTP_USER: .* offers no login"):
        sender(server.port, user="ada", password=SecretStr(PASSWORD)).send(LETTER, agreed)


# --- settings ---


def test_what_is_not_set_is_named() -> None:
    with pytest.raises(NotConfigured) as caught:
        mail_sender.connect(MailSenderSettings())
    assert caught.value.settings == ("EMAIL_SMTP_HOST", "EMAIL_FROM")
    with pytest.raises(NotConfigured) as caught:
        mail_sender.connect(MailSenderSettings(host="mail.example.org"))
    assert caught.value.settings == ("EMAIL_FROM",)


@pytest.mark.parametrize(
    "host", ["mail.example.org", "10.0.0.1", "127.0.0.1.example.org", "localhost.example.org"]
)
def test_nothing_is_sent_in_the_clear_to_another_machine(host: str) -> None:
    with pytest.raises(Misconfigured, match="EMAIL_SMTP_SECURITY"):
        sender(25, host=host)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_may_be_spoken_to_in_the_clear(host: str) -> None:
    sender(25, host=host)


@pytest.mark.parametrize(
    "value", ["nobody", "a@b", "Ada ada@example.org x", "a@b.example, c@d.example", "A\x07 <a@b.example>"]
)
def test_a_wrong_sender_is_refused(value: str) -> None:
    with pytest.raises(Misconfigured, match="EMAIL_FROM"):
        sender(25, sender=value)


@pytest.mark.parametrize("half", [{"user": "ada"}, {"password": SecretStr(PASSWORD)}])
def test_half_a_login_is_a_mistake(half: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match="EMAIL_SMTP_"):
        sender(25, **half)


def test_a_message_id_is_of_our_domain() -> None:
    made = sender(25, sender="Ada L. <ada@Ours.Example>").new_message_id("1a2b")
    assert made == "<1a2b@ours.example>"


def test_the_name_of_the_sender_is_shown() -> None:
    with smtp.running() as server:
        sender(server.port, sender='"Ada, at home" <ada@ours.example>').send(LETTER, agreed)
    assert str(server.mails[0]["From"]) == '"Ada, at home" <ada@ours.example>'
