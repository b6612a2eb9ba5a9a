"""Log lines: their form, what they hide, and where they go."""

from __future__ import annotations

import io
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from aegis_lib import logs

ROOT = Path(logs.__file__).parents[1]


class Colour(StrEnum):
    RED = "red"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in logs.PACKAGES}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


@pytest.fixture
def printed() -> io.StringIO:
    stream = io.StringIO()
    logs.configure("INFO", stream)
    return stream


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (5, "5"),
        (0.25, "0.25"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        ("", ""),
        ("word", "word"),
        ("two words", '"two words"'),
        ('say "hi"', r'"say \"hi\""'),
        ("a=b", '"a=b"'),
        ("one\ntwo three", r'"one\ntwo three"'),
        ("one\r\ntwo three", r'"one\ntwo three"'),
        ("tab\there", '"tab here"'),
        ("red \x1b[31m", '"red \ufffd[31m"'),
        ("nul\x00", "nul\ufffd"),
        ("100%s", "100%s"),
        (r"C:\a b", r'"C:\\a b"'),
        (datetime(2026, 1, 25, 6, tzinfo=UTC), "2026-01-25T06:00:00Z"),
        (datetime(2026, 1, 25, 8, tzinfo=timezone(timedelta(hours=2))), "2026-01-25T06:00:00Z"),
        (date(2026, 1, 25), "2026-01-25"),
        (timedelta(minutes=1.5), "90s"),
        (Colour.RED, "red"),
        (Path("/a/b"), "/a/b"),
        (["a", 1, None], r'"[\"a\",1,null]"'),
        (("a",), r'"[\"a\"]"'),
        ({"b", "a"}, r'"[\"a\",\"b\"]"'),
        ({"when": date(2026, 1, 25)}, r'"{\"when\":\"2026-01-25\"}"'),
        (ValueError("bad thing"), '"bad thing"'),
        (SecretStr("hunter2"), "***"),
        ([SecretStr("hunter2")], r'"[\"***\"]"'),
        ({"a": {"token": "hunter2"}}, r'"{\"a\":{\"token\":\"***\"}}"'),
        ("postgresql://aegis:hunter2@db/aegis", "postgresql://aegis:***@db/aegis"),
        ("see https://u:hunter2@h:1/x?y z", '"see https://u:***@h:1/x?y z"'),
    ],
)
def test_each_kind_of_value_has_one_form(value: object, shown: str) -> None:
    assert logs.line("it_happened", {"value": value}) == f"event=it_happened value={shown}"


@pytest.mark.parametrize(
    "name", ["password", "db_password", "token", "bot_token", "api_key", "client_secret"]
)
def test_a_text_named_like_a_secret_is_hidden(name: str) -> None:
    assert logs.line("e", {name: "hunter2"}) == f"event=e {name}=***"


@pytest.mark.parametrize(
    ("name", "value"), [("tokens_used", 5), ("token", 5), ("token", ""), ("token_kind", "x")]
)
def test_what_is_no_secret_is_shown(name: str, value: object) -> None:
    assert logs.line("e", {name: value}) == f"event=e {name}={value}"


@pytest.mark.parametrize(
    ("key", "shown"),
    [("a b", "a_b"), ("a=b", "a_b"), ('a"b', "a_b"), ("", "_"), ("event", "event_"), ("ü", "ü")],
)
def test_any_key_can_be_written(key: str, shown: str) -> None:
    assert logs.line("e", {key: 1}) == f"event=e {shown}=1"


def test_keys_that_become_equal_are_both_kept() -> None:
    assert logs.line("e", {"a b": 1, "a_b": 2}) == "event=e a_b=1 a_b_=2"


def test_the_event_stands_first_and_the_fields_keep_their_order() -> None:
    assert logs.line("morning_status_generated", {"z": 1, "a": 2}) == "event=morning_status_generated z=1 a=2"


def test_a_very_long_value_is_cut_and_says_how_long_it_was() -> None:
    written = logs.line("e", {"output": "x" * 50_000})
    assert len(written) < 9_000
    assert written.endswith('… (50000 characters)"')


@given(
    st.dictionaries(st.text(), st.one_of(st.text(), st.none(), st.integers(), st.lists(st.text()))), st.text()
)
def test_a_line_is_always_one_printable_line(fields: dict[str, object], event: str) -> None:
    written = logs.line(event, fields)
    assert len(written.splitlines()) == 1
    assert written.startswith("event=")
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", written)


def test_our_own_processes_print_the_time_first_in_utc(printed: io.StringIO) -> None:
    logs.get_logger("aegis_lib.sample").info("morning_status_generated", pending_tasks=5)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ event=morning_status_generated pending_tasks=5\n",
        printed.getvalue(),
    )


def test_other_levels_than_info_are_named_at_the_end(printed: io.StringIO) -> None:
    log = logs.get_logger("aegis_lib.sample")
    log.debug("hidden")
    log.warning("odd", a=1)
    log.error("bad")
    assert [line.split(" ", 1)[1] for line in printed.getvalue().splitlines()] == [
        "event=odd a=1 level=warning",
        "event=bad level=error",
    ]


def test_a_librarys_line_takes_the_same_form(printed: io.StringIO) -> None:
    other = logging.getLogger("some.library")
    other.info("not shown")
    try:
        raise ValueError("oops\nagain")
    except ValueError:
        other.warning("took %d s", 5, exc_info=True)
    (line,) = printed.getvalue().splitlines()
    assert ' event=log_record logger=some.library message="took 5 s" exception="Traceback' in line
    assert r"ValueError: oops\nagain" in line
    assert line.endswith(" level=warning")


def test_configuring_again_does_not_print_twice(printed: io.StringIO) -> None:
    second = io.StringIO()
    logs.configure("DEBUG", second)
    logs.get_logger("aegis_lib.sample").debug("fine")
    assert second.getvalue().count("event=fine") == 1
    assert printed.getvalue() == ""


def test_information_is_heard_although_the_root_only_hears_warnings(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("aegis_lib").setLevel(logging.NOTSET)
    logs.get_logger("aegis_lib.sample").info("heard")
    assert "event=heard" in caplog.text


def test_a_level_that_was_chosen_is_kept() -> None:
    logs.set_level("ERROR")
    logs.get_logger("aegis_lib.another")
    assert logging.getLogger("aegis_lib.another").getEffectiveLevel() == logging.ERROR


def test_the_record_names_the_place_that_logged(caplog: pytest.LogCaptureFixture) -> None:
    logs.get_logger("aegis_lib.sample").info("here")
    (record,) = [r for r in caplog.records if r.getMessage() == "event=here"]
    assert record.pathname == __file__


def test_a_value_that_is_not_written_is_not_rendered() -> None:
    class Costly:
        def __str__(self) -> str:
            raise AssertionError("rendered")

    logs.set_level("INFO")
    logs.get_logger("aegis_lib.sample").debug("skipped", value=Costly())


def test_importing_the_logger_does_not_import_structlog() -> None:
    program = "import sys; from aegis_lib import logs; logs.get_logger('aegis_lib.x').debug('x')"
    program += "; print('structlog' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
