"""Fakes of container engines and of the strikes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aegis_lib.containers.model import Inspected, Listed, Notice, RestartAnswer, RestartOutcome, StrikeRecord


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
