"""What is said about questions to language models: in errors, to a model, and in the event memory."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from pydantic import ValidationError

from aegis_lib.clock import iso
from aegis_lib.errors import BudgetSpent
from aegis_lib.llm.model import ALL_JOBS, NoReply, Refusal
from aegis_lib.llm.policy import renewal, short

BUDGET_EVENT = "language_model_budget_spent"
_MOST_MISTAKES = 5


def budget_spent(refusal: Refusal, day: date) -> BudgetSpent:
    """The hard stop: whose tokens, how many, when there are new ones, and which key gives more."""
    everybody = refusal.scope == ALL_JOBS
    key = "llm.tokens_per_day" if everybody else f"llm.jobs.{refusal.scope} (or llm.tokens_per_job)"
    return BudgetSpent(
        "all jobs" if everybody else refusal.scope,
        budget=refusal.budget,
        used=refusal.used,
        renews_at=renewal(day),
        mend=f"wait until then, or raise {key} in aegis.yaml.",
    )


def budget_sentence(spent: BudgetSpent) -> str:
    """The same for the event memory."""
    return (
        f"The language model's tokens of {spent.whose} for the day are spent: "
        f"{spent.used} of {spent.budget}; new ones at {iso(spent.renews_at)}"
    )


def mistakes(error: ValidationError) -> str:
    """What is wrong with an answer: places and rules, never what stood there."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    said = [
        f"{'.'.join(map(str, one['loc'])) or 'the whole'}: {short(one['msg'], 200)}"
        for one in found[:_MOST_MISTAKES]
    ]
    more = f" (and {len(found) - _MOST_MISTAKES} more)" if len(found) > _MOST_MISTAKES else ""
    return "; ".join(said) + more


def nobody(failed: Mapping[str, NoReply]) -> str:
    """Why no provider gave an answer: each with its reason."""
    return "no provider gave an answer: " + " ".join(
        f"{name}: {failure.problem.rstrip('.')}." for name, failure in failed.items()
    )
