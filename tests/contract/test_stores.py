"""The same promises from the fakes and from the stores on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from aegis_lib.db.database import Database
from aegis_lib.memory.model import EMBEDDING_DIMENSIONS, Deleted, Importance
from aegis_lib.ports.memory import EpisodicMemory, ExpiringMemory
from aegis_lib.ports.state import StateStore
from aegis_lib.ports.tasks import TaskList
from aegis_lib.tasks.model import TaskStatus
from tests.fakes.memory import FakeMemory
from tests.fakes.state import FakeState
from tests.fakes.tasks import FakeTasks

NOON = datetime(2026, 1, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LOW = Importance.LOW


class Memory(EpisodicMemory, ExpiringMemory, Protocol):
    def set_embedding(self, episode_id: int, embedding: list[float]) -> bool: ...


@pytest.fixture(params=["fake", "real"])
def real(request: pytest.FixtureRequest) -> Database | None:
    database: Database | None = None if request.param == "fake" else request.getfixturevalue("database")
    return database


@pytest.fixture
def memory(real: Database | None) -> Memory:
    return FakeMemory() if real is None else real.memory


@pytest.fixture
def sync(memory: Memory, real: Database | None) -> Callable[[int], object]:
    """Marks an event as read by the knowledge graph."""
    if isinstance(memory, FakeMemory):
        return memory.synced.add
    assert real is not None
    connection = real.connection
    return lambda number: connection.execute(
        "UPDATE episodic_memory SET graphiti_synced_at = now() WHERE id = %s", [number]
    )


@pytest.fixture
def state(real: Database | None) -> StateStore:
    return FakeState() if real is None else real.state


@pytest.fixture
def tasks(real: Database | None) -> TaskList:
    return FakeTasks() if real is None else real.tasks


def direction(*start: float) -> list[float]:
    return [*start, *[0.0] * (EMBEDDING_DIMENSIONS - len(start))]


def test_an_event_is_recalled_as_it_was_recorded(memory: Memory) -> None:
    number = memory.record(
        "decision",
        "Chose a database — 選択",
        {"options": ["a", 2, None], "nested": {"é": True}},
        Importance.HIGH,
        ("db", "choice"),
        context={"where": "here"},
        decision="PostgreSQL",
        timestamp=NOON,
        key="k",
    )
    [event] = memory.recall_recent()
    assert event.id == number
    assert (event.timestamp, event.event_type, event.summary) == (NOON, "decision", "Chose a database — 選択")
    assert event.details == {"options": ["a", 2, None], "nested": {"é": True}}
    assert (event.importance, event.tags, event.decision) == (Importance.HIGH, ("db", "choice"), "PostgreSQL")


def test_an_event_needs_no_more_than_type_and_summary(memory: Memory) -> None:
    before = datetime.now(UTC)
    memory.record("note", "short")
    [event] = memory.recall_recent()
    assert before <= event.timestamp <= datetime.now(UTC)
    assert (event.details, event.importance, event.tags, event.decision) == ({}, Importance.MEDIUM, (), None)


def test_the_same_key_is_stored_once_and_answers_with_the_first_id(memory: Memory) -> None:
    first = memory.record("note", "first", key="k")
    assert memory.record("note", "second", key="k") == first
    assert memory.record("note", "other", key="k2") != first
    assert memory.record("note", "without") != memory.record("note", "without")
    assert sorted(e.summary for e in memory.recall_recent()) == ["first", "other", "without", "without"]


def test_the_newest_events_come_first(memory: Memory) -> None:
    for number, hours in enumerate([1, 3, 2, 3]):
        memory.record("a" if hours == 3 else "b", str(number), timestamp=NOON + hours * HOUR)
    assert [e.summary for e in memory.recall_recent()] == ["3", "1", "2", "0"]
    assert [e.summary for e in memory.recall_recent(limit=2)] == ["3", "1"]
    assert [e.summary for e in memory.recall_recent(event_type="b")] == ["2", "0"]
    assert memory.recall_recent(event_type="none") == []


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_out_of_range_is_refused(memory: Memory, tasks: TaskList, limit: int) -> None:
    for call in (
        lambda: memory.recall_recent(limit=limit),
        lambda: memory.find_similar(direction(1), limit=limit),
        lambda: tasks.pending(limit=limit),
        lambda: tasks.completed(NOON, NOON, limit=limit),
        lambda: tasks.failed(NOON, NOON, limit=limit),
    ):
        with pytest.raises(ValueError, match="limit"):
            call()


@pytest.mark.parametrize(
    "wrong",
    [
        {"event_type": ""},
        {"event_type": "x" * 101},
        {"summary": ""},
        {"importance": "urgent"},
        {"timestamp": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"key": ""},
        {"key": "x" * 201},
    ],
)
def test_an_event_out_of_range_is_refused_and_nothing_stored(memory: Memory, wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        memory.record(**{"event_type": "note", "summary": "text", **wrong})  # type: ignore[arg-type]
    assert memory.recall_recent() == []


def test_the_most_similar_events_come_first_and_those_without_a_vector_not_at_all(memory: Memory) -> None:
    ids = [memory.record("note", name) for name in ("east", "north-east", "west", "nowhere")]
    for number, vector in zip(ids, [(2, 0), (1, 1), (-3, 0)], strict=False):
        assert memory.set_embedding(number or 0, direction(*vector))
    found = memory.find_similar(direction(1, 0))
    assert [event.summary for event, _ in found] == ["east", "north-east", "west"]
    assert [similarity for _, similarity in found] == pytest.approx([1, 0.5**0.5, -1], abs=1e-6)
    assert [event.summary for event, _ in memory.find_similar(direction(0, 1), limit=1)] == ["north-east"]
    assert not memory.set_embedding(10_000, direction(1))


@pytest.mark.parametrize("vector", [[1.0], [0.0] * 1537, direction(float("nan")), direction(0.0)])
def test_a_vector_that_cannot_be_compared_is_refused(memory: Memory, vector: list[float]) -> None:
    number = memory.record("note", "x") or 0
    with pytest.raises(ValueError, match="embedding"):
        memory.find_similar(vector)
    with pytest.raises(ValueError, match="embedding"):
        memory.set_embedding(number, vector)


def test_only_old_events_of_low_importance_expire(memory: Memory) -> None:
    for importance in Importance:
        memory.record("old", importance.value, importance=importance, timestamp=NOON - HOUR)
        memory.record("new", importance.value, importance=importance, timestamp=NOON)
    assert memory.count_expired(NOON) == 1
    assert memory.delete_expired(NOON, limit=10) == Deleted(rows=1, oldest=NOON - HOUR, newest=NOON - HOUR)
    assert memory.count_expired(NOON) == 0
    left = {(e.event_type, e.summary) for e in memory.recall_recent()}
    assert left == {(t, i.value) for t in ("old", "new") for i in Importance} - {("old", "low")}


def test_a_batch_is_not_larger_than_its_limit(memory: Memory) -> None:
    for hours in range(5, 0, -1):
        memory.record("old", "x", importance=LOW, timestamp=NOON - hours * HOUR)
    assert [memory.delete_expired(NOON, limit=2).rows for _ in range(4)] == [2, 2, 1, 0]
    assert memory.delete_expired(NOON, limit=2) == Deleted()
    with pytest.raises(ValueError):
        memory.delete_expired(NOON, limit=0)


def test_events_the_graph_has_not_read_are_spared_on_request(
    memory: Memory, sync: Callable[[int], object]
) -> None:
    for summary in ("read", "unread"):
        number = memory.record("old", summary, importance=LOW, timestamp=NOON - HOUR)
        if summary == "read":
            sync(number or 0)
    assert memory.count_expired(NOON, spare_unsynced=True) == 1
    assert memory.delete_expired(NOON, limit=10, spare_unsynced=True).rows == 1
    assert [e.summary for e in memory.recall_recent()] == ["unread"]
    assert memory.count_expired(NOON) == 1


def test_state_holds_the_last_value(state: StateStore) -> None:
    assert state.get("db_healthy") is None
    for value in ("true", "false", "", "{}", "line\nline", "2026-01-25T06:00:00Z"):
        state.set("db_healthy", value)
        assert state.get("db_healthy") == value
    state.set("other", "x")
    assert state.get("db_healthy") == "2026-01-25T06:00:00Z"


def test_a_task_is_read_as_it_was_added(tasks: TaskList) -> None:
    number = tasks.add(
        "Answer",
        details="politely",
        priority=1,
        source="mail",
        source_key="m1",
        due_at=NOON + HOUR,
        created_at=NOON,
    )
    [task] = tasks.pending()
    assert (task.id, task.title, task.details, task.priority) == (number, "Answer", "politely", 1)
    assert (task.source, task.source_key, task.due_at, task.created_at) == ("mail", "m1", NOON + HOUR, NOON)
    assert (task.status, task.started_at, task.completed_at) == (TaskStatus.PENDING, None, None)


def test_the_same_source_key_is_added_once(tasks: TaskList) -> None:
    first = tasks.add("one", source_key="k")
    assert tasks.add("two", source_key="k") == first
    assert tasks.add("three") != tasks.add("three")
    assert tasks.counts()[TaskStatus.PENDING] == 3


@pytest.mark.parametrize("wrong", [{"title": ""}, {"title": "x" * 501}, {"priority": -1}, {"priority": 5}])
def test_a_task_out_of_range_is_refused(tasks: TaskList, wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        tasks.add(**{"title": "x", **wrong})  # type: ignore[arg-type]
    assert sum(tasks.counts().values()) == 0


def test_pending_tasks_come_by_priority_then_due_date_then_age(tasks: TaskList) -> None:
    for title, priority, due, created in [
        ("undated, later", 1, None, 2),
        ("undated", 1, None, 1),
        ("least", 4, 0, 0),
        ("due later", 1, 5, 0),
        ("due soon", 1, 1, 3),
        ("first", 0, None, 9),
    ]:
        tasks.add(
            title,
            priority=priority,
            due_at=None if due is None else NOON + due * HOUR,
            created_at=NOON + created * HOUR,
        )
    order = ["first", "due soon", "due later", "undated", "undated, later", "least"]
    assert [task.title for task in tasks.pending()] == order
    assert [task.title for task in tasks.pending(limit=2)] == order[:2]


def test_a_task_keeps_when_it_began_and_ended_and_stays_over(tasks: TaskList) -> None:
    number = tasks.add("x")
    assert tasks.set_status(number, TaskStatus.IN_PROGRESS, NOON)
    assert tasks.set_status(number, TaskStatus.BLOCKED, NOON + HOUR)
    assert tasks.set_status(number, TaskStatus.IN_PROGRESS, NOON + 2 * HOUR)
    assert tasks.pending() == []
    assert tasks.set_status(number, TaskStatus.COMPLETED, NOON + 3 * HOUR)
    assert not tasks.set_status(number, TaskStatus.FAILED, NOON + 4 * HOUR)
    assert not tasks.set_status(number + 1, TaskStatus.FAILED, NOON)
    [task] = tasks.completed(NOON, NOON + 9 * HOUR)
    assert (task.started_at, task.completed_at) == (NOON, NOON + 3 * HOUR)


def test_tasks_are_counted_by_status_every_status_named(tasks: TaskList) -> None:
    assert tasks.counts() == dict.fromkeys(TaskStatus, 0)
    for status in (TaskStatus.BLOCKED, TaskStatus.FAILED, TaskStatus.FAILED):
        tasks.set_status(tasks.add("x"), status, NOON)
    tasks.add("x")
    assert tasks.counts() == {
        **dict.fromkeys(TaskStatus, 0),
        TaskStatus.PENDING: 1,
        TaskStatus.BLOCKED: 1,
        TaskStatus.FAILED: 2,
    }


def test_a_window_has_its_start_but_not_its_end(tasks: TaskList) -> None:
    for hours in (2, 0, 1):
        tasks.set_status(tasks.add(f"done {hours}"), TaskStatus.COMPLETED, NOON + hours * HOUR)
        tasks.set_status(tasks.add(f"failed {hours}"), TaskStatus.FAILED, NOON + hours * HOUR)
    assert [t.title for t in tasks.completed(NOON, NOON + 2 * HOUR)] == ["done 0", "done 1"]
    assert [t.title for t in tasks.failed(NOON, NOON + 2 * HOUR)] == ["failed 0", "failed 1"]
    assert [t.title for t in tasks.completed(NOON, NOON + 9 * HOUR, limit=1)] == ["done 0"]
