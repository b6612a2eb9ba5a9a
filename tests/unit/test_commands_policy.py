"""Which messages are commands, and that nothing but a name, a number or a task's text gets any further."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_lib.commands import policy
from aegis_lib.commands.model import Command, CommandsConfig, Mistake, Verb
from aegis_lib.web import discord
from tests.fakes.commands import ADA, EVE, NOON, message

CONFIG = CommandsConfig()


@pytest.mark.parametrize(
    ("content", "command"),
    [
        ("!help", Command(verb=Verb.HELP)),
        ("  !STATUS \n", Command(verb=Verb.STATUS)),
        ("!run health_check", Command(verb=Verb.RUN, name="health_check")),
        ("!run\thealth-check  ", Command(verb=Verb.RUN, name="health-check")),
        ("!pause site_check", Command(verb=Verb.PAUSE, name="site_check")),
        ("!resume site_check", Command(verb=Verb.RESUME, name="site_check")),
        ("!ack my-app_web.1", Command(verb=Verb.ACK, name="my-app_web.1")),
        ("!approve 12", Command(verb=Verb.APPROVE, number=12)),
        ("!reject #3", Command(verb=Verb.REJECT, number=3)),
        ("!task buy milk\nand bread", Command(verb=Verb.TASK, text="buy milk\nand bread")),
        ("!task\nbuy milk", Command(verb=Verb.TASK, text="buy milk")),
    ],
)
def test_a_command_is_understood(content: str, command: Command) -> None:
    assert policy.parse(content) == command


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("!run", "one job"),
        ("!run health_check now", "one job"),
        ("!run ../../etc/passwd", "one job"),
        ("!run health_check;reboot", "one job"),
        ("!run $(reboot)", "one job"),
        ("!run health_check\n!run memory_cleanup", "one job"),
        ("!run \uff48ealth_check", "one job"),
        ("!run " + "a" * 101, "one job"),
        ("!pause --all", "one job"),
        ("!pause *", "one job"),
        ("!ack web'; DROP TABLE tasks; --", "one container"),
        ("!ack %", "one container"),
        ("!approve", "one proposal"),
        ("!approve all", "one proposal"),
        ("!approve 1 2", "one proposal"),
        ("!approve 0", "one proposal"),
        ("!approve -1", "one proposal"),
        ("!approve 1e3", "one proposal"),
        ("!approve ١٢", "one proposal"),
        ("!approve 9999999999", "one proposal"),
        ("!task", "needs the text"),
        ("!task \u0000\u0007", "needs the text"),
        ("!jobs all", "nothing else"),
        ("!stauts", "`!status`"),
        ("!rm -rf /", "no such command"),
        ("!tas\u212a one", "no such command"),
        ("!" + "x" * 3000, "no such command"),
    ],
)
def test_what_is_not_exactly_a_command_does_nothing_and_says_so(content: str, said: str) -> None:
    found = policy.parse(content)
    assert isinstance(found, Mistake)
    assert said in found.answer


@given(st.text(max_size=200), st.sampled_from([verb.value for verb in Verb]))
def test_whatever_is_written_only_names_numbers_and_task_texts_come_out(text: str, verb: str) -> None:
    found = policy.parse(f"!{verb} {text}")
    if isinstance(found, Mistake):
        assert "<@" not in found.answer
        assert len(found.answer) < 200
    else:
        assert re.fullmatch(r"[A-Za-z0-9_.-]{0,128}", found.name)
        assert 0 <= found.number < 10**9
        assert not found.text or found.verb is Verb.TASK
        assert "\0" not in found.text


@given(st.text(max_size=100))
def test_a_mistake_repeats_nothing_of_what_was_written(text: str) -> None:
    found = policy.parse(f"!zz{text}")
    if isinstance(found, Mistake):
        known = {"There is no such command. `!help` lists them.", "That is no command. `!help` lists them."}
        assert found.answer in known or re.match(
            r"There is no such command. Did you mean `![a-z]+`\?", found.answer
        )


@pytest.mark.parametrize(
    "fields",
    [
        {"by_person": False},
        {"content": "run health_check"},
        {"content": ""},
        {"content": "!"},
        {"content": "! run x"},
        {"content": "!!run x"},
        {"content": "!1"},
        {"content": "\u200b!run x"},
        {"content": "\uff01run x"},
        {"content": "> !run x"},
        {"content": "`!run x`"},
    ],
)
def test_these_are_no_commands(fields: dict[str, object]) -> None:
    assert not policy.is_command(message(5, **{"content": "!help", **fields}), 0, 0)  # type: ignore[arg-type]


def test_what_was_there_before_the_first_start_is_no_command() -> None:
    before, after = message(-1, "!help"), message(1, "!help")
    first = discord.first_id_at(NOON)
    assert not policy.is_command(before, first, first)
    assert policy.is_command(after, first, first)


def test_an_edit_of_what_was_seen_is_no_command_and_an_edit_of_what_was_not_is() -> None:
    edited = message(5, "!help", edited=True)
    assert not policy.is_command(edited, 0, edited.id)
    assert policy.is_command(edited, 0, edited.id - 1)


def test_only_the_id_decides_who_may() -> None:
    mine = policy.written(message(0, "!help"), {ADA}, NOON, CONFIG)
    hers = policy.written(message(0, "!help", EVE, author_name=ADA), {ADA}, NOON, CONFIG)
    assert (mine.authorized, hers.authorized) == (True, False)
    assert not policy.written(message(0, "!help"), frozenset(), NOON, CONFIG).authorized


@pytest.mark.parametrize(("minutes", "late"), [(0, False), (60, False), (61, True)])
def test_a_command_is_late_after_an_hour(minutes: int, late: bool) -> None:
    now = NOON + timedelta(minutes=minutes)
    assert policy.written(message(0, "!run x"), {ADA}, now, CONFIG).late is late


def test_only_what_changes_something_can_be_too_late() -> None:
    changing = {verb for verb in Verb if policy.changes(Command(verb=verb))}
    assert changing == {Verb.RUN, Verb.PAUSE, Verb.RESUME, Verb.ACK, Verb.APPROVE, Verb.REJECT}


def test_reading_begins_ten_seconds_before_and_always_at_a_known_message() -> None:
    last = discord.first_id_at(NOON)
    after = policy.read_from(0, last)
    assert discord.made_at(after) == NOON - timedelta(seconds=10)
    assert policy.read_from(0, 0) == 0
    assert policy.read_from(0, 7) == 0


@pytest.mark.parametrize(
    ("text", "title", "details"),
    [
        ("buy milk", "buy milk", ""),
        ("buy   milk", "buy milk", "buy   milk"),
        ("buy milk\nand bread", "buy milk", "buy milk\nand bread"),
        ("x" * 300, "x" * 199 + "…", "x" * 300),
    ],
)
def test_a_task_loses_nothing_of_its_text(text: str, title: str, details: str) -> None:
    assert policy.task_of(text) == (title, details)
