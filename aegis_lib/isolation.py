"""Keeps one broken item from spoiling the others. The only place that catches every exception."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from aegis_lib.logs import get_logger

Item = TypeVar("Item")
Result = TypeVar("Result")
log = get_logger(__name__)


@dataclass
class Isolated(Generic[Item, Result]):
    """What came of each item: results in order, and the failures with their items."""

    results: list[Result] = field(default_factory=list)
    failures: list[tuple[Item, Exception]] = field(default_factory=list)


def each(items: Iterable[Item], act: Callable[[Item], Result]) -> Isolated[Item, Result]:
    """Call `act` for every item; a failing one is recorded and the next is tried.

    Raises:
        Exception: the first failure, when there were items and every one of them failed.
    """
    outcome: Isolated[Item, Result] = Isolated()
    for item in items:
        try:
            outcome.results.append(act(item))
        except Exception as error:  # noqa: BLE001
            log.error("item_failed", item=str(item), error=str(error), kind=type(error).__name__)
            outcome.failures.append((item, error))
    if outcome.failures and not outcome.results:
        raise outcome.failures[0][1]
    return outcome


def attempt(act: Callable[[], Result]) -> Result | Exception:
    """What `act` returns, or the exception it raised: for code that is not ours and may do anything."""
    try:
        return act()
    except Exception as error:  # noqa: BLE001
        return error
