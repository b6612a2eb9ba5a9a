"""The cleanup and the search against fakes: what went, what stayed, how fast."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aegis_lib.errors import DependencyUnavailable, PermanentFailure
from aegis_lib.memory import service
from aegis_lib.memory.model import CleanupReport, Deleted, Importance, MemoryConfig
from aegis_lib.outcome import Outcome
from tests.fakes.digest import FakeEmbedder
from tests.fakes.memory import FakeMemory

NOW = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
DAY = timedelta(days=1)


class TimedMemory(FakeMemory):
    """Each batch takes `seconds_per_row` on a clock that pauses move as well."""

    def __init__(self, seconds_per_row: float = 0.0001) -> None:
        super().__init__(NOW)
        self.seconds, self.seconds_per_row = 0.0, seconds_per_row
        self.batches: list[int] = []
        self.pauses: list[float] = []
        self.break_at_batch = -1

    def delete_expired(self, before: datetime, limit: int, spare_unsynced: bool = False) -> Deleted:
        if len(self.batches) == self.break_at_batch:
            raise DependencyUnavailable("PostgreSQL", "the connection was lost.")
        batch = super().delete_expired(before, limit, spare_unsynced)
        self.seconds += batch.rows * self.seconds_per_row
        self.batches.append(batch.rows)
        return batch

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds

    def clean_up(self, dry_run: bool = False, graph: bool = False, **config: Any) -> CleanupReport:
        return service.clean_up(
            self, MemoryConfig(**config), now=NOW, dry_run=dry_run, graph_configured=graph,
            pause=self.pause, elapsed=lambda: self.seconds,
        )  # fmt: skip

    def fill(self, count: int, days_old: int = 40) -> None:
        for number in range(count):
            self.record("note", str(number), importance=Importance.LOW,
                        timestamp=NOW - days_old * DAY + number * timedelta(seconds=1))  # fmt: skip


@pytest.fixture
def memory() -> TimedMemory:
    return TimedMemory()


def test_exactly_what_is_low_and_old_goes(memory: TimedMemory) -> None:
    for importance in Importance:
        for days in (0, 29, 31, 400):
            memory.record(
                "note", f"{importance.value} {days}", importance=importance, timestamp=NOW - days * DAY
            )
    memory.record("note", "low on the limit", importance=Importance.LOW, timestamp=NOW - 30 * DAY)
    report = memory.clean_up()
    gone = {e.summary for e in memory.recorded} - {e.summary for e in memory.rows.values()}
    assert gone == {"low 31", "low 400"}
    assert (report.deleted, report.remaining, report.outcome) == (2, 0, Outcome.COMPLETED)
    assert (report.oldest, report.newest) == (NOW - 400 * DAY, NOW - 31 * DAY)
    assert "2 low-importance events deleted" in report.summary
    assert "2025-01-25T00:30:00Z" in report.summary


def test_a_dry_run_counts_and_deletes_nothing(memory: TimedMemory) -> None:
    memory.fill(5)
    report = memory.clean_up(dry_run=True)
    assert (report.dry_run, report.deleted, report.remaining) == (True, 0, 5)
    assert "5 low-importance events from before 2026-01-30T00:30:00Z would be deleted" in report.summary
    assert len(memory.rows) == 5
    assert memory.batches == []


def test_nothing_to_delete_is_an_ordinary_run(memory: TimedMemory) -> None:
    memory.fill(3, days_old=3)
    report = memory.clean_up()
    assert (report.outcome, report.deleted, report.batches) == (Outcome.COMPLETED, 0, 0)
    assert "No low-importance event" in report.summary
    assert memory.pauses == []


@pytest.mark.parametrize(
    ("graph", "config"), [(True, {}), (False, {"spare_unsynced": True}), (True, {"spare_unsynced": True})]
)
def test_what_the_graph_has_not_read_stays_when_there_is_a_graph(
    memory: TimedMemory, graph: bool, config: dict[str, Any]
) -> None:
    memory.fill(4)
    memory.synced = {1, 3}
    assert memory.clean_up(graph=graph, **config).deleted == 2
    assert sorted(memory.rows) == [2, 4]
    assert memory.clean_up().deleted == 2


def test_batches_adapt_and_every_one_is_followed_by_a_pause(memory: TimedMemory) -> None:
    memory.fill(1000)
    report = memory.clean_up(batch_ms=10, least_batch_rows=50, busy_share=0.5)
    assert memory.batches[0] == 50, "it begins carefully"
    assert memory.batches[1:-1] == [100] * (len(memory.batches) - 2), "0.1 ms a row, 10 ms a batch"
    assert memory.pauses[1] == pytest.approx(0.010)
    assert len(memory.pauses) == len(memory.batches) - 1
    assert report.deleted == 1000


def test_time_is_bounded_and_a_cut_short_run_says_so(memory: TimedMemory) -> None:
    memory.seconds_per_row = 0.01
    memory.fill(2000)
    report = memory.clean_up(time_limit_seconds=5, least_batch_rows=100)
    assert report.stopped_early
    assert memory.seconds < 8
    assert report.remaining == 2000 - report.deleted > 0
    assert f"{report.remaining} are left to the next run" in report.summary
    assert report.outcome is Outcome.COMPLETED


def test_rows_that_somebody_holds_do_not_keep_it_running(memory: TimedMemory) -> None:
    class Held(TimedMemory):
        def delete_expired(self, before: datetime, limit: int, spare_unsynced: bool = False) -> Deleted:
            return Deleted()

    held = Held()
    held.fill(3)
    report = held.clean_up()
    assert (report.deleted, report.remaining, report.stopped_early) == (0, 3, False)
    assert "3 are held by others" in report.summary


def test_an_interrupted_cleanup_has_deleted_the_oldest_and_goes_on_next_time(memory: TimedMemory) -> None:
    memory.fill(500)
    memory.break_at_batch = 2
    with pytest.raises(DependencyUnavailable):
        memory.clean_up(least_batch_rows=100)
    left = [int(e.summary) for e in memory.rows.values()]
    assert left == list(range(sum(memory.batches), 500))
    memory.break_at_batch = -1
    assert memory.clean_up().deleted == len(left)
    assert memory.rows == {}


def test_a_text_finds_what_resembles_it(memory: TimedMemory) -> None:
    for summary, vector in (("near", [1.0, 0.1]), ("far", [0.0, 1.0]), ("unknown", None)):
        number = memory.record("note", summary)
        if vector and number:
            memory.set_embedding(number, [*vector, *[0.0] * 1534])
    embedder = FakeEmbedder([1.0, 0.0])
    found = service.similar(memory, embedder, "what is near?", limit=5)
    assert [(e.summary, round(similarity, 2)) for e, similarity in found] == [("near", 1.0), ("far", 0.0)]
    assert embedder.asked == ["what is near?"]


def test_a_model_that_answers_the_wrong_number_of_vectors_is_an_error(memory: TimedMemory) -> None:
    with pytest.raises(PermanentFailure, match="2 vectors for one text"):
        service.similar(memory, FakeEmbedder([1.0], [1.0]), "x")
