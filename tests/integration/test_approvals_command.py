"""`aegis approvals` as a person types it, against a real database."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pytest

from aegis_lib import clock
from aegis_lib.approvals import service
from aegis_lib.approvals.model import Approval, ApprovalsConfig, State, Via
from aegis_lib.db.database import Database
from aegis_lib.settings import DatabaseSettings
from deployments.cli import exit_codes
from deployments.cli.app import run
from tests import postgres as servers
from tests.approval_values import proposal


class Terminal(io.StringIO):
    """A person at a keyboard."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def environment(database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in servers.environment_of(database_settings).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the person types."""
    return lambda text: monkeypatch.setattr("sys.stdin", Terminal(text))


def proposed(database: Database, key: str = "reply:1", **values: Any) -> Approval:
    now = clock.utcnow()
    made = proposal(key, **{"expires_at": now + timedelta(days=2), **values})
    return service.propose(database.approvals, made, ApprovalsConfig(), now)


def state(database: Database, row: Approval) -> State:
    found = database.approvals.get(row.number)
    assert found is not None
    return found.state


def test_the_list_shows_what_is_open_and_all_of_it_when_asked(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["approvals"]) == exit_codes.OK
    assert "No mail waits for a decision." in capsys.readouterr().out
    waiting, rejected = proposed(database), proposed(database, "reply:2", subject="Never mind")
    service.reject(database.approvals, rejected.number, "ada", clock.utcnow())
    assert run(["approvals", "list"]) == exit_codes.OK
    shown = capsys.readouterr()
    assert "Your question" in shown.out
    assert "ada@example.org" in shown.out
    assert "Never mind" not in shown.out
    assert "aegis approvals approve NO" in shown.err
    assert run(["approvals", "list", "--all", "--json"]) == exit_codes.OK
    listed = json.loads(capsys.readouterr().out)
    assert [row["number"] for row in listed] == [rejected.number, waiting.number]
    assert set(listed[0]) == set(Approval.model_fields)


def test_every_key_of_the_json_is_named_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    run(["approvals", "list", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert [name for name in Approval.model_fields if name not in told] == []


def test_the_mail_is_shown_whole_and_harmless(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    row = proposed(database, why="\x1b[2J[bold]because[/bold]", in_reply_to="<1@x.yz>")
    database.connection.execute("UPDATE approvals SET subject = E'Hi \\x1b]0;owned\\x07 \u202e'")
    assert run(["approvals", "show", str(row.number)]) == exit_codes.OK
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out
    assert "\x07" not in shown.out
    assert "\u202e" not in shown.out
    assert "[bold]because[/bold]" in shown.out
    assert "  | yes, it can." in shown.out
    assert "<1@x.yz>" in shown.out
    assert "cannot be approved" in shown.err


@pytest.mark.parametrize("command", ["show", "approve", "reject", "settle"])
def test_a_number_that_is_none_is_not_found(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    more = {"approve": ["--yes"], "reject": ["--yes"], "settle": ["--lost"]}.get(command, [])
    assert run(["approvals", command, "7", *more]) == exit_codes.NOT_FOUND
    assert "There is no proposal 7" in capsys.readouterr().err


def test_a_person_is_shown_the_mail_and_asked(
    database: Database, types: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    row = proposed(database)
    types("y\n")
    assert run(["approvals", "approve", str(row.number), "--by", "ada", "--note", "fine"]) == exit_codes.OK
    shown = capsys.readouterr()
    assert "  | yes, it can." in shown.out
    assert "Send it? [y/N]" in shown.err
    held = database.approvals.get(row.number)
    assert held is not None
    assert (held.state, held.decided_by, held.decided_via, held.note) == (
        State.APPROVED, "ada", Via.CLI, "fine",
    )  # fmt: skip


@pytest.mark.parametrize("answer", ["\n", "n\n", "", "yess\n", "approve\n"])
@pytest.mark.parametrize("command", ["approve", "reject"])
def test_whoever_does_not_say_yes_decides_nothing(
    database: Database, types: Any, command: str, answer: str
) -> None:
    row = proposed(database)
    types(answer)
    assert run(["approvals", command, str(row.number)]) == exit_codes.FAILED
    assert state(database, row) is State.PENDING


def test_nobody_is_asked_where_nobody_is(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = proposed(database)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert run(["approvals", "approve", str(row.number)]) == exit_codes.USAGE
    assert run(["approvals", "approve", str(row.number), "--json"]) == exit_codes.USAGE
    assert "--yes" in capsys.readouterr().err
    assert state(database, row) is State.PENDING


def test_a_program_decides_with_yes_and_reads_json(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    row = proposed(database)
    assert run(["approvals", "reject", str(row.number), "--yes", "--json"]) == exit_codes.OK
    assert json.loads(capsys.readouterr().out)["state"] == "rejected"
    assert run(["approvals", "approve", str(row.number), "--yes", "--by", "bob"]) == exit_codes.FAILED
    assert "is rejected already, by " in capsys.readouterr().err


def test_what_changes_while_the_person_reads_is_not_approved(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = proposed(database)

    class Slow(Terminal):
        def readline(self, *_: Any) -> str:
            other = proposal(body="Send money.")
            database.connection.execute(
                "UPDATE approvals SET body = %s, digest = %s", [other.body, other.digest]
            )
            return "y\n"

    monkeypatch.setattr("sys.stdin", Slow())
    assert run(["approvals", "approve", str(row.number)]) == exit_codes.FAILED
    assert "was changed after it was proposed" in capsys.readouterr().err
    assert state(database, row) is State.PENDING


def test_an_unclear_mail_is_settled(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    row = proposed(database)
    service.approve(database.approvals, row.number, "ada", clock.utcnow())
    database.connection.execute("UPDATE approvals SET state = 'unclear'")
    run(["approvals"])
    assert "aegis approvals settle NO --arrived or --lost" in capsys.readouterr().err
    assert run(["approvals", "settle", str(row.number)]) == exit_codes.USAGE
    assert run(["approvals", "settle", str(row.number), "--arrived", "--lost"]) == exit_codes.USAGE
    assert run(["approvals", "settle", str(row.number), "--arrived"]) == exit_codes.OK
    assert state(database, row) is State.SENT
    assert run(["approvals", "settle", str(row.number), "--lost"]) == exit_codes.FAILED


def test_an_address_is_suppressed_for_ever(
    database: Database, types: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    row = proposed(database)
    types("n\n")
    assert run(["approvals", "suppress", "ada@example.org"]) == exit_codes.FAILED
    assert database.approvals.suppressions(10) == []
    assert run(["approvals", "suppress", "Ada@example.org", "--yes", "--reason", "asked"]) == exit_codes.OK
    assert state(database, row) is State.REJECTED
    capsys.readouterr()
    assert run(["approvals", "suppressed", "--json"]) == exit_codes.OK
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["address"], entry["reason"]) == ("ada@example.org", "asked")
    assert run(["approvals", "suppress", "not an address", "--yes"]) == exit_codes.FAILED
