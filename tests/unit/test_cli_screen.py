"""What the command prints: times people understand, JSON programs can rely on, nothing taken for markup."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from deployments.cli import screen
from deployments.cli.following import without_frames_of_prefect

NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("away", "shown"),
    [
        (timedelta(minutes=3), "12:03:00 (in 3 min)"),
        (timedelta(seconds=-45), "11:59:15 (45 s ago)"),
        (timedelta(0), "12:00:00 (now)"),
        (timedelta(hours=13), "2026-03-29 01:00 (in 13 h)"),
        (timedelta(days=-9), "2026-03-19 12:00 (9 d ago)"),
    ],
)
def test_times_say_how_far_away_they_are(away: timedelta, shown: str) -> None:
    assert screen.moment(NOW + away, NOW) == shown


def test_never_is_a_dash() -> None:
    assert screen.moment(None, NOW) == "-"


def test_square_brackets_in_a_cell_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    screen.table(("A", "B"), [("[red]x[/red]", "[/]")], empty="none")
    screen.say("[bold]y")
    printed = capsys.readouterr().out
    assert "[red]x[/red]" in printed
    assert "[/]" in printed
    assert "[bold]y" in printed


def test_a_table_in_a_pipe_keeps_one_row_a_line_and_has_no_colour(capsys: pytest.CaptureFixture[str]) -> None:
    screen.table(("A", "B"), [("x" * 40, screen.named("Failed"))] * 2, empty="none")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["A", "B"], ["x" * 40, "Failed"], ["x" * 40, "Failed"]]


def test_an_empty_table_says_what_that_means(capsys: pytest.CaptureFixture[str]) -> None:
    screen.table(("A",), [], empty="Nothing is wrong.")
    assert capsys.readouterr().out == "Nothing is wrong.\n"


def test_json_has_iso_times_and_no_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    screen.as_json([{"at": NOW, "password": SecretStr("hunter2"), "n": 1, "t": ("a",), "none": None}])
    assert json.loads(capsys.readouterr().out) == [
        {"at": "2026-03-28T12:00:00Z", "password": "***", "n": 1, "t": ["a"], "none": None}
    ]


def test_a_traceback_is_shown_without_the_frames_of_prefect() -> None:
    whole = (
        "Encountered exception during execution: ValueError('x')\n"
        "Traceback (most recent call last):\n"
        '  File "/venv/lib/python3.11/site-packages/prefect/flow_engine.py", line 1, in run\n'
        "    yield self\n"
        "          ^^^^\n"
        '  File "/project/flows/site_check.py", line 9, in site_check\n'
        "    look()\n"
        '  File "/venv/lib/python3.11/site-packages/prefect/tasks.py", line 2, in call\n'
        "    return run()\n"
        "ValueError: x"
    )
    assert without_frames_of_prefect(whole) == (
        "Encountered exception during execution: ValueError('x')\n"
        "Traceback (most recent call last):\n"
        '  File "/project/flows/site_check.py", line 9, in site_check\n'
        "    look()\n"
        "ValueError: x"
    )
    assert without_frames_of_prefect("plain\n    indented") == "plain\n    indented"
