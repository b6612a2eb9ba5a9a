"""When a maintenance window is open: as a question about one moment, and as stretches of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as some

from aegis_lib.maintenance import DAYS, MaintenanceWindow

SUNDAY = datetime(2026, 1, 25, tzinfo=UTC)
HOUR = timedelta(hours=1)

clock_times = some.times().map(lambda time: f"{time:%H:%M}")
windows = (
    some.tuples(clock_times, clock_times, some.sets(some.sampled_from(DAYS), min_size=1))
    .filter(lambda fields: fields[0] != fields[1])
    .map(lambda fields: MaintenanceWindow(start=fields[0], end=fields[1], days=tuple(fields[2])))
)


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_starts() -> None:
    window = MaintenanceWindow(start="22:00", end="02:00", days=("sat",))
    found = list(window.times(SUNDAY - 24 * HOUR, SUNDAY + 24 * HOUR))
    assert found == [(SUNDAY - 2 * HOUR, SUNDAY + 2 * HOUR)]


def test_only_what_lies_between_the_two_moments_counts() -> None:
    window = MaintenanceWindow(start="01:00", end="03:00")
    assert list(window.times(SUNDAY + 2 * HOUR, SUNDAY + 26 * HOUR)) == [
        (SUNDAY + 2 * HOUR, SUNDAY + 3 * HOUR),
        (SUNDAY + 25 * HOUR, SUNDAY + 26 * HOUR),
    ]
    assert list(window.times(SUNDAY + 4 * HOUR, SUNDAY + 20 * HOUR)) == []


@given(windows, some.integers(0, 7 * 24 * 60))
def test_both_forms_of_the_question_have_the_same_answer(window: MaintenanceWindow, minutes: int) -> None:
    moment = SUNDAY + timedelta(minutes=minutes)
    spans = list(window.times(moment - 48 * HOUR, moment + 48 * HOUR))
    assert window.contains(moment) == any(begin <= moment < end for begin, end in spans)
