"""What becomes of the jobs after each fault: the table of `docs/operations.md`.

    python bench/faults.py [--only NAME ...] [--quick] [--no-stock] [--stock-patience 300]

A real `aegis up` with a data directory of its own, its logs on a small disk, and a second one whose worker
has a network of its own. Beside the product's jobs run three of every 12 s: one that is over at once, one
that runs for six seconds, one that is claimed for three seconds before it begins. Each fault strikes while
one of them is in that state; nobody touches anything afterwards.

*again after*: seconds from the fault (from its end where it lasts) until each of the three had run for a tick
due after it; *best*: when the last of these ticks was due. *due*: ticks from one interval before the fault
until then, counted by arithmetic; *accounted*: those to which the ledger, brought up to date by the job
`missed_runs`, gives an outcome. *twice*: ticks whose side effect happened more than once. *its run*: how the
run ended that the fault found in flight.

Beside it Prefect as it comes (its own settings, its process worker, a job of every 30 s with a limit of one),
which has nothing that restarts its parts: they are started again after two seconds, as a service manager
does. Needs root. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.faults import stacks, stock
from tests.faults.injections import FAULTS, QUICK, Fault
from tests.faults.installation import Installation
from tests.faults.rows import Row, judge, measure

HEAD = ("fault", "again after", "best", "due", "accounted", "outcomes", "its run", "twice", "green")


def main() -> None:
    options = read_options()
    names = {fault.name for fault in FAULTS}
    chosen = set(options.only) if options.only else QUICK if options.quick else names
    wanted = [fault for fault in FAULTS if fault.name in chosen]
    rows = run_all([fault for fault in wanted if fault.needs != "network"], open_plain)
    rows += run_all([fault for fault in wanted if fault.needs == "network"], stacks.apart)
    show(rows)
    stock_rows = [] if options.no_stock else stock.measure(options.stock_patience)
    for stock_row in stock_rows:
        print(stock_line(stock_row))
    print(json.dumps(summary(rows) | stock_summary(stock_rows)))


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The fault table. Needs root.")
    parser.add_argument(
        "--only", nargs="+", choices=[fault.name for fault in FAULTS], help="only these faults"
    )
    parser.add_argument("--quick", action="store_true", help="the faults that the test suite injects")
    parser.add_argument("--no-stock", action="store_true", help="leave Prefect as it comes out")
    parser.add_argument("--stock-patience", type=float, default=300, help="seconds to wait for its job")
    return parser.parse_args()


def open_plain() -> AbstractContextManager[Installation]:
    return stacks.plain(on_small_disk=True)


def run_all(faults: Sequence[Fault], opened: Callable[[], AbstractContextManager[Installation]]) -> list[Row]:
    """Each fault on one stack; a new one where a fault left the last one unwell."""
    left, rows = list(faults), []
    while left:
        with opened() as stack:
            stack.wait_counted()
            measured: list[Row] = []
            while left:
                stack.wait_well()
                row = measure(left.pop(0), stack)
                measured.append(row)
                again = "never" if row.again_seconds is None else f"{row.again_seconds:.1f} s"
                print(f"{time.strftime('%H:%M:%S')} {row.fault.name}: again after {again}", file=sys.stderr)
                if row.again_seconds is None:
                    break
            judge(measured, stack)
            for row in measured:
                print("  ".join(cells(row)), file=sys.stderr)
            rows += measured
    return rows


def show(rows: Sequence[Row]) -> None:
    lines = [HEAD, *map(cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def cells(row: Row) -> tuple[str, ...]:
    outcomes = ", ".join(f"{count} {name}" for name, count in row.outcomes.most_common())
    return (
        row.fault.title,
        "never" if row.again_seconds is None else f"{row.again_seconds:.1f} s",
        f"{row.best_seconds:.1f} s",
        str(row.ticks_due),
        str(row.ticks_accounted),
        outcomes,
        row.run_state,
        str(row.effects_twice),
        "yes" if row.green else "NO",
    )


def stock_line(row: stock.StockRow) -> str:
    again = (
        f"never, in {row.waited_seconds:.0f} s" if row.again_seconds is None else f"{row.again_seconds:.1f} s"
    )
    outcomes = ", ".join(f"{count} {name}" for name, count in row.outcomes.most_common())
    return f"stock, {row.name}: again after {again} ({outcomes})"


def stock_summary(rows: Sequence[stock.StockRow]) -> dict[str, object]:
    return {
        "faults_stock": len(rows),
        "recovered_stock": sum(row.again_seconds is not None for row in rows),
        "again_seconds_stock": {row.name: row.again_seconds for row in rows},
    }


def summary(rows: Sequence[Row]) -> dict[str, object]:
    return {
        "faults": len(rows),
        "green": sum(row.green for row in rows),
        "ticks_due": sum(row.ticks_due for row in rows),
        "ticks_accounted": sum(row.ticks_accounted for row in rows),
        "effects_twice": sum(row.effects_twice for row in rows),
        "begun_twice": sum(row.begun_twice for row in rows),
        "again_seconds": {row.fault.name: row.again_seconds for row in rows},
    }


if __name__ == "__main__":
    main()
