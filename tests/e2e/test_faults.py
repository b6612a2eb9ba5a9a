"""The fault table, bounded: after each fault every job runs again by itself, nothing twice, each tick named.

The whole table is `python bench/faults.py`; both inject the same faults into the same stack. The faults stand
in the order in which they strike, and the ledger is asked about all of them at the end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest

from tests import postgres, requirement
from tests.faults import stacks
from tests.faults.injections import FAULTS, QUICK, Fault
from tests.faults.installation import Installation
from tests.faults.rows import Row, judge, measure
from tests.faults.surroundings import Unavailable

HERE = [fault for fault in FAULTS if fault.name in QUICK and fault.needs != "network"]
(CUT,) = [replace(fault, lasts_seconds=20) for fault in FAULTS if fault.needs == "network"]
PATIENCE_SECONDS = 120.0


@dataclass
class Stacks:
    """Both stacks, started one after the other: the ledger counts only from a minute after the deploy."""

    plain: Installation
    apart: Installation | None
    why_not_apart: str = ""


@pytest.fixture(scope="module")
def both() -> Iterator[Stacks]:
    if not postgres.embeddable():
        requirement.missing("postgres", "pip install 'aegis-scheduler[embedded]'.")
    with ExitStack() as opened:
        found = Stacks(opened.enter_context(stacks.plain(on_small_disk=os.geteuid() == 0)), None)
        try:
            found.apart = opened.enter_context(stacks.apart())
        except Unavailable as error:
            found.why_not_apart = str(error)
        found.plain.wait_counted()
        yield found


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    return {}


@pytest.mark.parametrize("fault", HERE, ids=lambda fault: fault.name)
def test_every_job_runs_again(both: Stacks, rows: dict[str, Row], fault: Fault) -> None:
    if fault.needs == "disk" and os.geteuid() != 0:
        requirement.missing("tmpfs", "Run the tests as root.")
    row = rows[fault.name] = measure(fault, both.plain, PATIENCE_SECONDS)
    assert row.again_seconds is not None


def test_nothing_was_lost_and_nothing_done_twice(both: Stacks, rows: dict[str, Row]) -> None:
    judge(rows.values(), both.plain)
    assert rows
    assert not {name: row for name, row in rows.items() if not row.green}


def test_a_cut_of_the_network_is_outlasted(both: Stacks) -> None:
    if both.apart is None:
        requirement.missing("netns", f"Run as root, with iproute2 and iptables: {both.why_not_apart}")
    else:
        both.apart.wait_counted()
        row = measure(CUT, both.apart, PATIENCE_SECONDS)
        judge([row], both.apart)
        assert row.green, row
