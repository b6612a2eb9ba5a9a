"""Recording fakes of the ports. Each is held to the real thing by a test in tests/contract.

No fake opens a socket or a file. Append yours at the end, under its own heading.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pydantic import BaseModel

from aegis_lib.alerts import policy
from aegis_lib.alerts.model import (
    Alert,
    AlertState,
    Attempt,
    Delivery,
    FailedAction,
    LateRun,
    Message,
    NoticeKind,
    Problem,
    Receipt,
    Recovered,
    RunEnd,
    Severity,
    WorkerSeen,
)
from aegis_lib.containers.model import Inspected, Listed, Notice, RestartAnswer, RestartOutcome, StrikeRecord
from aegis_lib.digest.model import (
    OWN_EVENTS,
    Arrivals,
    Claim,
    EventCounts,
    Line,
    Lines,
    TaskCounts,
    Window,
)
from aegis_lib.health.model import Flushed, Outage, Stage
from aegis_lib.ledger.model import ScheduledRun, ServerJob
from aegis_lib.llm import policy as llm_policy
from aegis_lib.llm.model import ALL_JOBS, A, Asked, Exchange, NoReply, Refusal, Reply, Told, Turn
from aegis_lib.llm.model import Answer as ModelAnswer
from aegis_lib.llm.model import Question as ModelQuestion
from aegis_lib.llm.model import Request as ModelRequest
from aegis_lib.memory.model import EMBEDDING_DIMENSIONS, Deleted, Episode, Importance, NewEpisode
from aegis_lib.tasks.model import NewTask, Task, TaskStatus

# --- memory ---


class FakeMemory:
    """Events in a list. `recorded` are the new ones as given; set `broken` to make every call raise it."""

    def __init__(self, now: datetime | None = None) -> None:
        self.now = now
        self.recorded: list[NewEpisode] = []
        self.broken: Exception | None = None
        self.rows: dict[int, NewEpisode] = {}
        self.embeddings: dict[int, tuple[float, ...]] = {}
        self.synced: set[int] = set()

    def record(
        self,
        event_type: str,
        summary: str,
        details: Mapping[str, Any] | None = None,
        importance: Importance = Importance.MEDIUM,
        tags: Sequence[str] = (),
        *,
        context: Mapping[str, Any] | None = None,
        decision: str | None = None,
        timestamp: datetime | None = None,
        key: str | None = None,
    ) -> int | None:
        self._check()
        episode = NewEpisode(
            event_type=event_type,
            summary=summary,
            details=dict(details or {}),
            context=dict(context or {}),
            importance=Importance(importance),
            tags=tuple(tags),
            decision=decision,
            timestamp=timestamp or self.now or datetime.now(UTC),
            key=key,
        )
        for number, known in self.rows.items():
            if key is not None and known.key == key:
                return number
        self.recorded.append(episode)
        number = max(self.rows, default=0) + 1
        self.rows[number] = episode
        return number

    def recall_recent(self, limit: int = 10, event_type: str | None = None) -> list[Episode]:
        self._check()
        _check_limit(limit)
        found = [e for e in self._stored() if event_type is None or e.event_type == event_type]
        return sorted(found, key=lambda e: (e.timestamp, e.id), reverse=True)[:limit]

    def find_similar(self, embedding: Sequence[float], limit: int = 10) -> list[tuple[Episode, float]]:
        self._check()
        _check_limit(limit)
        _check_vector(embedding)
        scored = [
            (e, _cosine(embedding, self.embeddings[e.id])) for e in self._stored() if e.id in self.embeddings
        ]
        return sorted(scored, key=lambda pair: (-pair[1], pair[0].id))[:limit]

    def set_embedding(self, episode_id: int, embedding: Sequence[float]) -> bool:
        self._check()
        _check_vector(embedding)
        if episode_id not in self.rows:
            return False
        self.embeddings[episode_id] = tuple(embedding)
        return True

    def count_expired(self, before: datetime, spare_unsynced: bool = False) -> int:
        self._check()
        return len(self._expired(before, spare_unsynced))

    def delete_expired(self, before: datetime, limit: int, spare_unsynced: bool = False) -> Deleted:
        self._check()
        if limit < 1:
            raise ValueError("limit must be at least 1")
        expired = self._expired(before, spare_unsynced)
        batch = sorted(expired, key=lambda number: self.rows[number].timestamp)[:limit]
        times = [self.rows.pop(number).timestamp for number in batch]
        return Deleted(rows=len(times), oldest=min(times, default=None), newest=max(times, default=None))

    def of_type(self, event_type: str) -> list[NewEpisode]:
        """What was recorded under one event type, in order."""
        return [episode for episode in self.recorded if episode.event_type == event_type]

    def _expired(self, before: datetime, spare_unsynced: bool) -> list[int]:
        return [
            number
            for number, row in self.rows.items()
            if row.importance is Importance.LOW
            and row.timestamp < before
            and (number in self.synced or not spare_unsynced)
        ]

    def _stored(self) -> list[Episode]:
        return [
            Episode(id=number, **row.model_dump(exclude={"context", "key"}))
            for number, row in self.rows.items()
        ]

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= 1000:
        raise ValueError("limit must be 1 to 1000")


def _check_vector(embedding: Sequence[float]) -> None:
    if len(embedding) != EMBEDDING_DIMENSIONS or not all(map(math.isfinite, embedding)) or not any(embedding):
        raise ValueError("an embedding is 1536 finite numbers, not all zero")


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))


# --- state ---


class FakeState:
    """The key-value table in a dict. `written` keeps every write in order."""

    def __init__(self, **values: str) -> None:
        self.values = dict(values)
        self.written: list[tuple[str, str]] = []
        self.broken: Exception | None = None

    def get(self, key: str) -> str | None:
        if self.broken is not None:
            raise self.broken
        return self.values.get(key)

    def set(self, key: str, value: str) -> None:
        if self.broken is not None:
            raise self.broken
        self.values[key] = value
        self.written.append((key, value))


# --- tasks ---


class FakeTasks:
    """The task list in a dict; set `broken` to make every call raise it."""

    def __init__(self, now: datetime | None = None) -> None:
        self.now = now
        self.rows: dict[int, Task] = {}
        self.broken: Exception | None = None

    def add(
        self,
        title: str,
        *,
        details: str = "",
        priority: int = 2,
        source: str = "aegis",
        source_key: str | None = None,
        due_at: datetime | None = None,
        created_at: datetime | None = None,
    ) -> int:
        self._check()
        new = NewTask(
            title=title,
            details=details,
            priority=priority,
            source=source,
            source_key=source_key,
            due_at=due_at,
        )
        for row in self.rows.values():
            if source_key is not None and row.source_key == source_key:
                return row.id
        number = max(self.rows, default=0) + 1
        self.rows[number] = Task(
            **new.model_dump(), id=number, created_at=created_at or self.now or datetime.now(UTC)
        )
        return number

    def set_status(self, task_id: int, status: TaskStatus, at: datetime) -> bool:
        self._check()
        row = self.rows.get(task_id)
        if row is None or row.status.final:
            return False
        started = row.started_at or (at if status is TaskStatus.IN_PROGRESS else None)
        self.rows[task_id] = row.model_copy(
            update={"status": status, "started_at": started, "completed_at": at if status.final else None}
        )
        return True

    def counts(self) -> dict[TaskStatus, int]:
        self._check()
        return {status: sum(r.status is status for r in self.rows.values()) for status in TaskStatus}

    def completed(self, start: datetime, end: datetime, limit: int = 100) -> list[Task]:
        return self._finished(TaskStatus.COMPLETED, start, end, limit)

    def failed(self, start: datetime, end: datetime, limit: int = 100) -> list[Task]:
        return self._finished(TaskStatus.FAILED, start, end, limit)

    def pending(self, limit: int = 100) -> list[Task]:
        self._check()
        _check_limit(limit)
        never = datetime.max.replace(tzinfo=UTC)
        waiting = [r for r in self.rows.values() if r.status is TaskStatus.PENDING]
        return sorted(waiting, key=lambda r: (r.priority, r.due_at or never, r.created_at, r.id))[:limit]

    def _finished(self, status: TaskStatus, start: datetime, end: datetime, limit: int) -> list[Task]:
        self._check()
        _check_limit(limit)
        found = [
            r
            for r in self.rows.values()
            if r.status is status and r.completed_at is not None and start <= r.completed_at < end
        ]
        return sorted(found, key=lambda r: (r.completed_at or r.created_at, r.id))[:limit]

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken


# --- notifier ---


class FakeNotifier:
    """Keeps what was sent; set `broken` to make every delivery raise it."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.broken: Exception | None = None

    def send(self, message: Message) -> tuple[Receipt, ...]:
        if self.broken is not None:
            raise self.broken
        self.sent.append(message)
        return (Receipt(channel="fake", delivered=True, reference=str(len(self.sent))),)


# --- containers ---


@dataclass
class Box:
    """A container of `FakeEngine`: what its inspection shows, and then look by look after a restart."""

    name: str
    now: Inspected
    labels: dict[str, str] = field(default_factory=dict)
    created_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    itself: bool = False
    output: str = ""
    after_restart: list[Inspected] = field(default_factory=list)
    restart_answer: RestartAnswer = field(
        default_factory=lambda: RestartAnswer(outcome=RestartOutcome.RESTARTED)
    )
    restart_error: Exception | None = None
    inspect_error: Exception | None = None


class FakeEngine:
    """Containers in a dict. `restarted` keeps every restart; set `broken` to make every call raise it."""

    def __init__(self, name: str = "local", clock: Callable[[], datetime] | None = None) -> None:
        self._name = name
        self.clock = clock or (lambda: datetime.now(UTC))
        self.boxes: dict[str, Box] = {}
        self.restarted: list[tuple[str, int]] = []
        self.inspected: list[str] = []
        self.broken: Exception | None = None
        self.vanishing: set[str] = set()

    @property
    def name(self) -> str:
        return self._name

    def add(
        self, name: str, *, labels: Mapping[str, str] | None = None, itself: bool = False, **seen: Any
    ) -> Box:
        """A container; `seen` are fields of its inspection; without any it runs since 2026-01-01."""
        usual: dict[str, Any] = {
            "id": f"id-{name}",
            "state": "running",
            "started_at": datetime(2026, 1, 1, tzinfo=UTC),
        }
        box = Box(name, Inspected(**{**usual, **seen}), dict(labels or {}), itself=itself)
        self.boxes[box.now.id] = box
        return box

    def remove(self, name: str) -> None:
        self.boxes = {number: box for number, box in self.boxes.items() if box.name != name}

    def containers(self, only_label: str | None = None) -> list[Listed]:
        self._check()
        label, separator, value = (only_label or "").partition("=")
        found = [
            self._listed(box)
            for box in self.boxes.values()
            if not label or (label in box.labels and (not separator or box.labels[label] == value))
        ]
        for name in self.vanishing:
            self.remove(name)
        return sorted(found, key=lambda c: c.name)

    def inspect(self, container_id: str) -> Inspected | None:
        self._check()
        self.inspected.append(container_id)
        box = self.boxes.get(container_id)
        if box is None:
            return None
        if box.inspect_error is not None:
            raise box.inspect_error
        if box.name in {name for name, _ in self.restarted} and box.after_restart:
            box.now = box.after_restart.pop(0)
        return box.now

    def restart(self, container_id: str, stop_timeout_seconds: int) -> RestartAnswer:
        self._check()
        box = self.boxes.get(container_id)
        if box is None:
            return RestartAnswer(outcome=RestartOutcome.GONE)
        if box.restart_error is not None:
            raise box.restart_error
        self.restarted.append((box.name, stop_timeout_seconds))
        if box.restart_answer.outcome is RestartOutcome.RESTARTED and not box.after_restart:
            changes = {
                "state": "running",
                "started_at": self.clock(),
                "restarts": 0,
                "exit_code": 0,
                "error": "",
            }
            healthy = {"health": "healthy"} if box.now.check else {"health": None}
            box.now = box.now.model_copy(update={**changes, **healthy})
        return box.restart_answer

    def logs(self, container_id: str, lines: int, max_bytes: int) -> str:
        box = self.boxes.get(container_id)
        if box is None:
            return "(the container is gone)"
        return "\n".join(box.output.splitlines()[-lines:])[-max_bytes:] if lines else ""

    def _listed(self, box: Box) -> Listed:
        seen = box.now
        up = (self.clock() - seen.started_at).total_seconds() if seen.started_at else None
        return Listed(
            engine=self._name,
            id=seen.id,
            name=box.name,
            state=seen.state,
            health=seen.health if seen.state == "running" else None,
            exit_code=seen.exit_code if seen.state in {"exited", "restarting"} else None,
            up_seconds=int(up) + 1 if seen.state == "running" and up is not None and up < 119 else None,
            created_at=box.created_at,
            labels=box.labels,
            itself=box.itself,
        )

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken


@dataclass
class FakeRestart:
    """A row of `container_restarts`."""

    engine: str
    name: str
    case: datetime
    attempt: int
    claimed_at: datetime
    outcome: RestartOutcome | None = None
    verified_at: datetime | None = None
    forgiven: bool = False


class FakeStrikes:
    """Open cases in a dict, restarts in a list. `written` names every change that took place, in order."""

    def __init__(self) -> None:
        self.cases: dict[tuple[str, str], StrikeRecord] = {}
        self.restarts: list[FakeRestart] = []
        self.written: list[str] = []
        self.broken: Exception | None = None

    def open_cases(
        self, now: datetime, engine: str | None = None, name: str | None = None
    ) -> list[StrikeRecord]:
        self._check()
        return [
            self._counted(case, now)
            for key, case in sorted(self.cases.items())
            if engine in {None, key[0]} and name in {None, key[1]}
        ]

    def claim_strike(
        self, container: Listed, reason: str, now: datetime, interval: timedelta
    ) -> StrikeRecord | None:
        key = (container.engine, container.name)
        case = self.cases.get(key)
        if case is None or case.container_id != container.id or case.recovered_at is not None:
            case = StrikeRecord(
                engine=container.engine, name=container.name, container_id=container.id,
                strikes=1, reason=reason, first_strike_at=now, last_strike_at=now,
            )  # fmt: skip
        elif case.last_strike_at > now - interval:
            return None
        else:
            case = case.model_copy(
                update={
                    "strikes": case.strikes + 1,
                    "reason": reason,
                    "last_strike_at": now,
                    "healthy_cycles": 0,
                }
            )
        self.cases[key] = case
        self.written.append(f"strike {case.strikes} {container.name}")
        return self._counted(case, now)

    def claim_restart(self, case: StrikeRecord, now: datetime, budget: int, lease: timedelta) -> int | None:
        for row in self._of(case):
            if row.outcome is None and row.claimed_at <= now - lease:
                row.outcome = RestartOutcome.INTERRUPTED
        held = self._held(case)
        today = self._counted(case, now).restarts_today
        taken = any(row.attempt == case.attempts + 1 for row in self._of(case))
        if (
            held is None
            or held.quarantined_at
            or held.container_id != case.container_id
            or taken
            or today >= budget
        ):
            return None
        self.restarts.append(
            FakeRestart(case.engine, case.name, case.first_strike_at, case.attempts + 1, now)
        )
        self.written.append(f"restart {case.name}")
        return len(self.restarts)

    def finish_restart(self, restart_id: int, outcome: RestartOutcome, now: datetime) -> None:
        row = self.restarts[restart_id - 1]
        row.outcome = outcome
        row.verified_at = now if outcome is RestartOutcome.VERIFIED else None

    def quarantine(self, case: StrikeRecord, now: datetime) -> bool:
        return self._change(case, "quarantine", lambda held: held.quarantined_at is None, quarantined_at=now)

    def claim_notice(self, case: StrikeRecord, notice: Notice, now: datetime, lease: timedelta) -> bool:
        due: dict[Notice, Callable[[StrikeRecord], bool]] = {
            Notice.ESCALATION: lambda held: held.escalated_at is None,
            Notice.REMINDER: lambda held: (
                (held.reminded_at or held.escalated_at) == (case.reminded_at or case.escalated_at)
            ),
            Notice.RECOVERY: lambda held: held.recovered_at is not None,
        }
        return self._change(
            case,
            f"claim {notice.value}",
            lambda held: (
                due[notice](held)
                and (held.notice_claimed_at is None or held.notice_claimed_at <= now - lease)
            ),
            notice_claimed_at=now,
        )

    def notice_delivered(self, case: StrikeRecord, notice: Notice, now: datetime) -> None:
        if notice is Notice.RECOVERY:
            self.close(case)
            return
        told = "escalated_at" if notice is Notice.ESCALATION else "reminded_at"
        self._change(case, f"delivered {notice.value}", None, **{told: now, "notice_claimed_at": None})

    def release_notice(self, case: StrikeRecord) -> None:
        self._change(case, "release", None, notice_claimed_at=None)

    def count_healthy(self, case: StrikeRecord, now: datetime, interval: timedelta) -> int | None:
        held = self._held(case)
        if held is None or (held.last_healthy_at is not None and held.last_healthy_at > now - interval):
            return None
        self._change(case, "healthy", None, healthy_cycles=held.healthy_cycles + 1, last_healthy_at=now)
        return held.healthy_cycles + 1

    def sick_again(self, case: StrikeRecord) -> None:
        self._change(case, "sick again", lambda held: held.healthy_cycles > 0, healthy_cycles=0)

    def mark_recovered(self, case: StrikeRecord, now: datetime) -> bool:
        return self._change(
            case,
            "recovered",
            lambda held: held.recovered_at is None,
            recovered_at=now,
            notice_claimed_at=None,
        )

    def close(self, case: StrikeRecord) -> bool:
        if self._held(case) is None:
            return False
        del self.cases[(case.engine, case.name)]
        self.written.append(f"close {case.name}")
        return True

    def acknowledge(self, name: str, engine: str | None = None) -> list[str]:
        keys = sorted(key for key in self.cases if key[1] == name and engine in {None, key[0]})
        for key in keys:
            del self.cases[key]
            for row in self.restarts:
                row.forgiven = row.forgiven or (row.engine, row.name) == key
        return [key[0] for key in keys]

    def _held(self, case: StrikeRecord) -> StrikeRecord | None:
        self._check()
        held = self.cases.get((case.engine, case.name))
        return held if held and held.first_strike_at == case.first_strike_at else None

    def _change(
        self, case: StrikeRecord, words: str, condition: Callable[[StrikeRecord], bool] | None, **changes: Any
    ) -> bool:
        held = self._held(case)
        if held is None or (condition is not None and not condition(held)):
            return False
        self.cases[(case.engine, case.name)] = held.model_copy(update=changes)
        self.written.append(f"{words} {case.name}")
        return True

    def _of(self, case: StrikeRecord) -> list[FakeRestart]:
        return [
            row for row in self.restarts
            if (row.engine, row.name, row.case) == (case.engine, case.name, case.first_strike_at)
        ]  # fmt: skip

    def _counted(self, case: StrikeRecord, now: datetime) -> StrikeRecord:
        own = self._of(case)
        same_name = [row for row in self.restarts if (row.engine, row.name) == (case.engine, case.name)]
        return case.model_copy(
            update={
                "attempts": len(own),
                "restarts_today": sum(
                    row.claimed_at > now - timedelta(hours=24) and not row.forgiven for row in same_name
                ),
                "last_restart_at": own[-1].claimed_at if own else None,
                "last_restart_outcome": own[-1].outcome if own else None,
            }
        )

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken


# --- health ---


class FakeProbe:
    """Answers in `latency`; set `broken` for a database that is away."""

    def __init__(self, latency: timedelta = timedelta(milliseconds=12)) -> None:
        self.latency = latency
        self.broken: Exception | None = None

    def ping(self) -> timedelta:
        if self.broken is not None:
            raise self.broken
        return self.latency


class FakeAnsweringDatabase:
    """State, memory and a spool of `waiting` events; `connect` is what a service is given."""

    def __init__(self) -> None:
        self.state, self.memory = FakeState(), FakeMemory()
        self.waiting: list[NewEpisode] = []
        self.rejected = 0
        self.stopped_by: str | None = None
        self.flush_broken: Exception | None = None
        self.connect_broken: Exception | None = None

    @contextmanager
    def connect(self) -> Iterator[FakeAnsweringDatabase]:
        if self.connect_broken is not None:
            raise self.connect_broken
        yield self

    def flush(self) -> Flushed:
        if self.flush_broken is not None:
            raise self.flush_broken
        if self.stopped_by is not None:
            return Flushed(stopped_by=self.stopped_by)
        stored = 0
        while self.waiting:
            event = self.waiting.pop(0)
            plain = event.model_dump(exclude={"event_type", "summary"})
            self.memory.record(event.event_type, event.summary, **plain)
            stored += 1
        return Flushed(stored=stored, rejected=self.rejected)


class FakeSpooledMemory(FakeMemory):
    """Takes events into the spool of a database; never has an id for them."""

    def __init__(self, database: FakeAnsweringDatabase) -> None:
        super().__init__()
        self.database = database

    def record(self, *arguments: Any, **fields: Any) -> int | None:
        super().record(*arguments, **fields)
        self.database.waiting.append(self.recorded[-1])
        return None


class FakeOutageMemory:
    """One outage in a variable. `busy`: another check holds it; `read_only`: it cannot be changed."""

    def __init__(self) -> None:
        self.outage: Outage | None = None
        self.history: list[Outage] = []
        self.busy = False
        self.read_only: Exception | None = None

    @contextmanager
    def hold(self) -> Iterator[bool]:
        if self.read_only is not None:
            raise self.read_only
        yield not self.busy

    def current(self) -> Outage | None:
        return self.outage

    def open(self, outage: Outage) -> None:
        self.outage = self.outage or outage
        self.history.append(self.outage)

    def advance(self, outage: Outage, stage: Stage, until: datetime | None = None) -> Outage:
        self.outage = outage.model_copy(update={"stage": stage, "until": until})
        self.history.append(self.outage)
        return self.outage

    def close(self, outage: Outage) -> None:
        self.outage = None


class FakeHeart:
    """Counts pings; set `broken` to make each fail."""

    def __init__(self) -> None:
        self.pings = 0
        self.broken: Exception | None = None

    def ping(self) -> None:
        if self.broken is not None:
            raise self.broken
        self.pings += 1


# --- digest ---


@dataclass
class FakeDigestRow:
    """A row of `digests`."""

    claim: Claim
    finished_at: datetime | None = None
    journal_path: str | None = None


class FakeDigests:
    """Digest rows in a list, over a `FakeMemory` and a `FakeTasks`. `busy`: another run is writing."""

    def __init__(self, memory: FakeMemory, tasks: FakeTasks) -> None:
        self.memory, self.tasks = memory, tasks
        self.rows: list[FakeDigestRow] = []
        self.busy = False

    @contextmanager
    def exclusive(self) -> Iterator[bool]:
        yield not self.busy

    def unfinished(self) -> Claim | None:
        return next((row.claim for row in self.rows if row.finished_at is None), None)

    def claim(self, now: datetime, first_start: datetime) -> Claim | None:
        start = max((row.claim.window.end for row in self.rows), default=first_start)
        if start >= now:
            return None
        claim = Claim(id=len(self.rows) + 1, window=Window(start=start, end=now))
        self.rows.append(FakeDigestRow(claim))
        return claim

    def claim_post(self, digest_id: int, at: datetime) -> bool:
        row = self.rows[digest_id - 1]
        if row.claim.post_claimed_at is not None:
            return False
        row.claim = row.claim.model_copy(update={"post_claimed_at": at})
        return True

    def release_post(self, digest_id: int) -> None:
        row = self.rows[digest_id - 1]
        row.claim = row.claim.model_copy(update={"post_claimed_at": None})

    def finish(self, digest_id: int, at: datetime, journal_path: str | None) -> None:
        row = self.rows[digest_id - 1]
        row.finished_at, row.journal_path = at, journal_path

    def arrivals(self, window: Window, listed: int) -> Arrivals:
        events = self._events(window)

        def lines(kept: Callable[[NewEpisode], bool]) -> Lines:
            found = [e for e in events if kept(e)]
            shown = [
                Line(timestamp=e.timestamp, event_type=e.event_type, summary=e.summary, decision=e.decision)
                for e in sorted(found, key=lambda e: e.timestamp, reverse=True)[:listed]
            ]
            return Lines(shown=tuple(shown), total=len(found))

        return Arrivals(
            events=self.events_between(window),
            critical=lines(lambda e: e.importance is Importance.CRITICAL),
            decisions=lines(lambda e: e.event_type == "decision" or bool((e.decision or "").strip())),
            errors=lines(lambda e: _speaks_of_an_error(e.event_type)),
        )

    def events_between(self, window: Window) -> EventCounts:
        events = self._events(window)
        return EventCounts(
            total=len(events),
            critical=sum(e.importance is Importance.CRITICAL for e in events),
            others=sum(e.event_type not in OWN_EVENTS for e in events),
        )

    def tasks_between(self, window: Window) -> TaskCounts:
        rows = self.tasks.rows.values()
        return TaskCounts(
            created=sum(window.start <= row.created_at < window.end for row in rows),
            completed=len(self.tasks.completed(window.start, window.end, 1000)),
            failed=len(self.tasks.failed(window.start, window.end, 1000)),
        )

    def _events(self, window: Window) -> list[NewEpisode]:
        return [e for e in self.memory.rows.values() if window.start <= e.timestamp < window.end]


def _speaks_of_an_error(event_type: str) -> bool:
    words = {"error", "failed", "failure", "crash", "crashed", "outage"}
    return bool(words & set(event_type.split("_")))


class FakeJournal:
    """Pages in a dict by day, each a dict of sections; set `broken` to make writing raise it."""

    def __init__(self) -> None:
        self.pages: dict[date, dict[str, str]] = {}
        self.broken: Exception | None = None

    def write(self, day: date, section: str, text: str) -> str:
        if self.broken is not None:
            raise self.broken
        self.pages.setdefault(day, {})[section] = text
        return f"/journal/{day:%Y-%m-%d}.md"


# --- embeddings ---


class FakeEmbedder:
    """Answers the vectors it was given, whatever the text; `asked` are the texts."""

    def __init__(self, *vectors: Sequence[float]) -> None:
        self.vectors = [list(vector) for vector in vectors]
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked.extend(texts)
        return self.vectors


# --- alerts ---


@dataclass
class FakeDelivery:
    """A row of `alert_deliveries` with its notice."""

    delivery: Delivery
    claimed_at: datetime | None = None
    overtaken: bool = False

    @property
    def open(self) -> bool:
        return not self.overtaken and not self.delivery.delivered_at and not self.delivery.refused_at


class FakeOutbox:
    """Alerts in a dict. `fake.alerts` are as stored; set `broken` to make every call raise it."""

    def __init__(self) -> None:
        self.alerts: dict[int, Alert] = {}
        self.deliveries: list[FakeDelivery] = []
        self.occurrences: set[str] = set()
        self.holds: dict[str, datetime] = {}
        self.failures: dict[str, int] = {}
        self.mark: datetime | None = None
        self.broken: Exception | None = None
        self._notices = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        yield

    def raise_problem(self, problem: Problem) -> int | None:
        self._check()
        if problem.occurrence in self.occurrences:
            return None
        self.occurrences.add(problem.occurrence)
        known = next((a for a in self.alerts.values() if a.key == problem.key and not a.resolved_at), None)
        if known is None:
            number = len(self.alerts) + 1
            fields = problem.model_dump(exclude={"occurrence", "seen_at", "again", "told"})
            known = Alert(**fields, id=number, first_seen_at=problem.seen_at, last_seen_at=problem.seen_at)
            self.alerts[number] = known
        else:
            newer = problem.seen_at >= known.last_seen_at
            text = {"title": problem.title, "body": problem.body, "reason": problem.reason} if newer else {}
            known = self._change(
                known,
                **text,
                count=known.count + 1,
                first_seen_at=min(known.first_seen_at, problem.seen_at),
                last_seen_at=max(known.last_seen_at, problem.seen_at),
                again_at=problem.seen_at if problem.again else known.again_at,
                **self._opened_again(known, problem.seen_at),
                severity=policy.graver(known.severity, problem.severity),
            )
        if any(receipt.delivered for receipt in problem.told) and known.notified_at is None:
            message = Message(title=problem.title, body=problem.body, severity=problem.severity)
            channels = [receipt.channel for receipt in problem.told]
            self.add_notice(known, NoticeKind.PROBLEM, message, channels, problem.seen_at)
            for receipt in problem.told:
                row = next(r for r in self.deliveries[::-1] if r.delivery.channel == receipt.channel)
                attempt = Attempt(delivered=receipt.delivered, problem=receipt.problem)
                if receipt.delivered:
                    self.delivered(row.delivery, attempt, problem.seen_at)
                else:
                    self.not_delivered(row.delivery, attempt, problem.seen_at, give_up=True)
        return known.id

    def recover(self, recovered: Recovered) -> bool:
        self._check()
        if recovered.occurrence is not None:
            if recovered.occurrence in self.occurrences:
                return False
            self.occurrences.add(recovered.occurrence)
        for alert in self.alerts.values():
            if alert.key == recovered.key and not alert.resolved_at and alert.last_seen_at <= recovered.at:
                over: dict[str, Any] = {"state": AlertState.RESOLVED, "resolved_at": recovered.at}
                if alert.flapping_at and not recovered.for_good:
                    over = {"calm_since": alert.calm_since or recovered.at}
                self._change(alert, **over, recovery_title=recovered.title, recovery_body=recovered.body)
                return True
        if recovered.occurrence is not None and recovered.title is not None:
            self.raise_problem(
                Problem(
                    key=recovered.occurrence,
                    occurrence=f"{recovered.occurrence}:told",
                    title=recovered.title,
                    body=recovered.body or "",
                    severity=Severity.INFO,
                    seen_at=recovered.at,
                    lasting=False,
                )
            )
        return False

    def to_decide(self, ended_after: datetime) -> list[Alert]:
        self._check()
        return [
            self._standing(a)
            for a in self.alerts.values()
            if a.closed_at is None
            or (a.lasting and a.closed_at > ended_after and (a.resolved_at or a.closed_at) > ended_after)
        ]

    def open_keys(self, prefix: str) -> list[str]:
        self._check()
        return sorted(a.key for a in self.alerts.values() if not a.resolved_at and a.key.startswith(prefix))

    def watermark(self) -> datetime | None:
        self._check()
        return self.mark

    def set_watermark(self, moment: datetime) -> None:
        self.mark = moment

    def suppress(self, alert: Alert, cause: int) -> bool:
        return self._if_current(alert) and bool(self._change(alert, suppressed_by=cause))

    def close(self, alert: Alert, now: datetime) -> bool:
        changes = {"closed_at": now, "resolved_at": alert.resolved_at or now, "state": AlertState.RESOLVED}
        return self._if_current(alert) and bool(self._change(alert, **changes))

    def add_notice(
        self, alert: Alert, kind: NoticeKind, message: Message, channels: Sequence[str], now: datetime
    ) -> bool:
        if not self._if_current(alert):
            return False
        changes: dict[str, Any] = {"notified_at": alert.notified_at or now, "suppressed_by": None}
        if kind is NoticeKind.REMINDER:
            changes |= {"reminded_at": now, "reminders": alert.reminders + 1}
        if kind is NoticeKind.ESCALATION:
            changes["escalated_at"] = now
        if kind is NoticeKind.FLAPPING:
            kept = ("openings", "count", "first_seen_at")
            changes |= {"flapping_at": now, **{name: getattr(alert, name) for name in kept}}
        if kind is NoticeKind.RECOVERY:
            changes |= {"closed_at": now, "resolved_at": alert.ended_at, "state": AlertState.RESOLVED}
            for row in self.deliveries:
                row.overtaken = row.overtaken or (row.delivery.alert_id == alert.id and row.open)
        if not alert.lasting:
            changes |= {"closed_at": now, "resolved_at": now, "state": AlertState.RESOLVED}
        self._change(alert, **changes)
        self._notices += 1
        of_kind = {r.delivery.notice_id for r in self.deliveries
                   if (r.delivery.alert_id, r.delivery.kind) == (alert.id, kind)}  # fmt: skip
        for channel in channels:
            delivery = Delivery(
                notice_id=self._notices,
                alert_id=alert.id,
                channel=channel,
                kind=kind,
                number=len(of_kind),
                severity=message.severity,
                alert_severity=alert.severity,
                title=message.title,
                body=message.body,
                created_at=now,
            )
            self.deliveries.append(FakeDelivery(delivery))
        return True

    def due(self, now: datetime, lease: timedelta) -> list[Delivery]:
        self._check()
        found = [row.delivery for row in self.deliveries if self._is_due(row, now, lease)]
        return sorted(
            found,
            key=lambda d: (
                self.alerts[d.alert_id].severity is not Severity.CRITICAL,
                d.attempts,
                d.created_at,
                d.notice_id,
                d.channel,
            ),
        )

    def claim(self, delivery: Delivery, now: datetime, lease: timedelta) -> int | None:
        row = self._row(delivery)
        if not self._is_due(row, now, lease):
            return None
        row.claimed_at = now
        row.delivery = row.delivery.model_copy(update={"attempts": row.delivery.attempts + 1})
        return row.delivery.parts_sent

    def delivered(self, delivery: Delivery, attempt: Attempt, now: datetime) -> None:
        self._settle(delivery, delivered_at=now, reference=attempt.reference, parts_sent=attempt.parts_sent)
        alert = self.alerts[delivery.alert_id]
        if alert.state is AlertState.PENDING:
            self._change(alert, state=AlertState.SENT)
        self.failures[delivery.channel] = 0
        self.holds.pop(delivery.channel, None)

    def not_delivered(self, delivery: Delivery, attempt: Attempt, now: datetime, *, give_up: bool) -> int:
        self._settle(
            delivery,
            refused_at=now if give_up else None,
            problem=attempt.problem,
            parts_sent=max(attempt.parts_sent, delivery.parts_sent),
        )
        self.failures[delivery.channel] = self.failures.get(delivery.channel, 0) + 1
        return self.failures[delivery.channel]

    def hold_channel(self, channel: str, until: datetime) -> None:
        self.holds[channel] = until

    def forget(self, alerts_before: datetime, occurrences_before: datetime) -> None:
        self._check()
        self.alerts = {
            n: a for n, a in self.alerts.items() if not a.closed_at or a.closed_at >= alerts_before
        }

    def acknowledge(self, alert: int | str, by: str, now: datetime) -> list[int]:
        found = [
            a
            for a in self.alerts.values()
            if not a.resolved_at and a.state is not AlertState.ACKNOWLEDGED
            if alert in (a.id, a.key)
        ]
        for a in found:
            self._change(a, state=AlertState.ACKNOWLEDGED, acknowledged_at=now, acknowledged_by=by)
        return [a.id for a in found]

    def _is_due(self, row: FakeDelivery, now: datetime, lease: timedelta) -> bool:
        claimed = row.claimed_at is not None and row.claimed_at > now - lease
        held = self.holds.get(row.delivery.channel)
        return row.open and not claimed and (held is None or held <= now)

    def _row(self, delivery: Delivery) -> FakeDelivery:
        wanted = (delivery.notice_id, delivery.channel)
        return next(r for r in self.deliveries if (r.delivery.notice_id, r.delivery.channel) == wanted)

    def _settle(self, delivery: Delivery, **changes: Any) -> None:
        row = self._row(delivery)
        row.claimed_at = None
        row.delivery = row.delivery.model_copy(update=changes)

    def _if_current(self, alert: Alert) -> bool:
        self._check()
        held = self.alerts[alert.id]
        return held.revision == alert.revision and held.closed_at is None

    def _change(self, alert: Alert, **changes: Any) -> Alert:
        held = self.alerts[alert.id]
        self.alerts[alert.id] = held.model_copy(update={**changes, "revision": held.revision + 1})
        return self.alerts[alert.id]

    def _standing(self, alert: Alert) -> Alert:
        rows = [row for row in self.deliveries if row.delivery.alert_id == alert.id]
        return alert.model_copy(
            update={
                "suppressed": tuple(a.title for a in self.alerts.values() if a.suppressed_by == alert.id),
                "told": tuple(sorted({r.delivery.channel for r in rows if r.delivery.delivered_at})),
                "undelivered": sum(
                    row.open or row.delivery.refused_at is not None
                    for row in rows
                    if not row.delivery.delivered_at
                ),
            }
        )

    def _opened_again(self, known: Alert, seen_at: datetime) -> dict[str, Any]:
        if known.calm_since is None or seen_at <= known.calm_since:
            return {}
        return {"openings": known.openings + 1, "calm_since": None}

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken


class FakeChannel:
    """Keeps what was sent; answers with the queued attempts first. One part per message."""

    def __init__(self, name: str, *answers: Attempt) -> None:
        self._name, self.answers = name, list(answers)
        self.sent: list[Message] = []
        self.asked: list[tuple[Message, int]] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def titles(self) -> list[str]:
        return [message.title for message in self.sent]

    def send(self, message: Message, parts_sent: int = 0) -> Attempt:
        self.asked.append((message, parts_sent))
        if self.answers:
            answer = self.answers.pop(0)
        else:
            answer = Attempt(delivered=True, parts_sent=1, reference=f"{self._name}-{len(self.asked)}")
        if answer.delivered:
            self.sent.append(message)
        return answer


class FakeHistory:
    """What a server would know, in lists; set `broken` to make every question raise it."""

    def __init__(self) -> None:
        self.runs: list[RunEnd] = []
        self.removed: set[str] = set()
        self.late_runs: list[LateRun] = []
        self.seen: list[WorkerSeen] = []
        self.actions: list[FailedAction] = []
        self.asked: list[tuple[datetime, datetime]] = []
        self.broken: Exception | None = None

    def add(self, job: str, at: datetime, *, good: bool = False, message: str = "no", **fields: Any) -> None:
        number = len(self.runs) + 1
        usual = {"outcome": "Completed" if good else "Failed", "run_name": f"run-{number}"}
        run = RunEnd(
            run_id=str(number), job_id=job, ended_at=at, good=good, message=message, **{**usual, **fields}
        )
        self.runs.append(run)

    def ended(self, start: datetime, end: datetime, jobs: Collection[str]) -> list[RunEnd]:
        self._check()
        self.asked.append((start, end))
        found = [run for run in self.runs if start <= run.ended_at < end]
        wanted = {*jobs, *(run.job_id for run in found if not run.good)}
        chosen = [run for run in found if not run.good or run.job_id in wanted]
        return sorted(chosen, key=lambda run: (run.ended_at, run.run_id))

    def jobs(self) -> frozenset[str]:
        self._check()
        seen = {run.job_id for run in (*self.runs, *self.late_runs)}
        return frozenset(seen - self.removed)

    def late(self, before: datetime) -> list[LateRun]:
        self._check()
        return [run for run in self.late_runs if run.due_at < before]

    def workers(self) -> list[WorkerSeen]:
        self._check()
        return self.seen

    def failed_actions(self, start: datetime, end: datetime) -> list[FailedAction]:
        self._check()
        return [action for action in self.actions if start <= action.at < end]

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken


# --- ledger ---


class FakeScheduledRuns:
    """A server's runs and jobs in lists; set `broken` to make every call raise it."""

    def __init__(self) -> None:
        self.held: list[ScheduledRun] = []
        self.server_jobs: list[ServerJob] = []
        self.outputs: dict[str, datetime] = {}
        self.broken: Exception | None = None
        self.asked: list[tuple[datetime, datetime]] = []

    def runs(self, start: datetime, end: datetime) -> list[ScheduledRun]:
        self._check()
        self.asked.append((start, end))
        return [run for run in self.held if start <= run.due_at <= end]

    def runs_by_id(self, ids: Sequence[str]) -> list[ScheduledRun]:
        self._check()
        return [run for run in self.held if run.id in ids]

    def jobs(self) -> list[ServerJob]:
        self._check()
        return list(self.server_jobs)

    def newest_output(self, job_id: str, before: datetime) -> datetime | None:
        self._check()
        newest = self.outputs.get(job_id)
        return newest if newest is not None and newest <= before else None

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken


# --- language model ---


class FakeLanguageModel:
    """Answers in order what `answers` holds; an exception there is raised. `asked` are the questions."""

    def __init__(self, *answers: BaseModel | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[ModelQuestion[Any]] = []

    def ask(self, question: ModelQuestion[A]) -> ModelAnswer[A]:
        self.asked.append(question)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, question.answer)
        return ModelAnswer(value=answer, provider="fake", model="fake", input_tokens=1, output_tokens=1)


class FakeModelProvider:
    """Answers in order what `replies` holds. `asked` are the requests, each with its time-out."""

    def __init__(self, name: str, *replies: Reply | NoReply) -> None:
        self.name, self.model = name, f"{name}-model"
        self.replies = list(replies)
        self.asked: list[tuple[ModelRequest, float]] = []

    def ask(self, request: ModelRequest, timeout_seconds: float) -> Reply | NoReply:
        self.asked.append((request, timeout_seconds))
        return self.replies.pop(0)


@dataclass
class _ProviderRow:
    recent: list[datetime] = field(default_factory=list)
    failures: int = 0
    problem: str | None = None
    hold_until: datetime | None = None


class FakeModelLedger:
    """Turns, tokens and exchanges in memory; set `broken` to make `tell` raise it."""

    def __init__(self) -> None:
        self.rows: dict[int, Exchange] = {}
        self.tokens: dict[tuple[date, str], int] = {}
        self.known: dict[str, _ProviderRow] = {}
        self.forgotten: list[tuple[datetime, int]] = []
        self.broken: Exception | None = None

    def ask(self, asked: Asked, day_budget: int, job_budget: int, now: datetime) -> int | Refusal:
        day = llm_policy.day_of(now)
        wanted = {ALL_JOBS: day_budget, asked.job_id: job_budget}
        for scope, budget in wanted.items():
            used = self.tokens.get((day, scope), 0)
            if used + asked.reserved_tokens > budget:
                return Refusal(scope=scope, used=used, budget=budget)
        for scope in wanted:
            self.tokens[day, scope] = self.tokens.get((day, scope), 0) + asked.reserved_tokens
        number = max(self.rows, default=0) + 1
        self.rows[number] = Exchange(
            id=number,
            **asked.model_dump(),
            asked_at=now,
            told_at=None,
            verdict=None,
            problem=None,
            input_tokens=0,
            output_tokens=0,
            answer="",
        )
        return number

    def tell(self, number: int, told: Told, now: datetime) -> None:
        if self.broken is not None:
            raise self.broken
        row = self.rows.get(number)
        if row is None or row.told_at is not None:
            return
        changes = told.model_dump(exclude={"spent_tokens", "model"})
        self.rows[number] = row.model_copy(
            update={**changes, "model": told.model or row.model, "told_at": now}
        )
        for scope in (ALL_JOBS, row.job_id):
            key = (llm_policy.day_of(row.asked_at), scope)
            self.tokens[key] = max(self.tokens[key] + told.spent_tokens - row.reserved_tokens, 0)

    def claim_turn(self, provider: str, per_minute: int, now: datetime) -> Turn:
        row = self.known.setdefault(provider, _ProviderRow())
        minute = timedelta(seconds=60)
        row.recent = [at for at in row.recent if now - minute < at < now + minute]
        held = row.hold_until is not None and row.hold_until > now
        if not held and len(row.recent) < per_minute:
            row.recent.append(now)
            return Turn(granted=True, at=now, failures=row.failures)
        free = sorted(row.recent)[-per_minute] + minute if len(row.recent) >= per_minute else now
        at = max(free, row.hold_until or now, now)
        return Turn(granted=False, at=at, held=held, failures=row.failures, problem=row.problem)

    def answered(self, provider: str, now: datetime) -> None:
        row = self.known.setdefault(provider, _ProviderRow())
        row.failures, row.problem, row.hold_until = 0, None, None

    def failed(self, provider: str, problem: str, hold_until: datetime | None) -> None:
        row = self.known.setdefault(provider, _ProviderRow())
        row.failures, row.problem = row.failures + 1, problem
        row.hold_until = max((at for at in (row.hold_until, hold_until) if at is not None), default=None)

    def forget(self, before: datetime, keep: int) -> None:
        self.forgotten.append((before, keep))
        newest = sorted(self.rows, reverse=True)[:keep]
        self.rows = {n: row for n, row in self.rows.items() if n in newest and row.asked_at >= before}

    def exchanges(
        self, limit: int = 20, *, job_id: str | None = None, number: int | None = None
    ) -> list[Exchange]:
        _check_limit(limit)
        found = [
            row for row in self.rows.values() if job_id in {None, row.job_id} and number in {None, row.id}
        ]
        return sorted(found, key=lambda row: -row.id)[:limit]
