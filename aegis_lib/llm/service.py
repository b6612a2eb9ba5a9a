"""Asks language models, within pace and budget. Must not send what was not claimed and set aside before.

A provider that gives no answer is passed over, and left alone for a while; one that answers wrongly is asked
once more, and then the question has no answer. Whatever a model says is validated as data of the form that
was asked for, and nothing else is done with it.
"""

from __future__ import annotations

import secrets as random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic

from pydantic import ValidationError

from aegis_lib import clock
from aegis_lib.errors import (
    BudgetSpent,
    DependencyUnavailable,
    Misconfigured,
    NotConfigured,
    PermanentFailure,
)
from aegis_lib.llm import messages, policy, prompt_files
from aegis_lib.llm.model import (
    A,
    Answer,
    Asked,
    Ending,
    LlmConfig,
    NoReply,
    Question,
    Refusal,
    Reply,
    Request,
    Told,
    Trouble,
    Verdict,
)
from aegis_lib.logs import get_logger
from aegis_lib.memory.model import Importance
from aegis_lib.ports.llm import ModelLedger, ModelProvider
from aegis_lib.ports.memory import EpisodicMemory

_SYSTEM = "Language model"
_SHORTEST_PAUSE_SECONDS = 0.05
_SHORTEST_TRY_SECONDS = 1.0

log = get_logger(__name__)


@dataclass(frozen=True)
class Surroundings:
    """What questions need besides providers. The first three are called when the first question comes.

    `sleep` waits for so many seconds; `now` and `monotonic` tell the time.
    """

    ledger: Callable[[], ModelLedger]
    memory: Callable[[], EpisodicMemory]
    secrets: Callable[[], Collection[str]]
    now: Callable[[], datetime] = clock.utcnow
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic


class Models:
    """Implements the port `LanguageModel` for one run of one job."""

    def __init__(
        self, job_id: str, providers: Sequence[ModelProvider], config: LlmConfig, around: Surroundings
    ) -> None:
        self._job_id, self._providers, self._config, self._around = job_id, providers, config, around
        self._secrets: Collection[str] | None = None
        self._spent: BudgetSpent | None = None

    def ask(self, question: Question[A]) -> Answer[A]:
        """See the port `LanguageModel`."""
        if not self._providers:
            raise NotConfigured(
                "ZAI_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "OLLAMA_HOST", purpose="ask a language model"
            )
        if self._spent is not None and self._around.now() < self._spent.renews_at:
            raise self._spent
        if self._secrets is None:
            self._begin()
        asking = _Asking(self._job_id, question, self._config, self._around, self._secrets or ())
        failed: dict[str, NoReply] = {}
        for provider in self._providers:
            try:
                found = asking.answer_of(provider)
            except BudgetSpent as spent:
                self._spent = spent
                raise
            if isinstance(found, Answer):
                return found
            log.warning(
                "language_model_passed_over",
                job_id=self._job_id,
                provider=provider.name,
                trouble=found.trouble.value,
                error=found.problem,
            )
            failed[provider.name] = found
        raise _nobody(failed)

    def _begin(self) -> None:
        """Once in a run that asks: learn what must not be sent, and forget what is old."""
        self._secrets = self._around.secrets()
        before = self._around.now() - timedelta(days=self._config.keep_days)
        self._around.ledger().forget(before, self._config.keep_exchanges)


@dataclass(frozen=True)
class _Unusable:
    """An answer that is none. `problem` is in words of ours, `text` in the model's."""

    number: int
    verdict: Verdict
    problem: str
    text: str


class _Asking(Generic[A]):
    """One question: its request, and the time that is left for it."""

    def __init__(
        self,
        job_id: str,
        question: Question[A],
        config: LlmConfig,
        around: Surroundings,
        secrets: Collection[str],
    ) -> None:
        self._job_id, self._question, self._config, self._around = job_id, question, config, around
        self._secrets = secrets
        self._input_tokens = self._output_tokens = 0
        self._ledger = around.ledger()
        self._deadline = around.monotonic() + config.patience_seconds
        most = config.untrusted_characters
        facts = {name: policy.harmless(fact, secrets, most) for name, fact in question.facts.items()}
        self._request = Request(
            instruction=prompt_files.written(question.prompt, facts),
            data=policy.set_apart(question.untrusted, _token(), secrets, most),
            form=question.answer.model_json_schema(),
            max_answer_tokens=question.max_answer_tokens,
        )

    def answer_of(self, provider: ModelProvider) -> Answer[A] | NoReply:
        """The valid answer of one provider, or why it gave none at all.

        Raises:
            BudgetSpent: there are no tokens left to ask it.
            PermanentFailure: it answered, twice, and nothing valid; or it refused to.
        """
        found = self._once(provider, self._request)
        if isinstance(found, _Unusable) and found.verdict is Verdict.INVALID:
            data = policy.asked_again(self._request.data, found.text, found.problem, _token(), self._secrets)
            found = self._once(provider, self._request.model_copy(update={"data": data}))
        if isinstance(found, _Unusable):
            raise PermanentFailure(
                f"{_SYSTEM}: {provider.name} gave no valid answer to {self._question.prompt}: "
                f"{found.problem}. Fix: `aegis llm replay {found.number}` shows what was said."
            )
        return found

    def _once(self, provider: ModelProvider, request: Request) -> Answer[A] | NoReply | _Unusable:
        reply, number = self._exchange(provider, request)
        if isinstance(reply, NoReply):
            return reply
        self._input_tokens += reply.input_tokens
        self._output_tokens += reply.output_tokens
        value, verdict, problem = self._judge(reply)
        self._tell(number, _told(reply, verdict, problem, self._secrets))
        if value is not None:
            return Answer(
                value=value,
                provider=provider.name,
                model=_named(reply),
                input_tokens=self._input_tokens,
                output_tokens=self._output_tokens,
            )
        log.warning(
            "language_model_answer_unusable",
            job_id=self._job_id,
            provider=provider.name,
            exchange=number,
            verdict=verdict.value,
            problem=problem,
        )
        return _Unusable(number, verdict, problem, reply.text)

    def _exchange(self, provider: ModelProvider, request: Request) -> tuple[Reply | NoReply, int]:
        """Claim a turn, set tokens aside, ask. The number is 0 where nobody was asked."""
        failures = self._take_turn(provider)
        if isinstance(failures, NoReply):
            return failures, 0
        number, reserved = self._set_aside(provider, request)
        left = self._left()
        reply = provider.ask(request, min(self._config.timeout_seconds, max(left, _SHORTEST_TRY_SECONDS)))
        if isinstance(reply, Reply):
            self._ledger.answered(provider.name, self._around.now())
            return reply, number
        problem = policy.short(policy.redacted(reply.problem, self._secrets), 500)
        reply = reply.model_copy(update={"problem": problem})
        spent = reserved if reply.may_have_cost else 0
        self._tell(number, Told(verdict=Verdict.FAILED, problem=problem, spent_tokens=spent))
        hold = policy.hold(reply, failures)
        until = None if hold is None else self._around.now() + hold
        self._ledger.failed(provider.name, problem, until)
        return reply, number

    def _take_turn(self, provider: ModelProvider) -> int | NoReply:
        """Claim a request, waiting for it if need be; how often in a row the provider failed before."""
        per_minute: int = getattr(self._config.requests_per_minute, provider.name)
        while True:
            now = self._around.now()
            turn = self._ledger.claim_turn(provider.name, per_minute, now)
            if turn.granted:
                return turn.failures
            wait = max((turn.at - now).total_seconds(), _SHORTEST_PAUSE_SECONDS)
            until = clock.iso(turn.at)
            if turn.held:
                return NoReply(
                    trouble=Trouble.AWAY,
                    problem=f"is left alone until {until}, because it failed: {turn.problem or 'unknown'}",
                    mend="wait, or see `aegis llm`.",
                    retry_after_seconds=wait,
                )
            if wait > self._left() - _SHORTEST_TRY_SECONDS:
                return NoReply(
                    trouble=Trouble.BUSY,
                    problem=f"had its {per_minute} requests of this minute; the next is due at {until}",
                    mend="wait, or raise llm.requests_per_minute or llm.patience_seconds in aegis.yaml.",
                    retry_after_seconds=wait,
                )
            self._around.sleep(wait)

    def _set_aside(self, provider: ModelProvider, request: Request) -> tuple[int, int]:
        """Reserve the tokens of a request; its number and how many they are."""
        now = self._around.now()
        reserved = policy.estimate(
            request.instruction, request.data, str(request.form), answer_tokens=request.max_answer_tokens
        )
        asked = Asked(
            job_id=self._job_id,
            prompt=self._question.prompt,
            provider=provider.name,
            model=provider.model,
            reserved_tokens=reserved,
            instruction=request.instruction[: policy.KEPT_CHARACTERS],
            data=request.data[: policy.KEPT_CHARACTERS],
        )
        found = self._ledger.ask(
            asked, self._config.tokens_per_day, self._config.budget_of(self._job_id), now
        )
        if isinstance(found, Refusal):
            raise self._stopped(found, now)
        return found, reserved

    def _stopped(self, refusal: Refusal, now: datetime) -> BudgetSpent:
        """The hard stop, remembered once for each budget and day."""
        day = policy.day_of(now)
        spent = messages.budget_spent(refusal, day)
        log.warning(messages.BUDGET_EVENT, job_id=self._job_id, scope=refusal.scope, used=refusal.used)
        try:
            self._around.memory().record(
                messages.BUDGET_EVENT,
                messages.budget_sentence(spent),
                {"scope": refusal.scope, "used": refusal.used, "budget": refusal.budget},
                Importance.HIGH,
                ("language_model",),
                timestamp=now,
                key=f"{messages.BUDGET_EVENT}:{refusal.scope}:{day.isoformat()}",
            )
        except DependencyUnavailable as error:
            log.warning("language_model_event_not_recorded", error=str(error))
        return spent

    def _judge(self, reply: Reply) -> tuple[A | None, Verdict, str]:
        """The value of a valid answer; else None, and what is wrong, in words that are ours."""
        if reply.ending is Ending.REFUSED:
            return None, Verdict.REFUSED, "it refused to answer"
        if reply.ending is Ending.TOO_LONG:
            most = self._question.max_answer_tokens
            return None, Verdict.INVALID, f"it was cut off at {most} tokens; it has to be shorter"
        try:
            value = self._question.answer.model_validate_json(policy.bare_json(reply.text), strict=True)
        except ValidationError as error:
            return None, Verdict.INVALID, messages.mistakes(error)
        return value, Verdict.VALID, ""

    def _tell(self, number: int, told: Told) -> None:
        """Write down what became of a request. An answer counts also when that fails."""
        try:
            self._ledger.tell(number, told, self._around.now())
        except DependencyUnavailable as error:
            log.warning("language_model_exchange_not_told", exchange=number, error=str(error))

    def _left(self) -> float:
        return self._deadline - self._around.monotonic()


def _token() -> str:
    return random.token_hex(8)


def _told(reply: Reply, verdict: Verdict, problem: str, secrets: Collection[str]) -> Told:
    return Told(
        verdict=verdict,
        answer=policy.harmless(reply.text, secrets, policy.KEPT_CHARACTERS),
        problem=problem or None,
        model=_named(reply),
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
        spent_tokens=reply.input_tokens + reply.output_tokens,
    )


def _named(reply: Reply) -> str:
    """The model as the provider calls it."""
    return policy.short(policy.visible(reply.model), 200)


def _nobody(failed: Mapping[str, NoReply]) -> DependencyUnavailable | PermanentFailure:
    """What it means that every provider was passed over."""
    troubles = {failure.trouble for failure in failed.values()}
    said, mend = messages.nobody(failed), next(iter(failed.values())).mend
    if troubles == {Trouble.MISSET}:
        settings = ", ".join(failure.setting or name for name, failure in failed.items())
        return Misconfigured(settings, said, mend)
    if troubles <= {Trouble.REJECTED, Trouble.MISSET}:
        return PermanentFailure(f"{_SYSTEM}: {said} Fix: {mend}")
    waits = [f.retry_after_seconds for f in failed.values() if f.retry_after_seconds is not None]
    return DependencyUnavailable(_SYSTEM, said, mend, retry_after_seconds=min(waits, default=None))
