"""The store of requests to language models: turns, tokens, words. It asks nobody and judges nothing."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from aegis_lib.db.sql import Queries
from aegis_lib.db.storable import limited, storable_text
from aegis_lib.llm import policy
from aegis_lib.llm.model import ALL_JOBS, Asked, Exchange, ProviderState, Refusal, Spent, Told, Turn


class _Spent(Exception):
    """Leaves the transaction that takes from two budgets, so that neither is taken from."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.scope)


class ModelLedger:
    """Implements the port `ModelLedger`. See it for the exact meaning."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def ask(self, asked: Asked, day_budget: int, job_budget: int, now: datetime) -> int | Refusal:
        """Set tokens aside and write the request down; its number, or which budget has too few left."""
        day = policy.day_of(now)
        try:
            with self._queries.transaction():
                for scope, budget in ((ALL_JOBS, day_budget), (asked.job_id, job_budget)):
                    self._set_aside(day, scope, asked.reserved_tokens, budget)
                number: int = self._queries.ask(
                    job_id=asked.job_id,
                    prompt=asked.prompt,
                    provider=asked.provider,
                    model=asked.model,
                    day=day,
                    asked_at=now,
                    reserved_tokens=asked.reserved_tokens,
                    instruction=storable_text(asked.instruction),
                    data=storable_text(asked.data),
                )
                return number
        except _Spent as spent:
            return spent.refusal

    def _set_aside(self, day: date, scope: str, tokens: int, budget: int) -> None:
        if self._queries.set_aside(day=day, scope=scope, tokens=tokens, budget=budget) is None:
            used = self._queries.used(day=day, scope=scope) or 0
            raise _Spent(Refusal(scope=scope, used=used, budget=budget))

    def tell(self, number: int, told: Told, now: datetime) -> None:
        """Write down what became of a request, and give back tokens that it did not use. Twice is once."""
        with self._queries.transaction():
            row = self._queries.tell(
                id=number,
                told_at=now,
                verdict=told.verdict.value,
                problem=None if told.problem is None else storable_text(told.problem),
                model=None if told.model is None else storable_text(told.model),
                input_tokens=told.input_tokens,
                output_tokens=told.output_tokens,
                answer=storable_text(told.answer),
            )
            if row is not None:
                self._queries.give_back(
                    day=row["day"],
                    scopes=[ALL_JOBS, row["job_id"]],
                    difference=told.spent_tokens - row["reserved_tokens"],
                )

    def claim_turn(self, provider: str, per_minute: int, now: datetime) -> Turn:
        """Claim one request to a provider, or say when the next may be claimed."""
        granted = self._queries.claim_turn(provider=provider, per_minute=per_minute, now=now)
        if granted is not None:
            return Turn(granted=True, at=now, failures=granted["failures"])
        row = self._queries.next_turn(provider=provider, per_minute=per_minute, now=now)
        held = row["hold_until"] is not None and row["hold_until"] > now
        at = max(moment for moment in (now, row["hold_until"], row["free_at"]) if moment is not None)
        return Turn(granted=False, at=at, held=held, failures=row["failures"], problem=row["problem"])

    def answered(self, provider: str, now: datetime) -> None:
        """The provider answers: nothing is held against it any more."""
        self._queries.answered(provider=provider, now=now)

    def failed(self, provider: str, problem: str, hold_until: datetime | None) -> None:
        """The provider gave no answer; until then nobody should ask it."""
        self._queries.failed(provider=provider, problem=storable_text(problem), hold_until=hold_until)

    def forget(self, before: datetime, keep: int) -> None:
        """Delete requests that are older, and all but the newest `keep`."""
        self._queries.forget(before=before, keep=keep)
        self._queries.forget_budgets(before=policy.day_of(before) - timedelta(days=1))

    def exchanges(
        self, limit: int = 20, *, job_id: str | None = None, number: int | None = None
    ) -> list[Exchange]:
        """The newest requests, at most `limit` (1 to 1000), newest first."""
        limited(limit)
        rows = self._queries.exchanges(limit=limit, job_id=job_id, id=number)
        return [Exchange.model_validate(row) for row in rows]

    def spent(self, day: date) -> list[Spent]:
        """The tokens of a day: all jobs together, then each job, the one with most first."""
        return [Spent.model_validate(row) for row in self._queries.spent(day=day)]

    def providers(self, now: datetime) -> list[ProviderState]:
        """How each provider does that was ever asked."""
        return [ProviderState.model_validate(row) for row in self._queries.providers(now=now)]
