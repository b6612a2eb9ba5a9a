"""What is said about questions to language models: in errors, to a model, and in the event memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from aegis_lib.clock import iso
from aegis_lib.errors import BudgetSpent
from aegis_lib.llm.model import ALL_JOBS, NoReply, Refusal
from aegis_lib.llm.policy import renewal, short

BUDGET_EVENT = "language_model_budget_spent"
_MOST_MISTAKES = 5
_FIELD = re.compile(r"[A-Za-z0-9_]{1,40}")


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
    """What is wrong with an answer: places and rules of ours, never a word of what stood there."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    said = [f"{_place(one)}: {_rule(one)}" for one in found[:_MOST_MISTAKES]]
    more = f" (and {len(found) - _MOST_MISTAKES} more)" if len(found) > _MOST_MISTAKES else ""
    return "; ".join(said) + more


def _place(mistake: ErrorDetails) -> str:
    """Where it is. The names of further fields are the model's words, and so may keys of a mapping be."""
    place = mistake["loc"][:-1] if mistake["type"] == "extra_forbidden" else mistake["loc"]
    parts = [str(part) if _FIELD.fullmatch(str(part)) else "?" for part in place]
    return ".".join(parts) or "the whole"


def _rule(mistake: ErrorDetails) -> str:
    """What it breaks. The message about a wrong tag quotes the tag."""
    return "has a wrong tag" if mistake["type"].startswith("union_tag") else short(mistake["msg"], 200)


def nobody(failed: Mapping[str, NoReply]) -> str:
    """Why no provider gave an answer: each with its reason."""
    return "no provider gave an answer: " + " ".join(
        f"{name}: {failure.problem.rstrip('.')}." for name, failure in failed.items()
    )
