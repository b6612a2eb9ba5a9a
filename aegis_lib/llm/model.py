"""The values of the area llm: a question to a language model, and its answer. Must not know any provider.

An answer is data. Its type says what it may be; whatever text is in it was written by a model that has read
strangers' words, so it is as little trusted as those.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, Field, StringConstraints, model_validator

from aegis_lib.outcome import AwareDatetime, Frozen

A = TypeVar("A", bound=BaseModel)

PromptName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
JobId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
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


ALL_JOBS = "*"
"""The scope of the budget of all jobs together."""


class Pace(Frozen):
    """The section `llm.requests_per_minute` of aegis.yaml: of each provider, 1 to 6000 in any 60 s."""

    zai: int = Field(default=8, ge=1, le=6000)
    claude: int = Field(default=8, ge=1, le=6000)
    ollama: int = Field(default=60, ge=1, le=6000)


class LlmConfig(Frozen):
    """The section `llm` of aegis.yaml.

    Tokens are counted from midnight to midnight UTC: `tokens_per_day` (0 to 10^9) of all jobs together,
    `tokens_per_job` (0 to 10^9) of each job, `jobs` of single ones. `timeout_seconds` (1 to 300) is for one
    request, `patience_seconds` (1 to 900) for one question with all waiting, trying and repairing.
    `untrusted_characters` (100 to 50000) is how much of one stranger's text is sent. What was asked and
    answered is kept for `keep_days` (1 to 365), at most `keep_exchanges` (10 to 100000) of them.
    """

    requests_per_minute: Pace = Field(default_factory=Pace)
    tokens_per_day: int = Field(default=500_000, ge=0, le=1_000_000_000)
    tokens_per_job: int = Field(default=200_000, ge=0, le=1_000_000_000)
    jobs: dict[JobId, Annotated[int, Field(ge=0, le=1_000_000_000)]] = Field(default_factory=dict)
    timeout_seconds: int = Field(default=30, ge=1, le=300)
    patience_seconds: int = Field(default=60, ge=1, le=900)
    untrusted_characters: int = Field(default=6000, ge=100, le=50_000)
    keep_days: int = Field(default=14, ge=1, le=365)
    keep_exchanges: int = Field(default=2000, ge=10, le=100_000)

    def budget_of(self, job_id: str) -> int:
        """The tokens that a job may use on one day."""
        return self.jobs.get(job_id, self.tokens_per_job)


ProviderName = Literal["zai", "claude", "ollama"]


class Request(Frozen):
    """What a provider is sent: our instruction, the data set apart from it, and the form of the answer."""

    instruction: str
    data: str
    form: Mapping[str, Any]
    max_answer_tokens: int


class Ending(StrEnum):
    """Why a model stopped."""

    COMPLETE = "complete"
    TOO_LONG = "too_long"
    REFUSED = "refused"


class Reply(Frozen):
    """What a provider answered, not checked yet. `text` should be JSON; of a refusal it is the reason."""

    text: str
    ending: Ending
    model: str
    input_tokens: int = Field(ge=0)
    output_tokens: int = Field(ge=0)


class Trouble(StrEnum):
    """Why a provider gave no answer."""

    AWAY = "away"
    """No connection, no answer in time, a broken one, or an error of its own."""
    BUSY = "busy"
    """It wants fewer requests, or later ones."""
    MISSET = "misset"
    """A setting of ours is wrong: key, model, address."""
    REJECTED = "rejected"
    """It does not take this one request, for example because it is too long."""


class NoReply(Frozen):
    """A provider gave no answer. `may_have_cost`: it may have worked on it, so the tokens count as spent."""

    trouble: Trouble
    problem: str
    mend: str
    setting: str | None = None
    retry_after_seconds: float | None = Field(default=None, ge=0)
    may_have_cost: bool = False


class Turn(Frozen):
    """Whether a request to a provider may be made now; if not, when to ask again and why.

    `held`: the provider failed and is left alone. `failures` is how often in a row it has.
    """

    granted: bool
    at: AwareDatetime
    held: bool = False
    failures: int = Field(default=0, ge=0)
    problem: str | None = None


class Asked(Frozen):
    """What is written down before a provider is asked: tokens set aside, words sent, without secrets."""

    job_id: str
    prompt: str
    provider: str
    model: str
    reserved_tokens: int = Field(ge=0)
    instruction: str
    data: str


class Refusal(Frozen):
    """No tokens are left: `scope` is a job's id, or `*` for all jobs."""

    scope: str
    used: int
    budget: int


class Verdict(StrEnum):
    """What became of a request. One without a verdict was asked by a process that died."""

    VALID = "valid"
    INVALID = "invalid"
    REFUSED = "refused"
    FAILED = "failed"


class Told(Frozen):
    """What is written down after: the verdict, the answer's words without secrets, its tokens."""

    verdict: Verdict
    answer: str = ""
    problem: str | None = None
    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    spent_tokens: int = Field(default=0, ge=0)


class Exchange(Frozen):
    """One request as it was written down. Its texts are a stranger's and a model's."""

    id: int
    job_id: str
    prompt: str
    provider: str
    model: str
    asked_at: AwareDatetime
    told_at: AwareDatetime | None
    verdict: Verdict | None
    problem: str | None
    reserved_tokens: int
    input_tokens: int
    output_tokens: int
    instruction: str
    data: str
    answer: str


class Spent(Frozen):
    """Tokens of a day: of a job, or of all (`*`). What is set aside for a running request is in it."""

    day: date
    scope: str
    tokens: int


class ProviderState(Frozen):
    """How a provider does. `recent` is how many requests went to it within the last minute."""

    provider: str
    recent: int
    failures: int
    problem: str | None
    hold_until: AwareDatetime | None
    answered_at: AwareDatetime | None
