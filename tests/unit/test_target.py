"""A function named as `module:function`: found, checked, called, and every way in which that can fail."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from aegis_lib import target
from aegis_lib.errors import PermanentFailure
from aegis_lib.outcome import Outcome

TARGETS = "tests.flows.custom_targets"


@pytest.mark.parametrize("name", ["", "greet", "a.b", "a:b:c", "a:", ":b", "a/b:c", "a:b()", "../x:y"])
def test_what_names_no_function_is_refused_without_importing(name: str) -> None:
    with pytest.raises(PermanentFailure, match="names no function"):
        target.load(name)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("no_such_module_here:run", "no module 'no_such_module_here'"),
        ("tests.no_such_part:run", r"no module 'tests\.no_such_part'"),
        (f"{TARGETS}:absent", "has no 'absent'"),
        (f"{TARGETS}:Outcome.NO_INPUT.value.x", "has no"),
        ("sys:path", "is a list, not a function"),
    ],
)
def test_what_is_not_there_is_named(name: str, problem: str) -> None:
    with pytest.raises(PermanentFailure, match=problem):
        target.load(name)


def test_a_module_that_lacks_something_names_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_installed.py").write_text("import certainly_not_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PermanentFailure, match="'half_installed' needs 'certainly_not_installed'"):
        target.load("half_installed:run")
    assert "half_installed" not in sys.modules


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "missing a required argument: 'name'"),
        ({"name": "a", "nmae": "b"}, "unexpected keyword argument"),
    ],
)
def test_arguments_that_do_not_fit_are_told(arguments: dict[str, str], problem: str) -> None:
    with pytest.raises(PermanentFailure, match=problem):
        target.call(f"{TARGETS}:greet", arguments)


def test_a_function_that_does_not_tell_its_arguments_passes() -> None:
    target.check(target.load("time:sleep"), "time:sleep", {"anything": 1})


def test_what_the_function_returned_becomes_the_summary() -> None:
    assert target.call(f"{TARGETS}:greet", {"name": "you", "times": 2}).summary.endswith(
        "hello you, hello you"
    )
    assert target.call("time:tzset", {}).summary == "time:tzset finished."


def test_a_report_is_kept_as_it_is() -> None:
    report = target.call(f"{TARGETS}:look", {})
    assert (report.outcome, report.summary) == (Outcome.NO_INPUT, "There was nothing to read.")


def test_a_long_result_is_cut() -> None:
    assert len(target.call(f"{TARGETS}:greet", {"name": "x" * 9000}).summary) < 600
