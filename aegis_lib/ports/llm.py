"""What services need from the outside: language models and what was asked of them.

No implementation lives here, and no name of a vendor.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from aegis_lib.llm.model import A, Answer, Asked, NoReply, Question, Refusal, Reply, Request, Told, Turn


class LanguageModel(Protocol):
    """Answers questions in a given form. What it answers is data of that form, never a command."""

    def ask(self, question: Question[A]) -> Answer[A]:
        """The answer of the first provider that gives one.

        Raises:
            NotConfigured: no provider is set.
            BudgetSpent: the tokens of the job, or of all jobs, are used up for today.
            DependencyUnavailable: no provider answered in time; or the database, which keeps the limits.
            PermanentFailure: a provider answered, but nothing valid, also when asked again.
            Misconfigured: every provider refuses us because of a setting, which is named.
        """


class ModelProvider(Protocol):
    """One provider of a language model. It asks once: no second try, no other provider, no checking."""

    @property
    def name(self) -> str:
        """What settings and records call it."""

    @property
    def model(self) -> str:
        """The model that it is asked for."""

    def ask(self, request: Request, timeout_seconds: float) -> Reply | NoReply:
        """Send the request and wait at most so long for the whole answer."""


class ModelLedger(Protocol):
    """What all processes share about requests to language models. See `db.language_models`."""

    def ask(self, asked: Asked, day_budget: int, job_budget: int, now: datetime) -> int | Refusal:
        """Set tokens aside and write the request down; its number, or which budget has too few left."""

    def tell(self, number: int, told: Told, now: datetime) -> None:
        """Write down what became of a request, and give back tokens that it did not use. Twice is once."""

    def claim_turn(self, provider: str, per_minute: int, now: datetime) -> Turn:
        """Claim one request to a provider, or say when the next may be claimed."""

    def answered(self, provider: str, now: datetime) -> None:
        """The provider answers: nothing is held against it any more."""

    def failed(self, provider: str, problem: str, hold_until: datetime | None) -> None:
        """The provider gave no answer; until then nobody should ask it."""

    def forget(self, before: datetime, keep: int) -> None:
        """Delete requests that are older, and all but the newest `keep`."""
