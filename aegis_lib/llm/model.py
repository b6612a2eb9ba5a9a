"""The values of the area llm: a question to a language model, and its answer. Must not know any provider.

An answer is data. Its type says what it may be; whatever text is in it was written by a model that has read
strangers' words, so it is as little trusted as those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Generic, Self, TypeVar

from pydantic import BaseModel, Field, StringConstraints, model_validator

from aegis_lib.outcome import Frozen

A = TypeVar("A", bound=BaseModel)

PromptName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
Label = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class Question(Frozen, Generic[A]):
    """What a job asks.

    `prompt` is a file of `aegis_lib/llm/prompts` without `.md`: the instruction, which is ours. `facts` are
    our own words for its placeholders (`${name}`), one for each. `untrusted` are strangers' texts by name:
    cut to a length, set apart from the instruction, never formatted into it. `answer` is a model that forbids
    further fields; what comes back is validated strictly. `max_answer_tokens` is 16 to 8000.
    """

    prompt: PromptName
    answer: type[A]
    facts: Mapping[Label, str] = Field(default_factory=dict)
    untrusted: Mapping[Label, str] = Field(default_factory=dict)
    max_answer_tokens: int = Field(default=500, ge=16, le=8000)

    @model_validator(mode="after")
    def _answer_is_closed(self) -> Self:
        if self.answer.model_config.get("extra") != "forbid":
            raise ValueError(f"{self.answer.__name__} must forbid further fields (derive it from Frozen)")
        return self


class Answer(Frozen, Generic[A]):
    """A valid answer, who gave it, and the tokens that it took, repair included."""

    value: A
    provider: str
    model: str
    input_tokens: int = Field(ge=0)
    output_tokens: int = Field(ge=0)
