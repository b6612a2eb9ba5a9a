"""Brings a mail before rules and classifier, and before a language model where those cannot tell.

Must not let a language model hold a run up: one that is absent, silent or out of tokens is not asked again.
"""

from __future__ import annotations

from dataclasses import dataclass

from aegis_lib.errors import BudgetSpent, DependencyUnavailable, NotConfigured, PermanentFailure
from aegis_lib.llm.model import Answer, Question
from aegis_lib.logs import get_logger
from aegis_lib.mail import policy
from aegis_lib.mail.classifier import Model
from aegis_lib.mail.model import Decision, EmailConfig, Mail, SentMail, Unsure
from aegis_lib.ports.llm import LanguageModel

_LONGEST_ANSWER_TOKENS = 200
_FAILURES = 2
"""After so many failures in a row the language model is not asked again in a run."""
log = get_logger(__name__)


@dataclass
class Decider:
    """The judges of one run. `asked` counts the questions to the language model."""

    config: EmailConfig
    model: Model
    sent: SentMail
    language_model: LanguageModel
    asked: int = 0
    failures: int = 0

    def decide(self, mail: Mail) -> Decision:
        """What a mail is."""
        found = policy.decide(mail, self.config.rules, self.model, self.sent.addresses)
        if isinstance(found, Unsure):
            return self._ask(mail, found) or policy.by_default(found)
        return found

    def _ask(self, mail: Mail, unsure: Unsure) -> Decision | None:
        """What a language model says, as far as `policy.by_model` lets it; None when it says nothing."""
        if self.asked >= self.config.model_per_run or self.failures >= _FAILURES:
            return None
        rules, known = self.config.rules, self.sent.addresses
        facts, untrusted = policy.asked_of_model(mail, rules, known)
        question: Question[policy.TriageAnswer] = Question(
            prompt="mail_triage",
            answer=policy.TriageAnswer,
            facts=facts,
            untrusted=untrusted,
            max_answer_tokens=_LONGEST_ANSWER_TOKENS,
        )
        self.asked += 1
        try:
            answer: Answer[policy.TriageAnswer] = self.language_model.ask(question)
        except (NotConfigured, BudgetSpent) as none:
            self.failures = _FAILURES
            log.info("mail_model_not_asked", reason=str(none))
            return None
        except (DependencyUnavailable, PermanentFailure) as failed:
            self.failures += 1
            log.warning("mail_model_failed", error=str(failed))
            return None
        self.failures = 0
        return policy.by_model(mail, unsure, answer.value, rules, known)
