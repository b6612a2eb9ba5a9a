"""The fault table, bounded: after each fault every job runs again by itself, nothing twice, each tick named.

The whole table is `python bench/faults.py`; both inject the same faults into the same stack. The faults stand
in the order in which they strike, and the ledger is asked about all of them at the end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests import postgres, requirement
from tests.faults import stacks
from tests.faults.injections import FAULTS, QUICK, Fault
from tests.faults.installation import Installation
from tests.faults.rows import Row, judge, measure
from tests.faults.surroundings import Unavailable

HERE = [fault for fault in FAULTS if fault.name in QUICK and fault.needs != "network"]
APART = [fault for fault in FAULTS if fault.name in QUICK and fault.needs == "network"]
PATIENCE_SECONDS = 90.0


@pytest.fixture(scope="module")
def stack() -> Iterator[Installation]:
    if not postgres.embeddable():
        requirement.missing("postgres", "pip install 'aegis-scheduler[embedded]'.")
    with stacks.plain(on_small_disk=os.geteuid() == 0) as running:
        running.wait_counted()
        yield running


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    return {}


@pytest.mark.parametrize("fault", HERE, ids=lambda fault: fault.name)
def test_every_job_runs_again(stack: Installation, rows: dict[str, Row], fault: Fault) -> None:
    if fault.needs == "disk" and os.geteuid() != 0:
        requirement.missing("tmpfs", "Run the tests as root.")
    row = rows[fault.name] = measure(fault, stack, PATIENCE_SECONDS)
    assert row.again_seconds is not None


def test_nothing_was_lost_and_nothing_done_twice(stack: Installation, rows: dict[str, Row]) -> None:
    judge(rows.values(), stack)
    assert rows
    assert {name: (row.ticks_accounted, row.effects_twice) for name, row in rows.items()} == {
        name: (row.ticks_due, 0) for name, row in rows.items()
    }
    assert all(row.green for row in rows.values())


@pytest.mark.parametrize("fault", APART, ids=lambda fault: fault.name)
def test_a_cut_network_is_outlasted(fault: Fault) -> None:
    if not postgres.embeddable():
        requirement.missing("postgres", "pip install 'aegis-scheduler[embedded]'.")
    try:
        with stacks.apart() as stack:
            stack.wait_counted()
            row = measure(fault, stack, PATIENCE_SECONDS)
            judge([row], stack)
    except Unavailable as error:
        requirement.missing("netns", f"Run the tests as root, with iproute2 and iptables: {error}")
    assert row.green, row
