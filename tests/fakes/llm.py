"""Fakes of language models and of what they were asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from pydantic import BaseModel

from aegis_lib.llm import policy as llm_policy
from aegis_lib.llm.model import ALL_JOBS, A, Asked, Exchange, NoReply, Refusal, Reply, Told, Turn
from aegis_lib.llm.model import Answer as ModelAnswer
from aegis_lib.llm.model import Question as ModelQuestion
from aegis_lib.llm.model import Request as ModelRequest
from tests.fakes.memory import _check_limit


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
