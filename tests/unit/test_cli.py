"""The command line without a server: usage, exit codes, what a mistake is answered with, what is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from aegis_lib.adapters.notify import fanout
from aegis_lib.alerts.model import Message, Receipt
from aegis_lib.errors import (
    AegisError,
    DependencyUnavailable,
    Misconfigured,
    NotConfigured,
    PermanentFailure,
)
from deployments import doctor
from deployments import jobs as job_api
from deployments.api import NotFound
from deployments.catalogue.model import UnknownJob
from deployments.check import Check
from deployments.cli import exit_codes
from deployments.cli.app import app, main, run
from deployments.cli.options import UsageMistake, parameters
from deployments.runs import NoSuchRun

COMMANDS = ("jobs", "run", "history", "logs", "pause", "resume", "simulate", "add", "remove", "new-job",
            "ack", "up", "down", "doctor", "plan", "deploy", "alerts", "strikes", "memory",
            "notify", "llm", "report", "metrics", "anomalies")  # fmt: skip
LEAVES = (*COMMANDS[:16], "alerts list", "alerts show", "strikes list", "strikes ack", "strikes clear",
          "memory recent", "memory search", "memory stats", "notify test", "llm status",
          "llm replay", "report", "metrics list", "metrics show", "anomalies list", "anomalies show",
          "anomalies dismiss", "anomalies lessons", "anomalies unlearn")  # fmt: skip


class Broken:
    """A scheduler every call of which fails with the same error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        raise self.error


def test_the_help_lists_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if f" {name} " not in shown] == []
    for code in ("0 all is well", "1 the job", "2 wrong usage", "3 the server", "4 no such", "5 a setting"):
        assert code in shown


@pytest.mark.parametrize("command", LEAVES)
def test_every_command_teaches_with_an_example_that_it_accepts(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert "For example:\n    " in shown
    assert f"    aegis {command.removesuffix(' list').removesuffix(' recent')}" in shown


@pytest.mark.parametrize("command", [leaf for leaf in LEAVES if leaf not in {"up", "down", "new-job"}])
def test_the_keys_of_json_are_documented_where_there_is_json(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run([*command.split(), "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert ("--json" in shown) == ("Keys of --json" in shown)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["jbos"], 'Did you mean "jobs"'),
        (["jobs", "--jsno"], "--jsno"),
        (["run"], "JOB"),
        (["history", "health_check", "--limit", "0"], "Must be >= 1"),
        (["history", "health_check", "--limit", "many"], "many"),
        (["pause"], "Name one job"),
        (["pause", "health_check", "--all"], "Name one job"),
        (["run", "health_check", "-p", "dry_run"], "'dry_run' is no parameter"),
        (["add", "a", "b:c"], "Say when"),
        (["add", "a", "b:c", "--every", "5m", "--cron", "0 6 * * *"], "Say when"),
    ],
)
def test_wrong_usage_is_told_with_the_way_out(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == exit_codes.USAGE
    out, error = capsys.readouterr()
    assert out == ""
    assert said in error
    assert "fix: " in error
    assert "Traceback" not in error


ERRORS: tuple[tuple[AegisError, int], ...] = (
    (PermanentFailure("No."), exit_codes.FAILED),
    (UsageMistake("No."), exit_codes.USAGE),
    (DependencyUnavailable("Prefect server", "no answer.", "start it."), exit_codes.UNREACHABLE),
    (job_api.NoSuchJob("x", []), exit_codes.NOT_FOUND),
    (NoSuchRun("x"), exit_codes.NOT_FOUND),
    (UnknownJob("x", ()), exit_codes.NOT_FOUND),
    (NotFound("GET /x", 404, "gone"), exit_codes.NOT_FOUND),
    (Misconfigured("AEGIS_PORT", "is no port.", "set it."), exit_codes.SETTINGS),
    (NotConfigured("X", purpose="y"), exit_codes.SETTINGS),
)


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=lambda value: type(value).__name__)
def test_each_kind_of_error_has_its_exit_code_and_no_traceback(
    error: AegisError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(job_api, "scheduler", Broken(error))
    assert run(["jobs"]) == code
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert "Traceback" not in shown


def test_the_mend_stands_on_its_own_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = DependencyUnavailable("Prefect server", "no answer.", "start it.")
    monkeypatch.setattr(job_api, "scheduler", Broken(error))
    run(["jobs"])
    assert capsys.readouterr().err == "error: Prefect server: no answer.\n  fix: start it.\n"


@pytest.mark.parametrize("arguments", [["jobs", "--debug"], ["--debug", "jobs"]])
def test_debug_shows_where_an_error_comes_from(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_api, "scheduler", Broken(PermanentFailure("No.")))
    with pytest.raises(PermanentFailure):
        run(arguments)


def test_ctrl_c_ends_quietly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(job_api, "scheduler", Broken(PermanentFailure("")))
    monkeypatch.setattr(Broken, "__getattr__", interrupted)
    assert run(["jobs"]) == exit_codes.INTERRUPTED
    assert "Traceback" not in capsys.readouterr().err


def test_the_console_script_exits_with_the_code() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["no-such-command"])
    assert ended.value.code == exit_codes.USAGE


def test_commands_can_be_called_in_process() -> None:
    assert app(["--version"], exit_on_error=False, result_action="return_value") is None


def test_parameters_are_json_or_else_text() -> None:
    assert parameters(["a=true", "b=3", 'c={"x": [1]}', "d=web", "e=", "f=a=b"]) == {
        "a": True,
        "b": 3,
        "c": {"x": [1]},
        "d": "web",
        "e": "",
        "f": "a=b",
    }


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"], ["jobs"]])
def test_no_command_pays_for_what_it_does_not_need(arguments: list[str]) -> None:
    unwanted = ["prefect", "docker", "psycopg", "alembic", "apprise", "structlog", "fastapi"]
    unwanted += ["httpx", "pydantic", "ruamel.yaml"] if arguments != ["jobs"] else []
    program = (
        f"import sys\nfrom deployments.cli.app import run\nrun({arguments!r})\n"
        f"found = [name for name in {unwanted!r} if name in sys.modules]\n"
        "sys.exit(f'imported: {found}' if found else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PREFECT_API_URL": "http://127.0.0.1:9/api"},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("receipts", "code"),
    [
        ([Receipt(channel="discord-webhook", delivered=True, reference="7")], exit_codes.OK),
        (
            [
                Receipt(channel="telegram", delivered=True),
                Receipt(channel="urls", delivered=False, problem="gone"),
            ],
            exit_codes.FAILED,
        ),
        ([Receipt(channel="console", delivered=True)], exit_codes.SETTINGS),
    ],
)
def test_the_test_message_tells_what_came_of_each_channel(
    receipts: list[Receipt], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sent: list[Message] = []

    class Recorder:
        def send(self, message: Message) -> tuple[Receipt, ...]:
            sent.append(message)
            return tuple(receipts)

    monkeypatch.setattr(fanout, "connect", lambda: nullcontext(Recorder()))
    assert run(["notify", "test"]) == code
    out, error = capsys.readouterr()
    assert len(sent) == 1
    assert all(receipt.channel in out for receipt in receipts)
    assert ("nobody is reached" in error) == (code == exit_codes.SETTINGS)
    assert run(["notify", "test", "--json"]) == code
    assert [list(receipt) for receipt in json.loads(capsys.readouterr().out)] == [
        ["channel", "delivered", "reference", "problem"]
    ] * len(receipts)


def check(ok: bool | None) -> Check:
    return Check(name="database", ok=ok, detail="looked at", fix="" if ok else "mend it.")


@pytest.mark.parametrize(
    ("found", "code"),
    [([check(True), check(None)], exit_codes.OK), ([check(True), check(False)], exit_codes.FAILED)],
)
def test_the_doctor_fails_only_when_something_is_wrong(
    found: list[Check], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "checks", lambda: found)
    assert run(["doctor"]) == code
    out, error = capsys.readouterr()
    assert len(out.splitlines()) == (4 if code == exit_codes.OK else 3)
    assert ("database: mend it." in error) == (code == exit_codes.FAILED)
    assert run(["doctor", "--json"]) == code
    assert [list(one) for one in json.loads(capsys.readouterr().out)] == [["name", "ok", "detail", "fix"]] * 2


def test_the_next_hours_are_shown_without_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--hours", "2"]) == 0
    assert "health_check" in capsys.readouterr().out
    assert run(["simulate", "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert list(seen) == ["start", "until", "jobs", "together", "clock_changes"]
    assert list(seen["jobs"][0]) == ["id", "schedule", "runs", "first", "last"]


def test_shell_completion_is_installed_for_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/bash")
    assert run(["--install-completion"]) == 0
    assert "aegis" in capsys.readouterr().out
    (script,) = (path for path in tmp_path.rglob("aegis") if path.is_file())
    assert "history" in script.read_text()
