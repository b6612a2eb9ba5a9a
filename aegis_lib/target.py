"""A function named as `package.module:function`: found, checked, called. Must not decide when it runs."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from aegis_lib.errors import PermanentFailure
from aegis_lib.outcome import Report

_FORM = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_LONGEST_RESULT_CHARACTERS = 500


def load(target: str) -> Callable[..., Any]:
    """Import what `target` names.

    Raises:
        PermanentFailure: it is not of the form `module:function`, does not exist, or cannot be called.
        Exception: whatever the module raises while it is imported.
    """
    if not _FORM.fullmatch(target):
        raise PermanentFailure(f"{target!r} names no function. Fix: write module:function, like backup:run.")
    module_name, _, path = target.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        absent = error.name or module_name
        if module_name == absent or module_name.startswith(f"{absent}."):
            raise PermanentFailure(
                f"There is no module {absent!r}. "
                "Fix: install it into the environment of the worker, or put it into the project's directory."
            ) from None
        raise PermanentFailure(f"Module {module_name!r} needs {absent!r}. Fix: install that first.") from None
    for name in path.split("."):
        if not hasattr(found, name):
            raise PermanentFailure(f"Module {module_name!r} has no {path!r}. Fix: check the spelling.")
        found = getattr(found, name)
    if not callable(found):
        raise PermanentFailure(f"{target!r} is a {type(found).__name__}, not a function.")
    return found  # type: ignore[no-any-return]


def check(function: Callable[..., Any], target: str, arguments: Mapping[str, Any]) -> None:
    """Whether the function takes these keyword arguments; some built-in functions do not tell.

    Raises:
        PermanentFailure: it does not; says which argument is missing or too many.
    """
    try:
        signature = inspect.signature(function)
    except ValueError:
        return
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise PermanentFailure(
            f"{target} cannot be called with {', '.join(sorted(arguments)) or 'no arguments'}: {error}. "
            "Fix: give its arguments as name=value."
        ) from None


def call(target: str, arguments: Mapping[str, Any]) -> Report:
    """Call the function, also an asynchronous one. A `Report` it returns is kept, anything else is told.

    Raises:
        PermanentFailure: the function is not there, or does not take these arguments.
        Exception: whatever the function raises.
    """
    function = load(target)
    check(function, target, arguments)
    result = function(**arguments)
    if inspect.iscoroutine(result):
        result = asyncio.run(result)
    if isinstance(result, Report):
        return result
    if result is None:
        return Report(summary=f"{target} finished.")
    return Report(summary=f"{target} returned {str(result)[:_LONGEST_RESULT_CHARACTERS]}")
